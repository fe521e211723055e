"""Accepted mails that have not arrived yet: what they announced counts against the mailbox, so that not all of many
parallel senders pass into the same free space. Pure; the clock is the caller's.

An entry ends when its delivery shows up, when the same recipient of the same mail is accepted anew, or when its time is
over. Announced and delivered size differ a little: SIZE counts CRLF, the file has LF and a few header lines more.
"""

from __future__ import annotations

from collections.abc import Hashable
from itertools import islice, takewhile

MOST = 64  # of one mailbox; of more the oldest are taken together
_MORE = 4096  # bytes that headers may add or line ends take from a small mail
_SHARE = 16  # and a sixteenth of a large one


class Reservations:
    """Of one mailbox. Sizes in bytes; times in seconds, on one clock."""

    __slots__ = ("_held", "_next_end", "_total")

    def __init__(self) -> None:
        self._held: dict[Hashable, tuple[float, int]] = {}  # in the order of their ends
        self._total = 0
        self._next_end = 0.0  # before it nothing ends by its time

    def add(self, key: Hashable, size: int, until: float) -> None:
        """Hold ``size`` bytes for the mail and recipient of ``key``, once."""
        before = self._held.pop(key, None)
        if before is not None:
            self._total -= before[1]
        if len(self._held) >= MOST:
            self._merge_oldest()
        self._held[key] = (until, size)
        self._total += size

    def _merge_oldest(self) -> None:
        first, second = islice(self._held, 2)
        _, size = self._held.pop(first)
        until, more = self._held[second]
        self._held[second] = (until, size + more)

    def sum(self, now: float, own: Hashable = None) -> int:
        """Bytes held now, but for those of ``own``."""
        if now >= self._next_end:
            self._end(now)
        mine = self._held.get(own)
        return self._total - mine[1] if mine is not None else self._total

    def _end(self, now: float) -> None:
        ended = list(takewhile(lambda key: self._held[key][0] <= now, self._held))
        for key in ended:
            self._total -= self._held.pop(key)[1]
        self._next_end = next(iter(self._held.values()))[0] if self._held else 0.0

    def arrived(self, size: int, messages: int) -> None:
        """The mailbox grew: end what has arrived, the oldest that fits first, one a message."""
        for key, (_, held) in list(self._held.items()):
            if messages <= 0:
                return
            if held <= size + size // _SHARE + _MORE:
                del self._held[key]
                self._total -= held
                size -= held
                messages -= 1
