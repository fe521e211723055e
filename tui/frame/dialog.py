"""What all dialogs have in common: a frame with a title, Esc, the keys at the bottom, errors of the engine as words."""

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
from mailquota.tui.desk.desk import Desk, LiveScreen
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.format import Line
from mailquota.tui.widgets.foot import Foot
from mailquota.tui.widgets.prose import Prose

T = TypeVar("T")
ROOMY = 18  # lines of the terminal
MANY = 10  # accounts; above, the number must be typed


class Dialog(ModalScreen[T], LiveScreen):
    """Made with ``body``; ``message`` says what went wrong or must be confirmed."""

    HEADING = ""
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Cancel", key_display="Esc")]

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.set_class(desk.glyphs.ascii_only, "-ascii")

    def compose(self) -> ComposeResult:
        """The frame."""
        frame = Vertical(id="dialog")
        frame.border_title = self.HEADING
        with frame:
            yield from self.body()
            yield Prose(id="message")
            yield Foot(self.desk.glyphs, indent=0)

    def on_resize(self) -> None:
        """Where there is little room no blank lines."""
        self.set_class(self.app.size.height < ROOMY, "-short")

    def body(self) -> Iterable[Widget]:
        """What the dialog is about."""
        raise NotImplementedError

    def message(self, text: str, look: str = "over") -> None:
        """Say what went wrong, or nothing. What comes back after the dialog was closed is nobody's any more."""
        if not self.is_attached:
            return
        self.query_one("#message", Prose).say(fmt.literal(text, self.desk.glyphs), look)

    def action_close(self) -> None:
        """Leave without doing anything."""
        self.dismiss(None)

    def who(self, rows: list[AccountRow]) -> Line:
        """Whom it is about."""
        if len(rows) == 1:
            return ((fmt.literal(rows[0].address, self.desk.glyphs), "strong"),)
        return ((fmt.plural(len(rows), "marked account"), "strong"),)


def failures(results: Iterable[tuple[str, str | None]]) -> list[tuple[str, str]]:
    """Address and reason of those that failed."""
    return [(address, error) for address, error in results if error]


def done_line(text: str, remarks: Iterable[str | None]) -> Line:
    """What was done, and what is to be said against it."""
    remark = next((remark for remark in remarks if remark), None)
    return ((text, "good"),) if remark is None else ((text, "good"), (f"; {remark}", "near"))


def failure_text(failed: list[tuple[str, str]], of: int, done: str = "") -> str:
    """What went wrong, each reason once with whom it hit. ``done``: what became of the others, as ``set``."""
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
