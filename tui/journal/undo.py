"""The dialog that undoes an edit of limits: it shows the edit, then asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Button

from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.model import AccountRow
from mailquota.core.base.units import format_age, format_limit, format_message_limit, format_size
from mailquota.core.control.messages import GetJournal
from mailquota.core.control.messages import Undo as UndoOrder
from mailquota.core.control.results import MESSAGES, JournalRow, SetResult

from ..desk.desk import Desk
from ..draw import format as fmt
from ..draw.format import Line
from ..draw.grid import Context
from ..frame.dialog import Dialog, done_line, failure_text, failures
from ..widgets.background import background
from ..widgets.painted import Painted
from . import rows as journal

LOOKED_AT = 500  # entries; an edit that is older than these is not found
NAMED = 3  # addresses; of the others only the number is shown


class Undo(Dialog[Line | None]):
    """Undoes ``edit``, an entry of the journal; else the last edit of ``address``, or of any account.

    Dismissed with a line about what was done.
    """

    HEADING = "Undo"
    AUTO_FOCUS = "#cancel"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "app.focus_next", "Next", key_display="Tab"),
        Binding("left,up", "app.focus_previous", "Previous", show=False),
        Binding("right,down", "app.focus_next", "Next", show=False),
    ]

    def __init__(self, desk: Desk, *, address: str = "", edit: JournalRow | None = None) -> None:
        super().__init__(desk)
        self._address = address
        self._given = edit is not None
        self._edit: Sequence[JournalRow] = [edit] if edit is not None else []
        self._sent = False

    def body(self) -> Iterable[Widget]:
        """The edit, and the buttons."""
        yield Painted(id="edit")
        with Horizontal(id="buttons"):
            yield Button("Take back", id="undo", compact=True, disabled=True)
            yield Button("Cancel", id="cancel", compact=True)

    def on_mount(self) -> None:
        """Show the edit, or ask the journal for the last one."""
        if self._given:
            self._show()
        else:
            self._paint([((f"Searching {self.desk.glyphs.ellipsis}", "quiet"),)])
            self._find_edit()

    def _paint(self, lines: list[Line]) -> None:
        painted = self.query_one("#edit", Painted)
        painted.styles.height = len(lines)
        painted.paint(lines)

    def _show(self) -> None:
        self._paint(list(edit_lines(self._edit, self.desk.context())))
        against = objection(self._edit, self.desk.accounts.rows)
        self.message(against, "near")
        button = self.query_one("#undo", Button)
        button.disabled = False
        if not against:
            self.set_focus(button)

    @background()
    async def _find_edit(self) -> None:
        try:
            self._edit = await self._last_edit()
        except MailquotaError as error:
            self.message(str(error))
            return
        if self._edit:
            self._show()
        else:
            self._paint([(("No edit of a limit that could be taken back", "quiet"),)])

    async def _last_edit(self) -> list[JournalRow]:
        address = self._address
        rows: list[JournalRow] = await self.desk.link.ask(
            lambda number: GetJournal(number, address, most=LOOKED_AT), list[JournalRow]
        )
        return journal.last_edit(rows)

    @on(Button.Pressed, "#cancel")
    def _cancelled(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#undo")
    def _pressed(self) -> None:
        if not self._sent:
            self._sent = True
            self._undo()

    @background()
    async def _undo(self) -> None:
        """Send the order: one entry by its number; of an edit of many accounts that the last one is to be undone."""
        entry = self._edit[0].id if len(self._edit) == 1 else None
        try:
            if entry is None and await self._last_edit() != self._edit:
                self._fail("Another edit of a limit came in between; nothing was changed")
                return
            results: list[SetResult] = await self.desk.link.ask(
                lambda number: UndoOrder(number, entry), list[SetResult]
            )
        except MailquotaError as error:
            self._fail(str(error))
            return
        failed = failures((result.address, result.error) for result in results)
        if not failed:
            self.dismiss(_done(results, self.desk))
        elif len(failed) == len(results):
            self._fail(failure_text(failed, len(results)))
        else:
            self.dismiss(((fmt.literal(failure_text(failed, len(results), "taken back"), self.desk.glyphs), "near"),))

    def _fail(self, reason: str) -> None:
        """Show the reason; the order can be sent again."""
        self._sent = False
        self.message(reason)


def edit_lines(edit: Sequence[JournalRow], context: Context) -> Iterator[Line]:
    """Whose limit was changed from what to what, by whom, when and why."""
    first, glyphs = edit[0], context.glyphs
    if len(edit) == 1:
        yield ((fmt.literal(first.address, glyphs), "strong"), (f"   {journal.change_words(first, context)}", "plain"))
    else:
        names = ", ".join(fmt.literal(row.address, glyphs) for row in edit[:NAMED])
        more = f" and {len(edit) - NAMED} more" if len(edit) > NAMED else ""
        yield ((f"The limits of {fmt.plural(len(edit), 'account')}", "strong"),)
        yield ((f"{names}{more}", "quiet"),)
    why = f": {fmt.literal(first.reason, glyphs)}" if first.reason else ""
    yield ((f"set by {journal.who(first, context)} {format_age(context.now - first.at)} ago{why}", "quiet"),)


def objection(edit: Sequence[JournalRow], accounts: Mapping[str, AccountRow]) -> str:
    """Why the edit should rather not be undone, such as a limit below the usage; empty if there is no reason."""
    account = accounts.get(edit[0].address)
    if len(edit) != 1 or account is None:
        return ""
    new, old = edit[0].new, fmt.recorded_bytes(edit[0].old)
    if edit[0].kind == MESSAGES:
        most = account.limit_messages
        same = new == ("unlimited" if most is None else str(most))
        return "" if same else f"The limit is {format_message_limit(most)} by now: it was changed since"
    if new != ("unlimited" if account.limit_bytes is None else str(account.limit_bytes)):
        return f"The limit is {format_limit(account.limit_bytes)} by now: it was changed since"
    over = (account.used_bytes or 0) - old if old is not None else 0
    if over > 0:
        return f"That is {format_size(over)} below the present usage: new mail is refused until there is room"
    return ""


def _done(results: list[SetResult], desk: Desk) -> Line:
    if len(results) != 1:
        text = f"The limits of {fmt.plural(len(results), 'account')} are what they were before"
    else:
        result = results[0]
        name = fmt.literal(result.address, desk.glyphs)
        new, old = format_limit(result.new_bytes), format_limit(result.old_bytes)
        if result.old_messages != result.new_messages:
            new, old = format_message_limit(result.new_messages), format_message_limit(result.old_messages)
        text = f"The limit of {name} is {new} again, it was {old}"
    return done_line(text, (result.remark for result in results))
