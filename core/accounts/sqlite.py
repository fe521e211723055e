"""The accounts database in a SQLite file.

Theory of operation: the reading connection is read-only, so that reading never creates a file nor needs the right to
write one. It is kept open, because PRAGMA data_version shows commits of other connections only as a difference between
two values on the same connection. When another file was moved to the path (a restored backup), that one is opened
instead: it is known by its inode number, which it can't share with the old file as long as that is open.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import quote

from ..base.errors import DatabaseError, SettingsError
from ..base.mysql import Target
from ..base.others_folders import opened
from .base import AskDovecot, SqlStore, may_not_write, missing_limit, old_tables, trouble
from .collecting import RowCollector
from .reader import RowReader, shape_of
from .rows import Row, address_of
from .schema import make_statements
from .store import Accounts, LimitResult, Queries, Schema
from .writing import Transaction

BUSY_SECONDS = 5.0

T = TypeVar("T")

# After a writer was killed its journal has to be played back, which a read-only connection may not do.
_NEEDS_RECOVERY = frozenset(
    {sqlite3.SQLITE_READONLY_ROLLBACK, sqlite3.SQLITE_READONLY_RECOVERY, sqlite3.SQLITE_READONLY_CANTINIT}
)


def create(path: Path) -> None:
    """Create a file with the empty tables of ISPmail, mode 0600. Raises DatabaseError, also where the file exists."""
    tables = files("mailquota.core.accounts").joinpath("ispmail_sqlite.sql").read_text()
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with contextlib.closing(_connect(path, "rw")) as connection:
            connection.executescript(tables)
    except (OSError, sqlite3.Error) as error:
        raise trouble(str(path), _reason(error)) from error


class SqliteStore(SqlStore):
    """An AccountStore in a SQLite file."""

    def __init__(
        self,
        target: Target,
        write_target: Target,
        schema: Schema,
        queries: Queries | None,
        ask: AskDovecot | None = None,
    ) -> None:
        super().__init__(partial(make_statements, schema, "sqlite", queries), ask)
        if target.path is None or write_target.path is None:
            raise SettingsError("accounts.database lacks the path of the SQLite file")
        self._path = target.path
        self._write_path = write_target.path
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._opened = 0  # how often a connection was opened: data_version starts anew on each

    def fingerprint(self) -> object:
        """The number of commits of other connections (PRAGMA data_version), and the value of a change_query, if any.

        The latter may depend on more than this file.
        """
        return self.run(self._fingerprint_of)

    def _fingerprint_of(self, connection: sqlite3.Connection) -> object:
        change = self._statements.change
        version = connection.execute("PRAGMA data_version").fetchone()
        return self._opened, version, tuple(connection.execute(change)) if change else ()

    def _collect(self) -> Accounts:
        return self.run(self._collect_from)

    def _collect_from(self, connection: sqlite3.Connection) -> Accounts:
        statements = self._statements
        rows = connection.execute(statements.users)
        if not statements.table:
            self.reader = RowReader(shape_of([column[0] for column in rows.description or ()]))
        collector = RowCollector(self.reader)
        collector.add_users(rows)
        if statements.aliases:
            collector.add_aliases(connection.execute(statements.aliases), statements.own_rows)
        if statements.domains:
            try:
                collector.add_alias_domains(connection.execute(statements.domains))
            except sqlite3.OperationalError as error:
                if not str(error).startswith("no such table"):
                    raise
        return collector.result()

    def _rows(self, sql: str) -> list[Row]:
        return self.run(lambda connection: list(connection.execute(sql)))

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of ``work`` on the reading connection. Raises DatabaseError."""
        try:
            return self._attempt(work)
        except sqlite3.Error as error:
            if _code(error) not in _NEEDS_RECOVERY:
                raise self._explain(error) from error
        try:
            recover(self._path)
            return self._attempt(work)
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def _attempt(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._current()
        try:
            return work(connection)
        except BaseException:
            self.close()
            raise

    def _current(self) -> sqlite3.Connection:
        """The connection to the file that is at the path now; a new one where the file is another one."""
        inode = _inode(self._path)
        if self._connection is None or inode != self._inode:
            self.close()
            self._connection = _connect(self._path, "ro")
            self._inode = inode
            self._opened += 1
        return self._connection

    def _transact(self, work: Callable[[Transaction], list[LimitResult]]) -> list[LimitResult]:
        _inode(self._write_path)
        try:
            with _writing(self._write_path) as connection:
                return work(_Transaction(connection))
        except sqlite3.Error as error:
            if _primary(error) == sqlite3.SQLITE_READONLY:
                raise may_not_write(str(self._write_path), error) from error
            raise self._explain(error) from error

    def _explain(self, error: sqlite3.Error) -> DatabaseError:
        limit = self._statements.limit
        if self._statements.table == "virtual_users" and str(error) == "no such column: email":
            return old_tables(str(self._path))
        if limit and str(error) == f"no such column: {limit}":
            return missing_limit(str(self._path), self._statements)
        return trouble(str(self._path), error)

    def close(self) -> None:
        """Close the connection; the next use opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class _Transaction:
    """A Transaction (core/accounts/writing.py) in SQLite."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, values: Mapping[str, object] | None = None) -> list[Row]:
        return self._connection.execute(sql, values or {}).fetchall()

    def change(self, sql: str, values: Mapping[str, object]) -> int:
        return self._connection.execute(sql, values).rowcount


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection in a transaction that excludes other writers; closed without COMMIT after an error."""
    with _as_owner(path), contextlib.closing(_connect(path, "rw")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")


def recover(path: Path) -> None:
    """Play back the journal of a killed writer: the first read on a connection that may write does it."""
    with _as_owner(path), contextlib.closing(_connect(path, "rw")) as connection:
        connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchall()


@contextlib.contextmanager
def _as_owner(path: Path) -> Iterator[None]:
    """Root writes with the rights of the owner of the folder: a journal there can have SQLite remove any file."""
    try:
        with opened(str(path.absolute().parent)) as place, place.as_outsider():
            yield
    except OSError as error:
        raise trouble(str(path), _reason(error)) from error


def _connect(path: Path, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,  # no implicit transactions
        check_same_thread=False,
    )
    connection.text_factory = bytes  # rows.py decodes
    connection.create_function("mailquota_address", 1, address_of, deterministic=True)
    return connection


def _inode(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise trouble(str(path), _reason(error)) from error
    if not stat.S_ISREG(found.st_mode):
        raise trouble(str(path), "not a file")  # SQLite would report a disk error, and hang on a named pipe
    return found.st_dev, found.st_ino


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _primary(error: sqlite3.Error) -> int:
    """The primary result code, without the extended one in the upper bits."""
    return _code(error) & 0xFF


def _code(error: sqlite3.Error) -> int:
    # Errors that Python's sqlite3 module raises itself have no code.
    return getattr(error, "sqlite_errorcode", 0)
