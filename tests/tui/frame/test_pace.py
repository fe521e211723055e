"""How often the screens draw: at once, every few seconds, not at all."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from mailquota.tui.desk.memory import Memory
from mailquota.tui.desk.pace import HURRY, PACES, Pace
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE, MIB


def test_every_draw_in_its_time() -> None:
    """Live is always due; a pause never is, but for the effect of an order."""
    pace = Pace()
    assert pace.due(0.0)
    pace.drawn(0.0)
    assert pace.due(0.0)
    pace.step(1)
    assert pace.seconds == PACES[1]
    pace.drawn(10.0)
    assert not pace.due(11.0)
    assert pace.due(12.0)
    pace.pause()
    assert (pace.due(99.0), pace.words) == (False, "PAUSED")
    pace.hurry(100.0)
    assert pace.due(100.0 + HURRY / 2)
    assert not pace.due(100.0 + HURRY)
    pace.pause()
    assert pace.due(100.0 + HURRY)
    for _ in PACES:
        pace.step(1)
    assert (pace.seconds, pace.words) == (PACES[-1], "every 30 s")
    for _ in PACES:
        pace.step(-1)
    assert (pace.seconds, pace.words) == (0.0, "")
    assert Pace(7.0).seconds == 0.0


def grow(stage: Stage, used: int) -> None:
    """The first account has another usage."""
    stage.engine.change(msgspec.structs.replace(FIVE[0], used_bytes=used))


async def arrives(stage: Stage) -> None:
    """What the engine sent is with the console."""
    await stage.until(lambda: stage.home.desk.session._changes.rows, "arrives")


def test_a_pace_holds_changes_back_until_it_is_time() -> None:
    """Then the last one is shown."""

    async def scene(stage: Stage) -> None:
        grow(stage, 50 * MIB)
        await stage.sees("50 MiB")
        await stage.press("plus", "plus")
        await stage.sees("every 5 s")
        stage.pass_time(1)
        for used in (61, 62):
            grow(stage, used * MIB)
        await arrives(stage)
        stage.pass_time(2)
        await stage.pilot.pause()
        assert "50 MiB" in stage.text()
        stage.pass_time(3)
        await stage.sees("62 MiB")
        await stage.press("minus", "minus")
        await stage.loses("every")
        grow(stage, 63 * MIB)
        await stage.sees("63 MiB")

    play(scene, rows=FIVE)


def test_a_pause_holds_everything_still() -> None:
    """Keys go on; the same key shows what came. A lost engine is told all the same."""

    async def scene(stage: Stage) -> None:
        await stage.press("p")
        await stage.sees(" PAUSED ")
        grow(stage, 51 * MIB)
        await arrives(stage)
        stage.pass_time(4)
        await stage.press("j")
        assert stage.row.address == "b@example.org"
        assert "51 MiB" not in stage.text()
        await stage.press("p")
        await stage.sees("51 MiB")
        await stage.loses("PAUSED")
        await stage.press("p")
        stage.engine.away = "gone"
        stage.engine.drop("shutting down")
        await stage.sees("LOST", "PAUSED")
        stage.pass_time(75)
        await stage.sees("LOST 1 min")

    play(scene, rows=FIVE)


def test_the_effect_of_an_order_is_shown_at_once() -> None:
    """Whatever the pace is."""

    async def scene(stage: Stage) -> None:
        await stage.press("p", "e")
        await stage.sees("Edit limit")
        await stage.paste("7G")
        await stage.press("enter")
        await stage.sees("7 GiB")

    play(scene, rows=FIVE)


@pytest.mark.parametrize("kept", ["pace = 5.0", "pace = 5"])
def test_the_pace_is_remembered(tmp_path: Path, kept: str) -> None:
    """A pause is not."""
    (tmp_path / "console.toml").write_text(kept)
    memory = Memory(str(tmp_path))
    memory.load()

    async def scene(stage: Stage) -> None:
        await stage.sees("every 5 s")
        await stage.press("plus", "p")
        await stage.sees("PAUSED")
        stage.app.desk.memory.write()

    play(scene, rows=FIVE, memory=memory)
    assert "pace = 10.0" in (tmp_path / "console.toml").read_text()
