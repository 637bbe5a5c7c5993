"""A self-test for domains: does a domain keep the contract?

A domain states the same set several times over: by its size, by iteration, by iteration from any start, by
``domain[i]``, by ``index``, by slices, by random draws, and by what its pickle becomes elsewhere. A parallel
run mixes all of them, and a domain where two of them differ gives results that depend on who worked on what.
:func:`check_domain` compares them with each other, on the first steps, at both ends and in the middle, and on
windows of random position and length. It needs no second implementation to compare with, which is what makes
it useful for the domains that you write yourself.

It looks at a bounded number of steps, however large the domain is: it can find a fault, it cannot exclude
one.
"""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, zip_longest
from typing import Any

from haydi.domains.arguments import as_int
from haydi.domains.describe import shorten, show_int
from haydi.domains.domain import Domain
from haydi.domains.stepping import range_size
from haydi.errors import ArgumentTypeError, DomainCheckError, SkippedStepError
from haydi.order import sort_key

__all__ = ["check_cnfs", "check_domain"]

_WINDOW_MAX = 40
_WINDOWS = 12
_DRAWS = 20
_REPR_LENGTH_MAX = 1000
_PICKLE_GROWTH_MAX = 64
_UNIFORM_SIZE_MAX = 60
_UNIFORM_DRAWS_PER_ELEMENT = 60
_DEVIATIONS_MAX = 6.0

_ABSENT = object()


def check_domain(
    domain: Domain[Any], *, max_elements: int = 200, uniform: bool = False, seed: int = 0
) -> None:
    """Check that a domain keeps the contract of :class:`haydi.Domain`.

    Args:
        domain: The domain.
        max_elements: How many steps to look at closely, from each end and in the middle.
        uniform: Check also that random draws favour no element, where the domain is small enough to see that.
            Leave it out for a ``Join`` with ratios.
        seed: Where to look, and what to draw, beyond the fixed places; the same seed does the same again.

    Raises:
        DomainCheckError: Two ways to see the domain differ; the message says which, and where.

    >>> from haydi.domains import Boolean, Domain, Range
    >>> check_domain(Range(10**30) * Boolean())
    >>> class Wrong(Domain[int]):
    ...     size = 3
    ...     def _at(self, step):
    ...         return step
    ...     def _elements(self, start, stop):
    ...         return iter([0, 1, 2][start:])
    >>> check_domain(Wrong())
    Traceback (most recent call last):
        ...
    haydi.errors.DomainCheckError: <Wrong size=3 {0, 1, 2}>: elements(0, 3) gives [0, 1, 2], the same ...
    """
    if not isinstance(domain, Domain):
        raise ArgumentTypeError(f"domain must be a domain, not {shorten(domain)}")
    checker = _Checker(domain, as_int("max_elements", max_elements, least=1), random.Random(seed))
    try:
        checker.check_everything(uniform)
    except DomainCheckError:
        raise
    except Exception as error:
        raise checker.fail(f"{type(error).__name__}: {error}") from error


def check_cnfs(domain: Domain[Any], *, max_size: int = 5000, seed: int = 0) -> None:
    """Check the representatives of a strict domain by three ways that know nothing of each other.

    The classes must have as many elements together as the domain; their number must be the one that
    Burnside's lemma gives (:meth:`haydi.Domain.cnf_count`); and in a small domain the least elements of all
    classes must be the same ones. Where a filter takes part, only the last can be told. Representatives must
    also be canonical, and the same when they are computed in parts.

    Args:
        domain: A strict domain.
        max_size: Domains of up to so many steps are gone through.
        seed: How to cut the representatives into parts.

    Raises:
        DomainCheckError: Something does not agree.
        ArgumentValueError: The domain is not strict.

    >>> from haydi.domains import Subsets, USet
    >>> nodes = USet(4, "n")
    >>> check_cnfs(Subsets(Subsets(nodes, 2)))
    """
    from haydi.symmetry.canon import canonize
    from haydi.symmetry.counting import cnf_count

    def require(one: str, value: object, other: str, expected: object) -> None:
        if value != expected:
            raise DomainCheckError(
                f"{domain!r}: {one} and {other} differ: {shorten(value)} and {shorten(expected)}"
            )

    found = domain.cnfs(with_orbit_size=True).run()
    keys = [sort_key(element) for element, _ in found]
    size = domain._known_size()
    if not _has_filters(domain):
        require(
            "the sum over all classes of their sizes", sum(n for _, n in found), "the domain's size", size
        )
        require("the number of representatives", len(found), "cnf_count()", cnf_count(domain))
    for element, _ in found:
        require("a representative", element, "its canonical form", canonize(element))
    parts = random.Random(seed).randint(2, 5)
    shares = [domain.cnfs(part=(r, parts)).run() for r in range(parts)]
    in_parts = sorted(sort_key(element) for share in shares for element in share)
    require("cnfs()", sorted(keys), f"cnfs() in {parts} parts", in_parts)
    if size <= max_size:
        least = {sort_key(canonize(element)) for element in domain}
        require(
            "the representatives", sorted(set(keys)), "the canonical forms of all elements", sorted(least)
        )


def _has_filters(domain: Domain[Any]) -> bool:
    return domain.filtered or any(map(_has_filters, domain._parts))


class _Checker:
    """One check of one domain, and what it has learned so far."""

    def __init__(self, domain: Domain[Any], limit: int, rng: random.Random) -> None:
        self.domain = domain
        self.limit = limit
        self.rng = rng
        self.pickle_size = 0
        self.sample: dict[int, Any] = {}
        """Accepted elements met so far, by step."""

    def check_everything(self, uniform: bool) -> None:
        self.check_description()
        if self.domain.size is None:
            self.check_unsized()
        else:
            self.check_windows()
            self.check_bounds()
            self.check_slices()
        self.check_index()
        if self.domain.size is not None:
            self.check_draws()
            if uniform:
                self.check_uniform()
        self.check_pickle()

    def fail(self, problem: str) -> DomainCheckError:
        return DomainCheckError(f"{self.domain!r}: {problem}")

    def require_equal(self, one: str, first: Any, other: str, second: Any) -> None:
        if type(first) is not type(second) or first != second:
            problem = f"{one} gives {shorten(first)}, {other} gives {shorten(second)}"
            if isinstance(first, list) and isinstance(second, list):
                pairs = enumerate(zip_longest(first, second, fillvalue=_ABSENT))
                place, items = next((place, pair) for place, pair in pairs if pair[0] != pair[1])
                texts = ["nothing" if item is _ABSENT else shorten(item) for item in items]
                problem += f"; from place {place} on: {texts[0]} and {texts[1]}"
            raise self.fail(problem)

    # ---- single aspects ----

    def check_description(self) -> None:
        """What the domain says of itself is well-formed."""
        domain = self.domain
        size = domain.size
        if size is not None and (type(size) is not int or size < 0):
            raise self.fail(f"size is {shorten(size)}; it must be an int that is not negative, or None")
        for attribute in ("filtered", "strict"):
            value = getattr(domain, attribute)
            if type(value) is not bool:
                raise self.fail(f"{attribute} is {shorten(value)}; it must be True or False")
        if domain.name is not None and not isinstance(domain.name, str):
            raise self.fail(f"name is {shorten(domain.name)}; it must be a string or None")
        text = repr(domain)
        if type(text) is not str or len(text) > _REPR_LENGTH_MAX:
            raise self.fail(f"repr has {len(text)} characters; more than {_REPR_LENGTH_MAX} cannot be read")
        self.pickle_size = len(self.pickled())

    def check_unsized(self) -> None:
        """Without a size, all there is to compare is one iteration with the next."""
        domain, limit = self.domain, self.limit
        elements = list(islice(domain, limit))
        self.require_equal("iteration", elements, "iterating again", list(islice(domain, limit)))
        start, stop = len(elements) // 3, len(elements) // 2
        window = list(domain.elements(start, stop))
        self.require_equal(f"elements({start}, {stop})", window, "iteration", elements[start:stop])
        self.sample = dict(enumerate(elements))

    def check_windows(self) -> None:
        """Iteration from anywhere to anywhere gives what ``domain[i]`` gives there."""
        size = self.domain._known_size()
        first = min(size, self.limit)
        self.compare_window(0, first)
        self.compare_window(size - first, size)
        self.compare_window((size - first) // 2, (size + first) // 2)
        for border in (2**31, 2**63, 2**64):
            if border < size:
                self.compare_window(border - 2, min(size, border + 2))
        for _ in range(_WINDOWS):
            start = self.rng.randrange(size + 1)
            self.compare_window(start, min(size, start + self.rng.randrange(_WINDOW_MAX)))
        for start in {0, size // 2, size}:
            self.require_equal(
                f"elements({start}, {start})", list(self.domain.elements(start, start)), "an empty range", []
            )
        if size <= self.limit:
            expected = list(self.domain.elements(0, size))
            self.require_equal("elements(0, size)", expected, "iteration", list(self.domain))
        else:
            self.check_long_iteration(size)
        if type(self.domain)._iterate is not Domain._iterate and size <= self.limit:
            elements = list(islice(self.domain._iterate(), size + 1))
            self.require_equal("elements(0, size)", expected, "_iterate()", elements)

    def check_long_iteration(self, size: int) -> None:
        """Iteration begun without an end is iteration with a far end."""
        count = self.limit // 2
        for start in (0, self.rng.randrange(size)):
            stop = min(size, start + self.limit)
            near = list(islice(self.domain.elements(start, stop), count))
            far = list(islice(self.domain.elements(start), len(near)))
            where = f"({show_int(start)}, {show_int(stop)})"
            self.require_equal(f"elements{where}", near, f"elements({show_int(start)})", far)

    def compare_window(self, start: int, stop: int) -> None:
        """Compare the elements of some steps, taken in several ways."""
        domain = self.domain
        expected: list[Any] = []
        for step in iter(range(start, stop)):
            element = self.at(step)
            if element is not _ABSENT:
                expected.append(element)
                self.sample.setdefault(step, element)
        name = f"elements({show_int(start)}, {show_int(stop)})"
        whole = list(islice(domain.elements(start, stop), len(expected) + 2))
        # The first difference is easiest to understand on a single step.
        if whole != expected and stop - start > 1:
            for step in iter(range(start, stop)):
                self.compare_window(step, step + 1)
        self.require_equal(name, whole, "domain[i]", expected)
        if stop - start > 1:
            middle = self.rng.randrange(start, stop)
            parts = [*domain.elements(start, middle), *domain.elements(middle, stop)]
            self.require_equal(name, whole, f"the same cut at {show_int(middle)}", parts)

    def at(self, step: int) -> Any:
        """The element of a step, or ``_ABSENT`` where it is rejected."""
        try:
            return self.domain[step]
        except SkippedStepError:
            if not self.domain.filtered:
                raise self.fail(f"step {show_int(step)} is rejected, but filtered is False") from None
            return _ABSENT

    def check_bounds(self) -> None:
        """What lies outside is refused, and negative steps count from the end."""
        domain = self.domain
        size = domain._known_size()
        for start, stop in ((-1, size), (0, size + 1), (size, -1)):
            name = f"elements({show_int(start)}, {show_int(stop)})"
            self.require_error(name, ValueError, partial(self.first_of, start, stop))
        for step in (size, -size - 1):
            self.require_error(f"domain[{show_int(step)}]", IndexError, partial(domain.__getitem__, step))
        if size - 1 in self.sample:
            self.require_equal("domain[-1]", domain[-1], "domain[size - 1]", self.sample[size - 1])

    def first_of(self, start: int, stop: int) -> list[Any]:
        return list(islice(self.domain.elements(start, stop), 1))

    def require_error(self, name: str, kind: type[Exception], call: Callable[[], object]) -> None:
        try:
            result = call()
        except kind:
            return
        except Exception as error:
            raise self.fail(f"{name} raises {type(error).__name__}, not {kind.__name__}") from error
        raise self.fail(f"{name} gives {shorten(result)}; it must raise {kind.__name__}")

    def check_slices(self) -> None:
        """A slice is the domain of the sliced steps."""
        domain, rng = self.domain, self.rng
        size = domain._known_size()
        strides = [1, -1, 2, -3, max(1, size // 7)]
        for stride in strides:
            start, stop = sorted((rng.randrange(size + 1), rng.randrange(size + 1)))
            cut = slice(start, stop, stride) if stride > 0 else slice(stop, start, stride)
            steps = range(size)[cut]
            part = domain[cut]
            name = f"domain[{show_int(cut.start)}:{show_int(cut.stop)}:{show_int(stride)}]"
            expected = [x for step in islice(steps, _WINDOW_MAX) if (x := self.at(step)) is not _ABSENT]
            count = part._known_size()
            if count != range_size(steps):
                raise self.fail(f"{name} has size {show_int(count)}, not {show_int(range_size(steps))}")
            elements = list(part.elements(0, min(count, _WINDOW_MAX)))
            self.require_equal(name, elements, "domain[i]", expected)

    def check_index(self) -> None:
        """``index`` leads back to an equal element, and strangers are told apart."""
        domain = self.domain
        steps = list(self.sample)
        if domain._searches:
            steps = [step for step in steps if step < self.limit]
        for step in self.rng.sample(steps, min(len(steps), _WINDOW_MAX)):
            element = self.sample[step]
            if element not in domain:
                raise self.fail(f"{shorten(element)} is at step {show_int(step)}, but `in` denies it")
            found = domain.index(element)
            if domain.size is None:
                back = self.sample.get(found, _ABSENT)
            else:
                back = self.at(found) if 0 <= found < domain.size else _ABSENT
            if not (back is element or back == element):
                raise self.fail(
                    f"index({shorten(element)}) gives {show_int(found)}, but that element is at step "
                    f"{show_int(step)}"
                )
        if not domain._searches or (domain.size is not None and domain.size <= self.limit):
            for stranger in (_ABSENT, [], {}, (_ABSENT,), ([], [])):
                self.require_error(f"index({shorten(stranger)})", ValueError, partial(domain.index, stranger))

    def check_draws(self) -> None:
        """Random draws are elements, and depend on the generator alone."""
        domain = self.domain
        if not self.sample:
            if domain.size == 0:
                self.require_error(
                    "generate_one of an empty domain", ValueError, partial(domain.generate_one, self.rng)
                )
            return
        seed = self.rng.random()
        state = random.getstate()
        draws = list(self.draws(seed, _DRAWS))
        if random.getstate() != state:
            raise self.fail("generate_one uses the global random generator; it must use rng alone")
        self.require_equal("generate_one", draws, "the same seed again", list(self.draws(seed, _DRAWS)))
        if not domain._searches or domain._known_size() <= self.limit:
            for draw in draws:
                if draw not in domain:
                    raise self.fail(f"generate_one gives {shorten(draw)}, which is not in the domain")

    def draws(self, seed: float, count: int) -> Iterator[Any]:
        rng = random.Random(seed)
        return (self.domain.generate_one(rng) for _ in range(count))

    def check_uniform(self) -> None:
        """No element is drawn much more or less often than its share."""
        if self.domain._known_size() > self.limit or not 1 < len(self.sample) <= _UNIFORM_SIZE_MAX:
            return
        elements = list(self.domain)
        distinct = [x for i, x in enumerate(elements) if x not in elements[:i]]
        count = _UNIFORM_DRAWS_PER_ELEMENT * len(elements)
        draws = list(self.draws(self.rng.random(), count))
        for element in distinct:
            share = elements.count(element) / len(elements)
            expected = share * count
            deviation = (expected * (1 - share)) ** 0.5
            if abs(draws.count(element) - expected) > _DEVIATIONS_MAX * deviation:
                raise self.fail(
                    f"generate_one gives {shorten(element)} {draws.count(element)} times in {count} draws, "
                    f"where {expected:.0f} were to be expected"
                )

    def pickled(self) -> bytes:
        try:
            return _dumps(self.domain)
        except Exception as error:
            raise self.fail(f"it cannot be pickled: {error!r}") from error

    def check_pickle(self) -> None:
        """The pickle is small, and becomes the same domain."""
        data = self.pickled()
        if len(data) > self.pickle_size + _PICKLE_GROWTH_MAX:
            raise self.fail(
                f"its pickle has grown from {self.pickle_size} to {len(data)} bytes by use; keep what can be "
                f"computed again in functools.cached_property"
            )
        clone = pickle.loads(data)
        for attribute in ("size", "filtered", "strict", "name"):
            self.require_equal(
                attribute, getattr(self.domain, attribute), "its pickle", getattr(clone, attribute)
            )
        if self.domain.size is None:
            elements = list(islice(clone, self.limit))
            self.require_equal("iteration", list(self.sample.values()), "its pickle", elements)
            return
        for step in islice(self.sample, _WINDOW_MAX):
            element = self.sample[step]
            (copied,) = clone.elements(step, step + 1)
            self.require_equal(f"domain[{show_int(step)}]", element, "its pickle", copied)
            sent = pickle.loads(_dumps(element))
            self.require_equal(f"domain[{show_int(step)}]", element, "the pickle of that element", sent)


def _dumps(value: object) -> bytes:
    """The pickle, as it would be sent to a worker: with functions that have no name to be found by."""
    import cloudpickle  # not needed for anything else, and slow to load

    return bytes(cloudpickle.dumps(value))
