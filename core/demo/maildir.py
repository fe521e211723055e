"""A Maildir as Dovecot and its users would write it: messages come, move, go, and maildirsize follows.

Messages are sparse: as long as their names say, and empty. A name has the size on disk (S=) and with CRLF line ends
(W=). The order is Dovecot's: a delivery moves its file into ``new`` and then appends a line to maildirsize; the line
is one write to a file that is there. A file that Dovecot would not believe (5120 bytes and more, another limit in its
header, a claim over the limit in several lines) is counted anew, written beside and renamed into place.

The engine changes the same mailboxes meanwhile, as a server's administrator does; so nothing here trusts a list that is
older than the call, and only what was really removed is subtracted.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from typing import NamedTuple

from mailquota.core.mailboxes.folders import INBOX, folder_path, message_size, sum_folders
from mailquota.core.mailboxes.maildirsize import MAX_BYTES, Maildirsize, must_recount, parse
from mailquota.core.mailboxes.trash import append

_PARTS = ("tmp", "new", "cur")
_ARRIVAL = re.compile(r"\d+")


class Stored(NamedTuple):
    """A message on disk: its directory, its name, and its size in bytes as quota counts it."""

    directory: str
    name: str
    size: int

    @property
    def arrived(self) -> int:
        """When it came here, in seconds since the epoch, as its name says."""
        match = _ARRIVAL.match(self.name)
        return int(match[0]) if match else 0


def message_name(arrived: float, serial: int, size: int) -> str:
    """The name of a message in ``new``; ``serial`` makes it unique."""
    return f"{int(arrived)}.M{serial:06d}P{os.getpid()}.mail,S={size},W={size + size // 64}"


def write_message(path: str, size: int, changed: float | None = None) -> None:
    """A new file of this length, with nothing in it; ``changed`` is its modification time, now if None."""
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(handle, size)
        if changed is not None:
            os.utime(handle, (changed, changed))
    finally:
        os.close(handle)


def make_folders(folder: str) -> None:
    """``tmp``, ``new`` and ``cur`` of a folder, and the folder itself, where they are missing."""
    for path in (folder, *(f"{folder}/{part}" for part in _PARTS)):
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)


def deliver(maildir: str, name: str, size: int) -> None:
    """Put a message into ``new`` of INBOX; recording it is the caller's next step."""
    temporary = os.path.join(maildir, "tmp", name)
    try:
        write_message(temporary, size)
    except FileNotFoundError:
        make_folders(maildir)
        write_message(temporary, size)
    os.rename(temporary, f"{maildir}/new/{name}")


def list_folder(maildir: str, name: str = INBOX) -> list[Stored]:
    """The messages in ``new`` and ``cur`` of a folder, newest first; none where it is missing."""
    found: list[Stored] = []
    for part in ("new", "cur"):
        directory = f"{folder_path(maildir, name)}/{part}"
        with contextlib.suppress(FileNotFoundError):
            for entry in os.listdir(directory):
                size = message_size(os.fsencode(directory), os.fsencode(entry))
                if size is not None:
                    found.append(Stored(directory, entry, size))
    return sorted(found, key=lambda message: (message.arrived, message.name), reverse=True)


def read_new(maildir: str) -> None:
    """Somebody looks into INBOX: what is new becomes seen."""
    for message in list_folder(maildir):
        if message.directory.endswith("/new"):
            _move(message, f"{maildir}/cur", f"{message.name}:2,S")


def throw_away(maildir: str, messages: list[Stored], trash: str) -> None:
    """Move messages to Trash; the use stays what it was."""
    folder = folder_path(maildir, trash)
    make_folders(folder)
    for message in messages:
        _move(message, f"{folder}/cur", f"{message.name.partition(':')[0]}:2,S")


def _move(message: Stored, directory: str, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.rename(f"{message.directory}/{message.name}", f"{directory}/{name}")


def expunge(maildir: str, messages: list[Stored]) -> int:
    """Delete messages for good and record it. Returns the bytes that went."""
    gone = [message for message in messages if _unlink(f"{message.directory}/{message.name}")]
    size = sum(message.size for message in gone)
    if gone:
        with contextlib.suppress(IsADirectoryError):
            append(maildir, -size, -len(gone))
    return size


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def totals(maildir: str) -> tuple[int, int]:
    """Bytes and messages by a count of all folders."""
    folders = sum_folders(maildir)
    return sum(folder.bytes for folder in folders), sum(folder.messages for folder in folders)


def record(maildir: str, size: int, limit: int | None, *, create: bool) -> None:
    """A delivery is over: append it to maildirsize, and write that anew where Dovecot would.

    ``create`` is whether one that is missing is made. A directory in its place stays: that mailbox is not tracked.
    """
    with contextlib.suppress(IsADirectoryError):
        append(maildir, size, 1)
        try:
            believed = _believed(_read(maildir), limit)
        except FileNotFoundError:
            believed = not create
        if not believed:
            rebuild(maildir, limit)


def _believed(size: Maildirsize | None, limit: int | None) -> bool:
    return size is not None and size.limit == limit and not must_recount(size, limit, 0.0)


def _read(maildir: str) -> Maildirsize | None:
    handle = os.open(f"{maildir}/maildirsize", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return parse(os.read(handle, MAX_BYTES))
    finally:
        os.close(handle)


def rebuild(maildir: str, limit: int | None) -> None:
    """Count the mailbox and put a new maildirsize in place.

    Where somebody else changed the mailbox meanwhile, the old file stays, or in the end none: the next delivery counts.
    """
    before = totals(maildir)
    write_maildirsize(maildir, limit, *before)
    if totals(maildir) != before:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{maildir}/maildirsize")


def write_maildirsize(maildir: str, limit: int | None, used: int, messages: int) -> None:
    """A file of one line, written beside and renamed. A header of ``0S`` is tracked without a limit."""
    path = f"{maildir}/maildirsize"
    temporary = f"{path}mail.{os.getpid()}.{secrets.token_hex(8)}"
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, f"{limit or 0}S\n{used} {messages}\n".encode())
    finally:
        os.close(handle)
    os.rename(temporary, path)
