"""The head: two lines of tiles, of which only those that changed are drawn again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.geometry import Region

from ..desk.session import Session
from ..desk.tiles import ConsoleKind, Tile, first_line, fitting, second_line
from ..draw import format as fmt
from ..draw.format import Line, Run
from ..draw.grid import Context
from .painted import Painted

GAP = 2
MARGIN = 1


class TileRow(Painted):
    """One line of tiles. A tile only becomes wider, so that its neighbours keep their position when its number changes.

    All tiles are one widget: a widget for each would cost a new screen some milliseconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self._widths: dict[str, int] = {}
        self._placed: dict[int, Line] = {}  # by the cell that a tile begins at

    def show(self, tiles: tuple[Tile, ...], *, anew: bool) -> None:
        """Show the tiles that fit; ``anew`` after a resize, when tiles may become narrower again."""
        if anew:
            self._widths.clear()
        room = self.size.width - 2 * MARGIN
        kept = fitting(tiles, room, GAP)
        for tile in kept:
            self._widths[tile.key] = max(fmt.width_of(tile.line), self._widths.get(tile.key, 0))
        # The tiles fit by what they say now, but not with the width they once had: then their neighbours do move.
        if self._total(kept) > room:
            self._widths = {tile.key: fmt.width_of(tile.line) for tile in kept}
        placed = self._place([tile for tile in kept if not tile.right], MARGIN)
        rights = [tile for tile in kept if tile.right]
        self._draw(placed | self._place(rights, MARGIN + room - self._total(rights)))

    def _total(self, tiles: Sequence[Tile]) -> int:
        return sum(self._widths[tile.key] for tile in tiles) + GAP * max(0, len(tiles) - 1)

    def _place(self, tiles: Sequence[Tile], x: int) -> dict[int, Line]:
        """The tiles one beside the other from cell ``x`` on, each filled to its width."""
        placed: dict[int, Line] = {}
        for tile in tiles:
            width = self._widths[tile.key]
            pad = (" " * (width - fmt.width_of(tile.line)), "plain")
            placed[x] = (pad, *tile.line) if tile.right else (*tile.line, pad)
            x += width + GAP
        return placed

    def _draw(self, placed: dict[int, Line]) -> None:
        old, self._placed = self._placed, placed
        runs: list[Run] = []
        at = 0
        for x, line in placed.items():
            runs += [(" " * (x - at), "plain"), *line]
            at = x + fmt.width_of(line)
        self.lines = (tuple(runs),)
        for x in old.keys() | placed.keys():
            if old.get(x) != placed.get(x):
                width = max(fmt.width_of(old.get(x, ())), fmt.width_of(placed.get(x, ())))
                self.refresh(Region(x, 0, width, 1))


class Head(Vertical):
    """The two lines at the top of a screen; on narrow terminals the less important tiles are left out."""

    def __init__(self, session: Session, kind: Callable[[], ConsoleKind], context: Callable[[], Context]) -> None:
        super().__init__(id="head")
        self._session = session
        self._kind = kind
        self._get_context = context
        self._first, self._second = TileRow(), TileRow()

    def compose(self) -> ComposeResult:
        yield self._first
        yield self._second

    def on_resize(self) -> None:
        """Show as many tiles as fit now."""
        self.show(anew=True)

    def show(self, *, anew: bool = False) -> None:
        """Draw the tiles that changed."""
        context = self._get_context()
        self._first.show(first_line(self._session, self._kind(), context), anew=anew)
        self._second.show(second_line(self._session, context), anew=anew)
