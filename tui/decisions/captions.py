"""The lines around the decisions: title, totals, the decision under the cursor, refusals by account, and the text in
place of rows. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from mailquota.core.base.times import local_time
from mailquota.core.base.units import format_count
from mailquota.core.control.results import DecisionRow, Refusals, RefusedAccount, Status

from ..desk import captions
from ..desk.session import Session, State
from ..desk.tiles import Tile, figure
from ..draw import format as fmt
from ..draw.format import Line, Run
from ..draw.grid import Context
from . import columns
from .feed import Feed

_SPOOL = "/var/spool/postfix/"  # where smtpd looks for relative paths
_COUNT = 6  # cells


def title(feed: Feed, session: Session, newer: int, width: int, context: Context, *, order: str = "") -> Line:
    """The title rule: the filter, a pause, how many newer ones are above, and how many were left out.

    ``order``: how they are sorted, where that is not by time.
    """
    place: list[Run] = [(f"{context.glyphs.dot} {order} ", "near")] if order else []
    if feed.paused:
        place += [(" PAUSED ", "badge-warn"), (f" {format_count(feed.new(session))} new ", "accent")]
    elif newer and not order:
        place.append((f"{context.glyphs.dot} {format_count(newer)} newer above ", "accent"))
    counts: list[Run] = []
    if session.skipped:
        counts.append((f" {format_count(session.skipped)} more under load ", "quiet"))
    if feed.filter.text:
        counts.append((f" {format_count(len(feed))} of {format_count(feed.known)} ", "quiet"))
    return captions.heading("Decisions", session, width, context, filtered=feed.filter.text, place=place, counts=counts)


def totals(status: Status | None, context: Context, *, lost: bool = False) -> tuple[Tile, ...]:
    """The counters since the start of the engine, and how long answers took lately.

    The connections are left out if the engine is ``lost``.
    """
    if status is None:
        return ()
    bad = "near" if status.trouble else "plain"
    shadow, since = status.mode == "shadow", status.counted_since
    would = figure(format_count(status.would_refuse), " would be refused")
    return (
        Tile("requests", 1, figure(format_count(status.requests), " requests")),
        Tile("since", 3, () if since is None else ((f"since {_moment(since, context.now)}", "quiet"),)),
        Tile("refused", 3 if shadow else 0, figure(format_count(status.refused), " refused")),
        Tile("would", 0, would if shadow or status.would_refuse else ()),
        Tile("trouble", 2, ((format_count(status.trouble), bad), (" trouble", "quiet"))),
        Tile("malformed", 4, figure(format_count(status.malformed), " malformed")),
        Tile("p50", 5, figure(fmt.micros(status.p50_us, context.glyphs), "", "p50 ")),
        Tile("p99", 7, figure(fmt.micros(status.p99_us, context.glyphs), "", "p99 ")),
        Tile("connections", 6, () if lost else figure(format_count(status.connections), " connections")),
    )


def _moment(at: float, now: float) -> str:
    """The local time of day; before today the date."""
    day, clock = local_time(at).split(" ")
    return clock[:5] if local_time(now).startswith(day) else day


def detail(row: DecisionRow | None, width: int, context: Context) -> Line:
    """The decision under the cursor, with what its columns had to cut."""
    if row is None:
        return ()
    glyphs = context.glyphs
    words, style = columns.verdict(row, context)
    sender, recipient = columns.sender(row, context)[0], columns.recipient(row, context)[0]
    dot = f"  {glyphs.dot}  " if width >= 100 else f" {glyphs.dot} "
    before: list[Run] = [
        (f" {words}", "strong" if style == "quiet" else style),
        (dot, "quiet"),
        (f"{sender} {glyphs.arrow} {recipient}", "plain"),
        (f"{dot}missed by {names(row.missed, context)}" if row.missed else "", "near"),
        (dot, "quiet"),
    ]
    room = max(0, width - fmt.width_of(before))
    return (*before, (fmt.fit(columns.client(row, context)[0], room, glyphs), "quiet"))


def names(addresses: list[str], context: Context) -> str:
    """The addresses in one text."""
    return ", ".join(fmt.literal(address, context.glyphs) for address in addresses)


def notice(feed: Feed, session: Session, width: int, context: Context) -> tuple[Line, ...]:
    """The text in place of decisions: no match, no request yet, or no engine."""
    if feed.known:
        lines = captions.nothing_matches("no decision", feed.filter.text, feed.known, width, context)
    elif session.state is State.LIVE:
        lines = list(_nobody_asks(session.status))
    elif session.state is State.LOADING:
        lines = [[(f"Loading {context.glyphs.ellipsis}", "quiet")]]
    else:
        lines = captions.no_engine(session, width, context)
    return tuple(captions.centred(tuple(line), width) for line in lines)


def _nobody_asks(status: Status | None) -> Iterator[list[Run]]:
    yield [("No request has been answered yet.", "strong")]
    if status is not None and status.listen:
        yield [("Postfix asks once this stands last in smtpd_recipient_restrictions:", "quiet")]
        yield [(f"check_policy_service {{ {postfix_name(status.listen[0])},", "accent")]
        yield [("timeout=10s, default_action=DUNNO }", "accent")]


def postfix_name(listen: str) -> str:
    """A listen address as main.cf names it: smtpd runs in a chroot, so paths are relative to the queue directory."""
    scheme, _, path = listen.partition(":")
    return f"{scheme}:{path.removeprefix(_SPOOL)}"


def refused(report: Refusals | None, width: int, height: int, context: Context, *, shadow: bool) -> list[Line]:
    """The accounts that were refused mail, two lines each: how often within 1 h and 24 h, and the last sender."""
    name = "Would be refused" if shadow else "Refused"
    lines = [_columns(name, "1 h", "24 h", width, context, looks=("title", "title", "title"))]
    if report is None:
        return lines
    shown = report.accounts[: max(0, (height - 3) // 2)]
    for account in shown:
        lines += _account(account, width, context)
    if not shown:
        lines.append(((" nobody", "quiet"),))
    more = report.total - len(shown)
    since = f"since {fmt.clock(report.since)}" if context.now - report.since < 86000 else ""
    if shown and (more or since):
        words = [f"{format_count(more)} more"] * bool(more) + [since] * bool(since)
        lines += [(), ((f" {', '.join(words)}", "quiet"),)]
    return lines


def _columns(name: str, hour: str, day: str, width: int, context: Context, *, looks: tuple[str, str, str]) -> Line:
    """A name and two numbers, aligned; ``looks`` are their styles."""
    room = max(1, width - 2 * _COUNT - 2)
    return (
        (f" {fmt.fit(name, room, context.glyphs)}", looks[0]),
        (fmt.fit(hour, _COUNT, context.glyphs, right=True), looks[1]),
        (fmt.fit(day, _COUNT, context.glyphs, right=True) + " ", looks[2]),
    )


def _account(account: RefusedAccount, width: int, context: Context) -> Iterator[Line]:
    address, sender = fmt.literal(account.address, context.glyphs), fmt.literal(account.sender, context.glyphs) or "<>"
    recent = "over" if account.last_hour else "quiet"
    hour, day = fmt.short_count(account.last_hour), fmt.short_count(account.last_day)
    yield _columns(address, hour, day, width, context, looks=("plain", recent, "quiet"))
    words = f"   {fmt.age(account.at, context.now, context.glyphs)} ago  {sender}"
    yield ((fmt.fit(words, max(1, width - 1), context.glyphs), "quiet"),)
