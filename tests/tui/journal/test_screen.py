"""The Journal screen: who changed what, what became of it, and taking it back."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from mailquota.core.base.model import AccountRow
from mailquota.core.control.messages import GetJournal, Undo
from mailquota.core.control.results import JournalRow, SetResult
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.glyphs import UNICODE
from mailquota.tui.draw.grid import Context, arrange, cells
from mailquota.tui.journal import rows as journal
from mailquota.tui.journal import undo
from mailquota.tui.journal.screen import JournalScreen
from tests.tui import past, world
from tests.tui.fake_engine import FakeEngine
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE, GIB, MIB

CONTEXT = Context(world.NOW, UNICODE)
EVIL = "\x1b[31mx\x07@[red]e[/].org"
JOHN = AccountRow("john@example.org", 10 * GIB, 4 * GIB)


def entry(number: int, **changes: object) -> JournalRow:
    """A limit that was set so many minutes ago."""
    row = JournalRow(number, world.NOW - number * 60, "root", "console", "limit", "a@example.org",
                     str(50 * MIB), str(100 * MIB), "", None, None)  # fmt: skip
    return msgspec.structs.replace(row, **changes)


def with_journal(*rows: JournalRow) -> Callable[[FakeEngine], None]:
    """An engine with these entries, newest first; without any, with one of each kind."""

    def prepare(engine: FakeEngine) -> None:
        engine.journal = list(rows) or past.journal()

    return prepare


async def opened(stage: Stage) -> JournalScreen:
    """The screen, by its key."""
    await stage.press("5")
    await stage.sees("─ Journal ")
    screen = stage.app.screen
    assert isinstance(screen, JournalScreen)
    await stage.until(lambda: len(screen.rows) or not stage.engine.journal, "entries")
    return screen


def text(row: JournalRow, others: list[JournalRow] | None = None) -> str:
    """A line of the table."""
    found = next(each for each in journal.entries([row, *(others or [])]) if each.row is row)
    line = cells(found, arrange(journal.COLUMNS, 199, 1), CONTEXT, ((" ", "plain"),))
    return "".join(part for part, _look in line)


# ---- words


@pytest.mark.parametrize(
    ("row", "words"),
    [
        pytest.param(entry(1), ["root (console)", "limit", "50 MiB → 100 MiB"], id="a limit"),
        pytest.param(entry(1, old="unlimited"), ["unlimited → 100 MiB"], id="from no limit"),
        pytest.param(entry(1, until=world.NOW + 9 * 86400), ["until Fri 27 Nov"], id="temporary"),
        pytest.param(entry(1, until=world.NOW + 60 * 86400), ["until Sun 17 Jan 2027"], id="next year"),
        pytest.param(entry(1, until=world.NOW - 5), ["ended"], id="its time is over"),
        pytest.param(entry(1, kind="recalc", old="2048", new="1024"), ["recount", "1 KiB, 1 KiB less"], id="recount"),
        pytest.param(entry(1, kind="recalc", old="5", new="5"), ["5 B, as recorded"], id="recount without drift"),
        pytest.param(entry(1, kind="recalc", old="9" * 5000, new="5"), ["9" * 10], id="no size"),
        pytest.param(entry(1, kind="trash", old=None, new="3 messages"), ["Trash", " 3 messages"], id="Trash"),
        pytest.param(entry(1, kind="start", address="", old=None, new=None), ["start", UNICODE.nothing], id="start"),
        pytest.param(entry(1, kind="later", reason="why"), ["later", "why"], id="a kind of the future"),
        pytest.param(entry(1, undoes=7, reason="a slip"), ["takes back 7: a slip"], id="an undo"),
    ],
)
def test_an_entry_in_words(row: JournalRow, words: list[str]) -> None:
    """What, from what to what, until when, why."""
    assert not [word for word in words if word not in text(row)]


def test_what_was_taken_back_is_told_by_the_entry_that_did_it() -> None:
    """A temporary limit that mailquota itself took back has ended; one that somebody took back is undone."""
    temporary = entry(2, until=world.NOW + 86400)
    for operator, word in (("mailquota", "ended"), ("root", "undone")):
        assert word in text(temporary, [entry(1, undoes=2, operator=operator)])
    assert "undone" in text(entry(2), [entry(1, undoes=2, operator="mailquota")])


def test_the_last_edit_is_all_that_was_set_at_once() -> None:
    """Neither taken back nor taking back; other kinds are none."""
    rows = [
        entry(9, kind="recalc"),
        entry(8, undoes=7),
        entry(7),
        entry(6, at=world.NOW - 500, address="b@x"),
        entry(5, at=world.NOW - 500, address="a@x"),
        entry(4, at=world.NOW - 500, operator="anna"),
        entry(3),
    ]
    assert [row.id for row in journal.last_edit(rows)] == [6, 5]
    assert journal.last_edit(rows[:3]) == []


def test_a_limit_of_messages() -> None:
    """Numbers, not sizes; it can be taken back, but not without a word where it was changed since, or would be full."""
    row = entry(1, kind="messages", old="unlimited", new="5000", address=JOHN.address)
    assert "unlimited → 5000" in text(row)
    assert [each.id for each in journal.last_edit([row])] == [1]
    plan = SetResult(JOHN.address, None, None, old_messages=5000, new_messages=70, messages=60)
    assert undo.objection([plan]) == ""
    full = msgspec.structs.replace(plan, messages=80)
    assert undo.objection([full]).startswith("That is 10 messages below the present usage")
    changed = msgspec.structs.replace(plan, error="the limit of john is 7 messages by now; nothing was changed")
    assert undo.objection([changed]) == "The limit of john is 7 messages by now"


def test_undone_entries_are_dim() -> None:
    """What holds is not."""
    rows = journal.entries([entry(2, undoes=1), entry(1)])
    looks = [
        {look for part, look in cells(each, arrange(journal.COLUMNS, 120, 1), CONTEXT, ()) if "→" in part}
        for each in rows
    ]
    assert looks == [{"plain"}, {"quiet"}]


# ---- the screen


def test_every_kind_is_there() -> None:
    """Newest first; the line below has what the columns cut."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.sees("limit", "warning", "Trash", "recount", "jump", "start", "stop", "undone", "ended")
        lines = [line for line in stage.lines() if "→" in line]
        assert "5 GiB → 10 GiB" in lines[0]
        assert "until Sun 22 Nov" in lines[0]
        await stage.sees("#14 limit of john@example.org", "by root (console) 1 min ago", "moves house, back on Friday")

    play(scene, rows=FIVE, size=(160, 32), prepare=with_journal())


def test_new_entries_come_in_while_it_is_looked_at() -> None:
    """Every two seconds, and only then."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        stage.engine.journal.insert(0, entry(99, reason="brand new"))
        stage.pass_time(1)
        await stage.pilot.pause(0.1)
        assert "brand new" not in stage.text()
        stage.pass_time(1)
        await stage.sees("brand new")
        for keys in (("1",), ("5", "j", "j", "j", "enter")):
            await stage.press(*keys)
            await stage.pilot.pause(0.1)
            asked = sum(isinstance(order, GetJournal) for order in stage.engine.orders)
            stage.engine.head()
            stage.pass_time(4)
            await stage.pilot.pause(0.1)
            assert sum(isinstance(order, GetJournal) for order in stage.engine.orders) == asked
        await stage.sees("› john@example.org ─")

    play(scene, rows=[JOHN], prepare=with_journal())


def test_the_filter_works_as_one_types() -> None:
    """In all that stands there; Esc clears it, and Esc again goes back."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.press("slash")
        await stage.paste("john !undone limit")
        await stage.sees("2 of 12")
        await stage.press("enter")
        await stage.sees("Journal / john !undone limit", "2 of 12")
        await stage.press("escape")
        await stage.sees("SIGTERM")
        await stage.press("escape")
        await stage.sees("─ Accounts ")

    play(scene, rows=FIVE, prepare=with_journal())


def test_enter_opens_the_card_of_the_account() -> None:
    """And comes back here; of accounts that are gone it says so."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.press("enter")
        await stage.sees("› john@example.org ─", "4 GiB of 10 GiB")
        await stage.press("escape")
        await stage.sees("─ Journal ")
        await stage.press("j", "j", "enter")
        await stage.sees("sales@example.com is no account any more")
        await stage.press("G", "k", "k", "k", "k", "enter")
        assert len(stage.app.screen_stack) == 1

    play(scene, rows=[JOHN], prepare=with_journal())


def test_u_takes_the_entry_under_the_cursor_back() -> None:
    """After a question, by its number; it is dim then, and the new entry is there."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.press("j", "U")
        await stage.sees("Undo ─", "50 MiB → 100 MiB", "set by root (console) 2 min ago: too small", "Take back")
        assert not any(isinstance(order, Undo) for order in stage.engine.orders)
        await stage.press("enter")
        await stage.sees("The limit of a@example.org is 50 MiB again, it was 100 MiB", "undone", "takes back 2")
        assert [order.entry for order in stage.engine.orders if isinstance(order, Undo)] == [2]

    rows = [entry(3, address="c@example.net"), entry(2, reason="too small"), entry(1)]
    fifty = msgspec.structs.replace(FIVE[0], used_bytes=10 * MIB)
    play(scene, rows=[fifty, *FIVE[1:]], prepare=with_journal(*rows))


@pytest.mark.parametrize(
    ("row", "words"),
    [(entry(1, kind="trash"), "Only edits of limits"), (entry(7), "taken back already")],
)
def test_what_can_not_be_taken_back_is_said(row: JournalRow, words: str) -> None:
    """No question is asked."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.press("U")
        await stage.sees(words)
        assert len(stage.app.screen_stack) == 1

    play(scene, rows=FIVE, prepare=with_journal(row, entry(9, undoes=7)))


def test_empty_loading_and_nobody_there() -> None:
    """Its other faces."""

    def silent(engine: FakeEngine) -> None:
        engine.snapshots = False
        engine.failing[GetJournal] = "the accounts are not read yet"

    def away(engine: FakeEngine) -> None:
        engine.away = "no engine answers"

    async def empty(stage: Stage) -> None:
        await opened(stage)
        await stage.sees("Nothing was changed yet.", "each change is here with who")
        await stage.press("enter", "U", "j", "G")
        assert len(stage.app.screen_stack) == 1

    async def loading(stage: Stage) -> None:
        await stage.press("5")
        await stage.sees("─ Journal ", "Loading")

    async def gone(stage: Stage) -> None:
        await stage.press("5")
        await stage.sees("─ Journal ", "No engine.", "no engine answers")

    play(empty, rows=FIVE)
    play(loading, rows=FIVE, prepare=silent, loaded=False)
    play(gone, rows=FIVE, prepare=away, loaded=False, embedded=False)


def test_a_journal_that_can_not_be_read_is_not_taken_for_an_empty_one() -> None:
    """Asked for again; what was read stays, with what keeps more from coming."""

    def broken(engine: FakeEngine) -> None:
        engine.failing_once[GetJournal] = "state database: the disk is full"
        engine.journal = past.journal()

    async def scene(stage: Stage) -> None:
        await stage.press("5")
        await stage.sees("This can't be read.", "state database: the disk is full")
        stage.pass_time(3)
        await stage.sees("5 GiB → 10 GiB")
        stage.engine.failing[GetJournal] = "state database: locked"
        stage.engine.head()
        stage.pass_time(3)
        await stage.sees("state database: locked", "5 GiB → 10 GiB")

    play(scene, rows=FIVE, prepare=broken)


def test_what_became_of_an_entry_is_seen_on_80_columns() -> None:
    """Without the day of the week."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.sees("until 22 Nov", "undone", "ended", "#14 limit of john@example.org", "until Sun 22 Nov")

    play(scene, rows=FIVE, size=(80, 24), prepare=with_journal())


def test_an_engine_that_goes_away_leaves_what_it_said() -> None:
    """With its age."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        stage.engine.away = "no engine answers"
        stage.engine.drop("shutting down")
        stage.pass_time(3)
        await stage.sees("LOST", "as of ", "trying again", "5 GiB → 10 GiB")
        stage.engine.away = ""
        await stage.loses("LOST")
        stage.engine.journal.insert(0, entry(99, reason="brand new"))
        stage.pass_time(3)
        await stage.sees("brand new")

    play(scene, rows=FIVE, embedded=False, prepare=with_journal())


def test_who_may_only_look_is_told_so_by_the_key_for_undo() -> None:
    """The journal is there, and the cards."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.press("U")
        await stage.sees("Read-only: ", "U Undo")
        assert len(stage.app.screen_stack) == 1
        await stage.press("enter")
        await stage.sees("› john@example.org ─")

    play(scene, rows=[JOHN], prepare=with_journal(), read_only=True)


def test_text_from_outside_is_shown_literally() -> None:
    """Every field of an entry."""
    evil = JournalRow(1, world.NOW, EVIL, EVIL, EVIL, EVIL, EVIL, "\u202e" + EVIL, EVIL, None, None)

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.sees("␛[31mx␇@[red]e[/].org")
        await stage.press("U", "enter")
        assert not {char for line in stage.lines() for char in line if not char.isprintable()}

    play(scene, rows=FIVE, size=(200, 32), prepare=with_journal(evil, entry(1, address=EVIL, reason=EVIL)))


@pytest.mark.parametrize("size", [(80, 24), (120, 32), (200, 50), (40, 10), (20, 5), (1, 1)])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_every_size_shows_something_and_nothing_breaks(size: tuple[int, int], ascii_only: bool) -> None:
    """The screen has exactly the terminal's cells."""

    async def scene(stage: Stage) -> None:
        await stage.press("5")
        await stage.pilot.pause(0.2)
        for keys in ((), ("j",), ("slash", "e"), ("enter", "U")):
            await stage.press(*keys)
            lines = stage.lines()
            assert len(lines) == size[1]
            assert {fmt.width_of([(line, "")]) for line in lines} == {size[0]}
            assert not ascii_only or stage.text().isascii()

    play(scene, rows=[JOHN], size=size, ascii_only=ascii_only, prepare=with_journal())


def test_help_explains_the_screen() -> None:
    """Its keys and the kinds."""

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.press("question_mark")
        await stage.sees("take the edit under the cursor back", "a temporary limit; it goes back by itself")

    play(scene, rows=FIVE, size=(120, 50))
