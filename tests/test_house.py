"""The rules of the repository, as far as a machine can check them.

Format, lint, types and import contracts have tools of their own (see pyproject.toml). Here is what those
tools cannot see: what an import loads, how long modules and functions grow, what every public name owes its
reader, and that nothing of one developer's machine got into the files.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import haydi
from haydi._version import __version__

if TYPE_CHECKING:
    from tests.stock import Stock

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "haydi"
MODULES = sorted(PACKAGE.rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

MODULE_LINES_MAX = 450
FUNCTION_LINES_MAX = 70

#: Loaded by the runtime, the commands or an extra, never by `import haydi` alone.
HEAVY = [
    "asyncio",
    "click",
    "cloudpickle",
    "msgpack",
    "multiprocessing",
    "psutil",
    "subprocess",
    "tqdm",
    "zmq",
]

#: Import names that differ from the name of the distribution.
IMPORT_NAMES = {"prometheus-client": "prometheus_client", "pytest-timeout": "pytest_timeout"}

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tracked_files() -> list[Path]:
    """Files of the repository; without git (an unpacked archive), all files that are not tools' caches."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode == 0:
        paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    else:
        keep = {".ci", ".gitignore"}
        tops = [top for top in ROOT.iterdir() if not top.name.startswith(".") or top.name in keep]
        paths = [path for top in tops for path in ([top] if top.is_file() else top.rglob("*"))]
    return [path for path in paths if path.is_file() and "__pycache__" not in path.parts]


def run_fresh(code: str) -> str:
    """What a fresh interpreter prints that runs ``code``."""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return run.stdout


# --- imports ----------------------------------------------------------------------------------------------


def test_import_loads_nothing_heavy():
    loaded = run_fresh(
        "import sys; before = set(sys.modules); import haydi; print(*sorted(set(sys.modules) - before))"
    ).split()
    assert "haydi" in loaded
    assert not set(HEAVY) & set(loaded)


def distribution(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None
    return match.group()


def extras() -> set[str]:
    """Import names of everything that is an optional dependency."""
    names = {distribution(r) for group in PROJECT["optional-dependencies"].values() for r in group}
    names -= {distribution(r) for r in PROJECT["dependencies"]} | {"haydi"}
    return {IMPORT_NAMES.get(name, name) for name in names}


def imports_at_load(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, top-level name) of imports that run when the module is loaded: none inside functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, FunctionNode | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.partition(".")[0]
        yield from imports_at_load(node)


def test_no_module_needs_an_extra_when_loaded():
    offenders = [
        f"{named(path)}:{line} imports {name}"
        for path in MODULES
        for line, name in imports_at_load(ast.parse(path.read_text("utf-8")))
        if name in extras()
    ]
    assert "tqdm" in extras()
    assert not offenders


@pytest.mark.parametrize("target", PROJECT["scripts"].values(), ids=list(PROJECT["scripts"]))
def test_command_leads_somewhere(target: str):
    module, _, function = target.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


# --- size -------------------------------------------------------------------------------------------------


def function_lines(node: FunctionNode) -> int:
    """Lines of a function, not counting its docstring: examples may be as long as they are useful."""
    assert node.end_lineno is not None
    lines = node.end_lineno - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None and first.end_lineno is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def test_modules_stay_small():
    sources = [*MODULES, *PACKAGE.rglob("*.[ch]")]
    sizes = {named(path): len(path.read_text("utf-8").splitlines()) for path in sources}
    assert {name: size for name, size in sizes.items() if size > MODULE_LINES_MAX} == {}


def test_functions_stay_small():
    sizes = {
        f"{named(path)}:{node.lineno} {node.name}": function_lines(node)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, FunctionNode)
    }
    assert {name: size for name, size in sizes.items() if size > FUNCTION_LINES_MAX} == {}


# --- documentation ----------------------------------------------------------------------------------------


def public_objects() -> list[tuple[str, object]]:
    """Functions and classes among the public names; errors and values like ``session`` are not meant."""
    objects = [(name, getattr(haydi, name)) for name in haydi.__all__]
    return [
        (name, thing)
        for name, thing in objects
        if inspect.isfunction(thing) or (inspect.isclass(thing) and not issubclass(thing, BaseException))
    ]


def has_example(thing: object) -> bool:
    """Whether it, or for a class one of its own methods, shows its use."""
    if ">>>" in (inspect.getdoc(thing) or ""):
        return True
    own = vars(thing).values() if inspect.isclass(thing) else ()
    return any(">>>" in (getattr(member, "__doc__", None) or "") for member in own)


def test_public_names_are_documented():
    bare = [name for name, thing in public_objects() if not (getattr(thing, "__doc__", None) or "").strip()]
    assert not bare


def test_public_names_show_an_example():
    silent = [name for name, thing in public_objects() if not has_example(thing)]
    assert not silent


def test_version_has_one_source():
    assert haydi.__version__ == __version__
    assert "version" in PROJECT["dynamic"]
    written_again = [
        named(path)
        for path in MODULES
        if path.name != "_version.py" and __version__ in path.read_text("utf-8")
    ]
    assert not written_again


# --- files ------------------------------------------------------------------------------------------------


def test_no_path_of_a_developers_machine():
    pattern = re.compile(r"(?<![\w.$}])/(work|root|home|Users)/\w")
    offenders = []
    for path in tracked_files():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:  # a picture, say
            continue
        offenders += [
            f"{named(path)}:{n}" for n, line in enumerate(text.splitlines(), 1) if pattern.search(line)
        ]
    assert not offenders


def test_scripts_can_be_run():
    scripts = [path for path in tracked_files() if path.read_bytes().startswith(b"#!")]
    names = {named(path) for path in scripts}
    assert {
        "scripts/test",
        "scripts/demo",
        "scripts/chaos",
        "scripts/haydi-scheduler",
        "scripts/haydi-worker",
        ".ci/run",
    } <= names
    assert not [named(path) for path in scripts if not os.access(path, os.X_OK)]


# --- the stock-taking that other tests rely on ------------------------------------------------------------

SLEEPER = "import time; time.sleep(60)"


def test_a_child_is_left_over_until_it_is_gone(take_stock: Callable[[], Stock]):
    before = take_stock()
    with subprocess.Popen([sys.executable, "-c", SLEEPER]) as child:
        found = before.leftovers(patience_seconds=0)
        child.kill()
    assert [line for line in found if line.startswith(f"process {child.pid} ")]
    assert before.leftovers() == []


def test_an_orphan_is_left_over_until_it_is_gone(take_stock: Callable[[], Stock]):
    before = take_stock()
    start = f"subprocess.Popen([sys.executable, '-c', {SLEEPER!r}], stdout=quiet, stderr=quiet)"
    parent = f"import subprocess, sys; quiet = subprocess.DEVNULL; print({start}.pid)"
    orphan = int(run_fresh(parent))
    found = before.leftovers(patience_seconds=0)
    os.kill(orphan, 9)
    assert [line for line in found if line.startswith(f"process {orphan} ")]
    assert before.leftovers() == []


def test_an_open_file_is_left_over_until_it_is_closed(take_stock: Callable[[], Stock]):
    before = take_stock()
    with open(__file__):
        assert [line for line in before.leftovers(patience_seconds=0) if "file descriptor" in line]
    assert before.leftovers() == []
