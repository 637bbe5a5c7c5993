"""How long it takes to list isomorphism classes, next to what it should take, to OEIS, and to nauty's geng.

Everything is cold: each figure contains compiling the domain and listing the renamings. "objects" makes every
representative, "counted" makes none, "|Aut|" makes none and tells the sizes of all classes. Pure Python and the C
kernel are measured in turn, round by round, each in a process of its own; figures are medians in seconds. On a shared
machine, compare the columns with each other rather than with those of another day. Each count is compared with OEIS,
and the sizes of the classes are added up to the number of labelled objects.

    PYTHONPATH=. python benchmarks/symmetry.py [--rounds 3] [--large] [--huge]

takes about a minute, with ``--large`` some minutes; ``--huge`` counts the 12,005,168 graphs on 10 nodes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from operator import itemgetter
from typing import Any, NamedTuple

import haydi as hd


class Case(NamedTuple):
    """What to list.

    Attributes:
        make: Makes the domain.
        classes: Number of classes, from OEIS.
        aims: Seconds that columns should take, by column.
        geng: Arguments of geng that list the same, if it can.
        size: "small", "large" or "huge": how long it takes.
        pure: Whether pure Python is measured.
    """

    make: Callable[[], hd.Domain[Any]]
    classes: int
    aims: dict[str, float]
    geng: tuple[str, ...] = ()
    size: str = "small"
    pure: bool = True


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


CASES = {
    "graphs, 6 nodes": Case(lambda: _graphs(6), 156, {}, ("6",)),
    "graphs, 7 nodes": Case(lambda: _graphs(7), 1044, {"pure objects": 0.15}, ("7",)),
    "graphs, 8 nodes": Case(lambda: _graphs(8), 12346, {"pure objects": 2.0, "C |Aut|": 0.05}, ("8",)),
    "graphs, 9 nodes": Case(lambda: _graphs(9), 274668, {"C |Aut|": 1.0}, ("9",), "large", False),
    "graphs, 10 nodes": Case(lambda: _graphs(10), 12005168, {"C counted": 60.0}, ("10",), "huge", False),
    "digraphs with loops, 4 nodes": Case(lambda: _digraphs(4), 3044, {"pure objects": 0.02}),
    "digraphs with loops, 5 nodes": Case(
        lambda: _digraphs(5), 291968, {"C counted": 0.05, "C objects": 0.6}, (), "large"
    ),
    "automata, 4 states, 2 letters": Case(lambda: _automata(4), 1474, {}),
    "automata, 5 states, 2 letters": Case(lambda: _automata(5), 41876, {"pure objects": 0.4}),
    "automata, 6 states, 2 letters": Case(lambda: _automata(6), 1540696, {}, (), "large", False),
    "functions, 7 points": Case(lambda: _functions(7), 343, {}),
    "functions, 9 points": Case(lambda: _functions(9), 2615, {}, (), "large"),
}

COLUMNS = ["pure objects", "pure counted", "pure |Aut|", "C objects", "C counted", "C |Aut|", "geng"]


def _objects(domain: hd.Domain[Any]) -> int:
    numbered = deque(enumerate(domain.cnfs(), 1), maxlen=1)
    return numbered[0][0]


def _counted(domain: hd.Domain[Any]) -> int:
    return domain.cnfs().count().run()


def _with_automorphisms(domain: hd.Domain[Any]) -> int:
    sizes = domain.cnfs(with_orbit_size=True).frequencies(itemgetter(1)).run()
    assert sum(size * number for size, number in sizes.items()) == domain.size
    return sum(sizes.values())


_WAYS = {"objects": _objects, "counted": _counted, "|Aut|": _with_automorphisms}


def _measure(name: str, way: str) -> float:
    """In this process."""
    domain = CASES[name].make()
    began = time.perf_counter()
    found = _WAYS[way](domain)
    taken = time.perf_counter() - began
    assert found == CASES[name].classes, f"{name}: {found} classes instead of {CASES[name].classes}"
    return taken


def _in_process(name: str, column: str) -> float:
    """In a process of its own."""
    kernel, _, way = column.partition(" ")
    environment = os.environ | ({"HAYDI_PURE": "1"} if kernel == "pure" else {})
    command = [sys.executable, __file__, "--one", name, way]
    printed = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout
    return float(json.loads(printed))


def _geng(arguments: tuple[str, ...]) -> float | None:
    """Seconds that geng takes to list the same without printing it, as a whole process."""
    program = shutil.which("geng") or shutil.which("nauty-geng")
    if program is None or not arguments:
        return None
    began = time.perf_counter()
    subprocess.run([program, "-qu", *arguments], check=True)
    return time.perf_counter() - began


def _table(rounds: int, sizes: set[str]) -> None:
    print(f"{'':32}{'classes':>10}" + "".join(f"{column:>14}" for column in COLUMNS) + "  aims")
    for name, case in CASES.items():
        if case.size not in sizes:
            continue
        columns = [c for c in COLUMNS[:-1] if (case.pure or not c.startswith("pure")) and _worth(case, c)]
        times: dict[str, list[float]] = {column: [] for column in COLUMNS}
        for _ in range(1 if case.size == "huge" else rounds):
            for column in columns:
                times[column].append(_in_process(name, column))
            seconds = _geng(case.geng)
            times["geng"] += [] if seconds is None else [seconds]
        shown = "".join(f"{statistics.median(t):>14.4f}" if t else f"{'':>14}" for t in times.values())
        aims = ", ".join(
            f"{column} {'ok' if statistics.median(times[column]) <= aim else 'MISSED'} ({aim:g})"
            for column, aim in case.aims.items()
        )
        print(f"{name:32}{case.classes:>10}{shown}  {aims}", flush=True)


def _worth(case: Case, column: str) -> bool:
    return case.size != "huge" or column == "C counted"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--huge", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("CASE", "WAY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(_measure(*arguments.one)))
        return
    sizes = {"small"} | ({"large"} if arguments.large else set()) | ({"huge"} if arguments.huge else set())
    _table(arguments.rounds, sizes)


if __name__ == "__main__":
    main()
