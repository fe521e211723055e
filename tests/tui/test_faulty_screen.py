"""A screen that fails or hangs, over an engine in the same process: who asks the policy server notices nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from mailquota.core.commands.options import Common
from mailquota.core.engine.serve import Embedded
from mailquota.tui.accounts.screen import AccountsScreen
from mailquota.tui.command import _connect_to, open_console
from tests.core.engines import embedded, inner, measured
from tests.core.traffic import Traffic
from tests.core.worlds import FULL, JOHN, SmallWorld
from tests.tui.places import ScenePlay, play_on
from tests.tui.stage import Driven

pytestmark = pytest.mark.usefixtures("patient")

MORE = 1000  # answers while nothing else goes on


def show(engine: Embedded, scene: ScenePlay) -> None:
    """A console as the command makes it, without a terminal."""
    play_on(_connect_to(engine, Common(open_console)), scene, embedded=True)


@pytest.mark.parametrize("method", ["tick", "arrived", "show"])
def test_an_exception_in_a_screen_harms_no_answer(
    small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """It ends the console. The engine goes on, and has room for another one."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    async def breaks(console: Driven) -> None:
        monkeypatch.setattr(AccountsScreen, method, fail)
        await console.until(lambda: not console.app.is_running, "ends")

    async def sees_all(console: Driven) -> None:
        await console.sees(JOHN, FULL)

    with embedded(small_world) as engine, Traffic(measured_world(engine, small_world), 3) as traffic:
        traffic.wait_for_more()
        with pytest.raises(ZeroDivisionError):
            show(engine, breaks)
        traffic.wait_for_more(MORE)
        monkeypatch.undo()
        show(engine, sees_all)
        traffic.wait_for_more()
    assert not traffic.wrong


def measured_world(engine: Embedded, world: SmallWorld) -> SmallWorld:
    """The same once its mailboxes are known."""
    measured(engine)
    return world


def sleep(until: Callable[[], bool]) -> None:
    """As in a call that waits."""
    while not until():
        time.sleep(0.01)


def spin(until: Callable[[], bool]) -> None:
    """As in a computation that takes ages."""
    while not until():
        pass


def note_tidings(engine: Embedded, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each time that the engine has told its consoles what is new."""
    told: list[int] = []
    publish = inner(engine).publisher.publish

    def noting() -> None:
        publish()
        told.append(1)

    monkeypatch.setattr(inner(engine).publisher, "publish", noting)
    return told


@pytest.mark.parametrize("freeze", [sleep, spin])
def test_a_frozen_screen_holds_up_no_answer(
    small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch, freeze: Callable[[Callable[[], bool]], None]
) -> None:
    """Its thread stands still while tidings wait for it and a thousand are answered; then it shows what came."""
    frozen: list[str] = []

    def hang(_screen: AccountsScreen) -> None:
        if not frozen:
            frozen.append(threading.current_thread().name)
            small_world.deliver(JOHN, 3000)
            tidings = len(told) + 3
            freeze(lambda: len(told) >= tidings or bool(traffic.wrong))
            wanted = traffic.answers + MORE
            freeze(lambda: traffic.answers >= wanted or bool(traffic.wrong))

    async def scene(console: Driven) -> None:
        monkeypatch.setattr(AccountsScreen, "tick", hang)
        await console.until(lambda: frozen, "hangs, and goes on")
        await console.until(lambda: console.home.pane.accounts.rows[JOHN].used_bytes == 7000, "the delivery")

    with embedded(small_world) as engine, Traffic(measured_world(engine, small_world), 3) as traffic:
        told = note_tidings(engine, monkeypatch)
        traffic.wait_for_more()
        show(engine, scene)
    assert frozen == [threading.current_thread().name]
    assert not traffic.wrong
