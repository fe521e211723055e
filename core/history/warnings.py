"""What owners of mailboxes were told, and the mails that tell them: queue and memory in one place, kept together.

Theory of operation. What is remembered and the mail that is due change in one transaction, so neither a crash nor a
second engine on the same state database loses a warning or sends one twice: a change holds only where the memory still
is what the verdict was reached from (compare and set). A mail is *queued*, then *sending* while somebody has claimed
it, then *sent*, *failed* (given up), or *dropped* (a higher mark came, or there is room again, before it left). A claim
ends by itself: what a killed engine was sending is found again, as ``interrupted``.

Times here survive restarts, so they are those of the time of day, and a clock may have been set back since they were
written. What is to be tried later than ever makes sense is due now, and nothing was done "just now" that lies farther
ahead than it may lie back.

Everything here blocks, and raises StateError.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from mailquota.core.base.model import LastWarning
from mailquota.core.history.connection import Sql
from mailquota.core.history.database import StateDatabase

CLAIM_SECONDS = 180.0  # longer than any delivery may take
_SLACK = 10.0  # seconds between a look at the clock and what is done by it
_BELOW = "below"
_COLUMNS = "id, at, address, mark, percent, used, quota, state, source, attempts, next_try, sent_at, method, error"
_ADD = (
    "INSERT INTO warning (at, address, mark, percent, used, quota, state, source, next_try)"
    " VALUES (?, ?, ?, ?, ?, ?, 'queued', ?, ?)"
)
_INSERT_TOLD = "INSERT {} INTO told (address, percent, at, was_full, room) VALUES (?, ?, ?, ?, ?)"
_KNOWN = "WHERE address = ? AND percent = ? AND at = ?"
_TOLD_BEFORE = (  # since they were last told that there is room
    "SELECT 1 FROM warning WHERE address = ? AND state = 'sent' AND mark <> 'below' AND id >"
    " (SELECT COALESCE(MAX(id), 0) FROM warning WHERE address = ? AND state = 'sent' AND mark = 'below') LIMIT 1"
)
_CLAIMED = "id, at, next_try, source, attempts, address, mark, percent, used, quota"
_CLAIM = "UPDATE warning SET state = 'sending', next_try = ? WHERE id = ? AND state = ? AND next_try = ?"
_SENT_SINCE = "SELECT sent_at FROM warning WHERE sent_at > ?"
_RECENT = "SELECT mark, percent, state, COALESCE(sent_at, at) FROM warning WHERE address = ? ORDER BY id DESC LIMIT 20"
_DROP = "UPDATE warning SET state = 'dropped', error = ? WHERE address = ? AND state = 'queued'"


class News(NamedTuple):
    """Something to tell: a mark, "below", or "test", with the figures of that moment; bytes."""

    address: str
    mark: str
    percent: float | None
    used: int | None
    limit: int | None


class Change(NamedTuple):
    """A verdict: what was remembered when it was reached, what is from now on, and what is to be told, if anything."""

    address: str
    before: LastWarning | None
    after: LastWarning | None
    news: News | None


class Claimed(NamedTuple):
    """A mail that is ours to send. ``interrupted``: somebody began to, and may have done so."""

    id: int
    at: float
    news: News
    source: str
    attempts: int
    interrupted: bool


class WarningLog:
    """See the theory of operation above."""

    def __init__(self, database: StateDatabase) -> None:
        self._database = database

    # ---- memory

    def told(self) -> dict[str, LastWarning]:
        """What is remembered, by address."""
        rows = self._database.rows("SELECT address, percent, at, was_full, room FROM told")
        return {address: _told(rest) for address, *rest in rows}

    def told_of(self, address: str) -> LastWarning | None:
        """What is remembered of one account."""
        rows = self._database.rows("SELECT percent, at, was_full, room FROM told WHERE address = ?", (address,))
        return _told(rows[0]) if rows else None

    def apply(self, changes: Sequence[Change], now: float, source: str = "state") -> list[Change]:
        """Remember, and queue what is due; those that hold. The others were made by somebody else already."""
        return self._database.write(lambda sql: [c for c in changes if _apply(sql, c, now, source)])

    def forget(self, addresses: Iterable[str]) -> None:
        """These accounts are gone for good."""
        gone = [(address,) for address in addresses]
        self._database.write(lambda sql: sql.many("DELETE FROM told WHERE address = ?", gone))

    # ---- queue

    def add(self, news: News, now: float, source: str) -> int:
        """Queue a mail that was asked for; its number."""
        return self._database.write(lambda sql: sql.insert(_ADD, (now, *news, source, now)))

    def claim(self, now: float, most: int, only: str = "", pauses: Sequence[float] = ()) -> list[Claimed]:
        """Mails that may be sent now, the oldest first, or those to ``only``; nobody else gets them meanwhile.

        ``pauses`` are the seconds that a mail waits after its first, second … failure.
        """
        return self._database.write(lambda sql: _claim(sql, now, most, only, pauses))

    def done(self, number: int, now: float, method: str) -> None:
        """It is sent."""
        self._settle(number, "state = 'sent', sent_at = ?, method = ?, error = NULL, next_try = NULL", now, method)

    def failed(self, number: int, attempts: int, error: str, next_try: float | None) -> None:
        """It could not be sent; again at ``next_try``, or never."""
        state = "failed" if next_try is None else "queued"
        change = "state = ?, attempts = ?, error = ?, next_try = ?"
        self._settle(number, change, state, attempts, error, next_try)

    def dropped(self, number: int, why: str) -> None:
        """It is not to be sent any more."""
        self._settle(number, "state = 'dropped', error = ?, next_try = NULL", why)

    def _settle(self, number: int, change: str, *values: object) -> None:
        self._database.write(lambda sql: sql.change(f"UPDATE warning SET {change} WHERE id = ?", (*values, number)))

    # ---- looking

    def newest(self, address: str = "", most: int = 500) -> list[tuple[Any, ...]]:
        """Newest first, of one account if it is given; the fields of WarningRow in order."""
        where, values = ("WHERE address = ?", (address, most)) if address else ("", (most,))
        sql = f"SELECT {_COLUMNS} FROM warning {where} ORDER BY id DESC LIMIT ?"
        return [(*row[:7], _shown(row[7]), *row[8:]) for row in self._database.rows(sql, values)]

    def recent(self, address: str, now: float, seconds: float) -> list[tuple[str, float | None, str, float]]:
        """Mark, percent, state and time of what is queued, or was sent within so many seconds."""
        rows = self._database.rows(_RECENT, (address,))
        return [
            (mark, percent, state, at)
            for mark, percent, state, at in rows
            if state in {"queued", "sending"} or (state == "sent" and abs(now - at) <= seconds)
        ]

    def sent_since(self, since: float) -> list[float]:
        """When mails left."""
        return [at for (at,) in self._database.rows(_SENT_SINCE, (since,))]

    def counts(self, now: float, seconds: float) -> tuple[int, int]:
        """How many wait, and how many were given up that became due within so many seconds."""
        span = (now - seconds, now + seconds)
        waiting = self._database.rows("SELECT COUNT(*) FROM warning WHERE state IN ('queued', 'sending')")
        failed = self._database.rows("SELECT COUNT(*) FROM warning WHERE state = 'failed' AND at BETWEEN ? AND ?", span)
        return (waiting[0][0], failed[0][0]) if waiting and failed else (0, 0)

    def tidy(self, before: float) -> None:
        """Forget mails that became due before then, but for those that wait."""
        old = "DELETE FROM warning WHERE state IN ('sent', 'failed', 'dropped') AND at < ?"
        self._database.write(lambda sql: sql.change(old, (before,)))


def _told(row: Sequence[Any]) -> LastWarning:
    percent, at, was_full, room = row
    return LastWarning(percent, at, bool(was_full), bool(room))


def _apply(sql: Sql, change: Change, now: float, source: str) -> bool:
    if not _remember(sql, change):
        return False
    news = change.news
    if news is None:
        return True
    waiting = sql.change(_DROP, (_why_dropped(news.mark), news.address))
    if news.mark == _BELOW and waiting and not sql.rows(_TOLD_BEFORE, (news.address, news.address)):
        return True  # the warning never left, so there is nothing to take back
    sql.insert(_ADD, (now, *news, source, now))
    return True


def _remember(sql: Sql, change: Change) -> bool:
    """False where the memory is not as it was when the verdict was reached."""
    address, before, after = change.address, change.before, change.after
    if before is None:
        return after is None or sql.change(_INSERT_TOLD.format(sql.ignore), (address, *_values(after))) == 1
    known = (address, before.percent, before.at)
    if after is None:
        return sql.change(f"DELETE FROM told {_KNOWN}", known) == 1
    return (
        sql.change(f"UPDATE told SET percent = ?, at = ?, was_full = ?, room = ? {_KNOWN}", (*_values(after), *known))
        == 1
    )


def _values(told: LastWarning) -> tuple[object, ...]:
    return told.percent, told.at, int(told.over), int(told.room)


def _why_dropped(mark: str) -> str:
    return "there is room again" if mark == _BELOW else "more was to be told before it left"


def _claim(sql: Sql, now: float, most: int, only: str, pauses: Sequence[float]) -> list[Claimed]:
    found: list[Claimed] = []
    for state in ("queued",) if only else ("queued", "sending"):
        which, values = ("address = ?", (only,)) if only else (_due(state, pauses), (now, now))
        query = f"SELECT {_CLAIMED} FROM warning WHERE state = ? AND {which} ORDER BY next_try, id LIMIT ?"
        rows = sql.rows(query, (state, *values, most - len(found)))
        for number, at, next_try, source, attempts, *news in rows:
            if sql.change(_CLAIM, (now + CLAIM_SECONDS, number, state, next_try)) == 1:
                found.append(Claimed(number, at, News(*news), source, attempts, state == "sending"))
    return found


def _due(state: str, pauses: Sequence[float]) -> str:
    """What is due at a time, and what could not lie that far ahead of it if the clock had not been set back.

    The clocks of engines that share a database may differ by the time that a claim lasts.
    """
    if state == "sending":
        return f"(next_try <= ? OR next_try > ? + {2 * CLAIM_SECONDS})"
    most = (0.0, *(pause + _SLACK for pause in pauses))
    longest = " ".join(f"WHEN {failures} THEN {seconds}" for failures, seconds in enumerate(most))
    return f"(next_try <= ? OR next_try > ? + CASE attempts {longest} END)"


def _shown(state: str) -> str:
    """Who is sending it, and whether somebody is, is nobody's business."""
    return "queued" if state == "sending" else state
