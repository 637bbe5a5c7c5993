"""The building blocks of a description: see :mod:`haydi.domains.domain` for the contract they all keep."""

from haydi.domains.domain import Domain
from haydi.domains.elementary import Boolean, NoneDomain, Range, USet, Values

__all__ = ["Boolean", "Domain", "NoneDomain", "Range", "USet", "Values"]
