"""Recounting without doveadm: a right file or none, whatever comes in meanwhile."""

from __future__ import annotations

import operator
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import mailquota.core.mailboxes.recount
from mailquota.core.mailboxes.measure import measure
from mailquota.core.mailboxes.recount import rewrite, with_doveadm
from tests.core.mailboxes.boxes import Box

LIMIT = 5000
Step = Callable[[Box], object]


@pytest.fixture
def wrong(box: Box) -> Box:
    """4,700 bytes in three folders, nothing moved for a minute, and a file that claims too little."""
    for size, place in ((3000, "cur"), (1000, "new"), (500, ".Sent/cur"), (200, ".Trash/cur")):
        box.put(size, place)
    box.file.write_text("5000S\n10 1\n")
    box.settle()
    return box


def recount(box: Box, limit: int | None = LIMIT) -> str:
    """Recount, and check what must hold whatever the method: a right figure, and no file of ours left beside it."""
    method = rewrite(box.store, box.maildir, limit)
    assert [path.name for path in box.path.iterdir() if path.name.startswith("maildirsize")] == (
        ["maildirsize"] if method == "rewrite" else []
    )
    counted = sum(path.stat().st_size for path in box.path.rglob("*/*") if path.parent.name in {"cur", "new"})
    assert measure(box.store, box.maildir, limit, None, time.time()).used == counted
    return method


def during(patch: pytest.MonkeyPatch, place: str, step: Callable[[], object]) -> None:
    """Do something once, right after a call of ``place`` in the recount."""
    original: Callable[..., object] = operator.attrgetter(place)(mailquota.core.mailboxes.recount)
    left = [step]

    def call(*args: object, **named: object) -> object:
        result = original(*args, **named)
        if left:
            left.pop()()
        return result

    patch.setattr(f"mailquota.core.mailboxes.recount.{place}", call)


def test_rewrite(wrong: Box) -> None:
    """The limit of the account, the true sums, one line each; and nothing else changes."""
    before = wrong.tree()
    assert recount(wrong) == "rewrite"
    assert wrong.file.read_text() == "5000S\n4700 4\n"
    after = wrong.tree()
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {str(wrong.file), wrong.maildir}


@pytest.mark.parametrize("content", ["", "garbage\n", "5000S\n", "1S\n-5 -5\n", "5000S\n9000 1\n9000 1\n", "x" * 9000])
def test_whatever_was_there(wrong: Box, content: str) -> None:
    """Any file is replaced by a right one."""
    wrong.file.write_text(content)
    assert recount(wrong) == "rewrite"
    assert wrong.file.read_text() == "5000S\n4700 4\n"


def test_no_file_is_made_where_none_was(wrong: Box) -> None:
    """Whether Dovecot would keep it up to date is not known; without one, each reader counts."""
    wrong.file.unlink()
    assert recount(wrong) == "unlink"


def test_unlimited(wrong: Box) -> None:
    """The next reader counts."""
    assert recount(wrong, None) == "unlink"


def test_a_young_directory(wrong: Box) -> None:
    """Within a second of a change it can't be told whether there was another one."""
    wrong.put(100)
    assert recount(wrong) == "unlink"


# where something happens, what happens, the method then
MEANWHILE: dict[str, tuple[str, Step, str]] = {
    "a delivery after the count": ("_write", lambda box: box.deliver(100), "unlink"),
    "a mail without a line after the count": ("_write", lambda box: box.put(100, "new"), "unlink"),
    "a line after the count": ("_write", lambda box: box.append(7, 1), "unlink"),
    "the file goes after the count": ("_write", lambda box: box.file.unlink(), "unlink"),
    "an expunge after the count": ("_write", lambda box: next((box.path / "new").iterdir()).unlink(), "unlink"),
    "a new folder after the count": ("_write", lambda box: box.put(9, ".New/cur"), "unlink"),
    "a folder goes after the count": ("_write", lambda box: shutil.rmtree(box.path / ".Sent"), "unlink"),
    "a delivery after the rename": ("os.rename", lambda box: box.deliver(100), "unlink"),
    "a move after the rename": (
        "os.rename",
        lambda box: next((box.path / "new").iterdir()).rename(box.path / "cur/moved"),
        "unlink",
    ),
    "a read after the rename": ("os.rename", lambda box: box.file.read_text(), "rewrite"),
}


@pytest.mark.parametrize("what", MEANWHILE)
def test_meanwhile(wrong: Box, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Mail that comes or goes during the recount leaves no file, so that the next reader counts."""
    place, step, method = MEANWHILE[what]
    during(monkeypatch, place, lambda: step(wrong))
    assert recount(wrong) == method


def test_no_maildir(box: Box) -> None:
    """A mailbox that was never used needs no recount and gets nothing."""
    shutil.rmtree(box.path)
    assert rewrite(box.store, box.maildir, LIMIT) == "unlink"
    assert not box.path.exists()


def test_no_mailstore(wrong: Box) -> None:
    """Without the mailstore a recount fails."""
    wrong.base.rename(wrong.base.with_name("unmounted"))
    with pytest.raises(FileNotFoundError, match="the mailstore is not there"):
        rewrite(wrong.store, wrong.maildir, LIMIT)


def test_a_directory_in_its_place(wrong: Box) -> None:
    """Where the file must not be removed: an error, and no other file is left behind."""
    wrong.file.unlink()
    wrong.file.mkdir()
    with pytest.raises((IsADirectoryError, PermissionError)):
        rewrite(wrong.store, wrong.maildir, LIMIT)
    assert [path.name for path in wrong.path.glob("maildirsize*")] == ["maildirsize"]


def test_a_full_disk(wrong: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old file stays as it is, and the error is raised."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mailquota.core.mailboxes.recount.os.write", full)
    with pytest.raises(OSError, match="No space left"):
        rewrite(wrong.store, wrong.maildir, LIMIT)
    assert wrong.file.read_text() == "5000S\n10 1\n"
    assert [path.name for path in wrong.path.glob("maildirsize*")] == ["maildirsize"]


@pytest.mark.parametrize(("folder", "expected"), [(0o700, 0o600), (0o755, 0o644), (0o2770, 0o660)])
def test_rights(wrong: Box, folder: int, expected: int) -> None:
    """Those of the Maildir, as Dovecot gives them, whatever the umask of this process."""
    wrong.path.chmod(folder)
    assert recount(wrong) == "rewrite"
    assert wrong.file.stat().st_mode & 0o7777 == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_owner(wrong: Box) -> None:
    """The file has the owner of the mail."""
    os.chown(wrong.path, 5000, 5001)
    assert recount(wrong) == "rewrite"
    assert (wrong.file.stat().st_uid, wrong.file.stat().st_gid) == (5000, 5001)


def test_not_the_owner(wrong: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that Dovecot can't read would switch its quota check off; then there is rather none."""

    def denied(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("mailquota.core.mailboxes.recount.os.fchown", denied)
    assert recount(wrong) == "unlink"


def test_a_link_is_replaced_not_followed(wrong: Box, tmp_path: Path) -> None:
    """What a link points to is not written."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious\n")
    wrong.file.unlink()
    wrong.file.symlink_to(elsewhere)
    assert recount(wrong) == "rewrite"
    assert elsewhere.read_text() == "precious\n"
    assert not wrong.file.is_symlink()


def test_dovecot_recounts_again_where_somebody_delivered(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, during or after its count: what the last one says is of a quiet mailbox."""
    monkeypatch.setattr(mailquota.core.mailboxes.recount, "_PAUSE_SECONDS", 0.0)
    box.put(1000)
    box.settle()
    counts: list[int] = []

    def delivered_meanwhile() -> None:
        counts.append(len(counts))
        if len(counts) == 1:
            box.put(5, "new")
        elif len(counts) == 2:
            box.settle()

    with_doveadm(box.maildir, delivered_meanwhile)
    assert counts == [0, 1, 2]  # the second one began before the folders had settled


def test_a_mailbox_that_is_never_quiet_is_not_recounted_for_ever(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailquota.core.mailboxes.recount, "_PAUSE_SECONDS", 0.0)
    counts: list[int] = []

    def delivered_meanwhile() -> None:
        counts.append(1)
        box.put(5, "new")

    with_doveadm(box.maildir, delivered_meanwhile)
    assert len(counts) == 4


def test_a_maildir_on_another_host_is_counted_once(tmp_path: Path) -> None:
    counts: list[int] = []
    with_doveadm(str(tmp_path / "not/here"), lambda: counts.append(1))
    assert counts == [1]
