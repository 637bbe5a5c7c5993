"""Whether a domain is known to bring its elements in the order of basic objects.

Subsets and Mappings make their Sets and Maps without sorting where they may. A small domain is simply looked
through. A large one is told by its kind: ranges upwards and atoms are in order, and compositions that are
lexicographic keep the order of their parts.
"""

from __future__ import annotations

from typing import Any

from haydi.domains.domain import Domain
from haydi.domains.elementary import Boolean, NoneDomain, Range, USet
from haydi.domains.product import Product
from haydi.domains.sequences import Sequences
from haydi.domains.transformed import FilteredDomain, Slice

__all__ = ["iterates_in_order"]


def iterates_in_order(domain: Domain[Any]) -> bool:
    """Whether the kind of a domain alone says that its elements increase strictly; no element is computed.

    >>> iterates_in_order(Range(10**30) * USet(3, "a")), iterates_in_order(Range(3, 0, -1))
    (True, False)
    """
    kind = type(domain)
    if kind in (Boolean, NoneDomain, USet):
        return True
    if isinstance(domain, Range):
        return domain.size <= 1 or domain[0] < domain[1]
    if isinstance(domain, Slice) and domain.steps.step < 0:
        return False
    if kind in (FilteredDomain, Product, Sequences, Slice):
        return all(map(iterates_in_order, domain._parts))
    return False
