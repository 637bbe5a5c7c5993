"""What must be true, judged from outside the code under test.

* Each step is merged exactly once: counted from the provenance that partials carry, not from anybody's books.
* The result is what a plain loop makes of the steps, and so is the failure; a partial result (timeout) is what a
  plain loop makes of the steps that were merged.
* Nobody is sent anything but Unknown and Refused whom the scheduler does not know.
* Daemon and scheduler agree on who holds what, whenever nothing is under way between them.
* When all is over nobody remembers it: no run, no stride, no byte of credit.
"""

from __future__ import annotations

import pickle
from bisect import bisect_left, bisect_right
from collections.abc import Container
from typing import Any

from haydi.client.core import RunCore
from haydi.client.merging import Merger
from haydi.errors import StepFailure
from haydi.ranges import RangeSet
from haydi.scheduler.core import Effect, SchedulerCore, Send
from haydi.skipping import failures_of
from haydi.wire import messages as m
from haydi.worker.core import WorkerCore
from tests.simulation.jobs import Expected, Job

__all__ = ["RunOracle", "check_agreement", "check_effects", "check_forgotten"]


class RunOracle:
    """Follows what is merged of one run."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._starts: list[int] = []
        self._stops: list[int] = []

    def on_partial(self, start: int, stop: int, payload: bytes) -> Any:
        """A partial is about to be merged; returns it."""
        provenance, partial = pickle.loads(payload)
        at = start
        for a, b in provenance:
            assert a == at < b, f"the partial of [{start}, {stop}) was made of {provenance}"
            at = b
        assert at == stop, f"the partial of [{start}, {stop}) was made of {provenance}"
        self._merge(start, stop)
        return partial

    def on_skip(self, start: int, stop: int) -> None:
        """Steps are about to be skipped, because their processes died."""
        assert stop == start + 1, f"steps [{start}, {stop}) are skipped together"
        self._merge(start, stop)

    def on_restored(self, start: int, stop: int) -> None:
        """Steps were merged before this run began."""
        self._merge(start, stop)

    def _merge(self, start: int, stop: int) -> None:
        i = bisect_right(self._stops, start)
        assert i == bisect_left(self._starts, stop), f"steps of [{start}, {stop}) are merged a second time"
        self._starts.insert(i, start)
        self._stops.insert(i, stop)

    def covered(self) -> list[tuple[int, int]]:
        """The merged ranges, neighbours joined."""
        joined: list[tuple[int, int]] = []
        for start, stop in zip(self._starts, self._stops, strict=True):
            if joined and joined[-1][1] == start:
                start = joined.pop()[0]
            joined.append((start, stop))
        return joined

    def on_over(self, core: RunCore, merger: Merger, *, unlucky: bool = False) -> None:
        """The run has ended; in an unlucky one random kills may have made a fine step look like poison."""
        covered = self.covered()
        assert covered == list(core.coverage) == merger.coverage()
        assert core.repeated == 0, "a partial came twice"
        if core.state in ("cancelled", "lost"):
            return
        told, total = failures_of(merger.partials())
        left_out = [failure.step for failure in told]
        if core.state == "timeout":
            expected = self.job.serial(covered, left_out)
            if expected.state == "done":
                assert merger.result() == expected.value
            return
        expected = self.job.serial([(0, self.job.steps)], left_out)
        assert core.state == expected.state, f"the run is {core.state}, but the serial one {expected.state}"
        if core.state == "failed":
            failure = core.failure
            assert failure is not None
            kinds = {k for step, k in expected.steps.items() if failure.start <= step < failure.stop}
            assert failure.kind in kinds, f"not to blame: {failure}"
            if failure.kind in ("user", "died"):
                assert failure.stop == failure.start + 1, "it is known to the step"
            return
        self._check_failures(told, total, expected, unlucky)
        assert core.limit == 0 or covered[0][0] == 0, "the beginning is missing"
        assert core.limit == 0 or covered[0][1] >= core.limit, "there is a gap"
        if not core.early:
            assert core.limit == self.job.steps
        assert merger.result() == expected.value

    def _check_failures(self, told: list[StepFailure], total: int, expected: Expected, unlucky: bool) -> None:
        """A run that skips names the steps that fail, each once, and no others."""
        kinds = {failure.step: "died" if failure.deaths else "user" for failure in told}
        assert len(kinds) == total == len(told), "a step is named twice"
        assert list(kinds) == sorted(kinds)
        if self.job.skip:
            assert {step: kinds.get(step) for step in expected.steps} == expected.steps, (
                "failures are not told"
            )
        if not unlucky:
            assert kinds.items() <= self.job.bad.items(), f"not to blame: {told}"


def check_effects(known: Container[bytes], core: SchedulerCore, effects: list[Effect]) -> None:
    """Nobody else is spoken to; ``known`` are the peers of before the event."""
    for effect in effects:
        if isinstance(effect, Send) and effect.peer not in known:
            stranger = effect.peer not in core.workers and effect.peer not in core.clients
            assert not stranger or isinstance(effect.message, (m.Unknown, m.Refused)), (
                f"to a stranger: {effect}"
            )


def check_agreement(scheduler: SchedulerCore, peer: bytes, worker: WorkerCore) -> None:
    """Nothing is under way between them: both know of the same leases (steps not needed any more apart)."""
    for number, run in scheduler.runs.items():
        theirs = RangeSet(run.ledger.held.get(peer, ()))
        mine = worker.runs.get(number)
        ours = RangeSet(mine.owned if mine is not None else ())
        ours.cut(run.ledger.stop)
        assert theirs == ours, (
            f"run {number}: {peer!r} holds {theirs} by the ledger, and {ours} by its own books"
        )


def check_forgotten(scheduler: SchedulerCore, workers: list[WorkerCore]) -> None:
    """All runs are over, and all messages have arrived."""
    assert not scheduler.runs
    assert not scheduler.dealer.open
    assert not scheduler.dealer.victims
    assert not any(worker.runs for worker in scheduler.workers.values())
    for worker in workers:
        assert not worker.runs, "a daemon remembers a run"
        assert worker.flying_bytes == 0, f"{worker.flying_bytes} bytes of credit are lost"
        assert not any(place.strides for place in worker.slots), "a stride of a run that is over goes on"
