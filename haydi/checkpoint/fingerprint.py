"""What a pipeline is, by its content: a text and a hash for each part, which survive the start of another process.

A checkpoint may be continued by the pipeline that began it, and by no other: steps would mean other elements, or
partials another action. So the parts of a pipeline (domain, method, transformations, action, number of steps) are
hashed by content, and described, so that a difference can be named.

What goes into a hash depends on nothing that changes from one process to the next: not on addresses, not on hash
randomisation (sets and dicts count without their order), not on which equal values are one object.

* A *function* is its code (instructions, constants, names; not file and line, and not the docstring), its defaults,
  the values of its closure, and the global functions, classes and values that it refers to, and so on. A lambda has
  no name; other functions count by qualified name and code.
* A *class* of the user is its bases and what its body defined. An *instance* is what pickle would take of it.
* What belongs to Python, to an installed package or to Haydi counts by its name: versions of Haydi and of Python
  are compared apart. What nothing can be told of (a lock, an open file) counts by its type.

Named functions and classes refer to each other by name and are hashed one by one, so mutual recursion is no matter.
Cycles of other objects are numbered as they are met.
"""

from __future__ import annotations

import copyreg
import dis
import hashlib
import marshal
import math
import os
import sys
import sysconfig
from collections.abc import Iterable
from functools import cached_property, lru_cache
from itertools import chain
from operator import itemgetter
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, Final

from haydi.context import Context, Run

__all__ = ["Digest", "digest"]

_SCALARS: Final = frozenset({int, str, bytes, float, bool, type(None)})
#: What Python puts into classes on its own account.
_CLASS_NOISE: Final = frozenset(
    {"__doc__", "__module__", "__qualname__", "__dict__", "__weakref__", "__firstlineno__", "__annotations__",
     "__annotate__", "__annotate_func__", "__annotations_cache__", "__static_attributes__", "__abstractmethods__",
     "_abc_impl"}
)  # fmt: skip
_CACHES: Final = type(lru_cache(maxsize=1)(len))


def digest(value: object) -> bytes:
    """The hash of a value by content.

    Example:
        >>> digest({1: "a", 2: {3, 4}}) == digest({2: {4, 3}, 1: "a"})
        True
        >>> digest(lambda x: x + 1) == digest(lambda x: x + 1) != digest(lambda x: x + 2)
        True
    """
    return Digest().whole(value)


def _hash(tag: bytes, *parts: bytes) -> bytes:
    """A hash of parts; each is led by its length, so that nothing can slide from one to the next."""
    h = hashlib.blake2b(tag, digest_size=16)
    for part in parts:
        h.update(len(part).to_bytes(8))
        h.update(part)
    return h.digest()


def _scalar(value: Any) -> bytes:
    kind = type(value)
    if kind is str:
        data = value.encode("utf-8", "surrogatepass")
    elif kind is int:
        data = value.to_bytes(value.bit_length() // 8 + 1, signed=True)
    elif kind is float:
        data = b"nan" if math.isnan(value) else value.hex().encode()
    else:
        data = value if kind is bytes else repr(value).encode()
    return _hash(kind.__name__.encode(), data)


class Digest:
    """One walk through values; :attr:`details` are the named parts it met, innermost first.

    Example:
        >>> walk = Digest()
        >>> _ = walk.whole([len, lambda x: x])
        >>> [label for label, _ in walk.details]
        ['function <lambda>']
    """

    def __init__(self) -> None:
        #: (what it is, hash) of functions, classes and global values, in the order of the walk.
        self.details: list[tuple[str, str]] = []
        self._done: dict[int, bytes] = {}
        self._kept: list[Any] = []  # an id is a name only while its object lives
        self._numbers: dict[int, int] = {}
        self._order: list[int] = []
        self._low = sys.maxsize
        self._queue: list[tuple[str, Any]] = []
        self._queued: set[int] = set()

    def whole(self, value: object) -> bytes:
        """The hash of a value and of all that it refers to by name."""
        parts = [self.of(value)]
        named = []
        while self._queue:
            label, thing = self._queue.pop()
            inner = self._function(thing) if isinstance(thing, FunctionType) else self._class(thing)
            self._note(f"{'function' if isinstance(thing, FunctionType) else 'class'} {label}", inner)
            named.append(_hash(label.encode(), inner))
        return _hash(b"whole", *parts, *sorted(named))

    def of(self, value: Any) -> bytes:
        """The hash of a value; what it refers to by name is left to :meth:`whole`."""
        if type(value) in _SCALARS:
            return _scalar(value)
        key = id(value)
        if (known := self._done.get(key)) is not None:
            return known
        if (number := self._numbers.get(key)) is not None:  # a cycle
            self._low = min(self._low, number)
            return _hash(b"again", str(len(self._order) - number).encode())
        self._kept.append(value)
        outer, self._low = self._low, sys.maxsize
        mine = self._numbers[key] = len(self._order)
        self._order.append(key)
        result = self._content(value)
        if self._low >= mine:  # nothing in it refers to what is around it
            self._done[key] = result
            self._forget(mine)
            self._low = outer
        else:
            self._low = min(self._low, outer)
        return result

    def _forget(self, number: int) -> None:
        for key in self._order[number:]:
            del self._numbers[key]
        del self._order[number:]

    def _note(self, what: str, value: bytes) -> None:
        self.details.append((what, value.hex()))

    # --- kinds of values --------------------------------------------------------------------------------

    def _content(self, value: Any) -> bytes:
        kind = type(value)
        if kind in (list, tuple):
            if (plain := _plain(value)) is not None:
                return _hash(kind.__name__.encode(), b"plain", plain)
            return _hash(kind.__name__.encode(), *map(self.of, value))
        if kind is dict:
            return self._dict(value)
        if kind in (set, frozenset):
            return _hash(kind.__name__.encode(), *sorted(self._apart(value)))
        if isinstance(value, FunctionType):
            return self._function_or_name(value)
        if isinstance(value, type):
            return self._class_or_name(value)
        if kind is CodeType:
            return self._code(value)
        if kind is _CACHES:
            return _hash(b"cached", self.of(value.__wrapped__))
        if kind is ModuleType:
            return _hash(b"module", value.__name__.encode())
        if kind is BuiltinFunctionType and (value.__self__ is None or kind is type(value.__self__)):
            return _hash(b"builtin", value.__qualname__.encode())
        if isinstance(value, (staticmethod, classmethod)):
            return _hash(kind.__name__.encode(), self.of(value.__func__))
        if isinstance(value, property):
            return _hash(b"property", *map(self.of, (value.fget, value.fset, value.fdel)))
        if isinstance(value, cached_property):
            return _hash(b"cached_property", self.of(value.func))
        return self._instance(value)

    def _dict(self, value: dict[Any, Any]) -> bytes:
        if all(type(key) in _SCALARS for key in value):  # these have an order that is theirs alone
            pairs = sorted(((_scalar(key), key) for key in value), key=itemgetter(0))
            return _hash(b"dict", *chain.from_iterable((h, self.of(value[key])) for h, key in pairs))
        return _hash(b"dict", *sorted(self._apart(list(value.items()))))

    def _apart(self, values: Iterable[Any]) -> list[bytes]:
        """Hashes of values, none of which counts on having been met after another."""
        result = []
        for value in values:
            before = len(self._order)
            result.append(self.of(value))
            self._forget(before)
        return result

    def _instance(self, value: Any) -> bytes:
        kind = type(value)
        label = f"{kind.__module__}.{kind.__qualname__}".encode()
        if isinstance(value, (Context, Run)):
            return _hash(b"opaque", label)
        try:
            reducer = copyreg.dispatch_table.get(kind)
            reduced = reducer(value) if reducer is not None else value.__reduce_ex__(4)
        except Exception:  # many kinds; it has no content that could be told
            return _hash(b"opaque", label)
        if isinstance(reduced, str):
            return _hash(b"global", label, reduced.encode())
        function, arguments, state, items, pairs = (*reduced, None, None, None, None)[:5]
        if isinstance(state, tuple) and len(state) == 2:
            state = tuple(_without_caches(kind, part) for part in state)
        parts = [function, arguments, _without_caches(kind, state)]
        parts.append(None if items is None else list(items))
        parts.append(None if pairs is None else dict(pairs))
        self._kept.append(parts)
        return _hash(b"instance", *map(self.of, parts))

    # --- functions and classes --------------------------------------------------------------------------

    def _function_or_name(self, value: FunctionType) -> bytes:
        if _is_named(value):
            if _is_library(value.__module__):
                return _hash(b"library", f"{value.__module__}.{value.__qualname__}".encode())
            return self._refer(value.__qualname__, value)
        result = self._function(value)
        self._note(f"function {value.__qualname__.rpartition('.')[2]}", result)
        return result

    def _class_or_name(self, value: type) -> bytes:
        if _is_library(value.__module__):
            return _hash(b"library", f"{value.__module__}.{value.__qualname__}".encode())
        return self._refer(value.__qualname__, value) if _is_named(value) else self._class(value)

    def _refer(self, label: str, value: Any) -> bytes:
        if id(value) not in self._queued:
            self._queued.add(id(value))
            self._queue.append((label, value))
        return _hash(b"named", label.encode())

    def _function(self, value: FunctionType) -> bytes:
        cells = []
        for cell in value.__closure__ or ():
            try:
                cells.append(cell.cell_contents)
            except ValueError:  # not filled yet
                cells.append(None)
        self._kept.append(cells)
        parts = [self._code(value.__code__, value.__doc__)]
        parts += map(self.of, (value.__defaults__, value.__kwdefaults__, cells))
        return _hash(b"function", *parts, *self._globals(value))

    def _code(self, code: CodeType, doc: str | None = None) -> bytes:
        constants = code.co_consts
        if doc is not None and constants and constants[0] == doc:
            constants = (None, *constants[1:])
        shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        names = (code.co_names, code.co_freevars, len(code.co_cellvars))
        parts = [self.of(x) for x in constants]
        return _hash(
            b"code", code.co_code, code.co_exceptiontable, repr(shape).encode(), repr(names).encode(), *parts
        )

    def _globals(self, value: FunctionType) -> list[bytes]:
        """What the function refers to in its module, and in modules of the user that this one imports."""
        loaded, attributes = _names(value.__code__)
        found = []
        for name in sorted(loaded & value.__globals__.keys()):
            thing = value.__globals__[name]
            if isinstance(thing, ModuleType) and not _is_library(thing.__name__):
                inside = vars(thing)
                parts = [
                    _hash(a.encode(), self._global(a, inside[a])) for a in sorted(attributes & inside.keys())
                ]
                found.append(_hash(name.encode(), *parts))
            else:
                found.append(_hash(name.encode(), self._global(name, thing)))
        return found

    def _global(self, name: str, thing: Any) -> bytes:
        result = self.of(thing)
        if not isinstance(thing, (FunctionType, type, ModuleType)) and not callable(thing):
            self._note(f"global value {name}", result)
        return result

    def _class(self, value: type) -> bytes:
        parts = [self.of(base) for base in value.__bases__]
        for name, thing in sorted(vars(value).items()):
            if name in _CLASS_NOISE:
                continue
            if isinstance(thing, FunctionType) and not _is_library(thing.__module__):
                parts.append(_hash(name.encode(), self._function(thing)))
            elif not type(thing).__name__.endswith("_descriptor"):
                parts.append(_hash(name.encode(), self.of(thing)))
            else:
                parts.append(_hash(name.encode()))
        return _hash(b"class", *parts)


def _plain(value: list[Any] | tuple[Any, ...]) -> bytes | None:
    """Many numbers and texts, or tuples of these, at C speed; None where there is anything else."""
    if len(value) < 16:
        return None
    kinds = set(map(type, value))
    if not kinds <= _SCALARS:  # noqa: SIM102 - one question after the other
        if kinds != {tuple} or not set(map(type, chain.from_iterable(value))) <= _SCALARS:
            return None
    return marshal.dumps(value, 0)  # version 0 knows nothing of which values are one object


def _without_caches(kind: type, state: Any) -> Any:
    """The state of an instance without what it computed once and keeps."""
    if not isinstance(state, dict):
        return state
    return {k: v for k, v in state.items() if not isinstance(getattr(kind, str(k), None), cached_property)}


def _is_named(value: Any) -> bool:
    """True when a module holds it under its own name."""
    thing: Any = sys.modules.get(value.__module__ or "")
    for name in value.__qualname__.split("."):
        thing = getattr(thing, name, None)
    return thing is value


@lru_cache(maxsize=1024)
def _is_library(module: str | None) -> bool:
    """True for modules of Python, of Haydi and of installed packages."""
    if module is None:
        return False
    top = module.partition(".")[0]
    if top == "__main__":
        return False
    if top == "haydi" or top in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return False
    roots = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    if any(os.path.realpath(file).startswith(os.path.realpath(root) + os.sep) for root in roots):
        return True
    return "site-packages" in file or "dist-packages" in file


def _names(code: CodeType) -> tuple[set[str], set[str]]:
    """Names that code loads from its module, and names of attributes; inner functions included."""
    loaded: set[str] = set()
    attributes: set[str] = set()
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            loaded.add(instruction.argval)
        elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            attributes.add(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner = _names(constant)
            loaded |= inner[0]
            attributes |= inner[1]
    return loaded, attributes
