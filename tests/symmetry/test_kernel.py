"""The kernel in C against the engines in Python: the same choices, vectors, orders and numbers of automorphisms."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import haydi as hd
from haydi.domains.domain import Domain
from haydi.order import sort_key
from haydi.symmetry import kernel, tester
from haydi.symmetry.branching import Branching, Path, after
from haydi.symmetry.layout import Layout
from haydi.symmetry.orderly import Scout, Walk
from haydi.symmetry.watch import watch
from tests.symmetry.strict import representatives, strict_domains

_kernel = pytest.importorskip(
    "haydi.symmetry._kernel", reason="there was no compiler when Haydi was installed"
)

if kernel.kernel() != "C":
    pytest.skip(f"there is nothing to test: the kernel is {kernel.kernel()}", allow_module_level=True)

Case = tuple[Domain, list[hd.USet]]

#: A representative: sort key and number of automorphisms.
Found = tuple[Any, int]

n3, n4, m2 = hd.USet(3, "n"), hd.USet(4, "n"), hd.USet(2, "m")


def graphs(n: int) -> Domain[Any]:
    return hd.Subsets(hd.Subsets(hd.USet(n, "n"), 2))


def cycle(*atoms: hd.Atom) -> hd.Set[Any]:
    return hd.Set([(atoms[i], atoms[(i + 1) % len(atoms)]) for i in range(len(atoms))])


DOMAINS = [
    graphs(5),
    hd.Subsets(n3 * n3),
    hd.Subsets(hd.Subsets(n4, 2), 3),
    hd.Subsets(hd.Subsets(n4, 2), 2, 4),
    hd.Subsets(hd.Subsets(n4, 1, 3), 0, 4),
    hd.Subsets(hd.Subsets(n4, 2), 7),
    hd.Subsets(n3, 0),
    hd.Mappings(n3, n3),
    hd.Mappings(n3 * m2, n3),
    hd.Mappings(n3, hd.Subsets(n3)),
    hd.Mappings(hd.Subsets(n3, 2), n3 + hd.Range(2)),
    hd.Mappings(n3, hd.Range(3)) * hd.Subsets(n3) * n3,
    hd.Subsets(n3) * hd.Subsets(n3 * hd.Range(2), 1, 3),
    hd.Permutations(n3 + hd.Range(1)) * n3,
    hd.Permutations(n3) * hd.Subsets(hd.Range(10)),
    hd.Sequences(n4, 4),
    hd.Sequences(n3, 0),
    hd.Mappings(hd.Subsets(n4, 2), hd.Range(3)),
    hd.Product((n3, hd.Range(300))),
    # Renamings that do nothing at all: to the items, and to alternating ones.
    hd.Subsets(hd.Subsets(hd.USet(2, "n"), 2)),
    hd.Subsets(hd.CnfValues([cycle(n3[0], n3[1], n3[2])])) * hd.Range(2),
    hd.Subsets(hd.CnfValues([cycle(n4[0], n4[1], n4[2], n4[3])])),
]

both = pytest.mark.parametrize("engine", ["rows", "slots"])
every = pytest.mark.parametrize("domain", DOMAINS, ids=repr)


def search(layout: Layout, engine: str) -> Any:
    found = kernel.search(layout, engine)
    assert found is not None
    assert found.engine == engine
    return found


def told(layout: Layout, walk: Any, start: Path = (), stops: Sequence[Path | None] = (None,)) -> list[Found]:
    """What a walk tells from a place on, bounded in turn by stops; one event at a time."""
    walk.seek(start)
    found: list[Found] = []
    for stop in stops:
        while (event := walk.next(stop)) is not None:
            assert stop is None or walk.path < stop
            assert start <= walk.path
            count = walk.automorphisms(*event)
            found += [(sort_key(x), count) for x in layout.root.completions(walk.f, *event)]
    return found


def run_through(
    layout: Layout, walk: Any, start: Path = (), stops: Sequence[Path | None] = (None,), limit: int = 4096
) -> list[Found]:
    """The same, many at once."""
    walk.seek(start)
    found: list[Found] = []
    for stop in stops:
        finished = False
        while not finished:
            vectors, automorphisms, lump, finished = walk.run(stop, limit)
            assert len(automorphisms) <= limit
            assert len(vectors) == layout.m * len(automorphisms)
            for k, count in enumerate(automorphisms):
                vector = list(vectors[layout.m * k : layout.m * (k + 1)])
                found.append((sort_key(layout.build(vector)), count))
            if lump is not None:
                count = walk.automorphisms(*lump)
                assert stop is None or walk.path < stop
                found += [(sort_key(x), count) for x in layout.root.completions(walk.f, *lump)]
    return found


def counted(
    layout: Layout, walk: Any, start: Path = (), stops: Sequence[Path | None] = (None,), budget: int = 1 << 20
) -> list[Counter[int]]:
    """For each stop how many vectors have how many automorphisms."""
    walk.seek(start)
    found = []
    for stop in stops:
        histogram: Counter[int] = Counter()
        finished = False
        while not finished:
            number, some, lump, finished = walk.count(stop, budget)
            assert number == sum(some.values())
            histogram.update(some)
            if lump is not None:
                histogram[walk.automorphisms(*lump)] += layout.root.count(walk.f, *lump)
        found.append(+histogram)
    return found


def in_python(layout: Layout) -> Walk:
    return Walk(Branching(layout), watch(layout))


def tree(layout: Layout, look: Callable[[Path], Any]) -> dict[Path, list[int]]:
    """All nodes with their children."""
    branching, f = Branching(layout), [0] * layout.m
    found: dict[Path, list[int]] = {}
    todo: list[tuple[Path, list[int]]] = [((), f)] if layout.root.total else []
    while todo:
        path, f = todo.pop()
        i, free, choices = look(path)
        if free:
            choices = branching.choices(f, i) if i < layout.m else ()
        found[path] = list(choices)
        for choice in choices:
            below = f.copy()
            branching.down(below, i, choice)
            todo.append(((*path, choice), below))
    return found


def some_bounds(nodes: list[Path], rng: random.Random) -> list[Path]:
    """Paths of nodes, behind nodes and of no nodes, in order."""
    bounds = [path for path in nodes if rng.random() < 0.2]
    bounds += [bound for path in nodes if rng.random() < 0.1 if (bound := after(path)) is not None]
    bounds += [(*path, rng.randrange(-3, 8)) for path in nodes if rng.random() < 0.1]
    bounds += [(*path, 10**30) for path in nodes if rng.random() < 0.05]
    return sorted(set(bounds))[: rng.choice([3, 40])]


# ---- the same as Python ----------------------------------------------------------------------------------


def check_agreement(layout: Layout, engine: str, rng: random.Random) -> None:
    walk = search(layout, engine)
    whole = told(layout, in_python(layout))
    assert told(layout, walk) == whole
    assert run_through(layout, walk) == whole
    assert run_through(layout, walk, limit=rng.choice([1, 2, 7])) == whole
    histogram = Counter(count for _, count in whole)
    assert counted(layout, walk) == [histogram]
    assert counted(layout, walk, budget=1) == [histogram]
    nodes = tree(layout, Scout(Branching(layout), watch(layout)).look)
    assert tree(layout, walk.look) == nodes
    bounds = some_bounds(sorted(nodes), rng)
    assert told(layout, walk, (), [*bounds, None]) == whole
    assert run_through(layout, walk, (), [*bounds, None], rng.choice([1, 3, 4096])) == whole
    for start in [(), *bounds][:4]:
        stops = [bound for bound in bounds if bound > start]
        expected = told(layout, in_python(layout), start, [*stops, None])
        assert told(layout, walk, start, [*stops, None]) == expected
        assert run_through(layout, walk, start, [*stops, None]) == expected
        histograms = [
            Counter(count for _, count in told(layout, in_python(layout), begin, [end]))
            for begin, end in zip([start, *stops], [*stops, None], strict=True)
        ]
        assert counted(layout, walk, start, [*stops, None], rng.choice([1, 10, 1000])) == histograms


@both
@every
def test_agrees_with_python(domain: Domain, engine: str):
    layout = Layout(domain)
    check_agreement(layout, engine, random.Random(1))


@both
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(strict_domains(max_size=400), st.randoms(use_true_random=False))
def test_agrees_with_python_on_any_domain(engine: str, case: Case, rng: random.Random):
    check_agreement(Layout(case[0]), engine, rng)


@both
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(strict_domains(max_size=300))
def test_finds_what_brute_force_finds(engine: str, case: Case):
    domain, usets = case
    layout = Layout(domain)
    walk = search(layout, engine)
    keys = [key for key, _ in run_through(layout, walk)]
    if len(set(keys)) == len(keys) and layout.group_order == layout.group_order_full:
        assert sorted(keys) == [sort_key(x) for x, _ in representatives(layout.domain, usets)]


@both
def test_looks_in_any_order(engine: str):
    layout = Layout(hd.Subsets(n3 * n3) * hd.Mappings(n3, n3))
    nodes = tree(layout, Scout(Branching(layout), watch(layout)).look)
    walk = search(layout, engine)
    rng = random.Random(2)
    paths = rng.sample(sorted(nodes), 300)
    walk.seek(())
    for path in paths:
        i, free, choices = walk.look(path)
        assert free or i < layout.m
        assert free or list(choices) == nodes[path]
        walk.next(None)  # which looking does not disturb
    walk.seek(())
    assert told(layout, walk) == told(layout, in_python(layout))


@both
def test_no_node_no_look(engine: str):
    walk = search(Layout(graphs(4)), engine)
    assert walk.look((0,))[2]
    for path in [(1,), (0, 0), (0, -2), (-1, -1), (99,), (10**40,), (-1, 0)]:
        with pytest.raises(ValueError, match="no canonical vector begins with the choices"):
            walk.look(path)
        assert walk.look(())[2] == (-1, 0)


def test_engines_agree_where_groups_are_larger():
    layout = Layout(graphs(7))
    rows, slots = search(layout, "rows"), search(layout, "slots")
    by_rows, by_slots = run_through(layout, rows), run_through(layout, slots)
    assert by_rows == by_slots
    assert len(by_rows) == 1044


@pytest.mark.parametrize(
    ("domain", "number"),
    [
        (graphs(8), 12_346),
        (hd.Subsets(hd.USet(4, "n") ** 2), 3044),
        (hd.Mappings(n4 * m2, n4), 1474),
        (hd.Subsets(hd.Subsets(hd.USet(5, "n"), 3)), 34),
        (hd.Mappings(hd.USet(12, "n"), hd.Range(2)), 13),
        (hd.Subsets(hd.USet(20, "n")), 21),
    ],
    ids=repr,
)
def test_known_numbers_of_classes_and_labelled_elements(domain: Domain, number: int):
    layout = Layout(domain)
    walk = kernel.search(layout)
    assert walk is not None
    (histogram,) = counted(layout, walk)
    assert sum(histogram.values()) == number
    assert sum(layout.group_order // size * count for size, count in histogram.items()) == domain.size


def test_slots_work_for_groups_that_rows_do_not():
    layout = Layout(hd.Mappings(hd.USet(11, "n"), hd.Range(2)) * hd.USet(3, "m") ** 2)
    assert kernel.search(layout).engine == "slots"  # type: ignore[union-attr]
    walk = Walk(Branching(layout), tester.Tester(layout))
    assert told(layout, kernel.search(layout)) == told(layout, walk)


def test_numbers_beyond_64_bits_are_left_to_python():
    layout = Layout(hd.Permutations(n3) * hd.Subsets(hd.Range(100)))
    walk = search(layout, "rows")
    (histogram,) = counted(layout, walk)
    assert sum(histogram.values()) == 2**100
    _, automorphisms, lump, finished = walk.run()
    assert (len(automorphisms), lump, finished) == (0, None, True)
    walk.seek(())
    _, automorphisms, lump, finished = walk.run()
    assert lump is not None
    assert (len(automorphisms), finished) == (0, False)


# ---- long vectors, large alphabets -----------------------------------------------------------------------


@both
def test_long_vectors(engine: str):
    layout = Layout(hd.Sequences(m2, 300))
    walk = search(layout, engine)
    vectors, automorphisms, lump, _ = walk.run(None, 5)
    first = [vectors[300 * k : 300 * (k + 1)] for k in range(len(automorphisms))]
    assert first[: len(automorphisms)] == sorted(first)
    if lump is not None:
        assert lump[0] < 300


def test_entries_of_large_alphabets_are_wider():
    layout = Layout(hd.Mappings(m2, hd.Range(300)))
    vectors, automorphisms, _, finished = search(layout, "slots").run(limit=10**6)
    assert (vectors.format, automorphisms.format, finished) == ("I", "Q", True)
    assert vectors[-2:].tolist() == [299, 299]
    assert len(automorphisms) == 300 * 301 // 2


# ---- what cannot be done is said -------------------------------------------------------------------------


def test_there_is_a_choice(monkeypatch: pytest.MonkeyPatch):
    layout = Layout(graphs(4))
    assert kernel.kernel() == "C"
    monkeypatch.setenv("HAYDI_PURE", "1")
    assert kernel.kernel() == "Python (HAYDI_PURE is set)"
    assert kernel.search(layout) is None
    monkeypatch.setenv("HAYDI_PURE", "0")
    assert kernel.search(layout) is not None
    monkeypatch.setitem(sys.modules, "haydi.symmetry._kernel", None)
    assert kernel.kernel() == "Python (the extension haydi.symmetry._kernel is not built)"
    assert kernel.search(layout) is None


def test_what_is_too_large_is_left_to_python():
    assert kernel.search(Layout(hd.Mappings(hd.USet(70, "n"), hd.Range(2)))) is None
    assert kernel.search(Layout(hd.Mappings(hd.USet(21, "n"), hd.Range(2)))) is None
    assert kernel.search(Layout(hd.Mappings(hd.USet(20, "n"), hd.Range(2)))) is not None


Arguments = dict[str, Any]


def description(domain: Domain[Any], engine: str = "rows") -> Arguments:
    """What a Search is made of."""
    layout = Layout(domain)
    seen: list[Arguments] = []

    class Recorder:
        def __init__(self, *args: Any) -> None:
            names = ["m", "kind", "alphabets", "sets", "orders", "sizes", "swaps", "empty", "engine"]
            seen.append(dict(zip(names, args, strict=True)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_kernel, "Search", Recorder)
        kernel.search(layout, engine)
    return seen[0]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"m": -1}, ValueError),
        ({"m": 10**6}, OverflowError),
        ({"m": 10**30}, OverflowError),
        ({"m": "9"}, TypeError),
        ({"kind": [0] * 8}, ValueError),
        ({"kind": [7] * 9}, ValueError),
        ({"kind": [-1] * 9}, ValueError),
        ({"kind": None}, TypeError),
        ({"alphabets": [(2,)]}, ValueError),
        ({"alphabets": [(3, False)]}, ValueError),
        ({"alphabets": [(2, True)]}, ValueError),
        ({"alphabets": [(10**10, False)]}, ValueError),
        ({"alphabets": 5}, TypeError),
        ({"sets": [(0, 0, 9, 1, 0, 0, 9), (0, 0, 9, 1, 0, 0, 9)]}, ValueError),
        ({"sets": [(0, 0, 10, 1, 0, 0, 9)]}, ValueError),
        ({"sets": [(0, 0, 5, 1, 0, 0, 5)]}, ValueError),
        ({"sets": [(0, 1, 9, 1, 1, 0, 8)]}, ValueError),
        ({"sets": [(0, 0, 9, 1, 0, 0, 10)]}, ValueError),
        ({"sets": [(0, 0, 9, 1, 0, -1, 9)]}, ValueError),
        ({"sets": [(0, 0)]}, ValueError),
        ({"orders": [(0, 2)]}, ValueError),
        ({"orders": [(2, 0)]}, ValueError),
        ({"sizes": [4]}, ValueError),
        ({"sizes": [65]}, OverflowError),
        ({"sizes": [40]}, OverflowError),
        ({"sizes": [2]}, ValueError),
        ({"sizes": [-3]}, ValueError),
        ({"sizes": [0.5]}, TypeError),
        ({"swaps": []}, ValueError),
        ({"swaps": [((0,) * 9, ())] * 2}, ValueError),
        ({"swaps": [((1, 2, 0, 3, 4, 5, 6, 7, 8), ((0, 1),))] * 2}, ValueError),
        ({"swaps": [((9,) * 9, ((0, 1),))] * 2}, ValueError),
        ({"swaps": [3, 4]}, TypeError),
        ({"engine": "fast"}, ValueError),
        ({"engine": None}, TypeError),
    ],
    ids=repr,
)
def test_wrong_descriptions_are_refused(change: Arguments, error: type[Exception]):
    right = description(hd.Subsets(n3 * n3))
    assert _kernel.Search(**right).count()[0] == 104
    with pytest.raises(error):
        _kernel.Search(**(right | change))


def test_wrong_calls_are_refused():
    walk = search(Layout(graphs(4)), "rows")
    calls: list[Callable[[], Any]] = [
        lambda: walk.seek(None),
        lambda: walk.seek([0]),
        lambda: walk.seek((0.5,)),
        lambda: walk.look(3),
        lambda: walk.next("x"),
        lambda: walk.run((None,)),
        lambda: walk.run(None, "many"),
        lambda: walk.count({}),
        lambda: walk.automorphisms(0),
        lambda: _kernel.Search(),
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()
    with pytest.raises(ValueError, match="limit must be at least 1"):
        walk.run(None, 0)
    with pytest.raises(ValueError, match="budget must be at least 1"):
        walk.count(None, -5)
    assert walk.count()[0] == 11


numbers = st.integers(-2, 12) | st.sampled_from([-(2**70), 255, 256, 65536, 2**31 - 1, 2**31, 2**63, 2**64])


@st.composite
def broken(draw: st.DrawFn) -> Arguments:
    """A description with a few numbers in it that are not what they should be."""
    domain = draw(st.sampled_from([d for d in DOMAINS if d.size is not None and d.size < 10**4]))
    found = description(domain, draw(st.sampled_from(["rows", "slots"])))

    def thaw(value: Any) -> Any:
        return [thaw(item) for item in value] if isinstance(value, list | tuple) else value

    made = {name: thaw(value) for name, value in found.items()}
    for _ in range(draw(st.integers(0, 4))):
        name = draw(st.sampled_from(sorted(made)))
        if not isinstance(made[name], list):
            if name == "m":
                made[name] = draw(numbers)
            continue
        where = made[name]
        while where:
            k = draw(st.integers(0, len(where) - 1))
            if isinstance(where[k], list):
                where = where[k]
                continue
            action = draw(st.sampled_from(["set", "set", "drop", "double"]))
            if action == "set":
                where[k] = draw(numbers)
            elif action == "drop":
                del where[k]
            else:
                where.insert(k, where[k])
            break
    return made


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(broken(), st.lists(st.lists(numbers, max_size=4).map(tuple), max_size=6), st.randoms())
def test_nothing_it_is_told_makes_it_crash(made: Arguments, paths: list[Path], rng: random.Random):
    try:
        walk = _kernel.Search(**made)
    except (ValueError, OverflowError):
        return
    for path in paths:
        rng.choice([walk.seek, walk.next, walk.next])(path)
        for _ in range(5):
            walk.next(rng.choice([None, path]))
        walk.run(path, 3)
        walk.count(path, 1)
        assert isinstance(walk.path, tuple)
        assert len(walk.f) == made["m"]
        try:
            walk.look(rng.choice([path, walk.path]))
        except ValueError:
            continue


# ---- threads, signals, memory ----------------------------------------------------------------------------


def test_threads_may_search_at_once_but_not_with_one_search():
    layout = Layout(graphs(8))
    shared = search(layout, "slots")
    refused = threading.Event()
    found: list[int] = []
    complaints: set[str] = set()

    def own() -> None:
        walk, number, finished = search(layout, "slots"), 0, False
        while not finished:
            count, _, _, finished = walk.count(None, 1000)
            number += count
        found.append(number)

    def torment() -> None:
        for _ in range(3000):
            for call in [
                lambda: shared.count(None, 10**6),
                lambda: shared.seek(()),
                lambda: shared.run(None, 100),
                lambda: shared.look((0,)),
                lambda: shared.next(None),
                lambda: shared.f,
                lambda: shared.path,
            ]:
                try:
                    call()
                except RuntimeError as error:
                    complaints.add(str(error))
                    refused.set()
            if refused.is_set():
                return

    threads = [threading.Thread(target=target) for target in (torment, torment, own, own)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [12_346] * 2
    assert complaints <= {"this search is in use by another thread; give each thread its own"}
    shared.seek(())
    assert sum(x.total() for x in counted(layout, shared)) == 12_346


@pytest.mark.parametrize("budget", [1000, 10**18], ids=["between calls", "in one call"])
def test_a_long_search_can_be_interrupted(budget: int):
    code = f"""
import signal, haydi as hd
from haydi.symmetry.layout import Layout
from haydi.symmetry.kernel import search
n = hd.USet(13, "n")
walk = search(Layout(hd.Subsets(hd.Subsets(n, 2))), "slots")
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 0.1)
try:
    while True:
        walk.count(None, {budget})
except KeyboardInterrupt:
    print("interrupted")
walk.seek(())
print(walk.next(None), walk.path)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.stdout, run.returncode) == ("interrupted\n(78, True) (-1,)\n", 0), run.stderr


def work(made: Arguments) -> list[Any]:
    """Something of everything."""
    walk = _kernel.Search(**made)
    found: list[Any] = [walk.look(()), walk.run(None, 50), walk.count(None, 100)]
    walk.seek((0, 1))
    found += [walk.next(None), walk.path, walk.f, walk.look(walk.path), walk.count()]
    return found


WORK = [graphs(6), hd.Mappings(n3 * m2, n3), hd.Subsets(n3) * hd.Subsets(n3 * hd.Range(2), 1, 3)]


@both
@pytest.mark.parametrize("domain", WORK, ids=repr)
def test_no_memory_is_an_error_and_no_leak(domain: Domain, engine: str):
    testing = pytest.importorskip("_testcapi", reason="this Python was built without its own test modules")
    made = description(domain, engine)
    expected = work(made)
    failures = 0
    for start in range(10_000):
        testing.set_nomemory(start, start + 1)
        try:
            found = work(made)
        except MemoryError:
            failures += 1
            continue
        finally:
            testing.remove_mem_hooks()
        if found == expected:
            break
    else:
        pytest.fail("there was never enough memory")
    assert failures > 30


@both
@pytest.mark.parametrize("domain", WORK, ids=repr)
def test_all_memory_is_given_back(domain: Domain, engine: str):
    import gc
    import tracemalloc

    made = description(domain, engine)
    work(made)
    tracemalloc.start()
    try:
        sizes = []
        for _ in range(3):
            for _ in range(5):
                work(made)
                with pytest.raises(ValueError, match="swaps"):
                    _kernel.Search(**(made | {"swaps": [*made["swaps"], made["swaps"][0]]}))
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert sizes[2] - sizes[1] < 2000


def test_a_walk_that_failed_has_no_place():
    testing = pytest.importorskip("_testcapi", reason="this Python was built without its own test modules")
    layout = Layout(graphs(6))
    whole = told(layout, in_python(layout))
    complaints = set()
    for start in range(1, 200):
        walk = search(layout, "rows")
        testing.set_nomemory(start, start + 1)
        try:
            walk.count()
        except MemoryError:
            testing.remove_mem_hooks()
            try:
                walk.next(None)
            except RuntimeError as error:
                complaints.add(str(error))
        finally:
            testing.remove_mem_hooks()
        assert told(layout, walk) == whole
    assert complaints == {"the walk lost its place when it failed; give it one with seek()"}
