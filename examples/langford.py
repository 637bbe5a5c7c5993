"""Langford pairings: a backtracking search written down as a domain.

Put the numbers 1, 1, 2, 2, ..., n, n in a row so that between the two k there are exactly k other numbers, as
in 4 1 3 1 2 4 3 2. That is possible when n or n+1 is a multiple of 4.

The domain is built number by number, from n down to 1. The places of the number k are a small domain, and

    Product((placings of n ... k+1, places of k))  ->  filter: they do not overlap  ->  map: join them

is the domain of all placings of n ... k. So the last one is a product inside a product inside a product, with
a filter at every level. Its steps are numbered as if there were no filters, 3.1e14 of them for n=12, which is
what lets any worker start anywhere. But a filter that rejects a beginning rejects, in one go, all steps that
begin so: Haydi walks through this domain as a backtracking search would, and cuts it for the workers as it
does any other. How much work there is in a range of steps nobody knows beforehand; workers that run dry take
over a part of what others still have.

    python examples/langford.py --numbers 11 --workers 2

Exit codes: 0 the count is the known one, 1 it is not, 2 the search could not be run.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator

import haydi as hd

Placing = tuple[
    int, tuple[int, ...]
]  # positions taken, as bits; where the first n stands, the first n-1, ...

#: Pairings, a row and its mirror image counted as one (OEIS A014552).
KNOWN = {1: 0, 2: 0, 3: 1, 4: 1, 5: 0, 6: 0, 7: 26, 8: 150, 9: 0, 10: 0, 11: 17792, 12: 108144}


def apart(pair: tuple[Placing, Placing]) -> bool:
    """Whether no position is taken twice.

    Example:
        >>> apart(((0b1001, (0,)), (0b1010, (1,)))), apart(((0b10010, (1,)), (0b00101, (0,))))
        (False, True)
    """
    return not pair[0][0] & pair[1][0]


def join(pair: tuple[Placing, Placing]) -> Placing:
    """Two placings as one.

    Example:
        >>> join(((0b10010, (1,)), (0b00101, (0,)))) == (0b10111, (1, 0))
        True
    """
    (taken, starts), (more, start) = pair
    return taken | more, starts + start


def places(k: int, n: int) -> hd.Domain[Placing]:
    """The ways to put the two numbers k, and nothing else, into a row of length 2n.

    Example:
        >>> [(bin(taken), start) for taken, start in places(2, 3)]
        [('0b1001', (0,)), ('0b10010', (1,)), ('0b100100', (2,))]
    """
    return hd.Values([(1 << start | 1 << start + k + 1, (start,)) for start in range(2 * n - k - 1)])


def placings(n: int) -> hd.Domain[Placing]:
    """All ways to put 1, 1, ..., n, n with k others between the two k, mirror images included.

    Args:
        n: The greatest number, at least 1.

    Example:
        >>> [row(placing) for placing in placings(4)]
        [(4, 1, 3, 1, 2, 4, 3, 2), (2, 3, 4, 2, 1, 3, 1, 4)]
        >>> placings(12).size
        309744468633600
    """
    domain = places(n, n)
    for k in range(n - 1, 0, -1):
        domain = hd.Product((domain, places(k, n))).filter(apart).map(join)
    return domain


def row(placing: Placing) -> tuple[int, ...]:
    """The numbers in their places.

    Example:
        >>> row((0b111111, (0, 2, 1)))
        (3, 1, 2, 1, 3, 2)
    """
    _, starts = placing
    numbers = [0] * (2 * len(starts))
    for k, start in zip(range(len(starts), 0, -1), starts, strict=True):
        numbers[start] = numbers[start + k + 1] = k
    return tuple(numbers)


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
    """Count, show one, compare with the known count, and return the exit code."""
    parser = argparse.ArgumentParser(description="Count the Langford pairings of 1, 1, 2, 2, ..., n, n.")
    parser.add_argument(
        "--numbers", "-n", type=int, choices=KNOWN, default=8, metavar="N", help=f"1 to {max(KNOWN)} (8)"
    )
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="start so many workers (0: none)")
    parser.add_argument(
        "--scheduler", type=address, metavar="IP:PORT", help="use the workers of this scheduler"
    )
    args = parser.parse_args(argv)
    domain = placings(args.numbers)
    try:
        with context(args.workers, args.scheduler) as ctx:
            first = domain.map(row).first().run(ctx)
            count = domain.count().run(ctx)
    except hd.HaydiError as error:
        print(f"langford: {error}", file=sys.stderr)
        return 2
    if first is not None:
        print("first:", *first)
    # No row is its own mirror image: in a row of even length the two 1 cannot lie around the middle.
    pairings, known = count // 2, KNOWN[args.numbers]
    as_known = "as known" if pairings == known else f"but {known:,} are known"
    print(f"pairings of 1 to {args.numbers}: {pairings:,}, {as_known}")
    return 0 if pairings == known else 1


if __name__ == "__main__":
    sys.exit(main())
