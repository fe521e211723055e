"""A scrollbar one cell wide, drawn with signs, so that it shows without colours and in ASCII."""

from __future__ import annotations

from rich.color import Color
from rich.segment import Segment, Segments
from rich.style import Style
from textual.scrollbar import ScrollBarRender

from ..draw.glyphs import Glyphs


def thin_scrollbar(glyphs: Glyphs) -> type[ScrollBarRender]:
    """The class that draws it with these signs, for Textual to make instances of."""

    class ThinScrollBar(ScrollBarRender):
        @classmethod
        def render_bar(  # noqa: PLR0917  Textual's signature
            cls,
            size: int = 25,
            virtual_size: float = 50,
            window_size: float = 20,
            position: float = 0,
            thickness: int = 1,
            vertical: bool = True,
            back_color: Color = Color.parse("default"),  # noqa: B008  same
            bar_color: Color = Color.parse("default"),  # noqa: B008  same
        ) -> Segments:
            """One sign a line. A click above or below the thumb scrolls a page; the thumb can be dragged."""
            if not (window_size and size and virtual_size > size):
                return Segments([Segment(" " * thickness, Style())] * size, new_lines=vertical)
            thumb = max(1, round(size * window_size / virtual_size))
            start = min(size - thumb, round((size - thumb) * position / max(1, virtual_size - window_size)))
            looks = (
                (glyphs.track, Style(color=back_color, meta={"@mouse.down": "scroll_up"})),
                (glyphs.thumb, Style(color=bar_color, meta={"@mouse.down": "grab"})),
                (glyphs.track, Style(color=back_color, meta={"@mouse.down": "scroll_down"})),
            )
            counts = (start, thumb, size - start - thumb)
            parts = [Segment(sign, style) for (sign, style), n in zip(looks, counts, strict=True) for _ in range(n)]
            return Segments(parts, new_lines=vertical)

    return ThinScrollBar
