"""What all dialogs share: a frame with a title, Esc, the keys at the bottom, and a line for messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widget import Widget

from mailquota.core.base.model import AccountRow
from mailquota.core.base.units import format_count

from ..desk.command_log import Done
from ..desk.desk import Copied, Desk, LiveScreen, Tell
from ..draw import command_line
from ..draw import format as fmt
from ..draw.format import Line
from ..widgets.command_row import CommandRow
from ..widgets.foot import Foot
from ..widgets.live_table import LiveTable
from ..widgets.painted import SCREEN_LOOKS, Painted
from ..widgets.prose import Prose

T = TypeVar("T")
ROOMY = 18  # lines of the terminal; on a lower one there are no blank lines
ROOMY_WITH_LIST = 30  # lines, of a dialog with a list
AROUND, AROUND_SHORT = 26, 18  # lines of such a dialog without the rows of its list; as many if there are blank lines
LOW = 16  # lines; on a lower terminal the list has no titles, and the command line is not shown
HIDDEN_NAMED = 2  # addresses
SENT = "The order is sent and can't be called back; its result is told here. Esc again closes, and it is told then."
MANY = 10  # accounts; for more than these the number must be typed


class Dialog(ModalScreen[T], LiveScreen):
    """A dialog has its widgets from ``body``; ``message`` shows an error, or a question to confirm."""

    HEADING = ""
    COMPONENT_CLASSES: ClassVar[set[str]] = set(SCREEN_LOOKS)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Cancel", key_display="Esc"),
        Binding("ctrl+y", "copy_command", "Copy command", show=False),
    ]

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self._awaited = False  # the engine has an order, and has not answered
        self._warned = False
        self._listed: tuple[LiveTable, int] | None = None  # a list of accounts, and how many rows it has
        self._done_by: Done | None = None  # the entry of the log about the order
        self.set_class(desk.glyphs.ascii_only, "-ascii")

    def compose(self) -> ComposeResult:
        frame = Vertical(id="dialog")
        frame.border_title = self.HEADING
        with frame:
            yield from self.body()
            yield Prose(id="message")
            yield CommandRow(self.desk.glyphs)
            yield Foot(self.desk.glyphs, indent=0)

    def on_resize(self) -> None:
        """Leave out blank lines on low terminals."""
        height = self.app.size.height
        short = height < (ROOMY if self._listed is None else ROOMY_WITH_LIST)
        self.set_class(short, "-short")
        self.set_class(height < LOW, "-low")
        self.call_after_refresh(self.show_command)
        if self._listed is not None:
            table, rows = self._listed
            table.styles.height = max(1, min(rows, height - (AROUND_SHORT if short else AROUND)))

    def show_list(self, table: LiveTable, rows: int) -> None:
        """Make room for a list of so many accounts."""
        self._listed = table, rows
        self.add_class("-listing")
        self.on_resize()

    def body(self) -> Iterable[Widget]:
        """The widgets between the title and the message."""
        raise NotImplementedError

    def message(self, text: str, look: str = "over") -> None:
        """Show a message, or none for an empty text. Does nothing once the dialog is closed."""
        if not self.is_attached:
            return
        self.query_one("#message", Prose).say(fmt.literal(text, self.desk.glyphs), look)

    def action_close(self) -> None:
        """Close the dialog; nothing is done, unless an order is sent already."""
        if self.may_leave():
            self.dismiss(None)

    # ---- orders

    def sent(self, text: str) -> None:
        """An order went to the engine; ``text`` says what that does."""
        self._awaited, self._warned = True, False
        self.log_command()
        self.message(text, "quiet")

    def may_leave(self) -> bool:
        """Whether Esc closes the dialog. While an order is carried out, that is said first."""
        if not self._awaited or self._warned:
            return True
        self._warned = True
        self.message(SENT, "near")
        return False

    def end(self, line: Line) -> None:
        """Close with ``line``; if the dialog is closed already, the screen shows it."""
        if self.answered(line):
            self.dismiss(cast("T", line))

    def failed(self, text: str) -> bool:
        """Say why an order was not carried out; False if the dialog is closed already, and the screen says it."""
        self.desk.hurry()
        self._awaited = False
        self._log_outcome(f"not done: {text}")
        if self._is_open():
            self.message(text)
            return True
        self.app.post_message(Tell(((fmt.literal(text, self.desk.glyphs), "over"),)))
        return False

    def answered(self, line: Line) -> bool:
        """The engine has answered; False if the dialog is closed already, and the screen shows ``line``."""
        self.desk.hurry()
        self._awaited = False
        self._log_outcome("".join(text for text, _look in line))
        if not self._is_open():
            self.app.post_message(Tell(line))
        return self._is_open()

    def _is_open(self) -> bool:
        return self.is_attached and self in self.app.screen_stack

    # ---- the command that does the same

    def addresses(self) -> Sequence[str]:
        """The accounts that the order is about."""
        return ()

    def command(self, addresses: Sequence[str]) -> list[list[str]]:  # noqa: ARG002
        """The words of the commands that do the same for these accounts, without the program; none: there is none."""
        return []

    def command_lines(self) -> list[str]:
        """These commands for all accounts, as a shell takes them."""
        program = list(self.desk.program)
        lines = (words for part in command_line.parts(self.addresses()) for words in self.command(part))
        return [command_line.line([*program, *words]) for words in lines]

    def show_command(self) -> None:
        """Show the command, shortened; the key beside it copies all of it."""
        low = self.app.size.height < LOW
        found = [] if low else self.command(command_line.few(self.addresses()))
        more = [command_line.more(len(self.addresses()) - 1)] if len(found) > 1 else []
        self.query_one(CommandRow).show(command_line.line([*self.desk.program, *found[0], *more]) if found else "")

    def action_copy_command(self) -> None:
        """Copy the whole command."""
        if lines := self.command_lines():
            self.post_message(Copied("The command", "\n".join(lines)))

    def to_copy(self) -> Copied | None:
        lines = self.command_lines()
        return Copied("The command", "\n".join(lines)) if lines else None

    def say(self, line: Line) -> None:
        """Show a message about what was copied, unless an order is being carried out."""
        if not self._awaited:
            self.message("".join(text for text, _look in line), line[-1][1])

    def log_command(self) -> None:
        """Note the command in the log of this console: the order is sent now."""
        if lines := self.command_lines():
            self._done_by = self.desk.commands.add(self.desk.clock(), lines)

    def _log_outcome(self, text: str) -> None:
        if self._done_by is not None:
            self._done_by.outcome = text

    # ---- whose accounts

    def show_who(self, rows: list[AccountRow], *more: Line) -> None:
        """Show which accounts the dialog is about in its ``#who``, and ``more`` below."""
        lines = [*who(rows, self.desk), *more]
        painted = self.query_one("#who", Painted)
        painted.styles.height = len(lines)
        painted.paint(lines)


def who(rows: list[AccountRow], desk: Desk) -> list[Line]:
    """The address of the account, or the number of marked accounts; and the first of those that the list hides."""
    hidden = [row for row in rows if row.address in desk.accounts.marks and desk.accounts.hides(row.address)]
    if len(rows) == 1:
        name: Line = ((fmt.literal(rows[0].address, desk.glyphs), "strong"),)
        return [(*name, (", marked and not shown", "near")) if hidden else name]
    first: Line = ((fmt.plural(len(rows), "marked account"), "strong"),)
    if not hidden:
        return [first]
    names = ", ".join(fmt.literal(row.address, desk.glyphs) for row in hidden[:HIDDEN_NAMED])
    more = f" and {format_count(len(hidden) - HIDDEN_NAMED)} more" if len(hidden) > HIDDEN_NAMED else ""
    return [(*first, (f", {format_count(len(hidden))} not shown:", "near")), ((names + more, "near"),)]


def is_number(text: str, number: int) -> bool:
    """Whether this number was typed, with commas or without."""
    return text.strip().replace(",", "") == str(number)


def failures(results: Iterable[tuple[str, str | None]]) -> list[tuple[str, str]]:
    """The address and the reason of each result that failed."""
    return [(address, error) for address, error in results if error]


def done_line(text: str, remarks: Iterable[str | None]) -> Line:
    """What was done, and the first remark about it."""
    remark = next((remark for remark in remarks if remark), None)
    return ((text, "good"),) if remark is None else ((text, "good"), (f"; {remark}", "near"))


def failure_text(failed: list[tuple[str, str]], of: int, done: str = "") -> str:
    """What failed: each reason once, with the addresses it concerns.

    ``of`` is the number of all accounts; ``done`` says what was done to the others, as ``set`` in ``1 set, 1 not``.
    """
    if of == 1:
        return ": ".join(failed[0])
    hit = dict[str, list[str]]()
    for address, reason in failed:
        hit.setdefault(reason, []).append(address)
    reasons = [f"{_some(addresses)}: {reason}" for reason, addresses in hit.items()]
    more = f"; and {len(reasons) - 3} other reasons" if len(reasons) > 4 else ""
    count, rest = format_count(len(failed)), format_count(of - len(failed))
    start = f"{rest} {done}, {count} not: " if done and len(failed) < of else f"{count} of {format_count(of)} failed: "
    return start + "; ".join(reasons[: 3 if more else 4]) + more


def _some(addresses: list[str]) -> str:
    more = f" and {len(addresses) - 3} more" if len(addresses) > 4 else ""
    return ", ".join(addresses[: 3 if more else 4]) + more
