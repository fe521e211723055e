"""The lines around the decisions: title, totals, the decision under the cursor, refusals by account, and what stands
where no decisions are. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from mailquota.core.base.times import local_time
from mailquota.core.base.units import format_count
from mailquota.core.control.results import DecisionRow, Refusals, RefusedAccount, Status
from mailquota.tui.decisions import columns as lanes
from mailquota.tui.decisions.feed import Feed
from mailquota.tui.desk import captions
from mailquota.tui.desk.session import Session, State
from mailquota.tui.desk.tiles import Tile, figure
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.format import Line, Run
from mailquota.tui.draw.grid import Look

_SPOOL = "/var/spool/postfix/"  # where smtpd looks for relative paths
_COUNT = 6  # cells


def title(feed: Feed, session: Session, newer: int, width: int, look: Look) -> Line:
    """The name, the filter, whether it is paused or scrolled away from the newest, and what is not shown."""
    place: list[Run] = []
    if feed.paused:
        place += [(" PAUSED ", "badge-warn"), (f" {format_count(feed.new(session))} new ", "accent")]
    elif newer:
        place.append((f"{look.glyphs.dot} {format_count(newer)} newer above ", "accent"))
    counts: list[Run] = []
    if session.skipped:
        counts.append((f" {format_count(session.skipped)} more under load ", "quiet"))
    if feed.filter.text:
        counts.append((f" {format_count(len(feed))} of {format_count(feed.known)} ", "quiet"))
    return captions.heading("Decisions", session, width, look, filtered=feed.filter.text, place=place, counts=counts)


def totals(status: Status | None, look: Look, *, lost: bool = False) -> tuple[Tile, ...]:
    """What was counted, and since when; how long answers took in the last minute or two. A lost engine has no
    connections."""
    if status is None:
        return ()
    bad = "near" if status.trouble else "plain"
    shadow, since = status.mode == "shadow", status.counted_since
    would = figure(format_count(status.would_refuse), " would be refused")
    return (
        Tile("requests", 1, figure(format_count(status.requests), " requests")),
        Tile("since", 3, () if since is None else ((f"since {_moment(since, look.now)}", "quiet"),)),
        Tile("refused", 3 if shadow else 0, figure(format_count(status.refused), " refused")),
        Tile("would", 0, would if shadow or status.would_refuse else ()),
        Tile("trouble", 2, ((format_count(status.trouble), bad), (" trouble", "quiet"))),
        Tile("malformed", 4, figure(format_count(status.malformed), " malformed")),
        Tile("p50", 5, figure(fmt.micros(status.p50_us, look.glyphs), "", "p50 ")),
        Tile("p99", 7, figure(fmt.micros(status.p99_us, look.glyphs), "", "p99 ")),
        Tile("connections", 6, () if lost else figure(format_count(status.connections), " connections")),
    )


def _moment(at: float, now: float) -> str:
    """A time of today, or a day before."""
    day, clock = local_time(at).split(" ")
    return clock[:5] if local_time(now).startswith(day) else day


def detail(row: DecisionRow | None, width: int, look: Look) -> Line:
    """The decision under the cursor, with what its columns had to cut."""
    if row is None:
        return ()
    glyphs = look.glyphs
    words, style = lanes.verdict(row, look)
    sender, recipient = lanes.sender(row, look)[0], lanes.recipient(row, look)[0]
    dot = f"  {glyphs.dot}  " if width >= 100 else f" {glyphs.dot} "
    before: list[Run] = [
        (f" {words}", "strong" if style == "quiet" else style),
        (dot, "quiet"),
        (f"{sender} {glyphs.arrow} {recipient}", "plain"),
        (f"{dot}missed by {names(row.missed, look)}" if row.missed else "", "near"),
        (dot, "quiet"),
    ]
    room = max(0, width - fmt.width_of(before))
    return (*before, (fmt.fit(lanes.client(row, look)[0], room, glyphs), "quiet"))


def names(addresses: list[str], look: Look) -> str:
    """Several accounts."""
    return ", ".join(fmt.literal(address, look.glyphs) for address in addresses)


def notice(feed: Feed, session: Session, width: int, look: Look) -> tuple[Line, ...]:
    """What stands where no decisions are: nothing found, nothing asked yet, or nobody to tell."""
    if feed.known:
        words = fmt.literal(feed.filter.text, look.glyphs)
        lines = [[("No decision matches ", "quiet"), (words, "accent")], [("Esc clears the filter.", "quiet")]]
    elif session.state is State.LIVE:
        lines = list(_nobody_asks(session.status))
    elif session.state is State.LOADING:
        lines = [[(f"Loading {look.glyphs.ellipsis}", "quiet")]]
    else:
        lines = captions.no_engine(session, width, look)
    return tuple(captions.centred(tuple(line), width) for line in lines)


def _nobody_asks(status: Status | None) -> Iterator[list[Run]]:
    yield [("No request has been answered yet.", "strong")]
    if status is not None and status.listen:
        yield [("Postfix asks once this stands last in smtpd_recipient_restrictions:", "quiet")]
        yield [(f"check_policy_service {{ {postfix_name(status.listen[0])},", "accent")]
        yield [("timeout=10s, default_action=DUNNO }", "accent")]


def postfix_name(listen: str) -> str:
    """One of our addresses as main.cf has it: smtpd is in a chroot, and paths are relative to the queue."""
    scheme, _, path = listen.partition(":")
    return f"{scheme}:{path.removeprefix(_SPOOL)}"


def refused(report: Refusals | None, width: int, height: int, look: Look, *, shadow: bool) -> list[Line]:
    """Who was refused mail how often, two lines each: the account with its figures, and who wrote last."""
    name = "Would be refused" if shadow else "Refused"
    lines = [_columns(name, "1 h", "24 h", width, look, "title", "title", "title")]
    if report is None:
        return lines
    shown = report.accounts[: max(0, (height - 3) // 2)]
    for account in shown:
        lines += _account(account, width, look)
    if not shown:
        lines.append(((" nobody", "quiet"),))
    more = report.total - len(shown)
    since = f"since {fmt.clock(report.since)}" if look.now - report.since < 86000 else ""
    if shown and (more or since):
        words = [f"{format_count(more)} more"] * bool(more) + [since] * bool(since)
        lines += [(), ((f" {', '.join(words)}", "quiet"),)]
    return lines


def _columns(name: str, hour: str, day: str, width: int, look: Look, *looks: str) -> Line:
    """``looks``: of the name, and of each figure."""
    room = max(1, width - 2 * _COUNT - 2)
    return (
        (f" {fmt.fit(name, room, look.glyphs)}", looks[0]),
        (fmt.fit(hour, _COUNT, look.glyphs, right=True), looks[1]),
        (fmt.fit(day, _COUNT, look.glyphs, right=True) + " ", looks[2]),
    )


def _account(account: RefusedAccount, width: int, look: Look) -> Iterator[Line]:
    address, sender = fmt.literal(account.address, look.glyphs), fmt.literal(account.sender, look.glyphs) or "<>"
    recent = "over" if account.last_hour else "quiet"
    hour, day = fmt.short_count(account.last_hour), fmt.short_count(account.last_day)
    yield _columns(address, hour, day, width, look, "plain", recent, "quiet")
    words = f"   {fmt.age(account.at, look.now, look.glyphs)} ago  {sender}"
    yield ((fmt.fit(words, max(1, width - 1), look.glyphs), "quiet"),)
