"""How many steps are folded before they are sent: a partial must not outgrow what the daemons may hold."""

from __future__ import annotations

from haydi.wire import messages as m
from haydi.worker.state import Run

LIMIT = 1 << 20


def fresh_run() -> Run:
    return Run(m.RunPlan(1, 1, False, False, 1.0, 0.1, b""))


def test_nothing_is_known_before_the_first_partial() -> None:
    assert fresh_run().flush_steps is None


def test_a_partial_that_grows_with_its_steps_stays_near_the_limit() -> None:
    run = fresh_run()
    steps = 50_000
    for _ in range(20):
        run.weigh(steps, 100 * steps + 40, LIMIT)
        assert run.flush_steps is not None
        steps = run.flush_steps
    assert 0.9 * LIMIT < 100 * steps < 1.1 * LIMIT


def test_a_small_partial_may_have_many_steps() -> None:
    run = fresh_run()
    run.weigh(10**30, 20, LIMIT)
    assert run.flush_steps is not None
    assert run.flush_steps > 10**30


def test_a_large_partial_that_has_stopped_growing_is_not_sent_ever_more_often() -> None:
    run = fresh_run()
    steps, most = 50_000, 0
    for _ in range(20):
        run.weigh(steps, 3 * LIMIT, LIMIT)
        assert run.flush_steps is not None
        steps = run.flush_steps
        most = max(most, steps)
    assert most > 10**9


def test_one_step_may_be_larger_than_the_limit() -> None:
    run = fresh_run()
    for _ in range(3):
        run.weigh(1, 100 * LIMIT, LIMIT)
        assert run.flush_steps == 1
