"""What all dialogs share: a frame with a title, Esc, the keys at the bottom, and a line for messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widget import Widget

from mailquota.core.base.model import AccountRow
from mailquota.core.base.units import format_count

from ..desk.desk import Desk, LiveScreen, Tell
from ..draw import format as fmt
from ..draw.format import Line
from ..widgets.foot import Foot
from ..widgets.painted import Painted
from ..widgets.prose import Prose

T = TypeVar("T")
ROOMY = 18  # lines of the terminal; on a lower one there are no blank lines
HIDDEN_NAMED = 2  # addresses
SENT = "The order is sent and can't be called back; its result is told here. Esc again closes, and it is told then."
MANY = 10  # accounts; for more than these the number must be typed


class Dialog(ModalScreen[T], LiveScreen):
    """A dialog has its widgets from ``body``; ``message`` shows an error, or a question to confirm."""

    HEADING = ""
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Cancel", key_display="Esc")]

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self._awaited = False  # the engine has an order, and has not answered
        self._warned = False
        self.set_class(desk.glyphs.ascii_only, "-ascii")

    def compose(self) -> ComposeResult:
        frame = Vertical(id="dialog")
        frame.border_title = self.HEADING
        with frame:
            yield from self.body()
            yield Prose(id="message")
            yield Foot(self.desk.glyphs, indent=0)

    def on_resize(self) -> None:
        """Leave out blank lines on low terminals."""
        self.set_class(self.app.size.height < ROOMY, "-short")

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
        if self._is_open():
            self.message(text)
            return True
        self.app.post_message(Tell(((fmt.literal(text, self.desk.glyphs), "over"),)))
        return False

    def answered(self, line: Line) -> bool:
        """The engine has answered; False if the dialog is closed already, and the screen shows ``line``."""
        self.desk.hurry()
        self._awaited = False
        if not self._is_open():
            self.app.post_message(Tell(line))
        return self._is_open()

    def _is_open(self) -> bool:
        return self.is_attached and self in self.app.screen_stack

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
