"""The part of a supervisor that joins a scheduler, loses it, finds it again, and leaves.

What the loss of a scheduler means for runs and strides is the business of :class:`~haydi.worker.core.WorkerCore`, which
builds on this. Like all of a core it is pure: events and the time go in, effects come out.
"""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod

from haydi.ranges import in_words
from haydi.wire import contact as ct
from haydi.wire import messages as m
from haydi.worker.effects import Effect, Exit, Note, Reconnect, ToScheduler
from haydi.worker.foreman import Foreman
from haydi.worker.leaving import Departure
from haydi.worker.state import WorkerSettings

__all__ = ["Presence"]


class Presence(ABC):
    """Where a daemon stands with its scheduler."""

    foreman: Foreman

    def __init__(self, settings: WorkerSettings, now: float) -> None:
        self.settings = settings
        self.contact = ct.Contact(settings.death_seconds, now)
        #: The daemon ends now; or it leaves, in good order.
        self.stopping = False
        self.departure: Departure | None = None
        #: When it begins to leave by itself.
        self.leave_at = now + settings.working_seconds
        self._effects: list[Effect] = []

    @property
    def welcome(self) -> m.Welcome | None:
        """What the scheduler said when it welcomed us; None while there is none."""
        return self.contact.welcome

    def broken(self, now: float) -> list[Effect]:
        """The connection to the scheduler broke."""
        if (event := self.contact.lose("the connection broke", now)) is not None:
            self._on_contact(event, now)
        return self._settle(now)

    def retire(self, reason: str, now: float) -> list[Effect]:
        """The daemon leaves in good order (:mod:`haydi.worker.leaving`); an :class:`Exit` follows in a while."""
        self._begin_to_leave(reason, now)
        return self._settle(now)

    def leave(self, now: float) -> list[Effect]:
        """The daemon ends at once: tell the scheduler, which gives our steps to others."""
        self.stopping = True
        if self.departure is None or not self.departure.said_goodbye:
            self._send(m.Goodbye())
        return self._take()

    @abstractmethod
    def _begin(self) -> None:
        """A scheduler has welcomed us."""

    @abstractmethod
    def _abandon(self, now: float) -> None:
        """The scheduler is lost: others will run what we have."""

    @abstractmethod
    def _settle(self, now: float) -> list[Effect]:
        """What there is to do behind each event."""

    # --- the connection -------------------------------------------------------------------------------

    def _on_contact(self, event: ct.Event, now: float) -> None:
        settings = self.settings
        if isinstance(event, ct.Beat):
            self._send(m.Heartbeat())
        elif isinstance(event, ct.Call):
            self._emit(Reconnect(event.epoch))
        elif isinstance(event, ct.Joined):
            self._begin()
            self.contact.patience_seconds = max(settings.death_seconds, event.welcome.restart_seconds)
            if event.again:
                self._send(m.Back(event.away_seconds))
            again = f" again: back after {event.away_seconds:.1f} s" if event.again else ""
            welcome = event.welcome
            self._note(
                logging.INFO, f"connected to cluster {welcome.cluster} (Haydi {welcome.version}){again}"
            )
        elif isinstance(event, ct.Away):
            self._note(logging.WARNING, f"the scheduler is lost: {event.reason}; looking for it")
            self._abandon(now)
            if self.departure is not None:
                self._end(Exit(0, f"{self.departure.reason}; the scheduler is lost: {event.reason}"))
        elif event.kind == "refused":
            self._end(Exit(4, f"the scheduler refuses this worker: {event.reason}"))
        elif event.kind == "stopped":
            self._end(Exit(0, f"the scheduler ended: {event.reason}"))
        else:
            self._end(Exit(3, f"no scheduler answered for {event.away_seconds:.1f} s: {event.reason}"))

    def _end(self, effect: Exit) -> None:
        self.stopping = True
        self._emit(effect)

    def _begin_to_leave(self, reason: str, now: float) -> None:
        self.leave_at = math.inf
        if self.stopping or self.departure is not None:
            return
        grace_seconds = self.settings.leave_grace_seconds
        if self.welcome is None:
            self._end(Exit(0, reason))
            return
        self._note(logging.INFO, f"leaving: {reason}; what is at work may go on for {grace_seconds:g} s")
        self.departure = Departure(reason, grace_seconds, now, self.foreman, self._send)

    def _on_goodbye(self, message: m.Goodbye, now: float) -> None:
        if self.departure is not None:
            self.departure.on_goodbye()

    def _depart(self, departure: Departure, now: float) -> None:
        departure.step(now)
        if departure.over and not self.stopping:
            lost = f"; {in_words(departure.given_up)} steps run elsewhere" if departure.given_up else ""
            self._end(Exit(0, f"left: {departure.reason}{lost}"))

    # --- effects --------------------------------------------------------------------------------------

    def _emit(self, effect: Effect) -> None:
        self._effects.append(effect)

    def _send(self, message: m.Message) -> None:
        self._effects.append(ToScheduler(message))

    def _note(self, level: int, text: str) -> None:
        self._effects.append(Note(level, text))

    def _take(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects
