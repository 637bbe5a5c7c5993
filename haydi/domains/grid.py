"""How compositions go through all combinations of their factors: the engine of Product and Sequences.

Steps of a grid are numbers in a mixed radix: one digit per factor, the last one fastest. A range of steps
``[start, stop)`` falls into at most two *blocks* per factor; a block is

    a prefix (one element each of the first factors)  x  a sub-range of one factor  x  all of the other
    factors

so a grid can begin anywhere, and a rejected element of a prefix drops its whole block at once. Nothing counts
steps while a block is gone through; it is ``itertools.product`` or ``zip`` from end to end:

* Factors that are small (``Domain._pool``) at the end of the block are kept as tuples and given to
  ``product``.
* The factor before them may be too large to keep. It is fed to ``product`` in chunks, which start small, so
  that the first element is there at once, and double, so that their number does not matter.
* Large factors before that one are an odometer in Python, which turns once per many thousand elements.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, product, repeat
from typing import Any

from haydi.domains.domain import POOL_SIZE_MAX, Domain
from haydi.errors import SkippedStepError

__all__ = ["grid_all", "grid_at", "grid_elements", "grid_index", "grid_rejected_around"]

Factors = Sequence[Domain[Any]]
Combinations = Iterator[tuple[Any, ...]]

_CHUNK_FIRST = 16
_CHUNK_MAX = 4096


def grid_at(factors: Factors, step: int) -> tuple[Any, ...]:
    """The combination of a step.

    Raises:
        SkippedStepError: A factor rejects its part.
    """
    digits = _digits([factor._known_size() for factor in factors], step)
    return tuple([factor._at(digit) for factor, digit in zip(factors, digits, strict=True)])


def grid_rejected_around(factors: Factors, step: int) -> range:
    """All steps that share the first rejected part of a rejected step."""
    sizes = [factor._known_size() for factor in factors]
    prefix, rest = 0, math.prod(sizes)
    for factor, size, digit in zip(factors, sizes, _digits(sizes, step), strict=True):
        rest //= size
        try:
            factor._at(digit)
        except SkippedStepError:
            block = factor._rejected_around(digit)
            return range((prefix * size + block.start) * rest, (prefix * size + block.stop) * rest)
        prefix = prefix * size + digit
    return range(step, step + 1)


def grid_index(factors: Factors, combination: Sequence[object]) -> int:
    """The step of a combination with as many items as there are factors.

    Raises:
        ValueError: An item is not in its factor.
    """
    step = 0
    for factor, item in zip(factors, combination, strict=True):
        step = step * factor._known_size() + factor._index(item)
    return step


def grid_elements(factors: Factors, start: int, stop: int) -> Combinations:
    """The combinations of steps ``[start, stop)``, those with a rejected part left out."""
    if start == 0 and stop == math.prod(factor._known_size() for factor in factors):
        # One block: even to hand elements on through a chain would cost a third of the time.
        return grid_all(factors)
    return chain.from_iterable(_blocks(factors, start, stop))


def grid_all(factors: Factors) -> Combinations:
    """All combinations, also where the size of a factor is not known."""
    if not factors:
        return iter(((),))
    return _block(factors, [], _whole(factors[0]))


def _digits(sizes: Sequence[int], step: int) -> list[int]:
    """The digits of a step; the first one is not reduced, so that the end of the grid has digits too."""
    digits = [0] * len(sizes)
    for level in range(len(sizes) - 1, 0, -1):
        step, digits[level] = divmod(step, sizes[level])
    if digits:
        digits[0] = step
    return digits


def _prefix(factors: Factors, digits: Sequence[int], length: int) -> list[Any]:
    """The elements of the first digits, up to the first rejected one."""
    elements: list[Any] = []
    for factor, digit in islice(zip(factors, digits, strict=True), length):
        try:
            elements.append(factor._at(digit))
        except SkippedStepError:
            break
    return elements


def _blocks(factors: Factors, start: int, stop: int) -> Iterator[Combinations]:
    """Cut the steps into blocks, which get longer and then shorter again."""
    if start == stop:
        return
    if not factors:
        yield iter(((),))
        return
    sizes = [factor._known_size() for factor in factors]
    low, high = _digits(sizes, start), _digits(sizes, stop)
    fork = next(level for level, (a, b) in enumerate(zip(low, high, strict=True)) if a != b)

    deepest = _last_nonzero(low, fork)
    prefix = _prefix(factors, low, deepest)
    for level in range(deepest, fork - 1, -1):
        first = low[level] if level == deepest else low[level] + 1
        last = high[fork] if level == fork else sizes[level]
        if first < last and len(prefix) >= level:
            yield _block(factors, prefix[:level], _head(factors[level], first, last))

    deepest = _last_nonzero(high, fork)
    prefix = _prefix(factors, high, deepest) if deepest > fork else []
    for level in range(fork + 1, deepest + 1):
        if high[level] and len(prefix) >= level:
            yield _block(factors, prefix[:level], _head(factors[level], 0, high[level]))


def _last_nonzero(digits: Sequence[int], fork: int) -> int:
    return next((level for level in range(len(digits) - 1, fork, -1) if digits[level]), fork)


def _head(factor: Domain[Any], first: int, last: int) -> Iterable[Any]:
    """Steps of one factor: a tuple where they are few, otherwise an iterator."""
    if last - first > POOL_SIZE_MAX:
        return factor._elements(first, last)
    whole = first == 0 and last == factor.size
    return (factor._pool if whole else None) or tuple(factor._elements(first, last))


def _whole(factor: Domain[Any]) -> Iterable[Any]:
    pool = factor._pool
    return factor._iterate() if pool is None else pool


def _block(factors: Factors, prefix: list[Any], head: Iterable[Any]) -> Combinations:
    """All combinations of a prefix, the given elements of the next factor, and all of the rest."""
    level = len(prefix) + 1
    pools: list[tuple[Any, ...]] = []
    tail = len(factors)
    while tail > level and (pool := factors[tail - 1]._pool) is not None:
        pools.append(pool)
        tail -= 1
    pools.reverse()
    if any(factor._pool == () for factor in factors[level:]):
        return iter(())
    if tail == level:
        return _sweep(prefix, head, pools)
    slow, fast = factors[level : tail - 1], factors[tail - 1]
    return chain.from_iterable(
        _sweep(prefix + turned, fast._iterate(), pools) for turned in _odometer(head, slow)
    )


def _sweep(prefix: list[Any], items: Iterable[Any], pools: list[tuple[Any, ...]]) -> Combinations:
    """All combinations of a prefix, the items, and the pools."""
    if not pools:
        return zip(*map(repeat, prefix), items, strict=False)
    fixed = [(element,) for element in prefix]
    if isinstance(items, tuple):
        return product(*fixed, items, *pools)
    return chain.from_iterable(product(*fixed, chunk, *pools) for chunk in _chunks(iter(items)))


def _chunks(items: Iterator[Any]) -> Iterator[tuple[Any, ...]]:
    size = _CHUNK_FIRST
    while chunk := tuple(islice(items, size)):
        yield chunk
        size = min(2 * size, _CHUNK_MAX)


def _odometer(head: Iterable[Any], factors: Factors) -> Iterator[list[Any]]:
    """All combinations of some items and of factors too large to keep."""
    wheels = [iter(head)]
    shown: list[Any] = []
    while wheels:
        for element in wheels[-1]:
            if len(shown) == len(factors):
                yield [*shown, element]
            else:
                shown.append(element)
                wheels.append(iter(_whole(factors[len(wheels) - 1])))
                break
        else:
            wheels.pop()
            if shown:
                shown.pop()
