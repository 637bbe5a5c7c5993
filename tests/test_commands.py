"""The help texts teach by examples, which must be shown as they are written."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import haydi.cli
import haydi.scheduler.command
import haydi.worker.command


@pytest.mark.parametrize(
    ("command", "example"),
    [
        (haydi.scheduler.command.command, "haydi-scheduler --port 8787\n"),
        (haydi.worker.command.command, "haydi-worker 192.168.1.1:8787 --workers 4\n"),
        (haydi.cli.main, "haydi scheduler --port 8787\n"),
    ],
)
def test_examples_in_help_keep_their_lines(command: object, example: str) -> None:
    output = CliRunner().invoke(command, ["--help"]).output  # type: ignore[arg-type]
    assert example in output
    assert "\\b" not in output
    assert "\b" not in output
