"""Asking a scheduler: a connection in the role of a monitor, for one question or for many.

A monitor takes no part in any run. It says Hello, then each :class:`~haydi.wire.messages.Ask` gets one
:class:`~haydi.wire.messages.Answer`, a JSON object.
"""

from __future__ import annotations

import json
import time
from types import TracebackType
from typing import Any

from haydi.errors import ConnectionFailedError, RemoteError
from haydi.wire import messages as m
from haydi.wire.identity import hello, new_session
from haydi.wire.transport import Connection, Poll

__all__ = ["Monitor", "OrderRefusedError"]


class OrderRefusedError(RemoteError):
    """The scheduler cannot do what it was asked for."""


class Monitor:
    """A connection to the scheduler at ``host:port``; to be used from one thread, and closed.

    Args:
        host, port: Where the scheduler listens.
        patience_seconds: How long to wait for each answer.

    Raises:
        ConnectionFailedError: when nothing answers in time, or the scheduler refuses.
    """

    def __init__(self, host: str, port: int, patience_seconds: float = 5.0) -> None:
        self.address = f"{host}:{port}"
        self._patience_seconds = patience_seconds
        self._connection = Connection(host, port)
        self._poll = Poll([self._connection])
        try:
            self._connection.send([hello("monitor", session=new_session())])
            self._wait_for(m.Welcome)
        except BaseException:
            self.close()
            raise

    def status(self) -> dict[str, Any]:
        """The scheduler's snapshot: ``cluster``, ``version``, ``slots``, ``workers``, ``clients`` and ``runs``."""
        return self._ask("status")

    def retire(self, worker: str) -> dict[str, Any]:
        """Have a daemon leave in good order.

        Args:
            worker: Its name, the beginning of its name, or ``HOST:PID``.

        Raises:
            OrderRefusedError: when no daemon, or more than one, is called that; lists them.
        """
        return self._ask("retire", worker)

    def close(self) -> None:
        """Leave."""
        self._connection.send([m.Goodbye()])
        self._connection.close(linger_seconds=0.2)

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, order: str, argument: str = "") -> dict[str, Any]:
        self._connection.send([m.Ask(order, argument)])
        answer = self._wait_for(m.Answer)
        assert isinstance(answer, m.Answer)
        told: dict[str, Any] = json.loads(answer.payload)
        if "error" in told:
            raise OrderRefusedError(told["error"])
        return told

    def _wait_for(self, kind: type[m.Message]) -> m.Message:
        end = time.monotonic() + self._patience_seconds
        while (left := end - time.monotonic()) > 0:
            self._poll.wait(left)
            for message in self._connection.receive():
                if isinstance(message, kind):
                    return message
                if problem := _problem(message):
                    raise ConnectionFailedError(f"the scheduler at {self.address} {problem}")
        raise ConnectionFailedError(
            f"no haydi-scheduler answers at {self.address} within {self._patience_seconds:g} s: is that its address?"
        )


def _problem(message: m.Message) -> str:
    if isinstance(message, m.Refused):
        return f"refuses: {message.reason}"
    if isinstance(message, m.Stop):
        return f"ended: {message.reason}"
    return ""
