"""What the elements of poison steps are.

A step that ends each process that runs it may do so because its element does: a value that is too large, a generator of
the user that crashes. So this process does not touch it. A child of its own unpickles the plan, makes the elements and
tells their ``repr``; it has some seconds, little memory, and is the first whom the kernel ends. When it dies, that is
told in place of the element.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

__all__ = ["elements_of"]

#: For all of them together.
SECONDS_MOST = 5.0
#: More steps than this are not looked at.
STEPS_MOST = 100


def elements_of(payload: bytes, steps: Sequence[int]) -> dict[int, str]:
    """A text for the element of each step, as far as there is time.

    Args:
        payload: The plan, as workers get it.
        steps: Numbers of steps.
    """
    end = time.monotonic() + SECONDS_MOST
    found: dict[int, str] = {}
    left = list(steps[:STEPS_MOST])
    while left and (rest := end - time.monotonic()) > 0:
        told, how = _ask(payload, left, rest)
        found |= dict(zip(left, told, strict=False))
        left = left[len(told) :]
        if not left or how is None:
            break
        found[left.pop(0)] = f"<to make the element {how}>"
    return found


def _ask(payload: bytes, steps: Sequence[int], seconds: float) -> tuple[list[str], str | None]:
    """The texts that a child told before it ended, and how it ended if the step behind these is to blame."""
    environment = dict(os.environ)
    root = str(Path(__file__).resolve().parents[2])
    path = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = root if not path else f"{root}{os.pathsep}{path}"
    child = subprocess.Popen(
        [sys.executable, "-m", "haydi.client.element_process", str(int(seconds) + 2)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    how = f"takes more than {SECONDS_MOST:g} s"
    try:
        output, _ = child.communicate(pickle.dumps((payload, list(steps))), timeout=seconds)
        code = child.returncode
        known = -code in list(signal.Signals)
        how = signal.Signals(-code).name if known else f"exit code {code}"
        how = f"ends its process, too ({how})"
    except subprocess.TimeoutExpired:
        child.kill()
        output, _ = child.communicate()
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
    ready, *texts = output.split(b"\n")
    told = [json.loads(text) for text in texts[:-1]]
    return told, how if ready == b"ready" and len(told) < len(steps) else None
