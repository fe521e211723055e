"""The strip below the accounts: refusals are seen, whatever else is accepted."""

from __future__ import annotations

import msgspec
import pytest

from mailquota.core.control.results import DecisionRow
from mailquota.tui.accounts.strip import FRESH, NOT_TAKEN, decision_line, first
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.glyphs import ASCII, UNICODE
from mailquota.tui.draw.grid import Context
from tests.tui import world
from tests.tui.fake_engine import FakeEngine
from tests.tui.stage import Stage, play

NOW = world.NOW
SENDERS = ("x@y.example", "a.very.long.name@of.some.host.example.org", "")


def decided(verdict: str, age: float, sender: str = "x@y.example") -> DecisionRow:
    """A decision on mail for John, so many seconds ago."""
    return DecisionRow(NOW - age, verdict, "john@example.org", "john@example.org", sender, "mx[192.0.2.1]", 4800, 61)


def test_refusals_come_first() -> None:
    """Those of the last hour, the newest first; then the newest of all others."""
    rows = [decided("accept", age) for age in range(1, 100)]
    rows += [decided("over_quota", 100), decided("trouble", 200), decided("too_large", FRESH + 1)]
    shown = first(rows, 5, NOW)
    assert [(row.verdict, NOW - row.at) for row in shown] == [
        ("over_quota", 100), ("trouble", 200), ("accept", 1), ("accept", 2), ("accept", 3)
    ]  # fmt: skip


def test_one_line_is_for_other_mail() -> None:
    """So that a flood of refusals does not look as if nothing else came."""
    rows = [decided("over_quota", age) for age in range(50)]
    assert [row.verdict for row in first(rows, 3, NOW)] == ["over_quota"] * 3
    assert [row.verdict for row in first([decided("accept", 0), *rows], 3, NOW)] == [
        "over_quota",
        "over_quota",
        "accept",
    ]
    assert first([], 3, NOW) == []
    assert [row.verdict for row in first([decided("accept", 5)], 3, NOW)] == ["accept"]


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
@pytest.mark.parametrize("width", [60, 80, 99, 100, 120, 200])
def test_addresses_stand_below_each_other(width: int, glyphs: object) -> None:
    """The arrow is in the same cell of every line, and both addresses are there."""
    assert isinstance(glyphs, type(UNICODE))
    context, places = Context(NOW, glyphs), set()
    for verdict in (*NOT_TAKEN, "accept"):
        for sender in SENDERS:
            line = decision_line(decided(verdict, 0, sender), width, context)
            text = "".join(part for part, _look in line)
            assert fmt.width_of(line) <= width
            assert "john@" in text
            places.add(text.index(f" {glyphs.arrow} "))
    assert len(places) == 1


def test_on_the_screen() -> None:
    """The rule says what stands where."""

    def prepare(engine: FakeEngine) -> None:
        rows = [decided("over_quota", 900, "late@z.example"), *(decided("accept", 60 - age) for age in range(50))]
        engine.backlog = [msgspec.structs.replace(row, micros=70) for row in rows]

    async def scene(stage: Stage) -> None:
        await stage.sees("Decisions · refusals of the last hour first", "late@z.example")
        lines = stage.lines()
        rule = next(number for number, line in enumerate(lines) if "─ Decisions ·" in line)
        assert "refused full" in lines[rule + 1]
        assert "accepted" in lines[rule + 2]

    play(scene, prepare=prepare, size=(80, 24))
