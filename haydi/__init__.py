"""Haydi, the haystack diver: describe discrete structures, and go through all of them, here or on a cluster.

    >>> import haydi as hd
    >>> words = hd.Range(2) ** 3
    >>> words.filter(lambda w: sum(w) == 2).run()
    [(0, 1, 1), (1, 0, 1), (1, 1, 0)]

The public names live here, and nothing else. What needs the messaging library is loaded when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from haydi._version import __version__
from haydi.actions import Action
from haydi.basic import Atom, Map, Set, compare, sort, sort_key
from haydi.context import Context, Run
from haydi.contexts.serial import SerialContext
from haydi.contexts.session import session
from haydi.domains import (
    Boolean,
    Domain,
    Join,
    Mappings,
    NamedProduct,
    NoneDomain,
    Permutations,
    Product,
    Range,
    Sequences,
    Subsets,
    UnorderedProduct,
    USet,
    Values,
)
from haydi.errors import HaydiError, RemoteError, UsageError
from haydi.pipeline import Pipeline
from haydi.report import Report
from haydi.symmetry.canon import (
    automorphism_count,
    canonize,
    expand,
    is_canonical,
    is_isomorphic,
    orbit_size,
)
from haydi.symmetry.cnf_values import CnfValues

if TYPE_CHECKING:
    from haydi.contexts.distributed import DistributedContext

__all__ = [
    "Action",
    "Atom",
    "Boolean",
    "CnfValues",
    "Context",
    "DistributedContext",
    "Domain",
    "HaydiError",
    "Join",
    "Map",
    "Mappings",
    "NamedProduct",
    "NoneDomain",
    "Permutations",
    "Pipeline",
    "Product",
    "Range",
    "RemoteError",
    "Report",
    "Run",
    "Sequences",
    "SerialContext",
    "Set",
    "Subsets",
    "USet",
    "UnorderedProduct",
    "UsageError",
    "Values",
    "__version__",
    "automorphism_count",
    "canonize",
    "compare",
    "expand",
    "is_canonical",
    "is_isomorphic",
    "orbit_size",
    "session",
    "sort",
    "sort_key",
]


def __getattr__(name: str) -> Any:
    """Load the distributed context, and with it the messaging library, when it is asked for."""
    if name == "DistributedContext":
        from haydi.contexts.distributed import DistributedContext

        return DistributedContext
    raise AttributeError(f"module 'haydi' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
