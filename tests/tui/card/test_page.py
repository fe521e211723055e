"""The card: everything about one account on one screen, and the list's keys on it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from mailquota.core.base.model import AccountRow
from mailquota.core.control.messages import EmptyTrash, GetDetails, Recalc, SetLimit, Undo, Warn
from mailquota.core.control.results import DecisionRow, Details, Folder, JournalRow
from mailquota.tui.card.page import Card
from mailquota.tui.card.screen import CardScreen
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.glyphs import UNICODE
from mailquota.tui.draw.grid import Context
from tests.tui import past, world
from tests.tui.fake_engine import FakeEngine
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE, GIB, MIB

LONG = "asked for by phone, and again by mail, as the invoices of the last ten years have to stay here"
CONTEXT = Context(world.NOW, UNICODE)
EVIL = "\x1b[31mx\x07@[red]e[/].org"


def change(number: int, kind: str, old: str | None, new: str | None, reason: str = "") -> JournalRow:
    """So many days old."""
    at = world.NOW - number * 86400
    return JournalRow(number, at, "root", "console", kind, "a@example.org", old, new, reason, None, None)


CHANGES = [
    change(2, "limit", str(5 * GIB), str(10 * GIB), LONG),
    change(3, "recalc", "2048", "1024"),
    change(4, "limit", "unlimited", "5000", "a\x1b[31mb"),
    change(5, "trash", None, "3 messages"),
]


def shown(details: Details) -> list[str]:
    """The card of an account as on a screen of 120 columns and 60 lines."""
    lines = Card(details.row, details).lines(120, 60, CONTEXT)
    return ["".join(part for part, _look in line) for line in lines]


def remembering(engine: FakeEngine) -> None:
    """An engine that knows the past."""
    engine.remembers = True


def asked(stage: Stage) -> int:
    """How often the engine was asked for details."""
    return sum(isinstance(order, GetDetails) for order in stage.engine.orders)


NEAR = msgspec.structs.replace(
    FIVE[0], limit_bytes=5 * GIB, used_bytes=4 * GIB + GIB // 4, trash_bytes=GIB, trash_messages=412, messages=9114,
    source="maildirsize", measured_at=world.NOW - 3, growth_bytes_per_day=48 * MIB,
)  # fmt: skip


def test_the_whole_card() -> None:
    """How full, when it will be, since when; folders, aliases, warnings, changes."""

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("› a@example.org ─", "85 % near", "4.3 GiB of 5 GiB", "768 MiB left")
        await stage.sees("full in about 16 days (11\u201327)", "grows 48 MiB a day (between 28.8 MiB and 64.8 MiB)")
        await stage.sees("9,114 messages", "Trash 1 GiB in 412 messages (23 %)", "measured 3 s ago from maildirsize")
        await stage.sees("Usage over 90 days", "5 GiB ", "20 Aug", "today", "full 4 Dec", "█", "▔")
        await stage.sees(
            "INBOX", "Archive", "├ 2025", "└ 2024", "Junk 133 MiB (3 %)", "info@example.org", "Last refusals"
        )
        await stage.sees("✓ 95 % full", "✗ 100 % full  failed", "no such mailbox")
        await stage.sees("limit 5 GiB → 10 GiB", "until Sun 22 Nov", "by root: moves house", "undone", "takes back 10")

    play(scene, rows=[NEAR, *FIVE[1:]], size=(120, 60), prepare=remembering)


def test_without_a_history_it_says_so() -> None:
    """And does not draw an empty plot."""
    text = "\n".join(shown(Details(FIVE[0], world.folders(FIVE[0]), ["alias-of-a@example.org"], [])))
    assert all(words in text for words in ("no history yet", "INBOX", "alias-of-a@example.org", "Last warnings"))
    assert "20 Aug" not in text


def test_a_history_that_can_not_be_kept_is_said_to_be_off() -> None:
    """With the whole reason."""

    def prepare(engine: FakeEngine) -> None:
        engine.status_changes["state_problem"] = "state database /var/lib/mailquota/state.db: disk full"

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("history off: state database /var/lib/mailquota/state.db: disk full")

    play(scene, rows=FIVE, prepare=prepare)


def test_the_last_changes_are_there() -> None:
    """What was changed to what, by whom, how long ago and why; the why is whole, below itself."""
    lines = shown(Details(FIVE[0], [], [], [], CHANGES))
    text = "\n".join(lines)
    assert all(words in text for words in ("Last changes", "2 days ago  limit 5 GiB → 10 GiB"))
    assert "by root: asked for by phone" in text
    assert all(
        words in text for words in ("recount 1 KiB, 1 KiB less  by root", "limit unlimited → 4.9 KiB  by root: a␛[31mb")
    )
    assert "Trash 3 messages  by root" in text
    words = " ".join(line[60:] for line in lines).split()
    assert all(word in words for word in LONG.split())


def test_changes_that_can_not_be_read_are_said_to_be() -> None:
    """Not as if there were none."""
    text = "\n".join(shown(Details(FIVE[0], [], [], [], remark="changes can't be shown: the disk is full")))
    assert all(words in text for words in ("Last changes", "changes can't be shown: the disk is full"))


def test_the_lists_keys_work_on_it() -> None:
    """On the account that is shown, whatever is marked; what came of it is said and shown."""

    async def scene(stage: Stage) -> None:
        await stage.press("space", "enter")
        await stage.sees("e Edit limit", "r Recalculate", "t Empty Trash", "w Warn", "U Undo", "y Copy", "Esc Back")
        await stage.press("e")
        await stage.paste("200M")
        await stage.press("enter")
        await stage.sees("80 MiB of 200 MiB", "The limit of b@example.org is now 200 MiB")
        await stage.press("U")
        await stage.sees("100 MiB → 200 MiB", "set by root (console) 0 s ago")
        await stage.press("enter")
        await stage.sees("80 MiB of 100 MiB", "The limit of b@example.org is 100 MiB again, it was 200 MiB")
        await stage.press("r")
        await stage.sees("5 MiB less than recorded")
        await stage.press("enter")
        await stage.press("t")
        await stage.sees("Empty Trash ─", "Cancel")
        await stage.press("escape")
        await stage.press("w")
        await stage.sees("Your mailbox is 95 % full")
        await stage.press("enter")
        await stage.sees("b@example.org: warned (95 % full) by dovecot-lda")
        changing = [order for order in stage.engine.orders if isinstance(order, SetLimit | Recalc | EmptyTrash | Warn)]
        assert {type(order) for order in changing} == {SetLimit, Recalc, EmptyTrash, Warn}
        assert all(order.addresses == ["b@example.org"] for order in changing)
        assert [order.entry for order in stage.engine.orders if isinstance(order, Undo)] == [1]
        await stage.press("escape")
        await stage.sees("─ Accounts ")

    play(scene, rows=FIVE, size=(120, 50))


def test_the_number_of_the_list_leads_back_to_it() -> None:
    """From the card as from everywhere; and other numbers to other screens."""

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("› a@example.org ─")
        await stage.press("1")
        await stage.sees("─ Accounts ")
        await stage.press("enter", "3")
        await stage.sees("─ Decisions ")
        await stage.press("1")
        await stage.sees("› a@example.org ─")
        await stage.press("escape")
        await stage.sees("─ Accounts ")

    play(scene, rows=FIVE)


def test_it_follows_its_account() -> None:
    """The figures at once; what must be asked for, at a gentle pace; and that the account is measured each second."""

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("90 MiB of 100 MiB", "INBOX       45 MiB")
        await stage.until(lambda: stage.engine.watched == ["a@example.org"], "watches it")
        for used in (95, 96, 97):
            stage.engine.change(msgspec.structs.replace(FIVE[0], used_bytes=used * MIB))
            await stage.sees(f"{used} MiB of 100 MiB")
        assert asked(stage) == 1
        assert "INBOX       45 MiB" in stage.text()
        stage.pass_time(4)
        await stage.sees("INBOX     48.5 MiB")
        assert asked(stage) == 2
        await stage.press("escape")
        await stage.until(lambda: len(stage.engine.watched) == 5, "watches the list again")

    play(scene, rows=FIVE, size=(120, 50))


def test_only_what_differs_is_drawn() -> None:
    """A row that changes costs its own lines, not the screen: nothing flickers."""

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("INBOX")
        text = stage.app.screen.query_one("#card")
        drawn: list[int] = []
        render: Callable[[int], object] = text.render_line

        def noted(y: int) -> object:
            drawn.append(y)
            return render(y)

        text.render_line = noted  # type: ignore[assignment,method-assign]
        stage.engine.change(msgspec.structs.replace(FIVE[0], used_bytes=95 * MIB))
        await stage.sees("95 MiB of 100 MiB")
        assert set(drawn) <= {0, 1, 2, 3}

    play(scene, rows=FIVE, size=(120, 50))


def test_an_account_that_goes_away_leaves_its_card() -> None:
    """Which says so."""

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("INBOX")
        stage.engine.change(removed=("a@example.org",))
        await stage.sees("is no account any more", "90 MiB of 100 MiB", "INBOX")

    play(scene, rows=FIVE)


def test_an_engine_that_goes_away_leaves_the_card_with_its_age() -> None:
    """And comes back by itself."""

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("INBOX")
        stage.engine.away = "no engine answers"
        stage.engine.drop("shutting down")
        await stage.sees("LOST", "as of ", "trying again", "INBOX")
        stage.engine.away = ""
        await stage.loses("LOST")
        await stage.sees("INBOX")

    play(scene, rows=FIVE, embedded=False)


def test_what_the_engine_can_not_tell_is_said() -> None:
    """What is known stands there all the same."""

    def prepare(engine: FakeEngine) -> None:
        engine.failing[GetDetails] = "the accounts are not read yet"

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("the accounts are not read yet", "90 MiB of 100 MiB")

    play(scene, rows=FIVE, prepare=prepare)


def test_a_figure_that_is_old_is_amber() -> None:
    """And its age is there in any case."""
    for age, style in ((10, "quiet"), (400, "near")):
        row = msgspec.structs.replace(NEAR, measured_at=world.NOW - age)
        runs = [run for line in Card(row).lines(100, 20, CONTEXT) for run in line if run[0].startswith("measured")]
        assert [look for _text, look in runs] == [style]


def test_y_copies_all_of_it_as_text() -> None:
    """For a ticket: each fact in its line, also what is scrolled out of sight; figures in place of the plot."""

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("Usage over 90 days")
        await stage.press("y")
        await stage.sees("The card as text: sent to the terminal's clipboard", "Esc Back")
        lines = [line.strip() for line in stage.app.clipboard.splitlines()]
        assert lines[0] == "a@example.org"
        assert lines[1].startswith("As of 2026-11-18 ")
        assert any("4.3 GiB of 5 GiB   768 MiB left" in line for line in lines)
        assert any(line.startswith("90 days ago ") and line.endswith("; now 4.3 GiB") for line in lines)
        assert any(line.startswith("└ 2024") for line in lines)
        assert "1 min ago  limit 5 GiB → 10 GiB  until Sun 22 Nov 11:06  by root: moves house, back on Friday" in lines
        assert "all@example.com" in lines
        assert "█" not in stage.app.clipboard

    play(scene, rows=[NEAR, *FIVE[1:]], size=(80, 24), prepare=remembering)


def test_who_may_only_look_may_copy() -> None:
    """And is told why the other keys do nothing."""

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("Last changes", "y Copy")
        await stage.press("e", "r", "t", "w", "U")
        assert len(stage.app.screen_stack) == 2
        await stage.sees("Read-only: ")

    play(scene, rows=FIVE, size=(120, 50), read_only=True)


@pytest.mark.parametrize("size", [(80, 24), (120, 32), (200, 50), (40, 10), (20, 5), (1, 1)])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_every_size_shows_something_and_nothing_breaks(size: tuple[int, int], ascii_only: bool) -> None:
    """The screen has exactly the terminal's cells; the most useful is on top, and the rest is scrolled to."""

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.pilot.pause(0.2)
        lines = stage.lines()
        assert len(lines) == size[1]
        assert {fmt.width_of([(line, "")]) for line in lines} == {size[0]}
        if size[0] >= 80:
            await stage.sees("85 % near", "Usage over 90 days", "today", "INBOX")
        if size[0] >= 40:
            await stage.press("end")
            await stage.sees("all@example.com")
        assert not ascii_only or stage.text().isascii()

    play(scene, rows=[NEAR, *FIVE[1:]], size=size, prepare=remembering, ascii_only=ascii_only)


@pytest.mark.parametrize(("width", "together"), [(100, 1), (120, 2), (200, 3)])
def test_wide_terminals_have_columns_side_by_side(width: int, together: int) -> None:
    """Their titles are in one line."""
    lines = Card(NEAR, past.details(NEAR)).lines(width, 30, CONTEXT)
    text = ["".join(part for part, _look in line) for line in lines]
    first = next(line for line in text if line.startswith(" Folders "))
    assert sum(name in first for name in ("Folders", "Last refusals", "Last changes")) == together
    assert all(fmt.width_of(line) <= width for line in lines)


def test_text_from_outside_is_shown_literally() -> None:
    """Folder names, aliases, senders, reasons."""
    row = AccountRow(EVIL, GIB, GIB)
    details = past.details(row)
    details = msgspec.structs.replace(
        details,
        folders=[Folder(EVIL + "/" + "x" * 300, 1, 1), Folder("a\nb", 1, 1), Folder("/".join("abc" * 90), 1, 1)],
        aliases=[EVIL],
        refusals=[msgspec.structs.replace(each, sender=EVIL) for each in details.refusals],
        changes=[change(1, EVIL, EVIL, "\u202e", EVIL)],
        warnings=[msgspec.structs.replace(each, error=EVIL, mark=EVIL, state=EVIL) for each in details.warnings],
    )
    for width in (80, 200):
        text = "".join(part for line in Card(row, details).lines(width, 30, CONTEXT) for part, _look in line)
        assert text.isprintable()
        assert "\u202e" not in text
    assert not set(Card(row, details).text(CONTEXT)) & set("\x1b\x07\u202e")


def test_help_explains_the_card() -> None:
    """Its keys and the plot."""

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        assert isinstance(stage.app.screen, CardScreen)
        await stage.press("question_mark")
        await stage.sees("copy the card as text for a ticket", "Plot of the usage", "what is expected after today")

    play(scene, rows=FIVE, size=(120, 50))


def test_refusals_by_others_are_marked() -> None:
    """Those from the mail log; of a bounce the sender is not known, which is not the empty one."""
    row = msgspec.structs.replace(NEAR, address="full@example.org")
    logged = [
        DecisionRow(world.NOW - 60, "over_quota", row.address, row.address, "", "", 0, 0, origin="log"),
        DecisionRow(world.NOW - 90, "bounced", row.address, row.address, "", "", 0, 0, origin="log"),
        DecisionRow(world.NOW - 99, "over_quota", row.address, row.address, "a@b", "", 0, 0),
    ]
    details = msgspec.structs.replace(past.details(row), refusals=logged)
    lines = [" ".join(line.split()) for line in Card(row, details).text(CONTEXT).splitlines()]
    start = lines.index("Last refusals")
    assert lines[start + 1 : start + 4] == [
        "1 min ago refused full <> – mail log",  # noqa: RUF001
        "1 min ago bounced full – – mail log",  # noqa: RUF001
        "1 min ago refused full a@b –",  # noqa: RUF001
    ]
