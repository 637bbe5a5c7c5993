"""How much memory compute processes use, and how much they may.

The kernel ends somebody when memory is used up, and it need not be the one to blame: it may be the daemon, or the shell
of the user. So the supervisor weighs its compute processes several times a second while they work, and ends the one
that is above its limit, which is then told with the step that it was at.

By default the limit is an even share of what there is: the memory of the machine, or of the control group that the
daemon runs in (a batch job, a container), whichever is least up the tree; a tenth of it is left to everybody else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from haydi.errors import ArgumentValueError
from haydi.sizes import parse_bytes, show_bytes

if TYPE_CHECKING:
    import psutil

__all__ = ["LIMIT_BYTES_LEAST", "Scales", "available_bytes", "limit_bytes"]

#: An interpreter with nothing in it needs a good part of this.
LIMIT_BYTES_LEAST: Final = 64 << 20
#: The least that is made of "auto", on machines of many cores and little memory.
_AUTO_BYTES_LEAST: Final = 256 << 20
#: How much of what there is compute processes may use altogether.
_SHARE_PERCENT: Final = 90


def limit_bytes(argument: str, value: int | str, slots: int) -> int:
    """What each of ``slots`` compute processes may use, in bytes; 0 for no limit.

    Args:
        argument: Name of the argument, for the error.
        value: A size, ``"auto"``, or 0.
        slots: Number of compute processes.

    Raises:
        ArgumentTypeError, ArgumentValueError: naming the argument and the value.

    Example:
        >>> limit_bytes("memory_limit", "2GiB", 4), limit_bytes("memory_limit", 0, 4)
        (2147483648, 0)
        >>> limit_bytes("memory_limit", "1MB", 4)
        Traceback (most recent call last):
            ...
        haydi.errors.ArgumentValueError: memory_limit='1MB': less than 64.0 MiB is too little for any process...
    """
    if value == "auto":
        return max(_AUTO_BYTES_LEAST, available_bytes() * _SHARE_PERCENT // 100 // max(1, slots))
    size = parse_bytes(argument, value)
    if 0 < size < LIMIT_BYTES_LEAST:
        raise ArgumentValueError(
            f"{argument}={value!r}: less than {show_bytes(LIMIT_BYTES_LEAST)} is too little for any process; "
            f"0 means no limit"
        )
    return size


def available_bytes(root: Path = Path("/")) -> int:
    """The memory of this machine, or of the control group of this process when that is less.

    Args:
        root: Where the file system begins; for tests.
    """
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([whole, *_group_limits(root)])


def _group_limits(root: Path) -> Iterator[int]:
    """The limits of the control groups of this process, from its own up to the top; of both versions."""
    for top, group in _groups(root):
        place = top / group.strip("/")
        while True:
            for name in ("memory.max", "memory.limit_in_bytes"):
                with suppress(OSError, ValueError):  # not there, or "max"
                    yield int((place / name).read_text())
            if place == top or top not in place.parents:
                break
            place = place.parent


def _groups(root: Path) -> Iterator[tuple[Path, str]]:
    """Mounted trees of control groups that limit memory, and where this process is in each."""
    try:
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
        groups = [line.split(":", 2) for line in (root / "proc/self/cgroup").read_text().splitlines()]
    except OSError:  # no Linux
        return
    for line in mounts:
        fields = line.split()
        with suppress(ValueError, IndexError):
            kind, _, options = fields[fields.index("-") + 1 :][:3]
            if kind not in ("cgroup", "cgroup2") or (kind == "cgroup" and "memory" not in options.split(",")):
                continue
            for _, controllers, path in groups:
                mine = "memory" in controllers.split(",") if kind == "cgroup" else not controllers
                if mine:  # in a container the mount may show a part of the tree only
                    seen = path.removeprefix(fields[3]) if fields[3] != "/" else path
                    yield root / fields[4].lstrip("/"), seen


class Scales:
    """Weighs processes by their resident memory."""

    def __init__(self) -> None:
        self._processes: dict[int, psutil.Process] = {}

    def weigh(self, pids: Mapping[int, int]) -> list[tuple[int, int]]:
        """Memory in use, in bytes, of each process by slot; those that are gone are left out."""
        import psutil  # takes longer to load than all else that a daemon needs to begin

        known = self._processes
        self._processes = {pid: known[pid] for pid in pids.values() if pid in known}
        found: list[tuple[int, int]] = []
        for slot, pid in pids.items():
            with suppress(psutil.Error):
                process: Any = self._processes.get(pid)
                if process is None:
                    process = self._processes[pid] = psutil.Process(pid)
                found.append((slot, process.memory_info().rss))
        return found
