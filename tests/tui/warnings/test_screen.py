"""The Warnings screen, and warning by key from everywhere."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from mailquota.core.control.messages import GetWarnings, PreviewWarning, Warn
from mailquota.core.control.messages import TrialWarning as SentTest  # by its own name pytest would take it for a test
from mailquota.core.control.results import Preview, WarningRow, WarnResult
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.glyphs import ASCII, UNICODE
from mailquota.tui.draw.grid import Context, arrange, cells
from mailquota.tui.warnings import rows as warning_rows
from mailquota.tui.warnings.screen import WarningsScreen
from tests.tui import past, world
from tests.tui.fake_engine import FakeEngine
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE

CONTEXT = Context(world.NOW, UNICODE)
EVIL = "\x1b[31mx\x07@[red]e[/].org"


def warning(number: int = 1, **changes: object) -> WarningRow:
    """Sent some minutes ago."""
    at = world.NOW - number * 60
    row = WarningRow(number, at, "a@example.org", "95%", 95.4, 95, 100, "sent", "state", 1, None, at, "dovecot-lda")
    return msgspec.structs.replace(row, **changes)


def with_warnings(*rows: WarningRow) -> Callable[[FakeEngine], None]:
    """An engine that sent these; without any, some of each state."""

    def prepare(engine: FakeEngine) -> None:
        engine.warnings = list(rows) or past.warnings()
        engine.status_changes.update(warnings_queued=2, warnings_failed=1)

    return prepare


async def opened(stage: Stage) -> WarningsScreen:
    """The screen, by its key."""
    await stage.press("4")
    await stage.sees("─ Warnings ")
    screen = stage.app.screen
    assert isinstance(screen, WarningsScreen)
    await stage.until(lambda: len(screen.rows) or not stage.engine.warnings, "warnings")
    return screen


def sent(stage: Stage) -> list[tuple[list[str], str, str]]:
    """Who was to be warned about what, merged with what."""
    return [(order.addresses, order.mark, order.source) for order in stage.engine.orders if isinstance(order, Warn)]


# ---- words


def text(row: WarningRow, context: Context = CONTEXT) -> str:
    """A line of the table."""
    line = cells(row, arrange(warning_rows.COLUMNS, 199, warning_rows.LEAD), context, warning_rows.lead(row, context))
    return "".join(part for part, _look in line)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        pytest.param(warning(), [" ✓ sent ", "1 min ago", "95 % full", "95 B of 100 B", "by dovecot-lda"], id="sent"),
        pytest.param(warning(state="queued", next_try=world.NOW + 240), [" ○ queued ", "in 4 min"], id="a later try"),
        pytest.param(warning(state="queued"), [" ○ queued ", " now "], id="due now"),
        pytest.param(warning(state="failed", error="no such mailbox"), [" ✗ failed ", "no such mailbox"], id="failed"),
        pytest.param(warning(state="dropped"), [" \u2013 dropped "], id="dropped"),
        pytest.param(warning(mark="below"), ["room again"], id="below"),
        pytest.param(warning(mark="50M"), ["50M left"], id="what is left"),
        pytest.param(warning(mark="test"), ["test"], id="test"),
        pytest.param(warning(source="dovecot"), ["Dovecot"], id="asked by Dovecot"),
        pytest.param(warning(state="later", mark="x", source="y"), [" ? later ", " x ", " y "], id="of the future"),
    ],
)
def test_a_warning_in_words(row: WarningRow, words: list[str]) -> None:
    """State in sign and word."""
    assert not [word for word in words if word not in text(row)]
    assert text(row, Context(world.NOW, ASCII)).isascii()


@pytest.mark.parametrize(
    ("mark", "order"), [("95%", "95"), ("95", "95"), ("below", "below"), ("50M", ""), ("test", ""), ("", "")]
)
def test_marks_as_orders_have_them(mark: str, order: str) -> None:
    """What an order can't name is the present state."""
    assert warning_rows.order_threshold(mark) == order


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (WarnResult("a@x", "95", "sent", "maildir"), "warned (95 % full) by maildir"),
        (WarnResult("a@x", "95", "sent", None, remark="no history"), "warned (95 % full); no history"),
        (
            WarnResult("a@x", "95", "queued", remark="quiet hours until 07:00"),
            "will be warned: quiet hours until 07:00",
        ),
        (WarnResult("a@x", "95", "merged", remark="warned 3 min ago"), "not warned again: warned 3 min ago"),
        (WarnResult("a@x", "95", "failed", error="no such mailbox"), "not warned: no such mailbox"),
        (WarnResult("a@x", "95", "later"), "later"),
    ],
)
def test_what_an_order_did_in_words(result: WarnResult, words: str) -> None:
    """Of one account."""
    assert warning_rows.outcome(result, CONTEXT)[0] == words


def test_what_was_sent_within_a_day_is_not_claimed_beyond_the_list() -> None:
    """Ten thousand after an import are more than are listed."""
    status = world.status([])
    for rows, words in (
        ([warning(1), warning(2000)], "1 sent within"),
        ([warning(1, at=world.NOW)] * 500, "500+ sent within"),
        ([*[warning(1)] * 499, warning(2000)], "499 sent within"),
    ):
        shown = [text for tile in warning_rows.totals(rows, status, CONTEXT) for text, _look in tile.line]
        assert words in "".join(shown)


# ---- the screen


def test_every_state_is_there() -> None:
    """With who is due, and what failed why."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.sees("○ 2 due", "✗ 1 failed", "1 sent within 24 h", "1 warning failed")
        await stage.sees("○ queued", "in 4 min", "✓ sent", "✗ failed", "no such mailbox directory", "room again")
        await stage.press("down")
        await stage.sees("info@example.net  ·  80 % full  ·  queued in < 1 min", "dovecot-lda: 4.2.0 temporary failure")

    play(scene, rows=FIVE, size=(160, 32), prepare=with_warnings())


def test_new_ones_come_in_while_it_is_looked_at() -> None:
    """Every two seconds; a state that changes too; the cursor stays on its warning."""

    async def scene(stage: Stage) -> None:
        screen = await opened(stage)
        stage.engine.warnings = [warning(99, address="new@example.org"), warning(1, state="failed", error="gone")]
        stage.pass_time(2)
        await stage.sees("new@example.org", "✗ failed", "gone")
        assert screen.table.row == stage.engine.warnings[1]
        await stage.press("1")
        await stage.sees("─ Accounts ")
        asked = sum(isinstance(order, GetWarnings) for order in stage.engine.orders)
        stage.pass_time(10)
        await stage.pilot.pause(0.1)
        assert sum(isinstance(order, GetWarnings) for order in stage.engine.orders) == asked

    play(scene, rows=FIVE, prepare=with_warnings(warning(1, state="queued")))


def test_the_filter() -> None:
    """By state, account, reason."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.press("slash")
        await stage.paste("sent john")
        await stage.sees("2 of 9")
        await stage.press("ctrl+u")
        await stage.paste("nothing")
        await stage.sees("nothing matches ‘nothing’ · Esc shows all")
        await stage.press("escape", "escape")
        await stage.sees("─ Accounts ")

    play(scene, rows=FIVE, prepare=with_warnings())


def test_enter_shows_the_mail_and_s_sends_it_as_a_test() -> None:
    """Asked for with the mark of the warning; nothing goes to the owner."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.press("enter")
        await stage.sees("Warning ─", "a@example.org   95 % full", "Your mailbox is 95 % full", "Empty your Trash")
        await stage.press("s")
        await stage.sees("Send test ─", "The warning of a@example.org, 95 % full")
        await stage.press("enter")
        await stage.sees("That is no mail address")
        await stage.paste("me@example.com")
        await stage.sees("$ mailquota warn --test-to me@example.com 95 a@example.org")
        await stage.press("enter")
        await stage.sees("Test to me@example.com: warned (95 % full) by dovecot-lda")
        tests = [order for order in stage.engine.orders if isinstance(order, SentTest)]
        assert [(order.address, order.mark, order.to) for order in tests] == [("a@example.org", "95", "me@example.com")]
        previews = [order for order in stage.engine.orders if isinstance(order, PreviewWarning)]
        assert [(order.address, order.mark) for order in previews] == [("a@example.org", "95")]
        await stage.press("escape", "s", "escape")
        await stage.sees("─ Warnings ")
        assert sent(stage) == []

    play(scene, rows=FIVE, prepare=with_warnings(warning()))


def test_a_template_that_can_not_be_used_is_said() -> None:
    """Below the mail, which is then the built-in one; and a preview that can't be had at all."""

    def prepare(engine: FakeEngine) -> None:
        with_warnings(warning())(engine)
        engine.preview = Preview("s", "text\n", "", "en", "en.txt:3: unexpected '}'")

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.press("enter")
        await stage.sees("en.txt:3: unexpected '}'")
        await stage.press("escape")
        stage.engine.failing[PreviewWarning] = "a@example.org is unlimited"
        await stage.press("enter")
        await stage.sees("a@example.org is unlimited")

    play(scene, rows=FIVE, prepare=prepare)


def test_w_warns_again_after_a_question() -> None:
    """Merged with nothing."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.press("w")
        await stage.sees("Warn ─", "Your mailbox is 95 % full")
        assert sent(stage) == []
        await stage.press("enter")
        await stage.sees("a@example.org: warned (95 % full) by dovecot-lda")
        assert sent(stage) == [(["a@example.org"], "95", "again")]

    play(scene, rows=FIVE, prepare=with_warnings(warning()))


def test_the_empty_face_says_what_will_be_here() -> None:
    """And no key does anything."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.sees("Nobody was warned yet.", "warnings.thresholds, by default 80 and 95 percent")
        await stage.press("enter", "w", "s", "j")
        assert len(stage.app.screen_stack) == 1

    play(scene, rows=FIVE, size=(80, 24))


def test_warnings_that_can_not_be_read() -> None:
    """Are not taken for none."""

    def prepare(engine: FakeEngine) -> None:
        engine.failing[GetWarnings] = "state database: the disk is full"

    async def scene(stage: Stage) -> None:
        await stage.press("4")
        await stage.sees("This can't be read.", "state database: the disk is full")
        await stage.loses("Nobody was warned")

    play(scene, rows=FIVE, prepare=prepare)


def test_who_may_only_look_sends_nothing() -> None:
    """But may read the mail."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.press("w", "s")
        await stage.sees("Read-only: ")
        assert len(stage.app.screen_stack) == 1
        await stage.press("enter")
        await stage.sees("Your mailbox is 95 % full")
        await stage.press("s")
        await stage.sees("Read-only: this console")
        assert len(stage.app.screen_stack) == 2

    play(scene, rows=FIVE, prepare=with_warnings(warning()), read_only=True)


def test_text_from_outside_is_shown_literally() -> None:
    """Every field, and the mail itself."""
    evil = WarningRow(1, world.NOW, EVIL, EVIL, 1.0, 1, 1, EVIL, EVIL, 1, None, None, EVIL, "\u202e" + EVIL)

    def prepare(engine: FakeEngine) -> None:
        with_warnings(evil)(engine)
        engine.preview = Preview(EVIL, EVIL + "\u202e", "", "en", EVIL)

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.sees("␛[31mx␇@[red]e[/].org")
        for keys in ((), ("enter",), ("s",), ("escape", "escape", "w")):
            await stage.press(*keys)
            await stage.pilot.pause(0.1)
            assert not {char for line in stage.lines() for char in line if not char.isprintable()}

    play(scene, rows=FIVE, size=(200, 32), prepare=prepare)


@pytest.mark.parametrize("size", [(80, 24), (120, 32), (200, 50), (40, 10), (20, 5), (1, 1)])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_every_size_shows_something_and_nothing_breaks(size: tuple[int, int], ascii_only: bool) -> None:
    """The screen has exactly the terminal's cells."""

    async def scene(stage: Stage) -> None:
        await stage.press("4")
        await stage.pilot.pause(0.2)
        for keys in ((), ("j",), ("slash", "e"), ("enter", "enter"), ("escape", "w"), ("escape", "s")):
            await stage.press(*keys)
            await stage.pilot.pause(0.1)
            lines = stage.lines()
            assert len(lines) == size[1]
            assert {fmt.width_of([(line, "")]) for line in lines} == {size[0]}
            assert not ascii_only or stage.text().isascii()

    play(scene, rows=FIVE, size=size, ascii_only=ascii_only, prepare=with_warnings())


# ---- from the list of accounts


def test_w_on_an_account_shows_the_mail_first() -> None:
    """About its present state, or about what is typed; a second look then."""

    async def scene(stage: Stage) -> None:
        await stage.press("w")
        await stage.sees("Warn ─", "a@example.org", "Your mailbox is 95 % full", "as it is now; or 80, 95, below")
        await stage.press("shift+tab", "shift+tab")
        await stage.paste("80%")
        await stage.until(
            lambda: [o.mark for o in stage.engine.orders if isinstance(o, PreviewWarning)] == ["", "80"], "looks again"
        )
        await stage.press("tab", "tab", "enter")
        await stage.sees("a@example.org: warned (80 % full)")
        assert sent(stage) == [(["a@example.org"], "80", "operator")]

    play(scene, rows=FIVE)


def test_what_became_of_it_is_said() -> None:
    """Merged and queued are done; a failure stays to be read, and can be tried again."""

    def prepare(engine: FakeEngine) -> None:
        engine.warned = {
            "a@example.org": WarnResult("a@example.org", "80", "merged", remark="warned 3 min ago"),
            "b@example.org": WarnResult("b@example.org", "80", "failed", error="no such mailbox"),
        }

    async def scene(stage: Stage) -> None:
        await stage.press("w", "enter")
        await stage.sees("a@example.org: not warned again: warned 3 min ago")
        await stage.press("j", "w")
        await stage.sees("Warn ─")
        await stage.press("enter")
        await stage.sees("not warned: no such mailbox", "Warn ─")
        stage.engine.warned.clear()
        button = stage.app.screen.query_one("#send")
        await stage.until(lambda: not button.has_class("-active"), "the button can be pressed again")
        await stage.press("enter")
        await stage.sees("b@example.org: warned")

    play(scene, rows=FIVE, prepare=prepare)


def test_of_many_each_is_told_apart() -> None:
    """Failures first; the sum is said in the list too."""

    def prepare(engine: FakeEngine) -> None:
        engine.warned = {
            "b@example.org": WarnResult("b@example.org", "80", "merged", remark="warned 3 min ago"),
            "c@example.net": WarnResult("c@example.net", "80", "failed", error="no such mailbox"),
        }

    async def scene(stage: Stage) -> None:
        await stage.press("space", "space", "space", "w")
        await stage.sees("3 marked accounts", "Each owner gets a warning about their own mailbox.")
        assert not any(isinstance(order, PreviewWarning) for order in stage.engine.orders)
        await stage.press("enter")
        await stage.sees(
            "3 accounts: 1 warned, 1 not warned again, 1 failed", "c@example.net  not warned: no such mailbox"
        )
        lines = [line.strip(" │") for line in stage.lines() if line.strip().startswith("│  ")]
        names = [line.partition("  ")[0] for line in lines if line[1:2] == "@"]
        assert names == ["c@example.net", "a@example.org", "b@example.org"]
        await stage.sees("$ mailquota warn now a@example.org (2 more)", "Esc Close")
        await stage.press("escape")
        await stage.loses("Warn ─")
        await stage.sees("3 accounts: 1 warned")

    play(scene, rows=FIVE, prepare=prepare)


def test_more_than_ten_need_their_number() -> None:
    """Mail to many is not sent by one key."""

    async def scene(stage: Stage) -> None:
        await stage.press("asterisk", "w")
        await stage.sees("12 marked accounts", "How many")
        await stage.press("enter")
        await stage.sees("These are 12 accounts: type the number to confirm.")
        assert sent(stage) == []
        await stage.paste("12")
        await stage.press("tab", "tab", "enter")
        await stage.until(lambda: sent(stage), "sends")
        assert len(sent(stage)[0][0]) == 12

    play(scene, rows=12)


def test_an_order_that_fails_as_a_whole() -> None:
    """Is said in the dialog."""

    def prepare(engine: FakeEngine) -> None:
        engine.failing[Warn] = "warnings.from is not set"
        engine.failing[SentTest] = "warnings.from is not set"
        engine.warnings = [warning()]

    async def scene(stage: Stage) -> None:
        await stage.press("w", "enter")
        await stage.sees("warnings.from is not set", "Warn ─")
        await stage.press("escape", "4")
        await stage.sees("1 min ago")
        await stage.press("s")
        await stage.paste("me@x")
        await stage.press("enter")
        await stage.sees("warnings.from is not set", "Send test ─")

    play(scene, rows=FIVE, prepare=prepare)
