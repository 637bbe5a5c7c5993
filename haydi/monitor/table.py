"""A snapshot of a scheduler as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["describe"]


def describe(snapshot: dict[str, Any], address: str) -> str:
    """The tables of ``haydi status``.

    Example:
        >>> print(describe({"cluster": "c0ffee", "version": "2", "slots": 0, "workers": [], "clients": [], "runs": []},
        ...                "127.0.0.1:8787"))
        scheduler 127.0.0.1:8787, cluster c0ffee, Haydi 2: 0 workers with 0 slots, 0 clients, 0 runs
    """
    workers, clients, runs = snapshot["workers"], snapshot["clients"], snapshot["runs"]
    lines = [
        f"scheduler {address}, cluster {snapshot['cluster']}, Haydi {snapshot['version']}: "
        f"{_some(workers, 'worker')} with {snapshot['slots']} slots, {_some(clients, 'client')}, {_some(runs, 'run')}"
    ]
    if workers:
        head = ["WORKER", "HOST:PID", "SLOTS", "STATE", "STEPS HELD"]
        rows = [
            [w["name"], f"{w['host']}:{w['pid']}", str(w["slots"]), w["state"], _steps(w["held"])]
            for w in workers
        ]
        lines += ["", *_table(head, rows)]
    if runs:
        head = ["RUN", "CLIENT", "PRIORITY", "STEPS", "MERGED", "DONE", "WORKERS", "SECONDS"]
        rows = [
            [
                f"{r['run']:x}",
                f"{r['host']}:{r['pid']}",
                f"{r['priority']:g}",
                _steps(r["steps"]),
                _steps(r["merged"]),
                _share(r["merged"], r["steps"]),
                str(r["workers"]),
                f"{r['seconds']:.1f}",
            ]
            for r in runs
        ]
        lines += ["", *_table(head, rows)]
    return "\n".join(lines)


def _some(things: Sequence[object], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _steps(steps: int | str) -> str:
    """Digits as far as a table has room for them."""
    text = str(steps)
    if len(text) <= 15:
        return text
    if isinstance(steps, str):
        return f"~2^{4 * (len(text) - 2)}"
    return f"{text[0]}.{text[1:4]}e{len(text) - 1}"


def _share(part: int | str, whole: int | str) -> str:
    a, b = (int(x, 16) if isinstance(x, str) else x for x in (part, whole))
    return f"{1000 * a // b / 10 if b else 100.0:.1f}%"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, *rows]
    ]
