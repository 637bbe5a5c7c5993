"""Canonical forms of single objects, and what symmetry says about them.

Everything here is for any basic object, whatever domain it is from, or none. The renamings are those of the
USets whose atoms occur in it: inside of each USet, all permutations of its atoms. The canonical form of a
class is its least element in the order of :mod:`haydi.order`; its atoms are the first of their USets, without
gaps. How it is found is told in :mod:`haydi.symmetry.search`. There is no limit on the size of the groups:
the time goes with how alike different parts of an object look that no renaming turns into each other.

**The whole class.** Renamings that differ by an automorphism give the same object, so :func:`expand` needs
one of each coset of the group of automorphisms. With the chain of stabilizers that the search has found, a
renaming is the least one of its coset exactly when it takes each base point lower than all others of its
orbit; such renamings are listed one after another, and nothing but the one at hand is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import factorial, perm, prod
from typing import Literal, TypeVar, overload

from haydi.basic import Atom
from haydi.domains.arguments import as_bool
from haydi.domains.describe import shorten
from haydi.errors import ArgumentTypeError
from haydi.order import sort_key
from haydi.symmetry.fingerprint import fingerprint
from haydi.symmetry.renaming import rename
from haydi.symmetry.search import Base, LeastImage
from haydi.symmetry.words import Text

__all__ = ["automorphism_count", "canonize", "expand", "is_canonical", "is_isomorphic", "orbit_size"]

T = TypeVar("T")


@overload
def canonize(x: T, return_renaming: Literal[False] = False) -> T: ...
@overload
def canonize(x: T, return_renaming: Literal[True]) -> tuple[T, dict[Atom, Atom]]: ...
def canonize(x: T, return_renaming: bool = False) -> T | tuple[T, dict[Atom, Atom]]:
    """The canonical form: the least object, by :func:`haydi.compare`, that ``x`` can be renamed to.

    Args:
        x: A basic object.
        return_renaming: Whether to give also a renaming that leads there, as a dict of the atoms of ``x``.

    Returns:
        The canonical form, or with ``return_renaming`` the pair of it and the renaming.

    Raises:
        ArgumentTypeError: ``x``, or something inside of it, is no basic object.

    >>> from haydi.domains import USet
    >>> from haydi.basic import Set
    >>> a, b, c, d = USet(4, "n")
    >>> path = Set([Set([a, d]), Set([d, b])])
    >>> canonize(path)
    {{n0, n1}, {n0, n2}}
    >>> canonize((d, c, d), return_renaming=True)
    ((n0, n1, n0), {n2: n1, n3: n0})
    """
    text = _text(x)
    renaming = _renaming_to(text, LeastImage(text).places)
    least = rename(x, renaming)
    return (least, renaming) if as_bool("return_renaming", return_renaming) else least


def is_canonical(x: object) -> bool:
    """Whether an object is the canonical form of its class.

    Raises:
        ArgumentTypeError: ``x`` is no basic object.

    >>> from haydi.domains import USet
    >>> a, b, c = USet(3, "a")
    >>> is_canonical((a, b)), is_canonical((a, c)), is_canonical((b, a))
    (True, False, False)
    """
    text = _text(x)
    if any(atom.index != i for run in text.runs for i, atom in enumerate(text.atoms[run.start : run.stop])):
        return False
    return sort_key(rename(x, _renaming_to(text, LeastImage(text).places))) == sort_key(x)


def is_isomorphic(x: object, y: object) -> bool:
    """Whether one object can be renamed to the other.

    Raises:
        ArgumentTypeError: ``x`` or ``y`` is no basic object.

    >>> from haydi.domains import USet
    >>> from haydi.basic import Set
    >>> a, b, c = USet(3, "a")
    >>> is_isomorphic(Set([a, (b, c)]), Set([c, (a, b)])), is_isomorphic((a, a), (a, b))
    (True, False)
    """
    one, other = _text(x), _text(y)
    if one.signature != other.signature or fingerprint(one) != fingerprint(other):
        return False
    return sort_key(canonize(x)) == sort_key(canonize(y))


def automorphism_count(x: object) -> int:
    """Number of renamings that leave an object as it is, atoms that do not occur in it included.

    Raises:
        ArgumentTypeError: ``x`` is no basic object.

    >>> from haydi.domains import USet
    >>> from haydi.basic import Set
    >>> a = USet(5, "a")
    >>> automorphism_count(Set([a[0], a[1], a[2]])), automorphism_count((a[0], a[1]))
    (12, 6)
    """
    text = _text(x)
    unused = prod(factorial(_size(text, run) - len(run)) for run in text.runs)
    return unused * LeastImage(text).group_order


def orbit_size(x: object) -> int:
    """Number of objects that an object can be renamed to, itself included: the size of its class.

    Times :func:`automorphism_count` it is the number of renamings: the product of the factorials of the sizes
    of the USets that occur.

    Raises:
        ArgumentTypeError: ``x`` is no basic object.

    >>> from haydi.domains import USet
    >>> from haydi.basic import Set
    >>> a = USet(5, "a")
    >>> orbit_size(Set([a[0], a[1], a[2]])), orbit_size((a[0], a[1])), orbit_size(7)
    (10, 20, 1)
    """
    text = _text(x)
    namings = prod(perm(_size(text, run), len(run)) for run in text.runs)
    return namings // LeastImage(text).group_order


def expand(x: T) -> Iterator[T]:
    """All objects that an object can be renamed to, each once, lazily.

    Raises:
        ArgumentTypeError: ``x`` is no basic object.

    >>> from haydi.domains import USet
    >>> from haydi.basic import Set
    >>> a = USet(3, "a")
    >>> list(expand((Set([a[0], a[1]]), 5)))
    [({a0, a1}, 5), ({a0, a2}, 5), ({a1, a2}, 5)]
    """
    text = _text(x)
    cosets = _cosets(text, LeastImage(text).base)
    return (rename(x, renaming) for renaming in cosets)


def _text(x: object) -> Text:
    try:
        return Text(x)
    except ArgumentTypeError as error:
        raise ArgumentTypeError(f"x={shorten(x)} is no basic object: {error}") from None


def _size(text: Text, run: range) -> int:
    return text.atoms[run.start].parent.size or len(run)


def _renaming_to(text: Text, places: list[int]) -> dict[Atom, Atom]:
    targets = text.targets()
    return {atom: targets[place] for atom, place in zip(text.atoms, places, strict=True)}


def _cosets(text: Text, base: list[Base]) -> Iterator[dict[Atom, Atom]]:
    """One renaming of each coset of the automorphisms: the least.

    Atoms get their names one after another, base points first. A base point has to leave enough higher names
    for the others of its orbit, so that hardly any beginning is in vain.
    """
    order = [level.atom for level in base]
    order += [atom for atom in range(len(text.atoms)) if atom not in set(order)]
    followers = {level.atom: [one for one in level.orbit if one != level.atom] for level in base}
    leaders: dict[int, list[int]] = {atom: [] for atom in order}
    for leader, others in followers.items():
        for one in others:
            leaders[one].append(leader)
    run_of = {atom: run for run in text.runs for atom in run}
    names = {run.start: _size(text, run) for run in text.runs}
    parents = {run.start: text.atoms[run.start].parent for run in text.runs}
    chosen: dict[int, int] = {}
    used: set[tuple[int, int]] = set()

    def candidates(atom: int) -> Iterator[int]:
        start = run_of[atom].start
        lowest = max((chosen[one] + 1 for one in leaders[atom]), default=0)
        waiting = sum(one not in chosen for one in followers.get(atom, ()))
        free = [name for name in range(lowest, names[start]) if (start, name) not in used]
        return iter(free[: len(free) - waiting] if waiting else free)

    stack = [candidates(order[0])] if order else []
    if not order:
        yield {}
    while stack:
        atom = order[len(stack) - 1]
        if atom in chosen:
            used.discard((run_of[atom].start, chosen.pop(atom)))
        name = next(stack[-1], None)
        if name is None:
            stack.pop()
            continue
        chosen[atom] = name
        used.add((run_of[atom].start, name))
        if len(stack) < len(order):
            stack.append(candidates(order[len(stack)]))
        else:
            yield {text.atoms[one]: Atom(to, parents[run_of[one].start]) for one, to in chosen.items()}
