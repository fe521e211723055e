"""Measures one mailbox: by maildirsize where Dovecot would believe it, else by a count of the folders. Never writes.

``probe`` is what an answer to Postfix can afford: one stat, and one small read where the file changed. Where a count is
needed it says so and does not count. ``measure`` does everything, with the share of Trash. Both get the last
measurement and return a new one; ``Measurement`` is immutable, so one thread may measure while another reads.

A measurement has a stamp of the maildirsize that was there (a hash of its time, size and inode; 0 for no file), as
Dovecot's appends change the size, and its rewrites the inode. Where Dovecot would not believe the file, the folders are
counted instead until the file changes. Whether such a count still holds, a probe tells by the times of INBOX's two
directories, into which mail is delivered; changes of other folders are found by rounds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from enum import Enum

import msgspec

from ..base.model import Source
from ..base.others_folders import FOREIGN_LINK, open_plain
from .folders import INBOX, Folders, FolderSum, is_folder, settled, sum_folder, sum_folders
from .maildirsize import FRESH_SECONDS, MAX_BYTES, Maildirsize, is_over, must_recount, parse
from .mailstore import Mailstore

NO_FILE = 0
# What a link to itself, a long chain of links, or a file in the place of a folder (and the other way round) comes to.
_ODD_FILES = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ENXIO})


class Measurement(msgspec.Struct, frozen=True, gc=False):
    """Usage of one mailbox in bytes and messages, and what tells whether it still holds."""

    used: int
    messages: int
    source: Source
    stamp: int | None  # None: must be measured again
    expires_at: float | None = None  # up to when Dovecot believes a usage above the limit; seconds since the epoch
    folders: Folders | None = None  # all folders where they were counted, else Trash alone; None: neither was done
    complete: bool = True  # whether the folders are as new as the rest
    measured_at: float | None = None  # where a service gave an older figure, when that was; seconds since the epoch


class ProbeOutcome(Enum):
    """What a probe returns where it has no new measurement."""

    COUNT_DUE = "count"  # the folders have to be counted
    UNCHANGED = "nothing"  # the last measurement still holds


class Unmeasurable(Exception):  # noqa: N818 - a state of the mailbox, not a fault of the program
    """The mailbox can't be read: rights, a file in the wrong place, the whole mailstore absent."""


class MadeUnreadable(Unmeasurable):
    """What can't be read is in the mailbox itself, and its owner put it there."""


class MailstoreAbsent(Unmeasurable):
    """The folder above all mailboxes is not there."""


def unmeasurable(maildir: str, error: OSError | ValueError) -> Unmeasurable:
    """The error for people. ``maildir`` is the mailbox in which it arose."""
    where = error.filename if isinstance(error, OSError) and error.errno in _ODD_FILES else None
    return _told(reason(error), made=where is not None and _is_made_by_its_owner(maildir, os.fsdecode(where)))


def _told(text: str, *, made: bool) -> Unmeasurable:
    return MadeUnreadable(f"its owner made it unreadable: {text}") if made else Unmeasurable(text)


def _is_made_by_its_owner(maildir: str, path: str) -> bool:
    """Whether a mailbox that can be reached, and what is wrong at ``path`` in it, were not made by root.

    What is wrong further up is for the administrator, and so are rights, file systems that are away, and disks.
    """
    try:
        if os.lstat(maildir).st_uid == 0:
            return False
    except (OSError, ValueError):
        return False
    try:
        return os.lstat(path).st_uid != 0
    except OSError as error:  # what is wrong is a step of the path, such as the mailbox itself
        return error.errno in _ODD_FILES


def probe(
    maildir: str, limit: int | None, known: Measurement | None, now: float, *, most: int | None = None
) -> Measurement | ProbeOutcome:
    """Measure by one stat and at most one small read of maildirsize.

    ``limit`` in bytes and ``most`` in messages, None for no limit; ``now`` in seconds since the epoch. Raises
    Unmeasurable, where Dovecot could not read the mailbox either.
    """
    try:
        found = os.stat(f"{maildir}/maildirsize")
    except (FileNotFoundError, NotADirectoryError):
        return probe_inbox(maildir, known, NO_FILE)
    except (OSError, ValueError) as error:
        raise unmeasurable(maildir, error) from error
    stamp = _stamp(found)
    if known is not None and known.stamp == stamp and (known.expires_at is None or now < known.expires_at):
        return ProbeOutcome.UNCHANGED if known.source == "maildirsize" else probe_inbox(maildir, known, stamp)
    if not stat.S_ISREG(found.st_mode):
        raise _told("maildirsize is not a file", made=_is_made_by_its_owner(maildir, f"{maildir}/maildirsize"))
    size = _read(maildir)
    if size is None or must_recount(size, limit, most, now - found.st_mtime):
        return ProbeOutcome.COUNT_DUE
    expires = found.st_mtime + FRESH_SECONDS if is_over(size) else None
    folders = known.folders if known else None
    return Measurement(
        size.used, size.messages, "maildirsize", stamp, expires_at=expires, folders=folders, complete=False
    )


def check_owner(maildir: str) -> None:
    """Raises MadeUnreadable where its owner made a link in its place, to a folder of somebody else; and OSError.

    The usage would be that of the other one's mailbox. Dovecot, with the rights of the owner, can't use it.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        link = os.lstat(maildir)
        if stat.S_ISLNK(link.st_mode) and link.st_uid not in {0, os.stat(maildir).st_uid}:
            raise _told(FOREIGN_LINK, made=True)


def probe_inbox(maildir: str, known: Measurement | None, stamp: int) -> ProbeOutcome:
    """UNCHANGED if INBOX is as it was counted beside a maildirsize of this stamp, else COUNT_DUE.

    Raises Unmeasurable.
    """
    inbox = _counted_inbox(known, stamp)
    if inbox is None:
        return ProbeOutcome.COUNT_DUE
    try:
        for name, part in (("new", inbox.new), ("cur", inbox.cur)):
            if part.mtime_ns is None or _mtime(f"{maildir}/{name}") != part.mtime_ns:
                return ProbeOutcome.COUNT_DUE
    except OSError as error:
        raise unmeasurable(maildir, error) from error
    return ProbeOutcome.UNCHANGED


def _counted_inbox(known: Measurement | None, stamp: int) -> FolderSum | None:
    """The sums of INBOX, the first of all folders, where they were counted beside a maildirsize of this stamp."""
    counted = known is not None and known.source == "scan" and known.stamp == stamp
    return known.folders[0] if counted and known is not None and known.folders else None


def _mtime(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return 0


def measure(
    store: Mailstore, maildir: str, limit: int | None, known: Measurement | None, now: float, *, most: int | None = None
) -> Measurement:
    """A complete measurement; sums in ``known`` are reused for directories that did not change.

    A mailbox that is missing is empty, as Dovecot makes it at the first delivery. But without the mailstore's top
    folder, as when its file system is not mounted, nothing is known. Raises Unmeasurable.
    """
    result = probe(maildir, limit, known, now, most=most)
    try:
        latest = known if result is ProbeOutcome.UNCHANGED else result
        if isinstance(latest, Measurement) and latest.source == "maildirsize":
            return latest if latest.complete else _with_trash(store, maildir, latest)
        return _count(store, maildir, known)
    except OSError as error:
        raise unmeasurable(maildir, error) from error


def _with_trash(store: Mailstore, maildir: str, known: Measurement) -> Measurement:
    folders = sum_folders(maildir, known.folders or (), store.is_trash)
    return msgspec.structs.replace(known, folders=folders, complete=settled(folders))


def _count(store: Mailstore, maildir: str, known: Measurement | None) -> Measurement:
    """Count all folders. The stamp is taken first, so that a change during the count makes the next probe see it."""
    check_owner(maildir)
    stamp = stamp_of(f"{maildir}/maildirsize")
    folders = sum_folders(maildir, (known.folders if known else None) or ())
    if not folders and not os.path.isdir(store.base):
        raise MailstoreAbsent(f"{store.base} is not there")
    return counted(store, folders, stamp, known)


def counted(store: Mailstore, folders: Folders, stamp: int, before: Measurement | None) -> Measurement:
    """The sum of all folders that count; the object ``before`` if it is equal, so that the ledger sees no change."""
    used, messages = total(store, folders)
    known = Measurement(used, messages, "scan", stamp, folders=folders)
    return before if before == known and before is not None else known


def total(store: Mailstore, folders: Folders) -> tuple[int, int]:
    """Bytes and messages of the folders that Dovecot's quota rules don't ignore."""
    counting = [folder for folder in folders if not store.is_ignored(folder.name)]
    return sum(folder.bytes for folder in counting), sum(folder.messages for folder in counting)


def count_inbox(store: Mailstore, maildir: str, known: Measurement | None) -> Measurement:
    """Count for an answer to Postfix: INBOX anew, other folders as last counted (all of them the first time).

    Raises Unmeasurable.
    """
    try:
        check_owner(maildir)
        stamp = stamp_of(f"{maildir}/maildirsize")
        inbox = _counted_inbox(known, stamp)
        fresh = None if inbox is None else sum_folder(maildir, INBOX, inbox)
        if known is None or known.folders is None or fresh is None or not is_folder(fresh):
            return _count(store, maildir, known)
    except OSError as error:
        raise unmeasurable(maildir, error) from error
    return counted(store, (fresh, *known.folders[1:]), stamp, known)


def recorded(maildir: str) -> tuple[int, int] | None:
    """Bytes and messages as the maildirsize file has them, believed or not; None without a readable file."""
    try:
        size = _read(maildir)
    except Unmeasurable:
        return None
    return (size.used, size.messages) if size is not None else None


def limit_on_record(maildir: str) -> int | None:
    """The limit in bytes in the header of maildirsize; None without one, or without a readable file."""
    try:
        size = _read(maildir)
    except Unmeasurable:
        return None
    return size.limit if size is not None else None


def _read(maildir: str) -> Maildirsize | None:
    """The parsed file; None where there is none, or none that Dovecot would read.

    A link is followed to a file of the link's owner only. With root's rights we could else read one that Dovecot, with
    the owner's, could not: such as the maildirsize of another mailbox.
    """
    try:
        check_owner(maildir)
        handle = _open_record(f"{maildir}/maildirsize")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unmeasurable(maildir, error) from error
    if handle is None:
        return None
    try:
        return parse(os.read(handle, MAX_BYTES))
    except OSError as error:
        raise unmeasurable(maildir, error) from error
    finally:
        os.close(handle)


def _open_record(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return open_plain(path, of_its_linker=True)


def stamp_of(path: str) -> int:
    """The stamp of a file; 0 where there is none. Raises OSError."""
    try:
        return _stamp(os.stat(path))
    except FileNotFoundError:
        return NO_FILE


def _stamp(found: os.stat_result) -> int:
    return hash((found.st_mtime_ns, found.st_size, found.st_ino)) or 1


def reason(error: Exception) -> str:
    """The text of an error for people: of an OSError what the system says, without number and path."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
