"""Alphabets: what may stand at one position of a vector.

An alphabet is a small domain, closed under renaming, with its elements sorted by the order of basic objects;
in a vector stands the *index* of an element, so that comparing indices is comparing elements. A renaming
permutes an alphabet; where no USet is inside it does nothing, and the alphabet is *fixed*.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from haydi.basic import Atom
from haydi.domains.describe import shorten, show_int
from haydi.domains.domain import Domain
from haydi.domains.elementary import Range
from haydi.errors import ArgumentValueError
from haydi.order import SortKey, sort_key
from haydi.symmetry.effective import usets_of
from haydi.symmetry.renaming import Renaming, rename

__all__ = ["ALPHABET_SIZE_MAX", "Alphabet"]

#: More elements than that at one position of a vector are not kept.
ALPHABET_SIZE_MAX = 1 << 20


class Alphabet:
    """Elements in order, and what renamings do to their indices.

    Args:
        elements: Sorted by the order of basic objects, each once.
        fixed: Whether no renaming moves any of them.
        domain: Where they come from; for error messages.

    Attributes:
        elements: As given.
        size: How many there are.
        fixed: As given.

    >>> from haydi.domains import USet
    >>> n = USet(3, "n")
    >>> letters = Alphabet.of(n + (n * n))
    >>> letters.elements[:4], letters.act({n[0]: n[1], n[1]: n[0]})
    ((n0, n1, n2, (n0, n0)), (1, 0, 2, 7, 6, 8, 4, 3, 5, 10, 9, 11))
    """

    def __init__(self, elements: Sequence[Any], fixed: bool, domain: Domain[Any] | None = None) -> None:
        self.elements = elements
        self.size = len(elements)
        self.fixed = fixed
        self._domain = domain
        self._indices: dict[SortKey, int] = {}
        self._images: dict[tuple[tuple[Atom, Atom], ...], tuple[int, ...]] = {}

    @staticmethod
    def of(domain: Domain[Any], *, repeats: bool = True) -> Alphabet:
        """The elements of a strict domain.

        Args:
            domain: The domain; it is gone through, unless it is a Range.
            repeats: Whether equal elements count as one; otherwise they are an error.

        Raises:
            ArgumentValueError: There are too many elements, or equal ones.
        """
        if domain._known_size() > ALPHABET_SIZE_MAX:
            raise ArgumentValueError(
                f"canonical forms need the elements of {domain!r} in a list, but there are "
                f"{show_int(domain._known_size())} of them and the limit is {ALPHABET_SIZE_MAX}; put parts "
                f"with many elements at the top of the domain, or make them products rather than joins"
            )
        if isinstance(domain, Range):
            return Alphabet(_ascending(domain), True, domain)
        keyed = [(sort_key(element), element) for element in domain]
        unique = dict(reversed(keyed))
        if len(unique) < len(keyed) and not repeats:
            keys = sorted(key for key, _ in keyed)
            twice = next(unique[one] for one, other in pairwise(keys) if one == other)
            raise ArgumentValueError(
                f"{domain!r} has {shorten(twice)} more than once; "
                f"canonical forms of what is built of it need distinct elements"
            )
        elements = tuple(unique[key] for key in sorted(unique))
        return Alphabet(elements, not usets_of(domain), domain)

    def index(self, element: object) -> int:
        """The index of an element.

        Raises:
            KeyError: It is not in the alphabet.
        """
        if not self._indices:
            self._indices = {sort_key(one): i for i, one in enumerate(self.elements)}
        return self._indices[sort_key(element)]

    def act(self, renaming: Renaming) -> tuple[int, ...]:
        """The index of the renamed element, for each index.

        Raises:
            ArgumentValueError: An element leaves the alphabet, which is not closed then.
        """
        if self.fixed:
            return tuple(range(self.size))
        name = tuple(sorted(renaming.items()))
        known = self._images.get(name)
        if known is None:
            known = self._images[name] = tuple(self._image(one, renaming) for one in self.elements)
        return known

    def _image(self, element: Any, renaming: Renaming) -> int:
        image = rename(element, renaming)
        try:
            return self.index(image)
        except KeyError:
            swapped = " and ".join(sorted(map(repr, renaming)))
            raise ArgumentValueError(
                f"{self._domain!r} is not strict: it has {shorten(element)}, but when {swapped} "
                f"are swapped that becomes {shorten(image)}, which it has not; "
                f"a strict filter must not tell atoms of a USet apart"
            ) from None


def _ascending(domain: Range) -> range:
    if domain.size < 2:
        return range(domain[0], domain[0] + 1) if domain.size else range(0)
    stride = domain[1] - domain[0]
    ints = range(domain[0], domain[-1] + stride, stride)
    return ints if stride > 0 else ints[::-1]
