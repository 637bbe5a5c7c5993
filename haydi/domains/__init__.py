"""The building blocks of a description: see :mod:`haydi.domains.domain` for the contract they all keep."""

from haydi.domains.domain import Domain
from haydi.domains.elementary import Boolean, NoneDomain, Range, USet, Values
from haydi.domains.join import Join
from haydi.domains.product import NamedProduct, Product
from haydi.domains.sequences import Sequences

__all__ = [
    "Boolean",
    "Domain",
    "Join",
    "NamedProduct",
    "NoneDomain",
    "Product",
    "Range",
    "Sequences",
    "USet",
    "Values",
]
