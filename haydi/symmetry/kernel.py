"""The choice between C and Python for orderly generation.

``haydi.symmetry._kernel`` does what :mod:`haydi.symmetry.orderly` does, with the same results: the same choices at
each node, the same vectors in the same order, the same numbers of automorphisms. It is built where there is a
compiler when Haydi is installed; where it is missing, or ``HAYDI_PURE=1`` is in the environment, or a layout is too
large for it, Python does the work, which takes some 20 times as long.

In C there are the same two engines: "rows" (kernel W) for groups of some hundred renamings, "slots" (test C) for
larger ones. Both are told about a layout once, by plain numbers, and nothing of Python is needed from then on.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeGuard

from haydi.symmetry.layout import Layout

if TYPE_CHECKING:
    from haydi.symmetry._kernel import Search

__all__ = ["is_in_c", "kernel", "search"]

#: The environment variable that turns C off.
PURE = "HAYDI_PURE"

#: Groups up to this order are looked at renaming by renaming; and up to that one if they must.
_ROWS_FEW = 1 << 11
_ROWS_MAX = 50_000


def kernel() -> str:
    """What does the work: ``"C"``, or ``"Python"`` with the reason.

    >>> kernel().split()[0] in ("C", "Python")
    True
    """
    if os.environ.get(PURE, "") not in ("", "0"):
        return f"Python ({PURE} is set)"
    try:
        import haydi.symmetry._kernel  # noqa: F401
    except ImportError:
        return "Python (the extension haydi.symmetry._kernel is not built)"
    return "C"


def search(layout: Layout, engine: str | None = None) -> Search | None:
    """A walk through a layout in C; None where Python has to do it.

    Args:
        layout: The layout.
        engine: ``"rows"`` or ``"slots"``; None for the one that is likely to be faster.

    >>> from haydi.domains import Subsets, USet
    >>> n = USet(4, "n")
    >>> found = search(Layout(Subsets(Subsets(n, 2))))
    >>> 11 if found is None else found.count()[0]
    11
    """
    if kernel() != "C":
        return None
    order = layout.group_order
    engines = [engine] if engine else ["rows", "slots"] if order <= _ROWS_FEW else ["slots", "rows"]
    for name in engines:
        if name == "slots" or order <= _ROWS_MAX:
            try:
                return _describe(layout, name)
            except OverflowError:
                pass
    return None


def is_in_c(walk: object) -> TypeGuard[Search]:
    """Whether a walk is one in C, which can give many vectors at once."""
    return hasattr(walk, "run")


def _describe(layout: Layout, engine: str) -> Search:
    from haydi.symmetry._kernel import Search

    return Search(
        layout.m,
        layout.kind,
        [(alphabet.size, not alphabet.fixed) for alphabet in layout.alphabets],
        [
            (node.start, node.first, node.stop, node.free, node.sized, node.size_min, node.size_max)
            for node in layout.sets
        ],
        [(order.start, order.stop) for order in layout.orders],
        layout.sizes,
        layout.generators(),
        layout.root.total == 0,
        engine,
    )
