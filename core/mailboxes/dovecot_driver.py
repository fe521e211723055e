"""The driver ``doveadm``: Dovecot itself is asked what a mailbox holds, whatever its format and its quota driver.

An answer takes Dovecot some 15 ms, so answers are kept for a while. A decision takes one that is at most ``FRESH``
seconds old as it is. With an older one Dovecot is asked (core/mailboxes/asking.py); where it has not answered in time,
the decision takes what was known, up to an age of ``USABLE``, and the answer comes in for the next one. So a Dovecot
that is slow or down makes answers older, not late; only who never had one, or none for so long, can't be told.

Rounds ask for everybody at once, and then rest for long enough to keep Dovecot's share of a core small. Where it can't
list its users, each account is asked for alone.

A figure has the time of day at which it was asked for, to be shown, and its age by a clock that never goes back: a time
of day that is set back must not make old figures young.

Dovecot tells KiB, rounded up. Where its mailboxes add up to the same KiB, their sum in bytes is the use.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import monotonic

import msgspec

from mailquota.core.base.errors import MailquotaError, NoSuchAccountError
from mailquota.core.mailboxes.asking import Asking
from mailquota.core.mailboxes.folders import DirectorySum, Folders, FolderSum
from mailquota.core.mailboxes.mailstore import Mailstore
from mailquota.core.mailboxes.measure import NO_FILE, Measurement, Need, Unmeasurable, total
from mailquota.core.servers.dovecot.doveadm import DoveadmTool
from mailquota.core.servers.dovecot.mutf7 import encode
from mailquota.core.servers.dovecot.quota_rows import KIB, Quota

log = logging.getLogger(__name__)

FRESH = 5.0  # seconds
USABLE = 300.0
LOOK = 10.0  # how old a figure on somebody's screen may be
ALONE = 600.0  # between two questions for an account in rounds, where Dovecot can't list its users
FIRST_WAIT = 20.0  # of a round for the first answer about everybody
REST = 20  # times as long as asking for everybody took
REST_LEAST = 30.0
_WORKERS = 4


class Figure(msgspec.Struct, frozen=True, gc=False):
    """What Dovecot said, and the bytes behind it where they are known.

    ``at`` is when it was asked, in seconds since the epoch, ``asked`` the same by the steady clock.
    """

    quota: Quota
    at: float
    asked: float
    exact: int | None = None


Take = Callable[[str, Quota, float, float], None]


class Everybody:
    """The one question for all accounts, which goes on in the background."""

    def __init__(self, tool: DoveadmTool, take: Take, steady: Callable[[], float]) -> None:
        self._tool = tool
        self._take = take
        self._steady = steady
        self._lock = threading.Lock()
        self._next = float("-inf")  # when to ask again, by the steady clock
        self._first = threading.Event()
        self._waited = False
        self.possible = True  # whether Dovecot can list its users
        self.refused: dict[str, str] = {}  # those of whom it gave no figure, and why
        self.oldest = USABLE  # how old a figure of a round may be: it may take long to ask for everybody

    def keep_going(self, now: float) -> None:
        """Ask, if it is time. The first answer is waited for, for a while."""
        with self._lock:
            if self._steady() >= self._next:
                self._next = float("inf")
                try:
                    threading.Thread(target=self._ask, args=(now,), name="mailquota-doveadm-all", daemon=True).start()
                except RuntimeError as error:  # no more threads may be started now
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
                log.warning("Dovecot can't tell about all accounts at once, so each is asked about alone: %s", error)
            self.possible = False
        except Exception:  # an outer edge: a fault of ours must not end the asking
            log.exception("Dovecot could not be asked about all accounts")
            self.possible = False
        finally:
            took = self._steady() - started
            pause = took + max(REST_LEAST, took * REST)
            self.oldest = max(USABLE, 2 * pause)
            self._next = started + pause
            self._first.set()


class DoveadmDriver:
    """See the module."""

    name = "doveadm"

    def __init__(self, store: Mailstore, tool: DoveadmTool, steady: Callable[[], float] = monotonic) -> None:
        self._store = store
        self.base = store.base
        self._tool = tool
        self._steady = steady
        self._figures: dict[str, Figure] = {}
        self._history = threading.Lock()
        self._asking = Asking("doveadm", self._quota, _WORKERS, (MailquotaError, Unmeasurable), steady)
        self._everybody = Everybody(tool, self._take, steady)

    # ---- decisions

    def place(self, address: str) -> str:
        """See Driver."""
        return self.name

    def record(self, address: str) -> str | None:
        """See Driver. There is none: where Dovecot keeps its figures is its own affair."""
        return None

    def probe(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement | Need:
        """See Driver."""
        figure = self._figures.get(address)
        if figure is None or self._age(figure) > FRESH or (figure.exact is None and _on_edge(figure.quota, limit)):
            self._asking.put(address, limit, now)
            return Need.COUNT
        return _known(figure, limit, known)

    def count(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """See Driver."""
        error = self._asking.ask(address, limit, now)
        figure = self._figures.get(address)
        if isinstance(error, NoSuchAccountError):
            raise Unmeasurable("Dovecot knows no such user")
        if figure is None or self._age(figure) > USABLE:
            raise Unmeasurable(str(error or "Dovecot has not answered yet"))
        return _known(figure, limit, known)

    # ---- rounds and looks

    def measure(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """See Driver."""
        return self._look(address, limit, known, now, 0.0)

    def look(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """See Driver."""
        return self._look(address, limit, known, now, LOOK)

    def _look(
        self, address: str, limit: int | None, known: Measurement | None, now: float, oldest: float
    ) -> Measurement:
        """A figure with its mailboxes. They are asked for again where they can't be as they were."""
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
            figure = self._keep(address, Figure(figure.quota, figure.at, figure.asked, exact), figure.asked)
        return _known(figure, limit, known, folders)

    def survey(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """See Driver."""
        everybody = self._everybody
        everybody.keep_going(now)
        figure = self._figures.get(address)
        if figure is not None and self._age(figure) <= (everybody.oldest if everybody.possible else ALONE):
            return _known(figure, limit, known)
        if everybody.possible:
            raise Unmeasurable(everybody.refused.get(address, "Dovecot gives no figure for it"))
        try:
            return _known(self._quota(address, limit, now), limit, known)
        except MailquotaError as error:
            raise Unmeasurable(str(error)) from error

    def folders(self, address: str) -> Folders:
        """See Driver."""
        try:
            sizes = self._tool.sizes(address)
        except MailquotaError as error:
            raise Unmeasurable(str(error)) from error
        nothing = DirectorySum(0, 0, 0)
        return tuple(FolderSum(encode(s.name), nothing, DirectorySum(0, s.size, s.messages)) for s in sizes)

    def recorded(self, address: str) -> tuple[int, int] | None:
        """See Driver."""
        return None

    def recount(self, address: str, limit: int | None) -> str:
        """See Driver."""
        self._tool.recalc(address)
        return "doveadm"

    # ---- parts

    def _age(self, figure: Figure) -> float:
        return self._steady() - figure.asked

    def _quota(self, address: str, limit: int | None, now: float) -> Figure:
        """Ask now. Raises MailquotaError and Unmeasurable; a user that is gone has no figure any more."""
        asked = self._steady()
        try:
            quota = self._tool.quota(address)
        except NoSuchAccountError:
            self._figures.pop(address, None)
            raise
        exact = None
        if _on_edge(quota, limit):
            folders = self.folders(address)
            exact = total(self._store, folders)[0] if self._fits(folders, quota) else None
        return self._keep(address, Figure(quota, now, asked, exact), asked)

    def _take(self, address: str, quota: Quota, now: float, since: float) -> None:
        """From the answer about everybody, which was asked for at ``since`` and says nothing of when it looked."""
        before = self._figures.get(address)
        exact = before.exact if before is not None and before.quota == quota else None
        self._keep(address, Figure(quota, now, self._steady(), exact), since)

    def _keep(self, address: str, figure: Figure, since: float) -> Figure:
        """The one that counts from now on: what is there already, where that was asked for after ``since``."""
        with self._history:
            before = self._figures.get(address)
            if before is None or before.asked <= since:
                self._figures[address] = figure
            return self._figures[address]

    def _fits(self, folders: Folders, quota: Quota) -> bool:
        """Whether these are the mailboxes that Dovecot added up; it may count sizes on disk, which are smaller."""
        used, messages = total(self._store, folders)
        return (-(-used // KIB), messages) == (quota.kib, quota.messages)


def _known(figure: Figure, limit: int | None, known: Measurement | None, folders: Folders | None = None) -> Measurement:
    """In the ledger's form; the object ``known`` where it says the same."""
    if folders is None and known is not None:
        folders = known.folders
    used = _bytes(figure, limit)
    fresh = Measurement(used, figure.quota.messages, "doveadm", NO_FILE, None, folders, True, figure.at)
    return known if known is not None and known == fresh else fresh


def _bytes(figure: Figure, limit: int | None) -> int:
    """On the edge the least that it can be: nobody is refused because of a rounding."""
    if figure.exact is not None:
        return figure.exact
    return (figure.quota.kib - 1) * KIB + 1 if _on_edge(figure.quota, limit) else figure.quota.kib * KIB


def _on_edge(quota: Quota, limit: int | None) -> bool:
    """Whether the rounding decides if the mailbox is full."""
    return limit is not None and (quota.kib - 1) * KIB < limit <= quota.kib * KIB
