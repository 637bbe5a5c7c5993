"""What this Haydi is made of: for bug reports, and to see whether the C extension is in use."""

from __future__ import annotations

import platform
import sys

from haydi._version import __version__

__all__ = ["show_versions", "versions"]

#: The distributions that Haydi needs, and those that it uses where they are there.
_DISTRIBUTIONS = ("click", "cloudpickle", "msgpack", "psutil", "pyzmq", "tqdm")


def versions() -> dict[str, str]:
    """The versions by name; "not installed" for what is not there.

    >>> versions()["python"].split(".")[0]
    '3'
    """
    from importlib import metadata

    from haydi.symmetry.kernel import kernel

    found = {
        "haydi": __version__,
        "kernel": kernel(),
        "python": f"{platform.python_version()} ({sys.implementation.name}) at {sys.executable}",
        "platform": platform.platform(),
    }
    for name in _DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def show_versions() -> None:
    """Print the versions of Haydi, Python, the platform and the libraries in use, and which kernel searches for
    canonical forms: C, or Python and why.

    >>> show_versions()
    haydi        ...
    kernel       ...
    python       3...
    """
    for name, version in versions().items():
        print(f"{name:12} {version}")
