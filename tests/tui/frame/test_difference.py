"""What is sent makes the screen that is wanted, and is little."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual.events import Key
from textual.strip import Strip

from mailquota.tui.frame import difference as _difference
from mailquota.tui.frame.difference import difference
from mailquota.tui.frame.painting import ECHO_SECONDS, PaintingApp, pause_after
from tests.tui.drawn import Cell, Drawn

WIDTH, HEIGHT = 24, 12
STYLES = [
    None, Style.parse("bold red"), Style.parse("dim"), Style.parse("#a0b0c0 on #102030"), Style.parse("on #102030"),
    Style.parse("reverse"), Style.parse("underline #ffffff"),
]  # fmt: skip


def wanted(strips: list[Strip]) -> list[list[Cell]]:
    """The screen as it should be, drawn line by line."""
    screen = Drawn(WIDTH, HEIGHT)
    screen.feed(difference(None, strips, ColorSystem.TRUECOLOR))
    drawn = Drawn(WIDTH, HEIGHT)
    for y, strip in enumerate(strips):
        drawn.feed(f"\x1b[{y + 1};1H")
        for segment in strip:
            style = segment.style or Style.null()
            drawn.feed(style.render(segment.text, color_system=ColorSystem.TRUECOLOR))
    assert screen.lines == drawn.lines
    return screen.lines


texts = st.text(st.sampled_from("ab  ─✓"), min_size=WIDTH, max_size=WIDTH)


@st.composite
def strips(draw: st.DrawFn) -> Strip:
    """A line in one style or two."""
    text, cut = draw(texts), draw(st.integers(0, WIDTH))
    return Strip(
        [Segment(text[:cut], draw(st.sampled_from(STYLES))), Segment(text[cut:], draw(st.sampled_from(STYLES)))]
    )


@given(st.lists(strips(), min_size=HEIGHT + 6, max_size=HEIGHT + 6), st.integers(0, 6), st.integers(0, 6), st.data())
def test_the_screen_is_as_wanted(lines: list[Strip], first: int, second: int, data: st.DataObject) -> None:
    """From any screen to any other, also where lines moved, some of them changed, and a few stayed."""
    old, new = lines[first : first + HEIGHT], lines[second : second + HEIGHT]
    for y in data.draw(st.sets(st.integers(0, HEIGHT - 1), max_size=3)):
        new[y] = old[y]
    screen = Drawn(WIDTH, HEIGHT)
    screen.feed(difference(None, old, ColorSystem.TRUECOLOR))
    screen.feed(difference(old, new, ColorSystem.TRUECOLOR))
    assert screen.lines == wanted(new)
    assert difference(new, list(new), ColorSystem.TRUECOLOR) == ""


def _feed(start: int) -> list[Strip]:
    """A head, and lines of a feed, each with its number."""
    style = Style.parse("#a0b0c0 on #102030")
    return [
        Strip([Segment(f"head {start:4}".ljust(WIDTH), style)]),
        *(Strip([Segment(f"line {start - y:4} of a feed".ljust(WIDTH), style)]) for y in range(HEIGHT - 1)),
    ]


@pytest.mark.parametrize("by", [1, 3, -2])
def test_lines_that_moved_are_moved(by: int) -> None:
    """A feed costs no more than its new lines."""
    text = difference(_feed(100), _feed(100 + by), ColorSystem.TRUECOLOR)
    assert text.count("line") == abs(by)
    screen = Drawn(WIDTH, HEIGHT)
    screen.feed(difference(None, _feed(100), ColorSystem.TRUECOLOR) + text)
    assert screen.lines == wanted(_feed(100 + by))


def test_wide_signs_are_sent_with_their_whole_line() -> None:
    """Half of one can't be replaced."""
    old, new = [Strip([Segment("漢字 a")])], [Strip([Segment("漢字 b")])]
    assert difference(old, new, None) == "\x1b[1;1H漢字 b"
    assert difference([Strip([Segment("12345 a")])], [Strip([Segment("12345 b")])], None) == "\x1b[1;7Hb"


def test_large_frames_come_less_often() -> None:
    """2 kB/s at 120x32 and 4 kB/s at 200x50 are kept; a frame waits two seconds at most."""
    assert pause_after(100, 120 * 32) == 0.25
    assert 1500 / pause_after(1500, 120 * 32) < 2000
    assert 3000 / pause_after(3000, 200 * 50) < 4000
    assert pause_after(50_000, 200 * 50) == 2.0


def test_after_a_key_only_the_lines_that_differ_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys wait while a frame is made. Where more differ all are, as lines may have moved."""
    looked_at: list[Strip] = []
    plain = _difference._cells

    def counted(strip: Strip) -> object:
        looked_at.append(strip)
        return plain(strip)

    monkeypatch.setattr(_difference, "_cells", counted)
    old = _feed(100)
    new = list(old)
    new[3], new[4] = old[4], old[3]
    assert difference(old, new, ColorSystem.TRUECOLOR)
    assert len(looked_at) == 4
    looked_at.clear()
    assert difference(old, _feed(101), ColorSystem.TRUECOLOR)
    assert len(looked_at) == 2 * len(old)


def test_the_first_frame_after_a_key_waits_for_nothing() -> None:
    """More wait a little, so that each has all that changed meanwhile; without a key they wait longer."""
    app = PaintingApp[None]()
    app._sent_at, app._touched_at, app._pause = 10.0, 5.0, 0.25
    assert app._pause_now(10.1) == 0.25
    app._touched_at = 10.1
    assert app._pause_now(10.1) == 0
    app._keys.append(Key("j", "j"))  # it will be handled at once, and the frame shows both
    assert app._pause_now(10.1) == ECHO_SECONDS
    app._keys.clear()
    app._sent_at = 10.11
    assert app._pause_now(10.12) == ECHO_SECONDS
    assert app._pause_now(12) == 0.25
