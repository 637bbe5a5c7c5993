"""The distributed context: pipelines on the workers of a scheduler.

The only door from contexts to the messaging library, which is loaded when a context is made.
"""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from haydi import _worker_process
from haydi.context import Context, Run, check_pipeline, priority_of, seconds_of
from haydi.contexts.local_cluster import LocalCluster
from haydi.errors import (
    ArgumentTypeError,
    ArgumentValueError,
    NestedRunError,
    NoWorkersError,
    UnknownSizeError,
    UsageError,
)
from haydi.pipeline import Iterate
from haydi.report import Report
from haydi.skipping import check_on_error, plan_for

if TYPE_CHECKING:
    from haydi.client.link import Link
    from haydi.client.run import DistributedRun
    from haydi.pipeline import Pipeline
    from haydi.skipping import OnError

__all__ = ["DistributedContext"]

R = TypeVar("R")

DEFAULT_PORT = 8787


class DistributedContext(Context):
    """Runs pipelines on the workers of a Haydi cluster.

    With ``spawn_workers`` the context makes a cluster of its own on this machine: a scheduler and so many
    worker processes, which end with the context, or with this program, however that ends. Otherwise it
    connects to the ``haydi-scheduler`` at ``ip:port`` and uses the workers that are registered there; workers
    that join or leave later are used, or missed, at once.

    Args:
        ip: Where the scheduler listens.
        port: Its port, 8787 by default; with ``spawn_workers`` the port of the own scheduler, by default a
            free one.
        spawn_workers: Number of worker processes to start here; 0 connects to a scheduler that is there.
        connect_timeout: How long to wait for the scheduler's answer, in seconds or as a timedelta.
        memory_limit: What each of the worker processes started here may use, for example ``"2GiB"`` or a number of
            bytes; one that uses more is ended, and the step it was at is to blame when that happens again. 0 is no
            limit; "auto" divides the memory of the machine, or of the job's control group, among them.
        scheduler_timeout: How long to wait for a scheduler that is lost to come back at its address, in seconds or as a
            timedelta; runs go on then, with what is not merged yet. None, the default, waits as long as the scheduler
            asked for (``haydi-scheduler --restart-grace``, 30 s unless told otherwise). One that ends in order is not
            waited for. A scheduler of the context's own is started again at once, whatever ended it.

    Raises:
        ArgumentTypeError, ArgumentValueError: for arguments that cannot work.
        ConnectionFailedError: when no scheduler answers, or the own one cannot be started.

    Example:
        >>> import haydi as hd
        >>> with hd.DistributedContext(spawn_workers=2) as ctx:
        ...     hd.Range(1000).map(lambda x: x + 1).sum().run(ctx)
        500500
    """

    def __init__(
        self,
        ip: str = "127.0.0.1",
        port: int | None = None,
        spawn_workers: int = 0,
        *,
        connect_timeout: float | timedelta = 5.0,
        memory_limit: int | str = "auto",
        scheduler_timeout: float | timedelta | None = None,
    ) -> None:
        if _worker_process.INSIDE:
            raise NestedRunError("a DistributedContext inside a worker: use run() without arguments here")
        _check_arguments(ip, port, spawn_workers)
        _check_memory_limit(memory_limit, spawn_workers)
        patience = seconds_of("connect_timeout", connect_timeout)
        if not patience:
            raise ArgumentValueError(f"connect_timeout={connect_timeout!r}: some seconds are needed")
        return_seconds = seconds_of("scheduler_timeout", scheduler_timeout)
        self._owner = os.getpid()
        self._closed = False
        self._lock = threading.Lock()
        #: How long a run waits when there is no worker at all, in seconds.
        self.no_worker_seconds = 10.0
        self._cluster: LocalCluster | None = None
        self._forgotten: weakref.finalize[..., DistributedContext] | None = None
        if spawn_workers:
            self._cluster = LocalCluster(spawn_workers, port or 0, memory_limit)
        try:
            from haydi.client.link import Link  # the messaging library is loaded while the cluster starts

            if self._cluster is not None:
                ip, port = "127.0.0.1", self._cluster.wait()
            watch = self._cluster.watch if self._cluster is not None else lambda: None
            self._link = Link(
                ip,
                DEFAULT_PORT if port is None else port,
                max(patience, 20.0 * bool(spawn_workers)),
                watch,
                return_seconds=return_seconds,
                restarted=self._cluster is not None,
            )
            if spawn_workers:
                self.wait_for_workers(spawn_workers, timeout=20.0)
        except BaseException:
            self.close()
            raise
        self._forgotten = weakref.finalize(self, _end_elsewhere, self._owner, self._link, self._cluster)
        self._forgotten.atexit = False  # the end of the program ends the cluster by itself
        if not self._link.slots:
            warnings.warn(
                f"the scheduler at {self.address} has no workers yet: start haydi-worker {self.address}, or call "
                f"wait_for_workers()",
                RuntimeWarning,
                stacklevel=2,
            )

    def __repr__(self) -> str:
        if self._closed:
            return "<DistributedContext closed>"
        own = ", own cluster" if self._cluster is not None else ""
        return f"<DistributedContext {self.address}, {self._link.slots} workers{own}>"

    @property
    def address(self) -> str:
        """``host:port`` of the scheduler."""
        return self._link.address

    @property
    def worker_count(self) -> int:
        """Number of registered workers: compute processes, over all daemons."""
        with self._lock:
            if not self._closed:
                self._link.wait_until(lambda: True)
        return self._link.slots

    def wait_for_workers(self, n: int = 1, timeout: float | timedelta | None = None) -> int:
        """Wait until at least ``n`` workers are registered.

        Returns:
            How many there are.

        Raises:
            NoWorkersError: when there are fewer after ``timeout``.
        """
        if isinstance(n, bool) or not isinstance(n, int):
            raise ArgumentTypeError(f"n={n!r}: a number of workers is needed")
        seconds = seconds_of("timeout", timeout)
        link = self._link
        if not link.wait_until(lambda: link.slots >= n or link.error is not None, seconds):
            raise NoWorkersError(
                f"{link.slots} workers are registered at {self.address} after {seconds:g} s, not {n}: start more with "
                f"haydi-worker {self.address}"
            )
        if link.error is not None:
            raise link.error
        return link.slots

    def submit(
        self,
        pipeline: Pipeline[Any, R],
        timeout: float | timedelta | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        *,
        on_error: OnError = "raise",
        priority: float = 1,
    ) -> Run[R]:
        run = self._start(pipeline, timeout, checkpoint, on_error, priority)
        self._link.nudge()
        return run

    def run(
        self,
        pipeline: Pipeline[Any, R],
        timeout: float | timedelta | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        *,
        on_error: OnError = "raise",
        priority: float = 1,
    ) -> R:
        run = self._start(pipeline, timeout, checkpoint, on_error, priority)
        try:
            return run.result()
        except BaseException:  # Ctrl-C, or whatever a signal handler raised: nobody has a handle of this run
            run.cancel()
            raise

    def _start(
        self,
        pipeline: Pipeline[Any, R],
        timeout: float | timedelta | None,
        checkpoint: str | os.PathLike[str] | None,
        on_error: OnError,
        priority: float,
    ) -> DistributedRun[R]:
        seconds = seconds_of("timeout", timeout)
        priority = priority_of(priority)
        if _worker_process.INSIDE:
            raise NestedRunError("a parallel run inside a worker: use run() without arguments here")
        if self._closed:
            raise UsageError("this context is closed: make a new DistributedContext")
        self._link.require_own_process()
        if self._link.error is not None:
            raise self._link.error
        from haydi.client.run import DistributedRun
        from haydi.client.serialize import dump_plan

        pipeline = check_pipeline(pipeline)
        check_on_error(on_error)
        if pipeline.domain.size is None and isinstance(pipeline.method, Iterate):
            raise UnknownSizeError(
                f"pipeline={pipeline!r}: its domain does not know its size, and workers divide the steps by number: "
                f"use .to_values(), or run() in this process"
            )
        keeper = None
        if checkpoint is None:
            plan = plan_for(pipeline, on_error)
        else:
            from haydi.checkpoint.keeper import open_checkpoint

            keeper = open_checkpoint(checkpoint, pipeline, on_error)
            plan = keeper.plan
        try:
            payload = dump_plan(plan) if plan.steps else b""
            return DistributedRun(
                self._link.new_number(),
                plan,
                payload,
                self._link,
                seconds,
                self.no_worker_seconds,
                self._on_over,
                priority,
                keeper,
            )
        except BaseException:
            if keeper is not None:
                keeper.abandon()
            raise

    def _on_over(self, report: Report) -> None:
        self.last_report = report

    def close(self) -> None:
        """Leave the cluster; an own one ends. Runs that go on are lost. Closing twice does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._forgotten is not None:
            self._forgotten.detach()
        _end(self._owner, getattr(self, "_link", None), self._cluster)

    def __enter__(self) -> DistributedContext:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


def _end(owner: int, link: Link | None, cluster: LocalCluster | None) -> None:
    """Leave the cluster; an own one ends. A forked process leaves both to its parent."""
    if os.getpid() != owner:
        return
    if link is not None:
        link.close()
    if cluster is not None:
        cluster.close()


def _end_elsewhere(owner: int, link: Link, cluster: LocalCluster | None) -> None:
    """End what a forgotten context had. Garbage is collected in any thread at any moment: none may wait for this."""
    threading.Thread(target=_end, args=(owner, link, cluster), name="haydi-end", daemon=True).start()


def _check_memory_limit(value: int | str, spawn_workers: int) -> None:
    if value == "auto":
        return
    if not spawn_workers:
        raise ArgumentValueError(
            f"memory_limit={value!r}: only for workers that are started here, with spawn_workers=n; those of a cluster "
            f"have theirs from haydi-worker --memory-limit"
        )
    from haydi.worker.memory import limit_bytes

    limit_bytes("memory_limit", value, spawn_workers)


def _check_arguments(ip: object, port: object, spawn_workers: object) -> None:
    if not isinstance(ip, str) or not ip:
        raise ArgumentTypeError(f"ip={ip!r}: an address as text is needed, for example '192.168.1.1'")
    if port is not None:
        if isinstance(port, bool) or not isinstance(port, int):
            raise ArgumentTypeError(f"port={port!r}: an int is needed, for example {DEFAULT_PORT}")
        if not 0 < port < 65536:
            raise ArgumentValueError(f"port={port!r}: must be between 1 and 65535")
    if isinstance(spawn_workers, bool) or not isinstance(spawn_workers, int):
        raise ArgumentTypeError(
            f"spawn_workers={spawn_workers!r}: a number of worker processes is needed, for example 4"
        )
    if spawn_workers < 0:
        raise ArgumentValueError(
            f"spawn_workers={spawn_workers!r}: must not be negative; 0 connects to ip:port"
        )
    if spawn_workers > 4096:
        raise ArgumentValueError(
            f"spawn_workers={spawn_workers!r}: more than 4096 processes on one machine is no use"
        )
