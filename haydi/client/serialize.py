"""What the client sends and receives as pickles: plans, partials, failures.

Plain pickle does most plans in a few microseconds. cloudpickle is needed, and imported, where a function or
class has no importable name: lambdas, nested functions, everything in the user's script.
"""

from __future__ import annotations

import pickle
import re
import sys
from typing import Any, Final

from haydi.errors import (
    HaydiError,
    PoisonStepError,
    ProtocolError,
    RemoteError,
    ResultNotPicklableError,
    StepFailure,
    UnpicklableError,
    UserCodeError,
)
from haydi.plan import Plan
from haydi.wire.death import Death

__all__ = ["death_of_step", "dump_plan", "load_failure"]

#: Lines of a stack that say where Haydi called the user's function.
_OURS: Final = re.compile(
    r'  File "(.*/haydi/(worker/|actions/)?\w+\.py|<frozen runpy>)", line|Extension modules: '
)


def dump_plan(plan: Plan) -> bytes:
    """Pickle a plan, with the module search path of this process.

    Raises:
        UnpicklableError: naming the part that cannot be sent.
    """
    path = [entry for entry in sys.path if entry]
    if "" in sys.path:
        import os

        path.append(os.getcwd())
    # The plan is a pickle of its own: on the other side the path is in force when its modules are imported.
    return pickle.dumps((path, _dump(plan)), protocol=5)


def _dump(plan: Plan) -> bytes:
    try:
        data = pickle.dumps(plan, protocol=5)
        if b"__main__" not in data and not _by_value_modules():
            return data
    except Exception:  # many kinds; cloudpickle decides
        pass
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(plan, protocol=5))
    except Exception as error:
        raise UnpicklableError(f"{_culprit(plan)} cannot be sent to a worker: {error}") from error


def _by_value_modules() -> bool:
    cloudpickle = sys.modules.get("cloudpickle")
    return cloudpickle is not None and bool(cloudpickle.list_registry_pickle_by_value())


def _culprit(plan: Plan) -> str:
    """Which part of a plan does not pickle, as the user knows it."""
    import cloudpickle

    parts: list[tuple[str, Any]] = [("the domain", plan.source)]
    parts += [(repr(t), t) for t in plan.transformations]
    parts.append((f"the action {plan.action.name}", plan.action))
    for name, part in parts:
        try:
            cloudpickle.dumps(part)
        except Exception:
            return name
    return "the pipeline"


def load_failure(
    kind: str, worker: str, start: int, stop: int, payload: bytes
) -> tuple[BaseException, StepFailure | None]:
    """The exception that a failure on a worker becomes here, and what is known of the step."""
    if kind in ("died", "loading"):
        died = death_of_step(start, stop, payload)
        if kind == "died":
            return PoisonStepError(died), died
        return RemoteError(
            f"the pipeline cannot be loaded on worker {worker}: each of {died.deaths} processes that tried "
            f"{died.error} (the last on {died.host} pid {died.pid}). Look at what the modules it uses do when they are "
            f"imported, and at the size of its values\n{died.traceback}"
        ), None
    where = f"step {start}" if stop <= start + 1 else f"steps [{start}, {stop})"
    try:
        told = pickle.loads(payload)
        failure: StepFailure = told["failure"]
        name: str = told["type_name"]
        pickled: bytes | None = told["exception"]
    except Exception as broken:
        return RemoteError(
            f"{where} failed on worker {worker}, and the error cannot be read: {broken!r}"
        ), None
    if kind == "result" and pickled is None:
        return ResultNotPicklableError(
            f"the result of {where} cannot be sent back by worker {worker}: {failure.error}"
        ), failure
    if kind == "load":
        return RemoteError(
            f"the pipeline cannot be loaded on worker {worker}: {failure.error}. Modules that it uses must be "
            f"importable there, in the same versions\n{failure.traceback}"
        ), failure
    error: BaseException | None = None
    if pickled is not None:
        try:
            loaded = pickle.loads(pickled)
            error = loaded if isinstance(loaded, BaseException) else None
        except Exception:
            error = None
    if error is None or isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit)):
        error = UserCodeError(f"{name}: {failure.error}")
    if not isinstance(error, HaydiError):
        error.haydi_failure = failure  # type: ignore[attr-defined]
    error.add_note(f"{failure.describe().rstrip()}\n(worker {worker})")
    return error, failure


def _words(words: str) -> str:
    """What a process said last; of the stack that the fault handler printed, what is the user's."""
    return "\n".join(line for line in words.splitlines() if not _OURS.match(line))


def death_of_step(start: int, stop: int, payload: bytes) -> StepFailure:
    """What is told of a step that ended its processes; its element is not known yet."""
    try:
        death = Death.unpack(payload)
    except ProtocolError as broken:
        death = Death(words=str(broken))
    return StepFailure(
        start,
        stop,
        None,
        death.describe(),
        _words(death.words),
        death.host,
        death.pid,
        signal=death.signal or None,
        memory=death.memory or None,
        exit_code=death.exit_code if death.exit_code >= 0 else None,
        deaths=death.times,
    )
