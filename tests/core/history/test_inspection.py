"""A look at the state database changes nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from mailquota.core.base.mysql import Target
from mailquota.core.history.connection import StateError
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.inspection import inspect
from mailquota.core.history.journal import Journal, JournalEntry

AT = 1_790_000_000.0


def filled(target: Target) -> None:
    """With one entry."""
    with closing(StateDatabase(target)) as state:
        add_entry(state)


def add_entry(state: StateDatabase) -> None:
    """Made at AT."""
    Journal(state).add([JournalEntry(operator="me", kind="limit", address="a@example.org", old="1", new="2")], at=AT)


def files(folder: Path) -> dict[str, bytes]:
    """All that is there."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_version_and_newest_entry_are_read(target: Target) -> None:
    assert inspect(target)[::2] == (0, None)
    filled(target)
    found = inspect(target)
    assert found.version == found.known
    assert found.newest == AT


def test_a_missing_file_is_not_made(sqlite_target: Target) -> None:
    assert inspect(sqlite_target).version == 0
    assert sqlite_target.path
    assert not sqlite_target.path.parent.exists()


def test_a_file_without_writers_gets_no_wal_file(sqlite_target: Target) -> None:
    filled(sqlite_target)
    assert sqlite_target.path
    before = files(sqlite_target.path.parent)
    assert inspect(sqlite_target).size == len(before["state.db"])
    assert files(sqlite_target.path.parent) == before


def test_what_a_writer_has_not_brought_home_yet_is_seen(sqlite_target: Target) -> None:
    with closing(StateDatabase(sqlite_target)) as state:
        add_entry(state)
        assert sqlite_target.path
        assert sqlite_target.path.with_name("state.db-wal").stat().st_size
        assert inspect(sqlite_target).newest == AT


def test_a_damaged_file_stays_where_it_is(sqlite_target: Target) -> None:
    assert sqlite_target.path
    sqlite_target.path.parent.mkdir()
    sqlite_target.path.write_bytes(b"no database at all, but long enough to look at" * 40)
    before = files(sqlite_target.path.parent)
    with pytest.raises(StateError, match="not a database"):
        inspect(sqlite_target)
    assert files(sqlite_target.path.parent) == before


def test_a_newer_version_is_reported_and_not_changed(sqlite_target: Target) -> None:
    filled(sqlite_target)
    assert sqlite_target.path
    with closing(sqlite3.connect(sqlite_target.path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert inspect(sqlite_target).version == 99


@pytest.mark.server
def test_a_server_that_refuses_the_login_is_reported(maria_target: Target) -> None:
    with pytest.raises(StateError, match="Access denied"):
        inspect(replace(maria_target, password="wrong"))
