"""Orderly generation: the walk over the tree of canonical prefixes.

A vector is the least of its orbit only if no renaming makes a beginning of it less; so the beginnings of
canonical vectors form a tree, and a depth-first walk that asks an :class:`Engine` at each step reaches all
of them and little else. Nothing is remembered, compared or removed afterwards.

The walk goes down by *choices*, and a node is named by the choices that lead to it, a *path*
(:mod:`haydi.symmetry.branching`).

**Events.** ``(i, own)`` says: all vectors that begin with ``f[:i]`` are canonical. With ``own`` false ``i``
lies in a free Set and its end there has been told already: these have at least one more item of the Set.

**Bounds.** Siblings are numbered in the order in which they are visited, so visiting order is the lexicographic
order of paths. A walk can begin at any path, whether a node has it or not: it gets there by replaying the
choices (:meth:`Walk.seek`). It can be stopped before any path (:meth:`Walk.next`), and an event never reaches
over that bound. So the events between two paths are the same elements whoever makes them, and the tree can be
cut anywhere. How such places are numbered is the business of :mod:`haydi.symmetry.addresses`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from haydi.symmetry.branching import Branching, Path
from haydi.symmetry.structure import SetNode

__all__ = ["Engine", "Look", "Scout", "Walk"]


class Engine(Protocol):
    """What tells whether a canonical vector may begin with ``f[:i]``; see
    :class:`haydi.symmetry.watch.Watch`.
    """

    f: list[int]
    m: int
    waiting: list[int]

    @property
    def automorphisms(self) -> int:
        """Number of renamings that leave the whole vector as it is."""

    @property
    def kernel(self) -> int:
        """Number of renamings that leave all vectors as they are."""

    def advance(self, i: int) -> bool:
        """Take notice of ``f[i]``; False, and nothing is changed, when no canonical vector begins so."""

    def retreat(self, i: int) -> None:
        """Take ``advance(i)`` back."""

    def settle(self, i: int) -> None:
        """Take notice that all entries from ``i`` on are 1, which no renaming still in play can change."""

    def spine(self, start: int, stop: int) -> bool:
        """Leave out all items at ``[start, stop)``; as ``advance``."""

    def unwind(self, start: int, stop: int) -> Any:
        """Take ``spine`` back; what is returned is for ``exclude``."""

    def exclude(self, kept: Any, i: int, stop: int) -> None:
        """Leave out the item at ``i``, which ``spine`` has done before."""


#: A child of a node: the choice that leads to it, the first position not known there, and ``own`` of its
#: event.
Child = tuple[int, int, bool]

#: Children, one after another. Where one stands for several, sending True has them told one by one.
Children = Generator[Child, "bool | None", None]


def _entries(engine: Engine, i: int, choices: Iterable[int]) -> Children:
    """The children of a node where an entry is chosen; the engine is at the child while that is visited."""
    f = engine.f
    for choice in choices:
        f[i] = choice
        if engine.advance(i):
            yield choice, i + 1, True
            engine.retreat(i)


def _items(engine: Engine, i: int, node: SetNode, ends: bool, items: range, first: int) -> Children:
    """The children of a node where the next item of a free Set is chosen, or the end of the Set.

    The end is tried first. When its walk is over, the comparisons it has caused are kept, and items are left
    out again one by one while later items are tried. Where the walk begins at a later choice, what led to its
    start has been found canonical before, and items are left out by comparing.

    Args:
        engine: The engine.
        i: The position of the first item to choose from.
        node: The Set.
        ends: Whether the Set may end here.
        items: Where the next item may be.
        first: The first choice to make.
    """
    stop, f, waiting = node.stop, engine.f, engine.waiting
    kept: Any = None
    if first == -1:
        if i == node.start and stop == engine.m:
            # Nothing that leaves everything before in its place moves the empty Set.
            engine.settle(i)
            if ends:
                yield -1, stop, True
        else:
            if not engine.spine(i, stop):
                return
            if ends:
                yield -1, stop, True
            kept = engine.unwind(i, stop)
    at = i
    for at in items:
        if at >= first:
            # Where nothing waits, all that follow are canonical.
            if at > i and not waiting[at] and not (yield at, at, False):
                break
            f[at] = 0
            if engine.advance(at):
                yield at, at + 1, True
                engine.retreat(at)
        if kept is None:
            f[at] = 1
            if not engine.advance(at):
                break
        else:
            engine.exclude(kept, at, stop)
    else:
        at = max(i, items.stop)
    for j in range(at - 1, i - 1, -1):
        engine.retreat(j)


class Walk:
    """A depth-first walk over the canonical prefixes of a layout.

    Args:
        branching: The choices of the layout.
        engine: What tells canonical prefixes; nobody else may use it.

    >>> from haydi.domains import Subsets, USet
    >>> from haydi.symmetry.layout import Layout
    >>> from haydi.symmetry.watch import watch
    >>> n = USet(3, "n")
    >>> layout = Layout(Subsets(n * n, 0, 2))
    >>> walk = Walk(Branching(layout), watch(layout))
    >>> walk.seek(())
    >>> while (event := walk.next((0, 3))) is not None:
    ...     print(walk.path, layout.root.build(walk.engine.f))
    (-1,) {}
    (0, -1) {(n0, n0)}
    (0, 1, -1) {(n0, n0), (n0, n1)}
    >>> walk.next(None), walk.path
    ((9, True), (0, 3, -1))
    """

    def __init__(self, branching: Branching, engine: Engine) -> None:
        self.layout = branching.layout
        self.engine = engine
        self._branching = branching
        self._levels: list[Children] = []
        self._choices: list[int] = []
        #: For each level, how many entries the engine knows.
        self._known: list[int] = []
        #: A node that was met and not told.
        self._pending: tuple[int, bool] | None = None

    @property
    def f(self) -> Sequence[int]:
        """The vector of the last event."""
        return self.engine.f

    @property
    def path(self) -> Path:
        """The path of the last event."""
        return tuple(self._choices)

    def automorphisms(self, i: int, own: bool) -> int:
        """Number of renamings that leave the vectors of an event as they are: the same for all of them."""
        return self.engine.automorphisms if own and i == self.layout.m else self.engine.kernel

    def seek(self, path: Path) -> None:
        """Go to a place: the next event will be that of the first node whose path is not less."""
        self._reset()
        if self.layout.root.total == 0:
            return
        node: tuple[int, bool] | None = (0, True)
        for level, choice in enumerate(path):
            assert node is not None
            if node[0] == self.layout.m:
                node = self._forward()
                break
            self._push(node[0], choice)
            node = self._forward()
            if len(self._choices) <= level or self._choices[level] != choice:
                break
            if node is not None and not node[1] and level + 1 < len(path):
                node = self._split()
        self._pending = node

    def next(self, stop: Path | None) -> tuple[int, bool] | None:
        """The next event with a path that is less than ``stop``.

        Args:
            stop: A bound; None for none. It may grow from call to call.

        Returns:
            ``(i, own)``, see the module; ``engine.f`` holds the entries, and ``path`` the path, until the next
            one is asked for. None when there is none.
        """
        waiting = self.engine.waiting
        node, self._pending = self._pending, None
        if node is None:
            node = self._forward()
        while node is not None:
            i, own = node
            if stop is not None and self.path >= stop:
                self._pending = node
                return None
            if (not own or not waiting[i]) and not self._reaches_over(stop, i, own):
                return node
            if own:
                self._push(i, -1)
                node = self._forward()
            else:
                node = self._split()
        return None

    def _reaches_over(self, stop: Path | None, i: int, own: bool) -> bool:
        """Whether the bound, which is not reached yet, lies inside of what is below a node."""
        if stop is None or i == self.layout.m:
            return False
        level = len(self._choices) - (not own)
        return stop[:level] == tuple(self._choices[:level])

    def _push(self, i: int, first: int) -> None:
        """Go down to the children of a node, from one choice on."""
        branching, engine = self._branching, self.engine
        node = branching.free_set(i)
        children: Children
        if node is not None:
            children = _items(engine, i, node, *branching.items(engine.f, i, node), max(-1, first))
        else:
            choices: Iterable[int] = branching.entries(engine.f, i)
            if first > 0:
                choices = [choice for choice in choices if choice >= first]
            children = _entries(engine, i, choices)
        self._levels.append(children)
        self._choices.append(-2)
        self._known.append(i)

    def _forward(self) -> tuple[int, bool] | None:
        """The next node, below or beside the last one."""
        while self._levels:
            child = next(self._levels[-1], None)
            if child is not None:
                return self._at(child)
            self._levels.pop()
            self._choices.pop()
            self._known.pop()
        return None

    def _split(self) -> tuple[int, bool]:
        """The first of several children of which the last node told at once."""
        return self._at(self._levels[-1].send(True))

    def _at(self, child: Child) -> tuple[int, bool]:
        self._choices[-1], self._known[-1], own = child
        return self._known[-1], own

    def _reset(self) -> None:
        for i in range(self._known[-1] - 1 if self._known else -1, -1, -1):
            self.engine.retreat(i)
        self._levels, self._choices, self._known, self._pending = [], [], [], None


class Look(NamedTuple):
    """A node, looked at.

    Attributes:
        i: The first position that is not known there.
        free: Whether everything below is canonical.
        choices: The choices that lead to canonical prefixes; where ``free``, none are looked for.
    """

    i: int
    free: bool
    choices: Sequence[int]


class Scout:
    """Looks at single nodes.

    Args:
        branching: The choices of the layout.
        engine: What tells canonical prefixes; nobody else may use it.

    >>> from haydi.domains import Subsets, USet
    >>> from haydi.symmetry.layout import Layout
    >>> from haydi.symmetry.watch import watch
    >>> n = USet(3, "n")
    >>> layout = Layout(Subsets(n * n, 0, 2))
    >>> scout = Scout(Branching(layout), watch(layout))
    >>> scout.look((0,))
    Look(i=1, free=False, choices=[-1, 1, 3, 4, 5])
    """

    def __init__(self, branching: Branching, engine: Engine) -> None:
        self._branching = branching
        self._engine = engine
        self._path: list[int] = []
        self._known = [0]

    def look(self, path: Path) -> Look:
        """Look at the node of a path, which must be there."""
        engine, branching, known = self._engine, self._branching, self._known
        same = 0
        for mine, other in zip(self._path, path, strict=False):
            if mine != other:
                break
            same += 1
        for i in range(known[-1] - 1, known[same] - 1, -1):
            engine.retreat(i)
        del self._path[same:], known[same + 1 :]
        for choice in path[same:]:
            i = branching.down(engine.f, known[-1], choice)
            for p in range(known[-1], i):
                found = engine.advance(p)
                assert found, f"no canonical vector begins with the choices {path}"
            self._path.append(choice)
            known.append(i)
        i = known[-1]
        if not engine.waiting[i]:
            return Look(i, True, ())
        return Look(i, False, self._canonical(i))

    def _canonical(self, i: int) -> list[int]:
        engine, branching = self._engine, self._branching
        node = branching.free_set(i)
        if node is None:
            return [choice for choice, _, _ in _entries(engine, i, branching.entries(engine.f, i))]
        f, stop = engine.f, node.stop
        ends, items = branching.items(f, i, node)
        found = [-1] if ends else []
        if not engine.spine(i, stop):
            return []
        engine.unwind(i, stop)
        done = i
        for at in items:
            if at > i and not engine.waiting[at]:
                found += range(at, items.stop)
                break
            f[at] = 0
            if engine.advance(at):
                # An item that the Set cannot end with has nothing below it.
                if engine.spine(at + 1, stop):
                    engine.unwind(at + 1, stop)
                    found.append(at)
                engine.retreat(at)
            f[at] = 1
            if not engine.advance(at):
                break
            done = at + 1
        for j in range(done - 1, i - 1, -1):
            engine.retreat(j)
        return found
