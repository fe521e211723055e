"""The state database: migrations once and in order, and faults by their names."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.errors import MailquotaError
from core.history import database
from core.history.database import StateError, migrations, open_state

ROOT = Path(__file__).parent.parent.parent.parent
TWO = [
    (1, "CREATE TABLE one (a TEXT); -- a comment; with a semicolon\nINSERT INTO one VALUES ('x;y');\n"),
    (2, "ALTER TABLE one ADD COLUMN b TEXT;\n\nCREATE TABLE two (a);\n"),
]


def version_of(path: Path) -> object:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def test_the_migrations_are_numbered_without_gaps() -> None:
    """Each file belongs to one version of the database, and there is no version without one."""
    assert [number for number, _ in migrations()] == list(range(1, len(migrations()) + 1))


def test_a_missing_file_is_made_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "lib/mailquota/state.db"
    open_state(path).close()
    assert version_of(path) == migrations()[-1][0]
    assert path.parent.stat().st_mode & 0o777 == 0o750


def test_only_what_is_new_is_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.db"
    monkeypatch.setattr(database, "migrations", lambda: TWO[:1])
    open_state(path).close()
    monkeypatch.setattr(database, "migrations", lambda: TWO)
    for _ in range(2):
        with contextlib.closing(open_state(path)) as connection:
            assert connection.execute("SELECT * FROM one").fetchall() == [("x;y", None)]
            assert connection.execute("SELECT COUNT(*) FROM two").fetchall() == [(0,)]
    assert version_of(path) == 2


def test_a_migration_that_fails_leaves_nothing_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one before it stays; a corrected one is applied later."""
    path = tmp_path / "state.db"
    monkeypatch.setattr(database, "migrations", lambda: [TWO[0], (2, "CREATE TABLE two (a);\nDROP TABLE none;\n")])
    with pytest.raises(StateError, match="no such table: none"):
        open_state(path)
    assert version_of(path) == 1
    monkeypatch.setattr(database, "migrations", lambda: TWO)
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


def broken(path: Path) -> None:
    path.write_bytes(b"not a database, though long enough to look like one" * 100)


def folder(path: Path) -> None:
    path.mkdir()


def under_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("a file")


@pytest.mark.parametrize("spoil", [broken, folder, under_a_file])
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
        "import os, sys; from pathlib import Path; from core.history.database import StateError, open_state\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: open_state(Path('/proc/self/state/state.db'))\n"
        "except StateError as error: print(error)\n"
        "try: open_state(Path('/usr/state.db'))\n"
        "except StateError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert len(done.stdout.splitlines()) == 2
