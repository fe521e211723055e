"""Changes a Maildir as Dovecot and its users do: messages come, move, go, and maildirsize follows.

Messages are sparse: as long as their names say, and empty. A name has the size on disk (S=) and with CRLF line ends
(W=). The order is Dovecot's: a delivery moves its file into ``new`` and then appends a line to maildirsize; the line
is one write to an existing file. A maildirsize that Dovecot would not trust (5120 bytes and more, another limit in its
header, usage over the limit in several lines) is made anew by a count, in a new file that is renamed.

The engine changes the same mailboxes meanwhile, at an order of the operator; so no list of messages is kept from call
to call, and only what was really removed is subtracted.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from typing import NamedTuple

from ..mailboxes.folders import INBOX, folder_path, message_size, sum_folders
from ..mailboxes.maildirsize import MAX_BYTES, Maildirsize, must_recount, parse
from ..mailboxes.trash import append

_PARTS = ("tmp", "new", "cur")
_ARRIVAL = re.compile(r"\d+")


class Stored(NamedTuple):
    """A message on disk: its directory, its name, and its size in bytes as quota counts it."""

    directory: str
    name: str
    size: int

    @property
    def arrived(self) -> int:
        """When the message arrived, in seconds since the epoch, by its name; 0 where that has no time."""
        match = _ARRIVAL.match(self.name)
        return int(match[0]) if match else 0


def message_name(arrived: float, serial: int, size: int) -> str:
    """The name of a message in ``new``; ``serial`` makes it unique."""
    return f"{int(arrived)}.M{serial:06d}P{os.getpid()}.mail,S={size},W={size + size // 64}"


def write_message(path: str, size: int, changed: float | None = None) -> None:
    """Write a sparse file of ``size`` bytes. ``changed``: its modification time, None for now. Raises OSError."""
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(handle, size)
        if changed is not None:
            os.utime(handle, (changed, changed))
    finally:
        os.close(handle)


def make_folders(folder: str) -> None:
    """Make a folder and its ``tmp``, ``new`` and ``cur`` where missing."""
    for path in (folder, *(f"{folder}/{part}" for part in _PARTS)):
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)


def deliver(maildir: str, name: str, size: int) -> None:
    """Put a message into ``new`` of INBOX. The caller then calls ``record``."""
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
    """Move the messages in ``new`` of INBOX to ``cur``, with the flag Seen."""
    for message in list_folder(maildir):
        if message.directory.endswith("/new"):
            _move(message, f"{maildir}/cur", f"{message.name}:2,S")


def throw_away(maildir: str, messages: list[Stored], trash: str) -> None:
    """Move messages to Trash; the usage stays the same."""
    folder = folder_path(maildir, trash)
    make_folders(folder)
    for message in messages:
        _move(message, f"{folder}/cur", f"{message.name.partition(':')[0]}:2,S")


def _move(message: Stored, directory: str, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.rename(f"{message.directory}/{message.name}", f"{directory}/{name}")


def expunge(maildir: str, messages: list[Stored]) -> int:
    """Delete messages and record that in maildirsize. Returns the bytes that were deleted."""
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
    """The bytes and messages of all folders, by a count."""
    folders = sum_folders(maildir)
    return sum(folder.bytes for folder in folders), sum(folder.messages for folder in folders)


def record(maildir: str, size: int, limit: int | None, *, create: bool) -> None:
    """Append a delivery to maildirsize, and make that anew where Dovecot would.

    ``create``: make a missing one, too. Where a directory has its name, nothing is recorded.
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
    return size is not None and size.limit == limit and not must_recount(size, limit, None, 0.0)


def _read(maildir: str) -> Maildirsize | None:
    handle = os.open(f"{maildir}/maildirsize", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return parse(os.read(handle, MAX_BYTES))
    finally:
        os.close(handle)


def rebuild(maildir: str, limit: int | None) -> None:
    """Count the mailbox and write a new maildirsize.

    Where the mailbox was changed meanwhile, the file is removed, and the next delivery makes a new one.
    """
    before = totals(maildir)
    write_maildirsize(maildir, limit, *before)
    if totals(maildir) != before:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{maildir}/maildirsize")


def write_maildirsize(maildir: str, limit: int | None, used: int, messages: int) -> None:
    """Write a maildirsize of one line, by a new file that is renamed. Its header is ``0S`` without a limit."""
    path = f"{maildir}/maildirsize"
    temporary = f"{path}mail.{os.getpid()}.{secrets.token_hex(8)}"
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, f"{limit or 0}S\n{used} {messages}\n".encode())
    finally:
        os.close(handle)
    os.rename(temporary, path)
