"""Delivery into a Maildir by ourselves, by the rules for another writer beside Dovecot.

The mail is written to ``tmp`` and moved to ``new``, so that whoever looks sees a whole mail or none, also when we are
killed. Its name tells the size, as quota counts it, and the virtual size (each line end as CRLF). Then one line is
appended to maildirsize, where that file exists; where it does not, the next reader counts. The directories are
reached by handles and no link is followed: the owner of a mailbox could have one lead anywhere.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import stat
import time
from collections.abc import Iterator

from core.alerts.programs import DeliveryError

_numbers = itertools.count(1)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_HEAD = 4096  # bytes in which the headers of a mail of ours end
_LINE_END = re.compile(rb"(?<!\r)\n")


def deliver(maildir: str, message: bytes) -> None:
    """Put a mail into INBOX. Raises DeliveryError; then nothing of it is in ``new``."""
    try:
        with _opened(maildir) as (top, tmp, new):
            name = _name(message)
            try:
                _write(tmp, name, message, os.fstat(top))
                os.rename(name, name, src_dir_fd=tmp, dst_dir_fd=new)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=tmp)
                raise
            with contextlib.suppress(OSError):  # some file systems can't
                os.fsync(new)
            _count(top, len(message))
    except OSError as error:
        raise DeliveryError(f"{maildir}: {error.strerror or error}") from error


def holds(maildir: str, message_id: str, since: float) -> bool:
    """Whether INBOX has a mail with this Message-ID that came after ``since``. Raises OSError."""
    line = f"\nMessage-ID: {message_id}\n".lower().encode()
    for part in ("new", "cur"):
        with _directory(maildir, part) as handle:
            if any(line in _head(handle, name, since) for name in os.listdir(handle)):
                return True
    return False


def _head(directory: int, name: str, since: float) -> bytes:
    try:
        handle = os.open(name, _READ, dir_fd=directory)
    except OSError:  # it was moved meanwhile, or is no mail
        return b""
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_mtime < since:
            return b""
        return b"\n" + os.read(handle, _HEAD).replace(b"\r\n", b"\n").lower()
    finally:
        os.close(handle)


@contextlib.contextmanager
def _opened(maildir: str) -> Iterator[tuple[int, int, int]]:
    """Handles of the Maildir, its ``tmp`` and its ``new``."""
    top = os.open(maildir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(os.open("cur", _DIRECTORY, dir_fd=top))  # else it is no Maildir
        tmp = os.open("tmp", _DIRECTORY, dir_fd=top)
        try:
            new = os.open("new", _DIRECTORY, dir_fd=top)
            try:
                yield top, tmp, new
            finally:
                os.close(new)
        finally:
            os.close(tmp)
    finally:
        os.close(top)


@contextlib.contextmanager
def _directory(maildir: str, part: str) -> Iterator[int]:
    top = os.open(maildir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        handle = os.open(part, _DIRECTORY, dir_fd=top)
    finally:
        os.close(top)
    try:
        yield handle
    finally:
        os.close(handle)


def _name(message: bytes) -> str:
    """As Dovecot makes them: time, process, host, size, virtual size."""
    now, host = time.time(), socket.gethostname().replace("/", "\\057").replace(":", "\\072")
    unique = f"{int(now)}.M{int(now % 1 * 1e6):06}P{os.getpid()}Q{next(_numbers)}.{host}"
    return f"{unique},S={len(message)},W={len(message) + len(_LINE_END.findall(message))}"


def _write(tmp: int, name: str, message: bytes, like: os.stat_result) -> None:
    """With the owner of the Maildir, and its rights, for files."""
    handle = os.open(name, _NEW, 0o600, dir_fd=tmp)
    try:
        with open(handle, "wb", closefd=False) as file:
            file.write(message)
        if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(handle, like.st_uid, like.st_gid)
        os.fchmod(handle, stat.S_IMODE(like.st_mode) & 0o666 | 0o600)
        os.fsync(handle)
    finally:
        os.close(handle)


def _count(top: int, size: int) -> None:
    """One line in one write; a file that is none of Dovecot's is left alone."""
    try:
        handle = os.open("maildirsize", _APPEND, dir_fd=top)
    except OSError:
        return  # the next reader counts, or finds out why it can't
    try:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            os.write(handle, f"{size} 1\n".encode())
    finally:
        os.close(handle)
