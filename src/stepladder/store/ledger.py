"""The ledger: one SQLite file in WAL mode, changed only in transactions, brought up to date by numbered migrations.

A killed process loses at most the transaction it was in (`synchronous=NORMAL`: a power cut may lose the last few, never the
ledger). Several processes may use one ledger; each waits for the others.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from stepladder.core import StoreError
from stepladder.store.files import store_errors

_PATIENCE = 60.0  # seconds to wait for another process
_VARIABLES = 500  # SQLite takes 999 in old builds


def migrations() -> tuple[str, ...]:
    """The migrations in order; the n-th brings a ledger from version n - 1 to n."""
    folder = files("stepladder.store") / "migrations"
    return tuple(
        file.read_text("utf-8") for file in sorted(folder.iterdir(), key=lambda f: f.name) if file.name.endswith(".sql")
    )


class Ledger:
    """A connection that any thread may use, and that says in one line what is wrong."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        with store_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            self._open()
        except BaseException:
            self._connection.close()
            raise

    def _open(self) -> None:
        with store_errors(self.path):
            _patiently(lambda: self._connection.execute("PRAGMA journal_mode = WAL"))
            self._connection.execute("PRAGMA synchronous = NORMAL")
        self._migrate(migrations())

    def _migrate(self, steps: Sequence[str]) -> None:
        with self.transaction():  # also finds out at once whether the ledger can be written
            version: int = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version > len(steps):
                raise StoreError(
                    f"{self.path}: written by a newer version of Stepladder (ledger version {version}; this one reads up to "
                    f"{len(steps)}); update stepladder or choose another folder"
                )
            for step in steps[version:]:
                for statement in _statements(step):
                    self._connection.execute(statement)
            if version < len(steps):
                self._connection.execute(f"PRAGMA user_version = {len(steps)}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; readers in other processes see it only once it is complete."""
        with self._lock, store_errors(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def read(self, sql: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self._lock, store_errors(self.path):
            return self._connection.execute(sql, arguments).fetchall()

    def read_many(self, sql: str, keys: Iterable[str]) -> Iterator[tuple[Any, ...]]:
        """The rows of a query with `IN (?)` over any number of keys."""
        keys = list(keys)
        for start in range(0, len(keys), _VARIABLES):
            some = keys[start : start + _VARIABLES]
            yield from self.read(sql.replace("(?)", f"({','.join('?' * len(some))})"), some)

    def close(self) -> None:
        """Close; what was stored stays stored even where the last tidying up fails."""
        with self._lock, store_errors(self.path):
            self._connection.close()


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _statements(script: str) -> Iterator[str]:
    """The statements of a script (`executescript` would commit the transaction that the migration runs in)."""
    statement = ""
    for piece in re.split(r"(?<=;)", script):
        statement += piece
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _patiently(do: Any) -> None:
    """Going over to WAL does not wait by itself while another process opens the same new ledger."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            do()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
