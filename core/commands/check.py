"""``mailquota check``: one line for a monitoring system, by the Monitoring Plugins guidelines (Nagios).

Exit codes are those of plugins and of no other command: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. Every error is UNKNOWN,
also wrong usage. The line goes to standard output, with performance data after a "|", so a "|" in a text from outside
is escaped.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import NamedTuple

import click

from ..base.errors import MailquotaError, UnreachableError, UsageError
from ..base.filters import parse_filter
from ..base.model import OVER_PERCENT, AccountRow, Level
from ..base.text import shown, visible
from ..base.units import format_age, format_messages
from ..control.client import RequestFailedError
from ..control.messages import GetStatus
from ..control.results import Status
from .columns import worst_first
from .options import Command, Common, command, utf8
from .session import Session, run

log = logging.getLogger(__name__)

_STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
OK, WARNING, CRITICAL, UNKNOWN = range(4)
_NAMED = 3  # accounts in the line
_LONGEST_NAME = 60
_PERCENT = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*%?")


class _Plugin(Command):
    """A command whose usage errors are UNKNOWN, with the line for the monitoring system."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line. Exits with UNKNOWN where that fails."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            ctx.exit(_tell(UNKNOWN, " ".join(error.format_message().split())))


@command("check", _Plugin)
@click.argument("words", metavar="[FILTER]", nargs=-1)
@click.option("--warning", default="90", show_default=True, metavar="PERCENT", help="Usage of one account.")
@click.option("--critical", default="100", show_default=True, metavar="PERCENT", help="Usage of one account.")
def check(common: Common, *, words: tuple[str, ...], warning: str, critical: str) -> int:
    """Print one line for a monitoring system, with performance data: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.

    CRITICAL: an account at --critical percent of its limit or above, an engine that could never read the accounts
    database, or a mailstore that is not there. WARNING: an account at --warning or above, or whose usage is not known;
    an accounts database that can't be read, so that the engine uses the last known limits; a state database that can't
    be used; warnings that could not be delivered. Only accounts that match FILTER count, all of them without one.
    """
    try:
        thresholds = _thresholds(warning, critical)
        chosen = parse_filter(" ".join(map(utf8, words)))

        async def look(session: Session) -> _Seen:
            status = None if session.is_alone else await session.ask(GetStatus, Status)
            try:
                return _Seen(status, await session.selected(chosen))
            except RequestFailedError as error:
                if error.exit_code != UnreachableError.exit_code:
                    raise
                return _Seen(status, [], str(error))

        return _judge(run(common, look), thresholds)
    except MailquotaError as error:
        return _tell(UNKNOWN, str(error))
    except Exception as error:  # the outermost edge of this command: no traceback, and no exit code of other commands
        log.debug("check failed", exc_info=True)
        return _tell(UNKNOWN, f"internal error: {type(error).__name__}: {error}")


class _Thresholds(NamedTuple):
    """Percentages of a limit."""

    warning: float
    critical: float


class _Seen(NamedTuple):
    """What is judged. ``status`` is None where no engine runs; ``away`` says why the accounts can't be read."""

    status: Status | None
    rows: list[AccountRow]
    away: str = ""


def _thresholds(warning: str, critical: str) -> _Thresholds:
    thresholds = _Thresholds(_percent("--warning", warning), _percent("--critical", critical))
    if thresholds.warning > thresholds.critical:
        raise UsageError(f"--warning {thresholds.warning:g} is above --critical {thresholds.critical:g}")
    return thresholds


def _percent(option: str, text: str) -> float:
    match = _PERCENT.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{option}: {shown(text)} is not a percentage; accepted: 90, 99.5, 90%")
    return float(match[1])


def _judge(seen: _Seen, thresholds: _Thresholds) -> int:
    """Print the line; returns its exit code."""
    if seen.away:
        return _tell(CRITICAL, seen.away)
    rows = worst_first(seen.rows)
    critical = [row for row in rows if _reaches(row, thresholds.critical)]
    warning = [row for row in rows if _reaches(row, thresholds.warning)][len(critical) :]
    unknown = sum(row.level is Level.UNKNOWN for row in rows)
    found = [(CRITICAL, _accounts(critical, thresholds.critical)), (WARNING, _accounts(warning, thresholds.warning))]
    if unknown:
        found.append((WARNING, f"the usage of {_count(unknown)} is not known"))
    found += _troubles(seen.status)
    troubles = [(state, text) for state, text in found if text]
    texts = [text for _, text in troubles] or [f"{_count(len(rows))}, none at {thresholds.warning:g} % or above"]
    if seen.status is None:
        texts.append("no engine runs")
    figures = _figures(rows, warning=len(warning), critical=len(critical), unknown=unknown, at=thresholds)
    return _tell(max((state for state, _ in troubles), default=OK), ", ".join(texts), figures + _counters(seen.status))


def _reaches(row: AccountRow, threshold: float) -> bool:
    if row.has_most_messages and threshold <= OVER_PERCENT:
        return True
    return row.percent is not None and row.percent >= threshold


def _accounts(rows: Sequence[AccountRow], threshold: float) -> str:
    """How many accounts are at the threshold, with the names of the first three; "" for none."""
    if not rows:
        return ""
    names = ", ".join(f"{_name(row.address)} {_share(row, threshold)}" for row in rows[:_NAMED])
    more = ", ..." if len(rows) > _NAMED else ""
    return f"{_count(len(rows))} at {threshold:g} % or above ({names}{more})"


def _share(row: AccountRow, threshold: float) -> str:
    percent = row.percent or 0
    if row.has_most_messages and percent < threshold:
        return f"{format_messages(row.messages, row.limit_messages)} messages"
    return f"{int(percent)} %"


def _count(number: int) -> str:
    return "1 account" if number == 1 else f"{number} accounts"


def _name(address: str) -> str:
    return address if len(address) <= _LONGEST_NAME else address[:_LONGEST_NAME] + "..."


def _troubles(status: Status | None) -> list[tuple[int, str]]:
    """States and texts about the engine; "" for what is well."""
    if status is None:
        return []
    database, failed = status.database, status.warnings_failed
    age = f" for {format_age(database.age_seconds)}" if database.age_seconds is not None else ""
    return [
        (WARNING, f"accounts database away{age}: {database.message}" if database.state != "ok" else ""),
        (CRITICAL, status.mailstore_problem),
        (WARNING, status.state_problem),
        (WARNING, f"{failed} warnings could not be delivered" if failed else ""),
    ]


def _figures(rows: Sequence[AccountRow], *, warning: int, critical: int, unknown: int, at: _Thresholds) -> list[str]:
    """Performance data: 'label'=value[unit];[warn];[crit];[min];[max]."""
    worst = max((row.percent for row in rows if row.percent is not None), default=0.0)
    used = sum(row.used_bytes or 0 for row in rows)
    return [
        f"worst={int(worst * 10) / 10}%;{at.warning:g};{at.critical:g};0;",
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
