"""The command ``haydi``: one door to the commands of a cluster."""

from __future__ import annotations

import click

from haydi._version import __version__

__all__ = ["main"]


class _Lazy(click.Group):
    """Loads a subcommand when it is asked for: a worker must start its nursery before anything else is loaded."""

    _where = {  # noqa: RUF012
        "checkpoint": ("haydi.client.command", "command"),
        "retire": ("haydi.monitor.commands", "retire"),
        "scheduler": ("haydi.scheduler.command", "command"),
        "status": ("haydi.monitor.commands", "status"),
        "worker": ("haydi.worker.command", "command"),
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._where)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        import importlib

        if cmd_name not in self._where:
            return None
        module, name = self._where[cmd_name]
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="haydi")
def main() -> None:
    """Haydi, the haystack diver: search through discrete structures, here or on a cluster.

    `haydi scheduler` and `haydi worker` are haydi-scheduler and haydi-worker; `haydi status` and `haydi retire` are for
    those who look after a cluster. In three terminals:

    \b
        haydi scheduler --port 8787
        haydi worker 127.0.0.1:8787
        python my_search.py    # DistributedContext(ip="127.0.0.1", port=8787)

    `haydi checkpoint show FILE` tells how far a run with `checkpoint=FILE` has come.
    """  # noqa: D301 - the control character, which tells click to keep the lines


if __name__ == "__main__":
    main()
