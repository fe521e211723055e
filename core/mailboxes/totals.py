"""Sums over all accounts, for the head of the console and for monitoring."""

from __future__ import annotations

from typing import Protocol

from ..base.model import Level


class _Box(Protocol):
    """What of an entry of the ledger is added up."""

    @property
    def used(self) -> int | None: ...
    @property
    def level(self) -> Level: ...

    limit: int | None


class Totals:
    """Sums over all accounts, kept as they change. Bytes."""

    def __init__(self) -> None:
        self.levels = dict.fromkeys(Level, 0)
        self.used = 0
        self.granted = 0  # the sum of all limits
        self.free = 0  # what all limits leave
        self.measured = 0  # accounts with a known usage

    def add(self, entry: _Box, sign: int) -> None:
        """Add an entry (``sign`` 1), or take it out (-1), which has to be done before it changes or goes."""
        used = entry.used
        self.levels[entry.level] += sign
        self.granted += sign * max(0, entry.limit or 0)
        if used is not None:
            self.used += sign * used
            self.measured += sign
        if entry.limit is not None:
            self.free += sign * max(0, entry.limit - (used or 0))
