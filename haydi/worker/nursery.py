"""The nursery: the parent of all compute processes of a worker daemon.

A process with threads must not fork, and the supervisor has threads as soon as it has a ZeroMQ context. So
before that it forks a *nursery*: small, single-threaded, with all of the compute side loaded and frozen. The
nursery forks a compute process within a few milliseconds when told to, passes the supervisor's ends of its
pipes through its socket, delivers signals (as the parent it cannot hit a pid that was given to somebody
else), reaps, and reports each death with the last words on stderr.

    supervisor ── requests, events ── nursery ── stderr of each ── compute processes
         ╰────────────── channel and control pipe of each ──────────────╯

How nothing is left behind:

* The nursery sees the end of its socket when the supervisor is gone, however that went, and kills all its
  children.
* In case both are killed at the same moment there is a *lifeline*: a pipe whose write end only the supervisor
  has. Nursery and compute processes are one process group, and the kernel sends that group a signal
  (``O_ASYNC``) when the pipe closes. Its disposition in a compute process ends the process, at once and in
  whatever C loop it is: no bytecode has to run. Subprocesses that user code started, and that stayed in the
  group, are reached too.
* The end of the nursery ends the supervisor (:meth:`Nursery.receive` raises), and so the rest.

A compute process reads its stdin from the null device, and what it writes on stdout or stderr goes through
the nursery to the daemon's stderr. While nobody takes that, the nursery stops reading and writers wait, as on
any pipe; the nursery itself never does.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass

from haydi.worker.channel import Channel
from haydi.worker.marks import Marks
from haydi.worker.nursery_process import (
    DIED,
    END_SECONDS,
    EVENT,
    NONE,
    REQUEST,
    SIGNAL,
    SPAWN,
    SPAWNED,
    NurseryProcess,
)

__all__ = ["Died", "Event", "Nursery", "Spawned"]


@dataclass(frozen=True)
class Spawned:
    """A compute process was started.

    Attributes:
        slot: The slot it was asked for.
        pid: Its process id.
        channel: The supervisor's end of the line to it, which now belongs to the receiver of this event.
        control: File descriptor of the writing end of its control pipe, non-blocking; likewise.
    """

    slot: int
    pid: int
    channel: Channel
    control: int


@dataclass(frozen=True)
class Died:
    """A compute process ended, or could not be started.

    Attributes:
        slot: Its slot.
        pid: Its process id; 0 when it could not be started.
        exit_code: Its exit code, or None.
        signal: The signal that ended it, or None.
        stderr_tail: The last that it wrote on stdout or stderr, or why it could not be started.
    """

    slot: int
    pid: int
    exit_code: int | None
    signal: int | None
    stderr_tail: str


Event = Spawned | Died


class Nursery:
    """The supervisor's handle of its nursery; made by :meth:`start`. Only :meth:`close` ever waits."""

    def __init__(self, sock: socket.socket, pid: int, lifeline: int, marks: Marks) -> None:
        self.pid = pid
        #: What the compute process of each slot is at.
        self.marks = marks
        self._sock = sock
        self._lifeline = lifeline
        self._outbox = bytearray()
        self._inbox = bytearray()
        #: Received and not yet claimed by the event they belong to.
        self._descriptors: list[int] = []
        #: Slots that were asked for and not reported dead.
        self._occupied: set[int] = set()
        self._closed = False

    @staticmethod
    def start() -> Nursery:
        """Fork the nursery. To be called as early as can be: the process must have no other thread yet."""
        assert threading.active_count() == 1, (
            "a process with threads must not fork; start the nursery before them"
        )
        _open_standard_streams()
        sys.stdout.flush()
        sys.stderr.flush()
        marks = Marks()  # to be shared by all processes that are forked from here on
        ours, theirs = socket.socketpair()
        lifeline_read, lifeline_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(lifeline_write)
                ours.close()
                NurseryProcess(theirs, lifeline_read, marks).run()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        theirs.close()
        os.close(lifeline_read)
        ours.setblocking(False)
        return Nursery(ours, pid, lifeline_write, marks)

    def fileno(self) -> int:
        """A file descriptor that is readable when :meth:`receive` has something."""
        return self._sock.fileno()

    def spawn(self, slot: int) -> None:
        """Ask for a compute process; a :class:`Spawned` follows, or a :class:`Died` when that fails.

        Args:
            slot: Number of the slot; its last compute process, if any, has been reported dead.
        """
        assert slot not in self._occupied, f"slot {slot} has a compute process already"
        self._occupied.add(slot)
        self.marks.clear(slot)
        self._request(SPAWN, slot, 0)

    def signal(self, slot: int, signum: int) -> None:
        """Send a signal to the compute process of a slot, if it has one that lives."""
        self._request(SIGNAL, slot, signum)

    def receive(self) -> list[Event]:
        """What has happened, possibly nothing.

        Raises:
            EOFError: when the nursery is gone. Nothing can be started any more, and the compute processes
                that there are end when this process does.
        """
        self._push()
        ended = False
        try:
            while not ended:
                data, descriptors, flags, _ = socket.recv_fds(self._sock, 1 << 16, 64)
                for descriptor in descriptors:
                    os.set_inheritable(descriptor, False)
                self._descriptors += descriptors
                self._inbox += data
                if flags & socket.MSG_CTRUNC:
                    raise OSError(errno.EMFILE, "too many open files for a compute process; see ulimit -n")
                ended = not data
        except BlockingIOError:
            pass
        except ConnectionError:
            ended = True
        events = self._parse()
        if ended and not events:
            raise EOFError("the nursery, parent of the compute processes, is gone")
        return events

    def close(self) -> None:
        """End all compute processes, and the nursery; waits until they are gone, some seconds at most."""
        if self._closed:
            return
        self._closed = True
        self._sock.close()
        deadline = time.monotonic() + END_SECONDS + 1.0
        while time.monotonic() < deadline:
            if _reaped(self.pid):
                break
            time.sleep(0.001)
        else:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._lifeline)
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()

    def _request(self, kind: int, slot: int, argument: int) -> None:
        self._outbox += REQUEST.pack(kind, slot, argument)
        self._push()

    def _push(self) -> None:
        """Send requests, as far as they fit; the nursery is quick to take them."""
        try:
            while self._outbox:
                del self._outbox[: self._sock.send(self._outbox)]
        except BlockingIOError:
            pass
        except OSError:  # receive() tells
            self._outbox.clear()

    def _parse(self) -> list[Event]:
        events: list[Event] = []
        inbox = self._inbox
        while len(inbox) >= EVENT.size:
            kind, slot, pid, code, signum, tail_bytes = EVENT.unpack_from(inbox)
            end = EVENT.size + tail_bytes
            if len(inbox) < end:
                break
            if kind == SPAWNED:
                # Descriptors arrive with the bytes they were sent with, in order.
                channel, control = self._descriptors[:2]
                del self._descriptors[:2]
                events.append(Spawned(slot, pid, Channel(socket.socket(fileno=channel)), control))
            else:
                assert kind == DIED
                self._occupied.discard(slot)
                tail = inbox[EVENT.size : end].decode(errors="replace")
                events.append(Died(slot, pid, _optional(code), _optional(signum), tail))
            del inbox[:end]
        return events


def _optional(number: int) -> int | None:
    return None if number == NONE else number


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:  # somebody else reaped it
        return True


def _open_standard_streams() -> None:
    """Make sure that 0, 1 and 2 are taken: a pipe with such a number would be mistaken for a stream."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
