"""The commands ``haydi status`` and ``haydi retire``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from haydi.errors import ConnectionFailedError, HaydiError
from haydi.monitor.ask import Monitor
from haydi.monitor.table import describe
from haydi.options import Duration
from haydi.wire.transport import parse_address

__all__ = ["retire", "status"]

_SETTINGS: dict[str, Any] = {
    "auto_envvar_prefix": "HAYDI",
    "show_default": True,
    "help_option_names": ["-h", "--help"],
}
_PATIENCE: dict[str, Any] = {"default": 5.0, "type": Duration(0.1), "metavar": "DURATION"}


@click.command(context_settings=_SETTINGS)
@click.argument("address", metavar="ADDRESS", envvar="HAYDI_ADDRESS")
@click.option("--json", "as_json", is_flag=True, help="Write all there is to know as one JSON object.")
@click.option("--patience", help="How long to wait for the scheduler's answer.", **_PATIENCE)
def status(address: str, as_json: bool, patience: float) -> None:
    """Tell how things stand at the haydi-scheduler at ADDRESS (HOST:PORT): its workers, clients and runs.

    \b
        haydi status 192.168.1.1:8787
        haydi status 192.168.1.1:8787 --json

    Exit codes: 0 told, 2 wrong usage, 3 no scheduler answered, or it refused.
    """  # noqa: D301 - the control character, which tells click to keep the lines
    told = _ask(address, patience, lambda monitor: monitor.status())
    click.echo(json.dumps(told, indent=2) if as_json else describe(told, address))


@click.command(context_settings=_SETTINGS)
@click.argument("address", metavar="ADDRESS")
@click.argument("worker", metavar="WORKER")
@click.option("--patience", help="How long to wait for the scheduler's answer.", **_PATIENCE)
def retire(address: str, worker: str, patience: float) -> None:
    """Have a worker of the haydi-scheduler at ADDRESS (HOST:PORT) leave in good order.

    WORKER is its name, the beginning of its name, or HOST:PID, as `haydi status` shows them. The worker gives back
    what it has not begun, finishes and sends what it has within its --leave-grace, and ends.

    \b
        haydi retire 192.168.1.1:8787 node7
        haydi retire 192.168.1.1:8787 node7:4711

    Exit codes: 0 it was told, 1 no worker or several are called that, 2 wrong usage, 3 no scheduler answered, or it
    refused.
    """  # noqa: D301 - the control character, which tells click to keep the lines
    told = _ask(address, patience, lambda monitor: monitor.retire(worker))
    words = "is leaving already" if told["leaving_already"] else "was told to leave"
    click.echo(f"worker {told['worker']} with {told['slots']} slots {words}")


def _ask(address: str, patience: float, question: Callable[[Monitor], dict[str, Any]]) -> dict[str, Any]:
    try:
        host, port = parse_address(address)
    except HaydiError as error:
        click.echo(f"haydi: {error}", err=True)
        sys.exit(2)
    try:
        with Monitor(host, port, patience) as monitor:
            return question(monitor)
    except ConnectionFailedError as error:
        click.echo(f"haydi: {error}", err=True)
        sys.exit(3)
    except HaydiError as error:
        click.echo(f"haydi: {error}", err=True)
        sys.exit(1)
