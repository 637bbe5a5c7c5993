"""Which pipeline a checkpoint belongs to, and how another one differs from it, in words."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict, dataclass
from typing import Any

from haydi._version import __version__
from haydi.actions import MISSING, Action
from haydi.checkpoint.fingerprint import Digest
from haydi.domains.describe import show_int
from haydi.pipeline import Generate, Pipeline, function_name

__all__ = ["Identity", "Part", "differences", "identity_of"]


#: Attributes of actions that are not called as the arguments are.
_ARGUMENTS = {"initial": "init"}
#: Where the default ``repr`` shows what changes from one process to the next.
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


@dataclass(frozen=True)
class Part:
    """A part of a pipeline: what it is, how it is shown, its hash, and the hashes of what is in it."""

    name: str
    text: str
    hash: str
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Identity:
    """All that has to be the same."""

    haydi: str
    python: str
    parts: tuple[Part, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data, for the file."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> Identity:
        """From what :meth:`to_json` made."""
        parts = [
            Part(p["name"], p["text"], p["hash"], tuple((d[0], d[1]) for d in p["details"]))
            for p in data["parts"]
        ]
        return Identity(data["haydi"], data["python"], tuple(parts))


def identity_of(pipeline: Pipeline[Any, Any], steps: int, on_error: str = "raise") -> Identity:
    """Describe a pipeline of so many steps by its content, and what becomes of steps that fail.

    Example:
        >>> import haydi as hd
        >>> for part in identity_of(hd.Range(9).max(size=2), 9).parts:
        ...     print(part.name, part.text)
        domain <Range size=9 {0, 1, 2, ...}>
        method iterate
        transformations none
        action max(size=2)
        number of steps 9
        on_error 'raise'
    """
    transformations = pipeline.transformations
    things = [
        ("domain", repr(pipeline.domain), pipeline.domain),
        ("method", _describe_method(pipeline), pipeline.method),
        ("transformations", " -> ".join(map(repr, transformations)) or "none", transformations),
        ("action", describe_action(pipeline.chosen_action), pipeline.chosen_action),
        ("number of steps", show_int(steps), steps),
        ("on_error", repr(on_error), on_error),
    ]
    parts = []
    for name, text, thing in things:
        walk = Digest()
        value = walk.whole(thing)
        parts.append(Part(name, _ADDRESS.sub("", text), value.hex(), tuple(walk.details)))
    return Identity(__version__, f"{sys.version_info.major}.{sys.version_info.minor}", tuple(parts))


def _describe_method(pipeline: Pipeline[Any, Any]) -> str:
    method = pipeline.method
    if not isinstance(method, Generate):
        return repr(method)
    count = "" if method.count is None else f"{method.count}, "
    return f"generate({count}seed={method.seed!r})"


def describe_action(action: Action[Any, Any, Any]) -> str:
    """An action as it is written in a pipeline.

    Example:
        >>> from haydi.actions import GroupsCounts, Min
        >>> describe_action(Min(len)), describe_action(GroupsCounts(len, limit=3))
        ('min(key=len)', 'groups_counts(key=len, limit=3)')
    """
    name = action.name.partition("(")[0]
    if type(action).__module__.startswith("haydi."):
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    told = []
    for key, value in getattr(action, "__dict__", {}).items():
        if not key.startswith("_") and value is not None and value is not MISSING:
            told.append(
                f"{_ARGUMENTS.get(key, key)}={function_name(value) if callable(value) else _short(value)}"
            )
    if "associative=False" in action.name:
        told.append("associative=False")
    return f"{name}({', '.join(told)})"


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # the user's own
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 100 else f"{text[:100]}..."


def differences(old: Identity, new: Identity) -> list[str]:
    """What is not the same, in words; empty when all is.

    Example:
        >>> import haydi as hd
        >>> old, new = (identity_of(hd.Range(9).max(size=n), 9) for n in (1, 2))
        >>> differences(old, new)
        ['the action was max(size=1), now it is max(size=2)']
    """
    if old.haydi != new.haydi:
        return [f"it was written by Haydi {old.haydi}, this is Haydi {new.haydi}"]
    found = []
    for before, now in zip(old.parts, new.parts, strict=True):
        if before.hash == now.hash:
            continue
        if before.text != now.text:
            verb, pronoun = ("were", "they are") if before.name.endswith("s") else ("was", "it is")
            found.append(f"the {before.name} {verb} {before.text}, now {pronoun} {now.text}")
        else:
            found.append(_inner_difference(before, now))
    if found and old.python != new.python:
        return [
            f"it was written under Python {old.python}, where code of functions differs from {new.python}"
        ]
    return list(dict.fromkeys(found))


def _inner_difference(before: Part, now: Part) -> str:
    if [label for label, _ in before.details] == [label for label, _ in now.details]:
        for (label, was), (_, value) in zip(before.details, now.details, strict=True):
            if was != value:
                return f"the {label} was changed"
    known = dict(before.details)
    for label, value in now.details:
        if known.get(label, value) != value:
            return f"the {label} was changed"
    return f"the content of the {before.name} {before.text} was changed"
