"""Sums over all accounts, kept as they change. Pure."""

from __future__ import annotations

from ..base.model import Level


class Totals:
    """Sums over all accounts, kept as they change. Bytes."""

    def __init__(self) -> None:
        self.levels = dict.fromkeys(Level, 0)
        self.used = 0
        self.granted = 0  # the sum of all limits
        self.free = 0  # what all limits leave
        self.measured = 0  # accounts with a known usage

    def add(self, level: Level, limit: int | None, used: int | None, sign: int) -> None:
        """Add an account (``sign`` 1), or take it out (-1), with the same values as when it was added."""
        self.levels[level] += sign
        self.granted += sign * max(0, limit or 0)
        if used is not None:
            self.used += sign * used
            self.measured += sign
        if limit is not None:
            self.free += sign * max(0, limit - (used or 0))
