"""What the scheduler tells of itself: plain data, made on demand, that a monitor may show or write as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from haydi.scheduler.core import SchedulerCore

__all__ = ["snapshot"]

#: Larger numbers are told in hexadecimal, as texts: to write them in decimal takes long, and Python refuses it.
BITS_MOST = 4096


def _number(steps: int) -> int | str:
    return steps if steps.bit_length() <= BITS_MOST else hex(steps)


def snapshot(core: SchedulerCore, now: float) -> dict[str, Any]:
    """Cluster, workers, clients and runs; times in seconds, steps as ints (huge ones as hexadecimal texts)."""
    held: dict[bytes, int] = {}
    for run in core.runs.values():
        for peer, steps in run.ledger.held.items():
            held[peer] = held.get(peer, 0) + steps.size
    return {
        "cluster": core.cluster,
        "version": core.version,
        "slots": core.dealer.slots,
        "workers": [
            {
                "name": w.hello.name,
                "host": w.hello.host,
                "pid": w.hello.pid,
                "slots": w.slots,
                "idle": w.idle,
                "state": "leaving" if w.leaving or w.retired else "working" if held.get(peer) else "idle",
                "held": _number(held.get(peer, 0)),
                "silent_seconds": max(0.0, now - w.last_seen),
            }
            for peer, w in core.workers.items()
        ],
        "clients": [
            {"host": c.hello.host, "pid": c.hello.pid, "runs": len(c.runs)} for c in core.clients.values()
        ],
        "runs": [
            {
                "run": r.number,
                "host": core.clients[r.owner].hello.host,
                "pid": core.clients[r.owner].hello.pid,
                "priority": r.plan.priority,
                "seconds": max(0.0, now - r.started),
                "steps": _number(r.ledger.stop),
                "merged": _number(r.ledger.merged.size),
                "unassigned": _number(r.ledger.unassigned.size),
                "workers": len(r.ledger.held),
                "steals": r.steals,
            }
            for r in core.runs.values()
        ],
    }
