"""All graphs on n nodes, one of each isomorphism class: counted, or listed as graph6.

A graph is a set of edges, an edge is a set of two nodes, and nodes are atoms, which have no identity but their
names:

    Subsets(Subsets(USet(n), 2))

has 2^(n(n-1)/2) elements, 268,435,456 for n=8. ``cnfs()`` gives one of each class, the least: 12,346 for n=8. It
does not go through all elements; it builds the canonical ones from smaller canonical ones, and ranges of this
search are what workers share.

The numbers of classes are compared with those known: in total (OEIS A000088) and by number of edges (A008406).

    python examples/graphs.py --nodes 7
    python examples/graphs.py --nodes 8 --workers 2
    python examples/graphs.py --nodes 5 --graph6

With ``--graph6`` stdout is one line for each graph, in the format that nauty, networkx and Sage read, and what
is said of the numbers goes to stderr. With the C extension of Haydi n=9 takes less than a second and n=10 some seconds
when only counted; in pure Python (``hd.show_versions()`` tells) n=8 takes seconds and n=9 minutes.

Exit codes: 0 the numbers are the known ones, 1 they are not, 2 the search could not be run, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial

import haydi as hd

Graph = hd.Set[hd.Set[hd.Atom]]

AGREES, DIFFERS, NOT_RUN, INTERRUPTED = 0, 1, 2, 130

#: Classes of graphs on n nodes (OEIS A000088).
TOTALS = {1: 1, 2: 2, 3: 4, 4: 11, 5: 34, 6: 156, 7: 1_044, 8: 12_346, 9: 274_668, 10: 12_005_168}
#: By number of edges, up to half of all pairs (OEIS A008406); a graph with more is the complement of one with less.
HALVES = {
    1: [1],
    2: [1],
    3: [1, 1],
    4: [1, 1, 2, 3],
    5: [1, 1, 2, 4, 6, 6],
    6: [1, 1, 2, 5, 9, 15, 21, 24],
    7: [1, 1, 2, 5, 10, 21, 41, 65, 97, 131, 148],
    8: [1, 1, 2, 5, 11, 24, 56, 115, 221, 402, 663, 980, 1312, 1557, 1646],
    9: [1, 1, 2, 5, 11, 25, 63, 148, 345, 771, 1637, 3252, 5995, 10120, 15615, 21933, 27987, 32403, 34040],
    10: [
        1,
        1,
        2,
        5,
        11,
        26,
        66,
        165,
        428,
        1103,
        2769,
        6759,
        15772,
        34663,
        71318,
        136433,
        241577,
        395166,
        596191,
        828728,
        1061159,
        1251389,
        1358852,
    ],
}


def graphs(nodes: int) -> hd.Domain[Graph]:
    """All graphs on so many nodes.

    Example:
        >>> graphs(4).size, graphs(4).cnfs().count().run()
        (64, 11)
    """
    return hd.Subsets(hd.Subsets(hd.USet(nodes, "n"), 2))


def known(nodes: int) -> list[int]:
    """The numbers of classes with 0, 1, 2, ... edges.

    Example:
        >>> known(4)
        [1, 1, 2, 3, 2, 1, 1]
    """
    pairs, half = nodes * (nodes - 1) // 2, HALVES[nodes]
    return [half[min(edges, pairs - edges)] for edges in range(pairs + 1)]


def graph6(nodes: int, graph: Graph) -> str:
    """A graph in the format graph6: a byte for the number of nodes, then six pairs to a byte, column by column.

    Args:
        nodes: Number of nodes, at most 62.
        graph: The graph.

    Example:
        >>> a, b, c, d = hd.USet(4, "n")
        >>> graph6(4, hd.Set([hd.Set([a, b]), hd.Set([b, c]), hd.Set([c, d])]))
        'Ch'
    """
    # Pairs {0,1}, {0,2}, {1,2}, {0,3}, ...: those of column j come after the j(j-1)/2 of columns before.
    bits = [False] * (nodes * (nodes - 1) // 2)
    for edge in graph:
        i, j = sorted(node.index for node in edge)
        bits[j * (j - 1) // 2 + i] = True
    bits += [False] * (-len(bits) % 6)
    sixes = (bits[start : start + 6] for start in range(0, len(bits), 6))
    return chr(nodes + 63) + "".join(
        chr(63 + sum(bit << 5 - place for place, bit in enumerate(six))) for six in sixes
    )


def line(nodes: int, graph: Graph) -> tuple[int, str]:
    """Number of edges, and graph6.

    Example:
        >>> graphs(3).cnfs().map(partial(line, 3)).run()
        [(0, 'B?'), (1, 'B_'), (2, 'Bo'), (3, 'Bw')]
    """
    return len(graph), graph6(nodes, graph)


def verdict(nodes: int, found: list[int]) -> tuple[str, int]:
    """What was found, by number of edges, in words, and the exit code that says it in short.

    Example:
        >>> print(verdict(2, [1, 2])[0])
        graphs with 2 nodes, up to isomorphism, by number of edges:
               0         1
               1         2  but 1 are known
           total         3  but 2 are known
        the numbers DO NOT agree with OEIS A000088 and A008406
    """
    total, expected = sum(found), known(nodes)
    lines = [
        f"graphs with {nodes} nodes, up to isomorphism, by number of edges:",
        *(
            f"{edges:>8}  {count:>8,}" + ("" if count == right else f"  but {right:,} are known")
            for edges, (count, right) in enumerate(zip(found, expected, strict=True))
        ),
        f"   total  {total:>8,}" + ("" if total == TOTALS[nodes] else f"  but {TOTALS[nodes]:,} are known"),
    ]
    agrees = found == expected and total == TOTALS[nodes]
    lines.append(f"the numbers {'agree' if agrees else 'DO NOT agree'} with OEIS A000088 and A008406")
    return "\n".join(lines), AGREES if agrees else DIFFERS


# --- the command line -------------------------------------------------------------------------------------


def address(text: str) -> tuple[str, int]:
    """Split IP:PORT."""
    ip, _, port = text.rpartition(":")
    if not ip or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no address: IP:PORT is needed, such as 127.0.0.1:8787")
    return ip, int(port)


@contextlib.contextmanager
def context(workers: int, scheduler: tuple[str, int] | None) -> Iterator[hd.Context]:
    """Where to run: on own workers, on those of a scheduler, or in this process."""
    if scheduler is not None:
        with hd.DistributedContext(*scheduler) as ctx:
            yield ctx
    elif workers:
        with hd.DistributedContext(spawn_workers=workers) as ctx:
            yield ctx
    else:
        yield hd.SerialContext()


def main(argv: list[str] | None = None) -> int:
    """Count or list, compare, and return the exit code."""
    parser = argparse.ArgumentParser(description="All graphs on n nodes, up to isomorphism.")
    parser.add_argument(
        "--nodes", "-n", type=int, choices=TOTALS, default=6, metavar="N", help=f"1 to {max(TOTALS)} (6)"
    )
    parser.add_argument("--graph6", action="store_true", help="print each graph, one to a line")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, default=0, metavar="N", help="start so many workers (0: none)")
    where.add_argument(
        "--scheduler", type=address, metavar="IP:PORT", help="use the workers of this scheduler"
    )
    args = parser.parse_args(argv)
    representatives = graphs(args.nodes).cnfs()
    try:
        with context(args.workers, args.scheduler) as ctx:
            if args.graph6:
                listed = representatives.map(partial(line, args.nodes)).run(ctx)
                edges = dict(Counter(count for count, _ in listed))
            else:
                listed = []
                edges = representatives.frequencies(len).run(ctx)  # makes no graph
    except hd.HaydiError as error:
        print(f"graphs: {error}", file=sys.stderr)
        return NOT_RUN
    except KeyboardInterrupt:
        return INTERRUPTED
    for _, text in listed:
        print(text)
    found = [edges.get(count, 0) for count in range(len(known(args.nodes)))]
    told, code = verdict(args.nodes, found)
    print(told, file=sys.stderr if args.graph6 else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main())
