"""The question before the only policy server stops."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from core.errors import MailquotaError
from tui.desk import Desk
from tui.dialogs.dialog import Dialog
from tui.widgets.prose import Prose

CHOICES = (
    ("keep", "Keep enforcing in the background", "a detached mailquota --serve"),
    ("stop", "Stop", "nobody answers Postfix"),
    ("stay", "Stay", ""),
)
WIDTH = 34  # cells of a choice, beside what it means


class QuitDialog(Dialog[bool | None]):
    """Dismissed with True once a detached engine has taken over, False to stop, None to stay."""

    HEADING = "Quit"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Choose", key_display="⏎", priority=True),
        Binding("escape", "close", "Stay", key_display="Esc"),
    ]

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._handing_over = False

    def body(self) -> Iterable[Widget]:
        """The three ways."""
        yield Prose("Postfix asks the policy server in this console about each recipient.", "quiet", id="why")
        options = [Option(Content(f"{choice:<{WIDTH}}{meaning}"), id=key) for key, choice, meaning in CHOICES]
        yield OptionList(*options, compact=True)

    def on_mount(self) -> None:
        """The first is the default."""
        options = self.query_one(OptionList)
        options.highlighted = 0
        options.focus()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        if self._handing_over:
            return
        if event.option_id == "keep":
            self._handing_over = True
            self.message("Handing over", "quiet")
            self._hand_over()
        else:
            self.dismiss(False if event.option_id == "stop" else None)

    @work
    async def _hand_over(self) -> None:
        try:
            await self.desk.link.hand_over()
        except MailquotaError as error:
            self._handing_over = False
            self.message(f"The engine could not hand over: {error}")
        else:
            self.dismiss(True)

    def action_close(self) -> None:
        """Stay."""
        if not self._handing_over:
            self.dismiss(None)

    def action_choose(self) -> None:
        """Enter, as the list has it."""
        self.query_one(OptionList).action_select()
