"""What an owner puts in the place of files of the mailbox: root opens no device for him, nor another one's record."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailquota.core.mailboxes import vsizes
from mailquota.core.mailboxes.compare import compare
from mailquota.core.mailboxes.count_driver import CountDriver
from mailquota.core.mailboxes.driver import Driver, MaildirDriver
from mailquota.core.mailboxes.measure import MadeUnreadable, Unmeasurable, limit_on_record, recorded
from tests.core.mailboxes.boxes import ADDRESS, Box
from tests.core.mailboxes.unreadable import own
from tests.core.others import OWNER, STRANGER, as_root, do
from tests.mailserver.fixture import temporary_folder

pytestmark = as_root

OPENED = 0x20  # IN_OPEN of inotify(7): an open with O_PATH is none
LIMIT = 5000


@pytest.fixture
def box() -> Iterator[Box]:
    """A mailbox of that user, with a mail of 1000 bytes whose name tells its size."""
    with temporary_folder() as folder:
        made = Box(folder)
        made.put(1000)
        made.settle()
        own(made)
        yield made


class Opens:
    """Counts how often a file is opened, as its inode sees it."""

    def __init__(self, path: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._handle = self._libc.inotify_init1(os.O_NONBLOCK)
        assert self._libc.inotify_add_watch(self._handle, os.fsencode(path), OPENED) > 0

    def count(self) -> int:
        try:
            events = os.read(self._handle, 65536)
        except BlockingIOError:
            return 0
        return len(events) // struct.calcsize("iIII")

    def close(self) -> None:
        os.close(self._handle)


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """One that root alone may open, as /dev/watchdog: that restarts the machine some time after it was opened."""
    path = tmp_path / "device"
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))
    for folder in [tmp_path, *tmp_path.parents][:3]:
        folder.chmod(0o755)
    return path


@pytest.mark.parametrize("place", ["maildirsize", "cur/1.mail", "new/1.mail", ".A/cur/1.mail", ".Trash/cur/1.mail"])
@pytest.mark.parametrize("driver", [MaildirDriver, CountDriver])
def test_a_device_is_not_opened(box: Box, device: Path, place: str, driver: type[MaildirDriver | CountDriver]) -> None:
    """Nor a named pipe, which could be waited for: by no way of measuring."""
    opens = Opens(device)
    os.close(os.open(device, os.O_RDONLY))
    assert opens.count() == 1
    do(OWNER, "mkdir", "-p", (box.path / place).parent)
    do(OWNER, "ln", "-s", device, box.path / place)
    everything(driver(box.store), box)
    assert opens.count() == 0
    opens.close()


def test_a_folder_that_leads_to_devices(box: Box, device: Path) -> None:
    """They are no mails."""
    opens = Opens(device)
    do(OWNER, "rmdir", box.path / "new")
    do(OWNER, "ln", "-s", device.parent, box.path / "new")
    everything(CountDriver(box.store), box)
    assert opens.count() == 0
    opens.close()


def everything(driver: Driver, box: Box) -> None:
    """What reads a mailbox."""
    ways: list[Callable[[], object]] = [
        lambda: driver.probe(ADDRESS, LIMIT, None, 0.0),
        lambda: driver.measure(ADDRESS, LIMIT, None, 0.0),
        lambda: driver.count(ADDRESS, LIMIT, None, 0.0),
        lambda: driver.folders(ADDRESS),
        lambda: driver.recorded(ADDRESS),
        lambda: compare(box.store, box.maildir),
        lambda: limit_on_record(box.maildir),
    ]
    for way in ways:
        with contextlib.suppress(Unmeasurable):
            way()


@pytest.fixture
def janes(tmp_path: Path) -> Path:
    """The record of another user, who holds nearly nothing."""
    path = tmp_path / "maildirsize"
    path.write_text(f"{LIMIT}S\n1 1\n")
    os.chown(path, STRANGER, STRANGER)
    for folder in [tmp_path, *tmp_path.parents][:3]:
        folder.chmod(0o755)
    return path


@pytest.mark.parametrize("owner", [STRANGER, 0])
def test_a_record_of_somebody_else_is_not_believed(box: Box, janes: Path, owner: int) -> None:
    """Dovecot could not use it with the rights of the mailbox owner. So the mails are counted."""
    os.chown(janes, owner, owner)
    do(OWNER, "ln", "-s", janes, box.file)
    assert MaildirDriver(box.store).measure(ADDRESS, LIMIT, None, 0.0).used == 1000
    assert recorded(box.maildir) is None


@pytest.mark.parametrize("driver", [MaildirDriver, CountDriver])
@pytest.mark.parametrize("record", [True, False])
def test_the_mailbox_of_somebody_else_is_not_measured(
    box: Box, driver: type[MaildirDriver | CountDriver], record: bool
) -> None:
    """Also where it was his own at the last measurement."""
    jane = Box(box.base.parent, "jane@example.org")
    jane.put(7)
    if record:
        jane.file.write_text(f"{LIMIT}S\n7 1\n")
    jane.settle()
    for path in (jane.path, *jane.path.rglob("*")):
        os.chown(path, STRANGER, STRANGER)
    measuring = driver(box.store)
    known = measuring.measure(ADDRESS, LIMIT, None, 0.0)
    do(OWNER, "mv", box.path, f"{box.path}.old")
    do(OWNER, "ln", "-s", jane.path, box.path)
    for way in (measuring.measure, measuring.count):
        for before in (None, known):
            with pytest.raises(MadeUnreadable, match="a link to a folder of another owner"):
                way(ADDRESS, LIMIT, before, 0.0)
    do(OWNER, "rm", box.path)
    do(OWNER, "ln", "-s", f"{box.path}.old", box.path)
    assert measuring.measure(ADDRESS, LIMIT, None, 0.0).messages == 1


def test_two_links_after_each_other(box: Box, janes: Path) -> None:
    do(OWNER, "ln", "-s", janes, box.path / "other")
    do(OWNER, "ln", "-s", "other", box.file)
    assert MaildirDriver(box.store).measure(ADDRESS, LIMIT, None, 0.0).used == 1000


def test_a_record_of_his_own_is_followed(box: Box) -> None:
    """As Dovecot does."""
    do(OWNER, "sh", "-c", f"printf '{LIMIT}S\\n77 1\\n' > {box.path}/record")
    do(OWNER, "ln", "-s", "record", box.file)
    assert MaildirDriver(box.store).measure(ADDRESS, LIMIT, None, 0.0).used == 77


@pytest.mark.parametrize("path", ["/proc/kmsg", "/proc/sys/kernel/hostname", "/etc/shadow"])
def test_files_that_are_none_of_his(box: Box, path: str) -> None:
    do(OWNER, "ln", "-s", path, box.file)
    assert MaildirDriver(box.store).measure(ADDRESS, LIMIT, None, 0.0).used == 1000


def test_a_file_of_many_names_is_read_once(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name counts, and a thousand of them for one large file keep nobody busy for hours."""
    first = box.path / "cur/0.mail"
    do(OWNER, "sh", "-c", f"printf 'a\\nb' > {first}")
    for number in range(1, 50):
        do(OWNER, "ln", first, box.path / f"cur/{number}.mail")
    reads: list[int] = []
    original = vsizes._count

    def counted(handle: int) -> int:
        reads.append(handle)
        return original(handle)

    monkeypatch.setattr(vsizes, "_count", counted)
    found = CountDriver(box.store).measure(ADDRESS, LIMIT, None, 0.0)
    assert (found.used, found.messages) == (1009 + 50 * 4, 51)
    assert len(reads) == 1
