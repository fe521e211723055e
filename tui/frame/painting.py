"""What goes out to the terminal, and when.

Theory of operation. Textual says what to draw whenever a part of a screen has changed. Here that only notes that a
frame is due. A frame is the difference between what the terminal shows and what it should show, as a line may carry no
more than a few kilobytes a second: each line of the screen is compared with the one that was sent. So a frame that
comes late has all that changed meanwhile, and nothing piles up.

After a key a frame goes out at once, and more soon; else at most four in a second, and fewer if they are large: about
2 kB/s at 120x32, 4 kB/s at 200x50. Each ends with a question that terminals answer (DSR, "are you well?"). The next
frame waits for the answer, since only that says that the last one has arrived; bytes on their way through sshd can't be
seen otherwise. A terminal that does not answer is not waited for.

With each frame the terminal's cursor is placed where the operator is at, for screen readers, braille lines and
magnifiers, which follow it. It is not visible.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

from textual import events
from textual._compositor import CompositorUpdate
from textual._context import visible_screen_stack
from textual.app import ScreenStackError
from textual.geometry import Offset
from textual.screen import Screen
from textual.strip import Strip
from textual.timer import Timer
from textual.widgets import Input

from .difference import difference
from .driver import ConsoleDriver
from .typeahead import TypeAheadApp

T = TypeVar("T")
FRAME_SECONDS = 0.25  # between two frames while nobody touches a key
LONGEST_PAUSE = 2.0  # seconds, however large the last frame was
ECHO_SECONDS = 0.02  # the same after a key
ECHOES = 0.5  # seconds after a key in which what is drawn is its echo
ANSWER_SECONDS = 5.0  # a terminal that answered before, and does not now, is not waited for any longer


def pause_after(sent: int, cells: int) -> float:
    """Seconds until the next frame after one of so many characters, on a screen of so many cells."""
    return min(LONGEST_PAUSE, max(FRAME_SECONDS, sent / (800 + 0.3 * cells)))


@runtime_checkable
class HasSpot(Protocol):
    """A widget in which the operator is at a certain line."""

    def cursor_spot(self) -> Offset:
        """The cell of the screen at which the operator is."""
        ...


class PaintingApp(TypeAheadApp[T], inherit_bindings=False):
    """An app that sends its terminal no more than what differs."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._sent: Sequence[Strip] | None = None  # what the terminal shows; None: not known
        self._sent_at = float("-inf")
        self._pause = FRAME_SECONDS  # after the last frame
        self._touched_at = float("-inf")
        self._spot: Offset | None = None
        self._frame_timer: Timer | None = None

    @property
    def console_driver(self) -> ConsoleDriver | None:
        """The driver of a real terminal; None in tests without one."""
        driver = cast("object", self._driver)
        return driver if isinstance(driver, ConsoleDriver) else None

    async def on_event(self, event: events.Event) -> None:
        """Note when the operator did something: what is drawn then is wanted at once."""
        if isinstance(event, events.InputEvent | events.Resize):
            self._touched_at = time.monotonic()
            if isinstance(event, events.Resize):
                self._sent = None
        await super().on_event(event)

    def repaint(self) -> None:
        """Draw all of the screen: others may have written on it."""
        if self.console_driver is not None:
            self.console_driver.take_terminal()
        self._sent = None
        self._touched_at = time.monotonic()
        self._frame()

    # ---- frames

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        """Textual's way out. Frames of screens are sent by ``_frame``; what is left is Textual's own."""
        if self.console_driver is None or not isinstance(renderable, CompositorUpdate):
            if renderable is not None:
                self._place_cursor()
            super()._display(screen, renderable)
        elif not self._batch_count and self._running and not self._closed:
            self._frame()
            self.post_display_hook()

    def _frame(self) -> None:
        """Send a frame, or look again when one may be sent."""
        driver = self.console_driver
        if driver is None or not self._running or self._closed:
            return
        now = time.monotonic()
        wait = self._sent_at + self._pause_now(now) - now
        if driver.owes_answer(ANSWER_SECONDS):
            wait = max(wait, ECHO_SECONDS)
        if wait > 0:
            if self._frame_timer is None:
                self._frame_timer = self.set_timer(wait, self.look_again_at_frame)
            return
        self._send_frame(driver)

    def _pause_now(self, now: float) -> float:
        """Seconds between the last frame and the next one. The first one after a key waits for nothing."""
        if now - self._touched_at >= ECHOES:
            return self._pause
        return 0.0 if self._touched_at > self._sent_at and not self.keys_wait else ECHO_SECONDS

    @property
    def frame_waits(self) -> bool:
        """Whether a frame waits for its time, or for an answer of the terminal. May be read in any thread."""
        return self._frame_timer is not None

    def look_again_at_frame(self) -> None:
        """Send the frame that waits, if it may be sent now: its time has come, or the terminal has answered."""
        if self._frame_timer is not None:
            self._frame_timer.stop()
            self._frame_timer = None
            self._frame()

    def _send_frame(self, driver: ConsoleDriver) -> None:
        try:
            screen = self.screen
        except ScreenStackError:  # before the first screen, or after the last
            return
        visible_screen_stack.set(self._background_screens)
        lines = screen._compositor.render_strips()  # Textual has no public call for it
        text = difference(self._sent, lines, self.console._color_system)
        self._place_cursor()
        spot = screen.outer_size.clamp_offset(self.cursor_position)
        if not text and spot == self._spot:
            return
        self._begin_update()
        driver.write(f"{text}\x1b[{spot.y + 1};{spot.x + 1}H")
        self._end_update()
        driver.ask_for_answer()
        driver.flush()
        self._sent, self._spot, self._sent_at = lines, spot, time.monotonic()
        echo = self._sent_at - self._touched_at < ECHOES
        self._pause = FRAME_SECONDS if echo else pause_after(len(text), screen.size.area)

    # ---- the cursor

    def _place_cursor(self) -> None:
        focused: Any = self.focused
        if isinstance(focused, HasSpot):
            self.cursor_position = focused.cursor_spot()
        elif focused is not None and not isinstance(focused, Input):  # which places it by itself
            self.cursor_position = focused.region.offset
