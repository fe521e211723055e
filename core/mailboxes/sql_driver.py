"""The driver ``sql``: usage is in a table of Dovecot's quota (dict quota) or in a copy of it (quota_clone).

A round reads the whole table once. An answer to Postfix uses a row that was read at most ``FRESH`` seconds ago, and
else has it looked up (core/mailboxes/asking.py); where the database does not reply in time, the old figure is used, up
to an age of ``USABLE``. A copy may lag behind by ten seconds, which is how often Dovecot writes it.

Ages are by a clock that never goes back; the time of day of a figure is only shown.

For an account without a row, or with a figure below zero, Dovecot would count the mailbox, so its usage is not known.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from time import monotonic
from typing import NamedTuple, Protocol

from ..base.errors import DatabaseError, MailquotaError
from .asking import UsageQueries
from .driver import Driver
from .folders import Folders, sum_folders
from .mailstore import Mailstore
from .measure import NO_FILE, Measurement, ProbeOutcome, Unmeasurable, reason

FRESH = 1.0  # seconds
USABLE = 300.0
LOOK = 5.0  # how old a figure on a console's screen may be
REST = 20  # rests are so many times as long as reading the whole table took
REST_LEAST = 5.0


class UsageRow(Protocol):
    """A row of the table: address, bytes and messages."""

    @property
    def address(self) -> str: ...
    @property
    def used(self) -> int: ...
    @property
    def messages(self) -> int: ...


class UsageTable(Protocol):
    """The table over one connection. Both methods raise DatabaseError; used by one thread at a time."""

    def everybody(self) -> Iterable[UsageRow]:
        """All rows with usable figures."""

    def one(self, address: str) -> UsageRow | None:
        """The row of an address; None without one, or without usable figures."""


class _Figure(NamedTuple):
    used: int
    messages: int
    at: float  # seconds since the epoch
    asked: float  # the same moment by the steady clock


class SqlDriver:
    """Reads usage from the table.

    ``rounds`` and ``rows`` are two connections to the same table: a query for one row, for which Postfix waits, must
    not wait until a round has read all rows. ``steady`` is a clock in seconds that never goes back.
    ``counting`` counts folders, where this process can't.
    """

    name = "sql"

    def __init__(
        self,
        store: Mailstore,
        rounds: UsageTable,
        rows: UsageTable,
        steady: Callable[[], float] = monotonic,
        counting: Driver | None = None,
    ) -> None:
        self._counting = counting
        self._store = store
        self.base = store.base
        self._rounds = rounds
        self._rows = rows
        self._steady = steady
        self._using_rows = threading.Lock()
        self._history = threading.Lock()
        self._figures: dict[str, _Figure] = {}
        self._queries = UsageQueries("sql", self._look_up, 1, (MailquotaError, Unmeasurable), steady)
        self._next_round = float("-inf")
        self._oldest = USABLE
        self._fault: DatabaseError | None = None

    def place(self, address: str) -> str:
        """The same for all: one database is asked."""
        return self.name

    def record(self, address: str) -> str | None:
        """None: usage is no file."""
        return None

    def probe(
        self, address: str, limit: int | None, known: Measurement | None, now: float
    ) -> Measurement | ProbeOutcome:
        """A figure of at most ``FRESH`` seconds; else a query is started, and COUNT_DUE says to wait in ``count``."""
        figure = self._figures.get(address)
        if figure is None or self._age(figure) > FRESH:
            self._queries.put(address, limit, now)
            return ProbeOutcome.COUNT_DUE
        return _known(figure, known)

    def count(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """The newest figure, after a wait for the query that ``probe`` started. Raises Unmeasurable."""
        return self._usable(address, known, self._queries.ask(address, limit, now))

    def measure(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """Look the row up now. The table has no folders, so the share of Trash is not known. Raises Unmeasurable."""
        try:
            return _known(self._look_up(address, limit, now), known)
        except DatabaseError as error:
            raise Unmeasurable(str(error)) from error

    def look(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """The same, but a figure of up to ``LOOK`` seconds is used. Raises Unmeasurable."""
        figure = self._figures.get(address)
        fresh = figure is not None and self._age(figure) <= LOOK
        return _known(figure, known) if figure is not None and fresh else self.measure(address, limit, known, now)

    def survey(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """The figure of the last reading of the whole table, which is read anew where due. Raises Unmeasurable."""
        if self._steady() >= self._next_round:
            self._read_all(now)
        return self._usable(address, known, self._fault)

    def folders(self, address: str) -> Folders:
        """Usage by folder, counted in the Maildir; empty where there is none. Raises Unmeasurable."""
        if self._counting is not None:
            return self._counting.folders(address)
        try:
            return sum_folders(self._store.maildir(address))
        except OSError as error:
            raise Unmeasurable(reason(error)) from error

    def recorded(self, address: str) -> tuple[int, int] | None:
        """None: what Dovecot has on record is what this driver reports."""
        return None

    def recount(self, address: str, limit: int | None) -> str:
        """Not possible: raises MailquotaError."""
        raise MailquotaError("Dovecot keeps the usage in the database, so only doveadm can recount it")

    # ---- parts

    def _age(self, figure: _Figure) -> float:
        return self._steady() - figure.asked

    def _usable(self, address: str, known: Measurement | None, error: Exception | None) -> Measurement:
        figure = self._figures.get(address)
        if figure is None or self._age(figure) > self._oldest:
            raise Unmeasurable(str(error or "the table has no figure for it"))
        return _known(figure, known)

    def _look_up(self, address: str, _limit: int | None, now: float) -> _Figure:
        with self._using_rows:
            asked = self._steady()
            row = self._rows.one(address)
            with self._history:
                if row is None:
                    self._figures.pop(address, None)
                    raise Unmeasurable("the table has no figure for it")
                figure = self._figures[address] = _Figure(row.used, row.messages, at=now, asked=asked)
        return figure

    def _read_all(self, now: float) -> None:
        """Read the whole table, in place of all older figures; rows looked up meanwhile are newer and stay."""
        started = self._steady()
        found: dict[str, _Figure] | None = None
        try:
            found = {
                row.address: _Figure(row.used, row.messages, at=now, asked=started) for row in self._rounds.everybody()
            }
            self._fault = None
        except DatabaseError as error:
            self._fault = error
        if found is not None:
            with self._history:
                newer = {address: figure for address, figure in self._figures.items() if figure.asked >= started}
                self._figures = found | newer
        took = self._steady() - started
        pause = max(REST_LEAST, took * REST)
        self._oldest = max(USABLE, 2 * pause)
        self._next_round = started + pause


def _known(figure: _Figure, known: Measurement | None) -> Measurement:
    """The figure as a Measurement; the object ``known`` if it is equal, so that the ledger sees no change."""
    fresh = Measurement(figure.used, figure.messages, "sql", NO_FILE, measured_at=figure.at)
    return known if known is not None and known == fresh else fresh
