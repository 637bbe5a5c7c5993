"""Throughput of iteration over domains, next to the same elements made by hand with builtins and itertools.

Each pair is measured in one process, A B A B ..., so that a change of the machine's pace hits both alike, and
the ratio of the medians is what counts. Sets and Maps stand next to the bare tuples they are made of, where
elements per second tell more than the ratio, and next to the cheapest objects that Python can make of them.

Run it with ``PYTHONPATH=. python benchmarks/elements.py [rounds]``; it takes some 20 seconds.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import reduce
from itertools import chain, combinations, combinations_with_replacement, permutations, product, repeat
from operator import add
from statistics import median
from typing import Any

from haydi.domains import Boolean, Range, Sequences, USet
from haydi.domains.mappings import Mappings
from haydi.domains.permutations import Permutations
from haydi.domains.subsets import Subsets
from haydi.domains.unordered import UnorderedProduct

Source = Callable[[], Iterable[Any]]

_ROUNDS = 7


class _Slot:
    """The cheapest class that could stand for a Set: what an object costs at least."""

    __slots__ = ("items",)

    def __init__(self, items: tuple[Any, ...]) -> None:
        self.items = items


def _power_set(n: int) -> Iterable[tuple[int, ...]]:
    return chain.from_iterable(combinations(range(n), size) for size in range(n + 1))


def _cases() -> list[tuple[str, int, Source, Source]]:
    """Name, number of elements, the domain, and the same by hand."""
    atoms = tuple(USet(18, "a"))
    return [
        ("Range", 5_000_000, lambda: Range(5_000_000), lambda: range(5_000_000)),
        (
            "Range, second half",
            2_500_000,
            lambda: Range(5_000_000).elements(2_500_000),
            lambda: range(2_500_000, 5_000_000),
        ),
        (
            "run: Range map sum",
            2_000_000,
            lambda: [Range(2_000_000).map(_increment).sum().run()],
            lambda: [sum(map(_increment, range(2_000_000)))],
        ),
        (
            "run: Range map reduce",
            2_000_000,
            lambda: [Range(2_000_000).map(_increment).reduce(add, 0).run()],
            lambda: [reduce(add, map(_increment, range(2_000_000)), 0)],
        ),
        (
            "run: Range map filter count",
            2_000_000,
            lambda: [Range(2_000_000).map(_increment).filter(_is_odd).count().run()],
            lambda: [sum(1 for _ in filter(_is_odd, map(_increment, range(2_000_000))))],
        ),
        (
            "run: Product map sum",
            1_000_000,
            lambda: [(Range(1000) * Range(1000)).map(sum).sum().run()],
            lambda: [sum(map(sum, product(range(1000), range(1000))))],
        ),
        (
            "run: Product collect",
            1_000_000,
            lambda: (Range(1000) * Range(1000)).run(),
            lambda: list(product(range(1000), range(1000))),
        ),
        (
            "Range map sum",
            1_000_000,
            lambda: [sum(Range(1_000_000).map(_increment))],
            lambda: [sum(map(_increment, range(1_000_000)))],
        ),
        (
            "Product",
            8 * 10**6,
            lambda: Range(200) * Range(200) * Range(200),
            lambda: product(range(200), range(200), range(200)),
        ),
        (
            "Product, two large factors",
            9 * 10**6,
            lambda: Range(3000) * Range(3000),
            lambda: product(range(3000), range(3000)),
        ),
        ("Sequences", 8**7, lambda: Sequences(Range(8), 7), lambda: product(range(8), repeat=7)),
        (
            "Sequences, lengths 0 to 20",
            2**21 - 1,
            lambda: Sequences(Boolean(), 0, 20),
            lambda: chain.from_iterable(product((False, True), repeat=k) for k in range(21)),
        ),
        (
            "Permutations",
            3_628_800,
            lambda: Permutations(Range(10)),
            lambda: permutations(range(10)),
        ),
        (
            "UnorderedProduct",
            4_545_100,
            lambda: UnorderedProduct([Range(300)] * 3),
            lambda: combinations_with_replacement(range(300), 3),
        ),
        (
            "Subsets of one size, tuples",
            2_704_156,
            lambda: Subsets(Range(24), 12, set_class=tuple),
            lambda: combinations(range(24), 12),
        ),
        (
            "Subsets of all sizes, tuples",
            2**18,
            lambda: Subsets(Range(18), set_class=tuple),
            lambda: _power_set(18),
        ),
        (
            "Subsets of one size, Sets / tuples",
            184_756,
            lambda: Subsets(Range(20), 10),
            lambda: combinations(range(20), 10),
        ),
        ("Subsets of all sizes, Sets / tuples", 2**18, lambda: Subsets(Range(18)), lambda: _power_set(18)),
        (
            "Subsets of all sizes, Sets / objects",
            2**18,
            lambda: Subsets(Range(18)),
            lambda: map(_Slot, _power_set(18)),
        ),
        (
            "Subsets of atoms, Sets / objects",
            2**18,
            lambda: Subsets(USet(18, "a")),
            lambda: map(_Slot, chain.from_iterable(combinations(atoms, size) for size in range(19))),
        ),
        (
            "Mappings, Maps / tuples",
            8**6,
            lambda: Mappings(Range(6), Range(8)),
            lambda: product(range(8), repeat=6),
        ),
        (
            "Mappings, Maps / objects",
            8**6,
            lambda: Mappings(Range(6), Range(8)),
            lambda: map(_Slot, product(range(8), repeat=6)),
        ),
        (
            "Mappings, dicts",
            8**6,
            lambda: Mappings(Range(6), Range(8), map_class=dict),
            lambda: map(dict, map(zip, repeat(range(6)), product(range(8), repeat=6))),
        ),
    ]


def _increment(x: int) -> int:
    return x + 1


def _is_odd(x: int) -> int:
    return x & 1


def _seconds(source: Source) -> float:
    begin = time.perf_counter()
    deque(source(), maxlen=0)
    return time.perf_counter() - begin


def main() -> None:
    """Measure all pairs and print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else _ROUNDS
    print(f"{'':38}{'elements':>10}{'Haydi M/s':>12}{'by hand M/s':>13}{'time ratio':>12}")
    for name, count, ours, by_hand in _cases():
        pairs = [(_seconds(ours), _seconds(by_hand)) for _ in range(rounds)]
        mine, other = (median(side) for side in zip(*pairs, strict=True))
        rates = f"{count / mine / 1e6:>12.1f}{count / other / 1e6:>13.1f}"
        print(f"{name:38}{count:>10}{rates}{mine / other:>12.2f}")


if __name__ == "__main__":
    main()
