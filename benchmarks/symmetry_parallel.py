"""How well the search for representatives is divided: on the workers of this machine, and on many simulated ones.

``PYTHONPATH=. python benchmarks/symmetry_parallel.py real`` runs ``cnfs()`` on one and on two spawned workers in turn,
once counted and once with a function of each representative (some 10 microseconds), and prints the ratio of the
medians. Next to it stands what two bare processes reach on this machine at this time, each of which does everything
alone: on cores that others use that is less than 2.

``... simulated`` measures what each piece of the search costs here, cut so finely that no piece matters, and gives
these costs to the real cores of scheduler, daemons and client in the simulation of the tests. What is printed is the
efficiency: the sum of all costs over workers times makespan, for the costs as they were measured and for a search
that is as uneven and takes half a minute on each of the workers.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from bisect import bisect_left
from collections.abc import Callable
from functools import partial
from itertools import accumulate, product
from typing import Any

import haydi as hd
from haydi.plan import Plan, compile_plan
from tests.simulation.jobs import Costs, counting_job
from tests.simulation.world import World

_PIECES_MIN = 1 << 14


def graphs(n: int) -> hd.Domain[Any]:
    """All graphs with n nodes."""
    return hd.Subsets(hd.Subsets(hd.USet(n, "n"), 2))


def automata(n: int) -> hd.Domain[Any]:
    """All automata with n states and two letters that may be renamed."""
    states = hd.USet(n, "q")
    return hd.Mappings(states * hd.USet(2, "l"), states)


CASES: dict[str, Callable[[int], hd.Domain[Any]]] = {"graphs": graphs, "automata": automata}


def _named(text: str) -> tuple[str, hd.Domain[Any]]:
    name, _, n = text.partition(":")
    return text, CASES[name](int(n))


# --- real workers -----------------------------------------------------------------------------------------


def _weigh(element: Any) -> int:
    """Something that looks at all of a representative."""
    return sum(len(repr(part)) for part in element) % 7


def _work(domain: hd.Domain[Any], how: str) -> hd.Pipeline[Any, int]:
    return domain.cnfs().count() if how == "counted" else domain.cnfs().map(_weigh).sum()


def _go_through(domain: hd.Domain[Any], how: str, barrier: Any) -> None:
    hd.Range(3).cnfs().count().run()
    barrier.wait()
    _work(domain, how).run()


def _bare(domain: hd.Domain[Any], how: str, processes: int) -> float:
    """Seconds until so many processes at once have each gone through all representatives."""
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(processes + 1)
    members = [fork.Process(target=_go_through, args=(domain, how, barrier)) for _ in range(processes)]
    for member in members:
        member.start()
    barrier.wait()
    began = time.perf_counter()
    for member in members:
        member.join()
    return time.perf_counter() - began


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def real(cases: list[str], rounds: int) -> None:
    """One worker against two."""
    print(f"{'':28}{'one s':>9}{'two s':>9}{'speed-up':>10}{'two bare processes':>20}")
    with hd.DistributedContext(spawn_workers=1) as one, hd.DistributedContext(spawn_workers=2) as two:
        for (name, domain), how in product(map(_named, cases), ("counted", "with a function")):
            times: tuple[list[float], ...] = ([], [], [], [])
            for _ in range(rounds):
                for kept, ctx in zip(times, (one, two), strict=False):
                    kept.append(_seconds(partial(_work(domain, how).run, ctx)))
                times[2].append(_bare(domain, how, 1))
                times[3].append(_bare(domain, how, 2))
            a, b, c, d = map(statistics.median, times)
            print(f"{name + ', ' + how:28}{a:>9.3f}{b:>9.3f}{a / b:>10.2f}{2 * c / d:>20.2f}", flush=True)


# --- simulated ones ---------------------------------------------------------------------------------------


def measured(plan: Plan) -> tuple[list[int], list[float]]:
    """Where pieces end, and how long each of them takes; pieces that take long are cut again."""
    plan.execute(0, plan.steps)  # what is compiled once is not a cost of a piece
    pieces = min(plan.steps, _PIECES_MIN)
    todo = [(plan.steps * k // pieces, plan.steps * (k + 1) // pieces) for k in reversed(range(pieces))]
    ends, costs = [0], [0.0]
    while todo:
        start, stop = todo.pop()
        if start == stop:
            continue
        began = time.perf_counter()
        plan.execute(start, stop)
        taken = time.perf_counter() - began
        if taken > 0.002 and stop - start > 1:
            middle = (start + stop) // 2
            todo += [(middle, stop), (start, middle)]
        else:
            ends.append(stop)
            costs.append(taken)
    return ends, costs


def piecewise(ends: list[int], costs: list[float], scale: float) -> Costs:
    """Costs of steps, even inside of each piece."""
    sums = [one * scale for one in accumulate(costs)]

    def before(step: int) -> float:
        j = bisect_left(ends, step)
        if ends[j] == step:
            return sums[j]
        return sums[j - 1] + (sums[j] - sums[j - 1]) * (step - ends[j - 1]) / (ends[j] - ends[j - 1])

    return Costs("measured", lambda start, stop: before(stop) - before(start), max(costs) * scale)


def efficiency(steps: int, costs: Costs, workers: int, slots: int) -> tuple[float, int]:
    """Efficiency of a run on daemons with so many slots each, and the number of steals between daemons."""
    world = World(1, checks=False)
    for _ in range(workers // slots):
        world.add_daemon(slots)
    total = costs.of(0, steps)
    run = world.add_run(world.add_client(), counting_job(steps, costs), at=1.0)
    world.run_until(world.all_over, 1.0 + 20 * total)
    assert run.core.state == "done"
    assert run.over_at is not None
    return total / workers / (run.over_at - 1.0), world.scheduler.sent["Steal"]


def simulated(cases: list[str]) -> None:
    """Many workers."""
    print(f"{'':16}{'workers':>9}{'as measured':>13}{'steals':>8}{'half a minute':>13}{'steals':>8}")
    for name, domain in map(_named, cases):
        plan = compile_plan(domain.cnfs().count())
        ends, costs = measured(plan)
        for workers in (32, 128):
            shown = ""
            for scale in (1.0, 30 * workers / sum(costs)):
                found, steals = efficiency(plan.steps, piecewise(ends, costs, scale), workers, 4)
                shown += f"{found:>13.3f}{steals:>8}"
            print(f"{name:16}{workers:>9}{shown}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["real", "simulated"])
    parser.add_argument("cases", nargs="*", default=["graphs:9", "automata:5"], help="for example graphs:9")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.what == "real":
        real(arguments.cases, arguments.rounds)
    else:
        simulated(arguments.cases)


if __name__ == "__main__":
    main()
