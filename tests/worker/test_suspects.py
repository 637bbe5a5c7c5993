"""Finding a poison step: how many deaths it takes, and that nobody else is named."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from haydi.worker.suspects import Suspect, narrow


def search(size: int, poison: set[int], allowed: int, parts: int) -> tuple[list[int], list[int]]:
    """Run ``[0, size)`` until nothing is left; processes tell their chunk, one of ``parts``, or nothing with 1.

    Returns:
        Steps that were named, and how many died in each step when it was run alone, by step.
    """
    named: list[int] = []
    alone: dict[int, int] = {}
    todo: list[Suspect | tuple[int, int]] = [(0, size)]
    while todo:
        item = todo.pop()
        start, stop = item[0], item[1]
        first = min((step for step in poison if start <= step < stop), default=None)
        if first is None:
            continue
        chunk = -(-(stop - start) // parts)
        a = start + (first - start) // chunk * chunk
        b = min(a + chunk, stop)
        if stop - start == 1:
            alone[first] = alone.get(first, 0) + 1
        suspects, deaths = narrow(item if isinstance(item, Suspect) else None, a, b, allowed)
        todo += [(x, y) for x, y in ((start, a), (b, stop)) if x < y]
        todo += suspects
        if not suspects:
            assert b - a == 1
            assert deaths == allowed
            named.append(a)
    return named, [alone.get(step, 0) for step in named]


@given(
    st.integers(1, 1 << 70),
    st.sets(st.integers(0, (1 << 70) - 1), max_size=3),
    st.integers(1, 4),
    st.sampled_from([1, 64]),
)
def test_exactly_the_poison_is_named(size: int, steps: set[int], allowed: int, parts: int) -> None:
    poison = {step % size for step in steps}
    named, alone = search(size, poison, allowed, parts)
    assert sorted(named) == sorted(poison)
    assert all(count >= allowed - 1 for count in alone), "a step is named by deaths of its own"


def deaths_of_a_search(size: int, at: int, parts: int) -> int:
    deaths = 0
    suspect: Suspect | None = None
    start, stop = 0, size
    while True:
        chunk = -(-(stop - start) // parts)
        a = start + (at - start) // chunk * chunk
        b = min(a + chunk, stop)
        deaths += 1
        suspects, _ = narrow(suspect, a, b, 3)
        if not suspects:
            return deaths
        (suspect,) = [s for s in suspects if s.start <= at < s.stop]
        start, stop = suspect.start, suspect.stop


def test_a_search_takes_the_logarithm_of_the_steps() -> None:
    for at in (0, 12345678901234567, (1 << 60) - 1):
        assert deaths_of_a_search(1 << 60, at, 1) <= 3 + 60 + 3
        assert deaths_of_a_search(1 << 60, at, 64) <= 18
    assert deaths_of_a_search(1, 0, 1) == 3
    assert deaths_of_a_search(64, 17, 64) == 3
