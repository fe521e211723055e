"""A replay in the console: the same screens, a badge, its own keys, and nothing that can be changed."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.message_pump import MessagePump

import mailquota.tui
from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.times import local_time
from mailquota.core.doctor.model import Finding
from mailquota.core.recordings.player import Player
from mailquota.core.recordings.reading import open_file
from mailquota.tui.desk.modes import MODES
from mailquota.tui.draw.glyphs import UNICODE
from mailquota.tui.frame.help import keys_of
from tests.core.recordings.made import ANNA, JOHN, NIGHT, night, write
from tests.tui.stage import Driven, Stage, make_app, play, start_tasks_as_textual_does


def nothing_to_examine() -> list[Finding]:
    raise MailquotaError("a replay shows the past, and the doctor examines the present")


class Cinema(Driven):
    """A console on a replay; its clock is moved by the test."""

    time: list[float]

    async def pass_time(self, seconds: float) -> None:
        """Move the clock of the replay."""
        self.time[0] += seconds
        await self.pilot.pause()

    async def shows(self, seconds: float, *words: str) -> None:
        """Until the head has this time of the recording."""
        await self.sees("REPLAY", local_time(NIGHT + seconds), *words)


def watch(
    folder: Path, scene: Callable[[Cinema], Awaitable[None]], size: tuple[int, int] = (120, 32), periods: int = 6
) -> None:
    """A scene on the replay of a night."""

    async def run() -> None:
        time = [0.0]
        recording = open_file(str(write(folder, night(periods))))
        player = Player(recording, steady=lambda: time[0])
        app = make_app(player.connect, embedded=False, clock=player.now, examine=nothing_to_examine)
        start_tasks_as_textual_does()
        async with app.run_test(size=size) as pilot:
            cinema = Cinema(app, pilot)
            cinema.time = time
            await cinema.loaded()
            await cinema.shows(0)
            await scene(cinema)
        await player.close()
        recording.close()

    asyncio.run(run())


def test_time_passes(tmp_path: Path) -> None:
    """Badge and time in the head; accounts and decisions as they were."""

    async def scene(cinema: Cinema) -> None:
        await cinema.sees(JOHN, ANNA, "81 %", "No decisions yet")
        await cinema.loses("ENFORCING", "READ-ONLY", "ATTACHED")
        await cinema.pass_time(22.0)
        await cinema.sees("82 %", "billing@shop.example", "refused")
        await cinema.shows(22)

    watch(tmp_path, scene)


@pytest.mark.parametrize("size", [(80, 24), (120, 32)])
def test_its_keys(tmp_path: Path, size: tuple[int, int]) -> None:
    async def scene(cinema: Cinema) -> None:
        await cinema.sees("p Pause", ". Step")
        await cinema.press("p")
        await cinema.sees("PAUSED")
        await cinema.pass_time(15.0)
        await cinema.press("full_stop", "full_stop", "full_stop")
        await cinema.shows(30, "83 %", "PAUSED")
        await cinema.press("comma")
        await cinema.shows(20, "82 %")
        await cinema.press("right_curly_bracket", "right_curly_bracket")
        await cinema.sees("5x")
        await cinema.pass_time(3.0)
        await cinema.shows(35)
        await cinema.press("left_curly_bracket")
        await cinema.sees("2x")
        await cinema.press("right_parenthesis")
        await cinema.shows(60, "END", "86 %")
        await cinema.press("left_parenthesis")
        await cinema.shows(0, "81 %", "No decisions yet")

    watch(tmp_path, scene, size)


def test_a_jump(tmp_path: Path) -> None:
    """To a time; what is not recorded is refused with what is."""

    async def scene(cinema: Cinema) -> None:
        await cinema.until(lambda: cinema.app.replay is not None, "knows where it is")
        await cinema.press("at")
        await cinema.sees("Jump to", f"Recorded from {local_time(NIGHT)} to {local_time(NIGHT + 60)}")
        await cinema.paste("2 days ago")
        await cinema.press("enter")
        await cinema.sees("not a date")
        await cinema.press("home", "shift+end")
        await cinema.paste("2001-01-01 10:00")
        await cinema.press("enter")
        await cinema.sees("is not recorded")
        await cinema.press("home", "shift+end")
        await cinema.paste(local_time(NIGHT + 45)[11:])
        await cinema.press("enter")
        await cinema.shows(45, "84 %")

    watch(tmp_path, scene)


def test_decisions_forget_what_is_still_to_come(tmp_path: Path) -> None:
    """After a jump back; the same key holds the replay there, not the list."""

    async def scene(cinema: Cinema) -> None:
        await cinema.press("3")
        await cinema.press("right_parenthesis")
        await cinema.until(lambda: cinema.text().count("billing@shop") == 10 + 1, "ten, and the one below")
        await cinema.press("left_parenthesis")
        await cinema.loses("billing@shop")
        await cinema.press("full_stop", "full_stop")
        await cinema.until(lambda: cinema.text().count("billing@shop") == 2 + 1, "two, and the one below")
        await cinema.press("p")
        await cinema.loses("PAUSED")
        await cinema.pass_time(3.0)
        await cinema.until(lambda: cinema.text().count("billing@shop") == 3 + 1, "three, and the one below")

    watch(tmp_path, scene)


def test_nothing_can_be_changed_and_it_is_said_why(tmp_path: Path) -> None:
    async def scene(cinema: Cinema) -> None:
        for key in ("e", "r", "t", "w", "U"):
            await cinema.press(key)
            await cinema.sees("A replay shows what was recorded")
            assert len(cinema.app.screen_stack) == 1

    watch(tmp_path, scene)


def test_all_screens(tmp_path: Path) -> None:
    """Each shows what was known then, or says why it can't."""

    async def scene(cinema: Cinema) -> None:
        await cinema.press("right_parenthesis")
        await cinema.press("5")
        await cinema.sees("ticket 4711")
        await cinema.press("4")
        await cinema.sees("80 % full")
        await cinema.press("2")
        await cinema.sees("example.org", "example.com")
        await cinema.press("6")
        await cinema.sees("the doctor examines the present")
        await cinema.press("3", "enter")
        await cinema.sees("it shows what was recorded, and changes nothing")
        await cinema.press("escape", "1", "enter")
        await cinema.sees("not recorded", "ticket 4711")

    watch(tmp_path, scene)


def test_no_method_is_called_by_a_key_without_a_binding() -> None:
    """Textual calls ``key_at`` of a widget that has the focus when @ is pressed, and so on: nobody means that here."""
    for found in pkgutil.walk_packages(mailquota.tui.__path__, "mailquota.tui."):
        importlib.import_module(found.name)
    classes, waiting = set[type](), [MessagePump]
    while waiting:
        waiting += [each for each in waiting.pop().__subclasses__() if each not in classes]
        classes |= set(waiting)
    ours = [each for each in classes if each.__module__.startswith("mailquota.")]
    assert len(ours) > 50
    named = [
        f"{each.__qualname__}.{name}" for each in ours for name in vars(each) if name.startswith(("key_", "_key_"))
    ]
    assert not named


def test_the_key_of_a_jump_does_nothing_with_an_engine() -> None:
    """It ended the console on each screen with a table."""

    async def scene(stage: Stage) -> None:
        for mode in MODES:
            await stage.press(mode.key, "at")
        assert stage.app.is_running

    play(scene)


def test_an_engine_has_none_of_these_keys() -> None:
    async def scene(stage: Stage) -> None:
        words = {words for keys in keys_of(stage.app.screen, UNICODE).values() for _key, words in keys}
        assert "hold all screens still, or let them go on" in words
        assert not any("replay" in each or "and hold" in each for each in words)
        await stage.press("full_stop", "at", "right_curly_bracket")
        assert len(stage.app.screen_stack) == 1

    play(scene)
