"""Delivers into a Maildir itself: a file in ``tmp``, synced, then moved to ``new`` of INBOX, then added to maildirsize.

The name of the file has what Dovecot counts quota by: ``,S=`` bytes and ``,W=`` bytes with CRLF line ends. Dovecot
does not check either. It also has a digest of the Message-ID, so that a list of names is enough to find the mail
again, whatever flags it has by then.

The owner of a mailbox may have put symbolic links into it that lead to files of others. So all work is done through
handles of its directories, and no link in it is followed. On the way to it, and in its place, may be links that belong
to root, or to the owner of the directory that they lead to (core/base/others_folders.py).

maildirsize gets one line appended, and only if it existed before the mail was stored. Dovecot may replace it at the
same time, by one that does or does not count the new mail. So if it is another file afterwards, or can't be written,
it is deleted, and its next reader counts the mailbox anew.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import socket
import stat
import time
from collections.abc import Callable, Iterator

from ..base.errors import DeliveryError
from ..base.others_folders import Folder, opened

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_APPEND = os.O_WRONLY | os.O_APPEND
_RECORD = "maildirsize"
_MESSAGE_ID = re.compile(rb"^Message-ID:\s*(<[^\s<>]+>)\s*$", re.IGNORECASE | re.MULTILINE)
_ODD = "a link, or not of the kind that a Maildir has there"


def message_id_of(message: bytes) -> str:
    """The Message-ID of a mail, with the angle brackets; empty where it has none."""
    match = _MESSAGE_ID.search(message.partition(b"\n\n")[0])
    return match[1].decode("utf-8", "replace") if match else ""


class OwnMaildir:
    """A method of delivery. ``path_of`` gives the path of the Maildir of an address; it may raise DeliveryError."""

    name = "maildir"

    def __init__(self, path_of: Callable[[str], str], clock: Callable[[], float] = time.time) -> None:
        self.path_of = path_of
        self._clock = clock

    def deliver(self, address: str, message: bytes) -> None:
        """Store a mail in INBOX. Raises DeliveryError; then nothing was stored."""
        maildir = self.path_of(address)
        try:
            _deliver(maildir, message, self._clock())
        except OSError as error:
            path = os.path.join(maildir, error.filename) if error.filename else maildir
            raise DeliveryError(f"{path}: {_reason(error)}", temporary=True) from error

    def has(self, address: str, message_id: str) -> bool | None:
        """Whether INBOX has a mail that ``deliver`` stored; None where the Maildir can't be read."""
        digest = f"Q{_digest(message_id)}."
        try:
            with opened(self.path_of(address)) as home:
                return any(digest in name for part in ("new", "cur") for name in _names(home, part))
        except OSError:
            return None


def _deliver(maildir: str, message: bytes, now: float) -> None:
    name = _name(message, now)
    with (
        opened(maildir) as home,
        home.inner("tmp") as tmp,
        home.inner("new") as new,
        _record(home) as record,
    ):
        try:
            _write(tmp, name, message, home.status)
            tmp.rename(name, name, into=new)
        finally:
            with contextlib.suppress(FileNotFoundError):
                tmp.unlink(name)
        # From here on the mail is delivered: an error now must not have it delivered again.
        with contextlib.suppress(OSError):
            new.sync()
        _count(home, record, len(message))


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no Maildir yet"
    strange = error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO}
    return _ODD if strange else error.strerror or str(error)


def _name(message: bytes, now: float) -> str:
    """A file name of the form that Dovecot uses, with the digest of the Message-ID (Q)."""
    host = socket.gethostname().replace("/", r"\057").replace(":", r"\072")
    seconds, micro = divmod(int(now * 1e6), 1_000_000)
    with_cr = len(message) + message.count(b"\n") - message.count(b"\r\n")
    unique = f"{seconds}.M{micro}P{os.getpid()}Q{_digest(message_id_of(message))}.{host}"
    return f"{unique},S={len(message)},W={with_cr}"


def _digest(message_id: str) -> str:
    return hashlib.sha256(message_id.encode()).hexdigest()[:16]


def _names(home: Folder, part: str) -> list[str]:
    with home.inner(part) as folder:
        return folder.names()


def _write(tmp: Folder, name: str, message: bytes, like: os.stat_result) -> None:
    """Write the file and sync it, with owner and mode as Dovecot gives them: those of the Maildir, without x."""
    handle = tmp.open(name, _CREATE, 0o600)
    with open(handle, "wb") as file:
        os.fchown(handle, like.st_uid, like.st_gid)
        os.fchmod(handle, stat.S_IMODE(like.st_mode) & 0o666)
        file.write(message)
        file.flush()
        os.fsync(handle)


@contextlib.contextmanager
def _record(home: Folder) -> Iterator[int | None]:
    """A handle to append to maildirsize; None where there is none, or it can't be written."""
    handle = None
    with contextlib.suppress(FileNotFoundError, PermissionError):
        handle = home.open(_RECORD, _APPEND)
    try:
        if handle is not None:
            _check_record(os.fstat(handle))
        yield handle
    finally:
        if handle is not None:
            os.close(handle)


def _check_record(status: os.stat_result) -> None:
    """Raises OSError unless it is a plain file with one name, as Dovecot makes it: anything else may be a trap."""
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        raise OSError(errno.EPERM, _ODD, _RECORD)


def _count(home: Folder, record: int | None, size: int) -> None:
    if record is not None and _is_there(home, record) and _append(record, size) and _is_there(home, record):
        return
    with contextlib.suppress(OSError):
        home.unlink(_RECORD)


def _append(record: int, size: int) -> bool:
    """Append a line by one write; False where it was not written whole, as on a full file system."""
    line = f"{size} 1\n".encode()
    try:
        return os.write(record, line) == len(line)
    except OSError:
        return False


def _is_there(home: Folder, record: int) -> bool:
    try:
        return os.path.samestat(home.look(_RECORD), os.fstat(record))
    except OSError:
        return False
