"""What all tests share: hypothesis profiles, and a stock-taking that sees what a test left behind.

Hypothesis is deterministic where ``CI`` is set: a red run there is red again on the next machine. Elsewhere
it looks for new examples each time. Neither has deadlines, because a shared machine is slow at its own will.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.stock import Stock

settings.register_profile("dev", deadline=None)
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


@pytest.fixture
def take_stock() -> Callable[[], Stock]:
    """A function that notes the processes and descriptors of this moment, to ask later what is left over."""
    return Stock.take


@pytest.fixture
def no_leftovers(take_stock: Callable[[], Stock]) -> Iterator[None]:
    """Fails the test that leaves a process or a file descriptor behind; for all tests with real processes."""
    before = take_stock()
    yield
    found = before.leftovers()
    assert not found, "left behind by this test:\n  " + "\n  ".join(found)
