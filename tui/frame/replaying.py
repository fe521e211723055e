"""The keys of a replay, which plays what an engine recorded. They are those of video players."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, TypeVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from mailquota.core.base.errors import MailquotaError, UsageError
from mailquota.core.base.times import local_time, parse_moment_between
from mailquota.core.control.messages import REPLAY_PACES, Steer
from mailquota.core.control.results import ReplayState

from ..desk.desk import Desk
from ..desk.typed import Doing, takes
from ..draw import format as fmt
from ..widgets.field import Field
from ..widgets.prose import Prose
from .dialog import Dialog
from .pacing import PacedApp

T = TypeVar("T")
REPLAY_KEYS: list[BindingType] = [
    Binding("p", "replay_pause", "Pause", tooltip="hold the replay, or let it go on"),
    Binding("full_stop", "replay_step(10)", "Step", tooltip="10 seconds on, and hold"),
    Binding("comma", "replay_step(-10)", "Step back", show=False, tooltip="10 seconds back, and hold"),
    Binding("right_parenthesis", "replay_step(600)", "Far on", show=False, tooltip="10 minutes on, and hold"),
    Binding("left_parenthesis", "replay_step(-600)", "Far back", show=False, tooltip="10 minutes back, and hold"),
    Binding(
        "right_curly_bracket", "replay_pace(1)", "Faster", tooltip="play faster, up to 300 times", id="play-faster"
    ),
    Binding("left_curly_bracket", "replay_pace(-1)", "Slower", show=False, tooltip="play slower", id="play-slower"),
    Binding("at", "replay_jump", "Jump", tooltip="jump to a time"),
]
ACTIONS = frozenset({"replay_pause", "replay_step", "replay_pace", "replay_jump"})


def words(state: ReplayState) -> str:
    """How the replay goes on, for the head."""
    if state.ended:
        return "END"
    if state.paused:
        return "PAUSED"
    return f"{state.pace:g}x" if state.pace != 1 else ""


class Jump(Dialog[float]):
    """Asks for a time of the recording. Dismissed with it, in seconds since the epoch."""

    HEADING = "Jump to"
    AUTO_FOCUS = "#time"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Cancel", key_display="Esc")]

    def __init__(self, desk: Desk, state: ReplayState) -> None:
        super().__init__(desk)
        self._state = state

    def body(self) -> Iterable[Widget]:
        """A field, and from when to when there is something."""
        yield Field("Time", id="time", placeholder="02:30, or 2026-12-24 02:30", applies=True)
        yield Prose(id="what")

    def on_mount(self) -> None:
        """Say what is recorded."""
        first, last = local_time(self._state.first), local_time(self._state.last)
        self.message(f"Recorded from {first} to {last}.", "quiet")

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        state = self._state
        try:
            self.dismiss(parse_moment_between(event.value, state.first, state.last, state.at))
        except UsageError as error:
            self.message(str(error))


class ReplayingApp(PacedApp[T], inherit_bindings=False):
    """Follows where the replay is, and steers it."""

    replay: ReplayState | None = None

    @property
    def is_replay(self) -> bool:
        """Whether the engine plays a recording."""
        return self.desk.is_replay

    @property
    def pace_words(self) -> str:
        """How things go on, for the head."""
        return words(self.replay) if self.replay is not None else self.desk.pace.words

    @work(name="replay", exclusive=True, group="replay")
    async def steer(self, **how: Any) -> None:
        """Give the replay an order; without one, ask where it is."""
        try:
            state: ReplayState = await self.desk.link.ask(lambda number: Steer(number, **how), ReplayState)
        except MailquotaError as error:
            if how:
                self.tell(((fmt.literal(str(error), self.desk.glyphs), "over"),))
            return
        before, self.replay = self.replay, state
        if state.remark and (before is None or before.remark != state.remark):
            self.tell(((fmt.literal(state.remark, self.desk.glyphs), "near"),))
        if words(state) != self.desk.kind.pace:
            self.desk.kind = replace(self.desk.kind, pace=words(state))
        if how:
            self.draw_changes()
            for screen in self.live_screens():
                screen.tick()

    def follow_replay(self) -> None:
        """Ask where it is; does nothing with an engine."""
        if self.is_replay:
            self.steer()

    def action_replay_pause(self) -> None:
        """Hold the replay, or let it go on."""
        self.steer(paused=not (self.replay is not None and self.replay.paused))

    def action_replay_step(self, seconds: float) -> None:
        """Go on, or back, so many seconds, and hold there."""
        self.steer(by=float(seconds), stop=True)

    def action_replay_pace(self, by: int) -> None:
        """Play faster (1) or slower (-1)."""
        now = self.replay.pace if self.replay is not None else REPLAY_PACES[0]
        at = min(range(len(REPLAY_PACES)), key=lambda number: abs(REPLAY_PACES[number] - now)) + by
        self.steer(pace=REPLAY_PACES[max(0, min(at, len(REPLAY_PACES) - 1))], paused=False)

    def action_replay_jump(self) -> None:
        """Ask for a time."""
        if self.replay is not None:
            self.push_screen(Jump(self.desk, self.replay), self._jump)

    @takes("TIME", about="go to this time of the recording")
    def typed_jump(self, rest: str) -> Doing:
        """``jump 02:30``."""
        state = self.replay
        if state is None:
            raise UsageError("where the replay is is not known yet")
        return partial(self._jump, parse_moment_between(rest, state.first, state.last, state.at))

    def _jump(self, moment: float | None) -> None:
        if moment is not None:
            self.steer(to=moment)
