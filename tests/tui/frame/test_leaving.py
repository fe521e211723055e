"""How the console ends, and what becomes of the engine."""

from __future__ import annotations

import pytest

from mailquota.core.control.messages import HandOver
from mailquota.tui.frame.leaving import Outcome
from mailquota.tui.frame.quit import asked
from tests.tui import world
from tests.tui.fake_engine import FakeEngine
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE


def handed_over(stage: Stage) -> bool:
    """Whether the engine was asked to."""
    return any(isinstance(order, HandOver) for order in stage.engine.orders)


def refuses(engine: FakeEngine) -> None:
    """An engine that can't."""
    engine.failing[HandOver] = "no python to start"


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
def test_quitting_asks_where_the_engine_is_embedded(key: str) -> None:
    """Enter is the default: the engine goes on in the background."""

    async def scene(stage: Stage) -> None:
        await stage.press(key)
        await stage.sees("Keep enforcing in the background", "Stop", "Stay")
        await stage.press("enter")
        await stage.until(lambda: handed_over(stage), "hands over")
        await stage.until(lambda: stage.app.return_value, "ends")

    assert play(scene, rows=FIVE) is Outcome.HANDED_OVER


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"requests": 0, "connections": 0}, "No request so far, 0 connections open."),
        (
            {"requests": 7, "connections": 1, "answers_per_second": 5.8},
            "Postfix gets 5.8 answers/s from this console over 1 connection.",
        ),
    ],
)
def test_the_question_says_what_postfix_asks(figures: dict[str, object], words: str) -> None:
    """How often, and over how many connections."""
    assert asked(world.status([], **figures)) == words


def test_the_question_is_whole_where_there_is_little_room() -> None:
    """With what comes of stopping."""

    def prepare(engine: FakeEngine) -> None:
        engine.status_changes.update(requests=0, connections=0)

    async def scene(stage: Stage) -> None:
        await stage.press("q")
        words = "No request so far, 0 connections open."
        await stage.until(lambda: words in flowing(stage), words)
        assert "Stop: Postfix then uses its default_action, or refuses mail if it has none." in flowing(stage)
        await stage.sees("Keep enforcing", "Stay")

    play(scene, rows=FIVE, prepare=prepare, size=(80, 24))
    play(scene, rows=FIVE, prepare=prepare, size=(40, 12))


def flowing(stage: Stage) -> str:
    """The text of the dialog without its lines."""
    return " ".join(" ".join(line.split("│")[1] if "│" in line else line for line in stage.lines()).split())


def test_stop() -> None:
    """The second choice."""

    async def scene(stage: Stage) -> None:
        await stage.press("q", "down", "enter")
        assert not handed_over(stage)

    assert play(scene, rows=FIVE) is Outcome.STOP


@pytest.mark.parametrize("keys", [("escape",), ("down", "down", "enter"), ("G",), ("j", "k", "escape")])
def test_stay(keys: tuple[str, ...]) -> None:
    """The third, and Esc; another key does nothing."""

    async def scene(stage: Stage) -> None:
        await stage.press("q", *keys)
        if keys != ("G",):
            await stage.loses("Keep enforcing")
        assert stage.app.is_running
        assert not handed_over(stage)

    assert play(scene, rows=FIVE) is None


def test_quitting_twice_asks_once() -> None:
    """Ctrl+C in the question is not an answer."""

    async def scene(stage: Stage) -> None:
        await stage.press("q", "ctrl+c", "ctrl+c")
        assert len(stage.app.screen_stack) == 2
        await stage.press("escape")
        assert len(stage.app.screen_stack) == 1

    assert play(scene, rows=FIVE) is None


def test_an_engine_that_can_not_hand_over_keeps_the_console() -> None:
    """It says why; one can still stop."""

    async def scene(stage: Stage) -> None:
        await stage.press("q", "enter")
        await stage.sees("could not hand over: no python to start")
        await stage.press("down", "enter")

    assert play(scene, rows=FIVE, prepare=refuses) is Outcome.STOP


def test_an_attached_console_leaves_at_once() -> None:
    """The engine elsewhere goes on."""

    async def scene(stage: Stage) -> None:
        await stage.press("q")

    assert play(scene, rows=FIVE, embedded=False) is Outcome.DETACHED


def test_a_demo_leaves_at_once() -> None:
    """There is nothing to lose."""

    async def scene(stage: Stage) -> None:
        await stage.press("q")
        assert not handed_over(stage)

    assert play(scene, rows=FIVE, demo=True) is Outcome.STOP


@pytest.mark.parametrize("method", ["tick", "arrived"])
def test_a_fault_in_a_screen_ends_the_console_and_nothing_else(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not swallowed; the engine is told nothing but that this console is gone."""
    engines: list[FakeEngine] = []

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    async def scene(stage: Stage) -> None:
        engines.append(stage.engine)
        monkeypatch.setattr(stage.home, method, fail)
        stage.engine.head()
        await stage.until(lambda: not stage.app.is_running, "ends")

    with pytest.raises(ZeroDivisionError):
        play(scene, rows=FIVE)
    assert not engines[0].orders


def test_ctrl_c_works_in_every_dialog() -> None:
    """Also in a field, where Textual would copy."""

    async def scene(stage: Stage) -> None:
        await stage.press("e", "ctrl+c")
        await stage.sees("Keep enforcing")
        await stage.press("escape")
        await stage.sees("New limit")

    play(scene, rows=FIVE)


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        pytest.param({}, Outcome.HANDED_OVER, id="embedded"),
        pytest.param({"prepare": refuses}, Outcome.LOST, id="embedded, can't hand over"),
        pytest.param({"embedded": False}, Outcome.DETACHED, id="attached"),
        pytest.param({"demo": True}, Outcome.STOP, id="demo"),
    ],
)
@pytest.mark.parametrize("keys", [(), ("e", "1"), ("q",)])
def test_a_lost_terminal_does_what_q_does_by_default(
    options: dict[str, object], outcome: Outcome, keys: tuple[str, ...]
) -> None:
    """Without asking, from wherever one was; told twice it is done once."""

    async def scene(stage: Stage) -> None:
        await stage.press(*keys)
        stage.app.leaving.terminal_lost()
        stage.app.leaving.terminal_lost()
        await stage.until(lambda: stage.app.return_value, "ends")
        assert sum(isinstance(order, HandOver) for order in stage.engine.orders) <= 1

    if keys == ("q",) and options.keys() & {"embedded", "demo"}:
        keys = ()
    assert play(scene, rows=FIVE, **options) is outcome  # type: ignore[arg-type]
