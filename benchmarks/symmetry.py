"""How long it takes to list isomorphism classes, next to what it should take and how many there are by OEIS.

Everything is cold: each figure contains compiling the domain and listing the renamings. "objects" makes every
representative, "counted" makes none, "run" is the pipeline of the serial context, which cuts the search into
branches first. The last column is the shortest of some rounds, in seconds; on a machine that is shared,
compare the columns with each other rather than with those of another day.

Run it with ``PYTHONPATH=. python benchmarks/symmetry.py [--large] [rounds]``; it takes some 20 seconds, with
``--large`` a few minutes. ``--branches`` prints instead how evenly the work falls on workers, by measured
costs of the branches.
"""

from __future__ import annotations

import heapq
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import haydi as hd
from haydi.plan import compile_plan

_ROUNDS = 3


class Case(NamedTuple):
    """What to list.

    Attributes:
        name: What it is.
        make: Makes the domain anew, so that nothing is kept from one round to the next.
        classes: Number of classes, from OEIS.
        target: Seconds that listing the objects may take; None where there is no aim.
        large: Whether it takes long.
    """

    name: str
    make: Callable[[], hd.Domain[Any]]
    classes: int
    target: float | None
    large: bool = False


def _graphs(n: int) -> hd.Domain[Any]:
    return hd.Subsets(hd.Subsets(hd.USet(n, "n"), 2))


def _digraphs(n: int) -> hd.Domain[Any]:
    nodes = hd.USet(n, "n")
    return hd.Subsets(nodes * nodes)


def _automata(n: int) -> hd.Domain[Any]:
    states = hd.USet(n, "q")
    return hd.Mappings(states * hd.USet(2, "l"), states)


def _functions(n: int) -> hd.Domain[Any]:
    points = hd.USet(n, "n")
    return hd.Mappings(points, points)


CASES = [
    Case("graphs, 6 nodes", lambda: _graphs(6), 156, None),
    Case("graphs, 7 nodes", lambda: _graphs(7), 1044, 0.15),
    Case("graphs, 8 nodes", lambda: _graphs(8), 12346, 2.0),
    Case("digraphs with loops, 4 nodes", lambda: _digraphs(4), 3044, 0.02),
    Case("digraphs with loops, 5 nodes", lambda: _digraphs(5), 291968, None, True),
    Case("automata, 4 states, 2 letters", lambda: _automata(4), 1474, None),
    Case("automata, 5 states, 2 letters", lambda: _automata(5), 41876, 0.4),
    Case("functions, 7 points", lambda: _functions(7), 343, None),
    Case("functions, 9 points", lambda: _functions(9), 2615, None, True),
]


def _seconds(work: Callable[[hd.Domain[Any]], int], case: Case) -> float:
    domain = case.make()
    begin = time.perf_counter()
    found = work(domain)
    taken = time.perf_counter() - begin
    assert found == case.classes, f"{found} classes instead of {case.classes}"
    return taken


def _listed(domain: hd.Domain[Any]) -> int:
    numbered = deque(enumerate(domain.cnfs(), 1), maxlen=1)
    return numbered[0][0]


def _counted(domain: hd.Domain[Any]) -> int:
    return domain.cnfs().count().run()


def _run(domain: hd.Domain[Any]) -> int:
    return len(domain.cnfs().run())


_WAYS = (_listed, _counted, _run)


def _table(rounds: int, large: bool) -> None:
    print(f"{'':34}{'classes':>9}{'aim s':>8}{'objects s':>11}{'counted s':>11}{'run s':>9}")
    for case in CASES:
        if case.large and not large:
            continue
        times = 1 if case.large else rounds
        objects, counted, run = (min(_seconds(work, case) for _ in range(times)) for work in _WAYS)
        aim = "" if case.target is None else f"{case.target:.2f}"
        figures = f"{aim:>8}{objects:>11.4f}{counted:>11.4f}{run:>9.4f}"
        print(f"{case.name:34}{case.classes:>9}{figures}", flush=True)


def _balance() -> None:
    """Efficiency on many workers when each takes the next branch as soon as it is free."""
    print(f"{'':34}{'branches':>9}{'largest':>9}{'32 workers':>12}{'128 workers':>12}")
    for case in CASES:
        if case.large or case.classes < 1000:
            continue
        source = compile_plan(case.make().cnfs()).source
        # What is compiled once in a worker is not a cost of the branch that happens to be the first.
        source.count(0, source.steps)
        costs = []
        for step in range(source.steps):
            begin = time.perf_counter()
            deque(source.elements(step, step + 1), maxlen=0)
            costs.append(time.perf_counter() - begin)
        shown = "".join(f"{_efficiency(costs, workers):>12.2f}" for workers in (32, 128))
        print(f"{case.name:34}{source.steps:>9}{max(costs) / sum(costs):>9.4f}{shown}", flush=True)


def _efficiency(costs: list[float], workers: int) -> float:
    free_at = [0.0] * workers
    for cost in costs:
        heapq.heapreplace(free_at, free_at[0] + cost)
    return sum(costs) / workers / max(free_at)


def main() -> None:
    """Measure and print."""
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    if "--branches" in sys.argv:
        _balance()
    else:
        _table(numbers[0] if numbers else _ROUNDS, "--large" in sys.argv)


if __name__ == "__main__":
    main()
