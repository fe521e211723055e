"""How often the app draws, and what it remembers of that and of other choices."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from textual import work

from mailquota.core.base.threads import in_thread

from ..desk.desk import Desk, LiveScreen
from ..draw.format import Line
from .painting import PaintingApp

T = TypeVar("T")


class PacedApp(PaintingApp[T], inherit_bindings=False):
    """A subclass has the keys, the screens, and what it draws."""

    desk: Desk

    def live_screens(self) -> list[LiveScreen]:
        """All screens that follow the engine."""
        raise NotImplementedError

    def draw_changes(self) -> None:
        """Draw what came from the engine."""
        raise NotImplementedError

    def tell(self, line: Line) -> None:
        """Show a message."""
        raise NotImplementedError

    def tell_done(self, line: Line | None) -> None:
        """Show what a dialog did; None if it did nothing."""
        if line is not None:
            self.tell(line)

    @property
    def pace_words(self) -> str:
        """How things go on, for the head."""
        return self.desk.pace.words

    def action_pause(self) -> None:
        """Hold all screens still, or let them go on."""
        self.desk.pace.pause()
        self._show_pace()

    def action_pace(self, by: int) -> None:
        """Draw less often (1), or more often (-1)."""
        self.desk.pace.step(by)
        self._keep_pace()

    def use_pace(self, seconds: float) -> None:
        """Draw so often; one of PACES."""
        self.desk.pace.use(seconds)
        self._keep_pace()

    def _keep_pace(self) -> None:
        self.desk.memory.keep(pace=self.desk.pace.seconds)
        self._show_pace()

    def _show_pace(self) -> None:
        """Say it in the head, and draw what came until now."""
        self.desk.kind = replace(self.desk.kind, pace=self.pace_words)
        self.draw_changes()
        for screen in self.live_screens():
            screen.tick()

    def tell_memory(self) -> None:
        """Say once why nothing is remembered, or what of it is wrong."""
        memory = self.desk.memory
        if memory.told:
            self.tell(((memory.told, "near"),))
            memory.told = ""

    @work(name="memory")
    async def write_memory(self) -> None:
        """Write what was changed by key, in a thread."""
        await in_thread(self.desk.memory.write)
        self.tell_memory()
