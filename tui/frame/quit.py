"""The dialog that asks before the policy server in this process stops."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.units import format_rate
from mailquota.core.control.results import Status

from ..desk.desk import Desk
from ..draw import format as fmt
from ..draw.format import Line
from ..widgets.background import background
from ..widgets.choices import Choices
from ..widgets.prose import Prose
from .dialog import Dialog

CHOICES: tuple[Line, ...] = (
    (("Keep enforcing in the background  ", "plain"), ("a detached mailquota --serve", "quiet")),
    (("Stop                              ", "plain"), ("nobody answers Postfix", "quiet")),
    (("Stay", "plain"),),
)
KEEP, STOP, STAY = 0, 1, 2
STOPPING = "Stop: Postfix then uses its default_action, or refuses mail if it has none."
SUSPENDING = "Suspended it would not answer, and Postfix would wait for it. Leave it in the background instead?"


def asked(status: Status | None) -> str:
    """How many requests Postfix sends to the policy server of this console."""
    if status is None:
        return "Postfix asks the policy server in this console about each recipient."
    lines = fmt.plural(status.connections, "connection")
    if not status.requests:
        return f"No request so far, {lines} open."
    return f"Postfix gets {format_rate(status.answers_per_second)} answers/s from this console over {lines}."


class QuitDialog(Dialog[bool | None]):
    """``suspends``: the key was to suspend, so that stopping is no choice.

    Dismissed with True once a detached engine has taken over, False to stop, None to stay."""

    HEADING = "Quit"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Stay", key_display="Esc"),
    ]

    def __init__(self, desk: Desk, *, suspends: bool = False) -> None:
        super().__init__(desk)
        self._suspends = suspends
        self._handing_over = False

    def body(self) -> Iterable[Widget]:
        """What Postfix asks, and the three choices."""
        why = SUSPENDING if self._suspends else STOPPING
        yield Prose(f"{asked(self.desk.session.status)}\n{why}", "quiet", id="why")
        yield Choices(self._choices)

    @property
    def _choices(self) -> tuple[Line, ...]:
        return (CHOICES[KEEP], CHOICES[STAY]) if self._suspends else CHOICES

    @on(Choices.Chosen)
    def _chosen(self, event: Choices.Chosen) -> None:
        if self._handing_over:
            return
        chosen = CHOICES.index(self._choices[event.index])
        if chosen == KEEP:
            self._handing_over = True
            self.message("Handing over", "quiet")
            self._hand_over()
        else:
            self.dismiss(False if chosen == STOP else None)

    @background()
    async def _hand_over(self) -> None:
        try:
            await self.desk.link.hand_over()
        except MailquotaError as error:
            self._handing_over = False
            self.message(f"The engine could not hand over: {error}")
        else:
            self.dismiss(True)

    def action_close(self) -> None:
        """Stay, unless the engine is being handed over."""
        if not self._handing_over:
            self.dismiss(None)
