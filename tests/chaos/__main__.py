"""The command line of ``scripts/chaos``."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from functools import partial
from pathlib import Path
from types import FrameType

from tests.chaos.book import Book
from tests.chaos.director import Director, Options
from tests.chaos.netns import Network, NotPermittedError
from tests.chaos.stage import Host, Stage

DESCRIPTION = """Real processes, killed and paused at random, and pipelines whose results are known.

A seed gives the same choices (what is done to whom, when, for how long). Real processes have their own time, so two
runs with one seed are alike and not equal. With --netns the processes live on hosts of their own (network namespaces),
whose links are cut, too; that takes root on Linux, and is left out with a sentence elsewhere.

Exit codes: 0 all results were right and nothing was left behind, 1 something was not, 2 wrong usage, 130 Ctrl-C."""


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "scripts/chaos", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="how long harm is done (default 5)")
    parser.add_argument("--seed", type=int, default=None, help="of the choices; by default a new one")
    parser.add_argument("--netns", action="store_true", help="hosts of their own, and faults of the network")
    parser.add_argument(
        "--daemons", type=int, default=3, help="worker daemons (default 3, of 2 processes each)"
    )
    parser.add_argument("--clients", type=int, default=3, help="clients of the common cluster (default 3)")
    parser.add_argument(
        "--owners", type=int, default=1, help="clients with a cluster of their own (default 1)"
    )
    parser.add_argument(
        "--mean", type=float, default=1.5, help="seconds from fault to fault on average (default 1.5)"
    )
    parser.add_argument(
        "--bound", type=float, default=120.0, help="seconds that no run may exceed (default 120)"
    )
    parser.add_argument(
        "--logs", type=Path, default=None, help="keep the logs of all processes in this directory"
    )
    parser.add_argument("--claim", choices=["wrong", "stuck", "orphan"], help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def play(told: argparse.Namespace, options: Options, stage: Stage, network: Network | None) -> Book:
    """The whole play; afterwards nothing is left, whatever happened."""
    book = Book(told.bound, partial(print, flush=True))
    director = Director(options, stage, book, network)
    try:
        if not director.play():
            stage.kill_all()  # nobody was told to end
        for what in stage.leftovers():
            book.problem(time.monotonic(), f"left behind: {what}")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # what follows takes a moment, and must not be left halfway
        stage.kill_all()
        stage.remove_shared()
        if network is not None:
            network.close()
            for what in network.left():
                book.problem(time.monotonic(), f"left behind: {what}")
        print(book.summary(), flush=True)
    return book


def main(arguments: list[str] | None = None) -> int:
    """Play chaos; the exit code."""
    told = parse(arguments)
    seed = random.SystemRandom().randrange(10**6) if told.seed is None else told.seed
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    options = Options(
        told.minutes * 60, seed, told.daemons, 2, told.clients, told.owners, told.mean, told.bound,
        () if told.claim is None else (f"--{told.claim}",),
    )  # fmt: skip
    if told.logs is not None:
        told.logs.mkdir(parents=True, exist_ok=True)
    stage = Stage(Host("local"), told.logs)
    network, keep = None, True
    try:
        if told.netns:
            network = Network(told.daemons, told.clients, stage.directory)
            stage.scheduler_host = network.scheduler_host
            if not network.netem:
                print("this kernel has no netem: no link will be slow and lossy", flush=True)
        print(f"chaos with --seed {seed} for {told.minutes:g} minutes", flush=True)
        book = play(told, options, stage, network)
        keep = book.failed or told.logs is not None
    except NotPermittedError as error:
        print(f"skipped: --netns is not possible here: {error}")
        keep = False
        return 0
    except KeyboardInterrupt:
        print("interrupted; all processes were ended")
        keep = told.logs is not None
        return 130
    finally:
        stage.close(keep)
        if keep:
            print(f"the logs are in {stage.directory}")
    return int(book.failed)


if __name__ == "__main__":
    sys.exit(main())
