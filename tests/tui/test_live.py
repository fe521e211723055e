"""The table while things change: the cursor, the decisions, how little is drawn."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from textual.geometry import Region
from textual.strip import Strip

from mailquota.core.base.model import AccountRow
from mailquota.core.control.messages import Decisions, Delta
from mailquota.core.control.results import DecisionRow
from mailquota.tui.draw import format as fmt
from mailquota.tui.widgets.painted import Painted
from tests.tui import world
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE, MIB


def test_only_visible_lines_are_ever_drawn() -> None:
    """Ten thousand accounts cost no more lines than the screen has."""

    async def scene(stage: Stage) -> None:
        drawn: list[int] = []
        table = stage.home.pane.table
        render = table.render_line

        def noted(y: int) -> Strip:
            drawn.append(y)
            return render(y)

        table.render_line = noted  # type: ignore[method-assign]
        await stage.press("pagedown", "G", "g")
        assert max(drawn) < table.size.height
        assert len(drawn) <= 4 * table.size.height

    play(scene, rows=10_000)


def test_the_cursor_follows_its_account() -> None:
    """Through a refresh that moves it, one that moves others, and sorting; not the line number."""

    async def scene(stage: Stage) -> None:
        await stage.press("j")
        assert stage.row.address == "b@example.org"
        stage.engine.change(AccountRow("b@example.org", 100 * MIB, 99 * MIB))
        await stage.until(lambda: stage.order[0] == "b@example.org", "moves up")
        assert stage.row.address == "b@example.org"
        stage.engine.change(AccountRow("new@example.org", 100 * MIB, 100 * MIB))
        await stage.until(lambda: stage.order[0] == "new@example.org", "another comes above")
        assert stage.row.address == "b@example.org"
        await stage.press("less_than_sign", "less_than_sign")
        await stage.until(lambda: stage.order[0] == "a@example.org", "sorts by address")
        assert stage.row.address == "b@example.org"

    play(scene, rows=FIVE)


def test_the_cursor_stays_on_its_line_of_the_screen() -> None:
    """While accounts come in above it."""

    async def scene(stage: Stage) -> None:
        await stage.press(*["pagedown"] * 3)
        address = stage.row.address
        line = next(number for number, text in enumerate(stage.lines()) if f" {address} " in text)
        worse = [AccountRow(f"worse{number}@example.org", MIB, 3 * MIB) for number in range(10)]
        stage.engine.change(*worse)
        await stage.until(lambda: "worse0@example.org" in stage.order, "came")
        await stage.pilot.pause()
        assert stage.row.address == address
        assert f" {address} " in stage.lines()[line]

    play(scene, rows=300)


def test_an_account_that_goes_away_leaves_the_cursor_where_it_was() -> None:
    """On the next one; on the last if there is none."""

    async def scene(stage: Stage) -> None:
        await stage.press("j")
        stage.engine.change(removed=("b@example.org",))
        await stage.loses("b@example.org")
        assert stage.row.address == "c@example.net"
        stage.engine.change(removed=("c@example.net", "d@example.net", "e@example.net"))
        await stage.loses("c@example.net")
        assert stage.row.address == "a@example.org"
        stage.engine.change(removed=("a@example.org",))
        await stage.sees("No accounts.")

    play(scene, rows=FIVE)


def test_the_engine_is_told_which_accounts_are_on_the_screen() -> None:
    """So that it measures them each second; told again when others come into view."""

    async def scene(stage: Stage) -> None:
        height = stage.home.pane.table.size.height
        await stage.until(lambda: stage.engine.watched == stage.order[:height], "watches the first page")
        await stage.press("G")
        await stage.until(lambda: stage.engine.watched == stage.order[-height:], "watches the last page")

    play(scene, rows=300)


def test_decisions_appear_newest_first() -> None:
    """Live, with what was not shown under load."""

    async def scene(stage: Stage) -> None:
        await stage.sees("No decisions yet")
        for number in range(20):
            row = DecisionRow(world.NOW + number, "accept", f"to{number}@example.org", "", "", "", 1, 1)
            stage.engine.tell(Decisions([row], skipped=1))
        await stage.sees("to19@example.org", "20 more under load")
        lines = [line for line in stage.lines() if "→ to" in line]
        assert "to19" in lines[0]
        assert "to18" in lines[1]

    play(scene)


def test_an_idle_second_draws_the_clock_and_the_age_under_the_cursor_and_nothing_else() -> None:
    """Over a slow line every byte counts."""

    async def scene(stage: Stage) -> None:
        await stage.pilot.pause()
        drawn: list[tuple[Painted, Region]] = []
        for widget in stage.app.screen.query(Painted):
            widget.refresh = _noting(widget, drawn)  # type: ignore[method-assign]
        stage.pass_time(1)
        await stage.pilot.pause()
        (head, clock), (detail, _line) = drawn
        assert clock.width == 8
        text = "".join(text for text, _look in head.lines[0])
        assert text[clock.x : clock.right] == fmt.clock(world.NOW + 1)
        assert detail.id == "detail"

    play(scene)


def _noting(widget: Painted, drawn: list[tuple[Painted, Region]]) -> Callable[..., Painted]:
    refresh = widget.refresh

    def noted(*regions: Region, **options: bool) -> Painted:
        drawn.extend((widget, region) for region in regions)
        return refresh(*regions, **options)

    return noted


def test_a_storm_of_changes_costs_few_redraws() -> None:
    """A thousand deltas are a handful of reloads, and the last one wins."""

    async def scene(stage: Stage) -> None:
        reloads: list[int] = []
        table = stage.home.pane.table
        reload = table.reload

        def noted() -> None:
            reloads.append(1)
            reload()

        table.reload = noted  # type: ignore[method-assign]
        for number in range(1000):
            stage.engine.tell(Delta([AccountRow("a@example.org", 1000 * MIB, number * MIB)], []))
        await stage.sees("99 %", "999 MiB")
        assert len(reloads) < 10

    play(scene, rows=FIVE)


def test_a_cursor_that_nobody_moved_stays_in_the_first_row() -> None:
    """While accounts are measured that were unknown at the start: the worst are at the top, and are seen."""
    rows = [AccountRow(f"a{number:04}@example.org", 100 * MIB) for number in range(600)]

    async def scene(stage: Stage) -> None:
        table = stage.home.pane.table
        for number, row in enumerate(rows):  # the first of the list is the emptiest
            stage.engine.change(msgspec.structs.replace(row, used_bytes=number * MIB // 6))
        await stage.until(lambda: stage.order[0] == "a0599@example.org", "is sorted")
        await stage.until(lambda: stage.order[-1] == "a0000@example.org", "is sorted")
        await stage.pilot.pause()
        assert (table.index, table.scroll_offset.y) == (0, 0)
        assert stage.row.address == "a0599@example.org"
        await stage.press("j")
        moved = stage.row.address
        stage.engine.change(AccountRow("new@example.org", MIB, 2 * MIB))
        await stage.until(lambda: stage.order[0] == "new@example.org", "comes above")
        assert stage.row.address == moved

    play(scene, rows=rows)
