"""Logs of the daemons: one line an event on stderr, readable or as JSON.

The library itself only uses ``logging.getLogger("haydi...")`` and installs no handler; these functions are for the
commands.
"""

from __future__ import annotations

import json
import logging
import sys
import time

__all__ = ["set_up"]


class _Readable(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        text = f"{clock}.{int(record.msecs):03d} {record.levelname.lower():7} {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def set_up(level: str = "info", as_json: bool = False) -> None:
    """Send the records of ``haydi`` to stderr.

    Args:
        level: debug, info, warning or error.
        as_json: One JSON object a line instead of readable text.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if as_json else _Readable())
    logger = logging.getLogger("haydi")
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
