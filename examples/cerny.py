"""Cerny's conjecture, checked on every automaton of a given size.

A word is a *reset word* of an automaton when it leads all states into one: whoever reads it knows where the
automaton is, wherever it was before. Jan Cerny conjectured in 1964 that an automaton with n states that has a
reset word has one of at most (n-1)^2 letters. The question is open; Cerny's own automata need that many.

This program takes all automata with two letters,

    Mappings(Range(n) * Range(2), Range(n))

that is all ways to say in which state (state, letter) ends, finds the length of the shortest reset word of
each, and groups the automata by it. The domain has n^(2n) elements: 65,536 for n=4, 9,765,625 for n=5.

**The shortest reset word** is a shortest path from the set of all states to a set of one state. Sets of
states are bit masks, and a letter is a table that says for each set where the letter leads it. There are only
n^n letters to n^(2n) automata, so a process makes each table once, and an automaton is two lookups and a
breadth-first search over at most 2^n small integers. In the tables all sets of one state are 0: a search sees
by that, at no cost, that it has arrived. Most searches end after two to four letters, in 1.5 microseconds.

**Up to isomorphism.** The names of states and letters do not matter. With ``--up-to-isomorphism`` both are atoms,
and one automaton of each class is looked at, with the number of automata it stands for:

    Mappings(USet(n) * USet(2), USet(n)).cnfs(with_orbit_size=True)

These are 1,474 classes for n=4, 41,876 for n=5 and 1,540,696 (of 2,176,782,336 automata) for n=6.

Run it in this process, on workers of its own, or on a cluster; the answer (stdout) is the same:

    python examples/cerny.py --states 4
    python examples/cerny.py --states 5 --workers 4
    python examples/cerny.py --states 6 --workers 2 --up-to-isomorphism
    python examples/cerny.py --states 5 --scheduler 127.0.0.1:8787

Exit codes: 0 the conjecture holds for n, 1 it does not, 2 the search could not be run, 3 undecided in the
time given, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from operator import attrgetter
from typing import Any, TextIO, TypeVar

import haydi as hd

Automaton = hd.Map[tuple[int, int], int]
Letter = tuple[int, ...]  # for each state the state it leads to
Found = dict[int, list[Any]]  # by length of the shortest reset word: how many automata, and the first few
Class = tuple[
    hd.Map[tuple[hd.Atom, hd.Atom], hd.Atom], int
]  # an automaton of atoms, and the size of its class
Census = dict[int | None, list[Any]]  # by that length: how many classes, how many automata, the first few

T = TypeVar("T")

HOLDS, REFUTED, NOT_RUN, UNDECIDED, INTERRUPTED = 0, 1, 2, 3, 130

STATES_MAX = 8  # n=8 has 2.8e14 automata
TABLES_MAX = 50_000  # of n=8 there are 16 million letters, of 2 kB each
REFRESH_SECONDS = 0.2
LINE_SECONDS = 10.0


class Tables(dict[Letter, tuple[int, ...]]):
    """For each letter the table of where it leads each set of states, made when it is first asked for.

    Example:
        >>> table = Tables()[1, 1, 2]  # 0 and 1 go to 1, 2 stays
        >>> bin(table[0b111]), bin(table[0b110]), table[0b011]  # a single state is written as 0
        ('0b110', '0b110', 0)
    """

    def __missing__(self, letter: Letter) -> tuple[int, ...]:
        images = [0]
        for target in letter:  # each state doubles the sets: without it, and with it
            images += [image | 1 << target for image in images]
        table = tuple(image if image & (image - 1) else 0 for image in images)
        if len(self) >= TABLES_MAX:
            self.clear()
        self[letter] = table
        return table


TABLES = Tables()


def reset_length(automaton: Automaton) -> int | None:
    """Length of the shortest reset word of an automaton, or None when it has none.

    Args:
        automaton: Maps each (state, letter) to a state; the letters are 0 and 1.

    Example:
        >>> cerny_3 = hd.Map({(0, 0): 1, (1, 0): 2, (2, 0): 0, (0, 1): 1, (1, 1): 1, (2, 1): 2})
        >>> reset_length(cerny_3)
        4
    """
    return shortest(automaton.values())


def shortest(targets: tuple[int, ...]) -> int | None:
    """Length of the shortest reset word, or None.

    Args:
        targets: Where each (state, letter) leads, ordered by state and then by letter.

    Example:
        >>> shortest((1, 1, 2, 1, 0, 2))
        4
    """
    a, b = TABLES[targets[::2]], TABLES[targets[1::2]]
    states = len(a) - 1
    if states == 1:
        return 0
    if a[states] == b[states] == states:
        return None  # both letters permute the states
    length = [0] * len(a)  # of a shortest word to a set, and one letter more; 0 when none is known
    length[states] = 1
    queue = [states]
    for subset in queue:  # written out for both letters: this is the loop that all the time goes into
        image = a[subset]
        if not length[image]:
            if not image:
                return length[subset]
            length[image] = length[subset] + 1
            queue.append(image)
        image = b[subset]
        if not length[image]:
            if not image:
                return length[subset]
            length[image] = length[subset] + 1
            queue.append(image)
    return None


INDEX = attrgetter("index")


class Survey(hd.Action[Class, Census, Census]):
    """Classes and automata by the length of their shortest reset word.

    Args:
        show: How many classes of each length to keep: the first ones.

    Example:
        >>> survey = classes(2).cnfs(with_orbit_size=True).action(Survey(1)).run()
        >>> {length: group[:2] for length, group in survey.items()}
        {1: [4, 12], None: [3, 4]}
    """

    def __init__(self, show: int) -> None:
        self.show = show

    def init(self) -> Census:
        """Nothing."""
        return {}

    def fold(self, partial: Census, element: Class) -> Census:
        """One class more."""
        automaton, size = element
        group = partial.setdefault(shortest(tuple(map(INDEX, automaton.values()))), [0, 0])
        group[0] += 1
        group[1] += size
        if len(group) < 2 + self.show:
            group.append(element)
        return partial

    def merge(self, left: Census, right: Census) -> Census:
        """Add up; of the classes to show, those of the earlier part come first."""
        for length, (count, size, *shown) in right.items():
            group = left.setdefault(length, [0, 0])
            group[0] += count
            group[1] += size
            group += shown[: 2 + self.show - len(group)]
        return left


def reset_word(automaton: Automaton) -> str | None:
    """The first shortest reset word, in letters a and b: plain and slow, to be shown and to check by.

    Example:
        >>> reset_word(hd.Map({(0, 0): 1, (1, 0): 2, (2, 0): 0, (0, 1): 1, (1, 1): 1, (2, 1): 2}))
        'baab'
    """
    states = frozenset(state for state, _ in automaton)
    words = {states: ""}
    queue = [states]
    for subset in queue:
        if len(subset) == 1:
            return words[subset]
        for letter in (0, 1):
            image = frozenset(automaton[state, letter] for state in subset)
            if image not in words:
                words[image] = words[subset] + "ab"[letter]
                queue.append(image)
    return None


def automata(states: int) -> hd.Domain[Automaton]:
    """All automata with two letters and so many states.

    Example:
        >>> automata(4).size
        65536
    """
    return hd.Mappings(hd.Range(states) * hd.Range(2), hd.Range(states))


def search(states: int, show: int = 4) -> hd.Pipeline[Automaton, dict[Any, list[Any]]]:
    """The pipeline that groups all automata by the length of their shortest reset word.

    Args:
        states: Number of states.
        show: How many automata of each group to keep: the first ones in the order of the domain.

    Example:
        >>> {length: group[0] for length, group in search(2).run().items()}
        {1: 12}
    """
    return automata(states).groups_counts(reset_length, limit=show)


def classes(states: int) -> hd.Domain[hd.Map[tuple[hd.Atom, hd.Atom], hd.Atom]]:
    """All automata with two letters and so many states, states and letters being atoms.

    Example:
        >>> classes(4).size, classes(4).cnf_count()
        (65536, 1474)
    """
    atoms = hd.USet(states, "q")
    return hd.Mappings(atoms * hd.USet(2, "x"), atoms)


def named(automaton: hd.Map[tuple[hd.Atom, hd.Atom], hd.Atom]) -> Automaton:
    """An automaton of atoms with numbers for states and letters.

    Example:
        >>> named(next(iter(classes(2))))
        {(0, 0): 0, (0, 1): 0, (1, 0): 0, (1, 1): 0}
    """
    return hd.Map(((state.index, x.index), target.index) for (state, x), target in automaton.items())


# --- what the user sees -----------------------------------------------------------------------------------


def drawing(automaton: Automaton) -> str:
    """An automaton as a small table, with a shortest reset word.

    Example:
        >>> print(drawing(hd.Map({(0, 0): 1, (1, 0): 0, (0, 1): 1, (1, 1): 1})))
            state 0 1
                a 1 0
                b 1 1    reset word: b
    """
    rows: list[list[int]] = [
        [target for (_, x), target in automaton.items() if x == letter] for letter in (0, 1)
    ]
    states, a, b = (" ".join(map(str, row)) for row in (range(len(rows[0])), *rows))
    return f"    state {states}\n        a {a}\n        b {b}    reset word: {reset_word(automaton)}"


def answer(states: int, found: Found, done: int) -> tuple[str, int]:
    """What was found on ``done`` automata, in words, and the exit code that says it in short."""
    size, bound = states ** (2 * states), (states - 1) ** 2
    without = done - sum(group[0] for group in found.values())
    lines = [
        f"automata with {states} states and 2 letters: {size:,}",
        f"gone through: {done:,} ({100 * done / size:.4g} %)",
        f"without a reset word: {without:,}",
        "by length of the shortest reset word:",
    ]
    lines += [f"{length:>8}  {found[length][0]:>12,}" for length in sorted(found)]
    longest = max(found, default=0)
    if found:
        count, *shown = found[longest]
        lines.append(f"the maximum, {longest}, is attained by {count:,}; (n-1)^2 = {bound}")
        lines += ["", f"{len(shown)} of {count:,}:", *map(drawing, shown), ""]
    return concluded(lines, states, longest, done == size)


def concluded(lines: list[str], states: int, longest: int, complete: bool) -> tuple[str, int]:
    """The last word on the conjecture, and the exit code."""
    bound = (states - 1) ** 2
    if longest > bound:
        return "\n".join([*lines, "the conjecture is refuted"]), REFUTED
    if not complete:
        return "\n".join([*lines, "undecided: not all automata were gone through"]), UNDECIDED
    holds = longest == bound
    lines.append(f"the conjecture {'holds' if holds else 'does not hold'} for {states} states and 2 letters")
    return "\n".join(lines), HOLDS if holds else REFUTED


def answer_of_classes(states: int, found: Census) -> tuple[str, int]:
    """The same of classes: what was found, in words, and the exit code."""
    size, count, bound = states ** (2 * states), classes(states).cnf_count(), (states - 1) ** 2
    done, automata_done = (sum(group[i] for group in found.values()) for i in (0, 1))
    without = found.get(None, [0, 0])
    lengths = sorted(length for length in found if length is not None)
    lines = [
        f"automata with {states} states and 2 letters, up to renaming states and letters: {count:,}",
        f"gone through: {done:,} ({100 * done / count:.4g} %), which stand for {automata_done:,} of {size:,}",
        f"without a reset word: {without[0]:,}, which stand for {without[1]:,}",
        "by length of the shortest reset word, and what these stand for:",
    ]
    lines += [f"{length:>8}  {found[length][0]:>12,}  {found[length][1]:>14,}" for length in lengths]
    longest = lengths[-1] if lengths else 0
    if lengths:
        number, automata_there, *shown = found[longest]
        lines.append(
            f"the maximum, {longest}, is attained by {number:,}, "
            f"which stand for {automata_there:,}; (n-1)^2 = {bound}"
        )
        lines += ["", f"{len(shown)} of {number:,}:", *(drawing(named(one)) for one, _ in shown), ""]
    return concluded(lines, states, longest, (done, automata_done) == (count, size))


class ProgressLine:
    """How far a run is, on one line of a terminal; elsewhere (a log file) a new line now and then."""

    def __init__(self, out: TextIO, unit: str = "automata") -> None:
        self._out = out
        self._unit = unit
        self._live = out.isatty()
        self._next = time.monotonic() + (0.0 if self._live else LINE_SECONDS)

    def show(self, report: hd.Report, last: bool = False) -> None:
        """Write the state of the run, unless it was written a moment ago."""
        now = time.monotonic()
        if not last and now < self._next:
            return
        self._next = now + (REFRESH_SECONDS if self._live else LINE_SECONDS)
        done, steps = report.steps_done, report.steps or 1
        text = f"{done:,} of {steps:,} {self._unit} ({100 * done / steps:.3g} %), {report.rate:,.0f}/s"
        if last:
            text += f", {report.state} after {report.seconds:.1f} s on {report.workers} workers"
        elif done:
            text += f", {duration((steps - done) / report.rate)} left"
        clear, end = ("\r\x1b[K", "\n" if last else "") if self._live else ("", "\n")
        print(clear + text, end=end, file=self._out, flush=True)


def duration(seconds: float) -> str:
    """A time to come, roughly.

    Example:
        >>> duration(8.2), duration(200), duration(90_000)
        ('8 s', '3 min 20 s', '25 h 0 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def watch(run: hd.Run[T], progress: ProgressLine) -> T:
    """Wait for the result and show how far the run is; Ctrl-C cancels it."""
    try:
        while True:
            try:
                return run.result(timeout=REFRESH_SECONDS)
            except TimeoutError:
                progress.show(run.report)
    except KeyboardInterrupt:
        run.cancel()
        raise
    finally:
        progress.show(run.report, last=True)


# --- the command line -------------------------------------------------------------------------------------


def address(text: str) -> tuple[str, int]:
    """Split IP:PORT."""
    ip, _, port = text.rpartition(":")
    if not ip or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no address: IP:PORT is needed, such as 127.0.0.1:8787")
    return ip, int(port)


def number(least: int, most: int) -> Any:
    """A parser of whole numbers between two limits."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r}: a number between {least} and {most} is needed")
        return int(text)

    return parse


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line; ends the program when it is wrong."""
    parser = argparse.ArgumentParser(
        description="Check Cerny's conjecture on all automata with two letters.",
        epilog="Exit codes: 0 it holds, 1 it does not, 2 not run, 3 undecided in time, 130 interrupted.",
    )
    parser.add_argument(
        "--states", "-n", type=number(1, STATES_MAX), default=4, metavar="N", help="number of states (4)"
    )
    parser.add_argument(
        "--up-to-isomorphism", action="store_true", help="one automaton of those that differ in names only"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        type=number(0, 4096),
        default=0,
        metavar="N",
        help="start so many workers; 0 needs none (0)",
    )
    where.add_argument(
        "--scheduler", type=address, metavar="IP:PORT", help="use the workers of this scheduler"
    )
    parser.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="stop then, and tell what was found so far"
    )
    parser.add_argument(
        "--show", type=number(1, 1000), default=4, metavar="N", help="extremal automata to print (4)"
    )
    return parser.parse_args(argv)


@contextlib.contextmanager
def context(args: argparse.Namespace) -> Iterator[hd.Context]:
    """Where the command line says that the search should run."""
    if not args.workers and args.scheduler is None:
        yield hd.SerialContext()
    elif args.workers:
        with hd.DistributedContext(spawn_workers=args.workers) as ctx:
            yield ctx
    else:
        with hd.DistributedContext(*args.scheduler) as ctx:
            yield ctx


def main(argv: list[str] | None = None) -> int:
    """Search, tell, and return the exit code."""
    args = arguments(argv)
    try:
        with context(args) as ctx:
            if args.up_to_isomorphism:
                survey = classes(args.states).cnfs(with_orbit_size=True).action(Survey(args.show))
                census = watch(
                    ctx.submit(survey, timeout=args.timeout), ProgressLine(sys.stderr, "steps of the search")
                )
                text, code = answer_of_classes(args.states, census)
            else:
                run = ctx.submit(search(args.states, args.show), timeout=args.timeout)
                found = watch(run, ProgressLine(sys.stderr))
                text, code = answer(args.states, found, run.report.steps_done)
    except hd.HaydiError as error:
        print(f"cerny: {error}", file=sys.stderr)
        return NOT_RUN
    except KeyboardInterrupt:
        return INTERRUPTED
    print(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
