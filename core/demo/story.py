"""What operators did in the demo world before it was opened, and whom an engine warned: journal, warnings, raises.

Theory of operation. All of it fits to the accounts and mailboxes as they are now, so that an engine that starts finds
nothing to do: whoever is above a threshold was warned some time ago, and a raise that still runs ends in some days.
So what happens while one looks on stands at the top of the lists.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from ..base.growth import DAY
from ..base.model import OVER_PERCENT, LastWarning, percent_of
from ..history.connection import Sql
from ..history.database import StateDatabase
from ..history.journal import Journal, JournalEntry, limit_text
from ..history.warnings import Change, DueWarning, WarningLog
from ..settings.declared import Warnings
from .people import GIB, MIB, Person, Record

_HOUR, _MINUTE = DAY / 24, DAY / 1440
_ADMIN, _HELP_DESK = "admin", "eva"
_RAISE = "INSERT INTO temporary_limits (entry, address, before_bytes, limit_bytes, until) VALUES (?, ?, ?, ?, ?)"
_THRESHOLDS = [mark for mark in Warnings().thresholds if isinstance(mark, int)]
_WATCHED = {"info@example.net", "newsletter@example.org"}  # they are warned while one looks on

# days ago, operator, address, limit before in bytes, reason
_RAISED = (
    (41.2, _ADMIN, "john@example.org", 4 * GIB, "asked for more room"),
    (19.0, _HELP_DESK, "sales@example.com", 15 * GIB, "ticket 4630"),
    (6.1, _HELP_DESK, "invoices@shop.example", 2 * GIB, "ticket 4711: the year's invoices"),
)
_MISTYPED, _WRONG = "anna@example.org", 500 * MIB
_FOR_DAYS, _LESS = "jobs@example.com", 300 * MIB
_MENDED, _EMPTIED = "peter.lang@example.org", 390 * MIB

Moment = tuple[float, Callable[[float], object]]  # seconds since the epoch, and what is written then


def write_story(
    state: StateDatabase, people: Sequence[Person], now: float, noticed: Iterable[tuple[float, JournalEntry]]
) -> None:
    """Write it for these people; nothing about others. ``now`` is in seconds since the epoch.

    ``noticed`` are further entries of the journal with their times. Raises StateError.
    """
    there = {person.address: person for person in people}
    journal = Journal(state)
    moments: list[Moment] = [(at, functools.partial(_add, journal, entry)) for at, entry in noticed]
    moments += [*_edits(journal, there, now), *_warnings(journal, WarningLog(state), people, now)]
    for at, write in sorted(moments, key=lambda moment: moment[0]):  # the order of entries is that of their numbers
        write(at)


def _edits(journal: Journal, there: dict[str, Person], now: float) -> Iterator[Moment]:
    def entered(entry: JournalEntry) -> Callable[[float], object]:
        return functools.partial(_add, journal, entry)

    for days, operator, address, before, reason in _RAISED:
        if address in there:
            yield now - days * DAY, entered(_edit(operator, address, before, there[address].limit, reason))
    if _MISTYPED in there:
        yield now - 26 * _HOUR, lambda at: _mistype(journal, there[_MISTYPED], at)
    if _FOR_DAYS in there:
        yield now - 20 * _HOUR, lambda at: _raise_for_days(journal, there[_FOR_DAYS], at)
    if _MENDED in there:
        emptied = JournalEntry(operator=_HELP_DESK, kind="trash", address=_MENDED, new=f"-{_EMPTIED}")
        yield now - 3 * _HOUR, entered(msgspec.structs.replace(emptied, reason="ticket 4725"))


def _add(journal: Journal, entry: JournalEntry, at: float) -> None:
    journal.add([entry], at=at)


def _edit(operator: str, address: str, old: int | None, new: int | None, reason: str) -> JournalEntry:
    entry = JournalEntry(operator=operator, kind="limit", address=address, reason=reason)
    return msgspec.structs.replace(entry, old=limit_text(old), new=limit_text(new))


def _mistype(journal: Journal, person: Person, at: float) -> None:
    """A limit with the wrong unit, which is taken back some minutes later."""
    limit = person.limit
    (number,) = journal.add([_edit(_HELP_DESK, person.address, limit, _WRONG, "ticket 4718")], at=at)
    back = _edit(_HELP_DESK, person.address, _WRONG, limit, "")
    journal.add([msgspec.structs.replace(back, undoes=number)], at=at + 4 * _MINUTE)


def _raise_for_days(journal: Journal, person: Person, at: float) -> None:
    """A raise that is still on, and ends by itself."""
    until = at + 5 * DAY
    edit = _edit(_ADMIN, person.address, _LESS, person.limit, "applications for the new post")

    def note(sql: Sql, numbers: list[int]) -> None:
        sql.insert(_RAISE, (*numbers, person.address, _LESS, person.limit or 0, until))

    journal.add([msgspec.structs.replace(edit, until=until)], note, at=at)


def _warnings(journal: Journal, sent: WarningLog, people: Sequence[Person], now: float) -> Iterator[Moment]:
    """Whoever is above a threshold was warned in the last days, but for a few whose warnings can be watched."""
    rng = random.Random(len(people))
    for person in people:
        percent = percent_of(person.used, person.limit)
        passed = [mark for mark in _THRESHOLDS if percent is not None and percent >= mark]
        if passed and person.record is not Record.BROKEN and person.address not in _WATCHED:
            warning = DueWarning(person.address, f"{max(passed)}%", percent, person.used, person.limit)
            yield now - rng.uniform(0.2, 4.5) * DAY, functools.partial(_warn, journal, sent, warning)


def _warn(journal: Journal, sent: WarningLog, warning: DueWarning, at: float) -> None:
    percent = warning.percent or 0.0
    last = LastWarning(percent=float(warning.threshold.rstrip("%")), at=at, was_full=percent >= OVER_PERCENT)
    sent.apply([Change(warning.address, None, last, warning)], at)
    for claimed in sent.claim(at, 1, warning.address):
        sent.done(claimed.id, at, "maildir")
    entry = JournalEntry(operator="mailquota", kind="warning", address=warning.address, new=warning.threshold)
    journal.add([msgspec.structs.replace(entry, reason="maildir")], at=at)
