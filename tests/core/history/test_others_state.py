"""The state database in a folder of another user: what he puts there makes, changes and removes nothing of root's."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailquota.core.accounts.sqlite import recover
from mailquota.core.base.mysql import Target
from mailquota.core.history.connection import StateError
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.inspection import inspect
from tests.core.commands.command_line import CommandLine
from tests.core.others import OWNER, as_root, do
from tests.core.worlds import JOHN, SmallWorld

pytestmark = as_root


@pytest.fixture
def folder(small_world: SmallWorld) -> Path:
    """The folder of the owner of the mailboxes, as the service has it."""
    small_world.folder.chmod(0o755)
    made = small_world.folder / "state"
    made.mkdir()
    os.chown(made, OWNER, OWNER)
    small_world.state = made / "state.db"
    small_world.settings["state"]["database"] = f"sqlite:///{small_world.state}"
    small_world.write_settings()
    return made


@pytest.fixture
def vault(small_world: SmallWorld) -> Path:
    """A folder of root's."""
    made = small_world.folder / "vault"
    made.mkdir(mode=0o700)
    return made


def opened(path: Path) -> None:
    """A first write."""
    database = StateDatabase(Target("sqlite", path=path))
    try:
        database.write(lambda sql: sql.rows("SELECT 1"))
    finally:
        database.close()


@pytest.mark.parametrize("command", [["set", JOHN, "1G", "--yes"], ["journal"], ["doctor"], ["show", JOHN]])
def test_a_link_to_nothing_makes_nothing(
    small_world: SmallWorld, folder: Path, vault: Path, command: list[str]
) -> None:
    """Whatever root orders, without an engine."""
    do(OWNER, "ln", "-s", vault / "made", small_world.state)
    done = CommandLine(small_world)(*command)
    assert os.listdir(vault) == []
    assert os.listdir(folder) == ["state.db"]
    if command[0] != "doctor":
        assert "it is a link, in a folder of another user" in done.stdout + done.stderr


def test_a_link_to_a_database_of_roots_is_not_used(small_world: SmallWorld, folder: Path, vault: Path) -> None:
    """Neither written nor read."""
    with sqlite3.connect(vault / "root.db") as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = (vault / "root.db").read_bytes()
    do(OWNER, "ln", "-s", vault / "root.db", small_world.state)
    for use in (opened, lambda path: inspect(Target("sqlite", path=path))):
        with pytest.raises(StateError, match="it is a link"):
            use(small_world.state)
    assert (vault / "root.db").read_bytes() == before
    assert os.listdir(vault) == ["root.db"]


@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal"])
def test_nor_are_links_beside_it(small_world: SmallWorld, folder: Path, vault: Path, ending: str) -> None:
    opened(small_world.state)
    do(OWNER, "ln", "-sf", vault / "made", f"{small_world.state}{ending}")
    for use in (opened, lambda path: inspect(Target("sqlite", path=path))):
        try:
            use(small_world.state)
        except StateError:
            continue
    assert os.listdir(vault) == []


def test_a_folder_that_is_a_link_is_refused(small_world: SmallWorld, folder: Path, vault: Path) -> None:
    do(OWNER, "ln", "-s", vault, folder / "deep")
    with pytest.raises(StateError, match="a link to a folder of another owner"):
        opened(folder / "deep/state.db")
    with pytest.raises(StateError, match="a link to a folder of another owner"):
        opened(folder / "deep/er/state.db")
    assert os.listdir(vault) == []


def hot_journal(database: Path, victim: Path) -> bytes:
    """A rollback journal, as of a writer that died, with a super-journal (www.sqlite.org/fileformat2.html).

    Who plays it back removes the file that it names.
    """
    magic, page = bytes.fromhex("d9d505f920a163d7"), 4096
    pages = database.stat().st_size // page
    head = magic + struct.pack(">5I", 0, 1, pages, 512, page)
    name = os.fsencode(victim)
    end = struct.pack(">I", 0x40000000 // page + 1) + name + struct.pack(">II", len(name), sum(name)) + magic
    return head.ljust(512, b"\0") + end


@pytest.fixture
def trap(folder: Path, vault: Path) -> Iterator[Path]:
    """A database of that user's with such a journal, which names a file of root's that has to stay."""
    victim = vault / "victim"
    victim.write_text("root's\n")
    path = folder / "trap.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE t (x)")
    path.with_name("trap.db-journal").write_bytes(hot_journal(path, victim))
    for each in folder.iterdir():
        os.chown(each, OWNER, OWNER)
    yield path
    assert victim.read_text() == "root's\n"
    assert not path.with_name("trap.db-journal").exists(), "it was not played back, so this shows nothing"


def test_a_journal_that_he_made_removes_no_file_of_roots(trap: Path) -> None:
    opened(trap)


@pytest.mark.parametrize("ending", ["-journal", "-wal", "-shm"])
def test_a_folder_in_which_all_may_write(small_world: SmallWorld, ending: str) -> None:
    """What others make there beside root's file is not used."""
    small_world.folder.chmod(0o1777)
    opened(small_world.state)
    Path(f"{small_world.state}{ending}").unlink(missing_ok=True)
    do(OWNER, "cp", "/etc/hostname", f"{small_world.state}{ending}")
    before = sorted(os.listdir(small_world.folder))
    with pytest.raises(StateError, match="a file beside it belongs to another user"):
        opened(small_world.state)
    assert sorted(os.listdir(small_world.folder)) == before


@pytest.mark.parametrize("ending", ["", "-journal", "-wal", "-shm"])
def test_a_named_pipe_is_not_waited_for(small_world: SmallWorld, folder: Path, ending: str) -> None:
    if ending:
        opened(small_world.state)
        Path(f"{small_world.state}{ending}").unlink(missing_ok=True)
    do(OWNER, "mkfifo", f"{small_world.state}{ending}")
    for use in (opened, lambda path: inspect(Target("sqlite", path=path))):
        with pytest.raises(StateError, match="is a named pipe"):
            use(small_world.state)


def test_a_file_of_another_user_in_a_folder_of_his_group(small_world: SmallWorld) -> None:
    """It is used with his rights."""
    folder = small_world.folder / "shared"
    folder.mkdir()
    os.chown(folder, 0, OWNER)
    folder.chmod(0o770)
    with contextlib.closing(sqlite3.connect(folder / "state.db")) as connection:
        connection.execute("PRAGMA user_version")
    (folder / "state.db").touch()
    os.chown(folder / "state.db", OWNER, OWNER)
    opened(folder / "state.db")
    assert {path.stat().st_uid for path in folder.iterdir()} == {OWNER}


def test_nor_does_one_of_an_accounts_database(trap: Path) -> None:
    recover(trap)


def test_what_root_makes_there_is_the_owners(small_world: SmallWorld, folder: Path) -> None:
    """So that the service, which runs as that user, can go on with it."""
    done = CommandLine(small_world)("set", JOHN, "1G", "--yes")
    assert done.returncode == 0, done.stderr
    found = {name: (folder / name).stat() for name in os.listdir(folder)}
    assert {status.st_uid for status in found.values()} == {OWNER}
    assert stat.S_IMODE(found["state.db"].st_mode) == 0o644
    assert "1" in CommandLine(small_world)("journal").stdout
