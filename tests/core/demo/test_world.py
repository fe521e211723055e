"""The throwaway world: complete, consistent, and gone afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailquota.core.accounts.from_settings import make_store
from mailquota.core.base.errors import MailquotaError, UsageError
from mailquota.core.base.model import Level
from mailquota.core.base.units import format_size
from mailquota.core.demo import folder as folders
from mailquota.core.demo.people import GIB, NEIGHBOURS, Record
from mailquota.core.demo.world import World
from mailquota.core.mailboxes.folders import sum_folders
from mailquota.core.mailboxes.from_settings import make_mailstore
from mailquota.core.mailboxes.measure import measure
from mailquota.core.settings.config import load
from tests.core.demo.figures import check_message, check_record, counted, level, messages_of

_CROWD = NEIGHBOURS + 150
_HOLDER = """
import sys, time
from mailquota.core.demo.world import World
with World.temporary(400) as world:
    print(world.folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One world for all tests that only read it."""
    with World.temporary() as made:
        yield made


def _wait_complete(world: World) -> None:
    until = time.monotonic() + 30
    while world.ready < len(world.people):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_settings_load_and_lead_nowhere_else(world: World) -> None:
    """Every path of the settings is in the folder, mail can't leave it, and no Dovecot is asked."""
    config = load(world.config_path, {})
    settings = config.settings
    assert config.remarks == ()
    assert make_mailstore(config).maildir("john@example.org") == world.mailstore.maildir("john@example.org")
    assert settings.policy.listen == (f"unix:{world.policy_socket}",)
    assert settings.control.socket == str(world.control_socket)
    paths = [settings.accounts.url.path, settings.mailstore.path, settings.state.url.path, *settings.policy.listen]
    assert all(str(path).removeprefix("unix:").startswith(f"{world.folder}/") for path in paths)
    assert (settings.mailstore.doveadm, settings.warnings.delivery) == ("off", "maildir")
    assert settings.policy.socket_user == settings.control.group == settings.accounts.password_file == ""
    assert settings.warnings.templates == settings.metrics.listen == ""


def test_the_accounts_are_in_the_database(world: World) -> None:
    """The product's own reader finds exactly these people and aliases."""
    with contextlib.closing(make_store(load(world.config_path, {}))) as store:
        found = store.read()
    assert [(a.address, a.limit) for a in found.accounts] == [(p.address, p.limit) for p in world.people]
    assert set(found.aliases) == set(world.aliases)
    assert found.skipped == 0
    with contextlib.closing(sqlite3.connect(world.database)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_every_level_is_there_and_most_are_well(world: World) -> None:
    """The table of a new demo has all levels; most mailboxes are well."""
    levels = Counter(level(world, person) for person in world.people)
    assert set(levels) == set(Level)
    assert 3 <= levels[Level.OVER] <= 6
    assert levels[Level.OK] > len(world.people) / 2


def test_the_smallest_world_with_every_level() -> None:
    """Six accounts are enough for all levels."""
    with World.temporary(6) as world:
        assert {level(world, person) for person in world.people} == set(Level)


def test_john_is_full_of_trash(world: World) -> None:
    """The famous one: 104 %, 2 GiB of it in Trash."""
    john = world.people[0]
    known = measure(world.mailstore, world.mailstore.maildir(john.address), john.limit, None, time.time())
    assert john.address == "john@example.org"
    assert john.limit == 5 * GIB
    assert round(known.used * 100 / john.limit) == 104
    assert format_size(sum(folder.bytes for folder in known.folders or ())) == "2 GiB"


@pytest.mark.parametrize("accounts", [60, _CROWD])
def test_figures_agree_to_the_byte(accounts: int) -> None:
    """File size, name, maildirsize and what the person is said to hold are one figure."""
    with World.temporary(accounts) as world:
        _wait_complete(world)
        with_file = 0
        for person in world.people:
            sizes = [check_message(path) for path in messages_of(world.mailstore.maildir(person.address))]
            assert (sum(sizes), len(sizes)) == (person.used, person.messages) == counted(world, person)
            with_file += check_record(world, person)
    kept = sum(person.record is Record.KEPT for person in world.people)
    assert with_file == kept < accounts - 3


def test_some_are_measured_by_a_count(world: World) -> None:
    """Where there is no maildirsize the source is a scan."""
    people = [person for person in world.people if person.record is Record.ABSENT]
    assert people
    for person in people:
        known = measure(world.mailstore, world.mailstore.maildir(person.address), person.limit, None, time.time())
        assert (known.source, known.used) == ("scan", person.used)


def test_trash_is_where_the_settings_look(world: World) -> None:
    """Whatever it is called, Trash counts as Trash."""
    store = make_mailstore(load(world.config_path, {}))
    for person in world.people:
        trash = sum_folders(store.maildir(person.address), (), store.is_trash)
        assert sum(folder.bytes for folder in trash) == sum(person.discarded)
        assert sum(folder.messages for folder in trash) == len(person.discarded)
    assert len({person.trash_name for person in world.people if person.discarded}) > 2


def test_mail_is_of_all_ages(world: World) -> None:
    """Messages came over months, none in the future."""
    found = messages_of(world.mailstore.maildir("john@example.org"))
    ages = [(time.time() - path.stat().st_mtime) / 86400 for path in found]
    assert min(ages) > 0
    assert max(ages) > 90
    assert sum(age > 30 for age in ages) > len(ages) / 4


def test_the_crowd_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is complete at once and the neighbours have their mail; the others get theirs by and by."""
    monkeypatch.setattr("mailquota.core.demo.world._AT_ONCE_SECONDS", 60.0)
    with World.temporary(_CROWD) as world:
        assert world.ready >= NEIGHBOURS
        with contextlib.closing(sqlite3.connect(world.database)) as connection:
            assert connection.execute("SELECT COUNT(*) FROM virtual_users").fetchone() == (_CROWD,)
        _wait_complete(world)
        assert level(world, world.people[-1]) is not Level.UNKNOWN


def test_on_a_slow_disk_neighbours_come_later_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first screen does not wait for them, and in the end all are there; a small world is complete at once."""
    monkeypatch.setattr("mailquota.core.demo.world._AT_ONCE_SECONDS", 0.0)
    with World.temporary(NEIGHBOURS + 1) as world:
        assert world.ready > 0
        _wait_complete(world)
        assert all(counted(world, person) == (person.used, person.messages) for person in world.people)
    with World.temporary(NEIGHBOURS // 2) as world:
        assert world.ready == len(world.people)


def test_a_seed_makes_a_world() -> None:
    """The same seed gives the same people, another one others; addresses never come twice."""
    with tempfile.TemporaryDirectory() as empty:
        path = Path(empty)
        first, same, other = World(path, 2000, 7), World(path, 2000, 7), World(path, 2000, 8)
    assert first.people == same.people != other.people
    assert len({person.address for person in first.people}) == 2000


def test_a_crowd_does_not_hide_the_cast() -> None:
    """Of ten thousand most are well, and every level is among them."""
    with tempfile.TemporaryDirectory() as empty:
        people = World(Path(empty), 10_000).people
    near = [p for p in people if p.limit is not None and p.used * 100 >= p.limit * 80]
    assert 50 < len(near) < 700


@pytest.mark.parametrize("accounts", [0, -1, 1_000_001])
def test_a_number_of_accounts_that_cannot_be(accounts: int) -> None:
    """It is refused before anything is made."""
    with pytest.raises(UsageError, match="1 to 1000000"), World.temporary(accounts):
        pytest.fail("was made")


def test_one_account_is_a_world() -> None:
    """The least that was asked for works; john is always there."""
    with World.temporary(1) as world:
        assert [person.address for person in world.people] == ["john@example.org"]
        assert level(world, world.people[0]) is Level.OVER


# ---- the folder


def test_the_folder_is_ours_alone_and_gone_afterwards() -> None:
    """No other user can read it; at the end nothing is left, sockets and state included."""
    with World.temporary(3) as world:
        assert stat.S_IMODE(world.folder.stat().st_mode) == 0o700
        assert len(os.fsencode(world.control_socket)) < 100
        (world.folder / "state.db").write_text("anything")
    assert not world.folder.exists()


def test_an_exception_leaves_nothing() -> None:
    """Also while the crowd is still being made."""
    made: list[Path] = []
    with pytest.raises(KeyError), World.temporary(5000) as world:  # noqa: PT012 - the block is what is tested
        made.append(world.folder)
        raise KeyError
    assert not made[0].exists()


def test_a_failure_to_make_it_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A disk that refuses ends in one clear error."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mailquota.core.demo.world.build", refuse)
    monkeypatch.setattr(folders, "_SOCKET_PATH_MOST", 400)
    with pytest.raises(MailquotaError, match="No space left on device"), World.temporary(3):
        pytest.fail("was made")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_leave_nothing(number: signal.Signals) -> None:
    """SIGTERM and SIGHUP remove the folder of a demo."""
    with subprocess.Popen([sys.executable, "-c", _HOLDER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as holder:
        assert holder.stdout is not None
        folder = Path(holder.stdout.readline().decode().strip())
        assert folder.is_dir()
        holder.send_signal(number)
        assert holder.wait(30) != 0
    assert not folder.exists()


def test_signal_handlers_are_put_back() -> None:
    """Afterwards signals do what they did before."""
    before = signal.getsignal(signal.SIGTERM)
    with World.temporary(1):
        assert (signal.getsignal(signal.SIGTERM) == before) is (before is not signal.SIG_DFL)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_long_tmpdir_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Sockets must be reachable, so the folder goes elsewhere."""
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with World.temporary(1) as world:
        assert len(os.fsencode(world.control_socket)) < 100
    assert list(long.iterdir()) == []


def test_no_place_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the places."""
    monkeypatch.setattr(folders, "_SOCKET_PATH_MOST", 10)
    with pytest.raises(MailquotaError, match="/var/tmp"), World.temporary(1):
        pytest.fail("was made")


def test_a_short_disk_gives_empty_mailboxes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then people have no mail yet, which is measured as nothing."""
    monkeypatch.setattr(folders.SpaceLimit, "left", lambda _self: False)
    with World.temporary(20) as world:
        assert world.ready == 0
        anna = world.mailstore.maildir("anna@example.org")
        assert measure(world.mailstore, anna, GIB, None, time.time()).used == 0


def test_a_disk_that_fills_up_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of what was free is left to others, inodes as well as bytes."""
    room = folders.SpaceLimit(Path(tempfile.gettempdir()))
    assert room.left()
    real = os.statvfs(tempfile.gettempdir())

    class Shorter:
        f_files, f_favail, f_bavail = real.f_files, real.f_favail, real.f_bavail // 2 - 1

    monkeypatch.setattr(os, "statvfs", lambda _path: Shorter)
    assert not room.left()


def test_without_sparse_files_nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where holes take space, the sizes shown would fill the disk."""
    monkeypatch.setattr(folders, "_SPARSE_BYTES", 0)  # then a hole takes all that it is long
    with pytest.raises(MailquotaError, match="sparse"), World.temporary(1):
        pytest.fail("was made")
