"""The lines around a list: its title rule, the row under the cursor, the number of marked accounts, and the text in
place of rows. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mailquota.core.base.model import AccountRow, Level
from mailquota.core.base.units import format_age, format_count, format_size

from ..draw import format as fmt
from ..draw.format import Line, Run
from ..draw.grid import Context
from ..draw.rows import RowList
from .account_list import AccountList
from .modes import MODES
from .session import Session, State

MOST_OF_TRAIL = 20  # cells that a trail has at least
TRYING = "trying again: is the service running?"


def rule(left: Line, right: Line, width: int, context: Context) -> Line:
    """A rule over ``width`` cells with text at both ends."""
    fill = max(0, width - fmt.width_of(left) - fmt.width_of(right) - 4)
    line = context.glyphs.rule
    return ((line, "faint"), *left, (line * (fill + 2), "faint"), *right, (line, "faint"))


def heading(
    name: str,
    session: Session,
    width: int,
    context: Context,
    *,
    filtered: str = "",
    place: Sequence[Run] = (),
    counts: Sequence[Run] = (),
    trail: Sequence[str] = (),
) -> Line:
    """The title rule: name of the screen, filter, age of a lost engine's data, and the other screens.

    ``place`` says where in the list the cursor is, ``counts`` how many rows are shown. ``trail``: the names of the
    steps that led here from a screen, in place of the name.
    """
    before = width_of_rest(filtered, place, counts, context)
    here = steps(trail, max(MOST_OF_TRAIL, width - before), context) if len(trail) > 1 else [(f" {name} ", "strong")]
    left: list[Run] = [*here, *filter_words(filtered, context), *place]
    old = as_of(session, room_in(left, counts, width), context)
    left += old
    others = [] if old else tabs(name, room_in(left, counts, width), session.faults, context)
    return rule(tuple(left), (*others, *counts), width, context)


def width_of_rest(filtered: str, place: Sequence[Run], counts: Sequence[Run], context: Context) -> int:
    """The cells of a title rule that a trail has to leave to the rest."""
    return fmt.width_of([*filter_words(filtered, context), *place, *counts]) + 6


def steps(trail: Sequence[str], room: int, context: Context) -> list[Run]:
    """The trail in at most ``room`` cells: the first steps go first."""
    glyphs = context.glyphs
    names = [fmt.literal(name, glyphs) for name in trail]
    between = f" {glyphs.step} "
    cut = 0
    while cut < len(names) - 1 and _width(names[cut:], between) + 2 + (cut > 0) * (1 + len(between)) > room:
        cut += 1
    kept = [glyphs.ellipsis] * (cut > 0) + names[cut:-1]
    before = "".join(f"{name}{between}" for name in kept)
    last = fmt.fit(names[-1], max(1, min(_width(names[-1:], ""), room - 2 - _width([before], ""))), glyphs)
    return [(" ", "plain"), (before, "quiet"), (f"{last} ", "strong")]


def _width(names: Sequence[str], between: str) -> int:
    return fmt.width_of([(between.join(names), "")])


def tabs(here: str, room: int, faults: int, context: Context) -> list[Run]:
    """The other screens with their keys, as far as they fit in ``room`` cells; the doctor's with its number of failed
    checks."""
    others = [mode for mode in MODES if mode.title != here]
    found = f"{context.glyphs.levels[Level.OVER]} {format_count(faults)} "
    ill: list[Run] = [(found, "over")] if faults and here != MODES[-1].title else []
    for runs in (
        [run for mode in others for run in ((f" {mode.key}", "key"), (f" {mode.title} ", "tab"))] + ill,
        [(f" {mode.key}", "key") for mode in others] + [(" ", "tab")] + ill,
    ):
        if fmt.width_of(runs) <= room:
            return runs
    return []


def title(
    accounts: AccountList,
    session: Session,
    width: int,
    context: Context,
    *,
    trail: Sequence[str] = (),
    within: str = "",
) -> Line:
    """The title rule of the accounts: the filter, and how many accounts of how many match.

    ``within``: the words of the filter that the trail says already.
    """
    if accounts.view.filter is None:
        return heading("Accounts", session, width, context)
    counts = (f" {format_count(len(accounts))} of {format_count(len(accounts.rows))} ", "quiet")
    words = accounts.view.filter.text.removeprefix(within).strip()
    return heading("Accounts", session, width, context, filtered=words, counts=[counts], trail=trail)


def room_in(left: Sequence[Run], right: Sequence[Run], width: int) -> int:
    """The cells that are left between both texts of a rule."""
    return width - fmt.width_of(left) - fmt.width_of(right) - 4


def filter_words(text: str, context: Context) -> list[Run]:
    """The filter, behind the key that opens it."""
    words = fmt.literal(text, context.glyphs)
    if not words:
        return []
    return [
        ("/ ", "key"),
        (fmt.fit(words, min(30, fmt.width_of([(words, "")])), context.glyphs), "accent"),
        (" ", "quiet"),
    ]


def as_of(session: Session, room: int, context: Context) -> list[Run]:
    """Of which time the data of a lost engine are, the reason as far as it fits, and that the console tries again."""
    if session.state is not State.LOST or session.heard_at is None:
        return []
    glyphs = context.glyphs
    when, reason = f"{glyphs.dot} as of {fmt.clock(session.heard_at)}", fmt.literal(session.reason, glyphs)
    left = room - fmt.width_of([(f"{when}, ; {TRYING} ", "")])
    if left >= fmt.SOME_WORDS:
        when += f", {fmt.fit(reason, min(left, fmt.width_of([(reason, '')])), glyphs)}"
    text = f"{when}; {TRYING}"
    return [(fmt.fit(text, max(0, min(room - 1, fmt.width_of([(text, "")]))), glyphs) + " ", "over")]


def no_engine(session: Session, width: int, context: Context) -> list[list[Run]]:
    """The text in place of rows while the console has never reached an engine."""
    reason = fmt.literal(session.reason, context.glyphs)
    if not reason:
        return [[("No engine.", "over")], [("Connecting", "quiet")]]
    cells = min(width, fmt.width_of([(reason, "")]))
    return [
        [("No engine.", "over")],
        [(fmt.fit(reason, cells, context.glyphs), "quiet")],
        [(TRYING.capitalize(), "quiet")],
    ]


def detail(row: AccountRow | None, width: int, context: Context) -> Line:
    """The account under the cursor in one line, with the source and the age of its usage."""
    if row is None:
        return ()
    glyphs = context.glyphs
    facts = [_measured(row, context)]
    if row.messages is not None:
        facts.append(fmt.plural(row.messages, "message"))
    facts += [*_trash(row), *_drift(row)]
    if row.refused_at is not None:
        facts.append(f"refused {format_age(context.now - row.refused_at)} ago")
    if row.differs:
        facts.append("Dovecot differs")
    if not row.enabled:
        facts.append("disabled")
    name = (fmt.literal(row.address, glyphs), "strong")
    return fmt.facts(name, [(fact, "quiet") for fact in facts], width, glyphs)


def _trash(row: AccountRow) -> list[str]:
    return [f"Trash {format_size(row.trash_bytes)}"] if row.trash_bytes else []


def _measured(row: AccountRow, context: Context) -> str:
    if row.measured_at is None:
        return "not measured yet"
    return f"{fmt.literal(row.source or '?', context.glyphs)}, {format_age(context.now - row.measured_at)} ago"


def _drift(row: AccountRow) -> list[str]:
    if not row.drift_bytes:
        return []
    return [f"last recount {format_size(abs(row.drift_bytes))} {'more' if row.drift_bytes > 0 else 'less'}"]


def decisions_rule(session: Session, width: int, context: Context) -> Line:
    """The rule above the newest decisions; under load it says how many the engine did not send."""
    text = f" {context.glyphs.dot} {format_count(session.skipped)} more under load" if session.skipped else ""
    first = f" {context.glyphs.dot} refusals of the last hour first"
    return rule(((" Decisions", "strong"), (f"{first}{text} ", "quiet")), (), width, context)


def marks(accounts: AccountList, *, ranging: bool = False) -> Line:
    """``12 marked, 48.2 GiB``, or how many of them are not shown; empty if none is. ``ranging``: more are marked by
    each move."""
    if not accounts.marks:
        return ()
    if ranging:
        return ((f"range: {format_count(len(accounts.marks))} marked", "mark"), ("  v", "key"), (" ends it", "quiet"))
    if hidden := accounts.hidden_marks():
        return (
            (f"{format_count(len(accounts.marks))} marked, ", "mark"),
            (f"{format_count(hidden)} not shown", "near"),
        )
    return ((f"{format_count(len(accounts.marks))} marked, {format_size(accounts.marked_bytes)}", "mark"),)


def list_title(
    name: str, rows: RowList[Any], session: Session, width: int, context: Context, *, problem: str = "", order: str = ""
) -> Line:
    """The title rule of a list that is filtered by words. ``problem``: why the rows are old or not complete.

    ``order``: how a feed is sorted, where that is not by time.
    """
    counts = [(f" {format_count(len(rows))} of {format_count(rows.known)} ", "quiet")] if rows.words.text else []
    place: list[Run] = [(f"{context.glyphs.dot} {order} ", "near")] if order else []
    if problem:
        words = fmt.literal(problem, context.glyphs)
        place.append(
            (fmt.fit(words, min(fmt.width_of([(words, "")]), max(0, width - 30)), context.glyphs) + " ", "over")
        )
    return heading(name, session, width, context, filtered=rows.words.text, place=place, counts=counts)


def list_notice(
    rows: RowList[Any], session: Session, width: int, context: Context, *, empty: Sequence[str], problem: str = ""
) -> tuple[Line, ...]:
    """The text in place of rows: loading, no match, no engine, or ``empty``, whose first line is a heading."""
    if rows.known:
        lines = nothing_matches("nothing", rows.words.text, rows.known, width, context)
    elif problem and session.state is State.LIVE:
        reason = fmt.literal(problem, context.glyphs)
        lines = [[("This can't be read.", "over")], [(fmt.fit(reason, width, context.glyphs).rstrip(), "quiet")]]
    elif session.state in {State.LIVE, State.LOADING} or (empty and session.state is State.LOST):
        lines = [[(text, "quiet" if number else "strong")] for number, text in enumerate(empty)]
        lines = lines or [[(f"Loading {context.glyphs.ellipsis}", "quiet")]]
    else:
        lines = no_engine(session, width, context)
    return tuple(centred(tuple(line), width) for line in lines)


def nothing_matches(what: str, words: str, known: int, width: int, context: Context) -> list[list[Run]]:
    """The text in place of rows that none matches; ``known`` rows are there without the filter."""
    glyphs = context.glyphs
    left, right = ("'", "'") if glyphs.ascii_only else ("‘", "’")
    way_out = f"Esc shows all {format_count(known)}"
    found = fmt.literal(words, glyphs)
    room = max(8, width - len(what) - len(" matches  ") - 2)
    found = f"{left}{fmt.fit(found, min(room, fmt.width_of([(found, '')])), glyphs)}{right}"
    said: list[Run] = [(f"{what} matches ", "quiet"), (found, "accent")]
    if fmt.width_of(said) + len(way_out) + 3 > width:
        return [said, [(way_out, "quiet")]]
    return [[*said, (f" {glyphs.dot} {way_out}", "quiet")]]


def notice(accounts: AccountList, session: Session, width: int, context: Context) -> tuple[Line, ...]:
    """The text in place of accounts: loading, none there, none matches, or no engine."""
    if accounts.rows and accounts.view.filter is not None:
        words = accounts.view.filter.text
        lines = nothing_matches("no account", words, len(accounts.rows), width, context)
    elif session.state is State.LOADING:
        done = f"{format_count(session.loaded)} of {format_count(session.expected)}" if session.expected else ""
        lines = [[(f"Loading accounts {context.glyphs.ellipsis} {done}".rstrip(), "quiet")]]
    elif session.state is State.LIVE:
        lines = [
            [("No accounts.", "strong")],
            [("The accounts database has none yet; they appear here by themselves.", "quiet")],
        ]
    else:
        lines = no_engine(session, width, context)
    return tuple(centred(tuple(line), width) for line in lines)


def centred(line: Line, width: int) -> Line:
    """The line in the middle of ``width`` cells."""
    return ((" " * max(0, (width - fmt.width_of(line)) // 2), "plain"), *line)
