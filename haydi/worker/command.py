"""The command line of ``haydi-worker``."""

from __future__ import annotations

import logging
import math
import os
import sys

import click

from haydi import logs
from haydi._version import __version__
from haydi.options import Duration
from haydi.sizes import show_bytes
from haydi.worker.nursery import Nursery

__all__ = ["command"]

WORKERS_MAX = 4096


class _Workers(click.ParamType[int]):
    """``auto`` or a number of compute processes."""

    name = "auto|N"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value == "auto":
            try:
                return len(os.sched_getaffinity(0))
            except AttributeError:
                return os.cpu_count() or 1
        text = str(value)
        if not text.isdecimal() or not 1 <= int(text) <= WORKERS_MAX:
            self.fail(f"{text!r} is neither auto nor a number between 1 and {WORKERS_MAX}", param, ctx)
        return int(text)


@click.command(
    context_settings={
        "auto_envvar_prefix": "HAYDI",
        "show_default": True,
        "help_option_names": ["-h", "--help"],
    }
)
@click.argument("address", metavar="ADDRESS", envvar="HAYDI_ADDRESS")
@click.option(
    "--workers", default="auto", type=_Workers(), help="Number of compute processes; auto takes the cores that this "
    "process may use.", show_envvar=True,
)  # fmt: skip
@click.option(
    "--memory-limit", default="auto", metavar="SIZE", show_envvar=True,
    help="Memory that each compute process may use, for example 500MB or 2GiB: one that uses more is ended. 0 is no "
    "limit; auto divides the memory of the machine, or of the job's control group, by the number of compute processes.",
)  # fmt: skip
@click.option(
    "--deaths-allowed", default=3, type=click.IntRange(min=1), metavar="N", show_envvar=True,
    help="A step that ends so many compute processes is not run again.",
)  # fmt: skip
@click.option("--name", default="", help="Name in logs and reports; HOST-PID by default.", show_envvar=True)
@click.option(
    "--death-timeout", default=300.0, type=Duration(0.1), metavar="DURATION", show_envvar=True,
    help="End when no scheduler has answered for so long: seconds, or 90s, 45m, 23h.",
)  # fmt: skip
@click.option(
    "--leave-grace", default=5.0, type=Duration(), metavar="DURATION", show_envvar=True,
    help="When leaving, how long what has begun may go on; what is not through by then runs elsewhere.",
)  # fmt: skip
@click.option(
    "--lifetime", default=None, type=Duration(1.0), metavar="DURATION", show_envvar=True,
    help="Leave in time to be gone after so long, as 23h or 1d2h; by default the worker stays.",
)  # fmt: skip
@click.option(
    "--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"]), show_envvar=True
)
@click.option("--json-log", is_flag=True, help="Write the log as one JSON object a line.", show_envvar=True)
@click.version_option(__version__, prog_name="haydi-worker")
def command(
    address: str,
    workers: int,
    memory_limit: str,
    deaths_allowed: int,
    name: str,
    death_timeout: float,
    leave_grace: float,
    lifetime: float | None,
    log_level: str,
    json_log: bool,
) -> None:
    """Start a worker daemon for the haydi-scheduler at ADDRESS (HOST:PORT).

    The daemon starts compute processes, which run the functions of your pipelines, and looks after them: one
    that dies is replaced, and what it had not reported runs again. Start one daemon on each machine:

    \b
        haydi-worker 192.168.1.1:8787                # a compute process for each core
        haydi-worker 192.168.1.1:8787 --workers 4

    It may be started before the scheduler, and it joins a run that is going on. SIGTERM, Ctrl-C, `haydi retire` and
    the end of its --lifetime make it leave: it gives back what it has not begun, finishes and sends what it has within
    --leave-grace, and ends; no computed work is lost. A second SIGTERM or Ctrl-C ends it at once. What your functions
    print goes to its stderr, with the log.

    Exit codes: 0 left, or ended with the scheduler, 2 wrong usage, 3 no scheduler answered in time, 4 the
    scheduler refused.
    """  # noqa: D301 - the control character, which tells click to keep the lines
    nursery = Nursery.start()  # before the messaging library makes a thread
    logs.set_up(log_level, json_log)
    from haydi.errors import HaydiError
    from haydi.wire.transport import parse_address
    from haydi.worker.core import WorkerSettings
    from haydi.worker.memory import limit_bytes
    from haydi.worker.server import WorkerServer, stop_on_signals

    try:
        host, port = parse_address(address)
        settings = WorkerSettings(
            death_seconds=death_timeout,
            deaths_allowed=deaths_allowed,
            memory_bytes=limit_bytes("--memory-limit", memory_limit, workers),
            leave_grace_seconds=leave_grace,
            lifetime_seconds=math.inf if lifetime is None else lifetime,
        )
        server = WorkerServer(nursery, host, port, workers, name, settings)
    except HaydiError as error:
        nursery.close()
        click.echo(f"haydi-worker: {error}", err=True)
        sys.exit(2)
    stop_on_signals(server)
    log = logging.getLogger("haydi.worker")
    log.info(
        "worker (Haydi %s) with %d compute processes (%s each), for the scheduler at %s:%d",
        __version__,
        workers,
        show_bytes(settings.memory_bytes) if settings.memory_bytes else "any memory",
        host,
        port,
    )
    sys.exit(server.serve())
