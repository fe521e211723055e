"""The head: two lines of tiles that live, each drawn on its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from tui import format as fmt
from tui.grid import Look
from tui.session import Session
from tui.tiles import Place, Tile, first_line, fitting, second_line
from tui.widgets.painted import Painted

GAP = 2


class TileRow(Horizontal):
    """One line of tiles. A tile's cells only grow, so that changing figures don't make their neighbours dance."""

    def __init__(self) -> None:
        super().__init__(classes="tile-row")
        self._at: dict[str, tuple[int, int]] = {}
        self._widths: dict[str, int] = {}
        self._widgets: dict[str, Painted] = {}

    def show(self, tiles: tuple[Tile, ...], *, anew: bool) -> None:
        """Show what fits; ``anew`` after a resize, where cells may shrink again."""
        if anew:
            self._widths.clear()
        kept = fitting(tiles, self.size.width, GAP)
        for tile in kept:
            self._widths[tile.key] = max(fmt.width_of(tile.line), self._widths.get(tile.key, 0))
        if self._total(kept) > self.size.width:
            self._widths = {tile.key: fmt.width_of(tile.line) for tile in kept}
        x = 0
        for tile in (tile for tile in kept if not tile.right):
            x = self._put(tile, x)
        rights = [tile for tile in kept if tile.right]
        x = self.size.width - self._total(rights)
        for tile in rights:
            x = self._put(tile, x)
        keys = {tile.key for tile in kept}
        for key, widget in self._widgets.items():
            widget.display = key in keys

    def _total(self, tiles: Sequence[Tile]) -> int:
        return sum(self._widths[tile.key] for tile in tiles) + GAP * max(0, len(tiles) - 1)

    def _put(self, tile: Tile, x: int) -> int:
        widget = self._widgets.get(tile.key)
        if widget is None:
            widget = self._widgets[tile.key] = Painted(classes="tile")
            self.mount(widget)
        width = self._widths[tile.key]
        if self._at.get(tile.key) != (x, width):  # a changed style costs a lay-out
            self._at[tile.key] = (x, width)
            widget.styles.width = width
            widget.styles.offset = (x, 0)
        pad = (" " * (width - fmt.width_of(tile.line)), "plain")
        widget.paint([(pad, *tile.line) if tile.right else (*tile.line, pad)])
        return x + width + GAP


class Head(Vertical):
    """Two lines; on very narrow terminals the less important tiles are left out."""

    def __init__(self, session: Session, place: Callable[[], Place], look: Callable[[], Look]) -> None:
        super().__init__(id="head")
        self._session = session
        self._place = place
        self._look = look
        self._first, self._second = TileRow(), TileRow()

    def compose(self) -> ComposeResult:
        """As Textual asks."""
        yield self._first
        yield self._second

    def on_resize(self) -> None:
        """Other tiles may fit."""
        self.show(anew=True)

    def show(self, *, anew: bool = False) -> None:
        """Draw what changed."""
        look, place = self._look(), self._place()
        self._first.show(first_line(self._session, place, look), anew=anew)
        self._second.show(second_line(self._session, look), anew=anew)
