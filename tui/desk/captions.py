"""The lines around the accounts table: its title, the account under the cursor, what is marked, what stands where no
accounts are. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mailquota.core.base.model import AccountRow, Level
from mailquota.core.base.units import format_age, format_count, format_size
from mailquota.tui.desk.account_list import AccountList
from mailquota.tui.desk.modes import MODES
from mailquota.tui.desk.session import Session, State
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.format import Line, Run
from mailquota.tui.draw.grid import Look
from mailquota.tui.draw.rows import RowList

TRYING = "trying again: is the service running?"


def rule(left: Line, right: Line, width: int, look: Look) -> Line:
    """A rule across the screen with text at both ends."""
    fill = max(0, width - fmt.width_of(left) - fmt.width_of(right) - 4)
    line = look.glyphs.rule
    return ((line, "faint"), *left, (line * (fill + 2), "faint"), *right, (line, "faint"))


def heading(
    name: str,
    session: Session,
    width: int,
    look: Look,
    *,
    filtered: str = "",
    place: Sequence[Run] = (),
    counts: Sequence[Run] = (),
) -> Line:
    """The rule with the name of the screen and the filter that holds, how old all that is, and the other screens.

    ``place``: where in the list one is; ``counts``: what of it is shown.
    """
    left: list[Run] = [(f" {name} ", "strong"), *filter_words(filtered, look), *place]
    old = as_of(session, room_in(left, counts, width), look)
    left += old
    others = [] if old else tabs(name, room_in(left, counts, width), session.faults, look)
    return rule(tuple(left), (*others, *counts), width, look)


def tabs(here: str, room: int, faults: int, look: Look) -> list[Run]:
    """The other screens with their keys, as far as there is room, and how many faults the doctor has found."""
    others = [mode for mode in MODES if mode.title != here]
    found = f"{look.glyphs.levels[Level.OVER]} {format_count(faults)} "
    ill: list[Run] = [(found, "over")] if faults and here != MODES[-1].title else []
    for runs in (
        [run for mode in others for run in ((f" {mode.key}", "key"), (f" {mode.title} ", "tab"))] + ill,
        [(f" {mode.key}", "key") for mode in others] + [(" ", "tab")] + ill,
    ):
        if fmt.width_of(runs) <= room:
            return runs
    return []


def title(accounts: AccountList, session: Session, width: int, look: Look) -> Line:
    """Of the accounts: how many are shown, of how many, by which filter."""
    if accounts.view.filter is None:
        return heading("Accounts", session, width, look)
    counts = (f" {format_count(len(accounts))} of {format_count(len(accounts.rows))} ", "quiet")
    return heading("Accounts", session, width, look, filtered=accounts.view.filter.text, counts=[counts])


def room_in(left: Sequence[Run], right: Sequence[Run], width: int) -> int:
    """What a rule of this width leaves for more text."""
    return width - fmt.width_of(left) - fmt.width_of(right) - 4


def filter_words(text: str, look: Look) -> list[Run]:
    """The filter that holds, as the key opens it."""
    words = fmt.literal(text, look.glyphs)
    if not words:
        return []
    return [
        ("/ ", "key"),
        (fmt.fit(words, min(30, fmt.width_of([(words, "")])), look.glyphs), "accent"),
        (" ", "quiet"),
    ]


def as_of(session: Session, room: int, look: Look) -> list[Run]:
    """How old all this is where the engine is gone, why it is as far as there is room, and what is to be done."""
    if session.state is not State.LOST or session.heard_at is None:
        return []
    glyphs = look.glyphs
    when, reason = f"{glyphs.dot} as of {fmt.clock(session.heard_at)}", fmt.literal(session.reason, glyphs)
    left = room - fmt.width_of([(f"{when}, ; {TRYING} ", "")])
    if left >= fmt.SOME_WORDS:
        when += f", {fmt.fit(reason, min(left, fmt.width_of([(reason, '')])), glyphs)}"
    text = f"{when}; {TRYING}"
    return [(fmt.fit(text, max(0, min(room - 1, fmt.width_of([(text, "")]))), glyphs) + " ", "over")]


def no_engine(session: Session, width: int, look: Look) -> list[list[Run]]:
    """What stands where nothing is known yet."""
    reason = fmt.literal(session.reason, look.glyphs)
    if not reason:
        return [[("No engine.", "over")], [("Connecting", "quiet")]]
    cells = min(width, fmt.width_of([(reason, "")]))
    return [
        [("No engine.", "over")],
        [(fmt.fit(reason, cells, look.glyphs), "quiet")],
        [(TRYING.capitalize(), "quiet")],
    ]


def detail(row: AccountRow | None, width: int, look: Look) -> Line:
    """The account under the cursor in one line, with the source and the age of its figure."""
    if row is None:
        return ()
    glyphs = look.glyphs
    facts = [_measured(row, look)]
    if row.messages is not None:
        facts.append(fmt.plural(row.messages, "message"))
    facts += [*_trash(row), *_drift(row)]
    if row.refused_at is not None:
        facts.append(f"refused {format_age(look.now - row.refused_at)} ago")
    if not row.enabled:
        facts.append("disabled")
    name = (fmt.literal(row.address, glyphs), "strong")
    return fmt.facts(name, [(fact, "quiet") for fact in facts], width, glyphs)


def _trash(row: AccountRow) -> list[str]:
    return [f"Trash {format_size(row.trash_bytes)}"] if row.trash_bytes else []


def _measured(row: AccountRow, look: Look) -> str:
    if row.measured_at is None:
        return "not measured yet"
    return f"{fmt.literal(row.source or '?', look.glyphs)}, {format_age(look.now - row.measured_at)} ago"


def _drift(row: AccountRow) -> list[str]:
    if not row.drift_bytes:
        return []
    return [f"last recount {format_size(abs(row.drift_bytes))} {'more' if row.drift_bytes > 0 else 'less'}"]


def decisions_rule(session: Session, width: int, look: Look) -> Line:
    """The title of the strip below; what the engine did not send, under load, is said."""
    text = f" {look.glyphs.dot} {format_count(session.skipped)} more under load" if session.skipped else ""
    return rule(((" Decisions", "strong"), (f"{text} ", "quiet")), (), width, look)


def marks(accounts: AccountList) -> Line:
    """``12 marked, 48.2 GiB``."""
    if not accounts.marks:
        return ()
    return ((f"{format_count(len(accounts.marks))} marked, {format_size(accounts.marked_bytes)}", "mark"),)


def list_title(name: str, rows: RowList[Any], session: Session, width: int, look: Look, *, problem: str = "") -> Line:
    """Of a list that words are looked for in. ``problem``: why what is shown is not all, or old."""
    counts = [(f" {format_count(len(rows))} of {format_count(rows.known)} ", "quiet")] if rows.words.text else []
    place: list[Run] = []
    if problem:
        words = fmt.literal(problem, look.glyphs)
        place.append((fmt.fit(words, min(fmt.width_of([(words, "")]), max(0, width - 30)), look.glyphs) + " ", "over"))
    return heading(name, session, width, look, filtered=rows.words.text, place=place, counts=counts)


def list_notice(
    rows: RowList[Any], session: Session, width: int, look: Look, *, empty: Sequence[str], problem: str = ""
) -> tuple[Line, ...]:
    """What stands where such a list has no rows. ``empty``: a heading and more, once it is known to be empty."""
    if rows.known:
        lines = nothing_matches(rows.words.text, look)
    elif problem and session.state is State.LIVE:
        reason = fmt.literal(problem, look.glyphs)
        lines = [[("This can't be read.", "over")], [(fmt.fit(reason, width, look.glyphs).rstrip(), "quiet")]]
    elif session.state in {State.LIVE, State.LOADING} or (empty and session.state is State.LOST):
        lines = [[(text, "quiet" if number else "strong")] for number, text in enumerate(empty)]
        lines = lines or [[(f"Loading {look.glyphs.ellipsis}", "quiet")]]
    else:
        lines = no_engine(session, width, look)
    return tuple(centred(tuple(line), width) for line in lines)


def nothing_matches(words: str, look: Look) -> list[list[Run]]:
    """No row has these words."""
    found = fmt.literal(words, look.glyphs)
    return [[("Nothing matches ", "quiet"), (found, "accent")], [("Esc clears the filter.", "quiet")]]


def notice(accounts: AccountList, session: Session, width: int, look: Look) -> tuple[Line, ...]:
    """What stands where no accounts are: loading, nothing there, nothing found, or no engine."""
    if accounts.rows and accounts.view.filter is not None:
        words = fmt.literal(accounts.view.filter.text, look.glyphs)
        lines = [[("No account matches ", "quiet"), (words, "accent")], [("Esc clears the filter.", "quiet")]]
    elif session.state is State.LOADING:
        done = f"{format_count(session.loaded)} of {format_count(session.expected)}" if session.expected else ""
        lines = [[(f"Loading accounts {look.glyphs.ellipsis} {done}".rstrip(), "quiet")]]
    elif session.state is State.LIVE:
        lines = [
            [("No accounts.", "strong")],
            [("The accounts database has none yet; they appear here by themselves.", "quiet")],
        ]
    else:
        lines = no_engine(session, width, look)
    return tuple(centred(tuple(line), width) for line in lines)


def centred(line: Line, width: int) -> Line:
    """In the middle of so many cells."""
    return ((" " * max(0, (width - fmt.width_of(line)) // 2), "plain"), *line)
