#!/usr/bin/env python3
"""Records the README's animation: half a minute of the demo, driven on a pseudo-terminal.

screenshots/animate.py [--png FOLDER]     with frames as PNG, to look at (rsvg-convert, fonts-firacode)

Writes demo.cast (asciicast v2, for ``asciinema play``) and demo.svg into animation. Keys, and how long each step is
shown, are fixed; the demo's mail is random. In the SVG each line of the screen is drawn once for each of its texts, and
shown while it has it.
"""

from __future__ import annotations

import argparse
import codecs
import fcntl
import html
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.tui.drawn import Cell, Drawn

HERE = Path(__file__).parent
OUT = HERE / "animation"
COLUMNS, LINES = 100, 28
WAIT = 60.0  # seconds that a text may take to come
FRAME = 0.4  # seconds
CELL_X, CELL_Y, MARGIN = 9.0, 18.0, 10.0  # pixels
SIZE = CELL_X * 1950 / 1200  # a letter of Fira Code is then exactly as wide as a cell
BASE = 13.5  # pixels from the top of a line to its letters
FORE, BACK = "#d8dee9", "#10151b"
# With another name than that of this machine.
PROGRAM = """
import socket, sys
socket.gethostname = lambda: "mail.example.org"
from mailquota.tui.command import main
sys.exit(main())
"""
HALF = re.compile(r"\x1b(?:\[[0-?]*[ -/]*)?$")
STEP_WORDS = re.compile(r"\S+(?: \S+)*")


class Step(NamedTuple):
    """Keys, a text that comes by them, and how long that is shown."""

    keys: str
    text: str
    seconds: float


STEPS = (
    Step("", "john@example.org", 3.0),
    Step("j", "", 0.4),
    Step("j", "", 0.6),
    Step("\r", "Folders", 3.0),
    Step("\x1b", "Usage", 0.8),
    Step("/", "Filter", 0.4),
    *(Step(key, "", 0.12) for key in "over|near"),
    Step("\r", "", 2.0),
    Step("/", "", 0.4),
    Step("\x15", "", 0.2),
    *(Step(key, "", 0.2) for key in "john@"),
    Step("\r", "1 of 60", 0.8),
    Step("e", "New limit", 1.2),
    *(Step(key, "", 0.25) for key in "+1G"),
    Step("", "+1", 1.5),
    Step("\r", "6 GiB", 2.0),
    Step("\x1b", "", 0.8),
    Step("3", "requests", 4.0),
    Step("/", "", 0.4),
    *(Step(key, "", 0.12) for key in "refused"),
    Step("\r", "", 2.0),
    Step("\r", "Explain", 2.5),
    Step("\x1b", "", 0.5),
    Step("5", "Journal", 2.5),
    Step("1", "Accounts", 2.5),
)


class Output(NamedTuple):
    """What was sent at a time of the recording."""

    at: float
    text: str


def record() -> list[Output]:
    """Drive the demo through the steps."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", LINES, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
    running = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--demo", "--accounts", "60"],
        cwd=HERE.parent, stdin=slave, stdout=slave, stderr=subprocess.DEVNULL, start_new_session=True, env=environment,
    )  # fmt: skip
    os.close(slave)
    try:
        return Driver(master).drive()
    finally:
        running.terminate()
        running.wait(WAIT)
        os.close(master)


class Driver:
    """Types the keys and keeps what comes, with the times of the steps rather than those of this machine."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._screen = Drawn(COLUMNS, LINES)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""  # the beginning of a sequence
        self._found: list[Output] = []

    def drive(self) -> list[Output]:
        start = 0.0
        for step in STEPS:
            os.write(self._master, step.keys.encode())
            until = time.monotonic() + WAIT
            while step.text not in self._screen.text:
                assert time.monotonic() < until, f"{step.text} did not come:\n{self._screen.text}"
                self._take(0.05, start)
            begun = time.monotonic()
            while (passed := time.monotonic() - begun) < step.seconds:
                self._take(min(0.05, step.seconds - passed), start + passed)
            start += step.seconds
        return self._found

    def _take(self, seconds: float, at: float) -> None:
        if not select.select([self._master], [], [], max(seconds, 0.0))[0]:
            return
        text = self._rest + self._decode(os.read(self._master, 65536))
        cut = HALF.search(text)
        text, self._rest = (text[: cut.start()], cut[0]) if cut else (text, "")
        self._screen.feed(text)
        self._found.append(Output(at, text))


def write_cast(outputs: list[Output], path: Path) -> None:
    """As asciicast v2: a header, then one line for each output."""
    header = {
        "version": 2,
        "width": COLUMNS,
        "height": LINES,
        "title": "mailquota --demo",
        "env": {"TERM": "xterm-256color"},
    }
    lines = [json.dumps(header), *(json.dumps([round(at, 3), "o", text], ensure_ascii=False) for at, text in outputs)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


# ---- the picture

Row = tuple[Cell, ...]


class Shown(NamedTuple):
    """What a line of the screen is from one time to another."""

    y: int
    start: float
    end: float
    row: Row


def total() -> float:
    """Seconds."""
    return sum(step.seconds for step in STEPS)


def rows_of(outputs: list[Output]) -> list[Shown]:
    """What each line shows when, looked at once in each frame."""
    screen, left, found = Drawn(COLUMNS, LINES), list(outputs), list[Shown]()
    now: list[tuple[float, Row]] = [(0.0, tuple(line)) for line in screen.lines]
    frame = 0.0
    while frame <= total():
        while left and left[0].at <= frame + FRAME:
            screen.feed(left.pop(0).text)
        for y, line in enumerate(screen.lines):
            if tuple(line) != now[y][1]:
                found.append(Shown(y, now[y][0], frame, now[y][1]))
                now[y] = frame, tuple(line)
        frame += FRAME
    found += [Shown(y, start, total(), row) for y, (start, row) in enumerate(now)]
    return [shown for shown in found if shown.end > shown.start]


def colour(code: str, usual: str) -> str:
    """Of a code of 24 bits; the console sends no others on such a terminal."""
    parts = code.split(";")
    return "#" + "".join(f"{int(part):02x}" for part in parts[2:5]) if len(parts) == 5 else usual


def look(cell: Cell) -> tuple[str, str, bool, bool]:
    """Foreground, background, bold, underlined."""
    _sign, marks, fore, back = cell
    colours = colour(fore, FORE), colour(back, BACK)
    front, ground = colours[::-1] if "7" in marks else colours
    return front, ground, "1" in marks, "4" in marks


class Painter:
    """Makes the SVG; ``classes`` are the styles that were used."""

    def __init__(self) -> None:
        self.classes: dict[tuple[str, bool, bool], str] = {}

    def row(self, row: Row) -> str:
        """One line of the screen; its letters stand at the top. What is behind them comes first."""
        behind, letters, x = list[str](), list[str](), 0
        for style, run in groupby(row, look):
            text = "".join(cell[0] for cell in run)
            if style[1] != BACK:
                place = f'x="{x * CELL_X:g}" y="-{BASE:g}" width="{len(text) * CELL_X:g}" height="{CELL_Y:g}"'
                behind.append(f'<rect {place} fill="{style[1]}"/>')
            letters += self._words(x, text, *style)
            x += len(text)
        return "".join([*behind, *letters])

    def _words(self, x: int, text: str, front: str, _ground: str, bold: bool, line: bool) -> Iterator[str]:
        name = self.classes.setdefault((front, bold, line), f"c{len(self.classes)}")
        for words in STEP_WORDS.finditer(text):
            place = (x + words.start()) * CELL_X
            length = len(words[0]) * CELL_X
            yield f'<text class="{name}" x="{place:g}" textLength="{length:g}">{html.escape(words[0])}</text>'

    def style(self) -> str:
        """All styles."""
        lines = [
            f".{name}{{fill:{front}{';font-weight:bold' * bold}{';text-decoration:underline' * line}}}"
            for (front, bold, line), name in self.classes.items()
        ]
        font = f'font:{SIZE}px "Fira Code","DejaVu Sans Mono",monospace;font-variant-ligatures:none;white-space:pre'
        return f"text{{{font}}}" + "".join(lines)


def svg(rows: list[Shown], at: float | None = None) -> str:
    """The animation; or the one frame of a time."""
    painter, defined, uses = Painter(), dict[Row, str](), list[str]()
    for shown in rows:
        if at is not None and not shown.start <= at < shown.end:
            continue
        name = defined.setdefault(shown.row, f"r{len(defined)}")
        moving = "" if at is not None or (shown.start, shown.end) == (0.0, total()) else _visible(shown)
        uses.append(f'<use href="#{name}" y="{MARGIN + BASE + shown.y * CELL_Y:g}" x="{MARGIN:g}">{moving}</use>')
    symbols = "".join(f'<g id="{name}">{painter.row(row)}</g>' for row, name in defined.items())
    width, height = COLUMNS * CELL_X + 2 * MARGIN, LINES * CELL_Y + 2 * MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}"'
        f' height="{height:g}">'
        f"<title>mailquota --demo</title><style>{painter.style()}</style><defs>{symbols}</defs>"
        f'<rect width="{width:g}" height="{height:g}" rx="8" fill="{BACK}"/>{"".join(uses)}</svg>\n'
    )


def _visible(shown: Shown) -> str:
    start, end = (round(at / total(), 4) for at in (shown.start, shown.end))
    points = [(0.0, "hidden")] * (start > 0) + [(start, "visible")] + [(end, "hidden")] * (end < 1)
    times, values = (";".join(str(part) for part in parts) for parts in zip(*points, strict=True))
    return (
        f'<animate attributeName="visibility" values="{values}" keyTimes="{times}" dur="{total():g}s"'
        f' calcMode="discrete" repeatCount="indefinite"/>'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--png", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    outputs = record()
    write_cast(outputs, OUT / "demo.cast")
    rows = rows_of(outputs)
    (OUT / "demo.svg").write_text(svg(rows), encoding="utf-8")
    for at in range(1, int(total()), 3) if options.png else ():
        picture = options.png / f"demo-{at:02}.svg"
        picture.write_text(svg(rows, float(at)), encoding="utf-8")
        subprocess.run(["rsvg-convert", "-o", str(picture.with_suffix(".png")), str(picture)], check=True)


if __name__ == "__main__":
    main()
