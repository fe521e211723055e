"""Facts as text for cells, tiles and dialogs. Pure.

A line on the screen is a tuple of runs, each a text and the name of its style (``quiet``, ``over`` …). Only the theme
gives styles their colours. Text from outside goes through ``literal`` exactly once.
"""

from __future__ import annotations

import re
import textwrap
import time
import unicodedata
from collections.abc import Iterable
from math import ceil

from rich.cells import cell_len, set_cell_size

from mailquota.core.base.model import Level
from mailquota.core.base.units import format_age, format_count, format_micros, format_size

from .glyphs import Glyphs

Run = tuple[str, str]
Line = tuple[Run, ...]

# Unicode categories that draw nothing, or change how others are drawn: controls, formats (bidirectional overrides
# among them), surrogates, private use, line and paragraph separators.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

SOME_WORDS = 12  # cells; shorter parts of a text are left out

PERCENT = re.compile("([0-9]{1,3})%?")  # a threshold that is a share of the limit
_LEFT = re.compile("[0-9.]+[KMGT]")
_BYTES = re.compile("-?[0-9]{1,30}")

VERDICTS = {
    "accept": ("accepted", "quiet"),
    "over_quota": ("refused full", "over"),
    "too_large": ("refused size", "over"),
    "unknown": ("unknown user", "quiet"),
    "trouble": ("trouble", "near"),
    "exempt": ("exempt", "quiet"),
    "other": ("not decided", "quiet"),
    "bounced": ("bounced full", "over"),  # refused by the mail store at delivery; only the mail log shows it
}


def verdict_words(verdict: str, *, shadow: bool) -> Run:
    """The text and the style of a verdict. In shadow mode nothing is refused: it says ``would refuse``."""
    words, look = VERDICTS.get(verdict, (verdict, "plain"))
    return ("would refuse" if shadow and words.startswith("refused") else words), look


def threshold(mark: str, glyphs: Glyphs) -> str:
    """A threshold of warnings in words: ``95 % full``, ``50M left``, ``room again``."""
    percent = PERCENT.fullmatch(mark)
    if percent is not None:
        return f"{percent[1]} % full"
    if _LEFT.fullmatch(mark):
        return f"{mark} left"
    return {"below": "room again", "": "as it is"}.get(mark) or literal(mark, glyphs)


def literal(text: str, glyphs: Glyphs) -> str:
    """Text from outside, safe to show: characters that steer the terminal or hide text become visible signs."""
    if text.isascii() and text.isprintable():
        return text
    if glyphs.ascii_only:
        return "".join(char if " " <= char <= "~" else _escaped(char) for char in text)
    return "".join(_visible(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _visible(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)  # the pictures of control characters
    if code == 0x7F:
        return "\u2421"
    return "\u00b7" if unicodedata.category(char) in _UNSAFE else char


def width_of(line: Iterable[Run]) -> int:
    """The width of a line in cells."""
    return sum(cell_len(text) for text, _look in line)


def fit(text: str, width: int, glyphs: Glyphs, *, right: bool = False) -> str:
    """The text in exactly ``width`` cells: padded, or cut with a sign at its end."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + glyphs.ellipsis if width > 0 else ""
    pad = " " * (width - length)
    return pad + text if right else text + pad


def cut(line: Line, width: int, glyphs: Glyphs) -> Line:
    """The line in exactly ``width`` cells."""
    found: list[Run] = []
    for text, look in line:
        if (room := width - width_of(found)) <= 0:
            break
        found.append((fit(text, min(room, cell_len(text)), glyphs), look))
    return (*found, (" " * (width - width_of(found)), "plain"))


def split(line: Line, cells: int) -> tuple[Line, Line]:
    """The first ``cells`` of the line, or one more if a wide sign is there, and the rest."""
    first: list[Run] = []
    rest: list[Run] = []
    for text, look in line:
        at = 0
        while cells > 0 and at < len(text):
            cells -= cell_len(text[at])
            at += 1
        first.append((text[:at], look))
        rest.append((text[at:], look))
    return tuple(run for run in first if run[0]), tuple(run for run in rest if run[0])


def hanging(line: Line, width: int) -> list[Line]:
    """The line as several of ``width`` cells: its last run wraps, indented to where that run begins."""
    if width_of(line) <= width or len(line) < 2:
        return [line]
    *before, (text, look) = line
    indent = width_of(before)
    first, *more = textwrap.wrap(text, max(10, width - indent), break_on_hyphens=False) or [""]
    return [(*before, (first, look)), *(((" " * indent, "plain"), (part, look)) for part in more)]


def bar(percent: float | None, width: int, glyphs: Glyphs) -> tuple[str, str]:
    """The filled and the empty part of a bar. Any usage fills a part of a cell; only 100 % fills the last one."""
    steps = len(glyphs.fill) - 1
    most = width * steps
    filled = 0 if percent is None else min(most, int(percent * most / 100))
    if percent is not None and percent > 0:
        filled = max(1, filled)
    if percent is not None and percent < 100:
        filled = min(filled, most - 1)
    full, part = divmod(filled, steps)
    text = glyphs.fill[-1] * full + (glyphs.fill[part] if part else "")
    return text, glyphs.fill[0] * (width - len(text))


def percent_text(percent: float | None, glyphs: Glyphs) -> str:
    """``96 %``, rounded down: 100 % is never shown for a mailbox below its limit."""
    if percent is None:
        return glyphs.nothing
    return "> 999 %" if percent >= 1000 else f"{int(percent)} %"


def meter(percent: float | None, look: str, width: int, glyphs: Glyphs) -> Line:
    """A bar as runs. Both parts differ in their signs too, so it can be read without colours."""
    left, right = glyphs.caps
    full, rest = bar(percent, width - len(left + right), glyphs)
    return tuple(run for run in ((left, "quiet"), (full, f"{look}-bar"), (rest, "track"), (right, "quiet")) if run[0])


def limit_bar(percent: float, look: str, width: int, glyphs: Glyphs) -> Line:
    """A bar with a sign where 100 % is. What is over goes on behind it: up to twice the limit, then an arrow."""
    left = glyphs.caps[0]
    tail = max(2, width // 5)
    full, rest = bar(min(percent, 100.0), width - tail - len(left + glyphs.limit), glyphs)
    most = tail * (len(glyphs.fill) - 1)
    steps = 0 if percent <= 100 else min(most, ceil((percent - 100) * most / 100))
    whole, part = divmod(steps, len(glyphs.fill) - 1)
    over = glyphs.fill[-1] * whole + (glyphs.fill[part] if part else "")
    if percent >= 200:
        over = glyphs.fill[-1] * (tail - 1) + glyphs.beyond
    is_over = percent >= 100
    runs = (
        (left, "quiet"),
        (full, "over-area" if is_over else f"{look}-bar"),
        (rest, "track"),
        (glyphs.crossed, "over-bar") if is_over else (glyphs.limit, "track"),
        (over, "over-bar"),
        (" " * (tail - len(over)), "plain"),
    )
    return tuple(run for run in runs if run[0])


def size(value: int | None, glyphs: Glyphs) -> str:
    """Bytes with a unit; a dash for None."""
    return glyphs.nothing if value is None else format_size(value)


def count(value: int | None, glyphs: Glyphs) -> str:
    """A number with thousands separated; a dash for None."""
    return glyphs.nothing if value is None else format_count(value)


def short_count(value: int, cells: int = 6) -> str:
    """A number in at most ``cells`` cells (six or more): ``12,345``, ``123k``, ``12M``."""
    text = format_count(value)
    if len(text) <= cells:
        return text
    return f"{value // 1000}k" if value < 1_000_000 else f"{value // 1_000_000}M"


def age(moment: float | None, now: float, glyphs: Glyphs) -> str:
    """How long ago, in minutes at the finest: seconds would change all rows of a table each second."""
    if moment is None:
        return glyphs.nothing
    return "< 1 min" if now - moment < 60 else format_age(now - moment)


def ahead(moment: float, now: float) -> str:
    """How long until then, in minutes at the finest: ``in 4 min``, ``now``."""
    left = moment - now
    return "now" if left <= 0 else "in < 1 min" if left < 60 else f"in {format_age(left)}"


def day(moment: float, now: float) -> str:
    """A local date: ``Fri 4 Dec``, with the year if it is not this one."""
    then = time.localtime(moment)
    year = "" if then.tm_year == time.localtime(now).tm_year else f" {then.tm_year}"
    return f"{time.strftime('%a', then)} {then.tm_mday} {time.strftime('%b', then)}{year}"


def until(moment: float, now: float) -> str:
    """The end of something: its local date, with the time of day if that is not midnight: ``Fri 4 Dec 18:00``."""
    clock = time.strftime("%H:%M", time.localtime(moment))
    return day(moment, now) + ("" if clock == "00:00" else f" {clock}")


def facts(name: Run, others: Iterable[Run], width: int, glyphs: Glyphs) -> Line:
    """The name and as many of the facts as fit, with dots between; the last one may be cut."""
    dot = f"  {glyphs.dot}  " if width >= 100 else f" {glyphs.dot} "
    line: list[Run] = [(" " + fit(name[0], min(width_of([name]), width // 2), glyphs), name[1])]
    for text, look in others:
        room = width - width_of(line) - len(dot)
        if room < SOME_WORDS:
            break
        line += [(dot, "quiet"), (fit(text, min(room, cell_len(text)), glyphs), look)]
    return tuple(line)


def plural(number: int, one: str, many: str = "") -> str:
    """``1 account``, ``1,204 accounts``."""
    return f"{format_count(number)} {one if number == 1 else many or one + 's'}"


def recorded_bytes(value: str | None) -> int | None:
    """Bytes from a value in the journal; None if that is no number."""
    return int(value) if value is not None and _BYTES.fullmatch(value) else None


def recorded(value: str | None, glyphs: Glyphs) -> str:
    """A value of the journal as text: bytes with a unit, anything else as it is."""
    size = recorded_bytes(value)
    if size is not None:
        return format_size(size)
    return glyphs.nothing if value is None else literal(value, glyphs)


def micros(value: int | None, glyphs: Glyphs) -> str:
    """Microseconds with a unit; ``us`` where the terminal has no µ."""
    if value is None:
        return glyphs.nothing
    text = format_micros(value)
    return text.replace("µ", "u") if glyphs.ascii_only else text


def clock(moment: float) -> str:
    """The local time of day, with seconds."""
    return time.strftime("%H:%M:%S", time.localtime(moment))


def look_of(level: Level) -> str:
    """The style of a level: amber and red only where something needs attention."""
    return {Level.OVER: "over", Level.CRITICAL: "critical", Level.NEAR: "near", Level.OK: "ok"}.get(level, "quiet")


def drift_words(before: int | None, after: int | None) -> str:
    """How far a recount differs from what was recorded: ``5 MiB less than recorded``."""
    if before is None or after is None:
        return "counted for the first time" if after is not None else "not counted"
    if before == after:
        return "as recorded"
    return f"{format_size(abs(after - before))} {'more' if after > before else 'less'} than recorded"


def editable_size(limit: int | None) -> str:
    """A limit as it can be typed, exact to the byte: ``5G``, ``1536M``, ``5000``."""
    if limit is None:
        return "unlimited"
    for power, letter in ((40, "T"), (30, "G"), (20, "M"), (10, "K")):
        if limit >= 1 << power and limit % (1 << power) == 0:
            return f"{limit >> power}{letter}"
    return str(limit)
