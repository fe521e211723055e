"""Esc after an order was sent: it is said that it can't be called back, and its result is told, wherever one is."""

from __future__ import annotations

import pytest

from mailquota.core.control.messages import EmptyTrash, SetLimit, Undo, Warn
from tests.tui.fake_engine import FakeEngine
from tests.tui.journal.test_screen import entry, with_journal
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE, MIB


async def edit(stage: Stage) -> None:
    """A limit."""
    await stage.press("e")
    await stage.paste("200M")
    await stage.press("enter")
    await stage.sees("Setting …")


async def undo(stage: Stage) -> None:
    """The last edit, against what is to be said."""
    await stage.press("U")
    await stage.sees("Take back", "below the present usage")
    await stage.press("left", "enter")
    await stage.sees("Taking back …")


async def warn(stage: Stage) -> None:
    """One account."""
    await stage.press("w")
    await stage.sees("Subject")
    await stage.press("enter")
    await stage.sees("Sending …")


CASES = [
    pytest.param(edit, SetLimit, "The limit of a@example.org is now 200 MiB", id="edit"),
    pytest.param(undo, Undo, "The limit of a@example.org is 50 MiB again", id="undo"),
    pytest.param(warn, Warn, "a@example.org: ", id="warn"),
]


def held(kind: type) -> object:
    """An engine that answers such orders only when it is let."""

    def prepare(engine: FakeEngine) -> None:
        with_journal(entry(1))(engine)
        engine.holding = kind
        engine.held.clear()

    return prepare


@pytest.mark.parametrize(("begin", "kind", "words"), CASES)
def test_esc_says_that_the_order_is_sent(begin, kind, words) -> None:  # type: ignore[no-untyped-def]
    """The dialog stays, and ends with the result."""

    async def scene(stage: Stage) -> None:
        await begin(stage)
        await stage.press("escape")
        await stage.sees("The order is sent and can't be called back")
        stage.engine.held.set()
        await stage.sees(words)
        await stage.loses("The order is sent")

    play(scene, rows=FIVE, prepare=held(kind))  # type: ignore[arg-type]


@pytest.mark.parametrize(("begin", "kind", "words"), CASES)
def test_the_result_is_told_after_the_dialog_is_closed(begin, kind, words) -> None:  # type: ignore[no-untyped-def]
    """Also on another screen; and what went wrong."""

    async def scene(stage: Stage) -> None:
        await begin(stage)
        await stage.press("escape", "escape")
        await stage.until(lambda: len(stage.app.screen_stack) == 1, "is closed")
        await stage.press("2")
        await stage.sees("of the disk")
        stage.engine.held.set()
        await stage.sees(words)

    play(scene, rows=FIVE, prepare=held(kind))  # type: ignore[arg-type]


def test_a_failure_is_told_after_the_dialog_is_closed() -> None:
    """In the engine's words."""

    async def scene(stage: Stage) -> None:
        await edit(stage)
        await stage.press("escape", "escape")
        await stage.until(lambda: len(stage.app.screen_stack) == 1, "is closed")
        stage.engine.failing[SetLimit] = "the accounts database is away"
        stage.engine.held.set()
        await stage.sees("the accounts database is away")
        assert stage.engine.rows["a@example.org"].limit_bytes == 100 * MIB

    play(scene, rows=FIVE, prepare=held(SetLimit))  # type: ignore[arg-type]


def test_trash_that_is_being_emptied() -> None:
    """Cancel is pressed by its button, too."""
    rows = [FIVE[0].__class__("a@example.org", 100 * MIB, 90 * MIB, 9, 3 * MIB, 3), *FIVE[1:]]

    async def scene(stage: Stage) -> None:
        await stage.press("t")
        await stage.sees("Messages    3,")
        stage.engine.holding = EmptyTrash
        stage.engine.held.clear()
        await stage.press("left", "enter")
        await stage.sees("Removing …")
        await stage.press("escape")
        await stage.sees("can't be called back")
        await stage.press("escape")
        await stage.until(lambda: len(stage.app.screen_stack) == 1, "is closed")
        stage.engine.held.set()
        await stage.sees("a@example.org: 3 messages", "removed from Trash")

    play(scene, rows=rows)
