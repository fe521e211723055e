"""What all dialogs share: a frame with a title, Esc, the keys at the bottom, and a line for messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widget import Widget

from mailquota.core.base.model import AccountRow
from mailquota.core.base.units import format_count

from ..desk.desk import Desk, LiveScreen
from ..draw import format as fmt
from ..draw.format import Line
from ..widgets.foot import Foot
from ..widgets.prose import Prose

T = TypeVar("T")
ROOMY = 18  # lines of the terminal; on a lower one there are no blank lines
MANY = 10  # accounts; for more than these the number must be typed


class Dialog(ModalScreen[T], LiveScreen):
    """A dialog has its widgets from ``body``; ``message`` shows an error, or a question to confirm."""

    HEADING = ""
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Cancel", key_display="Esc")]

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
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
        """Close the dialog; nothing is done."""
        self.dismiss(None)

    def who(self, rows: list[AccountRow]) -> Line:
        """The address of the account, or the number of marked accounts."""
        if len(rows) == 1:
            return ((fmt.literal(rows[0].address, self.desk.glyphs), "strong"),)
        return ((fmt.plural(len(rows), "marked account"), "strong"),)


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
