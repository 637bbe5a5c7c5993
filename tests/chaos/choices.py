"""What is done, when, to whom and for how long: drawn from a seed, before anything is known of the cluster.

Each choice takes the same number of draws, whatever the cluster looks like, so that a seed gives the same choices each
time. What they meet is another matter: real processes have their own time, and a choice that fits nobody at the moment
is let go.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["FAULTS", "NETWORK_FAULTS", "Choice", "choices"]

T = TypeVar("T")

#: Kinds of faults with their weights.
FAULTS = {
    "compute SIGKILL": 5,
    "compute SIGSEGV": 3,
    "nursery SIGKILL": 1,
    "daemon SIGKILL": 4,
    "daemon SIGTERM": 4,
    "daemon pause": 4,
    "scheduler SIGKILL": 2,
    "scheduler pause": 2,
    "client SIGKILL": 3,
    "client pause": 2,
    "own cluster": 2,
}

NETWORK_FAULTS = {
    "link cut": 6,
    "link flaps": 4,
    "one way lost": 4,
    "killed behind a cut": 4,
    "slow and lossy": 4,
}


@dataclass(frozen=True)
class Choice:
    """One fault.

    Attributes:
        after_seconds: How long after the one before.
        kind: One of the kinds above.
        where: Which of those it may hit, in [0, 1).
        amount: How long or how much, in [0, 1).
    """

    after_seconds: float
    kind: str
    where: float
    amount: float

    def of(self, candidates: Sequence[T]) -> T | None:
        """The one it hits; None when there is nobody."""
        return candidates[int(self.where * len(candidates))] if candidates else None

    def between(self, least: float, most: float) -> float:
        """A length of time; short ones are as likely as ten times longer ones."""
        return float(least * (most / least) ** self.amount)


def choices(seed: int, mean_seconds: float, network: bool) -> Iterator[Choice]:
    """Without end."""
    rng = random.Random(seed)
    weights = FAULTS | (NETWORK_FAULTS if network else {})
    kinds = list(weights)
    while True:
        kind = rng.choices(kinds, list(weights.values()))[0]
        yield Choice(rng.expovariate(1 / mean_seconds), kind, rng.random(), rng.random())
