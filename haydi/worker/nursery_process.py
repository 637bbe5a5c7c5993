"""The process side of the nursery: what forks, watches and reaps compute processes.

:mod:`haydi.worker.nursery` tells what for, and how nothing is left behind. This process has one thread and
one poll loop, over the requests of the supervisor, the end of children and their output. It never waits for
anything else: neither for the reader of the daemon's stderr nor for a child to die.
"""

from __future__ import annotations

import fcntl
import gc
import os
import select
import signal
import socket
import struct
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn

from haydi.worker.marks import Marks

__all__ = ["DIED", "END_SECONDS", "EVENT", "NONE", "REQUEST", "SIGNAL", "SPAWN", "SPAWNED", "NurseryProcess"]

#: A request: kind, slot, argument.
REQUEST: Final = struct.Struct("<Bii")
SPAWN: Final = 1
SIGNAL: Final = 2

#: An event: kind, slot, pid, exit code, signal, number of bytes that follow (the last words).
EVENT: Final = struct.Struct("<BiiiiI")
SPAWNED: Final = 1
DIED: Final = 2
#: No exit code, or no signal.
NONE: Final = -1

#: From the death of the supervisor to the end of the nursery, at the latest.
END_SECONDS: Final = 2.0

#: How much of the output of a compute process is kept to be told when it dies.
TAIL_BYTES: Final = 4096
#: What a dead compute process left in its pipe is taken in at most so many reads of 64 KB.
_DRAIN_READS: Final = 16
#: Output that waits for the daemon's stderr; what the dead leave beyond it is dropped.
_BACKLOG_BYTES: Final = 1 << 20
#: A write of this size does not block on a pipe that is polled writable.
_WRITE_BYTES: Final = 512


@dataclass(eq=False, slots=True)
class _Child:
    """A compute process, as the nursery knows it."""

    slot: int
    pid: int
    #: The reading end of its output; -1 when it has closed the other.
    stderr: int
    #: A copy of its end of the channel, to end the line when it dies: a child of its own may hold another.
    line: socket.socket
    tail: bytes = b""


class NurseryProcess:
    """The life of the nursery process; see the module.

    Args:
        sock: The socket to the supervisor.
        lifeline: Reading end of the lifeline.
        marks: Where compute processes write what they are at.
    """

    def __init__(self, sock: socket.socket, lifeline: int, marks: Marks) -> None:
        self._sock = sock
        self._marks = marks
        self._lifeline = lifeline
        self._children: dict[int, _Child] = {}
        self._inbox = bytearray()
        #: Output on its way to the daemon's stderr.
        self._backlog = bytearray()
        self._wake_read, self._wake_write = os.pipe()

    def run(self) -> NoReturn:
        """Serve until the supervisor is gone, then end everything."""
        self._settle_in()
        try:
            while self._turn():
                pass
        except BaseException:
            traceback.print_exc()
        self._end()

    def _settle_in(self) -> None:
        os.setpgid(0, 0)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.dup2(2, 1)  # who waits for the end of the daemon's stdout must not wait for us
        for number in (signal.SIGINT, signal.SIGIO, signal.SIGUSR1, signal.SIGTTOU, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        fcntl.fcntl(self._lifeline, fcntl.F_SETOWN, -os.getpgrp())
        flags = fcntl.fcntl(self._lifeline, fcntl.F_GETFL)
        fcntl.fcntl(self._lifeline, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)
        import haydi.worker.compute  # noqa: F401  # loaded once here, for all compute processes

        gc.collect()
        gc.freeze()

    # --- the loop -------------------------------------------------------------------------------------

    def _turn(self) -> bool:
        poller = select.poll()
        poller.register(self._sock, select.POLLIN)
        poller.register(self._wake_read, select.POLLIN)
        speakers: dict[int, _Child] = {}
        if self._backlog:
            poller.register(2, select.POLLOUT)
        else:
            speakers = {child.stderr: child for child in self._children.values() if child.stderr >= 0}
        for descriptor in speakers:
            poller.register(descriptor, select.POLLIN)
        ready = dict(poller.poll())
        if 2 in ready:
            self._write()
        for descriptor in ready.keys() & speakers.keys():
            self._listen(speakers[descriptor])
        if self._wake_read in ready:
            with suppress(BlockingIOError):
                os.read(self._wake_read, 1 << 16)
            self._reap()
        return self._sock.fileno() not in ready or self._serve()

    def _serve(self) -> bool:
        """Do what the supervisor asks; False when it is gone."""
        try:
            data = self._sock.recv(1 << 16)
        except ConnectionError:
            return False
        self._inbox += data
        while len(self._inbox) >= REQUEST.size:
            kind, slot, argument = REQUEST.unpack_from(self._inbox)
            del self._inbox[: REQUEST.size]
            if kind == SPAWN:
                self._spawn(slot)
            else:
                for child in self._children.values():
                    if child.slot == slot:
                        os.kill(child.pid, argument)
        return bool(data)

    # --- output ---------------------------------------------------------------------------------------

    def _listen(self, child: _Child) -> bool:
        """Take over what a compute process wrote; False when there is nothing now."""
        try:
            data = os.read(child.stderr, 1 << 16)
        except BlockingIOError:
            return False
        if not data:  # closed, maybe by a process that lives on: not to be polled for ever
            os.close(child.stderr)
            child.stderr = -1
            return False
        child.tail = (child.tail + data)[-TAIL_BYTES:]
        room = _BACKLOG_BYTES - len(self._backlog)
        self._backlog += data[:room]
        self._write()
        return True

    def _write(self) -> None:
        """Pass output on as far as the daemon's stderr takes it without waiting."""
        poller = select.poll()
        poller.register(2, select.POLLOUT)
        try:
            while self._backlog and poller.poll(0):
                del self._backlog[: os.write(2, self._backlog[:_WRITE_BYTES])]
        except BlockingIOError:
            pass
        except OSError:  # closed: nobody wants to read it
            self._backlog.clear()

    # --- birth and death ------------------------------------------------------------------------------

    def _spawn(self, slot: int) -> None:
        opened: list[int] = []
        try:
            ours, theirs = (end.detach() for end in socket.socketpair())
            opened += (ours, theirs)
            opened += os.pipe()
            control_read, control_write = opened[2:]
            opened += os.pipe()
            stderr_read, stderr_write = opened[4:]
            pid = os.fork()
        except OSError as error:
            for descriptor in opened:
                os.close(descriptor)
            self._tell(DIED, slot, 0, tail=f"a compute process cannot be started: {error}".encode())
            return
        if pid == 0:
            for descriptor in (ours, control_write, stderr_read):
                os.close(descriptor)
            self._become_compute(slot, theirs, control_read, stderr_write)
        os.close(control_read)
        os.close(stderr_write)
        os.set_blocking(stderr_read, False)
        os.set_blocking(control_write, False)
        self._children[pid] = _Child(slot, pid, stderr_read, socket.socket(fileno=theirs))
        self._tell(SPAWNED, slot, pid, descriptors=(ours, control_write))
        os.close(ours)
        os.close(control_write)

    def _become_compute(self, slot: int, sock: int, control: int, stderr: int) -> NoReturn:
        """The child's side of the fork."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGTTOU, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            self._obey_lifeline()
            os.dup2(stderr, 1)
            os.dup2(stderr, 2)
            os.close(stderr)
            self._sock.close()
            os.close(self._wake_read)
            os.close(self._wake_write)
            for sibling in self._children.values():
                if sibling.stderr >= 0:
                    os.close(sibling.stderr)
                sibling.line.close()
            sys.stdin = open(0, closefd=False, encoding="utf-8")  # noqa: SIM115  # they live as long as the process
            sys.stdout, sys.stderr = (
                open(n, "w", buffering=1, closefd=False, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
                for n in (1, 2)
            )
            from haydi.worker import compute

            code = compute.main(socket.socket(fileno=sock), control, self._marks.writer(slot))
        except BaseException:
            traceback.print_exc()
        finally:
            with suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _obey_lifeline(self) -> None:
        if (
            sys.platform == "darwin"
        ):  # where the default is to ignore this signal, and Python's handlers are too late
            import ctypes

            libc = ctypes.CDLL(None)
            libc.signal(ctypes.c_int(signal.SIGIO), ctypes.cast(libc._exit, ctypes.c_void_p))
        else:
            signal.signal(signal.SIGIO, signal.SIG_DFL)
        poller = select.poll()
        poller.register(self._lifeline, 0)
        if poller.poll(0):  # it was cut before the line above
            os._exit(1)

    def _reap(self) -> None:
        for pid, child in list(self._children.items()):
            got, status = os.waitpid(pid, os.WNOHANG)
            if got == 0:
                continue
            del self._children[pid]
            for _ in range(_DRAIN_READS):
                if child.stderr < 0 or not self._listen(child):
                    break
            if child.stderr >= 0:
                os.close(child.stderr)
            with suppress(OSError):
                child.line.shutdown(socket.SHUT_RDWR)
            child.line.close()
            code = os.waitstatus_to_exitcode(status)
            self._tell(
                DIED,
                child.slot,
                pid,
                code=code if code >= 0 else NONE,
                signum=-code if code < 0 else NONE,
                tail=child.tail,
            )

    def _tell(
        self,
        kind: int,
        slot: int,
        pid: int,
        *,
        code: int = NONE,
        signum: int = NONE,
        tail: bytes = b"",
        descriptors: tuple[int, ...] = (),
    ) -> None:
        data = EVENT.pack(kind, slot, pid, code, signum, len(tail)) + tail
        with suppress(ConnectionError):  # the supervisor is gone; the end of the socket tells
            sent = socket.send_fds(self._sock, [data], descriptors)
            self._sock.sendall(data[sent:])

    def _end(self) -> NoReturn:
        """Kill and reap all children, then what is left of the group: what they started, and this process."""
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + END_SECONDS
        while self._children and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.001)
        self._write()
        os.killpg(0, signal.SIGKILL)
        os._exit(0)
