"""Findings in words, and the columns of their table. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mailquota.core.base.model import Level
from mailquota.core.base.units import format_count
from mailquota.core.doctor.model import ORDER, Finding, State
from mailquota.core.doctor.report import SUMS, WORDS, sections
from mailquota.tui.desk.tiles import Tile
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.format import Line, Run
from mailquota.tui.draw.grid import Column, Look, text_cell

LEAD = 3  # cells: blank, sign, blank
LOOKS: dict[State, str] = {"fail": "over", "warn": "near", "skip": "quiet", "ok": "ok"}
_LEVELS: dict[State, Level] = {"fail": Level.OVER, "warn": Level.NEAR, "skip": Level.UNKNOWN, "ok": Level.OK}


def sign(state: State, look: Look) -> str:
    """The same signs as those of the accounts: what needs a person is known at a glance."""
    return look.glyphs.levels[_LEVELS[state]]


def lead(finding: Finding, look: Look) -> Line:
    """The sign of its state."""
    return ((f" {sign(finding.state, look)} ", LOOKS[finding.state]),)


def _state(finding: Finding, _look: Look) -> Run:
    return WORDS[finding.state], LOOKS[finding.state]


def _name(finding: Finding, look: Look) -> Run:
    return fmt.literal(finding.check, look.glyphs), "quiet" if finding.state == "ok" else "plain"


def _found(finding: Finding, look: Look) -> Run:
    text = " ".join(finding.found.split())
    return fmt.literal(text, look.glyphs), "quiet" if finding.state == "ok" else "plain"


COLUMNS: tuple[Column[Finding], ...] = (
    Column("state", "State", 5, 2, text_cell(_state)),
    Column("check", "Check", 20, 1, text_cell(_name), good=29, most=30),
    Column("found", "Found", 30, 0, text_cell(_found), good=50, most=170),
)


def text(finding: Finding) -> str:
    """What a filter looks into."""
    return f"{finding.state}\n{finding.check}\n{finding.found}\n{finding.why}\n{finding.fix}"


def totals(findings: Sequence[Finding], look: Look) -> tuple[Tile, ...]:
    """How many of each state; those that nobody is in are left out, but for what failed."""
    states = [finding.state for finding in findings]
    tiles = []
    for priority, state in enumerate(ORDER):
        number = states.count(state)
        if findings and (number or state == "fail"):
            style = LOOKS[state] if number and state != "ok" else "quiet"
            words = f"{sign(state, look)} {format_count(number)} {SUMS[state]}"
            tiles.append(Tile(state, priority, ((words, style),)))
    return tuple(tiles)


def detail(finding: Finding | None, look: Look) -> Iterator[Line]:
    """Everything about the finding under the cursor; the fix as it is typed."""
    if finding is None:
        return
    for name, texts in sections(finding):
        style = {"found": "plain", "fix": "accent"}.get(name, "quiet")
        for number, line in enumerate(texts):
            yield ((f" {name if not number else '':<7}", "title"), (fmt.literal(line, look.glyphs), style))
