"""Accounts in a SQLite file: what can happen to files."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from mailquota.core.accounts import sqlite as module
from mailquota.core.accounts.from_settings import open_store
from mailquota.core.accounts.sqlite import create
from mailquota.core.base.errors import DatabaseError, MayNotWriteError, SettingsError
from mailquota.core.base.model import Account
from mailquota.core.base.mysql import Target
from tests.core.accounts.worlds import SqliteWorld
from tests.mailserver.fixture import temporary_folder

JOHN = Account("john@example.org", 5000)
NOBODY = 65534


@pytest.fixture
def world(sqlite: SqliteWorld) -> SqliteWorld:
    """A file with one account."""
    sqlite.add_user(JOHN.address, JOHN.limit)
    return sqlite


def path_of(world: SqliteWorld) -> Path:
    """The file."""
    assert world.target.path
    return world.target.path


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's rights, if these are root's tests."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_create_makes_a_file_for_its_owner_only(tmp_path: Path) -> None:
    """It may hold passwords; a second create() leaves it alone."""
    path = tmp_path / "accounts.db"
    create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    with pytest.raises(DatabaseError, match="File exists"):
        create(path)
    assert path.read_bytes() == before


def test_create_in_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """The message has the path."""
    with pytest.raises(DatabaseError, match=r"nowhere/accounts\.db: No such file or directory"):
        create(tmp_path / "nowhere" / "accounts.db")


@pytest.mark.parametrize("name", ["a?b#c%20d&mode=rwc.db", "mit Leerzeichen ü.db", "'; --.db"])
def test_any_file_name_works(tmp_path: Path, name: str) -> None:
    """A path is no URI."""
    with closing(SqliteWorld(tmp_path / name)) as world:
        world.add_user(JOHN.address, JOHN.limit)
        store = world.store()
        assert store.read().accounts == [JOHN]
        assert store.set_limit(JOHN.address, 1) == JOHN.limit
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_missing_file_is_never_made(tmp_path: Path) -> None:
    """Neither by looking nor by changing; when it is there, the store works."""
    path = tmp_path / "accounts.db"
    with closing(open_store(Target("sqlite", path=path))) as store:
        for call in (store.read, store.changed, lambda: store.set_limit(JOHN.address, 1)):
            with pytest.raises(DatabaseError, match=r"accounts\.db: No such file or directory"):
                call()
        assert list(tmp_path.iterdir()) == []
        create(path)
        assert store.read().accounts == []


def test_a_removed_file_is_an_error(world: SqliteWorld) -> None:
    """Though the open file could still be read, these are no accounts any more."""
    store = world.store()
    store.read()
    path_of(world).unlink()
    with pytest.raises(DatabaseError, match="No such file"):
        store.changed()


def test_a_target_that_leads_nowhere_is_refused() -> None:
    """So is a writing target of another kind."""
    with pytest.raises(SettingsError, match="lacks a host"):
        open_store(Target("mysql"))
    with pytest.raises(SettingsError, match="lacks the path"):
        open_store(Target("sqlite"))
    with pytest.raises(SettingsError, match="same kind"):
        open_store(Target("sqlite", path=Path("/x")), write_target=Target("mysql"))


@pytest.mark.parametrize("content", [b"no database at all\n" * 100, b"SQLite format 3\0" + b"\xff" * 4000])
def test_something_else_in_the_file(tmp_path: Path, content: bytes) -> None:
    """The message has the path and SQLite's reason."""
    path = tmp_path / "accounts.db"
    path.write_bytes(content)
    with closing(open_store(Target("sqlite", path=path))) as store:
        with pytest.raises(DatabaseError, match=r"accounts\.db: (file is not a database|database disk image)"):
            store.read()
        path.unlink()
        create(path)
        assert store.read().accounts == []


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_only_a_file_is_opened(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A named pipe would keep the reader waiting for ever."""
    path = tmp_path / "accounts.db"
    make(path)
    with closing(open_store(Target("sqlite", path=path))) as store:
        for call in (store.read, lambda: store.set_limit(JOHN.address, 1)):
            with pytest.raises(DatabaseError, match="not a file"):
                call()


def test_a_file_moved_into_place_is_noticed(world: SqliteWorld, tmp_path: Path) -> None:
    """A restored backup counts from the next look on, also when it looks the same to a connection."""
    backup = tmp_path / "backup.db"
    shutil.copy(path_of(world), backup)
    with closing(sqlite3.connect(backup)) as connection:
        connection.execute("UPDATE virtual_users SET quota = 7")
        connection.commit()
    store = world.store()
    store.read()
    backup.replace(path_of(world))
    assert store.changed()
    assert store.read().accounts == [Account(JOHN.address, 7)]
    assert not store.changed()


def test_a_file_copied_over_is_noticed(world: SqliteWorld, tmp_path: Path) -> None:
    """cp keeps the inode."""
    backup = tmp_path / "backup.db"
    shutil.copy(path_of(world), backup)
    world.execute("UPDATE virtual_users SET quota = 7")
    store = world.store()
    assert store.read().accounts == [Account(JOHN.address, 7)]
    shutil.copy(backup, path_of(world))
    assert store.changed()
    assert store.read().accounts == [JOHN]


def test_edits_in_a_wal_are_noticed(world: SqliteWorld) -> None:
    """Somebody else may have chosen that journal."""
    world.execute("PRAGMA journal_mode = WAL")
    store = world.store()
    store.read()
    assert not store.changed()
    world.execute("UPDATE virtual_users SET quota = 7")
    assert store.changed()
    assert store.set_limit(JOHN.address, 8) == 7
    assert store.read().accounts == [Account(JOHN.address, 8)]


def test_a_locked_file_is_told(world: SqliteWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another writer is waited for, but not for ever; afterwards all is well."""
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.05)
    store = world.store()
    world.execute("BEGIN EXCLUSIVE")
    for call in (store.read, lambda: store.set_limit(JOHN.address, 1)):
        with pytest.raises(DatabaseError, match="database is locked"):
            call()
    world.execute("COMMIT")
    assert store.set_limit(JOHN.address, 1) == JOHN.limit


def test_rights_to_read_are_enough_to_read() -> None:
    """No file of ours appears beside it, edits are seen, and a change names the setting."""
    with temporary_folder() as folder, closing(SqliteWorld(folder / "accounts.db")) as world:
        world.add_user(JOHN.address, JOHN.limit)
        path_of(world).chmod(0o444)
        folder.chmod(0o555)
        store = world.store()
        with as_nobody():
            assert store.read().accounts == [JOHN]
            with pytest.raises(DatabaseError, match=r"may not write, set accounts\.write_database"):
                store.set_limit(JOHN.address, 1)
            with pytest.raises(MayNotWriteError, match=r"may not write, set accounts\.write_database"):
                store.try_writing()
        folder.chmod(0o755)
        path_of(world).chmod(0o644)
        world.execute("UPDATE virtual_users SET quota = 7")
        folder.chmod(0o555)
        with as_nobody():
            assert store.changed()
            assert store.read().accounts == [Account(JOHN.address, 7)]
        folder.chmod(0o755)


# Few pages in memory, so that the transaction is half in the file and the journal on the disk when it is cut off.
KILLED_WRITER = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE virtual_users SET quota = 7, password = zeroblob(3000)")
os._exit(0)
"""


def test_a_killed_writer_is_recovered_from(world: SqliteWorld) -> None:
    """Its half transaction is taken back, though a reading connection must not do that."""
    for number in range(100):
        world.add_user(f"{number}@example.org", 5000)
    store = world.store()
    before = store.read()
    subprocess.run([sys.executable, "-c", KILLED_WRITER, str(path_of(world))], check=True)
    assert path_of(world).with_name("accounts.db-journal").stat().st_size > 0
    assert store.read() == before
    assert store.set_limit(JOHN.address, 1) == 5000
