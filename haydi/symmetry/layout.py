"""A strict domain, compiled: its elements as vectors, renamings as moves of positions and indices.

An element is a vector ``f`` of ``m`` indices, one into the alphabet of each position;
:mod:`haydi.symmetry.structure` says which object it stands for. A renaming ``g`` is a :class:`Row` of two
tables and acts by

    (g f)[p] = vals[kind[p]][f[src[p]]]

where ``kind[p]`` is the number of the alphabet of ``p``. Positions stand in the order in which ``compare``
looks at them, and indices in the order of the elements; so among the elements of one orbit *the canonical
form is the one with the lexicographically least vector*. (Between orbits the vectors order the classes as
``iterate()`` does, not as ``compare`` does: see free Sets.)

What becomes of a domain: a Product, or Sequences of one length, put their parts side by side. Mappings
repeat the positions of their values for each key. Subsets have a bit for each item, and Permutations a
position for each item. Everything else (USets, Ranges, Joins, Sequences of several lengths and filtered
domains below the top) is listed, and is one position. USets are cut down to the atoms that one element can
hold (:mod:`haydi.symmetry.effective`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from math import factorial, prod
from typing import Any, NamedTuple

from haydi.domains.describe import brief
from haydi.domains.domain import Domain
from haydi.domains.elementary import USet
from haydi.domains.mappings import Mappings
from haydi.domains.permutations import Permutations
from haydi.domains.product import NamedProduct, Product
from haydi.domains.sequences import Sequences
from haydi.domains.subsets import Subsets
from haydi.domains.transformed import FilteredDomain
from haydi.errors import ArgumentValueError
from haydi.symmetry.alphabet import Alphabet
from haydi.symmetry.effective import shrink, usets_of, width
from haydi.symmetry.renaming import Renaming
from haydi.symmetry.structure import BIT, Leaf, MapNode, Node, OrderNode, SetNode, TupleNode

__all__ = ["Layout", "Row", "require_strict"]

#: A vector longer than that is a description that got out of hand.
POSITIONS_MAX = 1 << 16

#: Number of elements times number of swaps up to which a filter is tried; some 10 microseconds for each.
_PROMISE_WORK_MAX = 1 << 14


class Row(NamedTuple):
    """A renaming, as it acts on vectors.

    Attributes:
        src: For each position, the position it takes its entry from.
        vals: For each alphabet of the layout, where its indices go.
    """

    src: tuple[int, ...]
    vals: tuple[tuple[int, ...], ...]


def require_strict(domain: Domain[Any], method: str) -> None:
    """Refuse a domain that is not strict, naming the part of it that is to blame.

    Raises:
        ArgumentValueError: The domain is not strict.

    >>> from haydi.domains import Range, USet, Values
    >>> require_strict(Range(3) * Values("ab") * USet(2, "a"), "cnfs")
    Traceback (most recent call last):
        ...
    haydi.errors.ArgumentValueError: cnfs() needs a strict domain, but the part <Values size=2 {'a', 'b'}> ...
    """
    if domain.strict:
        return
    part = domain
    while True:
        below = next((inner for inner in part._parts if not inner.strict), None)
        if below is None:
            break
        part = below
    what = "this domain" if part is domain else f"the part {part!r} of it"
    raise ArgumentValueError(
        f"{method}() needs a strict domain, but {what} is not strict: it may tell atoms of a USet apart. "
        f"Strict are Range, Boolean, NoneDomain, USet, CnfValues and what is composed of them; "
        f"promise it of a filter by filter(fn, strict=True), apply other functions to the representatives: "
        f"{method}().map(fn)"
    )


class Layout:
    """The vectors of a strict domain, and the renamings that act on them.

    Args:
        domain: A strict domain.

    Raises:
        ArgumentValueError: A part of the domain is not closed under renaming, has equal elements where that
            cannot
            be, or is too large to be listed.

    Attributes:
        domain: The domain over USets of effective size; its elements are among those of the domain given.
        usets: The USets, in the order of their atoms.
        sizes: How many atoms of each matter.
        m: Number of positions.
        alphabets: The alphabets, each once.
        kind: For each position, the number of its alphabet.
        root: The shape of the elements.
        sets: The SetNodes.
        orders: The OrderNodes.

    >>> from haydi.domains import Subsets, USet
    >>> n = USet(4, "n")
    >>> graphs = Layout(Subsets(Subsets(n, 2)))
    >>> graphs.m, graphs.swap(n, 0, 1).src
    (6, (0, 3, 4, 1, 2, 5))
    >>> graphs.build([0, 1, 1, 1, 1, 0]), graphs.vector(graphs.build([0, 1, 1, 1, 1, 0]))
    ({{n0, n1}, {n2, n3}}, [0, 1, 1, 1, 1, 0])
    """

    def __init__(self, domain: Domain[Any]) -> None:
        self.usets = usets_of(domain)
        bounds = {uset: min(uset.size, max(1, width(domain, uset))) for uset in self.usets}
        self.sizes = tuple(bounds[uset] for uset in self.usets)
        _hold_to_promise(domain)
        self.domain = shrink(domain, {uset: n for uset, n in bounds.items() if n < uset.size})
        compiler = _Compiler()
        self.root: Node = compiler.node(self.domain, True)
        self.m = self.root.stop
        self.sets = tuple(compiler.sets)
        self.orders = tuple(compiler.orders)
        numbers = {id(alphabet): i for i, alphabet in reversed(list(enumerate(compiler.positions)))}
        order = {key: i for i, key in enumerate(sorted(numbers, key=numbers.__getitem__))}
        self.alphabets = tuple(compiler.positions[numbers[key]] for key in order)
        self.kind = tuple(order[id(alphabet)] for alphabet in compiler.positions)
        self._swaps: dict[tuple[USet, int, int], Row] = {}

    @property
    def group_order(self) -> int:
        """Number of renamings of the atoms that matter."""
        return prod(map(factorial, self.sizes))

    @property
    def group_order_full(self) -> int:
        """Number of renamings of all atoms of the USets."""
        return prod(factorial(uset.size) for uset in self.usets)

    @cached_property
    def identity(self) -> Row:
        """The renaming that moves nothing."""
        return Row(tuple(range(self.m)), tuple(tuple(range(alphabet.size)) for alphabet in self.alphabets))

    @cached_property
    def fixed(self) -> bool:
        """Whether renamings move positions only, and leave all indices as they are."""
        return all(alphabet.fixed for alphabet in self.alphabets)

    def swap(self, uset: USet, i: int, j: int) -> Row:
        """The renaming that swaps two atoms.

        Args:
            uset: One of the USets.
            i: Index of one atom, below the effective size.
            j: Index of the other.
        """
        key = (uset, min(i, j), max(i, j))
        known = self._swaps.get(key)
        if known is None:
            known = self._swaps[key] = self.row({uset[i]: uset[j], uset[j]: uset[i]})
        return known

    def row(self, renaming: Renaming) -> Row:
        """How a renaming acts on vectors."""
        src = list(range(self.m))
        for p, q in self.root.moves(renaming):
            src[p] = q
        return Row(tuple(src), tuple(alphabet.act(renaming) for alphabet in self.alphabets))

    def generators(self) -> list[Row]:
        """The swaps of neighbouring atoms, USet by USet; they generate all renamings."""
        return [
            self.swap(uset, i, i + 1)
            for uset, size in zip(self.usets, self.sizes, strict=True)
            for i in range(size - 1)
        ]

    def build(self, f: Sequence[int]) -> Any:
        """The element of a vector."""
        return self.root.build(f)

    def vector(self, element: Any) -> list[int]:
        """The vector of an element.

        Raises:
            ArgumentValueError: The (effective) domain has no such element.
        """
        f = [0] * self.m
        try:
            self.root.read(element, f)
        except (KeyError, TypeError):
            raise ArgumentValueError(f"{element!r} is not an element of {self.domain!r}") from None
        return f


def _hold_to_promise(domain: Domain[Any]) -> None:
    """Try the strict filters inside of a domain with all their atoms, where these are few.

    Later on the filters are seen with those atoms only that matter, and what is wrong may be out of sight.
    """
    if isinstance(domain, FilteredDomain):
        usets = usets_of(domain)
        swaps = sum(max(0, uset.size - 1) for uset in usets)
        if domain._known_size() * swaps <= _PROMISE_WORK_MAX:
            alphabet = Alphabet.of(domain)
            for uset in usets:
                for i in range(uset.size - 1):
                    alphabet.act({uset[i]: uset[i + 1], uset[i + 1]: uset[i]})
    for part in domain._parts:
        _hold_to_promise(part)


class _Compiler:
    """Gives out positions while a domain is gone through."""

    def __init__(self) -> None:
        self.positions: list[Alphabet] = []
        self.sets: list[SetNode] = []
        self.orders: list[OrderNode] = []
        self._numbers: dict[range, Alphabet] = {}
        self._alphabets: dict[tuple[int, bool], tuple[Alphabet, Domain[Any]]] = {}

    def alphabet(self, domain: Domain[Any], repeats: bool = True) -> Alphabet:
        """The alphabet of a domain; the same for the same domain. The domain is kept so that its id stays
        its own.
        """
        key = (id(domain), repeats)
        if key not in self._alphabets:
            self._alphabets[key] = (Alphabet.of(domain, repeats=repeats), domain)
        return self._alphabets[key][0]

    def _items(self, items: Domain[Any], domain: Domain[Any]) -> Alphabet:
        """The alphabet of items or keys, each of which has a position of its own in an element."""
        if not items.filtered:
            self._check_positions(items._known_size(), domain)  # before they are listed, which may take long
        return self.alphabet(items, repeats=False)

    def node(self, domain: Domain[Any], free: bool) -> Node:
        """The node of a domain, at the next positions; ``free`` where no renaming moves it elsewhere."""
        if isinstance(domain, Product):
            make: Callable[[tuple[Any, ...]], Any] | None = None
            if isinstance(domain, NamedProduct):
                make = partial(tuple.__new__, domain._class)
            return self._tuple([*domain.domains], free, make)
        if isinstance(domain, Sequences) and len(domain.lengths) == 1:
            return self._tuple([domain.domain] * domain.lengths[0], free, None)
        if isinstance(domain, Mappings):
            return self._map(domain, free)
        if isinstance(domain, Subsets):
            items = self._items(domain.domain, domain)
            made = SetNode(items, self._sizes(domain.sizes), len(self.positions), free)
            self._put([made.sizes] * made.sized + [BIT] * items.size, domain)
            self.sets.append(made)
            return made
        if isinstance(domain, Permutations):
            ordered = OrderNode(self.alphabet(domain.domain, repeats=False), len(self.positions))
            self._put([ordered.items] * ordered.items.size, domain)
            self.orders.append(ordered)
            return ordered
        leaf = Leaf(self.alphabet(domain), len(self.positions))
        self._put([leaf.alphabet], domain)
        return leaf

    def _sizes(self, sizes: range) -> Alphabet:
        if sizes not in self._numbers:
            self._numbers[sizes] = Alphabet(sizes, True)
        return self._numbers[sizes]

    def _tuple(
        self, parts: list[Domain[Any]], free: bool, make: Callable[[tuple[Any, ...]], Any] | None
    ) -> Node:
        start = len(self.positions)
        return TupleNode([self.node(part, free) for part in parts], start, make)

    def _map(self, domain: Mappings[Any, Any, Any], free: bool) -> Node:
        start = len(self.positions)
        keys = self._items(domain.key_domain, domain)
        # Keys that no renaming moves hold each value in its place.
        return MapNode(
            keys, [self.node(domain.value_domain, free and keys.fixed) for _ in range(keys.size)], start
        )

    def _put(self, alphabets: list[Alphabet], domain: Domain[Any]) -> None:
        self._check_positions(len(alphabets), domain)
        self.positions += alphabets

    def _check_positions(self, more: int, domain: Domain[Any]) -> None:
        if len(self.positions) + more > POSITIONS_MAX:
            raise ArgumentValueError(
                f"elements of {brief(domain)} have too many parts for canonical forms: "
                f"at most {POSITIONS_MAX}"
            )
