"""The command ``haydi-worker``."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Entry point; a local cluster uses ``--local SLOTS MEMORY`` and needs no command line parser."""
    if sys.argv[1:2] == ["--local"]:
        from haydi.worker.nursery import Nursery

        nursery = Nursery.start()  # before anything makes a thread
        from haydi.worker.server import serve_local

        sys.exit(serve_local(nursery, int(sys.argv[2]), sys.argv[3]))
    from haydi.worker.command import command

    command()


if __name__ == "__main__":
    main()
