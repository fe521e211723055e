"""The faces of the home screen: loading, empty, failed, read-only."""

from __future__ import annotations

import msgspec
import pytest

from mailquota.tui.desk.session import State
from tests.tui.fake_engine import FakeEngine
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE


def test_loading_says_how_far_it_is() -> None:
    """The first face of the table."""

    def prepare(engine: FakeEngine) -> None:
        engine.snapshots = False

    async def scene(stage: Stage) -> None:
        await stage.sees("Loading accounts")
        stage.engine.snapshot()
        stage.engine.head()
        await stage.sees("a@example.org", "5 accounts")

    play(scene, rows=FIVE, prepare=prepare, loaded=False)


def test_no_accounts_at_all() -> None:
    """The empty face."""

    async def scene(stage: Stage) -> None:
        await stage.sees("No accounts.")
        await stage.press("e", "r", "t", "enter", "space", "y", "j", "G")
        assert len(stage.app.screen_stack) == 1
        stage.engine.change(*FIVE)
        await stage.sees("a@example.org")

    play(scene, rows=[], loaded=False)


def test_an_engine_that_goes_away_leaves_the_last_good_data_with_their_age() -> None:
    """The failed face; it comes back by itself."""

    async def scene(stage: Stage) -> None:
        stage.engine.away = "no engine answers on /run/control.sock"
        stage.engine.drop("shutting down")
        await stage.sees("LOST", "a@example.org")
        stage.pass_time(75)
        await stage.sees("LOST 1 min", "as of ", "no engine answers on /run/control.sock")
        stage.engine.away = ""
        stage.engine.rows.pop("b@example.org")
        await stage.loses("LOST", "b@example.org")
        await stage.sees("a@example.org")

    play(scene, rows=FIVE, embedded=False)


def test_an_engine_that_was_never_there() -> None:
    """The console says so and goes on trying."""

    def prepare(engine: FakeEngine) -> None:
        engine.away = "no engine answers"

    async def scene(stage: Stage) -> None:
        await stage.sees("No engine.", "no engine answers")
        stage.engine.away = ""
        await stage.sees("a@example.org")

    play(scene, rows=FIVE, prepare=prepare, loaded=False, embedded=False)


def test_a_silent_engine_is_shown_as_lost() -> None:
    """Even though the connection stands."""

    async def scene(stage: Stage) -> None:
        stage.pass_time(8)
        await stage.sees("LOST 8 s", "the engine is silent")
        stage.engine.head()
        await stage.loses("LOST")

    play(scene, rows=FIVE)


@pytest.mark.parametrize("back", [86400.0, -86400.0])
def test_a_clock_that_is_turned_is_no_silence(back: float) -> None:
    """Nor does it keep silence from being seen, or its age from growing."""

    async def scene(stage: Stage) -> None:
        stage.set_back(back)
        assert stage.app.desk.session.state is State.LIVE
        stage.pass_time(8)
        stage.set_back(back)
        await stage.sees("LOST 8 s", "the engine is silent")

    play(scene, rows=FIVE)


def test_a_message_goes_though_the_clock_is_set_back() -> None:
    """After the time that it has."""

    async def scene(stage: Stage) -> None:
        await stage.press("e")
        await stage.paste("200M")
        await stage.press("enter")
        await stage.sees("is now 200 MiB")
        stage.set_back(86400.0)
        stage.pass_time(11)
        await stage.loses("is now 200 MiB")

    play(scene, rows=FIVE)


def test_read_only_keys_that_change_something_say_why_they_do_not() -> None:
    """They stay in the foot, and open nothing."""

    async def scene(stage: Stage) -> None:
        await stage.sees("READ-ONLY")
        for key in "ertwU":
            await stage.press("j", key)
            await stage.sees("Read-only: this console was started with --read-only", "e Limit", "r Recount")
            assert len(stage.app.screen_stack) == 1
        await stage.press("enter")
        await stage.sees("Aliases of this mailbox")
        assert [type(order).__name__ for order in stage.engine.orders] == ["GetDetails"]

    play(scene, rows=FIVE, read_only=True)


def test_those_who_may_only_look_are_told_so() -> None:
    """The engine says who they are."""

    def prepare(engine: FakeEngine) -> None:
        engine.welcome = msgspec.structs.replace(engine.welcome, may_change=False)

    async def scene(stage: Stage) -> None:
        await stage.sees("READ-ONLY")
        await stage.press("e")
        await stage.sees("you may only look here, as a member of control.read_only_group")
        assert len(stage.app.screen_stack) == 1

    play(scene, rows=FIVE, prepare=prepare)


def test_without_an_engine_the_keys_say_so() -> None:
    """On the list and on the journal; when it is back they work."""

    async def scene(stage: Stage) -> None:
        stage.engine.away = "no engine answers"
        stage.engine.drop("shutting down")
        await stage.sees("LOST")
        await stage.press("e")
        await stage.sees("No engine: ", "; trying again")
        assert len(stage.app.screen_stack) == 1
        stage.engine.away = ""
        await stage.loses("LOST")
        await stage.press("e")
        await stage.sees("New limit")

    play(scene, rows=FIVE, embedded=False)


def test_what_the_engine_can_not_do_is_said_before_a_dialog_opens() -> None:
    """A database account that may only read; a usage that only doveadm could recount. Others work."""
    reason = "accounts database x: this account may not write, set accounts.write_database to one that may"

    def prepare(engine: FakeEngine) -> None:
        engine.status_changes.update(limits_problem=reason, recount_problem="only doveadm can recount it")

    async def scene(stage: Stage) -> None:
        for key, words in (("e", "may not write"), ("U", "set accounts.write_database"), ("r", "only doveadm can")):
            await stage.press("j", key)
            await stage.sees(words)
            assert len(stage.app.screen_stack) == 1
        foot = stage.app.screen.query_one("#foot")
        looks = {text.strip(): look for text, look in foot.lines[0]}  # type: ignore[attr-defined]
        assert (looks["e"], looks["r"], looks["t"]) == ("quiet", "quiet", "key")
        await stage.press("t")
        await stage.sees("Older than")

    play(scene, rows=FIVE, prepare=prepare)
