"""What is in one folder of a mailbox, as the engine tells it."""

from __future__ import annotations

import msgspec


class MessageSize(msgspec.Struct, frozen=True):
    """A message: its bytes, and when it was received; None where that date can't be right."""

    bytes: int
    at: float | None


class YearSum(msgspec.Struct, frozen=True):
    """The messages that were received in a year of the engine's local time."""

    year: int
    messages: int
    bytes: int


class RecentSum(msgspec.Struct, frozen=True):
    """The messages that were received within so many days."""

    days: int
    messages: int
    bytes: int


class FolderContents(msgspec.Struct, frozen=True):
    """What is in one folder. ``oldest`` and ``newest``: when the messages were received; ``largest`` comes first.

    ``complete``: False where the time did not suffice for all messages. ``method``: files or doveadm.
    """

    address: str
    folder: str
    messages: int
    bytes: int
    oldest: float | None
    newest: float | None
    largest: list[MessageSize]
    years: list[YearSum]
    recent: list[RecentSum]
    complete: bool = True
    method: str = "files"
    trash: bool = False
