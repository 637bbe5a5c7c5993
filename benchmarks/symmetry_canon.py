"""Times of canonical forms of single objects, of counts of classes, and of draws of random classes.

Objects are random (ten of each kind, the median counts) or as symmetric as can be; next to each stands the
number of its automorphisms. A table shows random graphs and digraphs over their density, another one families
of regular graphs and their complements. Run it with ``PYTHONPATH=. python benchmarks/symmetry_canon.py``,
``--seeds 40`` for more graphs of each density; it takes about half a minute.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import combinations, product
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


_DENSITIES = (0.05, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.93, 0.95, 0.97)


def _arcs(nodes: int, density: float, rng: random.Random) -> hd.Set[Any]:
    n = hd.USet(nodes, "n")
    return hd.Set(arc for arc in product(n, n) if rng.random() < density)


def _families() -> dict[str, tuple[int, list[tuple[int, int]]]]:
    """Graphs with much symmetry, or that look alike from many nodes: number of nodes, and edges."""
    pairs = list(combinations(range(8), 2))
    petersen = [(i, j) for i, j in combinations(range(10), 2) if not {*_duos(5)[i]} & {*_duos(5)[j]}]
    return {
        "Paley graph, 29 nodes": (29, _joined(29, lambda i, j: pow(i - j, 14, 29) == 1)),
        "Petersen graph": (10, petersen),
        "three Petersen graphs": (30, [(10 * k + i, 10 * k + j) for k in range(3) for i, j in petersen]),
        "hypercube, 32 corners": (32, _joined(32, lambda i, j: (i ^ j).bit_count() == 1)),
        "rook's graph, 6 x 6": (36, _joined(36, lambda i, j: i // 6 == j // 6 or i % 6 == j % 6)),
        "Latin square graph, order 5": (25, _joined(25, lambda i, j: _on_a_line(i, j, 5))),
        "Latin square graph, order 6": (36, _joined(36, lambda i, j: _on_a_line(i, j, 6))),
        "triangular graph T(8)": (28, _joined(28, lambda i, j: bool({*pairs[i]} & {*pairs[j]}))),
        "cycle of 30": (30, [(i, (i + 1) % 30) for i in range(30)]),
        "six cycles of 5": (30, [(5 * k + i, 5 * k + (i + 1) % 5) for k in range(6) for i in range(5)]),
        "ten triangles": (30, _joined(30, lambda i, j: i // 3 == j // 3)),
        "15 edges apart": (30, _joined(30, lambda i, j: i // 2 == j // 2)),
        **{f"3-regular graph {seed}": (30, _cubic(30, random.Random(seed))) for seed in range(3)},
    }


def _duos(count: int) -> list[tuple[int, int]]:
    return list(combinations(range(count), 2))


def _joined(nodes: int, joined: Callable[[int, int], bool]) -> list[tuple[int, int]]:
    return [pair for pair in combinations(range(nodes), 2) if joined(*pair)]


def _on_a_line(i: int, j: int, order: int) -> bool:
    a, b, c, d = i // order, i % order, j // order, j % order
    return a == c or b == d or (a + b - c - d) % order == 0


def _cubic(nodes: int, rng: random.Random) -> list[tuple[int, int]]:
    while True:
        ends = [node for node in range(nodes) for _ in range(3)]
        rng.shuffle(ends)
        edges = {frozenset(ends[i : i + 2]) for i in range(0, len(ends), 2)}
        if len(edges) == 3 * nodes // 2 and all(len(edge) == 2 for edge in edges):
            return [(min(edge), max(edge)) for edge in edges]


def _shuffled(nodes: int, edges: list[tuple[int, int]], opposite: bool) -> hd.Set[Any]:
    """The graph, or its complement, with its nodes in random order."""
    there = {frozenset(edge) for edge in edges}
    kept = [pair for pair in combinations(range(nodes), 2) if (frozenset(pair) in there) != opposite]
    names = random.Random(nodes).sample(range(nodes), nodes)
    return graph(nodes, [(names[a], names[b]) for a, b in kept])


def _print_densities(seeds: int) -> None:
    heads = [f"{density:>8}" for density in _DENSITIES]
    print(f"\n{f'canonize, ms, median and worst of {seeds}, by density':48}" + "".join(heads))
    for name, make in (("graph", random_graph), ("digraph", _arcs)):
        for nodes in (20, 30) if name == "graph" else (12, 20):
            times = [
                [
                    1000 * _seconds(partial(hd.canonize, make(nodes, density, random.Random(seed))))
                    for seed in range(seeds)
                ]
                for density in _DENSITIES
            ]
            for what, of in (("median", median), ("worst", max)):
                print(f"{f'{name}, {nodes} nodes, {what}':48}" + "".join(f"{of(t):8.1f}" for t in times))


def _print_families() -> None:
    print(f"\n{'canonize, ms':48} {'graph':>9} {'complement':>11}   automorphisms")
    for name, (nodes, edges) in _families().items():
        both = [_shuffled(nodes, edges, opposite) for opposite in (False, True)]
        one, other = (1000 * _seconds(partial(hd.canonize, x)) for x in both)
        print(f"{name:48} {one:9.1f} {other:11.1f}   {hd.automorphism_count(both[0])}")


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _graphs(nodes: int) -> hd.Subsets[Any, Any]:
    return hd.Subsets(hd.Subsets(hd.USet(nodes, "n"), 2))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="random graphs of each density")
    seeds = parser.parse_args().seeds
    print(f"{'canonize, median and largest of ' + str(_ROUNDS):50} {'ms':>9} {'ms':>9}")
    for name, make in _random_objects():
        rng = random.Random(name)
        times = [_seconds(partial(hd.canonize, make(rng))) * 1000 for _ in range(_ROUNDS)]
        print(f"{name:50} {median(times):9.2f} {max(times):9.2f}")
    print(f"\n{'canonize':50} {'ms':>9}   automorphisms")
    for name, x in _symmetric_objects():
        took = _seconds(partial(hd.canonize, x)) * 1000
        print(f"{name:50} {took:9.2f}   {hd.automorphism_count(x)}")
    _print_densities(seeds)
    _print_families()
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
