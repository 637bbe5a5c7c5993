"""The same faults with other libraries: what really happens, with a time limit.

multiprocessing.Pool, concurrent.futures.ProcessPoolExecutor, dask.distributed and ray each run 300 steps of 10 ms on
two worker processes, with the settings they come with, while one of these things happens:

=============  ====================================================================================
killed         a worker process is killed (SIGKILL) in a step, once
poison         the same in each process that runs the step
stopped        a worker process is stopped (SIGSTOP) in a step, once
memory         a step uses 400 MB, once, where a limit of 256 MB can be asked for (dask only)
driver         the program is killed, its steps in a C loop: when are its processes gone?
scheduler      the scheduler is killed, and started again after 1 s (dask; ray's GCS is not started again)
=============  ====================================================================================

Each case is a program of its own, in an environment of its own (``.venv-peers`` beside the checkout's other ones, made
when it is missing), and is ended with all that it started when it takes longer than the limit.

    python benchmarks/faults_peers.py                  # all; some six minutes
    python benchmarks/faults_peers.py dask ray --limit 30
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
import venv
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".venv-peers"
PYTHON = HOME / "bin" / "python"
MARK = "HAYDI_FAULTS_MARK"

#: Each program ends with a line of JSON: what happened and after how many seconds.
PROGRAM = """
import ctypes, json, os, signal, sys, time
BACKEND, FAULT, DIRECTORY = sys.argv[1:4]
ONCE = os.path.join(DIRECTORY, "once")
CALLS = os.path.join(DIRECTORY, "calls")

def first_time():
    try:
        os.close(os.open(ONCE, os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False

def step(x):
    with open(CALLS, "ab", 0) as file:
        file.write(b"%d %.6f\\n" % (x, time.monotonic()))
    if FAULT == "driver":
        return sum(range(10**12))
    if x == 100:
        if FAULT == "poison" or FAULT == "killed" and first_time():
            os.kill(os.getpid(), signal.SIGKILL)
        if FAULT == "stopped" and first_time():
            os.kill(os.getpid(), signal.SIGSTOP)
        if FAULT == "memory" and first_time():
            kept = bytearray(1) * 400_000_000
            time.sleep(15)
    time.sleep(0.01)
    return x * x

def pool():
    import multiprocessing
    with multiprocessing.get_context("spawn").Pool(2) as p:
        return sum(p.map(step, range(300), chunksize=10))

def executor():
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as p:
        return sum(p.map(step, range(300), chunksize=10))

def dask():
    from distributed import Client, LocalCluster
    if FAULT == "scheduler":
        return dask_with_scheduler()
    limit = {"memory_limit": "256MB"} if FAULT == "memory" else {}
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1", **limit) as c:
        with Client(c) as client:
            return sum(client.gather(client.map(step, range(300))))

def dask_with_scheduler():
    import socket, subprocess
    from distributed import Client
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    tool = os.path.join(os.path.dirname(sys.executable), "dask")
    def scheduler():
        return subprocess.Popen([tool, "scheduler", "--host", "127.0.0.1", "--port", port,
                                 "--dashboard-address", "127.0.0.1:0"], stderr=subprocess.DEVNULL)
    first = scheduler()
    for _ in range(2):
        subprocess.Popen([tool, "worker", f"tcp://127.0.0.1:{port}", "--nthreads", "1", "--host", "127.0.0.1",
                          "--dashboard-address", "127.0.0.1:0"], stderr=subprocess.DEVNULL)
    client = Client(f"tcp://127.0.0.1:{port}", timeout=20)
    client.wait_for_workers(2, timeout=20)
    futures = client.map(step, range(300))
    time.sleep(1)
    first.kill(); first.wait()
    time.sleep(1)
    scheduler()
    return sum(client.gather(futures))

def ray():
    import ray as r
    r.init(num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False,
           object_store_memory=100_000_000)
    remote = r.remote(step)
    references = [remote.remote(x) for x in range(300)]
    if FAULT == "scheduler":
        time.sleep(1)
        import psutil
        servers = [p for p in psutil.Process().children(recursive=True) if p.name() == "gcs_server"]
        assert servers, "no gcs_server to kill"
        while not os.path.exists(CALLS):
            time.sleep(0.01)
        time.sleep(0.5)  # some steps are done
        servers[0].kill()
        gone, _ = psutil.wait_procs(servers[:1], 5)
        assert gone
    return sum(r.get(references))

if __name__ == "__main__":
    began = time.monotonic()
    try:
        found = {"pool": pool, "executor": executor, "dask": dask, "ray": ray}[BACKEND]()
        told = "right result" if found == sum(x * x for x in range(300)) else f"WRONG: {found}"
    except BaseException as error:
        told = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    print("TOLD " + json.dumps([told, time.monotonic(), began]), flush=True)
    os._exit(0)
"""

BACKENDS = ("pool", "executor", "dask", "ray")
PACKAGES = {"dask": "distributed", "ray": "ray"}
FAULTS = ("killed", "poison", "stopped", "memory", "driver", "scheduler")
#: What a library has no such thing for.
NONE = {
    ("pool", "memory"): "has no limit",
    ("executor", "memory"): "has no limit",
    ("ray", "memory"): "has no limit for a process; a monitor of the whole machine's memory (not tried)",
    ("pool", "scheduler"): "has none",
    ("executor", "scheduler"): "has none",
}


def install(names: list[str]) -> dict[str, str]:
    """Make the environment when it is missing; the versions of what is in it."""
    if not PYTHON.exists():
        venv.create(HOME, with_pip=True)
        for package in ("psutil", "dask distributed", "ray"):
            command = [str(PYTHON), "-m", "pip", "install", "--quiet", *package.split()]
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(command, timeout=400, check=False)
    code = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
    versions = {}
    for name in names:
        if name in PACKAGES:
            command = [str(PYTHON), "-c", code, PACKAGES[name]]
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
            versions[name] = answer.stdout.strip() or "did not install"
        else:
            versions[name] = "standard library"
    return versions


def marked(mark: str) -> list[psutil.Process]:
    """The processes that carry a mark in their environment: a program of ours and all it started."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def end(mark: str) -> None:
    """End what is left of a program."""
    for _ in range(20):
        left = marked(mark)
        if not left:
            return
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.1)


def try_fault(backend: str, fault: str, limit_seconds: float) -> dict[str, Any]:
    """Run one program; what happened."""
    mark = uuid.uuid4().hex
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory) / "program.py"
        program.write_text(PROGRAM)
        environment = os.environ | {MARK: mark, "RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": directory}
        process = subprocess.Popen(
            [str(PYTHON), str(program), backend, fault, directory],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            start_new_session=True,
        )
        try:
            if fault == "driver":
                return _killed_driver(process, mark, Path(directory) / "calls", limit_seconds)
            try:
                output, _ = process.communicate(timeout=limit_seconds)
            except subprocess.TimeoutExpired:
                output = ""
            return _outcome(output, Path(directory), limit_seconds)
        finally:
            end(mark)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _outcome(output: str, directory: Path, limit_seconds: float) -> dict[str, Any]:
    calls = directory / "calls"
    lines = [line.split() for line in calls.read_text().splitlines()] if calls.exists() else []
    steps = [int(line[0]) for line in lines]
    told = [line for line in output.splitlines() if line.startswith("TOLD ")]
    if not told:
        what, seconds = f"no answer within {limit_seconds:g} s", None
    else:
        what, ended, began = json.loads(told[0][5:])
        fault_at = next((float(at) for x, at in lines if x == "100"), began)
        seconds = ended - fault_at
    return {
        "what": what,
        "seconds_after_step_100": seconds,
        "steps_again": len(steps) - len(set(steps)),
        "executions": len(steps),
    }


def _killed_driver(
    process: subprocess.Popen[str], mark: str, calls: Path, limit_seconds: float
) -> dict[str, Any]:
    end_at = time.monotonic() + limit_seconds
    while time.monotonic() < end_at and (not calls.exists() or calls.read_text().count("\n") < 2):
        time.sleep(0.05)
    before = len(marked(mark))
    process.kill()
    process.wait()
    killed_at = time.monotonic()
    while (left := marked(mark)) and time.monotonic() < killed_at + limit_seconds:
        time.sleep(0.05)
    seconds = time.monotonic() - killed_at
    what = f"{len(left)} of {before} processes still there" if left else f"all {before} processes gone"
    return {"what": what, "seconds_after_kill": seconds}


def main() -> None:
    """Try and print."""
    parser = argparse.ArgumentParser(description="The same faults with other libraries.")
    parser.add_argument("names", nargs="*", metavar="LIBRARY", help=f"{', '.join(BACKENDS)} (all of them)")
    parser.add_argument("--fault", action="append", choices=FAULTS, help="only this one; may be repeated")
    parser.add_argument("--limit", type=float, default=30.0, help="seconds for each")
    args = parser.parse_args()
    if unknown := sorted(set(args.names) - set(BACKENDS)):
        parser.error(f"no such library: {', '.join(unknown)}; there are {', '.join(BACKENDS)}")
    names = args.names or list(BACKENDS)
    versions = install(names)
    print(f"python {sys.version.split()[0]}, limit {args.limit:g} s", flush=True)
    for name in names:
        print(f"{name}: {versions[name]}", flush=True)
        if versions[name] == "did not install":
            continue
        for fault in args.fault or FAULTS:
            if (name, fault) in NONE:
                print(f"  {fault:<10} {NONE[name, fault]}", flush=True)
                continue
            outcome = try_fault(name, fault, args.limit)
            told = ", ".join(
                f"{key.replace('_', ' ')} {value:.1f}"
                if isinstance(value, float)
                else f"{key.replace('_', ' ')} {value}"
                for key, value in outcome.items()
                if key != "what" and value is not None
            )
            print(f"  {fault:<10} {outcome['what']}  ({told})", flush=True)


if __name__ == "__main__":
    main()
