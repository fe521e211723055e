"""What goes out to the terminal: whole screens when it may show something else, and the terminal's cursor.

The cursor is not visible. It stands where the operator is at, for screen readers, braille lines and magnifiers, which
follow it.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, cast, runtime_checkable

from textual.app import ScreenStackError
from textual.geometry import Offset
from textual.screen import Screen
from textual.widgets import Input

from .driver import ConsoleDriver
from .typeahead import TypeAheadApp

T = TypeVar("T")


@runtime_checkable
class HasSpot(Protocol):
    """A widget in which the operator is at a certain line."""

    def cursor_spot(self) -> Offset:
        """The cell of the screen at which the operator is."""
        ...


class PaintingApp(TypeAheadApp[T], inherit_bindings=False):
    """An app that can draw its screen anew, and places the terminal's cursor with each frame."""

    @property
    def console_driver(self) -> ConsoleDriver | None:
        """The driver of a real terminal; None in tests without one."""
        driver = cast("object", self._driver)
        return driver if isinstance(driver, ConsoleDriver) else None

    def repaint(self) -> None:
        """Draw all of the screen: others may have written on it."""
        driver = self.console_driver
        if driver is not None:
            driver.take_terminal()
        try:
            screen = self.screen
        except ScreenStackError:  # before the first screen, or after the last
            return
        # Textual has no public call for it.
        whole = screen._compositor.render_update(full=True, screen_stack=self._background_screens)
        self._display(screen, whole)

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        """Textual's way out for each frame; it ends by placing the cursor."""
        if renderable is not None:
            self._place_cursor()
        super()._display(screen, renderable)

    def _place_cursor(self) -> None:
        focused: Any = self.focused
        if isinstance(focused, HasSpot):
            self.cursor_position = focused.cursor_spot()
        elif focused is not None and not isinstance(focused, Input):  # which places it by itself
            self.cursor_position = focused.region.offset
