"""Our own delivery: what lies where afterwards, and that nothing does when it fails."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mailquota.core.alerts.maildir import OwnMaildir, message_id_of
from mailquota.core.base.errors import DeliveryError
from mailquota.core.mailboxes.folders import message_size, sum_folders
from mailquota.core.mailboxes.vsizes import virtual_size

JOHN = "john@example.org"
MAIL = b"Subject: x\nMessage-ID: <1@example.org>\n\none\ntwo\n"
NOW = 1800000000.25
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
OTHER = 5001
NOBODY = 65534


class Box:
    """A mailbox, and mailquota's own delivery into it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "Maildir"
        self.file = self.path / "maildirsize"
        for part in ("cur", "new", "tmp"):
            (self.path / part).mkdir(parents=True)
        self.own = OwnMaildir(lambda _: str(self.path), lambda: NOW)

    def deliver(self, message: bytes = MAIL) -> Path:
        """The file that it is in."""
        self.own.deliver(JOHN, message)
        (found,) = (self.path / "new").iterdir()
        return found

    def refuse(self, reason: str) -> None:
        """It must not get in, and nothing may be left of it."""
        before = self.file.read_bytes() if self.file.is_file() else None
        with pytest.raises(DeliveryError, match=reason) as caught:
            self.own.deliver(JOHN, MAIL)
        assert caught.value.temporary
        assert not caught.value.unclear
        assert [path for part in ("new", "tmp") for path in self.path.glob(f"{part}/*")] == []
        assert (self.file.read_bytes() if self.file.is_file() else None) == before


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_a_mail_is_stored_as_it_is(box: Box) -> None:
    """Its name has both sizes and the time; no other file is left."""
    path = box.deliver()
    assert path.read_bytes() == MAIL
    assert message_size(bytes(path.parent), path.name.encode()) == len(MAIL)
    assert path.name.endswith(f",S={len(MAIL)},W={virtual_size(bytes(path))}")
    assert path.name.startswith("1800000000.M250000P")
    assert ":" not in path.name
    assert list((box.path / "tmp").iterdir()) == []


def test_line_ends_with_cr_are_counted_once(box: Box) -> None:
    assert box.deliver(b"Subject: x\r\n\r\none\n").name.endswith(",S=18,W=19")


def test_it_is_recorded_where_there_is_a_record(box: Box) -> None:
    box.file.write_text("10000S\n9000 3\n")
    box.deliver()
    assert box.file.read_text() == f"10000S\n9000 3\n{len(MAIL)} 1\n"


def test_no_record_is_made(box: Box) -> None:
    box.deliver()
    assert not box.file.exists()


@ROOT
@pytest.mark.parametrize(("mode", "file_mode"), [(0o700, 0o600), (0o2770, 0o660), (0o755, 0o644)])
def test_owner_and_rights_are_those_of_the_maildir(box: Box, mode: int, file_mode: int) -> None:
    """Not those of its parts, which may differ."""
    os.chown(box.path, OTHER, OTHER + 1)
    box.path.chmod(mode)
    status = box.deliver().stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (OTHER, OTHER + 1, file_mode)


# ---- it can't be delivered


def test_an_account_without_a_maildir(tmp_path: Path) -> None:
    own = OwnMaildir(lambda _: f"{tmp_path}/none")
    with pytest.raises(DeliveryError, match="none: there is no Maildir yet"):
        own.deliver(JOHN, MAIL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", ["new", "tmp"])
def test_a_part_is_missing(box: Box, part: str) -> None:
    (box.path / part).rmdir()
    box.refuse(f"Maildir/{part}: there is no Maildir yet")


@pytest.mark.parametrize("part", ["new", "tmp"])
def test_a_part_is_a_link(box: Box, tmp_path: Path, part: str) -> None:
    """Wherever it leads to."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (box.path / part).rmdir()
    (box.path / part).symlink_to(elsewhere)
    box.refuse(f"Maildir/{part}: a link, or not of the kind that a Maildir has there")
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "directory"])
def test_the_record_is_not_a_file_of_its_own(box: Box, tmp_path: Path, kind: str) -> None:
    """A line in it would be written to a file of another owner."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious\n")
    if kind == "link":
        box.file.symlink_to(elsewhere)
    elif kind == "hard link":
        box.file.hardlink_to(elsewhere)
    elif kind == "pipe":
        os.mkfifo(box.file)
    else:
        box.file.mkdir()
    box.refuse("maildirsize: a link, or not of the kind that a Maildir has there")
    assert elsewhere.read_text() == "precious\n"


def test_a_record_that_is_a_pipe_with_a_reader(box: Box) -> None:
    os.mkfifo(box.file)
    reader = os.open(box.file, os.O_RDONLY | os.O_NONBLOCK)
    try:
        box.refuse("maildirsize: a link, or not of the kind that a Maildir has there")
    finally:
        os.close(reader)


@ROOT
def test_a_maildir_that_is_a_link_to_that_of_another(tmp_path: Path) -> None:
    """The owner's link to his own is one that he could do without; root's is the administrator's."""
    box = Box(tmp_path / "victim")
    os.chown(box.path, OTHER, OTHER)
    link = tmp_path / "Maildir"
    link.symlink_to(box.path)
    own = OwnMaildir(lambda _: str(link), lambda: NOW)
    os.lchown(link, OTHER + 1, OTHER + 1)
    with pytest.raises(DeliveryError, match="a link to a folder of another owner"):
        own.deliver(JOHN, MAIL)
    assert list((box.path / "new").iterdir()) == []
    assert own.has(JOHN, "<1@example.org>") is None
    for uid in (OTHER, 0):
        os.lchown(link, uid, uid)
        own.deliver(JOHN, MAIL)


@ROOT
@pytest.mark.parametrize(
    ("owner", "part", "mode", "reason"),
    [
        (NOBODY, "tmp", 0o555, "Permission denied"),
        (NOBODY, "new", 0o555, "Permission denied"),
        (0, ".", 0o700, "Permission denied"),
        (0, ".", 0o777, "Operation not permitted"),
    ],
)
def test_without_the_rights(box: Box, owner: int, part: str, mode: int, reason: str) -> None:
    """The last: there a file would lie that its owner can't read."""
    for path in box.path.parents[:3]:
        path.chmod(0o755)  # not more: root takes no settings from below a folder that all may write
    for path in (box.path, box.path / "new", box.path / "tmp"):
        path.chmod(0o777)
    os.chown(box.path, owner, 0)
    (box.path / part).chmod(mode)
    os.seteuid(NOBODY)
    try:
        with pytest.raises(DeliveryError, match=reason):
            box.own.deliver(JOHN, MAIL)
    finally:
        os.seteuid(0)
    assert [path for name in ("new", "tmp") for path in box.path.glob(f"{name}/*")] == []


def test_a_full_disk(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mailquota.core.alerts.maildir.os.fsync", full)
    box.file.write_text("10000S\n9000 3\n")
    box.refuse("Maildir: No space left on device")


# ---- others at work


def test_a_record_written_anew_meanwhile_goes(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows whether the mail is counted in it, so the next reader has to count."""
    box.file.write_text("10000S\n9000 3\n")
    rename = os.rename

    def and_recount(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        another = box.path / "another"
        another.write_text("10000S\n9049 4\n")
        rename(another, box.file)

    monkeypatch.setattr("mailquota.core.alerts.maildir.os.rename", and_recount)
    box.deliver()
    assert not box.file.exists()


@pytest.mark.parametrize("written", [0, 3])
def test_a_record_that_does_not_take_a_line_goes(box: Box, monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    box.file.write_text("10000S\n9000 3\n")
    monkeypatch.setattr("mailquota.core.alerts.maildir.os.write", lambda *_: written)
    box.deliver()
    assert not box.file.exists()


def test_maildirsize_afterwards(box: Box) -> None:
    """What the record says is what the folders hold."""
    (box.path / "cur/1,S=5:2,S").write_bytes(b"12345")
    box.file.write_text("10000S\n5 1\n")
    box.deliver()
    used = sum(int(line.split()[0]) for line in box.file.read_text().splitlines()[1:])
    assert used == sum(folder.bytes for folder in sum_folders(str(box.path)))


KILLED = f"""import os, signal, sys
from mailquota.core.alerts import maildir
def rename(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
os.rename = rename
maildir.OwnMaildir(lambda _: sys.argv[1]).deliver({JOHN!r}, {MAIL!r})
"""


def test_killed_before_it_was_there(box: Box) -> None:
    """A complete file in tmp, which no program reads, and nothing more; the mail counts as not delivered."""
    box.file.write_text("10000S\n9000 3\n")
    done = subprocess.run([sys.executable, "-c", KILLED, str(box.path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path.read_bytes() for path in (box.path / "tmp").iterdir()] == [MAIL]
    assert list((box.path / "new").iterdir()) == []
    assert box.file.read_text() == "10000S\n9000 3\n"
    assert box.own.has(JOHN, "<1@example.org>") is False


# ---- finding it again


def test_a_mail_is_found_again(box: Box) -> None:
    """In new, and in cur with flags; another is not."""
    assert box.own.has(JOHN, "<1@example.org>") is False
    path = box.deliver()
    assert box.own.has(JOHN, "<1@example.org>") is True
    path.rename(box.path / "cur" / f"{path.name}:2,S")
    assert box.own.has(JOHN, "<1@example.org>") is True
    assert box.own.has(JOHN, "<2@example.org>") is False


def test_where_there_is_no_maildir_nothing_is_known(tmp_path: Path) -> None:
    assert OwnMaildir(lambda _: f"{tmp_path}/none").has(JOHN, "<1@example.org>") is None


@pytest.mark.parametrize(
    ("message", "message_id"),
    [
        (MAIL, "<1@example.org>"),
        (b"message-id:\n <2@x>\nTo: a\n\nx", "<2@x>"),
        (b"Subject: a\n\nMessage-ID: <3@x>\n", ""),
        (b"X-Message-ID: <4@x>\n\n", ""),
        (b"", ""),
    ],
)
def test_message_ids(message: bytes, message_id: str) -> None:
    assert message_id_of(message) == message_id
