"""Which file system a path lies on, by the kernel's list."""

from __future__ import annotations

import pytest

from mailquota.core.base import mounts
from mailquota.core.base.mounts import Mount, Mounts, MountTable, mount_of, parse, parse_fstab, read, read_fstab

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


def test_a_cover_hides_what_was_mounted_below() -> None:
    """As the kernel walks: not the deepest mount point counts, but the one that can be reached."""
    text = (
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "2 1 8:2 / /var/vmail rw - ext4 /dev/sdb1 rw\n"
        "3 2 8:3 / /var/vmail/a.org rw - ext4 /dev/sdc1 rw\n"
        "4 2 0:9 / /var/vmail rw - tmpfs cover rw\n"
    )
    found = parse(text)
    assert mount_of("/var/vmail/a.org/john", found).source == "cover"
    assert mount_of("/var/vmail/a.org/john", found[:3]).source == "/dev/sdc1"
    assert mount_of("/var/vmail/b.org/john", found[:3]).source == "/dev/sdb1"
    assert mount_of("/home", found).source == "/dev/sda1"


def test_the_same_mount() -> None:
    """A disk may get another number, a memory file system may not; numbers of such are given again."""
    disk, memory = Mount("/a", "ext4", "/dev/sdb", "/", "8:16"), Mount("/a", "tmpfs", "tmpfs", "/", "0:50")
    assert disk.is_same(disk._replace(device="8:32", number="9"))
    assert disk.is_same(disk._replace(source="/dev/disk/by-label/mail"))
    assert not disk.is_same(disk._replace(source="/dev/sdc", device="8:32"))
    assert not disk.is_same(disk._replace(root="/mail"))
    assert not disk.is_same(disk._replace(point="/b"))
    assert not memory.is_same(memory._replace(device="0:51"))
    assert not memory.is_same(memory._replace(source="spare"))


def test_lines_of_fstab() -> None:
    text = (
        "# /dev/sdx /x ext4 defaults 0 0\n\n"
        "UUID=1 / ext4 errors=remount-ro 0 1\n"
        "server:/mail /srv/mail\\040store/ nfs4 nofail,x-systemd.automount 0 0\n"
        "/dev/sdb1 /mnt ext4 noauto,user 0 0\nUUID=2 none swap sw 0 0\nbroken\n"
    )
    assert parse_fstab(text) == [Mount("/", "ext4", "UUID=1"), Mount("/srv/mail store", "nfs4", "server:/mail")]
    assert read_fstab("/no/such/file") == []


def test_the_kernel_tells_of_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it does not, the list is not read again."""
    table = MountTable()
    try:
        first = table.now()
        assert mount_of("/proc", first).kind == "proc"
        monkeypatch.setattr(mounts, "read", list)
        assert table.now() is first
        assert table.changes == 1
    finally:
        table.close()
    assert table.now() == ()
    assert table.changes == 2
