"""The findings of the doctor as text, and the columns of their table. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter

from mailquota.core.base.model import Level
from mailquota.core.base.units import format_count
from mailquota.core.doctor.model import ORDER, Finding, State
from mailquota.core.doctor.report import SUMS, WORDS, sections

from ..desk.tiles import Tile
from ..draw import format as fmt
from ..draw.format import Line, Run
from ..draw.grid import Column, Context, text_cell
from ..draw.order import by_text

LEAD = 3  # cells: blank, sign, blank
LOOKS: dict[State, str] = {"fail": "over", "warn": "near", "skip": "quiet", "ok": "ok"}
_LEVELS: dict[State, Level] = {"fail": Level.OVER, "warn": Level.NEAR, "skip": Level.UNKNOWN, "ok": Level.OK}


def sign(state: State, context: Context) -> str:
    """The sign of a state. Those of accounts are used, so that the sign for "over" means "needs attention"
    everywhere."""
    return context.glyphs.levels[_LEVELS[state]]


def lead(finding: Finding, context: Context) -> Line:
    """The sign of the finding's state, before its first column."""
    return ((f" {sign(finding.state, context)} ", LOOKS[finding.state]),)


def _state(finding: Finding, _context: Context) -> Run:
    return WORDS[finding.state], LOOKS[finding.state]


def _name(finding: Finding, context: Context) -> Run:
    return fmt.literal(finding.check, context.glyphs), "quiet" if finding.state == "ok" else "plain"


def _found(finding: Finding, context: Context) -> Run:
    text = " ".join(finding.found.split())
    return fmt.literal(text, context.glyphs), "quiet" if finding.state == "ok" else "plain"


COLUMNS: tuple[Column[Finding], ...] = (
    Column("state", "State", width=5, priority=2, cell=text_cell(_state)),
    Column(
        "check",
        "Check",
        width=20,
        priority=1,
        cell=text_cell(_name),
        sort=by_text(attrgetter("check")),
        falling=False,
        good=29,
        most=30,
    ),
    Column(
        "found",
        "Found",
        width=30,
        priority=0,
        cell=text_cell(_found),
        sort=by_text(attrgetter("found")),
        falling=False,
        good=50,
        most=170,
    ),
)


def text(finding: Finding) -> str:
    """What the filter searches."""
    return f"{finding.state}\n{finding.check}\n{finding.found}\n{finding.why}\n{finding.fix}"


def totals(findings: Sequence[Finding], context: Context) -> tuple[Tile, ...]:
    """How many checks have which state. Of the states without a check only "failed" is shown."""
    states = [finding.state for finding in findings]
    tiles = []
    for priority, state in enumerate(ORDER):
        number = states.count(state)
        if findings and (number or state == "fail"):
            style = LOOKS[state] if number and state != "ok" else "quiet"
            words = f"{sign(state, context)} {format_count(number)} {SUMS[state]}"
            tiles.append(Tile(state, priority, ((words, style),)))
    return tuple(tiles)


def detail(finding: Finding | None, context: Context) -> Iterator[Line]:
    """All about the finding, one line for each; the fix as it is to be typed."""
    if finding is None:
        return
    for name, texts in sections(finding):
        style = {"found": "plain", "fix": "accent"}.get(name, "quiet")
        for number, line in enumerate(texts):
            yield ((f" {name if not number else '':<7}", "title"), (fmt.literal(line, context.glyphs), style))
