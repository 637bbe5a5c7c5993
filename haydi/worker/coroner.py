"""The coroner: when a compute process has died, where its steps go, and whom to suspect.

All that the process had and did not send is not begun again: strides, what it had folded, the rest of its segment. What
it was *at* is suspected (see :mod:`haydi.worker.suspects`), unless the supervisor ended it because it did not answer an
interrupt: that is no fault of a step. When one step is left and has killed as many processes as are allowed, the client
is told. In a run that skips what fails the step is then done; in any other it is set aside, and the client decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from haydi.wire import messages as m
from haydi.wire.death import Death
from haydi.worker.marks import FLUSHING, LOADING, Mark
from haydi.worker.state import Run, Slot, Stride
from haydi.worker.suspects import Suspect, narrow

__all__ = ["Verdict", "inquire"]


@dataclass
class Verdict:
    """What follows from a death: a line for the log, and messages for the scheduler."""

    text: str = ""
    messages: list[m.Message] = field(default_factory=list)


def inquire(place: Slot, death: Death, mark: Mark | None, allowed: int, now: float) -> Verdict:
    """Give back what the process of a slot had, and find out what that says.

    Args:
        place: The slot; it is of no use afterwards.
        death: How the process ended.
        mark: What it was at; None when that is not known.
        allowed: Deaths that name a step.
        now: The time.
    """
    blamed = _blamed(place, mark, now)
    front = place.strides[0] if place.strides else None
    again = _give_back(place)
    more = f"; {again} steps run again" if again else ""
    words = f"; its last words: {death.words.strip()[-500:]}" if death.words.strip() else ""
    verdict = Verdict(f"compute process pid {death.pid} {death.describe()}{more}{words}")
    if front is None or front.run.ended:
        return verdict
    run, suspect = front.run, front.suspect
    run.service_seconds += max(0.0, now - front.begun) / run.plan.priority
    if blamed is None:
        if suspect is not None:
            _suspect(run, [suspect])
        return verdict
    if mark is not None and mark.kind == LOADING:
        deaths = run.load_deaths[place.index] = run.load_deaths.get(place.index, 0) + 1
        if deaths >= allowed:
            stop = run.withdraw(front.start, front.stop)
            run.failed.add(front.start, stop)
            told = death._replace(times=deaths)
            verdict.messages.append(m.Failed(run.number, front.start, front.stop, "loading", told.pack()))
        return verdict
    suspects, deaths = narrow(suspect, *blamed, allowed)
    _suspect(run, suspects)
    start, stop = blamed
    if not suspects and run.withdraw(start, stop) == stop:
        if run.plan.skip:
            run.owned.remove(start, stop)
        else:
            run.failed.add(start, stop)
        verdict.messages.append(
            m.Failed(run.number, start, stop, "died", death._replace(times=deaths).pack())
        )
    return verdict


def _give_back(place: Slot) -> int:
    """All that it had goes back into the pools; returns how many steps of that were begun, or about to be."""
    again = 0
    for stride in place.strides:
        if not stride.run.ended:
            stride.run.put_back(stride.start, stride.stop)
            again += stride.stop - stride.start
    if place.folded_run is not None:
        place.folded_run.put_back(place.folded_start, place.folded_stop)
        again += place.folded_stop - place.folded_start
    place.return_segment()
    return again


def _suspect(run: Run, suspects: list[Suspect]) -> None:
    if run.draining:  # nobody will run them here
        return
    for start, stop, deaths in suspects:
        needed = run.withdraw(start, stop)
        if start < needed:
            run.suspects.add(Suspect(start, needed, deaths))


def _blamed(place: Slot, mark: Mark | None, now: float) -> tuple[int, int] | None:
    """The steps that the process was at, or None when it was at nothing, or ended by us for no fault of a step."""
    if not place.strides or place.ended_for in ("interrupt", "leaving"):
        return None
    stride = place.strides[0]
    if mark is not None:
        return _marked(place, stride, mark)
    if stride.begun >= now:  # it was sent together with the news of the death
        return None
    if stride.start < stride.stop:
        return stride.start, stride.stop
    return (place.folded_start, place.folded_stop) if place.folded_run is stride.run else None


def _marked(place: Slot, stride: Stride, mark: Mark) -> tuple[int, int] | None:
    if mark.number != stride.number:  # it had answered the one before, and not begun this one
        return None
    if mark.kind == LOADING:
        return stride.start, stride.stop
    least = stride.start
    if mark.kind == FLUSHING and place.folded_run is stride.run:
        least = place.folded_start
    start, stop = max(least, stride.start + mark.start), min(stride.stop, stride.start + mark.stop)
    return (start, stop) if start < stop else None
