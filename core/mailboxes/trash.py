"""Empties Trash: finds the messages and removes them, through doveadm or by removing their files.

Both ways remove only messages that were found before, and report exactly those that were removed; mail that arrives
meanwhile stays. Without doveadm a message is a file in ``cur`` or ``new`` of a Trash folder, and its age is the time
since the file was moved there (ctime, which is Dovecot's save date for Maildir). A running IMAP client gets EXPUNGE
when Dovecot next reads the folder. No link is followed on the way: it could lead into another mailbox.

maildirsize gets two appended lines: before the first file is removed one that makes the sum negative, which no reader
believes, and after the last one that makes it right. So every reader in between counts the mailbox, and also every
later one if this process is killed. Dovecot may write the file anew meanwhile, with or without the messages that are
being removed in its sum. So the file is opened before (the inode number of an open file is not used again); where
another file has its name at the end, that is removed, and the next reader counts.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from functools import partial
from itertools import groupby

import msgspec

from ..base.errors import MailquotaError
from ..base.others_folders import Folder, opened
from ..servers.dovecot.doveadm import DoveadmTool
from ..servers.dovecot.mutf7 import decode
from .folders import folder_names, folder_path, message_size
from .mailstore import Mailstore

_RECORD = "maildirsize"
_WILDCARDS = frozenset("*%?")
_DISBELIEVED = 2**60  # bytes; more than any sum, and several times as much still fits into 64 bits


class FoundMessage(msgspec.Struct, frozen=True):
    """One message in Trash: bytes, and when it came there, in seconds since the epoch.

    ``place`` is its UID where doveadm found it, else the directory and the name of its file.
    """

    folder: str
    place: int | tuple[str, str]
    size: int
    arrived: float


class Removal(msgspec.Struct, frozen=True):
    """The messages that were removed, and the error that kept others from it."""

    messages: list[FoundMessage]
    error: MailquotaError | OSError | None = None


def find_by_doveadm(doveadm: DoveadmTool, store: Mailstore, address: str, before: float | None) -> list[FoundMessage]:
    """The messages that came into any Trash folder before ``before`` (None: all). Raises MailquotaError.

    A folder with a wildcard in its name is left out: doveadm would take messages of other folders with it.
    """
    names = (name for name in doveadm.mailboxes(address) if not _WILDCARDS.intersection(name))
    folders = [name for name in names if store.is_trash.readable(name)]
    return [
        FoundMessage(folder, message.uid, size=message.size, arrived=message.saved)
        for folder in folders
        for message in doveadm.trash(address, folder, before)
    ]


def remove_by_doveadm(doveadm: DoveadmTool, address: str, found: list[FoundMessage]) -> Removal:
    """Expunge these messages. Raises MailquotaError where none was removed.

    After an error Dovecot is asked which messages are gone nevertheless, and the error is in the result.
    """
    gone: list[FoundMessage] = []
    for folder in dict.fromkeys(message.folder for message in found):
        messages = [message for message in found if message.folder == folder]
        try:
            doveadm.expunge(address, folder, [m.place for m in messages if isinstance(m.place, int)])
        except MailquotaError as error:
            gone += _missing(doveadm, address, folder, messages)
            if not gone:
                raise
            return Removal(gone, error)
        gone += messages
    return Removal(gone)


def _missing(doveadm: DoveadmTool, address: str, folder: str, messages: list[FoundMessage]) -> list[FoundMessage]:
    """Those of ``messages`` that are gone; empty where Dovecot can't tell."""
    try:
        left = {message.uid for message in doveadm.trash(address, folder, None)}
    except MailquotaError:
        return []
    return [message for message in messages if message.place not in left]


def find_files(store: Mailstore, maildir: str, before: float | None) -> list[FoundMessage]:
    """The messages that came into any Trash folder of the Maildir before ``before`` (None: all). Raises OSError.

    PermissionError for a Maildir that is a link to another owner's.
    """
    found: list[FoundMessage] = []
    with contextlib.suppress(FileNotFoundError), opened(maildir) as home:
        for name in filter(store.is_trash, folder_names(maildir)):
            for part in ("new", "cur"):
                directory = f"{folder_path(maildir, name)}/{part}"
                with contextlib.suppress(FileNotFoundError, NotADirectoryError), _directory(home, directory) as inner:
                    found += _files(decode(name), directory, inner, before)
    return found


@contextlib.contextmanager
def _directory(home: Folder, directory: str) -> Iterator[Folder]:
    """A directory below the Maildir. Raises OSError; NotADirectoryError where a link is on the way."""
    with contextlib.ExitStack() as stack:
        folder = home
        for part in directory.removeprefix(f"{home.path}/").split("/"):
            folder = stack.enter_context(folder.inner(part))
        yield folder


def _files(folder: str, directory: str, inner: Folder, before: float | None) -> Iterator[FoundMessage]:
    for name in inner.names():
        if name.startswith((".", "dovecot")):
            continue
        with contextlib.suppress(FileNotFoundError):
            status = inner.look(name)
            size = message_size(os.fsencode(directory), os.fsencode(name))
            young = before is not None and status.st_ctime >= before
            if size is not None and not young and not stat.S_ISDIR(status.st_mode):
                yield FoundMessage(folder, (directory, name), size=size, arrived=status.st_ctime)


def remove_files(maildir: str, found: list[FoundMessage]) -> Removal:
    """Remove these files and write it into maildirsize. Raises OSError where none was removed.

    A message that is gone already is not reported. Where a mail client changed its flags meanwhile, the file has a new
    name and is found by the part before ``:2,``.
    """
    if not found:
        return Removal([])
    gone: list[FoundMessage] = []
    failure: OSError | None = None
    with opened(maildir) as home, _record(home) as handle:
        for step in (partial(_unlink_all, home, found, gone), partial(_write_down, home, handle, gone)):
            try:
                step()
            except OSError as error:
                failure = failure or error
    if failure is not None and not gone:
        raise failure
    return Removal(gone, failure)


def _unlink_all(home: Folder, found: list[FoundMessage], gone: list[FoundMessage]) -> None:
    for directory, messages in groupby(found, key=_directory_of):
        with contextlib.suppress(FileNotFoundError), _directory(home, directory) as inner:
            for message in messages:
                if _unlink(home, directory, inner, message):
                    gone.append(message)  # noqa: PERF401 - those that were removed before an error have to be in the list too


def _directory_of(message: FoundMessage) -> str:
    return message.place[0] if isinstance(message.place, tuple) else ""


@contextlib.contextmanager
def _record(home: Folder) -> Iterator[int | None]:
    """A handle of maildirsize, after the line that makes its sum negative; None if it can't be written."""
    try:
        handle = home.open(_RECORD, os.O_WRONLY | os.O_APPEND)
    except OSError:
        yield None
        return
    try:
        yield handle if _is_plain(handle) and _write(handle, -_DISBELIEVED, 0) else None
    finally:
        os.close(handle)


def _write(handle: int, size: int, messages: int) -> bool:
    """Append one line in one write; False where that fails, as on a full file system."""
    line = f"{size} {messages}\n".encode()
    try:
        return os.write(handle, line) == len(line)
    except OSError:
        return False


def _write_down(home: Folder, handle: int | None, gone: list[FoundMessage]) -> None:
    size = sum(message.size for message in gone)
    if (
        handle is not None
        and _is_there(home, handle)
        and _write(handle, _DISBELIEVED - size, -len(gone))
        and _is_there(home, handle)
    ):
        return
    with contextlib.suppress(FileNotFoundError):
        home.unlink(_RECORD)


def _is_plain(handle: int) -> bool:
    """Whether it is a file with one name, as Dovecot makes it: the owner may have put something else there."""
    found = os.fstat(handle)
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


def _is_there(home: Folder, handle: int) -> bool:
    try:
        return os.path.samestat(home.look(_RECORD), os.fstat(handle))
    except FileNotFoundError:
        return False


def _unlink(home: Folder, directory: str, inner: Folder, message: FoundMessage) -> bool:
    """Whether this call removed it. Where its flags changed, the file has the same unique name and is in ``cur``."""
    assert isinstance(message.place, tuple)
    name = message.place[1]
    try:
        inner.unlink(name)
    except FileNotFoundError:
        with contextlib.suppress(FileNotFoundError), _directory(home, f"{os.path.dirname(directory)}/cur") as cur:
            return _unlink_renamed(cur, name.partition(":")[0])
        return False
    return True


def _unlink_renamed(cur: Folder, unique: str) -> bool:
    """Remove the file with this unique name; False where there is none.

    Repeated, as its flags may change again between the listing and the removal.
    """
    while True:
        name = next((other for other in cur.names() if other.partition(":")[0] == unique), None)
        if name is None:
            return False
        with contextlib.suppress(FileNotFoundError):
            cur.unlink(name)
            return True


def append(maildir: str, size: int, messages: int) -> None:
    """Append a change of usage to maildirsize, in bytes and messages. Raises OSError.

    Without a file nothing is done, as the next reader counts the mailbox.
    """
    with contextlib.suppress(FileNotFoundError), opened(maildir) as home:
        handle = home.open(_RECORD, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(handle, f"{size} {messages}\n".encode())
        finally:
            os.close(handle)
