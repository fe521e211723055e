"""The mails to mailbox owners, and the last warning of each owner, in the state database.

Theory of operation. The last warning of an owner (table ``told``) and the mail that is due (table ``warning``) change
in one transaction, so neither a crash nor a second engine on the same state database loses a warning or sends it twice.
A change is written only while the stored last warning is the one that the decision was made from (compare and set): of
two engines that decide at the same time one writes, and the other finds that nothing matched.

A mail is *queued*, then *sending* while an engine or a command has claimed it, then *sent*, *failed* (given up), or
*dropped* (a higher threshold was reached, or there was room again, before it left). A claim expires after
CLAIM_SECONDS: a mail that a killed engine was sending is then claimed again, as ``interrupted``.

Times outlive restarts, so they are seconds since the epoch, and the clock may have been set back since they were
written. A next try that lies farther ahead than any pause puts it counts as due. A mail was sent "just now" if its time
is near in either direction.

Everything here blocks, and raises StateError.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..base.model import LastWarning
from .connection import Sql
from .database import StateDatabase

CLAIM_SECONDS = 180.0  # longer than any delivery may take
_SLACK = 10.0  # seconds that pass between reading the clock and writing to the database
_BELOW = "below"
_COLUMNS = "id, at, address, mark, percent, used, quota, state, source, attempts, next_try, sent_at, method, error"
_ADD = (
    "INSERT INTO warning (at, address, mark, percent, used, quota, state, source, next_try)"
    " VALUES (?, ?, ?, ?, ?, ?, 'queued', ?, ?)"
)
_INSERT_LAST = "INSERT {} INTO told (address, percent, at, was_full, room) VALUES (?, ?, ?, ?, ?)"
_UPDATE_LAST = "UPDATE told SET percent = ?, at = ?, was_full = ?, room = ?"
_SAME_LAST = "WHERE address = ? AND percent = ? AND at = ?"
_WARNED_BEFORE = (  # since the last mail that there is room again
    "SELECT 1 FROM warning WHERE address = ? AND state = 'sent' AND mark <> 'below' AND id >"
    " (SELECT COALESCE(MAX(id), 0) FROM warning WHERE address = ? AND state = 'sent' AND mark = 'below') LIMIT 1"
)
_CLAIMED = "id, at, next_try, source, attempts, address, mark, percent, used, quota"
_CLAIM = "UPDATE warning SET state = 'sending', next_try = ? WHERE id = ? AND state = ? AND next_try = ?"
_SENT_SINCE = "SELECT sent_at FROM warning WHERE sent_at > ?"
_RECENT = "SELECT mark, percent, state, COALESCE(sent_at, at) FROM warning WHERE address = ? ORDER BY id DESC LIMIT 20"
_DROP = "UPDATE warning SET state = 'dropped', error = ? WHERE address = ? AND state = 'queued'"


class DueWarning(NamedTuple):
    """A mail that is due to the owner of a mailbox, with usage and limit of that moment in bytes.

    ``threshold`` is the name of a threshold ("80%", "50M"), "below" (there is room again) or "test". ``percent`` is the
    usage in percent of the limit; None where either is not known or there is no limit.
    """

    address: str
    threshold: str
    percent: float | None
    used: int | None
    limit: int | None


class Change(NamedTuple):
    """A decision on one account: its last warning when that was made, the one from now on, and the mail due, if any.

    None for ``before`` and ``after`` is "no warning that still holds".
    """

    address: str
    before: LastWarning | None
    after: LastWarning | None
    warning: DueWarning | None


class Claimed(NamedTuple):
    """A mail that the caller alone may send until its claim expires; ``at`` is when it became due.

    ``interrupted``: the claim of another engine or command expired, so the mail may already be in the mailbox.
    """

    id: int
    at: float
    warning: DueWarning
    source: str
    attempts: int
    interrupted: bool


class WarningLog:
    """The tables ``warning`` and ``told``. ``now`` is in seconds since the epoch throughout."""

    def __init__(self, database: StateDatabase) -> None:
        self._database = database

    # ---- last warnings

    def last_warnings(self) -> dict[str, LastWarning]:
        """The last warnings that still hold, by address."""
        rows = self._database.rows("SELECT address, percent, at, was_full, room FROM told")
        return {address: _last_warning(rest) for address, *rest in rows}

    def last_warning(self, address: str) -> LastWarning | None:
        """The last warning of one account; None where none holds."""
        rows = self._database.rows("SELECT percent, at, was_full, room FROM told WHERE address = ?", (address,))
        return _last_warning(rows[0]) if rows else None

    def apply(self, changes: Sequence[Change], now: float, source: str = "state") -> list[Change]:
        """Write last warnings and queue the mails that are due; returns the changes that were written.

        The others were decided from a last warning that has changed since, by another engine or command.
        """
        return self._database.write(lambda sql: [c for c in changes if _apply(sql, c, now, source)])

    def forget(self, addresses: Iterable[str]) -> None:
        """Delete the last warnings of accounts that no longer exist."""
        gone = [(address,) for address in addresses]
        self._database.write(lambda sql: sql.many("DELETE FROM told WHERE address = ?", gone))

    # ---- queue

    def add(self, warning: DueWarning, now: float, source: str) -> int:
        """Queue a mail without a change of the last warning; its id."""
        return self._database.write(lambda sql: sql.insert(_ADD, (now, *warning, source, now)))

    def claim(self, now: float, most: int, only: str = "", pauses: Sequence[float] = ()) -> list[Claimed]:
        """Claim mails that may be sent now, the oldest first, at most ``most``; of the account ``only`` if it is given.

        ``pauses`` are the seconds that a mail waits after its first, second … failure.
        """
        return self._database.write(lambda sql: _claim(sql, now, most, only, pauses))

    def done(self, number: int, now: float, method: str) -> None:
        """Note that a mail was sent, by this method."""
        self._settle(number, "state = 'sent', sent_at = ?, method = ?, error = NULL, next_try = NULL", now, method)

    def failed(self, number: int, attempts: int, error: str, next_try: float | None) -> None:
        """Note that a mail could not be sent. It is queued until ``next_try``; None gives it up."""
        state = "failed" if next_try is None else "queued"
        change = "state = ?, attempts = ?, error = ?, next_try = ?"
        self._settle(number, change, state, attempts, error, next_try)

    def dropped(self, number: int, why: str) -> None:
        """Note that a mail is not to be sent any more."""
        self._settle(number, "state = 'dropped', error = ?, next_try = NULL", why)

    def _settle(self, number: int, change: str, *values: object) -> None:
        self._database.write(lambda sql: sql.change(f"UPDATE warning SET {change} WHERE id = ?", (*values, number)))

    # ---- reading

    def newest(self, address: str = "", most: int = 500) -> list[tuple[Any, ...]]:
        """The newest mails, newest first, of one account if it is given: the fields of WarningRow in their order."""
        where, values = ("WHERE address = ?", (address, most)) if address else ("", (most,))
        sql = f"SELECT {_COLUMNS} FROM warning {where} ORDER BY id DESC LIMIT ?"
        return [(*row[:7], _shown(row[7]), *row[8:]) for row in self._database.rows(sql, values)]

    def recent(self, address: str, now: float, seconds: float) -> list[tuple[str, float | None, str, float]]:
        """Threshold, percent, state and time of the mails that wait or were sent within ``seconds``, newest first."""
        rows = self._database.rows(_RECENT, (address,))
        return [
            (threshold, percent, state, at)
            for threshold, percent, state, at in rows
            if state in {"queued", "sending"} or (state == "sent" and abs(now - at) <= seconds)
        ]

    def sent_since(self, since: float) -> list[float]:
        """The times at which mails were sent after ``since``."""
        return [at for (at,) in self._database.rows(_SENT_SINCE, (since,))]

    def counts(self, now: float, seconds: float) -> tuple[int, int]:
        """How many mails wait, and how many of those that became due within ``seconds`` were given up."""
        span = (now - seconds, now + seconds)
        waiting = self._database.rows("SELECT COUNT(*) FROM warning WHERE state IN ('queued', 'sending')")
        failed = self._database.rows("SELECT COUNT(*) FROM warning WHERE state = 'failed' AND at BETWEEN ? AND ?", span)
        return (waiting[0][0], failed[0][0]) if waiting and failed else (0, 0)

    def tidy(self, before: float) -> None:
        """Delete mails that became due before that time, except those that wait."""
        old = "DELETE FROM warning WHERE state IN ('sent', 'failed', 'dropped') AND at < ?"
        self._database.write(lambda sql: sql.change(old, (before,)))


def _last_warning(row: Sequence[Any]) -> LastWarning:
    percent, at, was_full, room = row
    return LastWarning(percent=percent, at=at, was_full=bool(was_full), room_again_due=bool(room))


def _apply(sql: Sql, change: Change, now: float, source: str) -> bool:
    if not _compare_and_set(sql, change):
        return False
    warning = change.warning
    if warning is None:
        return True
    waiting = sql.change(_DROP, (_why_dropped(warning.threshold), warning.address))
    if warning.threshold == _BELOW and waiting and not sql.rows(_WARNED_BEFORE, (warning.address, warning.address)):
        return True  # the warning never left, so its owner does not need to know that there is room again
    sql.insert(_ADD, (now, *warning, source, now))
    return True


def _compare_and_set(sql: Sql, change: Change) -> bool:
    """Write the new last warning; False where the stored one is not ``change.before`` any more.

    Percent and time decide whether it is the same one. An INSERT that finds a row already, and an UPDATE or DELETE that
    finds none, changes no row: the count tells whether this change was made from what is stored.
    """
    address, before, after = change.address, change.before, change.after
    if before is None:
        return after is None or sql.change(_INSERT_LAST.format(sql.ignore), (address, *_values(after))) == 1
    same = (address, before.percent, before.at)
    if after is None:
        return sql.change(f"DELETE FROM told {_SAME_LAST}", same) == 1
    return sql.change(f"{_UPDATE_LAST} {_SAME_LAST}", (*_values(after), *same)) == 1


def _values(last: LastWarning) -> tuple[object, ...]:
    return last.percent, last.at, int(last.was_full), int(last.room_again_due)


def _why_dropped(threshold: str) -> str:
    return "there is room again" if threshold == _BELOW else "a higher threshold was reached before it left"


def _claim(sql: Sql, now: float, most: int, only: str, pauses: Sequence[float]) -> list[Claimed]:
    """Claim by an UPDATE that repeats the state and ``next_try`` that the SELECT found.

    If another engine claims the mail in between, they differ, no row changes, and the mail is left to that engine. For
    one account (``only``) the next try is not waited for; mails that are being sent are left alone then, as it is
    ``next_try`` that tells whether a claim has expired.
    """
    found: list[Claimed] = []
    for state in ("queued",) if only else ("queued", "sending"):
        which, values = ("address = ?", (only,)) if only else (_due(state, pauses), (now, now))
        query = f"SELECT {_CLAIMED} FROM warning WHERE state = ? AND {which} ORDER BY next_try, id LIMIT ?"
        rows = sql.rows(query, (state, *values, most - len(found)))
        for number, at, next_try, source, attempts, *warning in rows:
            if sql.change(_CLAIM, (now + CLAIM_SECONDS, number, state, next_try)) == 1:
                claimed = Claimed(
                    id=number,
                    at=at,
                    warning=DueWarning(*warning),
                    source=source,
                    attempts=attempts,
                    interrupted=state == "sending",
                )
                found.append(claimed)
    return found


def _due(state: str, pauses: Sequence[float]) -> str:
    """The SQL condition of mails whose time has come, or lies farther ahead than is possible.

    That is so after the clock was set back: such mails would wait for hours or years. The bound is twice the time of a
    claim for those that are being sent, as the clocks of engines that share a database may differ by one such time; for
    queued ones it is the pause that follows their number of failures.
    """
    if state == "sending":
        return f"(next_try <= ? OR next_try > ? + {2 * CLAIM_SECONDS})"
    most = (0.0, *(pause + _SLACK for pause in pauses))
    longest = " ".join(f"WHEN {failures} THEN {seconds}" for failures, seconds in enumerate(most))
    return f"(next_try <= ? OR next_try > ? + CASE attempts {longest} END)"


def _shown(state: str) -> str:
    """The state for readers, to whom a mail that is being sent still waits."""
    return "queued" if state == "sending" else state
