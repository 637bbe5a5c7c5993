"""Haydi, the haystack diver: describe discrete structures, and go through all of them, here or on a cluster.

    >>> import haydi as hd
    >>> words = hd.Range(2) ** 3
    >>> words.filter(lambda w: sum(w) == 2).run()
    [(0, 1, 1), (1, 0, 1), (1, 1, 0)]

The public names live here, and nothing else. Each is loaded when it is first used: a scheduler needs no domains,
and who uses no workers needs no messaging library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from haydi._version import __version__

if TYPE_CHECKING:
    from haydi.actions import Action
    from haydi.basic import Atom, Map, Set, compare, sort, sort_key
    from haydi.context import Context, Run
    from haydi.contexts.distributed import DistributedContext
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
    from haydi.errors import HaydiError, PoisonStepError, RemoteError, UsageError
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
    from haydi.versions import show_versions

_HOME = {
    "haydi.actions": "Action",
    "haydi.basic": "Atom Map Set compare sort sort_key",
    "haydi.context": "Context Run",
    "haydi.contexts.distributed": "DistributedContext",
    "haydi.contexts.serial": "SerialContext",
    "haydi.contexts.session": "session",
    "haydi.domains": (
        "Boolean Domain Join Mappings NamedProduct NoneDomain Permutations Product Range Sequences Subsets "
        "UnorderedProduct USet Values"
    ),
    "haydi.errors": "HaydiError PoisonStepError RemoteError UsageError",
    "haydi.pipeline": "Pipeline",
    "haydi.report": "Report",
    "haydi.symmetry.canon": "automorphism_count canonize expand is_canonical is_isomorphic orbit_size",
    "haydi.symmetry.cnf_values": "CnfValues",
    "haydi.versions": "show_versions",
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names.split()}

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
    "PoisonStepError",
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
    "show_versions",
    "sort",
    "sort_key",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'haydi' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
