"""Times of canonical forms of single objects, of counts of classes, and of draws of random classes.

Objects are random (ten of each kind, the median counts) or as symmetric as can be; next to each stands the
number of its automorphisms. Run it with ``PYTHONPATH=. python benchmarks/symmetry_canon.py``; it takes some
ten seconds.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import combinations
from statistics import median
from typing import Any

import haydi as hd

_ROUNDS = 10


def graph(nodes: int, edges: Iterable[tuple[int, int]]) -> hd.Set[Any]:
    """A graph as a Set of Sets of two nodes."""
    n = hd.USet(nodes, "n")
    return hd.Set(hd.Set((n[a], n[b])) for a, b in edges)


def random_graph(nodes: int, density: float, rng: random.Random) -> hd.Set[Any]:
    """A graph in which each edge is with a certain probability."""
    return graph(nodes, [edge for edge in combinations(range(nodes), 2) if rng.random() < density])


def _random_objects() -> list[tuple[str, Callable[[random.Random], Any]]]:
    states, nodes = hd.USet(40, "q"), list(hd.USet(40, "n"))
    automata = hd.Mappings(states * hd.Range(2), states)
    made: list[tuple[str, Callable[[random.Random], Any]]] = [
        (f"random graph, {count} nodes, density {density}", partial(random_graph, count, density))
        for count in (10, 20, 30)
        for density in (0.1, 0.5, 0.7)
    ]
    return [
        *made,
        ("random automaton, 40 states", automata.generate_one),
        ("random function on 40 nodes", hd.Mappings(states, states).generate_one),
        (
            "three orders of 25 out of 40 nodes",
            lambda rng: hd.Set(tuple(rng.sample(nodes, 25)) for _ in range(3)),
        ),
        (
            "six sets of four pairs of a set and a node",
            lambda rng: hd.Set(
                hd.Set((hd.Set(rng.sample(nodes, 3)), rng.choice(nodes)) for _ in range(4)) for _ in range(6)
            ),
        ),
    ]


def _symmetric_objects() -> list[tuple[str, Any]]:
    corners = [(i, i | 1 << bit) for i in range(64) for bit in range(6) if not i >> bit & 1]
    n = hd.USet(40, "n")
    cliques = [map(hd.Set, combinations(list(n)[4 * i : 4 * i + 4], 2)) for i in range(10)]
    return [
        ("complete graph, 30 nodes", graph(30, combinations(range(30), 2))),
        ("cycle, 30 nodes", graph(30, [(i, (i + 1) % 30) for i in range(30)])),
        ("15 edges apart", graph(30, [(2 * i, 2 * i + 1) for i in range(15)])),
        ("complete bipartite graph, 15 + 15", graph(30, [(i, j) for i in range(15) for j in range(15, 30)])),
        ("hypercube, 64 corners", graph(64, corners)),
        ("ten cliques, each a Set", hd.Set(hd.Set(clique) for clique in cliques)),
        ("identity on 40 nodes", hd.Map((atom, atom) for atom in n)),
    ]


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _graphs(nodes: int) -> hd.Subsets[Any, Any]:
    return hd.Subsets(hd.Subsets(hd.USet(nodes, "n"), 2))


def main() -> None:
    """Print the tables."""
    print(f"{'canonize, median and largest of ' + str(_ROUNDS):50} {'ms':>9} {'ms':>9}")
    for name, make in _random_objects():
        rng = random.Random(name)
        times = [_seconds(partial(hd.canonize, make(rng))) * 1000 for _ in range(_ROUNDS)]
        print(f"{name:50} {median(times):9.2f} {max(times):9.2f}")
    print(f"\n{'canonize':50} {'ms':>9}   automorphisms")
    for name, x in _symmetric_objects():
        took = _seconds(partial(hd.canonize, x)) * 1000
        print(f"{name:50} {took:9.2f}   {hd.automorphism_count(x)}")
    print(f"\n{'numbers of classes':50} {'ms':>9}")
    for nodes in (10, 20, 30):
        took = _seconds(_graphs(nodes).cnf_count) * 1000
        print(f"{f'graphs on {nodes} nodes':50} {took:9.2f}")
    took = _seconds(partial(_graphs(20).cnf_count, True)) * 1000
    print(f"{'graphs on 20 nodes by number of edges':50} {took:9.2f}")
    print(f"\n{'random classes, each':50} {'ms':>9}")
    for nodes in (5, 10, 20):
        graphs = _graphs(nodes).generate_cnf(50, seed=1)
        print(f"{f'graphs on {nodes} nodes':50} {_seconds(graphs.run) * 20:9.2f}")


if __name__ == "__main__":
    main()
