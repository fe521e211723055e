"""Measuring one mailbox: maildirsize where Dovecot would believe it, else a count of the folders. Never writes.

``probe`` is what a decision can afford: one stat, and one small read where the file changed. It says when a count is
due instead of doing it. ``measure`` does everything, Trash share included. Both take what is already known of the
mailbox and return it anew; ``Measurement`` is immutable, so one thread may measure while another reads.

What is known carries a stamp of the maildirsize file it was made from (a hash of time, size and inode; 0 for no file).
Dovecot's appends change its size, its rewrites the inode. A file that Dovecot would disbelieve is as good as none until
it changes: the folders are counted, and then the two directories of INBOX, where deliveries go, tell a probe at once
whether the count still holds; other folders come in rounds.
"""

from __future__ import annotations

import os
import stat
from enum import Enum

import msgspec

from mailquota.core.base.model import Source
from mailquota.core.mailboxes.folders import INBOX, Folders, FolderSum, is_folder, settled, sum_folder, sum_folders
from mailquota.core.mailboxes.maildirsize import FRESH_SECONDS, MAX_BYTES, Maildirsize, must_recount, parse
from mailquota.core.mailboxes.mailstore import Mailstore

NO_FILE = 0


class Measurement(msgspec.Struct, frozen=True, gc=False):
    """The last measuring of one mailbox: bytes and messages, and what tells whether they still hold."""

    used: int
    messages: int
    source: Source
    stamp: int | None  # None: must be measured again
    expires_at: float | None = None  # when a young over-limit claim is old, by the time of day as for Dovecot
    folders: Folders | None = None  # all folders where they were counted, else Trash alone; None: not looked at yet
    complete: bool = True  # whether the folders are as new as the rest
    measured_at: float | None = None  # where the figure is older than the look at it; seconds since the epoch


class ProbeOutcome(Enum):
    """What a probe can't say."""

    COUNT_DUE = "count"  # the folders must be counted
    UNCHANGED = "nothing"  # what is known still holds


class Unmeasurable(Exception):  # noqa: N818 - a state of the mailbox, not a fault of the program
    """The mailbox can't be read: rights, a file in the wrong place, the whole mailstore absent."""


def probe(maildir: str, limit: int | None, known: Measurement | None, now: float) -> Measurement | ProbeOutcome:
    """What one stat and one small read can tell. Raises Unmeasurable where Dovecot could not tell either."""
    try:
        found = os.stat(f"{maildir}/maildirsize")
    except (FileNotFoundError, NotADirectoryError):
        return probe_inbox(maildir, known, NO_FILE)
    except (OSError, ValueError) as error:
        raise Unmeasurable(reason(error)) from error
    stamp = _stamp(found)
    if known is not None and known.stamp == stamp and (known.expires_at is None or now < known.expires_at):
        return ProbeOutcome.UNCHANGED if known.source == "maildirsize" else probe_inbox(maildir, known, stamp)
    if not stat.S_ISREG(found.st_mode):
        raise Unmeasurable("maildirsize is not a file")
    size = _read(maildir)
    if size is None or must_recount(size, limit, now - found.st_mtime):
        return ProbeOutcome.COUNT_DUE
    young = limit is not None and size.used > limit
    expires = found.st_mtime + FRESH_SECONDS if young else None
    folders = known.folders if known else None
    return Measurement(
        size.used, size.messages, "maildirsize", stamp, expires_at=expires, folders=folders, complete=False
    )


def probe_inbox(maildir: str, known: Measurement | None, stamp: int) -> ProbeOutcome:
    """Whether INBOX is as it was counted. Raises Unmeasurable."""
    inbox = _counted_inbox(known, stamp)
    if inbox is None:
        return ProbeOutcome.COUNT_DUE
    try:
        for name, part in (("new", inbox.new), ("cur", inbox.cur)):
            if part.mtime_ns is None or _mtime(f"{maildir}/{name}") != part.mtime_ns:
                return ProbeOutcome.COUNT_DUE
    except OSError as error:
        raise Unmeasurable(reason(error)) from error
    return ProbeOutcome.UNCHANGED


def _counted_inbox(known: Measurement | None, stamp: int) -> FolderSum | None:
    """INBOX, where all folders were counted beside a maildirsize of this stamp. It is the first of them."""
    counted = known is not None and known.source == "scan" and known.stamp == stamp
    return known.folders[0] if counted and known is not None and known.folders else None


def _mtime(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return 0


def measure(store: Mailstore, maildir: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
    """Everything about one mailbox, what is ``known`` reused where nothing moved.

    Without the mailstore's top folder nothing is known, while a mailbox that is missing below it is empty, because
    Dovecot makes it at the first delivery. Raises Unmeasurable.
    """
    result = probe(maildir, limit, known, now)
    try:
        latest = known if result is ProbeOutcome.UNCHANGED else result
        if isinstance(latest, Measurement) and latest.source == "maildirsize":
            return latest if latest.complete else _with_trash(store, maildir, latest)
        return _count(store, maildir, known)
    except OSError as error:
        raise Unmeasurable(reason(error)) from error


def _with_trash(store: Mailstore, maildir: str, known: Measurement) -> Measurement:
    folders = sum_folders(maildir, known.folders or (), store.is_trash)
    return msgspec.structs.replace(known, folders=folders, complete=settled(folders))


def _count(store: Mailstore, maildir: str, known: Measurement | None) -> Measurement:
    """Count all folders. The stamp is taken first: a change of the file during the count makes the next look count."""
    stamp = stamp_of(f"{maildir}/maildirsize")
    folders = sum_folders(maildir, (known.folders if known else None) or ())
    if not folders and not os.path.isdir(store.base):
        raise Unmeasurable(f"{store.base} is not there")
    return counted(store, folders, stamp, known)


def counted(store: Mailstore, folders: Folders, stamp: int, before: Measurement | None) -> Measurement:
    """The sum of all folders that count; the object ``before`` where nothing changed, so that nobody is told."""
    used, messages = total(store, folders)
    known = Measurement(used, messages, "scan", stamp, folders=folders)
    return before if before == known and before is not None else known


def total(store: Mailstore, folders: Folders) -> tuple[int, int]:
    """Bytes and messages of the folders that count."""
    counting = [folder for folder in folders if not store.is_ignored(folder.name)]
    return sum(folder.bytes for folder in counting), sum(folder.messages for folder in counting)


def count_inbox(store: Mailstore, maildir: str, known: Measurement | None) -> Measurement:
    """A count for a decision: INBOX anew, other folders as last counted (all, the first time). Raises Unmeasurable."""
    try:
        stamp = stamp_of(f"{maildir}/maildirsize")
        inbox = _counted_inbox(known, stamp)
        fresh = None if inbox is None else sum_folder(maildir, INBOX, inbox)
        if known is None or known.folders is None or fresh is None or not is_folder(fresh):
            return _count(store, maildir, known)
    except OSError as error:
        raise Unmeasurable(reason(error)) from error
    return counted(store, (fresh, *known.folders[1:]), stamp, known)


def recorded(maildir: str) -> tuple[int, int] | None:
    """Bytes and messages as the maildirsize file has them, believed or not; None without a readable file."""
    try:
        size = _read(maildir)
    except Unmeasurable:
        return None
    return (size.used, size.messages) if size is not None else None


def limit_on_record(maildir: str) -> int | None:
    """The limit in bytes that Dovecot wrote down; None without one, or without a readable file."""
    try:
        size = _read(maildir)
    except Unmeasurable:
        return None
    return size.limit if size is not None else None


def _read(maildir: str) -> Maildirsize | None:
    """The parsed file; None where it is none. O_NONBLOCK: a FIFO in its place must not hold us."""
    try:
        handle = os.open(f"{maildir}/maildirsize", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unmeasurable(reason(error)) from error
    try:
        return parse(os.read(handle, MAX_BYTES))
    except OSError as error:
        raise Unmeasurable(reason(error)) from error
    finally:
        os.close(handle)


def stamp_of(path: str) -> int:
    try:
        return _stamp(os.stat(path))
    except FileNotFoundError:
        return NO_FILE


def _stamp(found: os.stat_result) -> int:
    return hash((found.st_mtime_ns, found.st_size, found.st_ino)) or 1


def reason(error: Exception) -> str:
    """What to tell of an error of the file system."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
