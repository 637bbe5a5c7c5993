"""Isomorphism classes, given by their canonical forms.

``CnfValues`` is the strict counterpart of ``Values``: it is told one element of each class and stands for all
elements of these classes. It iterates class by class, in the order given, and through each class in the order
of basic objects; its own ``cnfs()`` are the values it was given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import chain
from typing import Any, TypeVar

from haydi.basic import Atom
from haydi.domains.describe import shorten
from haydi.domains.domain import Domain
from haydi.domains.elementary import USet
from haydi.errors import ArgumentTypeError, ArgumentValueError
from haydi.order import sort_key
from haydi.symmetry.renaming import atoms_of, rename

__all__ = ["CnfValues", "orbit", "uset_of"]

T = TypeVar("T")


def orbit(value: T, sizes: dict[USet, int]) -> tuple[T, ...]:
    """All objects that a value becomes under the renamings of the first few atoms of some USets, in order.

    Adjacent swaps generate all renamings, so what they reach from the value is the whole orbit.

    Args:
        value: A basic object.
        sizes: How many atoms of each USet may be renamed.

    >>> a = USet(1000, "a")
    >>> orbit((a[0], a[1]), {a: 3})
    ((a0, a1), (a0, a2), (a1, a0), (a1, a2), (a2, a0), (a2, a1))
    """
    swaps = [
        {uset[i]: uset[i + 1], uset[i + 1]: uset[i]} for uset, size in sizes.items() for i in range(size - 1)
    ]
    found = {sort_key(value): value}
    todo = [value]
    while todo:
        one = todo.pop()
        for swap in swaps:
            image = rename(one, swap)
            key = sort_key(image)
            if key not in found:
                found[key] = image
                todo.append(image)
    return tuple(found[key] for key in sorted(found))


class CnfValues(Domain[T]):
    """The classes of some canonical forms: strict, whatever the values are.

    Args:
        values: Canonical forms of different classes.
        name: A name shown in ``repr``.

    Raises:
        ArgumentTypeError: ``values`` is not iterable, or a value is no basic object.
        ArgumentValueError: A value is not canonical, or given twice.

    >>> n = USet(3, "n")
    >>> pairs = CnfValues([(n[0], n[0]), (n[0], n[1])])
    >>> pairs.size, list(pairs)[:4]
    (9, [(n0, n0), (n1, n1), (n2, n2), (n0, n1)])
    >>> list((pairs * n).cnfs())[:3]
    [((n0, n0), n0), ((n0, n0), n1), ((n0, n1), n0)]
    """

    strict = True
    _distinct = True

    def __init__(self, values: Iterable[T], *, name: str | None = None) -> None:
        super().__init__(name=name)
        if not isinstance(values, Iterable):
            raise ArgumentTypeError(f"values must be iterable, not {shorten(values)}")
        self._values = tuple(values)
        self._limits: dict[USet, int] = {}
        self._check()

    def _check(self) -> None:
        from haydi.symmetry.canon import canonize

        seen: set[Any] = set()
        for i, value in enumerate(self._values):
            key = sort_key(value)
            least = canonize(value)
            if sort_key(least) != key:
                raise ArgumentValueError(
                    f"values[{i}] is {shorten(value)}, which is not canonical; give the canonical form of "
                    f"its class, {shorten(least)} (see hd.canonize)"
                )
            if key in seen:
                raise ArgumentValueError(f"values[{i}] repeats {shorten(value)}; give each class once")
            seen.add(key)

    @property
    def values(self) -> tuple[T, ...]:
        """The canonical forms, as given."""
        return self._values

    @cached_property
    def usets(self) -> tuple[USet, ...]:
        """The USets whose atoms occur."""
        atoms = {atom for value in self._values for atom in atoms_of(value)}
        return tuple({uset_of(atom) for atom in atoms})

    def width(self, uset: USet) -> int:
        """The largest number of atoms of a USet that a value holds."""
        return max(
            (len({atom for atom in atoms_of(value) if atom.parent == uset}) for value in self._values),
            default=0,
        )

    def within(self, sizes: dict[USet, int]) -> CnfValues[T]:
        """The same classes, restricted to elements that hold only the first few atoms of some USets."""
        made: CnfValues[T] = CnfValues.__new__(CnfValues)
        Domain.__init__(made, name=self._name)
        made._values = self._values
        made._limits = dict(sizes)
        return made

    @cached_property
    def _sizes(self) -> dict[USet, int]:
        return {uset: self._limits.get(uset, uset.size) for uset in self.usets}

    @cached_property
    def _classes(self) -> tuple[tuple[T, ...], ...]:
        # A renaming of a USet that a value does not touch leaves it alone, so it need not be tried.
        return tuple(orbit(value, self._sizes_of(value)) for value in self._values)

    def _sizes_of(self, value: T) -> dict[USet, int]:
        touched = {uset_of(atom) for atom in atoms_of(value)}
        return {uset: size for uset, size in self._sizes.items() if uset in touched}

    @cached_property
    def _elements_all(self) -> tuple[T, ...]:
        return tuple(chain.from_iterable(self._classes))

    @cached_property
    def size(self) -> int:
        if self._limits:
            return len(self._elements_all)
        from haydi.symmetry.canon import orbit_size

        return sum(map(orbit_size, self._values))

    def _elements(self, start: int, stop: int) -> Iterator[T]:
        return iter(self._elements_all[start:stop])

    def _at(self, step: int) -> T:
        return self._elements_all[step]

    @cached_property
    def _positions(self) -> dict[Any, int]:
        return {sort_key(element): step for step, element in enumerate(self._elements_all)}

    def _index(self, element: object) -> int:
        try:
            return self._positions[sort_key(element)]
        except (KeyError, TypeError):
            raise self._absent(element) from None

    @cached_property
    def _previewable(self) -> bool:
        return False

    def _repr_args(self) -> str:
        return f"of the classes of {', '.join(map(shorten, self._values[:3]))}" + (
            ", ..." if len(self._values) > 3 else ""
        )


def uset_of(atom: Atom) -> USet:
    """The USet of an atom, also where the atom was made by hand of something else with a name and a size."""
    parent = atom.parent
    return parent if isinstance(parent, USet) else USet(parent.size or 0, parent.name or "")
