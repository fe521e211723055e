"""Emptying Trash: what would go, and making it go, through doveadm or by ourselves.

Both ways remove exactly the messages that were found and report exactly those; what arrives meanwhile stays. By
ourselves a message is its file in ``cur`` or ``new`` of a Trash folder, its age is the time since its file was moved
there (ctime, which is Dovecot's save date for Maildir), and maildirsize gets one appended line, as Dovecot would write.
A running IMAP client sees EXPUNGE at Dovecot's next look at the folder.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import msgspec

from core.usage.doveadm import Doveadm
from core.usage.folders import folder_names, folder_path, message_size
from core.usage.mailstore import Mailstore
from core.usage.trash import readable_name


class Found(msgspec.Struct, frozen=True):
    """One message in Trash. ``place`` is its UID, or its directory and name."""

    folder: str
    place: int | tuple[str, str]
    size: int
    arrived: float


def find_by_doveadm(doveadm: Doveadm, store: Mailstore, address: str, before: float | None) -> list[Found]:
    """The messages in all Trash folders that Dovecot knows; errors as Doveadm."""
    folders = [name for name in doveadm.mailboxes(address) if store.is_trash.readable(name)]
    return [
        Found(folder, message.uid, message.size, message.saved)
        for folder in folders
        for message in doveadm.trash(address, folder, before)
    ]


def remove_by_doveadm(doveadm: Doveadm, address: str, found: list[Found]) -> list[Found]:
    """Expunge these; errors as Doveadm. Returns what went."""
    for folder in dict.fromkeys(message.folder for message in found):
        uids = [m.place for m in found if m.folder == folder and isinstance(m.place, int)]
        doveadm.expunge(address, folder, uids)
    return found


def find_files(store: Mailstore, maildir: str, before: float | None) -> list[Found]:
    """The messages in all Trash folders on disk. Raises OSError."""
    found: list[Found] = []
    for name in filter(store.is_trash, folder_names(maildir)):
        for part in ("new", "cur"):
            found += _files(readable_name(name), f"{folder_path(maildir, name)}/{part}", before)
    return found


def _files(folder: str, directory: str, before: float | None) -> Iterator[Found]:
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        if name.startswith(".") or not _is_message(name):
            continue
        with contextlib.suppress(FileNotFoundError):
            arrived = os.lstat(f"{directory}/{name}").st_ctime
            size = message_size(os.fsencode(directory), os.fsencode(name))
            if size is not None and (before is None or arrived < before):
                yield Found(folder, (directory, name), size, arrived)


def _is_message(name: str) -> bool:
    return not name.startswith("dovecot")


def remove_files(maildir: str, found: list[Found]) -> list[Found]:
    """Unlink these and record it in maildirsize. Returns what went: a message that somebody else took is none of ours.

    Where a mail client changed flags meanwhile, the file has a new name and is found by the part before ``:2,``.
    """
    gone: list[Found] = []
    try:
        for message in found:
            if isinstance(message.place, tuple) and _unlink(*message.place):
                gone.append(message)  # noqa: PERF401 - what went before an error must be recorded too
    finally:
        if gone:
            append(maildir, -sum(message.size for message in gone), -len(gone))
    return gone


def _unlink(directory: str, name: str) -> bool:
    for path in (f"{directory}/{name}", _renamed(directory, name)):
        if path is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
                return True
    return False


def _renamed(directory: str, name: str) -> str | None:
    """Where a message lies after its flags changed: same unique name, always in ``cur``."""
    unique = name.partition(":")[0]
    folder = f"{os.path.dirname(directory)}/cur"
    with contextlib.suppress(FileNotFoundError):
        for other in os.listdir(folder):
            if other.partition(":")[0] == unique:
                return f"{folder}/{other}"
    return None


def append(maildir: str, size: int, messages: int) -> None:
    """Record a change of the mailbox: one line in one write. Without a file nothing is done: the next reader counts."""
    try:
        handle = os.open(f"{maildir}/maildirsize", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    try:
        os.write(handle, f"{size} {messages}\n".encode())
    finally:
        os.close(handle)
