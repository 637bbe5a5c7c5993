"""The building blocks of a description: see :mod:`haydi.domains.domain` for the contract they all keep."""

from haydi.domains.domain import Domain
from haydi.domains.elementary import Boolean, NoneDomain, Range, USet, Values
from haydi.domains.join import Join
from haydi.domains.mappings import Mappings
from haydi.domains.permutations import Permutations
from haydi.domains.product import NamedProduct, Product
from haydi.domains.sequences import Sequences
from haydi.domains.subsets import Subsets
from haydi.domains.transformed import FilteredDomain, MappedDomain, Slice
from haydi.domains.unordered import UnorderedProduct

__all__ = [
    "Boolean",
    "Domain",
    "FilteredDomain",
    "Join",
    "MappedDomain",
    "Mappings",
    "NamedProduct",
    "NoneDomain",
    "Permutations",
    "Product",
    "Range",
    "Sequences",
    "Slice",
    "Subsets",
    "USet",
    "UnorderedProduct",
    "Values",
]
