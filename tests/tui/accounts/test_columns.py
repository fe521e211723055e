"""The columns of the home screen: chosen, moved, slid, remembered."""

from __future__ import annotations

from pathlib import Path

from mailquota.tui.desk.account_columns import COLUMNS, USUAL
from mailquota.tui.desk.memory import Memory
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE


def shown(stage: Stage) -> list[str]:
    """The keys of the columns on the screen."""
    return [place.column.key for place in stage.home.pane.table.placed]


def header(stage: Stage) -> str:
    """The line of titles."""
    return next(line for line in stage.lines() if " Account " in line and "✓" not in line)


def test_choosing_columns() -> None:
    """The table behind follows each key; Esc closes, and the choice stays."""

    async def scene(stage: Stage) -> None:
        assert "limit" in shown(stage)
        await stage.press("c")
        await stage.sees("Columns", "✓ Account", "always shown")
        await stage.press("space")
        assert shown(stage)[0] == "address"
        await stage.press("j", "j", "j")
        await stage.sees("Limit: ")
        await stage.press("space")
        assert "limit" not in shown(stage)
        assert "Limit" not in header(stage)
        await stage.press("end", "space")
        assert stage.home.pane.table.columns[-1].key == "level"
        await stage.press("escape")
        await stage.loses("✓ Account")
        await stage.press("j")
        assert stage.row.address == "b@example.org"

    play(scene, rows=FIVE, size=(200, 50))


def test_moving_columns() -> None:
    """With Shift and the arrows, or J and K; the address stays the first. ``d`` brings back the usual ones."""

    async def scene(stage: Stage) -> None:
        await stage.press("c", "j", "shift+down")
        await stage.until(lambda: shown(stage)[:3] == ["address", "used", "use"], "moved")
        await stage.press("shift+up", "shift+up", "K")
        assert shown(stage)[:3] == ["address", "use", "used"]
        await stage.press("k", "J", "shift+down")
        assert shown(stage)[0] == "address"
        await stage.press("G", "space", "d")
        assert stage.home.pane.table.columns == USUAL
        assert stage.app.desk.memory.kept.columns == ()

    play(scene, rows=FIVE)


def test_a_click_shows_or_hides() -> None:
    """A column of the list."""

    async def scene(stage: Stage) -> None:
        await stage.press("c")
        await stage.sees("✓ Used")
        y, line = next((y, line) for y, line in enumerate(stage.lines()) if "✓ Used" in line)
        await stage.pilot.click(offset=(line.index("✓ Used") + 3, y))
        await stage.until(lambda: "used" not in shown(stage), "hidden")

    play(scene, rows=FIVE)


def test_sliding_at_80_columns() -> None:
    """Left and Right bring in what has no room; signs in the header say that there is more."""

    async def scene(stage: Stage) -> None:
        assert header(stage).rstrip().endswith("›")
        assert "‹" not in header(stage)  # noqa: RUF001
        seen = set(shown(stage))
        for _ in COLUMNS:
            await stage.press("right")
            seen.update(shown(stage))
            assert "‹" in header(stage)  # noqa: RUF001
            assert " a@example.org" in stage.text()
        assert seen == {column.key for column in USUAL}
        assert "›" not in header(stage)
        for _ in COLUMNS:
            await stage.press("left")
        assert "‹" not in header(stage)  # noqa: RUF001
        assert "left" in shown(stage)

    play(scene, rows=FIVE, size=(80, 24))


def test_sliding_ends_where_there_is_room() -> None:
    """After the terminal became wider."""

    async def scene(stage: Stage) -> None:
        await stage.press(*["right"] * 20)
        await stage.pilot.resize_terminal(250, 50)
        await stage.until(lambda: set(shown(stage)) == {column.key for column in USUAL}, "shows all")
        assert not {"‹", "›"} & set(header(stage))  # noqa: RUF001

    play(scene, rows=FIVE, size=(80, 24))


def test_columns_and_order_are_there_again(tmp_path: Path) -> None:
    """In the next run; what the file has of unknown columns is left out."""

    def memory() -> Memory:
        found = Memory(str(tmp_path))
        found.load()
        return found

    async def change(stage: Stage) -> None:
        await stage.press("less_than_sign", "I", "c", "j", "space", "escape")
        stage.app.desk.memory.write()

    async def again(stage: Stage) -> None:
        assert "use" not in shown(stage)
        assert stage.order == ["e@example.net", "d@example.net", "c@example.net", "b@example.org", "a@example.org"]
        await stage.sees("Account ▼")

    async def unknown(stage: Stage) -> None:
        assert shown(stage) == ["address", "used"]
        await stage.sees("Usage" if "use" in shown(stage) else "Used")
        assert stage.order[0] == "a@example.org"

    play(change, rows=FIVE, memory=memory())
    play(again, rows=FIVE, memory=memory())
    (tmp_path / "console.toml").write_text('columns = ["used", "of another version"]\nsort = "that too"\n')
    play(unknown, rows=FIVE, memory=memory())
