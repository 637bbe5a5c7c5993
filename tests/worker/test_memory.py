"""Limits of memory, and where they come from: control groups of both versions, as jobs and containers have them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from haydi.errors import ArgumentTypeError, ArgumentValueError
from haydi.worker.memory import LIMIT_BYTES_LEAST, Scales, available_bytes, limit_bytes

WHOLE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
V1_MOUNT = "32 31 0:32 {root} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
V2_MOUNT = "30 23 0:26 {root} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
OTHER = (
    "22 26 0:21 / /proc rw,nosuid - proc proc rw\n33 31 0:9 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
)


def system(root: Path, mounts: str, groups: str, limits: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/mountinfo").write_text(OTHER + mounts)
    (root / "proc/self/cgroup").write_text(groups)
    for path, text in limits.items():
        file = root / "sys/fs/cgroup" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_version_2_has_the_least_limit_up_the_tree(tmp_path: Path) -> None:
    limits = {
        "memory.max": "max\n",
        "slurm/memory.max": f"{1 << 20}\n",
        "slurm/job_7/memory.max": f"{3 << 20}\n",
        "slurm/job_7/step_0/memory.max": "max\n",
    }
    root = system(tmp_path, V2_MOUNT.format(root="/"), "0::/slurm/job_7/step_0\n", limits)
    assert available_bytes(root) == 1 << 20


def test_version_1(tmp_path: Path) -> None:
    limits = {
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/pbs/12/memory.limit_in_bytes": f"{5 << 20}\n",
        "cpu/pbs/12/memory.limit_in_bytes": "1\n",
    }
    groups = "5:cpu:/pbs/12\n4:memory:/pbs/12\n0::/\n"
    assert available_bytes(system(tmp_path, V1_MOUNT.format(root="/"), groups, limits)) == 5 << 20


def test_a_container_sees_a_part_of_the_tree(tmp_path: Path) -> None:
    limits = {"memory/memory.limit_in_bytes": f"{7 << 20}\n"}
    root = system(tmp_path, V1_MOUNT.format(root="/docker/abc"), "4:memory:/docker/abc\n", limits)
    assert available_bytes(root) == 7 << 20


def test_a_group_that_cannot_be_seen_has_the_limits_of_those_that_can(tmp_path: Path) -> None:
    root = system(tmp_path, V2_MOUNT.format(root="/"), "0::/../elsewhere\n", {"memory.max": f"{9 << 20}\n"})
    assert available_bytes(root) == 9 << 20


@pytest.mark.parametrize("text", ["", "max\n", "9223372036854771712\n", "nonsense"])
def test_without_a_limit_it_is_the_machine(tmp_path: Path, text: str) -> None:
    root = system(tmp_path, V2_MOUNT.format(root="/"), "0::/a\n", {"a/memory.max": text})
    assert available_bytes(root) == WHOLE


def test_a_system_without_control_groups(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) == WHOLE


def test_auto_divides_what_there_is_and_leaves_some() -> None:
    one, four = limit_bytes("x", "auto", 1), limit_bytes("x", "auto", 4)
    assert one < WHOLE
    assert 4 * four <= one or four == 256 << 20
    assert limit_bytes("x", "auto", 10**9) == 256 << 20


def test_sizes_that_cannot_work_are_named() -> None:
    assert limit_bytes("x", 0, 1) == limit_bytes("x", "0", 1) == 0
    assert limit_bytes("x", LIMIT_BYTES_LEAST, 1) == LIMIT_BYTES_LEAST
    with pytest.raises(ArgumentValueError, match=r"--memory-limit='10MB'.*64\.0 MiB"):
        limit_bytes("--memory-limit", "10MB", 1)
    with pytest.raises(ArgumentValueError, match=r"--memory-limit='lots'.*2GiB"):
        limit_bytes("--memory-limit", "lots", 1)
    with pytest.raises(ArgumentTypeError, match=r"memory_limit=1\.5"):
        limit_bytes("memory_limit", 1.5, 1)  # type: ignore[arg-type]


def test_scales_weigh_those_that_are_there() -> None:
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    ((slot, size),) = Scales().weigh({3: os.getpid(), 4: gone})
    assert slot == 3
    assert size > 1 << 20
