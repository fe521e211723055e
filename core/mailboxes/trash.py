"""Emptying Trash: what would go, and making it go, through doveadm or by ourselves.

Both ways remove only messages that were found and report exactly those that went; what arrives meanwhile stays. By
ourselves a message is its file in ``cur`` or ``new`` of a Trash folder, and its age is the time since its file was
moved there (ctime, which is Dovecot's save date for Maildir). A running IMAP client sees EXPUNGE at Dovecot's next look
at the folder. No link is followed on the way: it could lead into anybody's mailbox.

maildirsize gets two appended lines: before the first message goes one that makes the sum negative, which nobody
believes, and after the last one that makes it right. So whoever looks in between, and everybody if we are killed,
counts the mailbox. Dovecot may write the file anew meanwhile, and its sums may or may not hold what goes. So the file
is opened before (a file that is open keeps its inode number); where another one lies there at the end, it is removed,
and the next reader counts.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from functools import partial
from itertools import groupby

import msgspec

from mailquota.core.base.errors import MailquotaError
from mailquota.core.mailboxes.folders import folder_names, folder_path, message_size
from mailquota.core.mailboxes.mailstore import Mailstore
from mailquota.core.servers.dovecot.doveadm import DoveadmTool
from mailquota.core.servers.dovecot.mutf7 import decode

_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
_WILDCARDS = frozenset("*%?")
_DISBELIEVED = 2**60  # bytes; more than any sum, and several times that still is a 64 bit number


class Found(msgspec.Struct, frozen=True):
    """One message in Trash. ``place`` is its UID, or its directory and name."""

    folder: str
    place: int | tuple[str, str]
    size: int
    arrived: float


class Removed(msgspec.Struct, frozen=True):
    """The messages that went, and why others did not."""

    messages: list[Found]
    error: MailquotaError | OSError | None = None


def find_by_doveadm(doveadm: DoveadmTool, store: Mailstore, address: str, before: float | None) -> list[Found]:
    """The messages in all Trash folders that Dovecot knows; errors as Doveadm.

    A folder with a wildcard in its name is left out: doveadm would take the messages of others with it.
    """
    names = (name for name in doveadm.mailboxes(address) if not _WILDCARDS.intersection(name))
    folders = [name for name in names if store.is_trash.readable(name)]
    return [
        Found(folder, message.uid, message.size, message.saved)
        for folder in folders
        for message in doveadm.trash(address, folder, before)
    ]


def remove_by_doveadm(doveadm: DoveadmTool, address: str, found: list[Found]) -> Removed:
    """Expunge these. Errors as Doveadm, where nothing went; after an error it is looked at what went nevertheless."""
    gone: list[Found] = []
    for folder in dict.fromkeys(message.folder for message in found):
        messages = [message for message in found if message.folder == folder]
        try:
            doveadm.expunge(address, folder, [m.place for m in messages if isinstance(m.place, int)])
        except MailquotaError as error:
            gone += _missing(doveadm, address, folder, messages)
            if not gone:
                raise
            return Removed(gone, error)
        gone += messages
    return Removed(gone)


def _missing(doveadm: DoveadmTool, address: str, folder: str, messages: list[Found]) -> list[Found]:
    """Those that are not there any more; none where Dovecot can't tell."""
    try:
        left = {message.uid for message in doveadm.trash(address, folder, None)}
    except MailquotaError:
        return []
    return [message for message in messages if message.place not in left]


def find_files(store: Mailstore, maildir: str, before: float | None) -> list[Found]:
    """The messages in all Trash folders on disk. Raises OSError."""
    found: list[Found] = []
    for name in filter(store.is_trash, folder_names(maildir)):
        for part in ("new", "cur"):
            directory = f"{folder_path(maildir, name)}/{part}"
            with contextlib.suppress(FileNotFoundError, NotADirectoryError), _directory(maildir, directory) as handle:
                found += _files(decode(name), directory, handle, before)
    return found


@contextlib.contextmanager
def _directory(maildir: str, directory: str) -> Iterator[int]:
    """A handle of one below the Maildir. Raises OSError, NotADirectoryError where a link stands in its way."""
    handle = os.open(maildir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in directory.removeprefix(f"{maildir}/").split("/"):
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=handle)
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)


def _files(folder: str, directory: str, handle: int, before: float | None) -> Iterator[Found]:
    for name in os.listdir(handle):
        if name.startswith((".", "dovecot")):
            continue
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(name, dir_fd=handle, follow_symlinks=False)
            size = message_size(os.fsencode(directory), os.fsencode(name))
            young = before is not None and status.st_ctime >= before
            if size is not None and not young and not stat.S_ISDIR(status.st_mode):
                yield Found(folder, (directory, name), size, status.st_ctime)


def remove_files(maildir: str, found: list[Found]) -> Removed:
    """Unlink these and record it in maildirsize. Raises OSError, where nothing went.

    A message that somebody else took is none of ours. Where a mail client changed flags meanwhile, the file has a new
    name and is found by the part before ``:2,``.
    """
    if not found:
        return Removed([])
    path = f"{maildir}/maildirsize"
    gone: list[Found] = []
    failure: OSError | None = None
    with _opened(path) as handle:
        for step in (partial(_unlink_all, maildir, found, gone), partial(_record, path, handle, gone)):
            try:
                step()
            except OSError as error:
                failure = failure or error
    if failure is not None and not gone:
        raise failure
    return Removed(gone, failure)


def _unlink_all(maildir: str, found: list[Found], gone: list[Found]) -> None:
    for directory, messages in groupby(found, key=_directory_of):
        with contextlib.suppress(FileNotFoundError), _directory(maildir, directory) as handle:
            for message in messages:
                if _unlink(maildir, directory, handle, message):
                    gone.append(message)  # noqa: PERF401 - what went before an error must be recorded too


def _directory_of(message: Found) -> str:
    return message.place[0] if isinstance(message.place, tuple) else ""


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int | None]:
    """A handle to append with, and nobody believes the file; None where there is none that can be written."""
    try:
        handle = os.open(path, _APPEND)
    except OSError:
        yield None
        return
    try:
        yield handle if _write(handle, -_DISBELIEVED, 0) else None
    finally:
        os.close(handle)


def _write(handle: int, size: int, messages: int) -> bool:
    """One line in one write; False where it does not get there, as on a full disk."""
    line = f"{size} {messages}\n".encode()
    try:
        return os.write(handle, line) == len(line)
    except OSError:
        return False


def _record(path: str, handle: int | None, gone: list[Found]) -> None:
    size = sum(message.size for message in gone)
    if (
        handle is not None
        and _lies_at(path, handle)
        and _write(handle, _DISBELIEVED - size, -len(gone))
        and _lies_at(path, handle)
    ):
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _lies_at(path: str, handle: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


def _unlink(maildir: str, directory: str, handle: int, message: Found) -> bool:
    """Whether it went by us. Where its flags changed it has the same unique name, and always lies in ``cur``."""
    assert isinstance(message.place, tuple)
    name = message.place[1]
    try:
        os.unlink(name, dir_fd=handle)
    except FileNotFoundError:
        with contextlib.suppress(FileNotFoundError), _directory(maildir, f"{os.path.dirname(directory)}/cur") as cur:
            return _unlink_renamed(cur, name.partition(":")[0])
        return False
    return True


def _unlink_renamed(cur: int, unique: str) -> bool:
    """Again and again, as its flags may change while we look; False once it is not there."""
    while True:
        name = next((other for other in os.listdir(cur) if other.partition(":")[0] == unique), None)
        if name is None:
            return False
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=cur)
            return True


def append(maildir: str, size: int, messages: int) -> None:
    """Record a change of the mailbox: one line in one write. Without a file nothing is done: the next reader counts."""
    try:
        handle = os.open(f"{maildir}/maildirsize", _APPEND)
    except FileNotFoundError:
        return
    try:
        os.write(handle, f"{size} {messages}\n".encode())
    finally:
        os.close(handle)
