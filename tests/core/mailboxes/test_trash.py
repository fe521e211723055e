"""Emptying Trash by ourselves: exactly what was found goes, and the figures stay right."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from mailquota.core.mailboxes.measure import measure, recorded
from mailquota.core.mailboxes.trash import FoundMessage, Removal, append, find_files, remove_files
from tests.core.mailboxes.boxes import Box

LIMIT = 100_000
BEGIN = f"{-(2**60)} 0\n"  # the line that makes nobody believe the file


@pytest.fixture
def full(box: Box) -> Box:
    """1,000 bytes in INBOX, 600 in Trash and 30 in a folder below it, nothing moved for a minute."""
    box.put(1000)
    for size, place in ((100, ".Trash/cur"), (200, ".Trash/cur"), (300, ".Trash/new"), (30, ".Trash.2024/cur")):
        box.put(size, place)
    (box.path / ".Trash/dovecot-uidlist").write_text("3 V1 N4\n")
    (box.path / ".Trash/maildirfolder").touch()
    box.settle()
    box.file.write_text(f"{LIMIT}S\n1630 5\n")
    return box


def find(box: Box, before: float | None = None) -> list[FoundMessage]:
    """The messages in Trash."""
    return find_files(box.store, box.maildir, before)


def used(box: Box) -> tuple[int, int]:
    """Bytes and messages as measured anew."""
    known = measure(box.store, box.maildir, LIMIT, None, time.time())
    return known.used, known.messages


def places(found: list[FoundMessage]) -> dict[str, Path]:
    """Each message's file by its size."""
    return {str(message.size): Path(*message.place) for message in found if isinstance(message.place, tuple)}


def test_all_goes(full: Box) -> None:
    """Messages of Trash and below it, nothing else; what is appended is right."""
    found = find(full)
    assert sorted((message.folder, message.size) for message in found) == [
        ("Trash", 100), ("Trash", 200), ("Trash", 300), ("Trash.2024", 30)
    ]  # fmt: skip
    assert remove_files(full.maildir, found) == Removal(found)
    assert full.file.read_text() == f"{LIMIT}S\n1630 5\n{BEGIN}{end(630, 4)}"
    assert find(full) == []
    assert used(full) == (1000, 1)
    assert (full.path / ".Trash/dovecot-uidlist").exists()
    assert (full.path / ".Trash/maildirfolder").exists()
    assert remove_files(full.maildir, []) == Removal([])
    assert full.file.read_text().endswith(end(630, 4))


def test_looking_changes_nothing(full: Box) -> None:
    """A preview does not touch the mailbox."""
    before = full.tree()
    find(full)
    assert full.tree() == before


def test_what_is_no_message(full: Box) -> None:
    """Dot files, Dovecot's own, directories, dangling links and tmp stay; a link to a message goes as a link."""
    keep = [full.put(9, ".Trash/cur", name) for name in (".nfs01", "dovecot.index.log", "dovecot-uidlist")]
    keep.append(full.put(9, ".Trash/tmp", "half"))
    keep.append(full.path / ".Trash/cur/sub")
    keep[-1].mkdir()
    target = full.put(77, name="target")
    (full.path / ".Trash/cur/link").symlink_to(target)
    (full.path / ".Trash/cur/dangling").symlink_to(full.path / "nowhere")
    found = find(full)
    assert sorted(message.size for message in found) == [30, 77, 100, 200, 300]
    assert len(remove_files(full.maildir, found).messages) == 5
    assert all(path.exists() for path in (*keep, target))


def test_a_file_called_trash(box: Box) -> None:
    """Without a Trash folder nothing is found."""
    (box.path / ".Trash").write_text("not a folder")
    assert find(box) == []


def test_names_as_people_read_them(box: Box) -> None:
    """A folder is called what a mail client calls it."""
    box.put(5, ".Papierkorb.M&APw-ll/cur")
    assert [message.folder for message in find(box)] == ["Papierkorb.Müll"]


def test_age(full: Box) -> None:
    """Only what came to Trash before a moment; moving a mail there counts, the mail's own time does not."""
    moment = max(path.stat().st_ctime for path in places(find(full)).values())
    old = full.put(5, name="old")
    os.utime(old, (1, 1))
    late = old.rename(full.path / ".Trash/cur/old")
    while late.stat().st_ctime == moment:  # the clock of a file system goes in steps of some milliseconds
        late = late.rename(late)
        late.chmod(0o600)
    assert {message.size for message in find(full, late.stat().st_ctime)} == {30, 100, 200, 300}
    assert find(full, 0.0) == []
    newest = max(message.arrived for message in find(full))
    assert newest == late.stat().st_ctime


# what happens between the look and the removal, and the sizes that go then
MEANWHILE: dict[str, tuple[Callable[[Box, dict[str, Path]], object], set[int]]] = {
    "a mail comes": (lambda box, _: box.put(7, ".Trash/new"), {30, 100, 200, 300}),
    "a flag changes": (
        lambda _, files: files["100"].rename(files["100"].with_name(f"{files['100'].name}FT")),
        {30, 100, 200, 300},
    ),
    "a new mail is seen": (
        lambda box, files: files["300"].rename(box.path / f".Trash/cur/{files['300'].name}:2,S"),
        {30, 100, 200, 300},
    ),
    "a mail is taken out": (
        lambda box, files: files["200"].rename(box.path / "cur" / files["200"].name),
        {30, 100, 300},
    ),
    "a mail is expunged": (lambda _, files: files["30"].unlink(), {100, 200, 300}),
    "Trash is renamed": (lambda box, _: (box.path / ".Trash").rename(box.path / ".Keep"), {30}),
}


@pytest.mark.parametrize("what", MEANWHILE)
def test_meanwhile(full: Box, what: str) -> None:
    """Mail that arrives stays, a message that is gone already is not reported, one with a new name is found."""
    step, sizes = MEANWHILE[what]
    found = find(full)
    step(full, places(found))
    removed = remove_files(full.maildir, found)
    assert removed.error is None
    assert {message.size for message in removed.messages} == sizes
    assert full.file.read_text() == f"{LIMIT}S\n1630 5\n{BEGIN}{end(sum(sizes), len(sizes))}"


def test_ten_thousand_messages_are_not_searched_for(full: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is listed only for a message that is not where it was."""
    found = find(full)
    next(iter(places(found).values())).unlink()
    listdir = Mock(wraps=os.listdir)
    monkeypatch.setattr("mailquota.core.mailboxes.trash.os.listdir", listdir)
    assert len(remove_files(full.maildir, found).messages) == 3
    assert listdir.call_count == 1


# ---- the figures


def test_without_a_file_none_is_made(full: Box) -> None:
    """The next reader counts."""
    full.file.unlink()
    assert len(remove_files(full.maildir, find(full)).messages) == 4
    assert not full.file.exists()
    assert used(full) == (1000, 1)


def end(size: int, messages: int) -> str:
    """The line that makes the sum right again."""
    return f"{2**60 - size} {-messages}\n"


def between(patch: pytest.MonkeyPatch, step: Callable[[], object]) -> None:
    """Do something once, right after the first message went."""
    unlink = os.unlink
    left = [step]

    def unlinking(path: str, dir_fd: int | None = None) -> None:
        unlink(path, dir_fd=dir_fd)
        if left and dir_fd is not None:
            left.pop()()

    patch.setattr("mailquota.core.mailboxes.trash.os.unlink", unlinking)


def recounted(box: Box) -> None:
    """Dovecot writes the file anew, with the sums of now."""
    fresh = box.path / "maildirsizehost.1.0"
    fresh.write_text(f"{LIMIT}S\n1530 4\n")
    fresh.rename(box.file)


def test_a_recount_by_dovecot_meanwhile(full: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """What went before it would be subtracted twice; so no file is left, and the next reader counts."""
    between(monkeypatch, lambda: recounted(full))
    assert len(remove_files(full.maildir, find(full)).messages) == 4
    assert not full.file.exists()
    assert used(full) == (1000, 1)


def test_a_recount_at_the_last_moment(full: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where the file is replaced while the line is appended to its predecessor."""
    write = os.write

    def writing(handle: int, data: bytes) -> int:
        recounted(full)
        return write(handle, data)

    monkeypatch.setattr("mailquota.core.mailboxes.trash.os.write", writing)
    assert len(remove_files(full.maildir, find(full)).messages) == 4
    assert not full.file.exists()


def test_a_delivery_meanwhile(full: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its line stays, ours is added."""
    between(monkeypatch, lambda: full.deliver(50))
    remove_files(full.maildir, find(full))
    assert full.file.read_text() == f"{LIMIT}S\n1630 5\n{BEGIN}50 1\n{end(630, 4)}"


def test_a_file_that_we_may_not_write(full: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that would go on counting what went is removed."""
    found = find(full)

    opened = os.open

    def denied(path: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
        if path.endswith("maildirsize"):
            raise PermissionError(13, "Permission denied")
        return opened(path, flags, mode, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr("mailquota.core.base.others_folders.os.open", denied)
        assert remove_files(full.maildir, found) == Removal(found)
    assert not full.file.exists()


def test_links_lead_nowhere(full: Box, tmp_path: Path) -> None:
    """Neither to the mail of others nor to a file that is no maildirsize: who owns a Maildir can put them there."""
    other = Box(tmp_path, "victim@example.org")
    other.put(500, "cur")
    (full.path / ".Trash/new").rename(full.path / "was")
    (full.path / ".Trash/new").symlink_to(other.path / "cur")
    (full.path / ".Papierkorb").symlink_to(other.path)
    secret = tmp_path / "secret"
    secret.write_text("root\n")
    full.file.unlink()
    full.file.symlink_to(secret)
    found = find(full)
    assert sorted(message.size for message in found) == [30, 100, 200]
    assert remove_files(full.maildir, found) == Removal(found)
    assert len(list((other.path / "cur").iterdir())) == 1
    assert secret.read_text() == "root\n"
    assert not full.file.is_symlink()


def test_a_link_that_is_put_there_between_look_and_removal(full: Box, tmp_path: Path) -> None:
    found = [message for message in find(full) if message.folder == "Trash"]
    cur = full.path / ".Trash/cur"
    cur.rename(full.path / ".Trash/was")
    victim = tmp_path / "victim"
    victim.mkdir()
    for name in os.listdir(full.path / ".Trash/was"):
        (victim / name).write_text("mine")
    cur.symlink_to(victim)
    removed = remove_files(full.maildir, found)
    assert [message.size for message in removed.messages] == [300]
    assert len(list(victim.iterdir())) == 2


def test_a_directory_in_its_place(full: Box) -> None:
    """What went is reported with the reason why it is not recorded."""
    full.file.unlink()
    full.file.mkdir()
    removed = remove_files(full.maildir, find(full))
    assert len(removed.messages) == 4
    assert isinstance(removed.error, IsADirectoryError | PermissionError)


def test_an_error_on_the_way(full: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """What went before it is recorded and reported together with it."""
    found = find(full)
    unlink = os.unlink
    last = places(found)[str(found[-1].size)].name

    def failing(path: str, dir_fd: int | None = None) -> None:
        if path == last:
            raise PermissionError(13, "Permission denied", path)
        unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr("mailquota.core.mailboxes.trash.os.unlink", failing)
    removed = remove_files(full.maildir, found)
    assert removed.messages == found[:-1]
    assert isinstance(removed.error, PermissionError)
    assert used(full) == (1000 + found[-1].size, 2)


def test_an_error_at_the_first(full: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing went: the error alone, and the sums as they were."""

    def failing(path: str, dir_fd: int | None = None) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("mailquota.core.mailboxes.trash.os.unlink", failing)
    with pytest.raises(PermissionError):
        remove_files(full.maildir, find(full))
    assert recorded(full.maildir) == (1630, 5)


def test_a_sudden_death(full: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any message: the file is not believed then, so the next reader counts what is left."""

    class KilledError(BaseException):
        """An error that no handler catches."""

    def die() -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        between(patch, die)
        with pytest.raises(KilledError):
            remove_files(full.maildir, find(full))
    assert full.file.exists()
    assert used(full)[1] == 4


def test_a_full_disk(full: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is emptied all the same; the file in which nothing can be written goes."""

    def no_room(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mailquota.core.mailboxes.trash.os.write", no_room)
    removed = remove_files(full.maildir, find(full))
    assert (len(removed.messages), removed.error) == (4, None)
    assert not full.file.exists()


def test_append(box: Box) -> None:
    """One line; without a file none is made."""
    append(box.maildir, 5, 1)
    assert not box.file.exists()
    box.file.write_text("5000S\n1 1\n")
    append(box.maildir, -5, -1)
    assert box.file.read_text() == "5000S\n1 1\n-5 -1\n"
