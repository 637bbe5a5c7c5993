"""What operators ask of a scheduler: how things stand, and that a daemon leaves.

Each order has one answer, a JSON object: with ``error``, a text for the operator, when it could not be done.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from haydi.scheduler.snapshot import snapshot
from haydi.scheduler.state import Worker
from haydi.wire import messages as m

if TYPE_CHECKING:
    from haydi.scheduler.core import SchedulerCore

__all__ = ["Told", "answer", "named"]


@dataclass(frozen=True)
class Told:
    """An answer, and the daemons that have to be told to leave."""

    payload: bytes
    retire: tuple[Worker, ...] = ()


def answer(core: SchedulerCore, ask: m.Ask, now: float) -> Told:
    """Answer a monitor."""
    if ask.order == "status":
        return _told(snapshot(core, now))
    if ask.order == "retire":
        return _retire(list(core.workers.values()), ask.argument)
    return _told({"error": f"the order {ask.order!r} is unknown to Haydi {core.version}"})


def _retire(workers: list[Worker], name: str) -> Told:
    found = named(workers, name)
    there = "; ".join(sorted(w.label for w in workers)) or "none"
    if not found:
        return _told({"error": f"no worker is called {name!r}; there are: {there}"})
    if len(found) > 1:
        several = "; ".join(sorted(w.label for w in found))
        return _told(
            {"error": f"{name!r} means {len(found)} workers: {several}. Say HOST:PID for one of them"}
        )
    worker = found[0]
    told = {
        "worker": worker.label,
        "slots": worker.slots,
        "leaving_already": worker.leaving or worker.retired,
    }
    return _told(told, worker)


def named(workers: list[Worker], name: str) -> list[Worker]:
    """The workers that a name means: by their whole name, else by ``HOST:PID``, else by the beginning of their name."""
    ways: tuple[Callable[[Worker], bool], ...] = (
        lambda w: w.hello.name == name,
        lambda w: f"{w.hello.host}:{w.hello.pid}" == name,
        lambda w: bool(name) and w.hello.name.startswith(name),
    )
    for way in ways:
        if found := [worker for worker in workers if way(worker)]:
            return found
    return []


def _told(data: dict[str, Any], *retire: Worker) -> Told:
    return Told(json.dumps(data).encode(), retire)
