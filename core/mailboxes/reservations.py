"""Accepted mails that have not arrived yet: what they announced counts against the mailbox, so that not all of many
parallel senders pass into the same free space. Pure; the clock is the caller's.

An entry ends when its delivery shows up, when the same recipient of the same mail is accepted anew, or when its time is
over. Announced and delivered size differ a little: SIZE counts CRLF, the file has LF and a few header lines more.

Where very many are on their way, only the newest are kept one by one. Those before are summed up by the second in which
their time is over, so that they end in time however many follow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from itertools import islice, takewhile
from math import ceil, inf

MOST = 64  # of one mailbox that are kept one by one
_MORE = 4096  # bytes that headers may add or line ends take from a small mail
_SHARE = 16  # and a sixteenth of a large one


class _Sum:
    """Mails whose time is over at ``end``, or up to a second before."""

    __slots__ = ("end", "mails", "size")

    def __init__(self, end: float) -> None:
        self.end = end
        self.size = 0
        self.mails = 0

    def take(self, mails: int) -> int:
        """Take so many out, each of the middle size; their bytes."""
        part = self.size * mails // self.mails
        self.size -= part
        self.mails -= mails
        return part


class Reservations:
    """Of one mailbox. Sizes in bytes; times in seconds, on one clock."""

    __slots__ = ("_held", "_next_end", "_old", "_total")

    def __init__(self) -> None:
        self._held: dict[Hashable, tuple[float, int]] = {}  # in the order of their ends
        self._old: deque[_Sum] = deque()  # those before
        self._total = 0
        self._next_end = inf  # before it nothing ends by its time

    def add(self, key: Hashable, size: int, until: float) -> None:
        """Hold ``size`` bytes for the mail and recipient of ``key``, once."""
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
        """Half of them at once, so that the next ones find room."""
        held, old = self._held, self._old
        for key in list(islice(held, MOST // 2)):
            end, size = held.pop(key)
            second = ceil(end)
            if not old or old[-1].end < second:
                old.append(_Sum(second))
            old[-1].size += size
            old[-1].mails += 1

    def sum(self, now: float, own: Hashable = None) -> int:
        """Bytes held now, but for those of ``own``."""
        if now >= self._next_end:
            self._end(now)
        mine = self._held.get(own)
        return self._total - mine[1] if mine is not None else self._total

    def _end(self, now: float) -> None:
        held, old = self._held, self._old
        while old and old[0].end <= now:
            self._total -= old.popleft().size
        for key in list(takewhile(lambda key: held[key][0] <= now, held)):
            self._total -= held.pop(key)[1]
        first = old[0].end if old else inf
        self._next_end = min(first, next(iter(held.values()))[0] if held else inf)

    def arrived(self, size: int, messages: int) -> None:
        """The mailbox grew: end what has arrived, the oldest that fits first, one a message."""
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
