"""Whether a remembered file system is there: the rule, and what is written down of it."""

from __future__ import annotations

import pytest

from mailquota.core.base.mounts import Mount
from mailquota.core.mailboxes.file_systems import (
    FileSystem,
    Found,
    Memory,
    at,
    decode,
    encode,
    is_complete,
    loss,
    missing_mount,
)

BASE = "/var/vmail"
ROOT = Mount("/", "ext4", "/dev/sda1", "/", "8:1", "1", "0")
DISK = Mount(BASE, "ext4", "/dev/sdb1", "/", "8:17", "2", "1")
NFS = Mount("/srv", "nfs4", "server:/mail", "/", "0:40", "3", "1")
BOUND = Mount(BASE, "ext4", "/dev/sda1", "/srv/mail", "8:1", "4", "1")
ITSELF = Mount(BASE, "ext4", "/dev/sda1", BASE, "8:1", "5", "1")


@pytest.mark.parametrize(
    ("before", "now", "base", "reason"),
    [
        (DISK, ROOT, BASE, "the mailstore /var/vmail is not mounted: /dev/sdb1 was there"),
        (BOUND, ROOT, BASE, "the mailstore /var/vmail is not mounted: /srv/mail of /dev/sda1 was there"),
        (NFS, ROOT, "/srv/mail", "the mailstore /srv/mail is not mounted: server:/mail was at /srv"),
        (DISK, ITSELF, BASE, "the mailstore /var/vmail is not mounted: /dev/sdb1 was there"),
        (DISK, DISK, BASE, "the mail in /var/vmail is gone: none of the mailboxes that had mail is there"),
        (ROOT, ROOT, BASE, "the mail in /var/vmail is gone: none of the mailboxes that had mail is there"),
        (
            DISK, DISK._replace(source="/dev/sdc1", device="8:33"), BASE,
            "another file system, /dev/sdc1, is mounted at /var/vmail, without the mail of /dev/sdb1",
        ),
    ],
)  # fmt: skip
def test_the_sentence(before: Mount, now: Mount, base: str, reason: str) -> None:
    assert loss(before, now, base) == reason


@pytest.mark.parametrize(
    ("mailboxes", "messages", "complete"), [(4, 40, True), (2, 20, True), (1, 40, False), (4, 19, False), (0, 0, False)]
)
def test_half_of_the_mail_is_enough_on_another_mount(mailboxes: int, messages: int, complete: bool) -> None:
    """New mailboxes with the mail of some minutes are not."""
    sample = {f"user{number}@example.org": 10 for number in range(4)}
    assert is_complete(sample, Found(mailboxes, messages)) is complete


def test_the_nearest_file_system_counts() -> None:
    known = [FileSystem(ROOT), FileSystem(DISK), FileSystem(DISK._replace(point=f"{BASE}/example.org"))]
    points = ["/home/x", f"{BASE}/example.com/x", f"{BASE}/example.org/x", f"{BASE}2/x"]
    found = [at(path, known) for path in points]
    assert [one.mount.point for one in found if one] == ["/", BASE, f"{BASE}/example.org", "/"]
    assert at("/home", known[1:]) is None


def test_fstab_tells_what_is_missing() -> None:
    fstab = [Mount("/", "ext4", "/dev/sda1"), Mount(BASE, "ext4", "UUID=1")]
    path = f"{BASE}/example.org/john/Maildir"
    reason = "the mailstore /var/vmail is not mounted: /etc/fstab has UUID=1 for it"
    assert missing_mount(path, [ROOT], fstab) == (BASE, reason)
    assert missing_mount(path, [ROOT, DISK], fstab) == ("", "")
    assert missing_mount("/home/john/Maildir", [ROOT], fstab) == ("", "")
    assert missing_mount(path, [ROOT], []) == ("", "")


def test_what_is_written_down_is_of_one_path() -> None:
    """A damaged file, and one of another setting, are as none."""
    known = [FileSystem(DISK, {"john@example.org": 3})]
    data = encode(Memory("/var/vmail/{user}", known))
    assert decode(data, "/var/vmail/{user}") == known
    assert decode(data, "/srv/{user}") == []
    for damaged in (b"", data[:40], b"[]", b"\xff\xfe", b'{"path": "/var/vmail/{user}", "file_systems": [{}]}'):
        assert decode(damaged, "/var/vmail/{user}") == []
