"""The file of a checkpoint: facts about a run, and its *pieces*, in an SQLite database.

A piece is ``(start, stop, payload)``: a range of steps and its pickled partial result. A range and its partial are
written in one transaction, so whatever happens between merging a range and writing it down, the range is computed
again, and never counted twice. Steps are unbounded, so they are written as hexadecimal text.

**Power loss.** The database is in WAL mode with ``synchronous=FULL``: a transaction is appended to the write-ahead
log and that is synced before the transaction counts as written. A torn or lost write breaks the chain of checksums in
the log, which then ends at the last whole transaction. The log is moved into the database only after it is synced, and
begun anew only after the database is. So any two writes may have a power loss between them: what is lost is what came
after the last transaction, some seconds of work. ``NORMAL`` would be as correct, but what it loses is up to the
kernel, half a minute and more; the sync costs nothing here, because a thread of its own waits for it
(:mod:`haydi.checkpoint.writer`).

**Damage.** SQLite does not see a flipped bit in a payload, or a piece that vanished with its page. Each row has a
checksum of its own, and opening a file verifies all of it: ``PRAGMA quick_check`` for the structure, then the rows.
A missing row is work to do again; a row that is wrong refuses the file.

When a run has closed the file it is one ordinary file again: the log is folded in and removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from haydi.checkpoint.lock import FileLock
from haydi.errors import CheckpointError

__all__ = ["FORMAT_VERSION", "Piece", "Store"]

#: Raised whenever what is written changes its meaning.
FORMAT_VERSION: Final = 1
APPLICATION_ID: Final = 0x48594449  # "HYDI"
#: SQLite limits a value to a gigabyte; longer payloads are several rows.
_PART_BYTES: Final = 64 << 20
_MAGIC: Final = b"SQLite format 3\0"

Piece = tuple[int, int, bytes]

_TABLES: Final = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL, checksum BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE pieces (
    number INTEGER PRIMARY KEY, start TEXT NOT NULL, stop TEXT NOT NULL, part INTEGER NOT NULL, parts INTEGER NOT NULL,
    payload BLOB NOT NULL, checksum BLOB NOT NULL
);
"""


class Store:
    """An open checkpoint file.

    Args:
        path: Where it is, or shall be.
        write: Open it for a run: it is made when it is not there, and locked. Otherwise it is only looked at.

    Raises:
        CheckpointError: when the file cannot be used, saying why and what to do.

    A store belongs to one thread at a time.
    """

    def __init__(self, path: Path, *, write: bool) -> None:
        self.path = path
        #: Bytes of payloads in all transactions so far.
        self.bytes_written = 0
        self._writing = False
        self._lock: FileLock | None = None
        self._database: sqlite3.Connection | None = None
        self._check_path(write)
        try:
            if write:
                self._lock = FileLock(path)
                if not path.exists():  # its pickles run code, so it is nobody else's to write
                    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            mode = "rw" if write else "ro"
            log = path.with_name(path.name + "-wal")
            if not write and not log.exists():
                mode = "ro&immutable=1"
            self._database = sqlite3.connect(
                f"file:{_quoted(path)}?mode={mode}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=10.0,
            )
            self.empty = self._open(write)
        except BaseException as error:
            self._abandon()
            if isinstance(error, (OSError, sqlite3.Error)):
                raise self._refusal(error) from error
            raise

    # --- opening ----------------------------------------------------------------------------------------

    def _check_path(self, write: bool) -> None:
        path = self.path
        if path.is_dir():
            raise CheckpointError(f"checkpoint={str(path)!r} is a directory: name a file in it")
        if not path.parent.is_dir():
            raise CheckpointError(f"checkpoint={str(path)!r}: there is no directory {str(path.parent)!r}")
        if not write and not path.exists():
            raise CheckpointError(f"there is no file {str(path)!r}")
        if path.exists() and not path.is_file():
            raise CheckpointError(f"checkpoint={str(path)!r} is no ordinary file")
        for thing, name in ((path.parent, "the directory"), (path, "the file")):
            if write and thing.exists() and not os.access(thing, os.W_OK):
                raise CheckpointError(
                    f"checkpoint={str(path)!r}: {name} {str(thing)!r} cannot be written by this user: change "
                    f"its permissions, or name a file elsewhere"
                )
        if path.exists() and path.stat().st_size:
            with contextlib.suppress(OSError), open(path, "rb") as file:
                if file.read(len(_MAGIC)) != _MAGIC:
                    raise CheckpointError(
                        f"checkpoint={str(path)!r} is no checkpoint of Haydi but some other file: name another one"
                    )

    def _open(self, write: bool) -> bool:
        """Make the file ready. True when there is nothing in it."""
        execute = self._connection.execute
        execute("PRAGMA trusted_schema=OFF")
        application = execute("PRAGMA application_id").fetchone()[0]
        tables = {row[0] for row in execute("SELECT name FROM sqlite_master")}
        if tables and application != APPLICATION_ID:
            raise CheckpointError(
                f"checkpoint={str(self.path)!r} is a database of another program: name another file"
            )
        if not write and not tables:
            raise CheckpointError(f"{str(self.path)!r} is no checkpoint yet: it is empty")
        if tables:
            wrong = execute("PRAGMA quick_check(1)").fetchone()[0]
            if wrong != "ok":
                raise self._damaged(str(wrong))
        if tables:
            self._check_format()
        return not tables

    def _check_format(self) -> None:
        version = self.facts().get("format")
        if version != FORMAT_VERSION:
            raise CheckpointError(
                f"checkpoint={str(self.path)!r} has format {version}, this Haydi reads format {FORMAT_VERSION}: "
                f"continue it with the Haydi that wrote it, or name another file"
            )

    @property
    def _connection(self) -> sqlite3.Connection:
        assert self._database is not None, "the store is closed"
        return self._database

    def _damaged(self, how: str) -> CheckpointError:
        return CheckpointError(
            f"checkpoint={str(self.path)!r} is damaged ({how}): put a copy of it in its place, or remove it, and "
            f"{self.path.name}-wal beside it, to begin anew"
        )

    def _refusal(self, error: Exception) -> CheckpointError:
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            return self._damaged(str(error))
        return CheckpointError(f"checkpoint={str(self.path)!r} cannot be used: {error}")

    # --- reading ----------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """What is noted of the run, by name.

        Raises:
            CheckpointError: when the file is damaged.
        """
        found: dict[str, Any] = {}
        try:
            for name, value, checksum in self._connection.execute("SELECT name, value, checksum FROM facts"):
                if _checksum(name, value) != checksum:
                    raise self._damaged(f"the checksum of {name!r} is wrong")
                found[name] = value if name == "action" else json.loads(value)
        except (sqlite3.Error, TypeError, ValueError, AttributeError) as error:
            raise self._damaged(str(error)) from error
        return found

    def pieces(self) -> Iterator[Piece]:
        """All pieces, in the order in which they were written.

        Raises:
            CheckpointError: when the file is damaged.
        """
        rows = "SELECT number, start, stop, part, parts, payload, checksum FROM pieces ORDER BY number"
        collected: list[bytes] = []
        try:
            for number, start, stop, part, parts, payload, checksum in self._connection.execute(rows):
                if _checksum(start, stop, f"{part}/{parts}", payload) != checksum:
                    raise self._damaged(f"the checksum of record {number} is wrong")
                if part != len(collected):
                    raise self._damaged(f"record {number} is out of place")
                collected.append(payload)
                if len(collected) == parts:
                    yield int(start, 16), int(stop, 16), b"".join(collected)
                    collected = []
        except (sqlite3.Error, TypeError, ValueError, AttributeError) as error:
            raise self._damaged(str(error)) from error
        if collected:
            raise self._damaged("the end of the last record is missing")

    # --- writing ----------------------------------------------------------------------------------------

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Make an empty file a checkpoint."""
        self._begin_writing()
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            for statement in _TABLES.split(";"):
                execute(statement)
            execute(f"PRAGMA application_id={APPLICATION_ID}")
            self._write_facts({**facts, "format": FORMAT_VERSION, "written": time.time()})
            execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise self._refusal(error) from error

    def write(self, pieces: Sequence[Piece], facts: Mapping[str, Any], *, replace: bool = False) -> None:
        """Write pieces and facts in one transaction; with ``replace`` all pieces of before are dropped in it.

        Raises:
            sqlite3.Error: when that cannot be done; then nothing has changed.
        """
        self._begin_writing()
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            if replace:
                execute("DELETE FROM pieces")
            self._connection.executemany(
                "INSERT INTO pieces (start, stop, part, parts, payload, checksum) VALUES (?, ?, ?, ?, ?, ?)",
                _rows(pieces),
            )
            self._write_facts({**facts, "written": time.time()})
            execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        self.bytes_written += sum(len(payload) for _, _, payload in pieces)

    def _begin_writing(self) -> None:
        """Until here the file is as it was found: it may be refused."""
        if not self._writing:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA journal_size_limit=0")
            self._writing = True

    def _write_facts(self, facts: Mapping[str, Any]) -> None:
        for name, value in facts.items():
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            self._connection.execute(
                "INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", (name, data, _checksum(name, data))
            )

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # SQLite has done it itself where it had to
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def is_there(self) -> bool:
        """False when somebody has removed the file, or put another one in its place, while it was open."""
        if self._lock is None:
            return True
        return self.path.exists()

    # --- closing ----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Fold the log in, leave one file, and let others have it."""
        if self._database is not None and self._writing:
            with contextlib.suppress(
                sqlite3.Error
            ):  # somebody looks at it, or the disk is full: it is as good
                self._database.execute("PRAGMA journal_mode=DELETE")
        self._abandon()

    def _abandon(self) -> None:
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _rows(pieces: Sequence[Piece]) -> Iterator[tuple[str, str, int, int, bytes, bytes]]:
    for start, stop, payload in pieces:
        parts = max(1, -(-len(payload) // _PART_BYTES))
        for part in range(parts):
            data = payload if parts == 1 else payload[part * _PART_BYTES : (part + 1) * _PART_BYTES]
            a, b = f"{start:x}", f"{stop:x}"
            yield a, b, part, parts, data, _checksum(a, b, f"{part}/{parts}", data)


def _checksum(*parts: str | bytes) -> bytes:
    h = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        h.update(len(data).to_bytes(8))
        h.update(data)
    return h.digest()


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path.absolute()))
