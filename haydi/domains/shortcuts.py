"""The fluent doors from a domain to a pipeline.

``hd.Range(1000).map(f).max().run()`` reads as one sentence although three rooms take part in it: the domain
knows nothing of pipelines, actions or contexts. This mixin is the one place where a domain opens the door
upwards; the import happens when the door is used, so that importing domains stays cheap and acyclic.
"""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["Shortcuts"]

T = TypeVar("T")


class Shortcuts(Generic[T]):
    """Pipeline methods of a domain (see :class:`haydi.pipeline.Pipeline`)."""

    __slots__ = ()
