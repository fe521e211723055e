"""The state database: migrations once and in order, and faults by their names."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.mysql import Target
from mailquota.core.history import sqlite
from mailquota.core.history.connection import Sql, StateError, migrations
from mailquota.core.history.database import StateDatabase
from tests.mailserver.mariadb import MariaDB

ROOT = Path(__file__).parent.parent.parent.parent
TWO = [
    (1, "CREATE TABLE one (a TEXT); -- a comment; with a semicolon\nINSERT INTO one VALUES ('x;y');\n"),
    (2, "ALTER TABLE one ADD COLUMN b TEXT;\n\nCREATE TABLE two (a);\n"),
]


def version_of(path: Path) -> object:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def open_state(path: Path) -> StateDatabase:
    state = StateDatabase(Target("sqlite", path=path))
    state.write(lambda sql: sql.rows("SELECT 1"))
    return state


def test_the_migrations_are_numbered_without_gaps_and_alike() -> None:
    """Each file belongs to one version of the database, and there is no version without one."""
    numbers = [number for number, _ in migrations("sqlite")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert [number for number, _ in migrations("mysql")] == numbers


def test_a_missing_file_is_made_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "lib/mailquota/state.db"
    open_state(path).close()
    assert version_of(path) == migrations("sqlite")[-1][0]
    assert path.parent.stat().st_mode & 0o777 == 0o750


def test_only_what_is_new_is_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.db"
    monkeypatch.setattr(sqlite, "migrations", lambda _kind: TWO[:1])
    open_state(path).close()
    monkeypatch.setattr(sqlite, "migrations", lambda _kind: TWO)
    for _ in range(2):
        with contextlib.closing(open_state(path)) as state:
            assert state.rows("SELECT * FROM one") == [("x;y", None)]
            assert state.rows("SELECT COUNT(*) FROM two") == [(0,)]
    assert version_of(path) == 2


def test_a_migration_that_fails_leaves_nothing_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one before it stays; a corrected one is applied later."""
    path = tmp_path / "state.db"
    monkeypatch.setattr(sqlite, "migrations", lambda _kind: [TWO[0], (2, "CREATE TABLE two (a);\nDROP TABLE none;\n")])
    with pytest.raises(StateError, match="no such table: none"):
        open_state(path)
    assert version_of(path) == 1
    monkeypatch.setattr(sqlite, "migrations", lambda _kind: TWO)
    open_state(path).close()
    assert version_of(path) == 2


def test_a_newer_version_is_refused_and_not_touched(tmp_path: Path) -> None:
    """After a downgrade of the package."""
    path = tmp_path / "state.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 999")
    with pytest.raises(StateError, match=r"newer version \(999\)"):
        open_state(path)
    assert version_of(path) == 999


def test_many_that_open_a_new_file_at_once_all_get_it(tmp_path: Path) -> None:
    """An engine and commands on the day of the installation."""
    failures: list[Exception] = []
    for number in range(10):
        path, start = tmp_path / f"{number}.db", threading.Barrier(4)

        def run(path: Path = path, start: threading.Barrier = start) -> None:
            start.wait()
            try:
                open_state(path).close()
            except StateError as error:
                failures.append(error)

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures


def folder(path: Path) -> None:
    path.mkdir()


def under_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("a file")


@pytest.mark.parametrize("spoil", [folder, under_a_file])
def test_what_can_not_be_used_is_a_state_error(tmp_path: Path, spoil: object) -> None:
    path = tmp_path / "state" / "state.db"
    path.parent.mkdir()
    assert callable(spoil)
    spoil(path)
    with pytest.raises(StateError, match=f"state database {path}: ") as caught:
        open_state(path)
    assert isinstance(caught.value, MailquotaError)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_folder_that_may_not_be_written_is_a_state_error(tmp_path: Path) -> None:
    code = (
        "import os; from pathlib import Path\n"
        "from mailquota.core.history.sqlite import open_sqlite\n"
        "from mailquota.core.history.connection import StateError\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: open_sqlite(Path('/proc/self/state/state.db'), print)\n"
        "except StateError as error: print(error)\n"
        "try: open_sqlite(Path('/usr/state.db'), print)\n"
        "except StateError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert len(done.stdout.splitlines()) == 2


def add(state: StateDatabase, reason: str) -> None:
    state.write(
        lambda sql: sql.insert(
            "INSERT INTO journal (at, operator, origin, kind, address, reason) VALUES (?, '', '', '', '', ?)",
            (0.0, reason),
        )
    )


def reasons(state: StateDatabase) -> list[str]:
    return [row[0] for row in state.rows("SELECT reason FROM journal ORDER BY id")]


def test_work_is_done_as_a_whole_or_not_at_all(state: StateDatabase) -> None:
    def half(sql: Sql) -> None:
        sql.change("UPDATE journal SET reason = 'changed'")
        sql.rows("SELECT none FROM journal")

    add(state, "one")
    with pytest.raises(StateError):
        state.write(half)
    assert state.problem
    assert reasons(state) == ["one"]
    assert state.problem == ""


def test_one_that_can_only_be_read_is_not_all_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where another user owns the file. What is read is right, and the first read after it was mended notices."""
    transact = sqlite._Sqlite.transact

    def only_read(self: sqlite._Sqlite, work: Callable[[Sql], object], *, writes: bool) -> object:
        if writes:
            raise StateError("attempt to write a readonly database")
        return transact(self, work, writes=writes)

    with contextlib.closing(open_state(tmp_path / "state.db")) as state:
        add(state, "one")
        with monkeypatch.context() as patch:
            patch.setattr(sqlite._Sqlite, "transact", only_read)
            with pytest.raises(StateError):
                add(state, "two")
            assert (reasons(state), state.problem) == (["one"], "attempt to write a readonly database")
        assert (reasons(state), state.problem) == (["one"], "")


def test_one_without_room_is_not_all_right_until_something_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: sqlite._Sqlite, _work: object, *, writes: bool) -> object:
        raise StateError("database or disk is full")

    with contextlib.closing(open_state(tmp_path / "state.db")) as state:
        add(state, "one")
        with monkeypatch.context() as patch:
            patch.setattr(sqlite._Sqlite, "transact", full)
            with pytest.raises(StateError):
                add(state, "two")
        assert (reasons(state), state.problem) == (["one"], "database or disk is full")
        add(state, "two")
        assert state.problem == ""


def test_signs_for_values_are_no_text(state: StateDatabase) -> None:
    add(state, "100% ? %s '")
    assert reasons(state) == ["100% ? %s '"]


def test_rows_that_are_there_can_be_passed_over(state: StateDatabase) -> None:
    def again(sql: Sql) -> None:
        values = [(7, 0.0), (8, 0.0)]
        sql.many(f"INSERT {sql.ignore} INTO journal (id, at, operator, origin, kind, address, reason)"
                 " VALUES (?, ?, '', '', '', '', 'x')", values)  # fmt: skip

    for _ in range(2):
        state.write(again)
    assert len(reasons(state)) == 2


def test_a_file_that_is_none_is_set_aside_and_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"not a database, though long enough to look like one" * 100)
    with contextlib.closing(open_state(path)) as state:
        add(state, "new")
        assert reasons(state) == ["new"]
    assert Path(state.set_aside).read_bytes().startswith(b"not a database")
    assert state.set_aside.startswith(f"{path}.damaged-2")


def test_damage_that_shows_later_is_set_aside_at_the_next_use(tmp_path: Path) -> None:
    """As when a disk gives back other bytes than it was given."""
    path = tmp_path / "state.db"
    with contextlib.closing(open_state(path)) as state:
        for number in range(2000):
            add(state, f"a reason of some length, that fills pages {number}")
    raw = bytearray(path.read_bytes())
    half = len(raw) // 2  # what is read at the opening stays
    raw[half:] = b"\xff" * (len(raw) - half)
    path.write_bytes(raw)
    state = StateDatabase(Target("sqlite", path=path))
    with contextlib.closing(state):
        with pytest.raises(StateError, match="malformed"):
            reasons(state)
        add(state, "new")
        assert reasons(state) == ["new"]
        assert Path(state.set_aside).exists()


def test_a_full_disk_loses_what_was_to_be_written_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with contextlib.closing(open_state(path)) as state:
        add(state, "before")
        state.write(lambda sql: sql.rows("PRAGMA max_page_count = 1"))  # the least it takes is what there is
        with pytest.raises(StateError, match="full"):
            add(state, "x" * 100_000)
        assert "full" in state.problem
        add(state, "after")  # there is room again
        assert reasons(state) == ["before", "after"]
    assert state.set_aside == ""


def test_a_locked_database_is_a_state_error_and_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.05)
    path = tmp_path / "state.db"
    with contextlib.closing(open_state(path)) as state, contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError, match="locked"):
            add(state, "lost")
        assert reasons(state) == []  # readers are not locked out
        other.rollback()
        add(state, "kept")
        assert reasons(state) == ["kept"]


@pytest.mark.server
def test_a_shared_one_is_made_by_many_at_once(maria_target: Target) -> None:
    """Engines that start together."""
    failures: list[Exception] = []

    def run() -> None:
        with contextlib.closing(StateDatabase(maria_target)) as state:
            try:
                add(state, "mine")
            except StateError as error:
                failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with contextlib.closing(StateDatabase(maria_target)) as state:
        assert reasons(state) == ["mine"] * 4


@pytest.mark.server
def test_a_shared_one_of_a_newer_version_is_refused(maria_target: Target) -> None:
    with contextlib.closing(StateDatabase(maria_target)) as state:
        state.write(lambda sql: sql.change("REPLACE INTO state_version VALUES (999)"))
    with contextlib.closing(StateDatabase(maria_target)) as state, pytest.raises(StateError, match=r"newer version"):
        add(state, "x")


@pytest.mark.server
def test_a_server_that_is_gone_is_a_state_error_and_comes_back(maria_target: Target, mariadb: MariaDB) -> None:
    with contextlib.closing(StateDatabase(maria_target)) as state:
        add(state, "before")
        with mariadb.stopped():
            with pytest.raises(StateError):
                add(state, "lost")
            with pytest.raises(StateError, match=r"state database 127.0.0.1:\d+/state_test: "):
                add(state, "lost, too")
        add(state, "after")
        assert reasons(state) == ["before", "after"]
