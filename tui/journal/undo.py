"""The dialog that undoes an edit of limits: it shows the edit, then asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Button, Input

from mailquota.core.base.errors import MailquotaError, UsageError
from mailquota.core.base.model import level_of
from mailquota.core.base.units import format_age, format_count, format_limit, format_message_limit, format_size
from mailquota.core.control.messages import GetJournal, PlanUndo, UndoPart
from mailquota.core.control.messages import Undo as UndoOrder
from mailquota.core.control.results import JournalRow, SetResult, UndoPlan

from ..desk.desk import Desk
from ..draw import command_line, effects
from ..draw import format as fmt
from ..draw.effects import Effect
from ..draw.format import Line
from ..draw.grid import Context
from ..frame.dialog import MANY, Dialog, done_line, failure_text, failures, is_number
from ..widgets.background import background
from ..widgets.effect_table import EffectTable
from ..widgets.field import Field
from ..widgets.painted import Painted
from ..widgets.table_header import TableHeader
from . import rows as journal

LOOKED_AT = 500  # entries of one account; an edit that is older than these is not found
WIDE = 70  # cells of a line in the dialog
HINT = "   In the list x leaves an account out"
NAMED = 3  # addresses; of the others only the number is shown


class Undo(Dialog[Line | None]):
    """Undoes ``edit``, an entry of the journal, or that of a ``number``; else the last edit of ``address``, or of any
    account.

    An entry that took an edit back is undone, too: what it took back is set again, for all its accounts. What it would
    do is asked from the engine: the rows of this console may be older than an edit that was made a moment ago.

    Dismissed with a line about what was done.
    """

    HEADING = "Undo"
    AUTO_FOCUS = "#cancel"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "app.focus_next", "Next", key_display="Tab"),
        Binding("left,up", "app.focus_previous", "Previous", show=False),
        Binding("right,down", "app.focus_next", "Next", show=False),
        Binding("x", "to_list", "List", show=False),
    ]

    def __init__(
        self, desk: Desk, *, address: str = "", edit: JournalRow | None = None, number: int | None = None
    ) -> None:
        super().__init__(desk)
        self._number = number
        self._address = address
        self._edit: Sequence[JournalRow] = [edit] if edit is not None else []  # all its entries, newest first
        self._foreseen: Sequence[SetResult] = ()  # none before the engine has answered
        self._sent = False
        self._header = TableHeader(desk.glyphs)
        self._list = EffectTable(desk.context, self._header, id="list")

    @property
    def _again(self) -> bool:
        """Whether the edit is one that took another one back."""
        return bool(self._edit) and self._edit[0].undoes is not None

    def body(self) -> Iterable[Widget]:
        """The edit, and the buttons."""
        yield Painted(id="edit")
        yield self._header
        yield self._list
        yield Painted(id="preview")
        yield Field("How many", id="count")
        with Horizontal(id="buttons"):
            yield Button("Take back", id="undo", compact=True, disabled=True)
            yield Button("Cancel", id="cancel", compact=True)

    def on_mount(self) -> None:
        """Show the edit, or ask the journal for the last one."""
        for each in (*self.query(".field, #preview"), self._header, self._list):
            each.display = False
        searching: list[Line] = [((f"Searching {self.desk.glyphs.ellipsis}", "quiet"),)]
        shown = self._edit and not self._again
        self._paint(list(edit_lines(self._edit, self.desk.context())) if shown else searching)
        self._find_edit()

    def command(self, addresses: Sequence[str]) -> list[list[str]]:  # noqa: ARG002
        """``mailquota undo``: of one entry by its number, of an edit of several accounts as the last one."""
        if not self._foreseen or not self._chosen():
            return []
        number = [] if self._entry is None else [str(self._entry)]
        without = (word for address in sorted(self._list.out) for word in command_line.option("--without", address))
        return [["undo", *without, *number]]

    @property
    def _entry(self) -> int | None:
        """The entry that the order names; None: the last edit, as a whole."""
        return self._edit[0].id if len(self._edit) == 1 or self._again else None

    def _chosen(self) -> list[SetResult]:
        """What it would do for the accounts that are not left out."""
        return [result for result in self._foreseen if result.address not in self._list.out]

    def _paint(self, lines: list[Line]) -> None:
        painted = self.query_one("#edit", Painted)
        painted.styles.height = len(lines)
        painted.paint(lines)

    def _show(self) -> None:
        self._paint(list(edit_lines(self._edit, self.desk.context())))
        if len(self._edit) > 1:
            self._show_effects()
        self._show_sums()
        button = self.query_one("#undo", Button)
        button.disabled = False
        if self._again:
            button.label = "Set again"
        if len(self._edit) > MANY:
            self.query_one(".field").display = True
            self.query("#edit, #preview").add_class("-asks")
            field = self.query_one("#count", Input)
            field.placeholder = f"type {len(self._edit)} to confirm"
            self.set_focus(field)
        elif not objection(self._foreseen):
            self.set_focus(button)

    def _show_effects(self) -> None:
        """The list of the accounts, and how many would be over."""
        rows = effects.worst_first(map(effect_of, self._foreseen))
        for each in (*self.query("#preview"), self._header, self._list):
            each.display = True
        self.show_list(self._list, len(rows))
        self._list.show(rows)

    def _show_sums(self) -> None:
        """How many would be over, what is to be said against it, and the command, of those that are not left out."""
        chosen = self._chosen()
        rows = [effect_of(result) for result in chosen]
        over = effects.over_line(sum(row.stays_over for row in rows), sum(row.comes_over for row in rows))
        left_out = len(self._foreseen) - len(chosen)
        more: Line = ((f"   {format_count(left_out)} left out", "near"),) if left_out else ((HINT, "quiet"),)
        self.query_one("#preview", Painted).paint([(*over, *more)])
        self.message(objection(chosen), "near")
        self.show_command()

    @on(EffectTable.LeftOut)
    def _left_out(self) -> None:
        left = len(self._chosen())
        self.query_one("#count", Input).placeholder = f"type {left} to confirm" if left > MANY else "not needed"
        self._show_sums()

    def action_to_list(self) -> None:
        """Go to the list of accounts, where the same key leaves one out."""
        if self._list.display:
            self.set_focus(self._list)

    @background()
    async def _find_edit(self) -> None:
        try:
            await self._look_up()
        except MailquotaError as error:
            self.message(str(error))
            return
        if self._edit:
            self._show()
        else:
            self._paint([(("No edit of a limit that could be taken back", "quiet"),)])

    async def _look_up(self) -> None:
        """The last edit: that of the address, which is one entry, or the whole of the newest one."""
        address = self._address
        if address and not self._edit:
            rows: list[JournalRow] = await self.desk.link.ask(
                lambda number: GetJournal(number, address, most=LOOKED_AT), list[JournalRow]
            )
            self._edit = journal.last_edit(rows)[:1]
            if not self._edit:
                return
        entry = self._edit[0].id if self._edit else self._number
        plan: UndoPlan = await self.desk.link.ask(lambda number: PlanUndo(number, entry), UndoPlan)
        self._edit, self._foreseen = plan.edit, plan.results

    @on(Button.Pressed, "#cancel")
    def _cancelled(self) -> None:
        self.action_close()

    @on(Button.Pressed, "#undo")
    @on(Input.Submitted)
    def _pressed(self) -> None:
        number = len(self._chosen())
        if self._sent or not self._foreseen:
            return
        if not number:
            self.message("All accounts are left out.", "near")
            return
        count = self.query_one("#count", Input)
        if number > MANY and not is_number(count.value, number):
            self.message(f"These are {format_count(number)} accounts: type the number to confirm.", "near")
            self.set_focus(count)
            return
        self._sent = True
        self.sent(f"Taking back {self.desk.glyphs.ellipsis}")
        self._undo()

    @background(outlives=True)
    async def _undo(self) -> None:
        """Send the order: one entry by its number; of an edit of many accounts that the last one is to be undone."""
        newest, entry, out = self._edit[0].id, self._entry, sorted(self._list.out)

        def order(number: int) -> UndoOrder:
            if out:
                return UndoPart(number, entry, newest=newest, without=out)
            return UndoOrder(number, entry, newest=newest)

        try:
            results: list[SetResult] = await self.desk.link.ask(order, list[SetResult])
        except MailquotaError as error:
            self._fail(str(error))
            return
        failed = failures((result.address, result.error) for result in results)
        if not failed:
            self.end(_done(results, self.desk, again=self._again))
        elif len(failed) == len(results):
            self._fail(failure_text(failed, len(results)))
        else:
            self.end(((fmt.literal(failure_text(failed, len(results), "taken back"), self.desk.glyphs), "near"),))

    @on(EffectTable.Applied)
    def _applied(self) -> None:
        """Enter in the list: where something is to be said against it, the button has to be pressed."""
        if objection(self._chosen()):
            self.set_focus(self.query_one("#undo", Button))
        else:
            self._pressed()

    def _fail(self, reason: str) -> None:
        """Show the reason; the order can be sent again."""
        self._sent = False
        self.failed(reason)


def number_of_entry(text: str) -> int:
    """The number of an entry of the journal. Raises UsageError."""
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise UsageError(f"undo takes the number of an entry of the journal; not {text}")
    return int(text)


def edit_lines(edit: Sequence[JournalRow], context: Context) -> Iterator[Line]:
    """Whose limit was changed from what to what, by whom, when and why."""
    first, glyphs = edit[0], context.glyphs
    if len(edit) == 1:
        yield ((fmt.literal(first.address, glyphs), "strong"), (f"   {journal.change_words(first, context)}", "plain"))
    else:
        names = ", ".join(fmt.literal(row.address, glyphs) for row in edit[:NAMED])
        more = f" and {len(edit) - NAMED} more" if len(edit) > NAMED else ""
        yield ((f"The limits of {fmt.plural(len(edit), 'account')}", "strong"),)
        fits = fmt.width_of([(f"{names}{more}", "")]) <= WIDE
        yield from (((text, "quiet"),) for text in ([f"{names}{more}"] if fits else [names, more.strip()]))
    why = f": {fmt.literal(first.reason, glyphs)}" if first.reason else ""
    if first.undoes is not None:
        ago = format_age(context.now - first.at)
        yield ((f"taken back by {journal.who(first, context)} {ago} ago{why}; now it is set again", "quiet"),)
        return
    yield ((f"set by {journal.who(first, context)} {format_age(context.now - first.at)} ago{why}", "quiet"),)


def objection(results: Sequence[SetResult]) -> str:
    """Why it should rather not be done, such as a limit below the usage; empty if there is no reason."""
    if len(results) == 1:
        return _objection_to_one(results[0])
    good = [result for result in results if result.error is None]
    under = [each for each in good if effect_of(each).over]
    parts = []
    if len(good) < len(results):
        parts.append(f"{format_count(len(results) - len(good))} stay as they are, as they were changed since")
    if under:
        parts.append(f"{fmt.plural(len(under), 'account')} would be over the old limit, and new mail refused")
    return "; ".join(parts)


def _objection_to_one(result: SetResult) -> str:
    if result.error is not None:
        reason = result.error.removesuffix("; nothing was changed")
        return reason[:1].upper() + reason[1:]
    effect = effect_of(result)
    if not effect.over:
        return ""
    over = f"{format_count(effect.over)} messages" if effect.messages else format_size(effect.over)
    return f"That is {over} below the present usage: new mail is refused until there is room"


def effect_of(result: SetResult) -> Effect:
    """What the result of an undo means for its account."""
    error = result.error or ""
    if result.messages is not None or result.old_messages != result.new_messages:
        level = level_of(result.messages, result.new_messages)
        old, new = result.old_messages, result.new_messages
        return Effect(result.address, old, new, result.messages, level, error, messages=True)
    level = level_of(result.used_bytes, result.new_bytes)
    return Effect(result.address, result.old_bytes, result.new_bytes, result.used_bytes, level, error)


def _done(results: list[SetResult], desk: Desk, *, again: bool) -> Line:
    if len(results) != 1:
        was = "set again" if again else "what they were before"
        text = f"The limits of {fmt.plural(len(results), 'account')} are {was}"
    else:
        result = results[0]
        name = fmt.literal(result.address, desk.glyphs)
        new, old = format_limit(result.new_bytes), format_limit(result.old_bytes)
        if result.old_messages != result.new_messages:
            new, old = format_message_limit(result.new_messages), format_message_limit(result.old_messages)
        text = f"The limit of {name} is {new} again, it was {old}"
    if not again:
        text += f"; U in the Journal sets {'them' if len(results) > 1 else 'it'} anew"
    return done_line(text, (result.remark for result in results))
