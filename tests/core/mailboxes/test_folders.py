"""Folders are counted as Dovecot counts them, and listed again only where something moved."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.mailboxes import folders
from mailquota.core.mailboxes.folders import (
    DirectorySum,
    folder_names,
    message_size,
    settled,
    sizes_in_names,
    sum_directory,
    sum_folder,
    sum_folders,
    sum_of_names,
)
from tests.core.mailboxes.boxes import Box

ON_DISK = 777

# name, size in bytes; ON_DISK where the name does not tell
NAMES = [
    ("1800000000.M1P1.mail,S=12:2,S", 12),
    ("1800000000.M1P1.mail,S=12,W=15:2,", 12),
    ("1800000000.M1P1.mail,W=15,S=12:2,", 12),
    ("a,S=12", 12),
    ("a,S=0:2,", 0),
    ("a,S=0099:2,", 99),
    ("a,,S=7:2,", 7),
    ("a,S=5,S=9:2,", 5),
    ("a:2,S,S=9", 9),
    ("a,S=999999999999", 999_999_999_999),
    ("a,S=1000000000000", ON_DISK),  # no message is that large, and no sum may pass 64 bits
    ("a,S=12x,S=5:2,", ON_DISK),
    ("a,S=12\n", ON_DISK),
    ("a,S=-5:2,", ON_DISK),
    ("a,S=:2,", 0),  # no digits are a size to Dovecot
    ("a,S=,S=7:2,", 0),
    ("a,s=12:2,", ON_DISK),
    ("aS=12:2,", ON_DISK),
    ("1800000000.M1P1.mail:2,S", ON_DISK),
    (".hidden", ON_DISK),
    (".hidden,S=3", 3),
    ("Käse", ON_DISK),
]


@pytest.mark.parametrize(("name", "expected"), NAMES)
def test_size_of_a_name(box: Box, name: str, expected: int) -> None:
    """The number after the first ,S= where a colon, a comma or the end follows, else the size on disk."""
    box.put(ON_DISK, name=name)
    cur = str(box.path / "cur")
    assert message_size(os.fsencode(cur), os.fsencode(name)) == expected
    assert sum_directory(cur) == DirectorySum(None, expected, 1)
    box.put(ON_DISK, name="another")  # a name without a size: the whole directory goes the slow way
    assert sum_directory(cur) == DirectorySum(None, expected + ON_DISK, 2)


def test_names_that_are_no_text(box: Box) -> None:
    """A name is bytes."""
    box.put(ON_DISK, name=os.fsdecode(b"\xff\xfe,S=12:2,"))
    assert sum_directory(str(box.path / "cur")) == DirectorySum(None, 12, 1)


def reference_size(name: bytes) -> int | None:
    """Dovecot's loop over a name, word by word; None where it asks the disk."""
    start = name.find(b",S=")
    digits = re.match(rb"[0-9]*", name[start + 3 :]) if start >= 0 else None
    if digits is None or len(digits[0]) > 12:
        return None
    following = name[start + 3 + len(digits[0]) :][:1]
    return int(digits[0] or 0) if following in {b"", b":", b","} else None


ODD_NAMES = st.lists(
    st.text(",S=0129:.W\n\xe4", min_size=1, max_size=16).map(str.encode).filter(lambda name: name not in {b".", b".."}),
    max_size=8,
    unique=True,
)


@given(ODD_NAMES)
def test_any_names(names: list[bytes]) -> None:
    """All names at once give what each gives alone; of files that are gone meanwhile only names count."""
    kept = [reference_size(name) for name in names if not name.startswith(b"..")]
    sizes = [size for size in kept if size is not None]
    assert [message_size(b"/nonexistent", name) for name in names if not name.startswith(b"..")] == kept
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mailquota.core.mailboxes.folders.os.listdir", lambda _path: names)
        found = sum_directory("/")
    assert (found.bytes, found.messages) == (sum(sizes), len(sizes))


def test_what_counts(box: Box) -> None:
    """Dot files and links count, sub-directories by their entry; two dots, tmp and dangling links do not."""
    box.put(1000)
    box.put(100, "new")
    box.put(10, name=".foo")
    box.put(7, "tmp")
    box.put(7, name="..bar")
    target = box.put(5, "elsewhere")
    (box.path / "cur/link").symlink_to(target)
    (box.path / "cur/dangling").symlink_to(box.path / "nowhere")
    (box.path / "cur/sub").mkdir()
    (box.path / "dovecot-uidlist").write_text("not mail")
    (inbox,) = sum_folders(box.maildir)
    assert (inbox.bytes, inbox.messages) == (1000 + 100 + 10 + 5 + (box.path / "cur/sub").stat().st_size, 5)


def test_which_directories_are_folders(box: Box) -> None:
    """Directories with a leading dot, links to them too; not files, not ``..x``, not .INBOX, not other directories."""
    for place in (".Sent/cur", ".Sent.Old/new", ".a b/cur", ".Entw&APw-rfe/cur", "..x/cur", "visible/cur"):
        box.put(1, place)
    for place in (".INBOX/cur", ".inbox/cur", ".Empty"):
        box.put(1, place)
    (box.path / ".dovecot.sieve").write_text("keep;")
    (box.path / ".link").symlink_to(box.path / ".Sent")
    (box.path / ".dangling").symlink_to(box.path / "nowhere")
    found = sum_folders(box.maildir)
    assert [folder.name for folder in found] == ["INBOX", "Entw&APw-rfe", "Sent", "Sent.Old", "a b", "link"]
    assert [folder.messages for folder in found] == [0, 1, 1, 1, 1, 1]


def test_only_wanted_folders(box: Box) -> None:
    """Folders that are not wanted are not read."""
    box.put(5, ".Trash/cur")
    box.put(7, ".Sent/cur")
    (trash,) = sum_folders(box.maildir, wanted=lambda name: name == "Trash")
    assert (trash.name, trash.bytes) == ("Trash", 5)


def test_no_maildir(tmp_path: Path) -> None:
    """What is not there has no folders; what can't be listed is an error, not nothing."""
    assert folder_names(str(tmp_path / "nobody")) == []
    assert sum_folders(str(tmp_path / "nobody")) == ()
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        sum_folders(str(tmp_path / "file"))


def test_a_message_that_goes_meanwhile(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message may go between the listing and the stat."""
    monkeypatch.setattr("mailquota.core.mailboxes.folders.os.listdir", lambda _path: [b"gone", b"there,S=5"])
    found = sum_directory(str(box.path / "cur"))
    assert (found.bytes, found.messages) == (5, 1)


@contextmanager
def listed() -> Iterator[list[str]]:
    """The ``new`` and ``cur`` directories that are listed within, as folder/part."""
    found: list[str] = []
    listdir = os.listdir

    def listing(path: str | bytes) -> list[str] | list[bytes]:
        name = os.fsdecode(path)
        if name.endswith(("/new", "/cur")):
            found.append("/".join(name.split("/")[-2:]))
        return listdir(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mailquota.core.mailboxes.folders.os.listdir", listing)
        yield found


@pytest.fixture
def quiet(box: Box) -> Box:
    """Three folders in which nothing moved for a minute."""
    for place in ("cur", "new", ".Sent/cur", ".Sent/new", ".Trash/cur", ".Trash/new"):
        box.put(100, place)
    box.settle()
    return box


def test_nothing_moved(quiet: Box) -> None:
    """A second count lists nothing and gives the very same records."""
    first = sum_folders(quiet.maildir)
    assert settled(first)
    with listed() as found:
        second = sum_folders(quiet.maildir, first)
    assert found == []
    assert all(a is b for a, b in zip(first, second, strict=True))


def test_only_what_moved_is_listed(quiet: Box) -> None:
    """One delivery, one list; a folder that is new is read as a whole."""
    first = sum_folders(quiet.maildir)
    quiet.put(50, ".Sent/cur")
    with listed() as found:
        second = sum_folders(quiet.maildir, first)
    assert found == [".Sent/cur"]
    assert sum(folder.bytes for folder in second) == 650
    quiet.settle()
    quiet.put(1, ".Late/new")
    third = sum_folders(quiet.maildir, second)
    with listed() as found:
        assert sum_folders(quiet.maildir, third)[1].bytes == 1
    assert found == [".Late/new"]


def test_a_removed_message_and_a_removed_folder(quiet: Box) -> None:
    """A folder that comes and one that goes are noticed."""
    first = sum_folders(quiet.maildir)
    next((quiet.path / ".Trash/cur").iterdir()).unlink()
    second = sum_folders(quiet.maildir, first)
    assert [folder.bytes for folder in second] == [200, 200, 100]
    (quiet.path / ".Sent").rename(quiet.path / "gone")
    assert [folder.name for folder in sum_folders(quiet.maildir, second)] == ["INBOX", "Trash"]


def test_a_young_directory_is_not_relied_on(quiet: Box) -> None:
    """What changed within the last second may change again at the same time, so it is listed each time."""
    quiet.put(50)
    first = sum_folder(quiet.maildir, folders.INBOX)
    assert first.cur.mtime_ns is None
    assert first.new.mtime_ns is not None
    assert not settled((first,))
    with listed() as found:
        again = sum_folder(quiet.maildir, folders.INBOX, first)
    assert [name.rpartition("/")[2] for name in found] == ["cur"]
    assert again == first


def test_a_time_to_come_is_not_relied_on(quiet: Box) -> None:
    """A clock that runs ahead makes no figure that stays for ever."""
    ahead = time.time() + 3600
    os.utime(quiet.path / "cur", (ahead, ahead))
    assert sum_directory(str(quiet.path / "cur")).mtime_ns is None


def test_a_change_during_the_list_is_seen_next_time(quiet: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is taken before the list, so that what comes between is not missed."""
    cur = str(quiet.path / "cur")
    listdir = os.listdir

    def late(path: bytes) -> list[bytes]:
        names = listdir(path)
        quiet.put(33)
        return names

    with monkeypatch.context() as patch:
        patch.setattr("mailquota.core.mailboxes.folders.os.listdir", late)
        known = sum_directory(cur)
    assert known.bytes == 100
    assert sum_directory(cur, known).bytes == 133


def test_missing_directories(quiet: Box) -> None:
    """A folder without ``new`` counts by its ``cur``; one without both is none."""
    (quiet.path / ".Sent/new").rename(quiet.path / "a")
    (quiet.path / ".Trash/new").rename(quiet.path / "b")
    (quiet.path / ".Trash/cur").rename(quiet.path / "c")
    assert [(folder.name, folder.bytes) for folder in sum_folders(quiet.maildir)] == [("INBOX", 200), ("Sent", 100)]


ODD_NAMES = st.lists(
    st.lists(st.sampled_from([b",S=", b",W=", b"S=", b"12", b"7", b"x", b":", b",", b"..", b"\n"]), max_size=6).map(
        b"".join
    ),
    max_size=6,
)


@given(ODD_NAMES, st.sampled_from(["S", "W"]))
def test_many_names_are_summed_as_each_alone(names: list[bytes], letter: str) -> None:
    """The search through all of them at once says nothing else, or nothing, than one by one."""
    total = sum_of_names(sizes_in_names(letter), names, b"..")
    single = re.compile(rb"[^,]*(?:,(?!%b=)[^,]*)*,%b=(\d{1,12})(?=[:,]|\Z)" % (letter.encode(), letter.encode()))
    sizes = [None if name.startswith(b"..") or not (match := single.match(name)) else int(match[1]) for name in names]
    known = [size for size in sizes if size is not None]
    assert total == (sum(known) if len(known) == len(names) else None)
