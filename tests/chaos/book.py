"""The bookkeeping of a chaos run: what was done to whom, what came of it, and whether that is good enough.

Pure: the time goes in with each entry. What is entered is what clients and the director saw; the verdict is *failed*
when a result was wrong, an error was not expected, a client did not end a run within the bound, or something was left
behind. *Recovery* is the time from the end of a fault to the next run that ended well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Book"]


@dataclass
class Book:
    """What has happened so far.

    Attributes:
        bound_seconds: How long a client may take for a run, whatever is done to the cluster.
        write: Is given each line of the log.
    """

    bound_seconds: float
    write: Callable[[str], None] = print
    runs: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    longest_recovery_seconds: float = 0.0
    longest_run_seconds: float = 0.0
    began_at: float = 0.0
    ended_at: float = 0.0
    _since: dict[str, tuple[str, float]] = field(default_factory=dict)
    _over_at: list[float] = field(default_factory=list)

    def log(self, now: float, text: str) -> None:
        """A line of the log."""
        self.write(f"{now - self.began_at:8.2f} s  {text}")

    def problem(self, now: float, text: str) -> None:
        """Something that must not be."""
        self.problems.append(f"at {now - self.began_at:.2f} s: {text}")
        self.log(now, f"FAILURE {text}")

    def waits(self, client: str, job: str, now: float) -> None:
        """A client has begun a run, or was started (``job`` is "start")."""
        self._since[client] = (job, now)

    def ran(self, client: str, job: str, what: str, text: str, now: float) -> None:
        """A client has ended a run: ``what`` is "right", "wrong" or "error"."""
        _, since = self._since.pop(client, (job, now))
        if what != "right":
            self.problem(now, f"{what}: {job} of {client}: {text}")
            return
        self.runs[job] += 1
        self.longest_run_seconds = max(self.longest_run_seconds, now - since)
        self.log(now, f"{client}: {job} is right after {now - since:.2f} s")
        for at in self._over_at:
            self.longest_recovery_seconds = max(self.longest_recovery_seconds, now - at)
        self._over_at.clear()

    def gone(self, client: str) -> None:
        """A client is no more: nobody waits for its run."""
        self._since.pop(client, None)

    def fault(self, kind: str, text: str, now: float) -> None:
        """Something was done to the cluster."""
        self.faults[kind] += 1
        self.log(now, f"{kind}: {text}")

    def over(self, now: float) -> None:
        """A fault is over: from now on the cluster recovers."""
        self._over_at.append(now)

    def hung(self, now: float) -> list[str]:
        """The clients that have waited for longer than the bound."""
        return [
            f"{client} has waited {now - since:.0f} s for {job}, more than {self.bound_seconds:g} s"
            for client, (job, since) in self._since.items()
            if now - since > self.bound_seconds
        ]

    @property
    def failed(self) -> bool:
        """Whether anything was not as it has to be; a run of which nothing came has proved nothing."""
        return bool(self.problems) or not self.runs

    def summary(self) -> str:
        """What to tell at the end."""
        lines = [
            f"{self.ended_at - self.began_at:.0f} s, {self.runs.total()} runs, {self.faults.total()} faults",
            f"runs: {_counted(self.runs)}",
            f"faults: {_counted(self.faults)}",
            f"longest recovery {self.longest_recovery_seconds:.1f} s, longest run {self.longest_run_seconds:.1f} s",
        ]
        if not self.runs:
            lines.append("FAILED: no run was completed")
        for problem in self.problems:
            lines.append(f"FAILED {problem}")
        if not self.failed:
            lines.append("all results right, nothing left behind")
        return "\n".join(lines)


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items())) or "none"
