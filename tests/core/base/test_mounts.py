"""Which file system a path lies on, by the kernel's list."""

from __future__ import annotations

import pytest

from mailquota.core.base import mounts
from mailquota.core.base.mounts import Mounts, mount_of, parse, read

MOUNTS = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:26 / /srv/mail\040store rw - nfs4 server:/mail rw
31 22 0:27 / /var/vmail rw shared:5 master:1 - xfs /dev/sdb rw
32 31 0:28 / /var/vmail rw - fuse.sshfs host: rw
33 22 0:29 / /var/vmail2 rw - btrfs /dev/sdc rw
34 22 0:30 / /srv/pöst rw - ext2 /dev/sdd rw
a line that says nothing
""".strip()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home", "ext4"), ("/srv/mail store/a.org", "nfs4"), ("/var/vmail/a.org", "fuse.sshfs"),
        ("/var/vmail2/a.org", "btrfs"), ("/var", "ext4"), ("/srv/pöst", "ext2"),
    ],
)  # fmt: skip
def test_the_nearest_mount_point_counts(path: str, kind: str) -> None:
    """And of several there the last."""
    assert mount_of(path, parse(MOUNTS)).kind == kind


def test_this_machine_has_a_root() -> None:
    assert mount_of("/no/such/file", read()).point == "/"


def test_what_is_mounted_later_is_seen_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [MOUNTS, MOUNTS + "\n40 22 0:31 / /home rw - nfs server:/home rw"]
    monkeypatch.setattr(mounts, "read", lambda: parse(texts.pop(0)))
    now = [0.0]
    found = Mounts(lambda: now[0])
    assert [found.point_of("/home/x"), found.point_of("/var/vmail/x")] == ["/", "/var/vmail"]
    now[0] = 60.0
    assert found.point_of("/home/x") == "/home"
    assert texts == []


def test_without_a_list_all_is_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "_MOUNTINFO", "/no/such/file")
    assert Mounts().point_of("/var/vmail") == Mounts().point_of("/home") == ""
