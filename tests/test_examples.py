"""The examples: right on sizes where another way can tell, and programs that behave as they say.

The functions inside are compared with slow ones that share nothing with them; the programs are run as a user
runs them, and what they print must not depend on where the search ran.
"""

from __future__ import annotations

import doctest
import os
import pty
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain, combinations, pairwise, permutations, product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import haydi as hd
from examples import cerny, graphs, langford

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def run_example(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run an example from a place that is not the repository, as somebody who installed Haydi would."""
    command = [sys.executable, str(ROOT / "examples" / name), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, cwd="/", env=ENVIRONMENT, check=False
    )


@pytest.mark.parametrize("module", [cerny, graphs, langford])
def test_doctests(module: ModuleType):
    result = doctest.testmod(module)
    assert result.attempted > 4
    assert not result.failed


# --- cerny: the functions ---------------------------------------------------------------------------------


def shortest_by_trying(automaton: cerny.Automaton, longest: int) -> int | None:
    """Try all words up to a length, shortest first."""
    states = range(len(automaton) // 2)
    for length in range(longest + 1):
        for word in product((0, 1), repeat=length):
            ends = set()
            for state in states:
                for letter in word:
                    state = automaton[state, letter]
                ends.add(state)
            if len(ends) == 1:
                return length
    return None


def pairs_merge(automaton: cerny.Automaton) -> bool:
    """A reset word exists if and only if each two states can be led into one."""
    states = range(len(automaton) // 2)
    merged = {(p, p) for p in states}
    while True:
        more = {
            (p, q)
            for p, q in product(states, repeat=2)
            if any((automaton[p, x], automaton[q, x]) in merged for x in (0, 1))
        }
        if more <= merged:
            return len(merged) == len(states) ** 2
        merged |= more


@pytest.mark.parametrize("states", [1, 2, 3])
def test_reset_length_of_all_small_automata(states: int):
    for automaton in cerny.automata(states):
        assert cerny.reset_length(automaton) == shortest_by_trying(automaton, 5)


@pytest.mark.parametrize("states", [4, 5, 6, 8])
def test_reset_length_of_random_automata(states: int):
    rng = random.Random(states)
    found = set()
    for _ in range(400):
        automaton = cerny.automata(states).generate_one(rng)
        length = cerny.reset_length(automaton)
        word = cerny.reset_word(automaton)
        assert (length is not None) == pairs_merge(automaton) == (word is not None)
        if word is None:
            continue
        found.add(length)
        assert len(word) == length
        ends = {state for state, _ in automaton}
        for letter in word:
            ends = {automaton[state, "ab".index(letter)] for state in ends}
        assert len(ends) == 1
        if len(word) <= 6:
            assert shortest_by_trying(automaton, len(word)) == length
    assert len(found) > 3


@pytest.mark.parametrize("states", range(2, 9))
def test_cernys_own_automata_reach_the_bound(states: int):
    targets = {(state, 0): (state + 1) % states for state in range(states)}
    targets |= {(state, 1): state for state in range(states)} | {(states - 1, 1): 0}
    assert cerny.reset_length(hd.Map(targets)) == (states - 1) ** 2


def test_tables_follow_sets_of_states_and_stay_few(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cerny, "TABLES_MAX", 10)
    tables = cerny.Tables()
    for letter in product(range(3), repeat=3):
        table = tables[letter]
        for subset in range(8):
            image = {letter[state] for state in range(3) if subset >> state & 1}
            assert table[subset] == (sum(1 << state for state in image) if len(image) > 1 else 0)
        assert 0 < len(tables) <= 10


def test_the_search_finds_what_is_known():
    found = cerny.search(4, show=100).run()
    assert max(found) == 9
    count, *extremal = found[9]
    assert count == len(extremal) == 96  # 4 automata up to renaming of states (24 ways)
    assert {cerny.reset_length(automaton) for automaton in extremal} == {9}


def test_the_search_counts_all_automata_with_a_reset_word():
    counts = {length: group[0] for length, group in cerny.search(3).run().items()}
    assert (
        counts == cerny.automata(3).filter(pairs_merge).frequencies(lambda a: shortest_by_trying(a, 5)).run()
    )


@pytest.mark.parametrize(
    ("longest", "done", "code", "words"),
    [
        (4, 729, cerny.HOLDS, "holds for 3 states"),
        (3, 729, cerny.REFUTED, "does not hold for 3 states"),
        (5, 729, cerny.REFUTED, "refuted"),
        (5, 700, cerny.REFUTED, "refuted"),
        (4, 700, cerny.UNDECIDED, "undecided"),
        (3, 0, cerny.UNDECIDED, "undecided"),
    ],
)
def test_the_answer_fits_what_was_found(longest: int, done: int, code: int, words: str):
    automaton = cerny.automata(3)[5]
    found = {1: [done - 1, automaton], longest: [1, automaton]} if done else {}
    text, told = cerny.answer(3, found, done)
    assert told == code
    assert words in text.splitlines()[-1]
    assert f"gone through: {done:,} " in text


# --- cerny: the program -----------------------------------------------------------------------------------


def test_cerny_by_import(capsys: pytest.CaptureFixture[str]):
    assert cerny.main(["--states", "3", "--show", "2"]) == 0
    out, err = capsys.readouterr()
    assert "the maximum, 4, is attained by 24; (n-1)^2 = 4" in out
    assert out.count("reset word: abba") == 2
    assert "729 of 729 automata (100 %)" in err


@contextmanager
def daemons() -> Iterator[str]:
    """A scheduler and a worker as started by hand; gives the address."""
    here = [sys.executable, "-m"]
    with subprocess.Popen(
        [*here, "haydi.scheduler", "--port", "0"], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as scheduler:
        assert scheduler.stderr is not None
        match = re.search(r"127\.0\.0\.1:\d+", scheduler.stderr.readline())
        assert match is not None
        command = [*here, "haydi.worker", match.group(), "--workers", "2"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=ENVIRONMENT) as worker:
            try:
                with hd.DistributedContext(port=int(match.group().rpartition(":")[2])) as ctx:
                    ctx.wait_for_workers(2, timeout=20)
                yield match.group()
            finally:
                for process in (worker, scheduler):
                    process.terminate()


@pytest.mark.usefixtures("no_leftovers")
@pytest.mark.filterwarnings("ignore:the scheduler at .* has no workers yet:RuntimeWarning")
def test_cerny_gives_the_same_answer_everywhere():
    serial = run_example("cerny.py", "--states", "4")
    assert serial.returncode == 0
    assert "the conjecture holds for 4 states" in serial.stdout
    assert "on 1 workers" in serial.stderr
    spawned = run_example("cerny.py", "--states", "4", "--workers", "2")
    assert "on 2 workers" in spawned.stderr
    with daemons() as address:
        by_hand = run_example("cerny.py", "--states", "4", "--scheduler", address)
    assert "on 2 workers" in by_hand.stderr
    assert (spawned.returncode, spawned.stdout) == (0, serial.stdout)
    assert (by_hand.returncode, by_hand.stdout) == (0, serial.stdout)


# --- cerny: up to isomorphism -----------------------------------------------------------------------------


@pytest.mark.parametrize("states", [1, 2, 3, 4])
def test_classes_stand_for_all_automata(states: int):
    """What classes stand for is what the search through all automata counts."""
    survey = cerny.classes(states).cnfs(with_orbit_size=True).action(cerny.Survey(2)).run()
    found = {length: group[0] for length, group in cerny.search(states).run().items()}
    assert {length: group[1] for length, group in survey.items() if length is not None} == found
    assert sum(group[1] for group in survey.values()) == states ** (2 * states)
    for length, (count, _, *shown) in survey.items():
        assert len(shown) == min(2, count)
        for automaton, size in shown:
            assert size == hd.orbit_size(automaton)
            assert shortest_by_trying(cerny.named(automaton), length or 5) == length


def test_cernys_automaton_is_the_only_class_of_5_states_that_reaches_the_bound():
    survey = cerny.classes(5).cnfs(with_orbit_size=True).action(cerny.Survey(1)).run()
    assert sum(group[0] for group in survey.values()) == 41_876
    assert sum(group[1] for group in survey.values()) == 5**10
    count, automata, (one, size) = survey[16]
    assert (max(length for length in survey if length is not None), count, automata, size) == (
        16,
        1,
        240,
        240,
    )
    q, x = hd.USet(5, "q"), hd.USet(2, "x")
    own: Any = {(q[i], x[0]): q[(i + 1) % 5] for i in range(5)} | {(q[i], x[1]): q[i % 4] for i in range(5)}
    assert hd.is_isomorphic(one, hd.Map(own))


def test_parts_of_a_survey_add_up():
    survey = cerny.Survey(2)
    elements = list(cerny.classes(3).cnfs(with_orbit_size=True))
    whole = survey.fold_all(survey.init(), iter(elements))
    for cut in range(0, len(elements), 7):
        left = survey.fold_all(survey.init(), iter(elements[:cut]))
        assert survey.merge(left, survey.fold_all(survey.init(), iter(elements[cut:]))) == whole


@pytest.mark.usefixtures("no_leftovers")
@pytest.mark.filterwarnings("ignore:the scheduler at .* has no workers yet:RuntimeWarning")
def test_cerny_up_to_isomorphism_gives_the_same_answer_everywhere():
    serial = run_example("cerny.py", "--states", "4", "--up-to-isomorphism")
    assert "the maximum, 9, is attained by 2, which stand for 96; (n-1)^2 = 9" in serial.stdout
    assert "gone through: 1,474 (100 %), which stand for 65,536 of 65,536" in serial.stdout
    assert serial.stdout.endswith("the conjecture holds for 4 states and 2 letters\n")
    spawned = run_example("cerny.py", "--states", "4", "--up-to-isomorphism", "--workers", "2")
    with daemons() as address:
        by_hand = run_example("cerny.py", "--states", "4", "--up-to-isomorphism", "--scheduler", address)
    assert [run.returncode for run in (serial, spawned, by_hand)] == [0, 0, 0]
    assert serial.stdout == spawned.stdout == by_hand.stdout


def test_cerny_up_to_isomorphism_is_undecided_when_the_time_is_over(capsys: pytest.CaptureFixture[str]):
    assert cerny.main(["--states", "7", "--up-to-isomorphism", "--timeout", "0.5"]) == cerny.UNDECIDED
    assert "undecided: not all automata were gone through" in capsys.readouterr().out


@pytest.mark.usefixtures("no_leftovers")
@pytest.mark.parametrize("where", [[], ["--workers", "2"]])
def test_cerny_in_little_time_tells_what_it_stands_for(where: list[str]):
    run = run_example("cerny.py", "--states", "7", "--timeout", "1.2", *where)
    assert run.returncode == cerny.UNDECIDED
    assert ", timeout after " in run.stderr
    match = re.search(r"gone through: ([\d,]+) .*\nwithout a reset word: ([\d,]+)\n", run.stdout)
    assert match is not None
    done, without = (int(number.replace(",", "")) for number in match.groups())
    groups = re.findall(r"^ +\d+ +([\d,]+)$", run.stdout, re.MULTILINE)
    assert 0 < done < 7**14
    assert done == without + sum(int(number.replace(",", "")) for number in groups)


@pytest.mark.usefixtures("no_leftovers")
def test_cerny_shows_its_progress_and_stops_on_ctrl_c():
    terminal, end = pty.openpty()
    command = [sys.executable, str(ROOT / "examples" / "cerny.py"), "--states", "6"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=end, env=ENVIRONMENT) as process:
        os.close(end)
        try:
            text = ""
            while not re.search(r"/s, \d[^)]* left", text):
                text += os.read(terminal, 4096).decode()
            process.send_signal(signal.SIGINT)
            with suppress(OSError):  # how a terminal on Linux says that the other end is closed
                while more := os.read(terminal, 4096).decode():
                    text += more
            out, _ = process.communicate(timeout=20)
        finally:
            process.kill()  # does nothing when it has ended
            os.close(terminal)
    assert process.returncode == cerny.INTERRUPTED
    assert out == b""
    assert re.search(r"[\d,]+ of 2,176,782,336 automata .*, cancelled after ", text.splitlines()[-1])
    assert "Traceback" not in text


@pytest.mark.parametrize("program", [cerny.main, graphs.main, langford.main])
def test_a_wrong_address_is_named(program, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        program(["--scheduler", "nowhere"])
    assert stop.value.code == 2
    assert "--scheduler: 'nowhere' is no address: IP:PORT is needed" in capsys.readouterr().err


def test_cerny_names_wrong_arguments(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        cerny.main(["--states", "9"])
    assert stop.value.code == 2
    assert "--states/-n: '9': a number between 1 and 8 is needed" in capsys.readouterr().err
    assert cerny.main(["--states", "3", "--timeout", "-1"]) == cerny.NOT_RUN
    assert "timeout=-1.0" in capsys.readouterr().err


# --- langford ---------------------------------------------------------------------------------------------


def rows_by_trying(n: int) -> set[tuple[int, ...]]:
    """Go through all arrangements of 1, 1, 2, 2, ..., n, n."""
    numbers = [k for k in range(1, n + 1) for _ in range(2)]
    return {
        row
        for row in permutations(numbers)
        if all(row.index(k, row.index(k) + 1) - row.index(k) == k + 1 for k in range(1, n + 1))
    }


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_langford_placings_are_all_there_once(n: int):
    rows = langford.placings(n).map(langford.row).run()
    assert len(rows) == len(set(rows))
    assert set(rows) == rows_by_trying(n)


def test_langford_rows_of_7_and_their_mirror_images():
    rows = langford.placings(7).map(langford.row).run()
    assert len(set(rows)) == 2 * langford.KNOWN[7]
    assert {row[::-1] for row in rows} == set(rows)
    assert all(row[::-1] != row for row in rows)


def test_langford_steps_can_start_anywhere():
    domain = langford.placings(7)
    everything = list(domain)
    assert domain.size is not None
    cuts = [domain.size * i // 13 for i in range(14)]
    pieces = [domain.elements(start, stop) for start, stop in pairwise(cuts)]
    assert list(chain.from_iterable(pieces)) == everything


@pytest.mark.parametrize("n", [n for n in langford.KNOWN if n < 10])
def test_langford_by_import(n: int, capsys: pytest.CaptureFixture[str]):
    assert langford.main(["-n", str(n)]) == 0
    assert capsys.readouterr().out.endswith(f"pairings of 1 to {n}: {langford.KNOWN[n]}, as known\n")


def test_langford_says_when_the_count_is_another(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(langford.KNOWN, 4, 2)
    assert langford.main(["-n", "4"]) == 1
    assert capsys.readouterr().out == "first: 4 1 3 1 2 4 3 2\npairings of 1 to 4: 1, but 2 are known\n"


@pytest.mark.usefixtures("no_leftovers")
def test_langford_gives_the_same_answer_everywhere():
    serial = run_example("langford.py", "-n", "8")
    spawned = run_example("langford.py", "-n", "8", "--workers", "2")
    assert serial.stdout == "first: 8 3 7 2 6 3 2 4 5 8 7 6 4 1 5 1\npairings of 1 to 8: 150, as known\n"
    assert (serial.returncode, spawned.returncode) == (0, 0)
    assert spawned.stdout == serial.stdout


# --- graphs -----------------------------------------------------------------------------------------------


def edges_of(text: str) -> tuple[int, set[frozenset[int]]]:
    """Read graph6, by the words of its definition."""
    nodes = ord(text[0]) - 63
    bits = "".join(f"{ord(letter) - 63:06b}" for letter in text[1:])
    pairs = [frozenset((i, j)) for j in range(nodes) for i in range(j)]
    assert len(bits) - 5 <= len(pairs) <= len(bits)
    assert set(bits[len(pairs) :]) <= {"0"}
    return nodes, {pair for pair, bit in zip(pairs, bits, strict=False) if bit == "1"}


@pytest.mark.parametrize("nodes", [1, 2, 3, 4, 5])
def test_graphs_are_listed_once_each(nodes: int, capsys: pytest.CaptureFixture[str]):
    assert graphs.main(["-n", str(nodes), "--graph6"]) == 0
    out, err = capsys.readouterr()
    assert "agree with OEIS A000088 and A008406" in err
    classes = set()
    for text in out.splitlines():
        count, edges = edges_of(text)
        assert count == nodes
        classes.add(
            frozenset(
                frozenset(frozenset(order[i] for i in edge) for edge in edges)
                for order in permutations(range(nodes))
            )
        )
    assert len(classes) == len(out.splitlines())
    assert sum(map(len, classes)) == 2 ** (nodes * (nodes - 1) // 2)


def test_graph6_is_that_of_the_definition_of_the_format():
    n = hd.USet(5, "n")
    assert (
        graphs.graph6(5, hd.Set(hd.Set((n[i], n[j])) for i, j in [(0, 2), (0, 4), (1, 3), (3, 4)])) == "DQc"
    )
    rng = random.Random(3)
    for nodes in (2, 13, 62):
        n = hd.USet(nodes, "n")
        edges = {frozenset(pair) for pair in combinations(range(nodes), 2) if rng.random() < 0.4}
        graph = hd.Set(hd.Set(n[i] for i in edge) for edge in edges)
        assert edges_of(graphs.graph6(nodes, graph)) == (nodes, edges)


@pytest.mark.parametrize("nodes", graphs.TOTALS)
def test_the_known_numbers_of_graphs_are_those_of_burnsides_lemma(nodes: int):
    assert graphs.known(nodes) == graphs.graphs(nodes).cnf_count(by_size=True)
    assert sum(graphs.known(nodes)) == graphs.TOTALS[nodes]


def test_graphs_says_when_the_numbers_are_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(graphs.HALVES, 4, [1, 1, 2, 4])
    assert graphs.main(["-n", "4"]) == 1
    out = capsys.readouterr().out
    assert "3         3  but 4 are known" in out
    assert "DO NOT agree" in out.splitlines()[-1]


@pytest.mark.usefixtures("no_leftovers")
@pytest.mark.filterwarnings("ignore:the scheduler at .* has no workers yet:RuntimeWarning")
def test_graphs_gives_the_same_answer_everywhere():
    serial = run_example("graphs.py", "-n", "6", "--graph6")
    assert len(serial.stdout.splitlines()) == 156
    spawned = run_example("graphs.py", "-n", "6", "--graph6", "--workers", "2")
    with daemons() as address:
        by_hand = run_example("graphs.py", "-n", "6", "--graph6", "--scheduler", address)
    assert [run.returncode for run in (serial, spawned, by_hand)] == [0, 0, 0]
    assert serial.stdout == spawned.stdout == by_hand.stdout
    counted = run_example("graphs.py", "-n", "6")
    assert "   total       156\nthe numbers agree with OEIS" in counted.stdout
