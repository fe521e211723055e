"""``mailquota check``: one line for a monitoring system, by the guidelines for Nagios plugins.

Exit codes are those of plugins and of no other command: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. Whatever keeps us from
knowing is UNKNOWN, a mistake on the command line included. The line goes to standard output, figures for graphs after
a "|", so no text from outside may hold one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import NamedTuple

import click

from mailquota.core.base.errors import MailquotaError, UnreachableError, UsageError
from mailquota.core.base.filters import parse_filter
from mailquota.core.base.model import AccountRow, Level
from mailquota.core.base.text import shown, visible
from mailquota.core.base.units import format_age
from mailquota.core.commands.columns import worst_first
from mailquota.core.commands.options import Command, Common, command, utf8
from mailquota.core.commands.session import Session, run
from mailquota.core.control.client import RequestFailedError
from mailquota.core.control.messages import GetStatus
from mailquota.core.control.results import Status

log = logging.getLogger(__name__)

_STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
OK, WARNING, CRITICAL, UNKNOWN = range(4)
_NAMED = 3  # accounts in the line
_LONGEST_NAME = 60
_PERCENT = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*%?")


class _Plugin(Command):
    """Words that can't be understood end in a line and a code as a monitoring system wants them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As every command does."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            ctx.exit(_tell(UNKNOWN, " ".join(error.format_message().split())))


@command("check", _Plugin)
@click.argument("words", metavar="[FILTER]", nargs=-1)
@click.option("--warning", default="90", show_default=True, metavar="PERCENT", help="Of its limit, for one account.")
@click.option("--critical", default="100", show_default=True, metavar="PERCENT", help="The same.")
def check(common: Common, *, words: tuple[str, ...], warning: str, critical: str) -> int:
    """One line for a monitoring system, with figures for graphs: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.

    CRITICAL: an account at --critical percent of its limit or above, or an engine that could never read the accounts
    database. WARNING: an account at --warning or above, or whose use is not known; an engine whose accounts database
    is away, so that it goes on with the last known limits; a state database that can't be used; warnings that could
    not be delivered. Only accounts that match FILTER count, all of them without one.
    """
    try:
        marks = _marks(warning, critical)
        chosen = parse_filter(" ".join(map(utf8, words)))

        async def look(session: Session) -> _Seen:
            status = None if session.is_alone else await session.ask(GetStatus, Status)
            try:
                return _Seen(status, await session.matching(chosen))
            except RequestFailedError as error:
                if error.exit_code != UnreachableError.exit_code:
                    raise
                return _Seen(status, [], str(error))

        return _judge(run(common, look), marks)
    except MailquotaError as error:
        return _tell(UNKNOWN, str(error))
    except Exception as error:  # the outermost edge of this command: no traceback, and no code of the others
        log.debug("check failed", exc_info=True)
        return _tell(UNKNOWN, f"internal error: {type(error).__name__}: {error}")


class _Marks(NamedTuple):
    """Percent of a limit."""

    warning: float
    critical: float


class _Seen(NamedTuple):
    """``status`` is None where no engine runs; ``away`` says why the accounts can't be known."""

    status: Status | None
    rows: list[AccountRow]
    away: str = ""


def _marks(warning: str, critical: str) -> _Marks:
    marks = _Marks(_percent("--warning", warning), _percent("--critical", critical))
    if marks.warning > marks.critical:
        raise UsageError(f"--warning {marks.warning:g} is above --critical {marks.critical:g}")
    return marks


def _percent(option: str, text: str) -> float:
    match = _PERCENT.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{option}: {shown(text)} is not a percentage; accepted: 90, 99.5, 90%")
    return float(match[1])


def _judge(seen: _Seen, marks: _Marks) -> int:
    """The line and its code."""
    if seen.away:
        return _tell(CRITICAL, seen.away)
    rows = worst_first(seen.rows)
    critical = [row for row in rows if _reaches(row, marks.critical)]
    warning = [row for row in rows if _reaches(row, marks.warning)][len(critical) :]
    unknown = sum(row.level is Level.UNKNOWN for row in rows)
    found = [(CRITICAL, _accounts(critical, marks.critical)), (WARNING, _accounts(warning, marks.warning))]
    if unknown:
        found.append((WARNING, f"the use of {_count(unknown)} is not known"))
    found += _troubles(seen.status)
    told = [(state, text) for state, text in found if text]
    texts = [text for _, text in told] or [f"{_count(len(rows))}, none at {marks.warning:g} % or above"]
    if seen.status is None:
        texts.append("no engine runs")
    figures = _figures(rows, len(warning), len(critical), unknown, marks)
    return _tell(max((state for state, _ in told), default=OK), ", ".join(texts), figures + _counters(seen.status))


def _reaches(row: AccountRow, mark: float) -> bool:
    return row.percent is not None and row.percent >= mark


def _accounts(rows: Sequence[AccountRow], mark: float) -> str:
    """How many, and the worst by name."""
    if not rows:
        return ""
    names = ", ".join(f"{_name(row.address)} {int(row.percent or 0)} %" for row in rows[:_NAMED])
    more = ", ..." if len(rows) > _NAMED else ""
    return f"{_count(len(rows))} at {mark:g} % or above ({names}{more})"


def _count(number: int) -> str:
    return "1 account" if number == 1 else f"{number} accounts"


def _name(address: str) -> str:
    return address if len(address) <= _LONGEST_NAME else address[:_LONGEST_NAME] + "..."


def _troubles(status: Status | None) -> list[tuple[int, str]]:
    """Of the engine."""
    if status is None:
        return []
    database, failed = status.database, status.warnings_failed
    age = f" for {format_age(database.age_seconds)}" if database.age_seconds is not None else ""
    return [
        (WARNING, f"accounts database away{age}: {database.message}" if database.state != "ok" else ""),
        (WARNING, status.state_problem),
        (WARNING, f"{failed} warnings could not be delivered" if failed else ""),
    ]


def _figures(rows: Sequence[AccountRow], warning: int, critical: int, unknown: int, marks: _Marks) -> list[str]:
    """Performance data: 'label'=value[unit];[warn];[crit];[min];[max]."""
    worst = max((row.percent for row in rows if row.percent is not None), default=0.0)
    used = sum(row.used_bytes or 0 for row in rows)
    return [
        f"worst={int(worst * 10) / 10}%;{marks.warning:g};{marks.critical:g};0;",
        f"critical={critical};;;0;{len(rows)}",
        f"warning={warning};;;0;{len(rows)}",
        f"unknown={unknown};;;0;{len(rows)}",
        f"accounts={len(rows)};;;0;",
        f"used={used}B;;;0;",
    ]


def _counters(status: Status | None) -> list[str]:
    if status is None:
        return []
    counters = {"requests": status.requests, "refused": status.refused, "trouble": status.trouble}
    return [f"{name}={value}c;;;0;" for name, value in counters.items()]


def _tell(state: int, text: str, figures: Sequence[str] = ()) -> int:
    line = f"MAILQUOTA {_STATES[state]} - {visible(text)}".replace("|", "\\x7c")
    click.echo(f"{line} | {' '.join(figures)}" if figures else line)
    return state


COMMANDS = {"check": check}
