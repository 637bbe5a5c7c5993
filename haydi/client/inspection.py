"""What a checkpoint file tells, without a run: ``haydi checkpoint show FILE``.

Everything but the partial result is plain data, so looking at a file of somebody else is safe. The result is pickled,
and to unpickle is to run code: it is shown on request, and only of a file that belongs to the user who asks.
"""

from __future__ import annotations

import os
import pickle
import socket
import time
from pathlib import Path
from typing import Any

from haydi.checkpoint.keeper import load_piece
from haydi.checkpoint.lock import holder
from haydi.checkpoint.store import Store
from haydi.client.merging import Merger
from haydi.domains.describe import show_int
from haydi.errors import CheckpointError
from haydi.ranges import RangeSet
from haydi.sources import ENDLESS

__all__ = ["inspect", "lines", "partial_result"]

_RANGES_SHOWN = 8


def inspect(path: Path) -> dict[str, Any]:
    """Plain data about a checkpoint.

    Raises:
        CheckpointError: when it is none, is damaged, or is written by a run on another machine at this moment.
    """
    user = holder(path)
    if user is not None and user.get("host") not in (None, socket.gethostname()):
        raise CheckpointError(
            f"{str(path)!r} is in use by the run of pid {user.get('pid')} on host {user['host']}: look at it there"
        )
    store = Store(path, write=False)
    try:
        facts = store.facts()
        coverage = RangeSet((start, stop) for start, stop, _ in store.pieces())
    finally:
        store.close()
    steps = int(facts["steps"], 16)
    identity = facts["identity"]
    finished = bool(facts.get("finished"))
    share = 1.0 if finished else 0.0 if steps in (0, ENDLESS) else coverage.size * 10**6 // steps / 10**6
    return {
        "file": str(path),
        "bytes": path.stat().st_size,
        "pipeline": facts["pipeline"],
        "parts": {part["name"]: part["text"] for part in identity["parts"]},
        "haydi": identity["haydi"],
        "python": identity["python"],
        "seed": facts["seed"],
        "steps": None if steps == ENDLESS else steps,
        "steps_done": coverage.size,
        "percent": round(100 * share, 4),
        "coverage": [list(pair) for pair in coverage],
        "state": "finished" if finished else "running" if user is not None else "unfinished",
        "begun": facts["begun"],
        "written": facts["written"],
        "begun_by": facts["by"],
        "in_use_by": user,
    }


def lines(told: dict[str, Any]) -> list[str]:
    """What :func:`inspect` found, for a human."""
    steps = "without end" if told["steps"] is None else show_int(told["steps"])
    percent = "" if told["steps"] is None else f", {told['percent']:g} %"
    shown = [f"[{show_int(start)}, {show_int(stop)})" for start, stop in told["coverage"][:_RANGES_SHOWN]]
    more = len(told["coverage"]) - len(shown)
    state = told["state"]
    if told["in_use_by"]:
        state += f" (pid {told['in_use_by'].get('pid')} on {told['in_use_by'].get('host')})"
    by = told["begun_by"]
    rows = [
        ("file", f"{told['file']}, {told['bytes']} bytes"),
        ("pipeline", told["pipeline"]),
        *((name, text) for name, text in told["parts"].items() if name not in ("number of steps",)),
        ("seed", "none" if told["seed"] is None else repr(told["seed"])),
        ("state", state),
        ("steps done", f"{show_int(told['steps_done'])} of {steps}{percent}"),
        ("coverage", " ".join(shown) + (f" and {more} more ranges" if more else "") or "nothing yet"),
        ("begun", f"{_time(told['begun'])} by {by['user']} on {by['host']}, pid {by['pid']}"),
        ("last written", _time(told["written"])),
        ("versions", f"Haydi {told['haydi']}, Python {told['python']}"),
    ]
    width = max(len(name) for name, _ in rows)
    return [f"{name:{width}}  {text}" for name, text in rows]


def partial_result(path: Path) -> Any:
    """The result of the steps that are kept. This unpickles, and so runs what the file says.

    Raises:
        CheckpointError: when the file is another user's, or its contents cannot be loaded here.
    """
    owner = path.stat().st_uid if path.exists() else os.getuid()
    if owner != os.getuid():
        raise CheckpointError(
            f"{str(path)!r} belongs to user {owner}, not to you: to show its result is to run code that is in it. Copy "
            f"it if you trust who wrote it"
        )
    store = Store(path, write=False)
    try:
        pickled = store.facts()["action"]
        if not pickled:
            raise CheckpointError(
                "the action of this run cannot be pickled, so its result is only shown by the program"
            )
        try:
            action = pickle.loads(pickled)
        except Exception as error:
            raise CheckpointError(f"the action of this run cannot be loaded here: {error!r}") from error
        merger = Merger(action)
        seen = RangeSet()
        for start, stop, payload in store.pieces():
            if not seen.overlaps(start, stop):
                seen.add(start, stop)
                merger.add(start, stop, load_piece(path, start, stop, payload))
    finally:
        store.close()
    return merger.result()


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
