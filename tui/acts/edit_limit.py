"""The dialog that edits the limit of one account, or of all marked ones."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from mailquota.core.base.errors import MailquotaError, UsageError
from mailquota.core.base.model import AccountRow
from mailquota.core.base.times import parse_until, until_text
from mailquota.core.base.units import format_count, format_limit, format_size
from mailquota.core.control.messages import SetLimit
from mailquota.core.control.results import SetResult

from ..desk.desk import Desk
from ..desk.session import Changes
from ..draw import command_line, effects
from ..draw import format as fmt
from ..draw.effects import Effect
from ..draw.format import Line
from ..frame.dialog import LOW, MANY, Dialog, done_line, failure_text, failures, is_number
from ..widgets.background import background
from ..widgets.effect_table import EffectTable
from ..widgets.field import Field
from ..widgets.painted import Painted
from ..widgets.table_header import TableHeader
from .proposal import Proposal
from .typed import Edit

LOWEST = 12  # lines of the terminal; on a lower one the usage and limit of the account are left out
HINT = "Down goes to the list, where x leaves an account out"
SLICE = 250  # accounts of the preview that are computed before keys are handled again
PAUSE_SECONDS = 0.002  # a key takes several turns of the loop, so one turn between two slices is not enough


class Stage(Enum):
    """How far the edit has come, and so what Enter does."""

    EDITING = "Enter applies the limit if its preview is ready"
    ENTERED = "Enter was pressed before the preview was ready; it is applied as soon as that is"
    BELOW_USAGE = "the limit is below the usage; Enter once more sends it"
    SENDING = "the engine has the order; Enter does nothing"
    PARTLY_SET = "the engine refused some of the accounts; the dialog can only be closed"


class Event(Enum):
    """What moves an edit from one stage to another."""

    TYPED = "another limit is in the field"
    CLEARED = "the field of the limit is empty"
    HURRIED = "Enter, before the preview is ready"
    PREVIEWED = "the preview is ready"
    WARNED = "the operator was told that the limit is below the usage"
    SENT = "the order went to the engine"
    REFUSED = "the engine set no limit at all"
    PARTLY_DONE = "the engine set some of the limits"


# What is not here leaves the stage as it is: a key that is typed while the engine is at work does not end SENDING.
_NEXT: dict[tuple[Stage, Event], Stage] = {
    (Stage.EDITING, Event.HURRIED): Stage.ENTERED,
    (Stage.EDITING, Event.WARNED): Stage.BELOW_USAGE,
    (Stage.EDITING, Event.SENT): Stage.SENDING,
    (Stage.ENTERED, Event.CLEARED): Stage.EDITING,
    (Stage.ENTERED, Event.PREVIEWED): Stage.EDITING,
    (Stage.BELOW_USAGE, Event.TYPED): Stage.EDITING,
    (Stage.BELOW_USAGE, Event.CLEARED): Stage.EDITING,
    (Stage.BELOW_USAGE, Event.HURRIED): Stage.ENTERED,
    (Stage.BELOW_USAGE, Event.SENT): Stage.SENDING,
    (Stage.SENDING, Event.REFUSED): Stage.EDITING,
    (Stage.SENDING, Event.PARTLY_DONE): Stage.PARTLY_SET,
}


def next_stage(stage: Stage, event: Event) -> Stage:
    """The stage after ``event``."""
    return _NEXT.get((stage, event), stage)


class EditLimit(Dialog[Line | None]):
    """The old limit is selected, so typing replaces it; Enter applies it. Dismissed with a line about what was set.

    Several accounts are a list, which says for each what the limit means; there one can be left out.
    """

    HEADING = "Edit limit"
    AUTO_FOCUS = "#size"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Cancel", key_display="Esc"),
        Binding("escape,enter", "finish", "Close", key_display="Esc"),
        Binding("down", "to_list", "List", show=False),
    ]

    def __init__(self, desk: Desk, rows: list[AccountRow], start: Edit = Edit()) -> None:  # noqa: B008  it is frozen
        super().__init__(desk)
        self._start = start
        self._rows = rows
        self._header = TableHeader(desk.glyphs)
        self._list = EffectTable(desk.context, self._header, id="list") if len(rows) > 1 else None
        self._stage = Stage.EDITING
        self._proposal: Proposal | None = None  # None while the preview of what is typed is not ready
        self._until: float | None = None  # seconds since the epoch; None: for good
        self._outcome: Line | None = None  # of PARTLY_SET: which limits were set, and which were not

    def _move(self, event: Event) -> None:
        self._stage = next_stage(self._stage, event)

    def body(self) -> Iterable[Widget]:
        """The accounts, the fields, the preview."""
        limits = {row.limit_bytes for row in self._rows}
        start = self._start
        value = start.size or (fmt.editable_size(limits.pop()) if len(limits) == 1 else "")
        yield Painted(id="who")
        yield Field("New limit", value, id="size", placeholder="5G  +500M  +20%  x2  used*1.2  unlimited", applies=True)
        yield Field(
            "Until", start.until, id="until", placeholder="for good; or 2w, tomorrow, 2026-12-24 18:00", applies=True
        )
        yield Field("Reason", start.reason, id="reason", placeholder="for the journal; may stay empty", applies=True)
        if len(self._rows) > MANY:
            yield Field("How many", id="count", placeholder=f"type {len(self._rows)} to confirm", applies=True)
        if self._list is not None:
            yield self._header
            yield self._list
        yield Painted(id="preview")
        yield Painted(id="day")

    def on_mount(self) -> None:
        """Show the accounts, and the preview of the old limit."""
        if self._list is not None:
            self.show_list(self._list, len(self._rows))
        self._show_who()
        self._preview(self._text)

    def _show_who(self) -> None:
        alone = len(self._rows) == 1 and self.app.size.height >= LOWEST
        left_out = len(self._out())
        more: list[Line] = [_now(self._rows[0], self.desk)] if alone else []
        if left_out:
            more.append(((f"{format_count(left_out)} left out", "near"),))
        elif self._list is not None and self.app.size.height >= LOW:
            more.append(((HINT, "quiet"),))
        self.show_who(self._rows, *more)

    def arrived(self, changes: Changes) -> None:
        """Follow the usage of a single account. The sums for several keep the usage of when they were marked."""
        row = changes.row(self._rows[0].address) if len(self._rows) == 1 else None
        if row is not None and self._stage not in {Stage.SENDING, Stage.PARTLY_SET} and self.is_mounted:
            self._rows = [row]
            self._show_who()
            if self._proposal is not None:  # else the preview is being made, from this row
                self._proposal = Proposal(self._proposal.text)
                self._proposal.add(row)
                self._show_preview(self._proposal.lines(self.desk.context()))

    @property
    def _text(self) -> str:
        return self.query_one("#size", Input).value.strip()

    @on(Input.Changed, "#size")
    def _typed(self) -> None:
        self._move(Event.TYPED if self._text else Event.CLEARED)
        self._preview(self._text)

    @on(Input.Changed, "#until")
    def _dated(self) -> None:
        self._check_day()

    def _check_day(self) -> bool:
        """Read the date and show what it means; False if it can not be read."""
        text, now = self.query_one("#until", Input).value.strip(), self.desk.clock()
        try:
            self._until = parse_until(text, now) if text else None
        except UsageError as error:
            self._say_day(((fmt.literal(str(error), self.desk.glyphs), "near"),))
            return False
        self.show_command()
        self._say_day(((self._end(), "accent"), (", then it goes back by itself", "quiet")) if text else ())
        return True

    def _end(self) -> str:
        return "" if self._until is None else f"until {fmt.until(self._until, self.desk.clock())}"

    def _say_day(self, line: Line) -> None:
        said = self.query_one("#day", Painted)
        said.display = bool(line)
        said.paint([line])

    @background(exclusive=True, group="preview")
    async def _preview(self, text: str) -> None:
        self._proposal = None
        proposal, found, out = Proposal(text, self._list is not None), list[Effect](), self._out()
        ranks: list[float] = []
        for number, row in enumerate(self._rows, 1):
            found.append(proposal.effect(row))
            ranks.append(effects.rank(found[-1]))
            if row.address not in out:
                proposal.count(found[-1], row)
            if number % SLICE == 0:
                await asyncio.sleep(PAUSE_SECONDS)
        if self._list is not None:
            order = sorted(range(len(found)), key=ranks.__getitem__)
            await asyncio.sleep(PAUSE_SECONDS)
            self._list.show([found[number] for number in order])
            await asyncio.sleep(PAUSE_SECONDS)
        if not text:
            self._show_preview([])
            return
        self._proposal = proposal
        self._show_preview(proposal.lines(self.desk.context()))
        self.message(proposal.errors[0] if proposal.impossible else "", "near")
        if self._stage is Stage.ENTERED:
            self._move(Event.PREVIEWED)
            self._apply()

    # ---- who is left out

    def _out(self) -> set[str]:
        return set() if self._list is None else self._list.out

    def _chosen(self) -> list[AccountRow]:
        out = self._out()
        return [row for row in self._rows if row.address not in out]

    @on(EffectTable.LeftOut)
    def _left_out(self) -> None:
        """Other accounts get the limit: the sums are made anew, and so is a question that was asked."""
        self._move(Event.TYPED)
        self._show_who()
        left = len(self._rows) - len(self._out())
        if len(self._rows) > MANY:
            self.query_one("#count", Input).placeholder = f"type {left} to confirm" if left > MANY else "not needed"
        self._preview(self._text)

    def action_to_list(self) -> None:
        """Go to the list of accounts."""
        if self._list is not None:
            self.set_focus(self._list)

    # ---- the command that does the same

    def addresses(self) -> Sequence[str]:
        """The accounts that are not left out."""
        return [row.address for row in self._chosen()]

    def command(self, addresses: Sequence[str]) -> list[list[str]]:
        """``mailquota set``."""
        if not self._text or not addresses:
            return []
        until = "" if self._until is None else command_line.moment(self._until)
        reason = self.query_one("#reason", Input).value.strip()
        options = [*command_line.option("--until", until), *command_line.option("--reason", reason)]
        return [command_line.addressed("set", options, addresses, self._text)]

    @on(Input.Changed, "#reason")
    def _reasoned(self) -> None:
        self.show_command()

    def _show_preview(self, lines: list[Line]) -> None:
        preview = self.query_one("#preview", Painted)
        preview.styles.height = max(1, len(lines))
        preview.paint(lines)
        self.show_command()

    @on(Input.Submitted)
    @on(EffectTable.Applied)
    def _apply(self) -> None:
        proposal = self._proposal
        if self._text and (proposal is None or proposal.text != self._text):
            self._move(Event.HURRIED)
            return
        if proposal is None or self._stage in {Stage.SENDING, Stage.PARTLY_SET}:
            return
        if not proposal.accounts:
            self.message("All accounts are left out.", "near")
        elif proposal.impossible:
            self.message(proposal.errors[0])
        elif not proposal.changed:
            self.dismiss((("Nothing to change: that is the limit", "quiet"),))
        elif not self._check_day():
            self.set_focus(self.query_one("#until", Input))
        elif not self._counted():
            self.message(f"These are {format_count(proposal.accounts)} accounts: type the number to confirm.", "near")
            self.set_focus(self.query_one("#count", Input))
        elif proposal.below_usage and self._stage is not Stage.BELOW_USAGE:
            self._move(Event.WARNED)
            self.message(proposal.warning())
        else:
            confirmed = self._stage is Stage.BELOW_USAGE
            self._move(Event.SENT)
            self._send(proposal.text, confirmed=confirmed)

    def _counted(self) -> bool:
        number = len(self._rows) - len(self._out())
        return number <= MANY or is_number(self.query_one("#count", Input).value, number)

    @background(outlives=True)
    async def _send(self, size: str, *, confirmed: bool) -> None:
        reason, until = self.query_one("#reason", Input).value.strip(), until_text(self._until) if self._until else ""
        addresses = list(self.addresses())
        self.sent("Setting …" if not self.desk.glyphs.ascii_only else "Setting")
        try:
            results: list[SetResult] = await self.desk.link.ask(
                lambda number: SetLimit(number, addresses, size, reason, until), list[SetResult]
            )
        except MailquotaError as error:
            self._refused(size, str(error), confirmed=confirmed)
            return
        failed = failures((result.address, result.error) for result in results)
        if not failed:
            self.end(self._done(results))
        elif len(failed) == len(results):
            self._refused(size, failure_text(failed, len(results)), confirmed=confirmed)
        else:
            self._partly_set(failure_text(failed, len(results), "set"))

    def _refused(self, size: str, reason: str, *, confirmed: bool) -> None:
        self._move(Event.REFUSED)
        if not self.failed(reason):
            return
        if confirmed and self._text == size:  # a limit below the usage is confirmed once, however often it is tried
            self._move(Event.WARNED)

    def _partly_set(self, text: str) -> None:
        # Sent again, +10% would be added twice where it was set: the operator can only read and close.
        self._move(Event.PARTLY_DONE)
        self._outcome = ((fmt.literal(text, self.desk.glyphs), "near"),)
        if not self.answered(self._outcome):
            return
        for each in (*self.query(Input), *self.query(EffectTable)):
            each.disabled = True
        self.message(text, "near")
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Esc is Cancel; once some limits were set, Esc and Enter are Close."""
        closing = self._stage is Stage.PARTLY_SET
        return {"close": not closing, "finish": closing, "to_list": self._list is not None and not closing}.get(
            action, True
        )

    def action_finish(self) -> None:
        """Close, and hand over which limits were set: the list shows it too."""
        self.dismiss(self._outcome)

    def _done(self, results: list[SetResult]) -> Line:
        if len(results) == 1:
            result = results[0]
            name = fmt.literal(result.address, self.desk.glyphs)
            text = (
                f"The limit of {name} is now {format_limit(result.new_bytes)}, it was {format_limit(result.old_bytes)}"
            )
        else:
            text = f"The limits of {fmt.plural(len(results), 'account')} are set"
        if end := self._end():
            text += f" {end}"
        return done_line(text, (result.remark for result in results))


def _now(row: AccountRow, desk: Desk) -> Line:
    style = fmt.look_of(row.level)
    words = f"{format_size(row.used_bytes)} used, " if row.used_bytes is not None else "usage not known, "
    limit = "no limit" if row.limit_bytes is None else f"limit {format_limit(row.limit_bytes)}"
    percent = "" if row.percent is None else f"   {fmt.percent_text(row.percent, desk.glyphs)} {row.level.value}"
    return ((words + limit, "quiet"), (percent, style))
