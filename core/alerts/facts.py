"""What a warning mail says about one account. Pure; sizes in bytes."""

from __future__ import annotations

import msgspec

from ..base.model import Forecast, Trend, percent_of


class FolderShare(msgspec.Struct, frozen=True):
    """Messages and bytes in one folder; ``name`` as mail programs show it."""

    name: str
    messages: int
    bytes: int
    is_trash: bool = False


class MailFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One account at one moment. None is "not known"; a ``limit_bytes`` of None is "unlimited" where ``limit_known``.

    ``threshold`` is what the mail is about: ``80%`` (reached), ``50M`` (less than that left), ``below`` (there is room
    again), or empty (the present state). ``folders`` come biggest first, Trash among them.
    """

    address: str
    threshold: str
    used_bytes: int | None = None
    limit_bytes: int | None = None
    messages: int | None = None
    trash_bytes: int | None = None
    trash_messages: int | None = None
    folders: tuple[FolderShare, ...] = ()
    growth: Trend | None = None
    forecast: Forecast | None = None
    limit_known: bool = True
    test: bool = False  # sent to another address, to see what such a mail looks like

    @property
    def percent(self) -> float | None:
        """Usage in percent of the limit."""
        return percent_of(self.used_bytes, self.limit_bytes)

    @property
    def free_bytes(self) -> int | None:
        """Bytes that still fit, never below 0; None also where there is no limit."""
        if self.used_bytes is None or self.limit_bytes is None:
            return None
        return max(0, self.limit_bytes - self.used_bytes)

    @property
    def full(self) -> bool:
        """At or above the limit, where new mail is refused."""
        return self.free_bytes == 0
