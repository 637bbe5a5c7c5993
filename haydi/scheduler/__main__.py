"""The command ``haydi-scheduler``."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Entry point; a local cluster uses ``--local HOST PORT`` and needs no command line parser."""
    if sys.argv[1:2] == ["--local"]:
        from haydi.scheduler.server import serve_local

        serve_local(sys.argv[2], int(sys.argv[3]))
        return
    from haydi.scheduler.command import command

    command()


if __name__ == "__main__":
    main()
