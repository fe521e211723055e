"""What is gathered about the machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from mailquota.core.base.programs import ProgramResult
from mailquota.core.doctor.host.facts import EngineFacts, LimitFacts
from mailquota.core.doctor.host.probe import SAMPLE, disk, gather
from mailquota.core.settings.config import Config
from tests.core.doctor.healthy import config
from tests.core.mailboxes.boxes import Box
from tests.core.mailboxes.unreadable import BY_OWNER, own
from tests.core.others import OWNER, as_root, do
from tests.mailserver.fixture import temporary_folder


def silent(argv: Sequence[str]) -> ProgramResult:
    """No timedatectl."""
    return ProgramResult(fault=f"{argv[0]} is not installed")


@pytest.fixture
def small(tmp_path: Path) -> Config:
    """Settings whose places are all in one folder."""
    (tmp_path / "mail" / "example.org" / "john" / "Maildir" / "cur").mkdir(parents=True)
    (tmp_path / "password").write_text("ChangeMe")
    return config(
        mailstore={"path": f"{tmp_path}/mail/{{domain}}/{{user}}/Maildir"},
        accounts={"password_file": f"{tmp_path}/password"},
        state={"database": f"sqlite:///{tmp_path}/state/state.db"},
        control={"socket": f"{tmp_path}/control.sock", "group": "no-such-group", "read_only_group": "root"},
    )


def test_everything_is_looked_at(small: Config, tmp_path: Path) -> None:
    limits = {"john@example.org": 1000, "jane@example.org": 500, "root@example.org": None}
    found = gather(small, limits, 700, engine=EngineFacts(known=True), run=silent, clock=lambda: 5.0, version="1")
    assert (found.now, found.clock_synchronized, found.version, found.is_root) == (5.0, None, "1", os.geteuid() == 0)
    assert found.limits == LimitFacts(3, 1, 1500, 700)
    assert [one.path for one in found.disks] == [f"{tmp_path}/mail", f"{tmp_path}/state"]
    assert found.mailstore is not None
    assert (found.mailstore.path, found.mailstore.kind) == (f"{tmp_path}/mail", "folder")
    assert {one.address: (one.folder.kind, one.fault) for one in found.maildirs} == {
        "john@example.org": ("folder", ""),
        "jane@example.org": ("missing", ""),
        "root@example.org": ("missing", ""),
    }
    assert {name: one.kind for name, one in found.files.items()} == {
        "accounts.password_file": "file",
        "state.database": "missing",
        "state folder": "missing",
        "control.socket": "missing",
        "control folder": "folder",
    }
    assert found.groups_missing == ("no-such-group",)
    assert found.engine.known
    assert "ChangeMe" not in repr(found)


@pytest.mark.parametrize(("text", "known"), [("yes\n", True), ("no\n", False), ("", None), ("perhaps", None)])
def test_how_the_clock_is_kept(small: Config, text: str, known: bool | None) -> None:
    assert gather(small, {}, run=lambda _: ProgramResult(text, code=0)).clock_synchronized is known


def test_of_many_mailboxes_some_from_all_over_are_looked_at(small: Config) -> None:
    limits: dict[str, int | None] = {f"u{number:05}@example.org": 1 for number in range(10_000)}
    sampled = [one.address for one in gather(small, limits, run=silent).maildirs]
    assert len(sampled) == SAMPLE
    assert (sampled[0], sampled[-1]) == ("u00000@example.org", "u09800@example.org")


@pytest.mark.parametrize("address", ["..@..", "../../etc@example.org", "a\0b@example.org", ".@example.org", "@", ""])
def test_an_address_can_not_lead_outside(small: Config, address: str) -> None:
    (found,) = gather(small, {address: 1}, run=silent).maildirs
    assert found.folder.kind == "missing"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else for a moment")
@as_root
@pytest.mark.parametrize("script", BY_OWNER.values(), ids=BY_OWNER)
def test_a_mailbox_that_its_owner_made_unreadable(script: str) -> None:
    """Each way that is not deep inside it. A mailbox as it should be is none."""
    with temporary_folder() as folder:
        box = Box(folder, "john@example.org")
        own(box)
        settings = config(mailstore={"path": f"{box.base}/{{domain}}/{{user}}/Maildir"})
        limits = {"john@example.org": 1000}
        assert gather(settings, limits, run=silent).maildirs[0].unreadable == ""
        do(OWNER, "sh", "-ec", script.format(box=box.path))
        deep = any(part in script for part in (".A", "cur/1"))
        assert gather(settings, limits, run=silent).maildirs[0].unreadable.startswith("its owner made it") is not deep


def test_a_mailbox_that_is_closed_to_us() -> None:
    with temporary_folder() as folder:
        cur = folder / "example.org" / "john" / "Maildir" / "cur"
        cur.mkdir(parents=True)
        cur.chmod(0o700)
        placed = config(mailstore={"path": f"{folder}/{{domain}}/{{user}}/Maildir"})
        os.seteuid(65534)
        try:
            (found,) = gather(placed, {"john@example.org": 1}, run=silent).maildirs
        finally:
            os.seteuid(0)
    assert (found.folder.kind, found.fault) == ("folder", "Permission denied")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a mailbox to somebody")
def test_a_folder_that_the_owner_of_mailboxes_can_not_enter() -> None:
    with temporary_folder() as folder:
        maildir = folder / "example.org" / "john" / "Maildir"
        maildir.mkdir(parents=True)
        os.chown(maildir, 65534, -1)
        placed = config(mailstore={"path": f"{folder}/{{domain}}/{{user}}/Maildir"})
        (open_,) = gather(placed, {"john@example.org": 1}, run=silent).maildirs
        (folder / "example.org").chmod(0o700)
        (closed,) = gather(placed, {"john@example.org": 1}, run=silent).maildirs
        os.chown(folder / "example.org", 0, os.stat(maildir).st_gid)
        (folder / "example.org").chmod(0o770)  # whoever delivers does so with this group
        (of_group,) = gather(placed, {"john@example.org": 1}, run=silent).maildirs
    assert open_.closed is of_group.closed is None
    assert closed.closed is not None
    assert closed.closed.path == str(folder / "example.org")


def test_a_disk_is_that_of_the_nearest_folder_there_is(tmp_path: Path) -> None:
    there, missing = disk(str(tmp_path)), disk(str(tmp_path / "not" / "there"))
    assert there.total == missing.total > 0
    assert 0 <= there.percent <= 100
    assert missing.path == str(tmp_path / "not" / "there")
