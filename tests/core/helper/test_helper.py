"""What an engine does by its helper: all that it does by itself where it has the rights in mailboxes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from mailquota.core.control.contents import FolderContents
from mailquota.core.control.messages import EmptyTrash, GetFolder, Recalc, Warn
from mailquota.core.control.results import RecalcResult, TrashResult, WarnResult
from tests.core.clients import Console, PolicyClient, until
from tests.core.engines import ROOT
from tests.core.others import OWNER, as_root, code_of
from tests.core.own_users import (
    ENGINE_USER,
    TROUBLE,
    give,
    helping,
    problem,
    serving,
    settle_users,
    stopped,
    worker_of,
)
from tests.core.worlds import ANNA, FREE, FULL, JOHN, OVERQUOTA, TRASH, SmallWorld
from tests.faults.test_hanging import stopped_file_system

pytestmark = as_root

READ = """
import pathlib
for path in sys.argv[1:]:
    try:
        pathlib.Path(path).read_bytes()
    except OSError as error:
        print(error.strerror)
    else:
        print("read")
"""
PEEK = """
pid = int(sys.argv[1])
for name in ("mem", "environ"):
    try:
        open(f"/proc/{pid}/{name}", "rb").close()
        print("read")
    except OSError as error:
        print(error.strerror)
print(libc.ptrace(0x4206, pid, None, None))
"""


@pytest.fixture(params=["maildir", "count"])
def world(small_world: SmallWorld, request: pytest.FixtureRequest) -> SmallWorld:
    """Measured by either driver; nobody but the owner can look into the mailboxes."""
    small_world.settings["mailstore"]["driver"] = request.param
    settle_users(small_world)
    return small_world


@pytest.fixture
def helper(world: SmallWorld) -> Iterator[Popen[str]]:
    """The helper and the engine, both running."""
    with helping(world) as running, serving(world):
        yield running


def told(world: SmallWorld, *words: str) -> Any:
    """What a command prints in JSON, which root runs."""
    command = [sys.executable, "-m", "mailquota", *words, "--json", "--config", str(world.config)]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)


def measured(world: SmallWorld) -> dict[str, dict[str, Any]]:
    """The accounts by address, once all are measured completely."""
    found: dict[str, dict[str, Any]] = {}

    def are_known() -> bool:
        found.update({row["address"]: row for row in told(world, "list")})
        return all(row["used_bytes"] is not None and row["trash_bytes"] is not None for row in found.values())

    until(are_known, "all are measured", 60)
    return found


def deliver(world: SmallWorld, address: str, size: int) -> None:
    world.deliver(address, size)
    give(world)


def test_it_measures_and_answers(world: SmallWorld, helper: Popen[str]) -> None:
    found = measured(world)
    figures = {JOHN: 4000, FULL: 10_000, FREE: 2100, ANNA: 5000, TRASH: 9000}
    if world.settings["mailstore"]["driver"] == "count":  # with CRLF line ends: ten bytes more for each mail
        figures = {address: size + 10 * found[address]["messages"] for address, size in figures.items()}
    assert {address: row["used_bytes"] for address, row in found.items()} == figures
    assert found[TRASH]["trash_messages"] == 3
    with PolicyClient(world.policy_socket) as postfix:
        assert [postfix.ask(address) for address in (JOHN, FULL, FREE, ANNA)] == ["DUNNO", OVERQUOTA, "DUNNO", "DUNNO"]
        deliver(world, JOHN, 6000)
        assert postfix.ask(JOHN) == OVERQUOTA
    assert problem(world) == ""


@pytest.mark.parametrize("world", ["maildir"], indirect=True)
def test_it_recounts_and_empties(world: SmallWorld, helper: Popen[str]) -> None:
    measured(world)
    with Console(world.control_socket) as console:
        (counted,) = console.ask(lambda number: Recalc(number, [JOHN]), list[RecalcResult])
        assert (counted.after_bytes, counted.error) == (4000, None)
        (emptied,) = console.ask(lambda number: EmptyTrash(number, [TRASH]), list[TrashResult])
        assert (emptied.address, emptied.messages, emptied.bytes, emptied.error) == (TRASH, 3, 3000, None)
    assert measured(world)[TRASH]["used_bytes"] == 6000
    assert (world.maildir(TRASH) / "maildirsize").stat().st_uid == OWNER


@pytest.mark.parametrize("world", ["count"], indirect=True)
def test_it_drops_and_empties(world: SmallWorld, helper: Popen[str]) -> None:
    measured(world)
    with Console(world.control_socket) as console:
        (counted,) = console.ask(lambda number: Recalc(number, [JOHN]), list[RecalcResult])
        assert (counted.after_bytes, counted.error) == (4040, None)
        (emptied,) = console.ask(lambda number: EmptyTrash(number, [TRASH]), list[TrashResult])
        assert (emptied.messages, emptied.error) == (3, None)
    assert measured(world)[TRASH]["used_bytes"] == 6030


@pytest.mark.parametrize("world", ["maildir"], indirect=True)
def test_it_stores_warnings(world: SmallWorld) -> None:
    """The engine may read files here, as it needs the texts of the package; to store a mail it has no right."""
    with helping(world), serving(world, reads_all=True), Console(world.control_socket) as console:
        (warned,) = console.ask(lambda number: Warn(number, [FULL], "100", "operator"), list[WarnResult])
        assert (warned.state, warned.error) == ("sent", None)
    (mail,) = (world.maildir(FULL) / "new").iterdir()
    assert mail.stat().st_uid == OWNER


def test_its_settings_have_to_be_the_engines(world: SmallWorld, helper: Popen[str]) -> None:
    """As where one of both was started anew after a change of the driver, and the other one was not."""
    other = {"maildir": "count", "count": "maildir"}[str(world.settings["mailstore"]["driver"])]
    measured(world)
    world.settings["mailstore"]["driver"] = other
    world.write_settings()
    os.kill(worker_of(helper), signal.SIGKILL)
    until(lambda: f"the helper's settings measure by {other}" in problem(world), "it is said", 60)


@pytest.mark.parametrize("world", ["maildir"], indirect=True)
def test_nobody_waits_for_one_that_hangs(world: SmallWorld, helper: Popen[str]) -> None:
    """A file system that does not answer keeps back its own mailbox alone."""
    measured(world)
    with PolicyClient(world.policy_socket) as postfix:
        with stopped_file_system(world.maildir(FULL)):
            for _ in range(5):
                assert postfix.ask(FULL) in {TROUBLE, OVERQUOTA}
                deliver_elsewhere(world, JOHN)
                assert postfix.ask(JOHN) == "DUNNO"
        until(lambda: postfix.ask(FULL) == OVERQUOTA, "it is believed again", 60)


def deliver_elsewhere(world: SmallWorld, address: str) -> None:
    """As ``deliver``, without a look at other mailboxes."""
    path = world.deliver(address, 1)
    os.chown(path, OWNER, OWNER)


@pytest.mark.parametrize("world", ["maildir"], indirect=True)
def test_a_worker_that_does_nothing_or_is_killed(world: SmallWorld, helper: Popen[str]) -> None:
    measured(world)
    with PolicyClient(world.policy_socket) as postfix:
        with stopped(worker_of(helper)):
            deliver(world, JOHN, 100)
            assert postfix.ask(JOHN) in {TROUBLE, "DUNNO"}
            until(lambda: "the helper of the engine is away (it does not answer)" in problem(world), "it is said", 60)
            assert postfix.ask(JOHN) in {TROUBLE, "DUNNO"}
        until(lambda: postfix.ask(FULL) == OVERQUOTA and not problem(world), "it goes on", 60)
        first = worker_of(helper)
        os.kill(first, signal.SIGKILL)
        until(lambda: worker_of(helper) not in {0, first}, "another worker", 60)
        deliver(world, JOHN, 6000)
        until(lambda: postfix.ask(JOHN) == OVERQUOTA, "it measures again", 60)


@pytest.mark.parametrize("world", ["maildir"], indirect=True)
def test_it_comes_after_the_engine_and_goes_before(world: SmallWorld) -> None:
    with serving(world), PolicyClient(world.policy_socket) as postfix:
        assert postfix.ask(FULL) == TROUBLE
        until(lambda: "the helper of the engine is away" in problem(world), "it is said", 60)
        with helping(world):
            until(lambda: postfix.ask(FULL) == OVERQUOTA, "it measures", 60)
            until(lambda: not problem(world), "it is said", 60)
        deliver(world, JOHN, 6000)
        until(lambda: postfix.ask(JOHN) == TROUBLE, "it is not known now", 60)
        assert not Path(str(world.settings["mailstore"]["helper"])).exists()


@pytest.mark.parametrize("world", ["maildir"], indirect=True)
def test_who_can_not_look_where(world: SmallWorld, helper: Popen[str]) -> None:
    """The engine's user into mails and into the helper, the owner of the mailboxes into the engine's files."""
    mail = next((world.maildir(JOHN) / "cur").iterdir())
    until(world.state.exists, "the engine has its state database")
    world.state.chmod(0o600)
    with code_of(ENGINE_USER, READ, mail) as reader:
        assert reader.communicate()[0] == "Permission denied\n"
    with code_of(OWNER, READ, world.state) as reader:
        assert reader.communicate()[0] == "Permission denied\n"
    for user in (ENGINE_USER, OWNER):
        with code_of(user, PEEK, worker_of(helper)) as peeking:
            assert peeking.communicate()[0] == "Permission denied\n" * 2 + "-1\n"


def test_the_folders_of_an_account(world: SmallWorld, helper: Popen[str]) -> None:
    measured(world)
    folders = told(world, "show", TRASH)["folders"]
    assert {folder["name"]: folder["messages"] for folder in folders} == {"INBOX": 3, "Trash": 3}
    with Console(world.control_socket) as console:
        found = console.ask(lambda number: GetFolder(number, TRASH, "Trash"), FolderContents)
    assert (found.address, found.messages, found.method, found.trash) == (TRASH, 3, "files", True)


@pytest.mark.parametrize("world", ["maildir"], indirect=True)
def test_a_mailbox_that_its_owner_made_unreadable(world: SmallWorld, helper: Popen[str]) -> None:
    measured(world)
    record = world.maildir(JOHN) / "maildirsize"
    record.unlink()
    record.symlink_to(record)
    os.chown(record, OWNER, OWNER, follow_symlinks=False)
    until(lambda: "its owner made it unreadable" in str(told(world, "show", JOHN)), "it is told", 60)
