"""Reads limits from rows of accounts: from their own columns, and where Dovecot gives others, as Dovecot finds them.

Where the limit of a row is NULL, Dovecot's own settings apply (core/servers/dovecot/given_limits.py), and these may
also limit the messages of everybody. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..base.model import Account
from ..servers.dovecot.given_limits import NOTHING_GIVEN, GivenLimits, UserLimits
from .rows import NO_NUMBER, Row, address_of, enabled_of, fault_of, limit_of, text_of

MESSAGES = "messages"  # the column of users_query with the limit of messages
_MOST_KEPT = 1000  # results for different values of the columns


class Shape(NamedTuple):
    """At which places of a row, besides address and limit, are the flag ``enabled`` and the limit of messages."""

    enabled: int | None = None
    messages: int | None = None


def shape_of(names: Sequence[str]) -> Shape:
    """The shape of the rows of users_query by the names of its columns; the first other column is ``enabled``."""
    more = [name.lower() for name in names][2:]
    messages = more.index(MESSAGES) if MESSAGES in more else None
    others = [place for place in range(len(more)) if place != messages]
    return Shape(others[0] + 2 if others else None, None if messages is None else messages + 2)


class RowReader:
    """Reads accounts from rows. ``places`` are those of the columns that Dovecot's limits depend on, by name.

    ``limit`` is the name of the column of limits, "" for schema custom.
    """

    def __init__(
        self, shape: Shape, given: GivenLimits = NOTHING_GIVEN, limit: str = "", places: dict[str, int] | None = None
    ) -> None:
        self.shape = shape
        self._given = given
        self._limit = limit
        self._needs_value = given.needs_value(limit)
        self._places = tuple((places or {}).items())
        self._found: dict[tuple[object, ...], UserLimits] = {}

    def account(self, row: Row) -> Account | None:
        """The account of a row; None for an invalid address."""
        text = text_of(row[0])
        address = address_of(text)
        if address is None or text is None:
            return None
        given = self._dovecots(row)
        limit, messages, fault = self.limits(row, given)
        place = self.shape.enabled
        enabled = True if place is None or place >= len(row) else enabled_of(row[place])
        spelled = "" if text == address else text.strip()
        return Account(address, limit, enabled, fault, messages, spelled if spelled != address else "", given.inbox)

    def limits(self, row: Row, given: UserLimits | None = None) -> tuple[int | None, int | None, str]:
        """The limits of a row in bytes and messages, below 0 where they are not usable, and why they are not.

        ``given``: what Dovecot has for it, where that was found already.
        """
        limit = limit_of(row[1])
        fault = fault_of(row[1], limit)
        place = self.shape.messages
        if place is not None and place < len(row):
            messages = limit_of(row[place])
            return limit, messages, fault or fault_of(row[place], messages, "limit of messages")
        if given is None:
            given = self._dovecots(row)
        if row[1] is None:
            limit = given.size
        if given.fault and not fault:
            return limit, NO_NUMBER, given.fault
        return limit, given.messages, fault

    def _dovecots(self, row: Row) -> UserLimits:
        """The limits that Dovecot has where the row has its own limit of bytes, or none."""
        own = None if row[1] is None else _text(row[1]) if self._needs_value else "1"
        key = (own, *(row[place] for _, place in self._places)) if self._places else (own,)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= _MOST_KEPT:
                self._found.clear()
            values = {name: _text(row[place]) for name, place in self._places}
            found = self._found[key] = self._given.of({**values, self._limit: own})
        return found


def _text(value: object) -> str | None:
    """A value as Dovecot has it in a text; one that is no text is no number either."""
    if value is None:
        return None
    return str(value) if isinstance(value, int) else text_of(value) or "?"
