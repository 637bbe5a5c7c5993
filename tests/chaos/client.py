"""A client of the chaos: runs jobs one after the other, and tells of each in a line of JSON on stdout.

SIGTERM asks it to stop after the job at hand. SIGUSR2 makes it show on stderr where it is.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import logging
import mmap
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings

import haydi as hd
from tests.chaos.jobs import JOBS, check


def tell(**what: object) -> None:
    print(json.dumps(what), flush=True)


def leave_things_behind() -> object:
    """A process, a temporary file and shared memory."""
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    os.close(tempfile.mkstemp()[0])
    memory = tempfile.NamedTemporaryFile(prefix="haydi-chaos-", dir="/dev/shm", delete=False)  # noqa: SIM115
    memory.write(b"x")
    memory.flush()
    return mmap.mmap(memory.fileno(), 0)


def main() -> int:
    """Run until told to stop; 0 when that was in order."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8787)
    parser.add_argument("--own", type=int, default=0, help="compute processes of a cluster of its own")
    parser.add_argument("--seed", required=True)
    parser.add_argument(
        "--wrong", action="store_true", help="claim a wrong result, to see whether it is noticed"
    )
    parser.add_argument(
        "--orphan", action="store_true", help="leave things behind, to see whether they are noticed"
    )
    parser.add_argument("--stuck", action="store_true", help="never end a run, to see whether it is noticed")
    options = parser.parse_args()
    asked_to_stop = []
    signal.signal(signal.SIGTERM, lambda *_: asked_to_stop.append(True))
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    warnings.simplefilter("ignore", RuntimeWarning)  # a scheduler without workers: they come and go here
    rng = random.Random(options.seed)
    kept = leave_things_behind() if options.orphan else None
    if options.own:
        context = hd.DistributedContext(spawn_workers=options.own)
    else:
        context = hd.DistributedContext(options.host, options.port, connect_timeout=60)
    with context as ctx:
        ctx.no_worker_seconds = 60.0
        names = list(JOBS)
        while not asked_to_stop:
            name = rng.choice(names)
            job = JOBS[name](rng)
            tell(what="begin", job=name)
            logging.info("%s begins: %r", name, job.pipeline)
            while options.stuck:
                time.sleep(0.1)
            began = time.monotonic()
            outcome = check(job, ctx)
            what = "wrong" if options.wrong else outcome.what
            tell(what=what, job=name, text=outcome.text, seconds=time.monotonic() - began)
    del kept
    tell(what="end")
    return 0


if __name__ == "__main__":
    sys.exit(main())
