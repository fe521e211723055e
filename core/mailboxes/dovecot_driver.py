"""The driver ``doveadm``: Dovecot itself tells the usage of a mailbox, whatever its format and its quota driver.

One answer takes Dovecot some 15 ms, so figures are kept for a while. An answer to Postfix uses a figure that is at most
``FRESH`` seconds old. With an older one Dovecot is asked (core/mailboxes/asking.py); where it does not reply in time,
the old figure is used, up to an age of ``USABLE``, and the reply serves the next request. So a Dovecot that is slow or
down makes figures older, but answers no later. Only a mailbox without a usable figure gets the answer for trouble.

Rounds ask for all accounts by one query, and then rest for long enough to keep Dovecot's share of a core small. Where
Dovecot can't list its users, each account is asked for alone.

A figure has the time of day at which it was asked for, to be shown, and its age by a clock that never goes back: a time
of day that is set back must not make old figures young.

Dovecot tells KiB, rounded up. Where its mailboxes add up to the same KiB, their sum in bytes is the usage.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import monotonic

import msgspec

from ..base.errors import MailquotaError, NoSuchAccountError
from ..servers.dovecot.doveadm import DoveadmFigures
from ..servers.dovecot.mutf7 import encode
from ..servers.dovecot.quota_rows import KIB, Quota
from .asking import UsageQueries
from .folders import DirectorySum, Folders, FolderSum
from .mailstore import Mailstore
from .measure import NO_FILE, Measurement, ProbeOutcome, Unmeasurable, total

log = logging.getLogger(__name__)

FRESH = 5.0  # seconds
USABLE = 300.0
LOOK = 10.0  # how old a figure on a console's screen may be
ALONE = 600.0  # between two queries for an account in rounds, where Dovecot can't list its users
FIRST_WAIT = 20.0  # that the first round waits for the reply about all accounts
REST = 20  # rests are so many times as long as the query for all accounts took
REST_LEAST = 30.0
_WORKERS = 4


class Figure(msgspec.Struct, frozen=True, gc=False):
    """What Dovecot replied, in KiB, and the exact bytes where they are known.

    ``at`` is when it was asked, in seconds since the epoch; ``asked`` is the same moment by the steady clock.
    """

    quota: Quota
    at: float
    asked: float
    exact: int | None = None


Take = Callable[[str, Quota, float, float], None]


class AllAccountsQuery:
    """The query for all accounts at once, in a thread of its own.

    ``take`` is called for each account with its address, its figure, and when it came and was asked for.
    """

    def __init__(self, tool: DoveadmFigures, take: Take, steady: Callable[[], float]) -> None:
        self._tool = tool
        self._take = take
        self._steady = steady
        self._lock = threading.Lock()
        self._next = float("-inf")  # when to ask again, by the steady clock; infinite while a query goes on
        self._first = threading.Event()
        self._waited = False
        self.possible = True  # whether Dovecot can list its users
        self.refused: dict[str, str] = {}  # addresses for which it gave no figure, and why
        self.oldest = USABLE  # seconds that a figure of a round may be old; more where the query itself takes long

    def keep_going(self, now: float) -> None:
        """Start the query if it is due. The first call of all waits for its result, ``FIRST_WAIT`` at most."""
        with self._lock:
            if self._steady() >= self._next:
                self._next = float("inf")
                try:
                    threading.Thread(target=self._ask, args=(now,), name="mailquota-doveadm-all", daemon=True).start()
                except RuntimeError as error:  # the system lets no thread start now
                    log.error("Dovecot can't be asked about all accounts: %s", error)
                    self._next = self._steady() + REST_LEAST
                    return
        if not self._waited:
            self._first.wait(FIRST_WAIT)
            self._waited = True

    def _ask(self, now: float) -> None:
        started, found = self._steady(), False
        refused: dict[str, str] = {}
        try:
            for name, quota in self._tool.quota_all():
                if isinstance(quota, MailquotaError):
                    refused[name.lower()] = str(quota)
                    continue
                found = True
                if quota is not None:
                    self._take(name.lower(), quota, now + self._steady() - started, started)
            self.possible, self.refused = found, refused
        except MailquotaError as error:
            if self.possible:
                log.warning("Dovecot can't tell the usage of all accounts at once, so it is asked for each: %s", error)
            self.possible = False
        except Exception:  # an outer edge: a fault of this program must not end the rounds
            log.exception("Dovecot could not be asked about all accounts")
            self.possible = False
        finally:
            took = self._steady() - started
            pause = took + max(REST_LEAST, took * REST)
            self.oldest = max(USABLE, 2 * pause)
            self._next = started + pause
            self._first.set()


class DoveadmDriver:
    """Measures mailboxes by asking Dovecot through ``tool``. ``steady`` is a clock in seconds that never goes back."""

    name = "doveadm"

    def __init__(self, store: Mailstore, tool: DoveadmFigures, steady: Callable[[], float] = monotonic) -> None:
        self._store = store
        self.base = store.base
        self._tool = tool
        self._steady = steady
        self._figures: dict[str, Figure] = {}
        self._history = threading.Lock()
        self._queries = UsageQueries("doveadm", self._quota, _WORKERS, (MailquotaError, Unmeasurable), steady)
        self._round_queries = UsageQueries("doveadm rounds", self._quota, 1, (MailquotaError, Unmeasurable), steady)
        self._all_accounts = AllAccountsQuery(tool, self._take, steady)

    # ---- for answers to Postfix

    def place(self, address: str) -> str:
        """The same for all: one Dovecot is asked."""
        return self.name

    def record(self, address: str) -> str | None:
        """None: where Dovecot keeps its usage is not known here."""
        return None

    def probe(
        self, address: str, limit: int | None, known: Measurement | None, now: float
    ) -> Measurement | ProbeOutcome:
        """A figure of at most ``FRESH`` seconds; else a query is started, and COUNT_DUE says to wait in ``count``."""
        figure = self._figures.get(address)
        if figure is None or self._age(figure) > FRESH or (figure.exact is None and _on_edge(figure.quota, limit)):
            self._queries.put(address, limit, now)
            return ProbeOutcome.COUNT_DUE
        return _known(figure, limit, known)

    def count(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """The newest figure, after a wait for the query that ``probe`` started. Raises Unmeasurable."""
        error = self._queries.ask(address, limit, now)
        figure = self._figures.get(address)
        if isinstance(error, NoSuchAccountError):
            raise Unmeasurable("Dovecot knows no such user")
        if figure is None or self._age(figure) > USABLE:
            raise Unmeasurable(str(error or "Dovecot has not answered yet"))
        return _known(figure, limit, known)

    # ---- for rounds, screens and orders

    def measure(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """Ask Dovecot now, with all mailboxes of the account. Raises Unmeasurable."""
        return self._look(address, limit, known, now, 0.0)

    def look(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """The same, but a figure of up to ``LOOK`` seconds is used. Raises Unmeasurable."""
        return self._look(address, limit, known, now, LOOK)

    def _look(
        self, address: str, limit: int | None, known: Measurement | None, now: float, oldest: float
    ) -> Measurement:
        """A figure with its mailboxes, which are asked for again where their sum does not fit the figure."""
        figure = self._figures.get(address)
        folders = known.folders if known is not None and oldest else None
        try:
            if figure is None or self._age(figure) >= oldest:
                figure = self._quota(address, limit, now)
            if folders is None or not self._fits(folders, figure.quota):
                folders = self.folders(address)
        except MailquotaError as error:
            raise Unmeasurable(str(error)) from error
        if self._fits(folders, figure.quota):
            exact = total(self._store, folders)[0]
            figure = self._keep(address, msgspec.structs.replace(figure, exact=exact), figure.asked)
        return _known(figure, limit, known, folders)

    def survey(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """The figure from the query for all accounts, or from one of its own. Raises Unmeasurable."""
        query = self._all_accounts
        query.keep_going(now)
        figure = self._figures.get(address)
        if figure is not None and self._age(figure) <= (query.oldest if query.possible else ALONE):
            return _known(figure, limit, known)
        if query.possible:
            raise Unmeasurable(query.refused.get(address, "Dovecot gives no figure for it"))
        try:
            return _known(self._quota(address, limit, now), limit, known)
        except MailquotaError as error:
            raise Unmeasurable(str(error)) from error

    def survey_alone(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """As ``survey``, for a few accounts among many that are not by Dovecot. Never waits. Raises Unmeasurable.

        The last figure is used, and one older than ``REST_LEAST`` is asked for anew in the background.
        """
        figure = self._figures.get(address)
        if figure is None or self._age(figure) > REST_LEAST:
            self._round_queries.put(address, limit, now)
        if figure is None or self._age(figure) > ALONE:
            raise Unmeasurable("Dovecot has not answered about it")
        return _known(figure, limit, known)

    def keep(self, address: str, figure: Figure) -> None:
        """Take a figure that was asked for elsewhere, by the steady clock of this driver."""
        self._keep(address, figure, figure.asked)

    def measurement(self, address: str, limit: int | None, known: Measurement | None) -> Measurement | None:
        """The figure at hand as a measurement; None where there is none."""
        figure = self._figures.get(address)
        return None if figure is None else _known(figure, limit, known)

    def folders(self, address: str) -> Folders:
        """Usage by mailbox, as Dovecot tells it now. Raises Unmeasurable."""
        try:
            sizes = self._tool.sizes(self._store.names.in_path(address))
        except MailquotaError as error:
            raise Unmeasurable(str(error)) from error
        nothing = DirectorySum(0, 0, 0)
        return tuple(FolderSum(encode(s.name), nothing, DirectorySum(0, s.size, s.messages)) for s in sizes)

    def recorded(self, address: str) -> tuple[int, int] | None:
        """None: what Dovecot has on record is what this driver reports."""
        return None

    def recount(self, address: str, limit: int | None) -> str:
        """``doveadm quota recalc``. Returns ``doveadm``. Raises MailquotaError."""
        self._tool.recalc(self._store.names.in_path(address))
        return "doveadm"

    # ---- parts

    def _age(self, figure: Figure) -> float:
        return self._steady() - figure.asked

    def _quota(self, address: str, limit: int | None, now: float) -> Figure:
        """Ask Dovecot and keep its reply; the figure of a user whom it does not know is dropped.

        Raises MailquotaError and Unmeasurable.
        """
        asked = self._steady()
        try:
            quota = self._tool.quota(self._store.names.in_path(address))
        except NoSuchAccountError:
            self._figures.pop(address, None)
            raise
        exact = None
        if _on_edge(quota, limit):
            folders = self.folders(address)
            exact = total(self._store, folders)[0] if self._fits(folders, quota) else None
        return self._keep(address, Figure(quota, at=now, asked=asked, exact=exact), asked)

    def _take(self, address: str, quota: Quota, now: float, since: float) -> None:
        """Keep a figure from the query for all accounts, which began at ``since``.

        When Dovecot measured it is not known, so a figure that was asked for after ``since`` is the newer one.
        """
        before = self._figures.get(address)
        exact = before.exact if before is not None and before.quota == quota else None
        self._keep(address, Figure(quota, at=now, asked=self._steady(), exact=exact), since)

    def _keep(self, address: str, figure: Figure, since: float) -> Figure:
        """Keep ``figure``, unless the one at hand was asked for after ``since``; the one that is kept."""
        with self._history:
            before = self._figures.get(address)
            if before is None or before.asked <= since:
                self._figures[address] = figure
            return self._figures[address]

    def _fits(self, folders: Folders, quota: Quota) -> bool:
        """Whether these mailboxes add up to Dovecot's figure; they do not where its driver counts sizes on disk."""
        used, messages = total(self._store, folders)
        return (-(-used // KIB), messages) == (quota.kib, quota.messages)


def _known(figure: Figure, limit: int | None, known: Measurement | None, folders: Folders | None = None) -> Measurement:
    """The figure as a Measurement; the object ``known`` if it is equal, so that the ledger sees no change."""
    if folders is None and known is not None:
        folders = known.folders
    used = _bytes(figure, limit)
    fresh = Measurement(used, figure.quota.messages, "doveadm", NO_FILE, folders=folders, measured_at=figure.at)
    return known if known is not None and known == fresh else fresh


def _bytes(figure: Figure, limit: int | None) -> int:
    """The usage in bytes; where the rounding decides, the least that it can be, so that it refuses no mail."""
    if figure.exact is not None:
        return figure.exact
    return (figure.quota.kib - 1) * KIB + 1 if _on_edge(figure.quota, limit) else figure.quota.kib * KIB


def _on_edge(quota: Quota, limit: int | None) -> bool:
    """Whether the rounding decides if the mailbox is full."""
    return limit is not None and (quota.kib - 1) * KIB < limit <= quota.kib * KIB
