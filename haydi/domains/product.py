"""Cartesian products: one element of each factor, as a tuple or a named tuple.

The order is that of ``itertools.product``: the last factor turns fastest. How a product starts anywhere and
keeps the speed of ``itertools.product`` is told in :mod:`haydi.domains.grid`.

The elements of a ``NamedProduct`` are of a class that is made at run time, which pickle cannot find by its
name. They travel as (name of the class, fields, values) and the class is made again on the other side, once
per process.
"""

from __future__ import annotations

import keyword
import math
from collections import namedtuple
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from itertools import repeat
from typing import TYPE_CHECKING, Any

from haydi.domains.arguments import as_domain, as_domains
from haydi.domains.describe import shorten
from haydi.domains.domain import Domain
from haydi.domains.grid import grid_all, grid_at, grid_elements, grid_index, grid_rejected_around
from haydi.errors import ArgumentTypeError, ArgumentValueError

if TYPE_CHECKING:
    from random import Random

__all__ = ["NamedProduct", "Product"]


class Product(Domain[tuple[Any, ...]]):
    """Tuples with one element of each domain; the last one changes fastest.

    ``a * b`` is a product too, and extends a plain ``Product`` on its left, however that was made:
    ``x * y * z`` has triples. To nest, write ``Product((x * y, z))``; a product on the right nests by itself.

    Args:
        domains: The factors. Without any there is one element, ``()``.
        name: A name shown in ``repr``.

    Raises:
        ArgumentTypeError: A factor is not a domain.

    >>> from haydi.domains.elementary import Boolean, Range
    >>> Range(3) * Boolean()
    <Product size=6 {(0, False), (0, True), (1, False), ...}>
    >>> Product((Range(3) * Boolean(), Range(2)))[0]
    ((0, False), 0)
    """

    def __init__(self, domains: Iterable[Domain[Any]], *, name: str | None = None) -> None:
        super().__init__(name=name)
        self._parts = as_domains("domains", domains)

    @property
    def domains(self) -> tuple[Domain[Any], ...]:
        """The factors."""
        return self._parts

    @property
    def strict(self) -> bool:
        return not self._parts or self._parts_strict

    @cached_property
    def _distinct(self) -> bool:
        return all(part._distinct for part in self._parts)

    @cached_property
    def size(self) -> int | None:
        return _product_if_known(part.size for part in self._parts)

    @cached_property
    def _accepted_count(self) -> int | None:
        return _product_if_known(part._accepted_count for part in self._parts)

    def _iterate(self) -> Iterator[tuple[Any, ...]]:
        return grid_all(self._parts)

    def _elements(self, start: int, stop: int) -> Iterator[tuple[Any, ...]]:
        return grid_elements(self._parts, start, stop)

    def _at(self, step: int) -> tuple[Any, ...]:
        return grid_at(self._parts, step)

    def _rejected_around(self, step: int) -> range:
        return grid_rejected_around(self._parts, step)

    def _index(self, element: object) -> int:
        if not isinstance(element, tuple) or len(element) != len(self._parts):
            raise self._absent(element)
        if self.size is None:
            return super()._index(element)
        return grid_index(self._parts, element)

    def _generate_one(self, rng: Random) -> tuple[Any, ...]:
        return tuple([part.generate_one(rng) for part in self._parts])

    def _with_parts(self, parts: tuple[Domain[Any], ...]) -> Product:
        return Product(parts, name=self._name)

    def __mul__(self, other: Domain[Any]) -> Product:
        if type(self) is not Product or not isinstance(other, Domain):
            return super().__mul__(other)
        return Product((*self._parts, other))


class NamedProduct(Product):
    """Named tuples with one element of each domain; the last one changes fastest.

    The elements compare and hash as plain tuples, and can be sent to other processes. ``a * b`` does not
    extend a NamedProduct: it nests.

    Args:
        fields: Pairs of a field's name and its domain.
        type_name: Name of the elements' class, ``Element`` when it is left out.
        name: A name shown in ``repr``.

    Raises:
        ArgumentTypeError: ``fields`` is not a sequence of pairs, or one of the domains is none.
        ArgumentValueError: A name is not an identifier, is a keyword, starts with an underscore, or repeats.

    >>> from haydi.domains.elementary import Range
    >>> edges = NamedProduct([("source", Range(2)), ("target", Range(3))], type_name="Edge")
    >>> edges[5]
    Edge(source=1, target=2)
    >>> edges.index((1, 2))
    5
    """

    def __init__(
        self,
        fields: Iterable[tuple[str, Domain[Any]]],
        type_name: str | None = None,
        *,
        name: str | None = None,
    ) -> None:
        names, domains = _split_fields(fields)
        super().__init__(domains, name=name)
        self._type_name = _identifier("type_name", "Element" if type_name is None else type_name)
        self._fields = names

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, in the order of the domains."""
        return self._fields

    @cached_property
    def _class(self) -> type[tuple[Any, ...]]:
        return _element_class(self._type_name, self._fields)

    def _iterate(self) -> Iterator[tuple[Any, ...]]:
        return map(tuple.__new__, repeat(self._class), super()._iterate())

    def _elements(self, start: int, stop: int) -> Iterator[tuple[Any, ...]]:
        return map(tuple.__new__, repeat(self._class), super()._elements(start, stop))

    def _at(self, step: int) -> tuple[Any, ...]:
        return tuple.__new__(self._class, super()._at(step))

    def _generate_one(self, rng: Random) -> tuple[Any, ...]:
        return tuple.__new__(self._class, super()._generate_one(rng))

    def _with_parts(self, parts: tuple[Domain[Any], ...]) -> NamedProduct:
        fields = zip(self._fields, parts, strict=True)
        return NamedProduct(fields, type_name=self._type_name, name=self._name)


def _product_if_known(numbers: Iterable[int | None]) -> int | None:
    factors = list(numbers)
    known = [factor for factor in factors if factor is not None]
    return math.prod(known) if len(known) == len(factors) else None


def _split_fields(fields: object) -> tuple[tuple[str, ...], tuple[Domain[Any], ...]]:
    remedy = 'fields must be a sequence of pairs such as ("x", Range(3))'
    if isinstance(fields, Domain | str) or not isinstance(fields, Iterable):
        raise ArgumentTypeError(f"{remedy}, not {shorten(fields)}")
    names: list[str] = []
    domains: list[Domain[Any]] = []
    for i, field in enumerate(fields):
        if not isinstance(field, tuple | list) or len(field) != 2:
            raise ArgumentTypeError(f"{remedy}; fields[{i}] is {shorten(field)}")
        name = _identifier(f"fields[{i}]", field[0])
        if name in names:
            raise ArgumentValueError(
                f"fields[{i}] repeats the name {name!r}; each field needs one of its own"
            )
        names.append(name)
        domains.append(as_domain(f"the domain of field {name!r}", field[1]))
    return tuple(names), tuple(domains)


def _identifier(argument: str, name: object) -> str:
    if not isinstance(name, str):
        raise ArgumentTypeError(f"{argument} must have a string as name, not {shorten(name)}")
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise ArgumentValueError(
            f"{argument}: {name!r} cannot be a name here; use an identifier that is no keyword and does not "
            f"start with an underscore"
        )
    return name


@cache
def _element_class(type_name: str, fields: tuple[str, ...]) -> type[tuple[Any, ...]]:
    """The one class of this process for elements of this name and these fields."""
    base: Any = namedtuple(type_name, fields)  # type: ignore[misc]
    namespace = {
        "__slots__": (),
        "__doc__": f"Element of a NamedProduct with the fields {', '.join(fields)}.",
        "__module__": __name__,
        "__reduce__": lambda self: (_element, (type_name, fields, *self)),
    }
    made: type[tuple[Any, ...]] = type(type_name, (base,), namespace)
    return made


def _element(type_name: str, fields: tuple[str, ...], *values: Any) -> tuple[Any, ...]:
    """Make an element again from what its pickle holds."""
    return tuple.__new__(_element_class(type_name, fields), values)
