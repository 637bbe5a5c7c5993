"""The child that makes the elements of poison steps; :mod:`haydi.client.elements` says why.

It reads a pickle of the plan's payload and the steps on stdin, and writes on stdout: ``ready`` when the plan is there,
then a line of JSON for each step. What the functions of the user print goes nowhere.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import sys
from contextlib import suppress
from itertools import islice

from haydi.plan import ELEMENT_TEXT_MAX, Plan

__all__ = ["main"]

MEMORY_BYTES_MOST = 8 << 30


def main() -> None:
    """Answer, or die trying."""
    signal.alarm(int(sys.argv[1]))  # if nobody waits for it any more
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # not there but on Linux
        file.write("1000")
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        most = min(MEMORY_BYTES_MOST, whole // 2)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    out = os.dup(1)
    os.dup2(2, 1)
    payload, steps = pickle.load(sys.stdin.buffer)
    path, data = pickle.loads(payload)
    sys.path += [entry for entry in path if entry not in sys.path]
    plan = pickle.loads(data)
    assert isinstance(plan, Plan)
    os.write(out, b"ready\n")
    for step in steps:
        text = describe(plan, step)
        os.write(out, json.dumps(text).encode() + b"\n")


def describe(plan: Plan, step: int) -> str:
    """The elements of a step, usually one, as text.

    Example:
        >>> import haydi as hd
        >>> from haydi.plan import compile_plan
        >>> describe(compile_plan((hd.Range(3) * hd.Range(3)).iterate()), 5)
        '(1, 2)'
    """
    try:
        some = list(islice(plan.source.elements(step, step + 1), 4))
    except Exception as error:
        return f"<to make the element raises {type(error).__name__}>"
    if not some:
        return "<no element>"
    texts = []
    for element in some[:3]:
        try:
            texts.append(repr(element))
        except Exception as error:
            texts.append(f"<a {type(element).__name__} whose repr raises {type(error).__name__}>")
    text = " or ".join(texts) + (" or ..." if len(some) > 3 else "")
    return text if len(text) <= ELEMENT_TEXT_MAX else f"{text[:ELEMENT_TEXT_MAX]}..."


if __name__ == "__main__":
    main()
