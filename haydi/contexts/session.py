"""The session: which context ``run(True)`` means."""

from __future__ import annotations

from haydi import _worker_process
from haydi.context import Context
from haydi.contexts.serial import SerialContext
from haydi.errors import ArgumentTypeError, NestedRunError, UsageError

__all__ = ["Session", "context_for", "session"]


class Session:
    """Keeps the parallel context of this process.

    Example:
        >>> import haydi as hd
        >>> from haydi import session
        >>> session.set_parallel_context(hd.SerialContext())
        >>> hd.Range(3).run(True)
        [0, 1, 2]
        >>> session.set_parallel_context(None)
    """

    def __init__(self) -> None:
        self._parallel: Context | None = None
        self._serial = SerialContext()

    @property
    def parallel_context(self) -> Context | None:
        """The context that ``run(True)`` uses; None when none was set."""
        return self._parallel

    @property
    def serial_context(self) -> SerialContext:
        """The context that ``run()`` uses."""
        return self._serial

    def set_parallel_context(self, ctx: Context | None) -> None:
        """Set the context that ``run(True)`` uses; None forgets it (and does not close it).

        Raises:
            ArgumentTypeError: when it is no context.
        """
        if ctx is not None and not isinstance(ctx, Context):
            raise ArgumentTypeError(
                f"ctx={ctx!r}: a context is needed, for example DistributedContext(spawn_workers=4)"
            )
        self._parallel = ctx


#: The session of this process.
session = Session()


def context_for(ctx: bool | Context | None) -> Context:
    """The context that an argument of ``run`` means.

    Raises:
        UsageError: when it is True and no context was set.
        NestedRunError: when a parallel run is started inside a worker.
        ArgumentTypeError: when it is none of the things it may be.
    """
    if ctx is None or ctx is False:
        return session.serial_context
    if ctx is not True and not isinstance(ctx, Context):
        raise ArgumentTypeError(
            f"ctx={ctx!r}: None or False (serial), True (the session's context) or a context is needed"
        )
    if _worker_process.INSIDE and not isinstance(ctx, SerialContext):
        raise NestedRunError(
            "a parallel run inside a function that runs on a worker: only the outermost pipeline can be parallel; "
            "use run() without arguments here"
        )
    if ctx is True:
        if session.parallel_context is None:
            raise UsageError(
                "run(True) needs a parallel context: session.set_parallel_context(DistributedContext(spawn_workers=4)) "
                "sets one; run() computes in this process"
            )
        return session.parallel_context
    return ctx
