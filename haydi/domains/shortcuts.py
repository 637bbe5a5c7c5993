"""The fluent doors from a domain to a pipeline.

``hd.Range(1000).map(f).max().run()`` reads as one sentence although three rooms take part in it: the domain
knows nothing of pipelines, actions or contexts. This mixin is the one place where a domain opens the door
upwards; the import happens when the door is used, so that importing domains stays cheap and acyclic.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload

if TYPE_CHECKING:
    import os
    from datetime import timedelta

    from haydi.context import Context
    from haydi.domains.domain import Domain
    from haydi.pipeline import Pipeline
    from haydi.skipping import OnError
    from haydi.symmetry.cnf_values import CnfValues

__all__ = ["Shortcuts"]

T = TypeVar("T")
U = TypeVar("U")

_MISSING = object()


class Shortcuts(Generic[T]):
    """Pipeline methods of a domain: each is the method of the same name on ``self.iterate()``."""

    __slots__ = ()

    def iterate(self) -> Pipeline[T, list[T]]:
        """A pipeline over all elements, in the order of the domain.

        Example:
            >>> import haydi as hd
            >>> (hd.Range(2) * hd.Boolean()).iterate().run()
            [(0, False), (0, True), (1, False), (1, True)]
        """
        from haydi.pipeline import Pipeline

        return Pipeline.iterate(cast("Domain[T]", self))

    def generate(self, count: int | None = None, seed: int | str | None = None) -> Pipeline[T, list[T]]:
        """A pipeline over random elements, drawn with replacement.

        Args:
            count: Number of elements; None for an endless stream (then end it with ``take`` or ``first``).
            seed: With a seed the n-th element is the same in each run, on each context. Without one, each run
                draws a fresh seed, which ``ctx.last_report.seed`` tells.

        Example:
            >>> import haydi as hd
            >>> dice = hd.Range(1, 7).generate(1000, seed=5)
            >>> dice.run() == dice.run() and set(dice.run()) == {1, 2, 3, 4, 5, 6}
            True
        """
        from haydi.pipeline import Pipeline

        return Pipeline.generate(cast("Domain[T]", self), count, seed)

    def cnfs(
        self, with_orbit_size: bool = False, part: tuple[int, int] | None = None
    ) -> Pipeline[Any, list[Any]]:
        """A pipeline over one representative of each isomorphism class: its canonical form.

        Two elements are isomorphic when renaming atoms, inside each ``USet``, makes one the other; the
        canonical form of a class is its least element in the order of :func:`haydi.compare`. Representatives
        come in the order of :meth:`iterate`, wherever inner elements iterate in the order of ``compare``.
        (Orderly generation: R. C. Read, Every one a winner, 1978; I. A. Faradzev, 1978.)

        Args:
            with_orbit_size: Give pairs of representative and number of elements of its class.
            part: ``(r, m)`` gives the r-th of m disjoint parts, for those who spread work by hand.

        Raises:
            ArgumentValueError: The domain is not strict (the message names the part that is not), or there
                is no
                such part.

        Example:
            >>> import haydi as hd
            >>> nodes = hd.USet(3, "n")
            >>> graphs = hd.Subsets(hd.Subsets(nodes, 2))
            >>> graphs.cnfs(with_orbit_size=True).run()
            [({}, 1), ({{n0, n1}}, 3), ({{n0, n1}, {n0, n2}}, 3), ({{n0, n1}, {n0, n2}, {n1, n2}}, 1)]
            >>> hd.Subsets(hd.Subsets(hd.USet(6, "n"), 2)).cnfs().count().run()  # OEIS A000088
            156
        """
        from haydi.pipeline import Pipeline

        return Pipeline.cnfs(cast("Domain[T]", self), with_orbit_size, part)

    @overload
    def cnf_count(self, by_size: Literal[False] = False) -> int: ...
    @overload
    def cnf_count(self, by_size: Literal[True]) -> list[int]: ...
    def cnf_count(self, by_size: bool = False) -> int | list[int]:
        """The exact number of isomorphism classes, without enumerating them (Burnside's lemma).

        Args:
            by_size: For ``Subsets``: a list with the number of classes of Sets with 0, 1, 2, ... items.

        Raises:
            ArgumentValueError: A part of the domain is filtered or not strict, or there are too many cycle
                types of renamings; or ``by_size`` is asked of anything but Subsets.

        Example:
            >>> import haydi as hd
            >>> graphs = hd.Subsets(hd.Subsets(hd.USet(10, "n"), 2))
            >>> graphs.cnf_count()  # OEIS A000088
            12005168
            >>> graphs.cnf_count(by_size=True)[:6]
            [1, 1, 2, 5, 11, 26]
        """
        from haydi.symmetry.counting import cnf_count

        return cnf_count(cast("Domain[T]", self), by_size)

    def generate_cnf(self, count: int | None = None, seed: int | str | None = None) -> Pipeline[T, list[T]]:
        """A pipeline over canonical forms of random isomorphism classes, all classes equally likely.

        Drawn with replacement, by the method of Dixon and Wilf (The random selection of unlabeled graphs,
        1983); strict filters at the top of the domain are applied.

        Args:
            count: Number of draws; None for an endless stream (then end it with ``take`` or ``first``).
            seed: With a seed the n-th draw is the same in each run, on each context.

        Raises:
            ArgumentValueError: The domain is not strict, a part inside of it is filtered, or there are too
                many cycle types of renamings.

        Example:
            >>> import haydi as hd
            >>> trios = hd.Subsets(hd.Subsets(hd.USet(3, "n"), 2)).generate_cnf(4000, seed=1)
            >>> sorted(trios.frequencies(len).run())
            [0, 1, 2, 3]
        """
        from haydi.pipeline import Pipeline
        from haydi.symmetry.uniform import UniformClasses

        return Pipeline.generate(UniformClasses(cast("Domain[T]", self)), count, seed)

    def to_cnf_values(self) -> CnfValues[T]:
        """The same classes, their canonical forms computed now and kept.

        Raises:
            ArgumentValueError: The domain is not strict.

        Example:
            >>> import haydi as hd
            >>> n = hd.USet(3, "n")
            >>> pairs = (n * n).to_cnf_values()
            >>> pairs.values, pairs.size
            (((n0, n0), (n0, n1)), 9)
        """
        from haydi.symmetry.cnf_values import CnfValues

        return CnfValues(self.cnfs())

    def take(self, n: int) -> Pipeline[T, list[T]]:
        """See :meth:`haydi.Pipeline.take`."""
        return self.iterate().take(n)

    def collect(self) -> Pipeline[T, list[T]]:
        """See :meth:`haydi.Pipeline.collect`."""
        return self.iterate().collect()

    def first(self, default: object = None) -> Pipeline[T, Any]:
        """See :meth:`haydi.Pipeline.first`."""
        return self.iterate().first(default)

    def reduce(
        self, fn: Callable[[Any, Any], Any], init: object = _MISSING, associative: bool = True
    ) -> Pipeline[T, Any]:
        """See :meth:`haydi.Pipeline.reduce`."""
        if init is _MISSING:
            return self.iterate().reduce(fn, associative=associative)
        return self.iterate().reduce(fn, init, associative)

    def max(self, key: Callable[[T], Any] | None = None, size: int | None = None) -> Pipeline[T, list[T]]:
        """See :meth:`haydi.Pipeline.max`."""
        return self.iterate().max(key, size)

    def min(self, key: Callable[[T], Any] | None = None, size: int | None = None) -> Pipeline[T, list[T]]:
        """See :meth:`haydi.Pipeline.min`."""
        return self.iterate().min(key, size)

    def count(self) -> Pipeline[T, int]:
        """See :meth:`haydi.Pipeline.count`."""
        return self.iterate().count()

    def sum(self) -> Pipeline[T, Any]:
        """See :meth:`haydi.Pipeline.sum`."""
        return self.iterate().sum()

    def groups(
        self, key: Callable[[T], Hashable], limit: int | None = None
    ) -> Pipeline[T, dict[Any, list[T]]]:
        """See :meth:`haydi.Pipeline.groups`."""
        return self.iterate().groups(key, limit)

    def groups_counts(
        self, key: Callable[[T], Hashable], limit: int | None = None
    ) -> Pipeline[T, dict[Any, list[Any]]]:
        """See :meth:`haydi.Pipeline.groups_counts`."""
        return self.iterate().groups_counts(key, limit)

    def frequencies(self, key: Callable[[T], Hashable] | None = None) -> Pipeline[T, dict[Any, int]]:
        """See :meth:`haydi.Pipeline.frequencies`."""
        return self.iterate().frequencies(key)

    def run(
        self,
        ctx: bool | Context | None = None,
        timeout: float | timedelta | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        *,
        on_error: OnError = "raise",
        priority: float = 1,
    ) -> list[T]:
        """All elements as a list; see :meth:`haydi.Pipeline.run`."""
        return self.iterate().run(ctx, timeout, checkpoint, on_error=on_error, priority=priority)
