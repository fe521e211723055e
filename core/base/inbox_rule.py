"""What Dovecot's settings for INBOX do to the limits of incoming mail. Pure."""

from __future__ import annotations

import msgspec


class InboxRule(msgspec.Struct, frozen=True, gc=False):
    """A quota rule of 2.3 whose mask meets INBOX, or settings of 2.4 in the block of that mailbox.

    ``ignore``: mail in INBOX is not counted and never refused. Else ``added`` bytes and messages are put on top, and
    ``percent`` of each limit (2.3); or the limit of bytes is ``share`` percent of what it was (2.4). A limit that is
    not above 0 then is none.
    """

    ignore: bool = False
    added: int = 0
    percent: int = 0
    added_messages: int = 0
    percent_messages: int = 0
    share: int | None = None

    def limits(self, limit: int | None, messages: int | None) -> tuple[int | None, int | None]:
        """The limits for incoming mail, of bytes and messages, where these are the user's; None is no limit."""
        if self.ignore:
            return None, None
        if limit is None and messages is None:
            return None, None  # no rule limits an unlimited user
        if self.share is not None:
            return (None if limit is None else int(limit / 100.0 * self.share) + self.added), messages
        size, count = limit or 0, messages or 0
        more = _part(size, self.percent) if self.percent else self.added
        more_messages = _part(count, self.percent_messages) if self.percent_messages else self.added_messages
        return _above_zero(size + more), _above_zero(count + more_messages)


def _part(limit: int, percent: int) -> int:
    """As C divides: what is left over is cut off on both sides of 0."""
    part = limit * abs(percent) // 100
    return part if percent > 0 else -part


def _above_zero(limit: int) -> int | None:
    return limit if limit > 0 else None
