"""The dialog that empties Trash: it shows what would be removed, then asks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Button, Input

from mailquota.core.base.errors import MailquotaError, UsageError
from mailquota.core.base.model import AccountRow, level_of, percent_of
from mailquota.core.base.units import format_count, format_size, parse_age
from mailquota.core.control.messages import EmptyTrash as EmptyTrashOrder
from mailquota.core.control.results import TrashResult

from ..desk.desk import Desk
from ..desk.session import Changes
from ..draw import command_line
from ..draw import format as fmt
from ..draw.format import Line
from ..frame.dialog import MANY, Dialog, done_line, failure_text, failures, is_number
from ..widgets.background import background
from ..widgets.field import Field
from ..widgets.painted import Painted

TYPING_SECONDS = 0.3


class EmptyTrash(Dialog[Line | None]):
    """The focus is on Cancel. Dismissed with a line about what was removed."""

    HEADING = "Empty Trash"
    AUTO_FOCUS = "#cancel"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "app.focus_next", "Next", key_display="Tab"),
        Binding("left,up", "app.focus_previous", "Previous", show=False),
        Binding("right,down", "app.focus_next", "Next", show=False),
    ]

    def __init__(self, desk: Desk, rows: list[AccountRow], older_than: str = "") -> None:
        super().__init__(desk)
        self._older_than = older_than
        self._rows = rows
        self._found: list[TrashResult] | None = None
        self._age: float | None = None
        self._trouble = ""  # why the last try did not remove all
        self._partly: Line | None = None  # what that try removed

    def body(self) -> Iterable[Widget]:
        """The accounts, what would be removed, the age, the buttons."""
        yield Painted(id="who")
        yield Painted(id="facts")
        yield Field("Older than", self._older_than, id="age", placeholder="everything; or 30d, 2w, 12h")
        if len(self._rows) > MANY:
            yield Field("How many", id="count", placeholder=f"type {len(self._rows)} to confirm")
        with Horizontal(id="buttons"):
            yield Button("Empty", id="empty", compact=True, disabled=True)
            yield Button("Cancel", id="cancel", compact=True)

    def on_mount(self) -> None:
        """Ask the engine what would be removed."""
        self.show_who(self._rows)
        self._paint([(("Counting …" if not self.desk.glyphs.ascii_only else "Counting", "quiet"),)])
        self._count()

    @on(Input.Changed, "#age")
    def _typed(self) -> None:
        self._trouble = ""
        self._forget()
        self._count(TYPING_SECONDS)

    def _forget(self) -> None:
        self._found = None
        self.query_one("#empty", Button).disabled = True
        self.show_command()

    def addresses(self) -> Sequence[str]:
        """The accounts whose Trash is emptied."""
        return [row.address for row in self._rows]

    def command(self, addresses: Sequence[str]) -> list[list[str]]:
        """``mailquota empty-trash``."""
        age = self.query_one("#age", Input).value.strip()
        return [command_line.addressed("empty-trash", command_line.option("--older-than", age), addresses)]

    def _order(self, number: int, *, dry_run: bool) -> EmptyTrashOrder:
        return EmptyTrashOrder(number, [row.address for row in self._rows], self._age, dry_run)

    @background(exclusive=True, group="count")
    async def _count(self, delay: float = 0.0) -> None:
        await asyncio.sleep(delay)
        text = self.query_one("#age", Input).value.strip()
        try:
            self._age = parse_age(text) if text else None
            found: list[TrashResult] = await self.desk.link.ask(
                lambda number: self._order(number, dry_run=True), list[TrashResult]
            )
        except UsageError as error:
            self.message(str(error), "near")
            return
        except MailquotaError as error:
            self.message(str(error))
            return
        self._show(found)

    def arrived(self, changes: Changes) -> None:
        """Follow the usage of a single account, from which the usage afterwards is computed."""
        row = changes.row(self._rows[0].address) if len(self._rows) == 1 else None
        if row is not None and self.is_mounted:
            self._rows = [row]
            if self._found is not None:
                self._paint(facts(self._rows, self._found, self.desk))

    def _show(self, found: list[TrashResult]) -> None:
        failed = failures((result.address, result.error) for result in found)
        self.message(self._trouble or (failure_text(failed, len(found)) if failed else ""))
        self._paint(facts(self._rows, found, self.desk))
        if any(result.messages for result in found):
            self._found = found
            self.query_one("#empty", Button).disabled = False

    def _paint(self, lines: list[Line]) -> None:
        painted = self.query_one("#facts", Painted)
        painted.styles.height = len(lines)
        painted.paint(lines)

    @on(Button.Pressed, "#cancel")
    def action_close(self) -> None:
        """Close, and hand over what was removed by a try that failed for some accounts."""
        if self.may_leave():
            self.dismiss(self._partly)

    @on(Button.Pressed, "#empty")
    def _pressed(self) -> None:
        if self._found is None:
            return
        if len(self._rows) > MANY and not is_number(self.query_one("#count", Input).value, len(self._rows)):
            self.message(f"These are {format_count(len(self._rows))} accounts: type the number to confirm.", "near")
            self.set_focus(self.query_one("#count", Input))
            return
        self._forget()
        self._empty()

    @background(outlives=True)
    async def _empty(self) -> None:
        self.sent("Removing …" if not self.desk.glyphs.ascii_only else "Removing")
        try:
            done: list[TrashResult] = await self.desk.link.ask(
                lambda number: self._order(number, dry_run=False), list[TrashResult]
            )
        except MailquotaError as error:
            self._look_again(str(error))
            return
        failed = failures((result.address, result.error) for result in done)
        if not failed:
            text = removed(done, self.desk)
            self.end(done_line(text, (result.remark for result in done)))
            return
        text = failure_text(failed, len(done), "emptied")
        if len(failed) < len(done):
            self._partly = ((fmt.literal(text, self.desk.glyphs), "near"),)
        self._look_again(text)

    def _look_again(self, trouble: str) -> None:
        """Show the reason, and ask what would be removed now, so that it can be tried again."""
        self._trouble = trouble
        if not self.failed(trouble):
            return
        self.set_focus(self.query_one("#cancel"))
        self._count()


def removed(done: list[TrashResult], desk: Desk) -> str:
    """How many messages and bytes were removed, and from which account."""
    messages, size = sum(result.messages for result in done), sum(result.bytes for result in done)
    whose = fmt.literal(done[0].address, desk.glyphs) if len(done) == 1 else fmt.plural(len(done), "account")
    return f"{whose}: {fmt.plural(messages, 'message')} ({format_size(size)}) removed from Trash"


def facts(rows: list[AccountRow], found: list[TrashResult], desk: Desk) -> list[Line]:
    """The folders, messages and bytes that would be removed, the oldest and newest, and the usage afterwards."""
    messages, size = sum(result.messages for result in found), sum(result.bytes for result in found)
    folders = sorted({fmt.literal(name, desk.glyphs) for result in found for name in result.folders})
    if not messages:
        return [_fact("Messages", "none")]
    times = [moment for result in found for moment in (result.oldest, result.newest) if moment is not None]
    lines = [
        _fact("Folders", ", ".join(folders) or desk.glyphs.nothing),
        _fact("Messages", f"{format_count(messages)}, {format_size(size)}", "strong"),
    ]
    if times:
        lines.append(_fact("Oldest", _when(min(times), desk)))
        lines.append(_fact("Newest", _when(max(times), desk)))
    if len(rows) == 1 and rows[0].used_bytes is not None:
        lines.append(_afterwards(rows[0], max(0, rows[0].used_bytes - size), desk))
    return lines


def _fact(name: str, value: str, style: str = "plain") -> Line:
    return ((f"{name:<12}", "quiet"), (value, style))


def _when(moment: float, desk: Desk) -> str:
    day = datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M")
    return f"{day}, {fmt.age(moment, desk.clock(), desk.glyphs)} ago"


def _afterwards(row: AccountRow, left: int, desk: Desk) -> Line:
    level, percent = level_of(left, row.limit_bytes), percent_of(left, row.limit_bytes)
    words = format_size(left) + (f" of {format_size(row.limit_bytes)}" if row.limit_bytes else "")
    figure = "" if percent is None else f"   {fmt.percent_text(percent, desk.glyphs)} {level.value}"
    return (*_fact("Afterwards", words), (figure, fmt.look_of(level)))
