"""The Decisions screen: its faces, its keys, and what it stands."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from textual.events import MouseScrollDown

from mailquota.core.base.model import AccountRow
from mailquota.core.control.messages import Decisions, Explain, GetRefusals
from mailquota.core.control.results import DecisionRow, Refusals, RefusedAccount
from mailquota.tui.decisions.screen import DecisionsScreen
from mailquota.tui.decisions.table import DecisionTable
from mailquota.tui.draw import format as fmt
from mailquota.tui.frame.help import help_lines
from tests.tui import world
from tests.tui.fake_engine import FakeEngine
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE

EVIL = "\x1b[31mx\x07@[red]e[/].org"


def decided(number: int, verdict: str = "accept", **changes: object) -> DecisionRow:
    """Told from others by its recipient."""
    name = f"u{number}@example.org"
    row = DecisionRow(world.NOW + number, verdict, name, name, "news@shop.example", "mx.example.net", 48 << 10, 61)
    return msgspec.structs.replace(row, **changes)


def some(count: int) -> list[DecisionRow]:
    """Every third is refused."""
    return [decided(number, "accept" if number % 3 else "over_quota") for number in range(count)]


def with_backlog(count: int) -> Callable[[FakeEngine], None]:
    """An engine that has answered already."""

    def prepare(engine: FakeEngine) -> None:
        engine.backlog = some(count)

    return prepare


async def opened(stage: Stage) -> DecisionsScreen:
    """The screen, by its key."""
    await stage.press("3")
    await stage.sees("─ Decisions ", "malformed")
    screen = stage.app.screen
    assert isinstance(screen, DecisionsScreen)
    return screen


async def under_cursor(stage: Stage, recipient: str) -> None:
    """Wait until the cursor is on this decision."""
    screen = stage.app.screen
    assert isinstance(screen, DecisionsScreen)
    table = screen.table
    await stage.until(lambda: table.row is not None and table.row.recipient == recipient, f"cursor on {recipient}")


@pytest.mark.parametrize("embedded", [True, False])
def test_opening_shows_what_was_decided_before_at_once(embedded: bool) -> None:
    """Newest first, with the totals; and back by key."""

    async def scene(stage: Stage) -> None:
        screen = await opened(stage)
        assert len(screen.feed) == 500
        lines = [line for line in stage.lines() if "@example.org" in line]
        assert "u499@example.org" in lines[0]
        assert "u498@example.org" in lines[1]
        assert "refused full" in lines[1]
        assert "48 KiB" in lines[0]
        assert "61 µs" in lines[0]
        await stage.sees("151,200 requests", "p50 61 µs", "p99 910 µs", "27 connections")
        await stage.press("1")
        await stage.sees("─ Accounts ", "a@example.org")

    play(scene, rows=FIVE, embedded=embedded, prepare=with_backlog(500))


def test_new_decisions_come_in_at_the_top() -> None:
    """And the screen goes on with them while the accounts are looked at."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        stage.engine.decide(decided(7))
        await stage.sees("u7@example.org")
        await under_cursor(stage, "u7@example.org")
        stage.engine.decide(decided(8))
        await under_cursor(stage, "u8@example.org")
        await stage.press("1")
        stage.engine.decide(decided(9))
        await stage.sees("─ Accounts ", "u9@example.org")
        stage.engine.change(AccountRow("new@example.org", 100, 100))
        await stage.press("3")
        await stage.sees("u9@example.org", "u8@example.org")
        stage.engine.change(AccountRow("newer@example.org", 100, 100))
        await stage.press("1")
        await stage.sees("new@example.org", "newer@example.org")

    play(scene, rows=FIVE)


def test_the_empty_face_says_how_to_be_asked() -> None:
    """With the line for main.cf."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.sees("No request has been answered yet.", "unix:private/mailquota,", "default_action=DUNNO }")
        await stage.press("enter", "j", "G", "p", "p")
        assert len(stage.app.screen_stack) == 1
        stage.engine.decide(decided(1))
        await stage.loses("No request")

    play(scene, rows=FIVE, size=(80, 24))


def test_loading_and_an_engine_that_was_never_there() -> None:
    """Neither looks like an idle server."""

    def silent(engine: FakeEngine) -> None:
        engine.snapshots = False

    def away(engine: FakeEngine) -> None:
        engine.away = "no engine answers"

    async def loading(stage: Stage) -> None:
        await stage.sees("Loading")
        await stage.press("3")
        await stage.sees("─ Decisions ", "Loading")

    async def gone(stage: Stage) -> None:
        await stage.press("3")
        await stage.sees("─ Decisions ", "No engine.", "no engine answers")

    play(loading, rows=FIVE, prepare=silent, loaded=False)
    play(gone, rows=FIVE, prepare=away, loaded=False, embedded=False)


def test_an_engine_that_goes_away_leaves_what_it_said() -> None:
    """With its age; after the reconnect nothing is there twice."""

    async def scene(stage: Stage) -> None:
        screen = await opened(stage)
        stage.engine.away = "no engine answers"
        stage.engine.drop("shutting down")
        await stage.sees("LOST", "as of ", "trying again", "u9@example.org")
        await stage.loses("27 conn")
        asked = sum(isinstance(order, GetRefusals) for order in stage.engine.orders)
        stage.engine.backlog = some(12)
        stage.engine.away = ""
        await stage.loses("LOST")
        await stage.sees("u11@example.org")
        assert len(screen.feed) == 12
        stage.pass_time(3)
        await stage.until(lambda: sum(isinstance(o, GetRefusals) for o in stage.engine.orders) > asked, "asks again")

    play(scene, rows=FIVE, size=(160, 32), embedded=False, prepare=with_backlog(10))


def test_pause_holds_the_list_still_and_counts() -> None:
    """What the engine left out is counted too."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.press("p")
        await stage.sees("PAUSED", "0 new")
        stage.engine.decide(decided(50), decided(51), skipped=10)
        await stage.sees("12 new")
        assert "u51@example.org" not in stage.text()
        await stage.press("p")
        await stage.sees("u51@example.org", "10 more under load")
        await stage.loses("PAUSED")

    play(scene, rows=FIVE, prepare=with_backlog(5))


def test_the_filter_works_as_one_types() -> None:
    """Enter keeps it, Esc clears it, and Esc again goes back."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.press("slash")
        await stage.paste("refused")
        await stage.sees("4 of 10")
        await stage.loses("u8@example.org")
        await stage.press("enter")
        await stage.sees("Decisions / refused", "4 of 10")
        stage.engine.decide(decided(20), decided(21, "too_large"))
        await stage.sees("u21@example.org", "refused size", "5 of 12")
        assert "u20@example.org" not in stage.text()
        await stage.press("slash", "ctrl+u")
        await stage.paste("nowhere")
        await stage.sees("no decision matches ‘nowhere’ · Esc shows all 12")
        await stage.press("escape")
        await stage.sees("u20@example.org", "u8@example.org")
        await stage.press("escape")
        await stage.sees("─ Accounts ")

    play(scene, rows=FIVE, prepare=with_backlog(10))


def test_the_cursor_follows_its_decision_and_stays_on_its_line() -> None:
    """Home, or one more Up at the top, follows the newest again."""

    async def scene(stage: Stage) -> None:
        screen = await opened(stage)
        await stage.press("j", "j")
        await under_cursor(stage, "u97@example.org")
        line = next(number for number, text in enumerate(stage.lines()) if "u97@example.org" in text)
        stage.engine.decide(*(decided(number) for number in range(200, 205)))
        await stage.sees("5 newer above")
        assert "u97@example.org" in stage.lines()[line]
        await under_cursor(stage, "u97@example.org")
        await stage.press("home")
        await under_cursor(stage, "u204@example.org")
        stage.engine.decide(decided(205))
        await under_cursor(stage, "u205@example.org")
        await stage.press("j", "k")
        stage.engine.decide(decided(206))
        await stage.sees("1 newer above")
        await under_cursor(stage, "u205@example.org")
        await stage.press("k", "k")
        await under_cursor(stage, "u206@example.org")
        assert screen.table.newest

    play(scene, rows=FIVE, prepare=with_backlog(100))


def test_the_mouse_selects_scrolls_and_opens() -> None:
    """What is read after the wheel stays, too."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.pilot.click(DecisionTable, offset=(10, 3))
        await under_cursor(stage, "u96@example.org")
        await stage.press("home")
        for _turn in range(8):
            await stage.pilot._post_mouse_events([MouseScrollDown], DecisionTable, offset=(10, 3))  # no public call
        await stage.loses("u98@example.org")
        await stage.sees("newer above")
        first = next(line for line in stage.lines() if "48 KiB" in line)
        stage.engine.decide(*(decided(number) for number in range(200, 230)))
        await stage.pilot.pause(0.6)
        assert first[:60] in stage.text()
        await stage.press("home")
        await stage.sees("u229@example.org")
        await stage.pilot.click(DecisionTable, offset=(10, 2), times=2)
        await stage.sees("What would be answered now", "u227@example.org")

    play(scene, rows=FIVE, prepare=with_backlog(100))


def test_enter_explains() -> None:
    """What was decided, and each step to what would be answered now; asked with the size of that mail."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.press("j", "enter")
        await stage.sees("Decision", "after 61 µs", "mx.example.net", "news@shop.example", "48 KiB")
        await stage.sees("u3@example.org ⇒ all@example.org ⇒ john@example.org", "grace 512 MiB", "does not fit")
        await stage.sees("refused full", "452 4.2.2 Mailbox is full", "nothing is taken")
        assert [(o.address, o.size) for o in stage.engine.orders if isinstance(o, Explain)] == [
            ("u3@example.org", 48 << 10)
        ]
        await stage.press("escape")
        assert len(stage.app.screen_stack) == 1

    play(scene, rows=FIVE, prepare=with_backlog(5))


def test_an_explanation_that_can_not_be_had_is_said() -> None:
    """What was decided stands there all the same."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.press("enter")
        await stage.sees("the accounts are not read yet", "news@shop.example")

    def prepare(engine: FakeEngine) -> None:
        engine.backlog = some(5)
        engine.failing[Explain] = "the accounts are not read yet"

    play(scene, rows=FIVE, prepare=prepare)


def test_refusals_by_account_stand_beside_where_there_is_room() -> None:
    """Asked for again every two seconds; never asked for where they are not shown."""

    def prepare(engine: FakeEngine) -> None:
        engine.refusals = Refusals(
            world.NOW - 3600, [RefusedAccount("full@example.org", 12, 340, world.NOW - 5, "spam@shop.example")], 1
        )

    async def wide(stage: Stage) -> None:
        await opened(stage)
        await stage.sees("full@example.org", "12   340", "spam@shop.example")
        stage.engine.refusals = Refusals(world.NOW, [RefusedAccount("full@example.org", 13, 341, world.NOW, "")], 1)
        stage.pass_time(1)
        await stage.pilot.pause()
        await stage.loses("13   341")
        stage.pass_time(1)
        await stage.sees("13   341")
        await stage.press("1")
        count = len(stage.engine.orders)
        stage.pass_time(10)
        await stage.pilot.pause(0.1)
        assert len(stage.engine.orders) == count

    async def narrow(stage: Stage) -> None:
        await opened(stage)
        await stage.loses("full@example.org")
        assert not any(isinstance(order, GetRefusals) for order in stage.engine.orders)
        await stage.pilot.resize_terminal(200, 50)
        await stage.sees("full@example.org", "12   340")

    play(wide, rows=FIVE, size=(160, 32), prepare=prepare)
    play(narrow, rows=FIVE, size=(159, 32), prepare=prepare)


def test_in_shadow_mode_nothing_is_refused_it_only_would_be() -> None:
    """Each decision as it was made, whatever the mode is now, which follows the engine's settings."""

    def prepare(engine: FakeEngine) -> None:
        engine.backlog = [decided(0, "over_quota"), *(decided(n, "over_quota", shadow=True) for n in (1, 2))]
        engine.welcome = msgspec.structs.replace(engine.welcome, mode="shadow")
        engine.status_changes["would_refuse"] = 7

    async def scene(stage: Stage) -> None:
        await stage.sees("SHADOW", "would refuse")
        await opened(stage)
        await stage.sees("would refuse", "refused full", "7 would be refused", "Would be refused")
        await stage.press("slash")
        await stage.paste("would")
        await stage.sees("2 of 3")
        await stage.loses("refused full")
        await stage.press("enter")
        stage.engine.status_changes["mode"] = "enforce"
        stage.engine.head()
        await stage.sees("ENFORCING", "would refuse")
        await stage.loses("Would be refused")

    play(scene, rows=FIVE, size=(160, 32), prepare=prepare)


def test_who_misses_a_mail_is_said() -> None:
    """Of several mailboxes behind one alias."""

    def prepare(engine: FakeEngine) -> None:
        engine.backlog = [decided(1, recipient="all@x.org", mailbox="a@x.org, b@x.org", missed=["b@x.org"])]

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.sees("accepted", "all@x.org ⇒ a@x.org, b@x.org", "missed by b@x.org")
        await stage.press("enter")
        await stage.sees("Missed by    b@x.org")

    play(scene, rows=FIVE, prepare=prepare)


def test_text_from_outside_is_shown_literally() -> None:
    """HELO, sender, recipient and account names can't colour the screen, move the cursor or be markup."""
    huge = "x" * 100_000
    rows = [
        decided(1, recipient=EVIL, mailbox=EVIL, sender="[blink]\x9b@x", client="h\x00lo\x1b]0;t\x07"),
        decided(2, sender="\u202egro.live@x\u2028", client="\ufffd\ud7ff[link=http://x]"),
        decided(3, recipient=huge, sender=huge, client=huge, mailbox="a@b"),
        decided(4, verdict="\x1b[2Jnew"),
        decided(5, sender="名前@例え.jp", client="\t\r\n"),
    ]

    def prepare(engine: FakeEngine) -> None:
        engine.backlog = rows
        engine.refusals = Refusals(world.NOW, [RefusedAccount(EVIL, 1, 1, world.NOW, EVIL)], 1)
        engine.explanation = msgspec.structs.replace(engine.explanation, action=EVIL, why=EVIL)

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.sees("␛[31mx␇@[red]e[/].org", "[blink]·@x", "·gro.live@x·", "␛[2Jnew", "名前")
        for number in range(5):
            await stage.press("enter")
            await stage.sees("Decision ─", "Resolves to")
            text = stage.text()
            assert not {char for char in text if (ord(char) < 32 and char != "\n") or 127 <= ord(char) < 160}
            assert not {"\u202e", "\u2028"} & set(text)
            await stage.press("escape", *["j"] * (number < 4))

    play(scene, rows=FIVE, prepare=prepare, size=(200, 50))


@pytest.mark.parametrize("size", [(80, 24), (120, 32), (200, 50), (40, 10), (20, 5), (1, 1)])
def test_every_size_shows_something_and_nothing_breaks(size: tuple[int, int]) -> None:
    """The screen has exactly the terminal's cells, with its dialog and after a resize too."""

    async def scene(stage: Stage) -> None:
        await stage.press("3")
        await stage.pilot.pause(0.1)
        for keys in ((), ("p", "j"), ("slash", "u"), ("enter", "enter")):
            await stage.press(*keys)
            lines = stage.lines()
            assert len(lines) == size[1]
            assert {fmt.width_of([(line, "")]) for line in lines} == {size[0]}
        await stage.press("escape")
        await stage.pilot.resize_terminal(80, 24)
        await stage.sees("PAUSED", "Recipient")

    play(scene, size=size, prepare=with_backlog(60))


@pytest.mark.parametrize("keys", [(), ("p",), ("enter",), ("slash", "x"), ("question_mark",)])
def test_ascii_terminals_get_nothing_but_ascii(keys: tuple[str, ...]) -> None:
    """As on every screen."""

    async def scene(stage: Stage) -> None:
        await stage.press("3", *keys)
        await stage.pilot.pause(0.2)
        assert stage.text().isascii(), [line for line in stage.lines() if not line.isascii()]

    play(scene, ascii_only=True, no_color=True, prepare=with_backlog(30))


def test_the_foot_tells_what_the_pause_key_does_now() -> None:
    """Not the same twice."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.sees("p Pause")
        await stage.press("p")
        await stage.sees("PAUSED", "p Go on")
        await stage.press("p")
        await stage.loses("PAUSED", "p Go on")
        await stage.sees("p Pause")

    play(scene, rows=FIVE)


def test_a_wider_terminal_never_cuts_more_of_the_recipient() -> None:
    """Also where the panel comes."""

    async def scene(stage: Stage) -> None:
        screen = await opened(stage)
        widths = []
        for columns in (119, 120, 159, 160, 200):
            await stage.pilot.resize_terminal(columns, 32)
            await stage.until(lambda: {len(line) for line in stage.lines()} == {columns}, "resized")  # noqa: B023
            await (stage.sees if columns >= 160 else stage.loses)("24 h")
            await stage.pilot.pause()
            widths.append({place.column.title: place.width for place in screen.table.placed})
        assert all("Client" in each for each in widths)
        recipients = [each["Recipient"] for each in widths]
        assert recipients == sorted(recipients)

    play(scene, rows=FIVE)


def test_help_and_palette_know_the_screen() -> None:
    """Its keys, its filter and what each verdict means; here no sorting of accounts."""

    async def scene(stage: Stage) -> None:
        screen = await opened(stage)
        text = "\n".join("".join(run for run, _look in line) for line in help_lines(screen, screen.desk.glyphs))
        for words in ("hold the list still", "would", "refused full", "unknown user", "PgDn", "explain the decision"):
            assert words in text
        titles = {command.title for command in stage.app.get_system_commands(screen)}
        assert {"Pause", "Filter", "Explain", "Accounts", "Help", "Quit"} <= titles
        assert not {"Edit limit", "Decisions", "Sort by Limit"} & titles
        await stage.sees("p Pause", "/ Filter", "⏎ Explain", "1 Accounts", "? Help", "q Quit")

    play(scene, rows=FIVE)


def test_a_storm_of_decisions_costs_few_redraws() -> None:
    """Under load once a second, whatever comes; then each at once again."""

    async def scene(stage: Stage) -> None:
        screen = await opened(stage)
        reloads: list[int] = []
        reload = screen.table.reload

        def noted() -> None:
            reloads.append(1)
            reload()

        screen.table.reload = noted  # type: ignore[method-assign]
        for number in range(1000):
            stage.engine.tell(Decisions([decided(number * 25 + i) for i in range(25)], skipped=15_000))
        await stage.until(lambda: screen.desk.session.received == 25_000, "everything came")
        assert len(reloads) < 10
        stage.pass_time(1)
        await stage.sees("u24999@example.org", "15,000,000 more under load")
        stage.engine.decide(decided(30_000))
        await stage.sees("u30000@example.org")

    play(scene, rows=FIVE)
