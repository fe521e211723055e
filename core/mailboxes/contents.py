"""What is inside one folder of a mailbox: sums, the largest messages, messages by year. No message is opened.

What is told of a message is its size and when it was received: neither sender nor subject nor the name of its file. So
somebody who may only look learns where the room of a mailbox went, and nothing of what is written there.

The size is in the name of the file, and the date is the time of the file, which Dovecot sets to when the message was
received. So each file of the folder is asked for its facts, by a handle of its directory, and no link is followed. A
million files take 3 to 7 s. After ``LOOKED`` seconds the walk ends, and the result says that it is not complete.
Where the files are not ours to read, or the usage is Dovecot's word, doveadm tells the same.

A file system may hang: the order then fails after ``WAIT`` seconds, and its thread is left alone. At most ``MOST``
threads are at it, ``MOST_OF_PLACE`` of them at one file system.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import re
import stat
import time
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator
from time import monotonic

import msgspec

from ..base.errors import MailquotaError, UnreachableError, error_text, sendable
from ..base.helper_calls import Helper
from ..base.others_folders import Folder, opened
from ..base.threads import in_thread
from ..control.contents import FolderContents, MessageSize, RecentSum, YearSum
from ..servers.dovecot.doveadm import DoveadmTool
from ..servers.dovecot.mutf7 import decode
from .driver import Driver
from .folders import INBOX, folders_among
from .mailstore import Mailstore

LARGEST = 20  # messages
RECENT = (1, 7, 30)  # days
LOOKED = 8.0  # seconds that a walk takes at most
WAIT = 30.0  # seconds that an order waits at most, also for doveadm
MOST, MOST_OF_PLACE = 4, 2
_EACH = 256  # messages between two looks at the clock
_DAY = 86400.0
_FIRST_YEAR, _LAST_YEAR = 1980, 2100  # a date beyond them is that of a broken clock: not known
_WILDCARDS = frozenset("*%?")
_SIZES = {letter: re.compile(rf",{letter}=(\d{{1,12}})(?=[:,]|\Z)") for letter in "SW"}

Message = tuple[int, float]  # bytes, and when it was received, in seconds since the epoch


class Tally:
    """Sums up messages. Years are those of the local time."""

    def __init__(self, now: float) -> None:
        self.messages = self.bytes = 0
        self._oldest = self._newest = 0.0
        self._recent = {days: [now - days * _DAY, 0, 0] for days in RECENT}
        years = range(_FIRST_YEAR, _LAST_YEAR + 2)
        self._begins = [time.mktime((year, 1, 1, 0, 0, 0, 0, 0, -1)) for year in years]
        self._years: dict[int, list[int]] = {}
        self._largest: list[Message] = []  # a heap

    def add(self, size: int, at: float) -> None:
        """Take one message."""
        self.messages += 1
        self.bytes += size
        if len(self._largest) < LARGEST:
            heapq.heappush(self._largest, (size, at))
        elif self._largest[0] < (size, at):
            heapq.heapreplace(self._largest, (size, at))
        if not self._begins[0] <= at < self._begins[-1]:
            return
        if not self._oldest or at < self._oldest:
            self._oldest = at
        self._newest = max(self._newest, at)
        year = self._years.setdefault(bisect_right(self._begins, at), [0, 0])
        year[0] += 1
        year[1] += size
        for recent in self._recent.values():
            if at >= recent[0]:
                recent[1] += 1
                recent[2] += size

    def result(self, address: str, folder: str, *, method: str, trash: bool, complete: bool) -> FolderContents:
        """All that was added."""
        return FolderContents(
            address=address,
            folder=folder,
            messages=self.messages,
            bytes=self.bytes,
            oldest=self._oldest or None,
            newest=self._newest or None,
            largest=[MessageSize(size, self._dated(at)) for size, at in sorted(self._largest, reverse=True)],
            years=[
                YearSum(_FIRST_YEAR + place - 1, *sums) for place, sums in sorted(self._years.items(), reverse=True)
            ],
            recent=[RecentSum(days, int(messages), int(size)) for days, (_, messages, size) in self._recent.items()],
            complete=complete,
            method=method,
            trash=trash,
        )

    def _dated(self, at: float) -> float | None:
        return at if self._begins[0] <= at < self._begins[-1] else None

    def take(self, messages: Iterable[Message], until: float, steady: Callable[[], float] = monotonic) -> bool:
        """Add these until the steady clock is at ``until``; whether those were all."""
        for number, (size, at) in enumerate(messages, 1):
            self.add(size, at)
            if number % _EACH == 0 and steady() >= until:
                return False
        return True


# ---- by the files


def messages_in(maildir: str, wanted: str, letter: str = "S") -> Generator[Message, None, None]:
    """The messages of the folder that mail programs show as ``wanted``. Raises OSError and NoSuchFolderError.

    ``letter``: ``S`` for sizes of files, ``W`` for virtual sizes, as far as the names of the files tell them.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder = _folder(stack, maildir, wanted)
            parts = [part for name in ("new", "cur") if (part := _inner(stack, folder, name)) is not None]
        except FileNotFoundError:
            parts = []
        if not parts:
            raise NoSuchFolderError(wanted)
        for part in parts:
            yield from _messages(part, _SIZES[letter])


class NoSuchFolderError(MailquotaError):
    """The mailbox has no folder of this name, or has it no longer."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no folder {name} in this mailbox")


def _folder(stack: contextlib.ExitStack, maildir: str, wanted: str) -> Folder:
    home = stack.enter_context(opened(maildir))
    if wanted == INBOX:
        return home
    for name in folders_among(home.names()):
        if sendable(decode(name)) == wanted:
            return stack.enter_context(home.inner(f".{name}"))
    raise NoSuchFolderError(wanted)


def _inner(stack: contextlib.ExitStack, folder: Folder, name: str) -> Folder | None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return stack.enter_context(folder.inner(name))
    return None


def _messages(part: Folder, sizes: re.Pattern[str]) -> Iterator[Message]:
    with part.entries() as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(".."):
                continue
            try:
                facts = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # moved or removed meanwhile
                continue
            if stat.S_ISDIR(facts.st_mode):
                continue
            size = sizes.search(name) or _SIZES["S"].search(name)
            yield (int(size[1]) if size else facts.st_size), facts.st_mtime


# ---- orders


class FolderLooks:
    """Looks into folders for clients. Runs on the engine's loop; the work is done in threads.

    ``away`` says why the file system of a mailbox is not there, ``asks_dovecot`` whether its usage is Dovecot's word.
    Where a ``helper`` works in mailboxes, it looks, and ``doveadm`` is Dovecot's HTTP API or None.
    """

    def __init__(
        self,
        store: Mailstore,
        driver: Driver,
        doveadm: DoveadmTool | None,
        *,
        away: Callable[[str], str],
        asks_dovecot: Callable[[str], bool],
        helper: Helper | None = None,
    ) -> None:
        self._helper = helper
        self._store = store
        self._driver = driver
        self._doveadm = doveadm
        self._away = away
        self._asks_dovecot = asks_dovecot
        self._running: dict[tuple[str, str], asyncio.Future[FolderContents]] = {}

    async def contents(self, address: str, folder: str) -> FolderContents:
        """What is in this folder, by the name that mail programs show. Raises MailquotaError."""
        key = (address, folder)
        found = self._running.get(key)
        if found is None:
            self._check_room(address)
            found = self._running[key] = asyncio.ensure_future(in_thread(lambda: self.look(address, folder)))
            found.add_done_callback(lambda _done: self._running.pop(key, None))
            found.add_done_callback(_forget)
        try:
            async with asyncio.timeout(WAIT):
                return await asyncio.shield(found)
        except TimeoutError as error:
            raise MailquotaError(f"{folder} can't be looked through: no answer within {WAIT:.0f} s") from error
        except OSError as error:
            raise MailquotaError(f"{folder} can't be looked through: {error_text(error)}") from error

    def _check_room(self, address: str) -> None:
        """Those that hang count, too, until they return."""
        place = self._driver.place(address)
        there = sum(self._driver.place(other) == place for other, _folder in self._running)
        if there >= MOST_OF_PLACE or len(self._running) >= MOST:
            raise MailquotaError("other folders are being looked through; try again in a moment")

    def look(self, address: str, folder: str) -> FolderContents:
        """The same in this thread, without a bound of time. Raises OSError, too."""
        if reason := self._away(address):
            raise MailquotaError(reason)
        asks = self._asks_dovecot(address)
        if self._helper is not None and not (asks and self._doveadm is not None):
            name = self._store.names.in_path(address)
            found: FolderContents = self._helper.call(
                "contents", name, folder, self._driver.name, asks, gives=FolderContents
            )
            return msgspec.structs.replace(found, address=address)
        if self._doveadm is None or not asks:
            try:
                return self._by_files(address, folder)
            except PermissionError:
                if self._doveadm is None:
                    raise
        return self._by_doveadm(self._doveadm, address, folder)

    def _by_files(self, address: str, folder: str) -> FolderContents:
        tally, letter = Tally(time.time()), "W" if self._driver.name == "count" else "S"
        messages = messages_in(self._store.maildir(address), folder, letter)
        with contextlib.closing(messages):
            complete = tally.take(messages, monotonic() + LOOKED)
        trash = self._store.is_trash.readable(folder)
        return tally.result(address, folder, method="files", trash=trash, complete=complete)

    def _by_doveadm(self, doveadm: DoveadmTool, address: str, folder: str) -> FolderContents:
        if not _WILDCARDS.isdisjoint(folder):
            raise MailquotaError(f"doveadm would take {folder} for a pattern of several folders")
        user, tally = self._store.names.in_path(address), Tally(time.time())
        virtual = self._driver.name in {"count", "doveadm"}
        with contextlib.closing(doveadm.received(user, folder, virtual=virtual)) as messages:
            try:
                complete = tally.take(messages, monotonic() + WAIT)
            except UnreachableError:
                complete = False
                if not tally.messages:
                    raise
        if not tally.messages and folder not in doveadm.mailboxes(user):
            raise NoSuchFolderError(folder)
        trash = self._store.is_trash.readable(folder)
        return tally.result(address, folder, method="doveadm", trash=trash, complete=complete)


def _forget(done: asyncio.Future[FolderContents]) -> None:
    """Where nobody waits for it any more, its error is nobody's."""
    if not done.cancelled():
        done.exception()
