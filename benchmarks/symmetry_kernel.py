"""How long the kernel in C takes to count the classes of a domain with their automorphisms, the layout included.

    PYTHONPATH=. python benchmarks/symmetry_kernel.py [name ...]

Figures are seconds of processor time, so that what else the machine does matters little; each domain is compiled anew.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import haydi as hd
from haydi.domains.domain import Domain
from haydi.symmetry.kernel import kernel, search
from haydi.symmetry.layout import Layout


def graphs(n: int) -> Domain[Any]:
    """Graphs on n nodes."""
    return hd.Subsets(hd.Subsets(hd.USet(n, "n"), 2))


def digraphs(n: int) -> Domain[Any]:
    """Directed graphs on n nodes, with loops."""
    return hd.Subsets(hd.USet(n, "n") ** 2)


def automata(n: int, letters: int) -> Domain[Any]:
    """Complete deterministic automata whose letters may be renamed."""
    states = hd.USet(n, "q")
    return hd.Mappings(states * hd.USet(letters, "l"), states)


DOMAINS: dict[str, Callable[[], Domain[Any]]] = {
    "graphs-7": lambda: graphs(7),
    "graphs-8": lambda: graphs(8),
    "graphs-9": lambda: graphs(9),
    "digraphs-4": lambda: digraphs(4),
    "digraphs-5": lambda: digraphs(5),
    "automata-4-2": lambda: automata(4, 2),
    "automata-5-2": lambda: automata(5, 2),
    "graphs-10": lambda: graphs(10),
}


def main() -> None:
    """Count, and print the figures."""
    if kernel() != "C":
        sys.exit(f"there is nothing to measure: the kernel is {kernel()}")
    for name in sys.argv[1:] or list(DOMAINS)[:-1]:
        began = time.process_time()
        layout = Layout(DOMAINS[name]())
        walk = search(layout)
        assert walk is not None
        classes, labelled, finished = 0, 0, False
        while not finished:
            number, histogram, lump, finished = walk.count()
            assert lump is None
            classes += number
            labelled += sum(layout.group_order // size * count for size, count in histogram.items())
        seconds = time.process_time() - began
        assert labelled == layout.root.total
        print(f"{name:14} {walk.engine:6} {classes:10} classes {seconds:8.4f} s")


if __name__ == "__main__":
    main()
