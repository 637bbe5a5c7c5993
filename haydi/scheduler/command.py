"""The command line of ``haydi-scheduler``."""

from __future__ import annotations

import logging
import sys

import click

from haydi import logs
from haydi._version import __version__
from haydi.errors import HaydiError
from haydi.options import Duration
from haydi.scheduler.server import SchedulerServer, raise_descriptor_limit, stop_on_signals
from haydi.scheduler.state import SchedulerSettings

__all__ = ["command"]


@click.command(
    context_settings={
        "auto_envvar_prefix": "HAYDI",
        "show_default": True,
        "help_option_names": ["-h", "--help"],
    }
)
@click.option("--host", default="127.0.0.1", help="Address of this machine to listen at.", show_envvar=True)
@click.option(
    "--port", default=8787, type=click.IntRange(0, 65535), help="Port to listen at; 0 takes any free one.",
    show_envvar=True,
)  # fmt: skip
@click.option(
    "--restart-grace", default=30.0, type=Duration(), metavar="DURATION", show_envvar=True,
    help="How long clients and workers wait for this scheduler to come back, should it be killed: seconds, or 90s, 5m.",
)  # fmt: skip
@click.option(
    "--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"]), show_envvar=True
)
@click.option("--json-log", is_flag=True, help="Write the log as one JSON object a line.", show_envvar=True)
@click.version_option(__version__, prog_name="haydi-scheduler")
def command(host: str, port: int, restart_grace: float, log_level: str, json_log: bool) -> None:
    """Start the scheduler of a Haydi cluster.

    A cluster is one scheduler, any number of workers, and the programs that use them. In three terminals:

    \b
        haydi-scheduler --port 8787
        haydi-worker 127.0.0.1:8787
        python my_search.py    # DistributedContext(ip="127.0.0.1", port=8787)

    For several machines, listen at an address that the others can reach (--host 192.168.1.1, or 0.0.0.0 for
    all), and start `haydi-worker 192.168.1.1:8787` on each of them. Whoever can reach that address can run
    code on the workers: use it in networks you trust only.

    The log goes to stderr. SIGTERM and Ctrl-C end it in order; its workers then end too. One that was killed
    can be started again at the same address: within --restart-grace clients and workers find it, and runs go on.

    Exit codes: 0 ended in order, 1 the address cannot be used, 2 wrong usage.
    """  # noqa: D301 - the control character, which tells click to keep the lines
    logs.set_up(log_level, json_log)
    raise_descriptor_limit()
    try:
        server = SchedulerServer(host, port, SchedulerSettings(restart_seconds=restart_grace))
    except HaydiError as error:
        click.echo(f"haydi-scheduler: {error}", err=True)
        sys.exit(1)
    stop_on_signals(server)
    log = logging.getLogger("haydi.scheduler")
    log.info("scheduler (Haydi %s) listens at %s:%d", __version__, host, server.port)
    if host not in ("127.0.0.1", "localhost", "::1"):
        log.warning("whoever can reach %s:%d can run code on the workers", host, server.port)
    server.serve()
