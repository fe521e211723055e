"""Accepted mails that have not arrived yet: they count against the limits. Pure; times are parameters.

Between an answer and the delivery, usage does not have the mail. Without reservations, many senders at once would all
be accepted into the same free space.

A reservation ends when a delivery shows that fits it, when the same recipient of the same mail is accepted anew, or
when its time is over. Announced and delivered size differ a little: SIZE (RFC 1870) counts CRLF, while the file may
have LF, and has a few header lines more.

Only the newest are kept one by one. Older ones are summed up by the second in which their time is over: a mailbox to
which thousands of mails are on the way then takes little memory, and each of them still ends in time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from itertools import islice, takewhile
from math import ceil, inf

MOST = 64  # reservations of one mailbox that are kept one by one
_MORE = 4096  # bytes that headers may add or line ends take from a small mail
_SHARE = 16  # and a sixteenth of a large one


class _Sum:
    """Mails whose time is over at ``end`` or within the second before: their number, and the sum of their bytes."""

    __slots__ = ("end", "mails", "size")

    def __init__(self, end: float) -> None:
        self.end = end
        self.size = 0
        self.mails = 0

    def take(self, mails: int) -> int:
        """Take out so many mails, each counted with the average size; their bytes."""
        part = self.size * mails // self.mails
        self.size -= part
        self.mails -= mails
        return part


class Reservations:
    """The reservations of one mailbox. Sizes in bytes; times in seconds by one clock that never goes back.

    ``sum`` is called for each answer, so it only adds up what ended: ``_total`` is kept, and ``_next_end`` says before
    when nothing can have ended.
    """

    __slots__ = ("_held", "_next_end", "_old", "_total")

    def __init__(self) -> None:
        self._held: dict[Hashable, tuple[float, int]] = {}  # until when, and bytes; in the order of their ends
        self._old: deque[_Sum] = deque()  # older ones, summed up
        self._total = 0  # bytes of all
        self._next_end = inf  # the earliest end of a time

    def add(self, key: Hashable, size: int, until: float) -> None:
        """Reserve ``size`` bytes for the mail and recipient of ``key``, in place of what that key had before."""
        held = self._held
        before = held.pop(key, None)
        if before is not None:
            self._total -= before[1]
        if len(held) >= MOST:
            self._sum_up_oldest()
        held[key] = (until, size)
        self._total += size
        self._next_end = min(self._next_end, until)

    def _sum_up_oldest(self) -> None:
        """Sum up half of them at once, so that this is not due again at the next mail."""
        held, old = self._held, self._old
        for key in list(islice(held, MOST // 2)):
            end, size = held.pop(key)
            second = ceil(end)
            if not old or old[-1].end < second:
                old.append(_Sum(second))
            old[-1].size += size
            old[-1].mails += 1

    def sum(self, now: float, own: Hashable = None) -> int:
        """Bytes reserved now, without those of the key ``own``: a mail must not be refused for its own reservation."""
        if now >= self._next_end:
            self._end(now)
        mine = self._held.get(own)
        return self._total - mine[1] if mine is not None else self._total

    def mails(self, now: float, own: Hashable = None) -> int:
        """The number of mails on their way now, counted as ``sum`` counts their bytes."""
        if now >= self._next_end:
            self._end(now)
        return len(self._held) - (own in self._held) + sum(one.mails for one in self._old)

    def _end(self, now: float) -> None:
        held, old = self._held, self._old
        while old and old[0].end <= now:
            self._total -= old.popleft().size
        for key in list(takewhile(lambda key: held[key][0] <= now, held)):
            self._total -= held.pop(key)[1]
        first = old[0].end if old else inf
        self._next_end = min(first, next(iter(held.values()))[0] if held else inf)

    def arrived(self, size: int, messages: int) -> None:
        """End reservations when the mailbox grew by ``size`` bytes and so many messages: one for each message.

        Which mail a new message is, usage does not tell. So the oldest one goes that is not larger than what arrived.
        """
        old = self._old
        while old and messages > 0:
            mails = min(messages, old[0].mails)
            part = old[0].take(mails)
            self._total -= part
            size, messages = max(0, size - part), messages - mails
            if not old[0].mails:
                old.popleft()
        for key, (_, held) in list(self._held.items()):
            if messages <= 0:
                return
            if held <= size + size // _SHARE + _MORE:
                del self._held[key]
                self._total -= held
                size -= held
                messages -= 1
