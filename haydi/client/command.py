"""The command ``haydi checkpoint``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from haydi.domains.describe import shorten
from haydi.errors import HaydiError

__all__ = ["command"]


@click.group("checkpoint", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Look at the files that runs keep with `run(checkpoint="run.haydi")`.

    \b
        haydi checkpoint show run.haydi
        haydi checkpoint show run.haydi --result
    """  # noqa: D301 - the control character, which tells click to keep the lines


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; steps are exact numbers.")
@click.option(
    "--result",
    is_flag=True,
    help="Print the partial result too. This unpickles it, which runs code from the file: it must be your own.",
)
def show(file: Path, as_json: bool, result: bool) -> None:
    """Print which pipeline FILE belongs to, and how far it has come. It may be in use by a run."""
    from haydi.client.inspection import inspect, lines, partial_result

    sys.set_int_max_str_digits(0)
    try:
        told = inspect(file)
        if result:
            value = partial_result(file)
            told["result"] = shorten(value)
    except HaydiError as error:
        raise click.ClickException(str(error)) from error
    except Exception as error:
        raise click.ClickException(f"the partial result cannot be made here: {error!r}") from error
    if as_json:
        click.echo(json.dumps(told))
        return
    for line in lines(told):
        click.echo(line)
    if result:
        click.echo(f"result so far: {told['result']}")
