"""The Account dialog: everything about one account, and the list's keys inside it."""

from __future__ import annotations

from core.control.messages import EmptyTrash, GetDetails, Recalc, SetLimit
from core.control.results import JournalRow
from tests.tui import world
from tests.tui.fake_engine import FakeEngine
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE, GIB

LONG = "asked for by phone, and again by mail, as the invoices of the last ten years have to stay here"


def change(number: int, kind: str, old: str | None, new: str | None, reason: str = "") -> JournalRow:
    """So many days old."""
    at = world.NOW - number * 86400
    return JournalRow(number, at, "root", "console", kind, "a@example.org", old, new, reason, None, None)


def changed(engine: FakeEngine) -> None:
    """An account with a history."""
    engine.changes = [
        change(2, "limit", str(5 * GIB), str(10 * GIB), LONG),
        change(3, "recalc", "1024", "-5"),
        change(4, "limit", "unlimited", "5000", "a\x1b[31mb"),
        change(5, "trash", None, "3 messages"),
    ]


def test_the_last_changes_are_there() -> None:
    """What was changed to what, by whom, how long ago and why; the why is whole, below itself."""

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("Last changes", "2 days ago  limit 5 GiB → 10 GiB  by root: asked for", "recount 1 KiB → -5 B")
        await stage.sees("limit unlimited → 4.9 KiB  by root: a␛[31mb", "Trash – → 3 messages  by root")  # noqa: RUF001
        text = " ".join(" ".join(line.strip(" │┃") for line in stage.lines()).split())
        assert all(word in text for word in LONG.split())

    play(scene, rows=FIVE, size=(120, 60), prepare=changed)


def test_changes_that_can_not_be_read_are_said_to_be() -> None:
    """Not as if there were none."""

    def prepare(engine: FakeEngine) -> None:
        engine.remark = "changes can't be shown: the disk is full"

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("Last changes", "changes can't be shown: the disk is full")

    play(scene, rows=FIVE, size=(120, 60), prepare=prepare)


def test_figures_have_their_units() -> None:
    """A number of what."""

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("INBOX", " messages")
        line = next(line for line in stage.lines() if "INBOX" in line)
        assert line.rstrip(" │┃").endswith(" messages")

    play(scene, rows=FIVE, size=(120, 60))


def test_the_lists_keys_work_inside() -> None:
    """On the account that is shown, whatever is marked; what came of it is said and shown."""

    async def scene(stage: Stage) -> None:
        await stage.press("space", "enter")
        await stage.sees("e Edit limit", "r Recalculate", "t Empty Trash", "y Copy", "Esc Close", "b@example.org")
        await stage.press("e")
        await stage.type("200M")
        await stage.press("enter")
        await stage.sees("Limit     200 MiB", "The limit of b@example.org is now 200 MiB")
        await stage.press("r")
        await stage.sees("5 MiB less than recorded")
        await stage.press("enter")
        await stage.press("t")
        await stage.sees("Empty Trash", "Cancel")
        await stage.press("escape")
        await stage.sees("Last changes")
        kinds = [(type(o), o.addresses) for o in stage.engine.orders if isinstance(o, SetLimit | Recalc | EmptyTrash)]
        assert {kind for kind, _addresses in kinds} == {SetLimit, Recalc, EmptyTrash}
        assert all(addresses == ["b@example.org"] for _kind, addresses in kinds)
        assert sum(isinstance(order, GetDetails) for order in stage.engine.orders) == 4
        await stage.press("escape")
        assert len(stage.app.screen_stack) == 1

    play(scene, rows=FIVE, size=(120, 50))


def test_y_copies_all_of_it_as_text() -> None:
    """For a ticket: each fact in its line, also what is scrolled out of sight."""

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("INBOX")
        await stage.press("y")
        await stage.sees("Copied as text", "Esc Close")
        lines = stage.app.clipboard.splitlines()
        assert lines[0] == "a@example.org"
        assert "Used      90 MiB" in lines
        assert f"2 days ago  limit 5 GiB → 10 GiB  by root: {LONG}" in [line.strip() for line in lines]

    play(scene, rows=FIVE, size=(80, 24), prepare=changed)


def test_who_may_only_look_may_copy() -> None:
    """And has no keys that change anything."""

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("Last changes", "y Copy")
        await stage.press("e", "r", "t")
        assert len(stage.app.screen_stack) == 2
        assert "Edit limit" not in stage.text()

    play(scene, rows=FIVE, size=(120, 50), read_only=True)
