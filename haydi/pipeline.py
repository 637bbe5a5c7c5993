"""Pipelines: the immutable description of a computation.

A pipeline is four things: a domain, a *method* that brings elements out of it (all of them, one of each
isomorphism class, or random ones), *transformations* of the stream, and the *action* that makes a result of
it. Each method of :class:`Pipeline` returns a new pipeline, so that any of them can be kept and used again.
Nothing is computed before :meth:`Pipeline.run`; what is computed then is decided by :mod:`haydi.plan`, and
where, by a context.

A ``map`` or ``filter`` at the end of a domain is moved into the pipeline: there the elements stream past it,
while inside a domain it must keep indices. The one exception is a filter under ``generate``: it stays in the
domain, so that ``generate(5)`` of a filtered domain gives five elements, each accepted one equally likely.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from haydi import actions
from haydi.actions import MISSING, Action, check_callable
from haydi.domains.arguments import as_bool
from haydi.domains.transformed import FilteredDomain, MappedDomain
from haydi.errors import ArgumentTypeError, ArgumentValueError, UsageError

if TYPE_CHECKING:
    import os

    from haydi.context import Context
    from haydi.domains.domain import Domain
    from haydi.skipping import OnError

__all__ = ["Cnfs", "Filter", "Generate", "Iterate", "Map", "Method", "Pipeline", "Take", "Transformation"]

T = TypeVar("T")
U = TypeVar("U")
R = TypeVar("R")


def function_name(fn: object) -> str:
    """The name by which a ``repr`` shows a function."""
    return getattr(fn, "__qualname__", None) or repr(fn)


@dataclass(frozen=True)
class Map:
    """Each element becomes ``function(element)``."""

    function: Callable[[Any], Any]

    def __repr__(self) -> str:
        return f"map({function_name(self.function)})"


@dataclass(frozen=True)
class Filter:
    """Elements with a false ``function(element)`` are left out."""

    function: Callable[[Any], Any]

    def __repr__(self) -> str:
        return f"filter({function_name(self.function)})"


@dataclass(frozen=True)
class Take:
    """Only the first ``limit`` elements, in step order."""

    limit: int

    def __repr__(self) -> str:
        return f"take({self.limit})"


Transformation = Map | Filter | Take


@dataclass(frozen=True)
class Iterate:
    """All elements of the domain; a step is an index."""

    def __repr__(self) -> str:
        return "iterate"


@dataclass(frozen=True)
class Generate:
    """Random elements of the domain; a step is the number of a draw.

    Attributes:
        count: Number of draws; None for an endless stream.
        seed: With a seed each draw depends on (seed, step) alone; None takes a fresh seed for each run.
    """

    count: int | None
    seed: int | str | None

    def __repr__(self) -> str:
        return f"generate({'' if self.count is None else self.count})"


@dataclass(frozen=True)
class Cnfs:
    """One representative of each isomorphism class of the domain; a step is a branch of the search for them.

    Attributes:
        with_orbit_size: Whether to give pairs of representative and number of elements of its class.
        part: ``(r, m)`` for the r-th of m disjoint parts.
    """

    with_orbit_size: bool = False
    part: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f"cnfs({'' if self.part is None else f'part={self.part}'})"


Method = Iterate | Generate | Cnfs


class Pipeline(Generic[T, R]):
    """A stream of elements of type ``T`` and the action that makes a result of type ``R`` of them.

    Pipelines come from domains; see :meth:`haydi.Domain.iterate` and :meth:`haydi.Domain.generate`.

    Example:
        >>> import haydi as hd
        >>> pairs = (hd.Range(5) * hd.Range(5)).iterate()
        >>> pairs.max(lambda p: p[0], size=2).run()
        [(4, 0), (4, 1)]
        >>> pairs.filter(lambda p: sum(p) == 4).count().run()
        5
    """

    __slots__ = ("_action", "domain", "method", "transformations")

    def __init__(
        self,
        domain: Domain[Any],
        method: Method,
        transformations: tuple[Transformation, ...] = (),
        action: Action[Any, Any, Any] | None = None,
    ) -> None:
        self.domain = domain
        self.method = method
        self.transformations = transformations
        self._action = action

    @staticmethod
    def iterate(domain: Domain[T]) -> Pipeline[T, list[T]]:
        """All elements of ``domain``, in its order (see :meth:`haydi.Domain.iterate`)."""
        base, moved = _peel(domain, (MappedDomain, FilteredDomain))
        return Pipeline(base, Iterate(), moved)

    @staticmethod
    def generate(
        domain: Domain[T], count: int | None = None, seed: int | str | None = None
    ) -> Pipeline[T, list[T]]:
        """Random elements of ``domain`` (see :meth:`haydi.Domain.generate`)."""
        actions.check_limit("count", count, least=0)
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, str))):
            raise ArgumentTypeError(f"seed={seed!r}: an int or a str is needed, or None for a fresh one")
        base, moved = _peel(domain, (MappedDomain,))
        return Pipeline(base, Generate(count, seed), moved)

    @staticmethod
    def cnfs(
        domain: Domain[T], with_orbit_size: bool = False, part: tuple[int, int] | None = None
    ) -> Pipeline[Any, list[Any]]:
        """One representative of each class of ``domain`` (see :meth:`haydi.Domain.cnfs`)."""
        from haydi.symmetry.generate import check_part
        from haydi.symmetry.layout import require_strict

        require_strict(domain, "cnfs")
        return Pipeline(domain, Cnfs(as_bool("with_orbit_size", with_orbit_size), check_part(part)))

    @property
    def chosen_action(self) -> Action[Any, Any, Any]:
        """The action that will run: collect, unless another one was chosen."""
        return actions.Collect() if self._action is None else self._action

    def __repr__(self) -> str:
        steps = "".join(f" -> {t!r}" for t in self.transformations)
        return f"<Pipeline {self.domain!r} -> {self.method!r}{steps} -> {self.chosen_action.name}>"

    def __iter__(self) -> Iterator[T]:
        """The elements of the stream, lazily and in this process; of a pipeline with an action, its result."""
        if self._action is None:
            from haydi.plan import stream

            return stream(self)
        return iter(cast("Any", self.run()))

    # --- transformations ------------------------------------------------------------------------------

    def _then(self, transformation: Transformation) -> Pipeline[Any, Any]:
        if self._action is not None:
            raise UsageError(
                f"{transformation!r} after the action {self._action.name}: transformations come before the action, "
                f"which ends a pipeline"
            )
        return Pipeline(self.domain, self.method, (*self.transformations, transformation))

    def map(self, fn: Callable[[T], U]) -> Pipeline[U, list[U]]:
        """Replace each element ``x`` by ``fn(x)``.

        Example:
            >>> import haydi as hd
            >>> hd.Range(4).iterate().map(lambda x: x * x).run()
            [0, 1, 4, 9]
        """
        check_callable("fn", fn)
        return self._then(Map(fn))

    def filter(self, fn: Callable[[T], object]) -> Pipeline[T, list[T]]:
        """Keep the elements ``x`` with a true ``fn(x)``.

        Example:
            >>> import haydi as hd
            >>> hd.Range(10).iterate().filter(lambda x: x % 3 == 0).run()
            [0, 3, 6, 9]
        """
        check_callable("fn", fn)
        return self._then(Filter(fn))

    def take(self, n: int) -> Pipeline[T, list[T]]:
        """Keep the first ``n`` elements of the stream, in step order on every context.

        Example:
            >>> import haydi as hd
            >>> hd.Range(10**30).iterate().filter(lambda x: x % 7 == 3).take(3).run()
            [3, 10, 17]
        """
        if n is None:
            raise ArgumentTypeError("n=None: an int is needed; leave take() out for no limit")
        actions.check_limit("n", n, least=0)
        return self._then(Take(n))

    # --- actions --------------------------------------------------------------------------------------

    def action(self, action: Action[Any, Any, U]) -> Pipeline[T, U]:
        """End the pipeline with an action of your own (see :class:`haydi.Action`)."""
        if not isinstance(action, Action):
            raise ArgumentTypeError(f"action={action!r}: an instance of a subclass of haydi.Action is needed")
        if self._action is not None:
            raise UsageError(f"{action.name} after the action {self._action.name}: a pipeline has one action")
        return Pipeline(self.domain, self.method, self.transformations, action)

    def collect(self) -> Pipeline[T, list[T]]:
        """All elements as a list, in step order. This is the default action."""
        return self.action(actions.Collect())

    def first(self, default: object = None) -> Pipeline[T, Any]:
        """The first element in step order, or ``default`` when there is none.

        Example:
            >>> import haydi as hd
            >>> hd.Range(10**12).filter(lambda x: x * x > 2000).first().run()
            45
        """
        return self.action(actions.First(default))

    def reduce(
        self, fn: Callable[[Any, Any], Any], init: object = MISSING, associative: bool = True
    ) -> Pipeline[T, Any]:
        """The left fold ``fn(...fn(fn(init, x0), x1)..., xn)``.

        Args:
            fn: Function of two arguments.
            init: Put in once, at the left; without it the fold starts with the first element.
            associative: With True the workers fold their parts. Pass False for any other function: workers
                then compute the elements and the client folds them in order.

        Raises:
            ArgumentValueError: from ``run``, when ``fn`` is seen not to be associative although it should, or
                when there are no elements and no ``init``.

        Example:
            >>> import haydi as hd
            >>> hd.Range(10).reduce(lambda a, b: a + b, 100).run()
            145
            >>> hd.Range(10).reduce(lambda a, b: a - b, 100, associative=False).run()
            55
        """
        check_callable("fn", fn)
        return self.action((actions.Reduce if associative else actions.OrderedReduce)(fn, init))

    def max(self, key: Callable[[T], Any] | None = None, size: int | None = None) -> Pipeline[T, list[T]]:
        """All elements with the greatest ``key``, as a list in step order; with ``size`` the earliest of them.

        Elements with a key of nan are left out.

        Example:
            >>> import haydi as hd
            >>> hd.Range(10).max(lambda x: x % 4).run()
            [3, 7]
        """
        if key is not None:
            check_callable("key", key)
        return self.action(actions.Max(key, size))

    def min(self, key: Callable[[T], Any] | None = None, size: int | None = None) -> Pipeline[T, list[T]]:
        """All elements with the least ``key``, as a list in step order; with ``size`` the earliest of them.

        Example:
            >>> import haydi as hd
            >>> hd.Range(10).min(lambda x: x % 4, size=2).run()
            [0, 4]
        """
        if key is not None:
            check_callable("key", key)
        return self.action(actions.Min(key, size))

    def count(self) -> Pipeline[T, int]:
        """The number of elements.

        Example:
            >>> import haydi as hd
            >>> hd.Subsets(hd.Range(100)).count().run() == 2**100
            True
        """
        return self.action(actions.Count())

    def sum(self) -> Pipeline[T, Any]:
        """The sum of the elements, exact: floats are rounded once, at the end, as :func:`math.fsum` does.

        Numbers of other kinds that round (complex, Decimal) are added as they are: the last digits may depend on
        how the steps were cut.

        Example:
            >>> import haydi as hd
            >>> hd.Range(5).sum().run()
            10
            >>> hd.Values([0.1] * 10).sum().run()
            1.0
        """
        return self.action(actions.Sum())

    def groups(
        self, key: Callable[[T], Hashable], limit: int | None = None
    ) -> Pipeline[T, dict[Any, list[T]]]:
        """Elements by ``key(element)``; with ``limit`` the earliest ``limit`` of each group. A key of None skips.

        Example:
            >>> import haydi as hd
            >>> hd.Range(10).groups(lambda x: x % 3, limit=2).run()
            {0: [0, 3], 1: [1, 4], 2: [2, 5]}
        """
        return self.action(actions.Groups(key, limit))

    def groups_counts(
        self, key: Callable[[T], Hashable], limit: int | None = None
    ) -> Pipeline[T, dict[Any, list[Any]]]:
        """As :meth:`groups`, each list led by the number of *all* elements of the group; ``limit`` may be 0.

        Example:
            >>> import haydi as hd
            >>> hd.Range(10).groups_counts(lambda x: x % 3, limit=1).run()
            {0: [4, 0], 1: [3, 1], 2: [3, 2]}
        """
        return self.action(actions.GroupsCounts(key, limit))

    def frequencies(self, key: Callable[[T], Hashable] | None = None) -> Pipeline[T, dict[Any, int]]:
        """How often each ``key(element)`` (each element, without a key) occurs.

        Example:
            >>> import haydi as hd
            >>> hd.Range(10).frequencies(lambda x: x % 3).run()
            {0: 4, 1: 3, 2: 3}
        """
        if key is not None:
            check_callable("key", key)
        return self.action(actions.Frequencies(key))

    # --- run ------------------------------------------------------------------------------------------

    def run(
        self,
        ctx: bool | Context | None = None,
        timeout: float | timedelta | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        *,
        on_error: OnError = "raise",
        priority: float = 1,
    ) -> R:
        """Compute the result.

        Args:
            ctx: None or False runs in this process; True in the parallel context of the session; a context
                object in that context.
            timeout: Limit in seconds or as a timedelta. When it is reached, the result is that of the steps
                done so far; ``ctx.last_report.coverage`` says which these are.
            checkpoint: A file that keeps what is done. When the run is interrupted, in whatever way, the same call
                goes on from there, in any context; when it was completed, the call gives the result at once.
            on_error: What happens when a function of yours raises, or a step ends the worker process that runs it:
                "raise" ends the run with that error; "skip" leaves the step out and lists it in
                ``ctx.last_report.failures``.
            priority: Share of the workers beside other runs (see :meth:`Context.submit`); no effect in this process.

        Raises:
            CheckpointError: when the file cannot be used, or belongs to another pipeline.
            UsageError: when there is no such context, or the pipeline cannot be run.
            Exception: what a function of yours raised, with a note of the step and the element.

        Example:
            >>> import haydi as hd
            >>> hd.Range(3).map(lambda x: x + 1).run()
            [1, 2, 3]
        """
        from haydi.contexts.session import context_for

        return context_for(ctx).run(
            self, timeout=timeout, checkpoint=checkpoint, on_error=on_error, priority=priority
        )


def _peel(
    domain: Domain[Any], movable: tuple[type[Any], ...]
) -> tuple[Domain[Any], tuple[Transformation, ...]]:
    """Take maps and filters off the top of a domain: the domain beneath, and the transformations in order."""
    moved: list[Transformation] = []
    while isinstance(domain, movable):
        kind = Map if isinstance(domain, MappedDomain) else Filter
        moved.append(kind(domain.function))
        domain = domain.domain
    return domain, tuple(reversed(moved))


def require_end(pipeline: Pipeline[Any, Any], endless: bool) -> None:
    """Refuse an action that would wait for the end of an endless stream.

    Raises:
        ArgumentValueError: naming the remedy.
    """
    if endless:
        raise ArgumentValueError(
            f"generate() without a count never ends, and {pipeline.chosen_action.name} needs the end: pass "
            f"generate(count), or use take(n) or first()"
        )
