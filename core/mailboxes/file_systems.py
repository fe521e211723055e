"""Whether the file system that had mailboxes is still there, by what is mounted and what is found of them. Pure.

A file system is remembered by its mount and by a sample of mailboxes with mail that were on it. Its name and number say
little: disks are renamed, and mail is moved to a larger one. So what counts is the sample. On the same mount one of its
mailboxes is enough, as others may have been removed. On another mount at least half of them have to be there, with half
of their messages: where the mail disk is away, Dovecot makes new mailboxes in the empty folder, with the mails of the
last minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from ..base.mounts import Mount, is_inside, mount_of, wanted_mount

SAMPLE = 32  # mailboxes of a file system


class FileSystem(msgspec.Struct, frozen=True):
    """A file system that had mailboxes: what was mounted where, and addresses with their number of messages."""

    mount: Mount
    sample: dict[str, int] = {}


class Memory(msgspec.Struct, frozen=True):
    """What is remembered over a restart: the setting ``mailstore.path``, and the file systems of its mailboxes."""

    path: str
    file_systems: list[FileSystem] = []


class Found(NamedTuple):
    """What is there of a sample: mailboxes, and their messages, each counted up to the number remembered."""

    mailboxes: int
    messages: int


def encode(memory: Memory) -> bytes:
    """The memory as text, for people as well."""
    return msgspec.json.format(msgspec.json.encode(memory), indent=1) + b"\n"


def decode(data: bytes, path: str) -> list[FileSystem]:
    """The file systems in what ``encode`` made for the same ``path``; none where that is damaged or of another path."""
    try:
        memory = msgspec.json.decode(data, type=Memory)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    return memory.file_systems if memory.path == path else []


def at(path: str, known: Iterable[FileSystem]) -> FileSystem | None:
    """The remembered file system that a path without symbolic links was on."""
    points = [one for one in known if is_inside(path, one.mount.point)]
    return max(points, key=lambda one: len(one.mount.point), default=None)


def is_complete(sample: Mapping[str, int], found: Found) -> bool:
    """Whether what is found of a sample on another mount is the mail that was remembered."""
    return 2 * found.mailboxes >= len(sample) and 2 * found.messages >= sum(sample.values())


def loss(before: Mount, now: Mount, base: str) -> str:
    """Why the sample is not there, as a sentence: ``now`` is what its mount point is on.

    ``base`` is the folder above all mailboxes, without symbolic links.
    """
    place = before.point if is_inside(before.point, base) else base
    if now.is_same(before):
        return f"the mail in {place} is gone: none of the mailboxes that had mail is there"
    if now.point != before.point or now.root == now.point:
        # A folder that is bound onto itself is no disk: so systemd opens a folder to a service.
        where = "there" if place == before.point else f"at {before.point}"
        return f"the mailstore {place} is not mounted: {_name(before)} was {where}"
    return f"another file system, {_name(now)}, is mounted at {before.point}, without the mail of {_name(before)}"


def missing_mount(path: str, mounts: Iterable[Mount], fstab: Iterable[Mount]) -> tuple[str, str]:
    """The mount point that fstab(5) has for a path, and why it is not there; two empty texts where all is well."""
    wanted = wanted_mount(path, fstab)
    if wanted.point in {"", "/"} or is_inside(mount_of(path, mounts).point, wanted.point):
        return "", ""
    reason = f"the mailstore {wanted.point} is not mounted: /etc/fstab has {wanted.source} for it"
    return wanted.point, reason


def _name(mount: Mount) -> str:
    source = mount.source or mount.kind
    return source if mount.root == "/" else f"{mount.root} of {source}"
