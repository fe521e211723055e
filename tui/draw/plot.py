"""The plot of an account's usage, with its limits and its forecast. Pure; sizes in bytes, times in seconds.

Theory of operation. Time runs from left to right, each column of cells stands for a span of it; "today" is where the
past ends, and what is right of it is the forecast. A recorded usage holds until the next one, and a column shows the
largest of its span: a peak of an hour is seen among 90 days.

The limit always lies on the edge between two lines, so what is drawn above that edge is exactly what was over the
limit; it has a colour of its own. If the usage is far below the limit, a scale up to the limit would flatten the curve:
the scale then ends just above the usage, without the limit.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from mailquota.core.base.model import Point
from mailquota.core.base.units import format_size
from mailquota.core.control.results import Details

from .format import Line, Run
from .glyphs import Glyphs
from .grid import Context

DAY = 86400.0
HOUR = 3600.0
PAST = 90  # days
YOUNG = 3 * DAY  # seconds; dates of a shorter history have the time of day
NEAREST, FARTHEST = 1 / 6, 2 / 3  # how much of the forecast is shown, as shares of the past
AXIS = 10  # cells of the numbers on the left
FAR = 4.0  # a limit so many times above the usage is off the scale
STEPS = 8  # heights that a cell can show

Held = Sequence[tuple[float, int | None]]  # (since when, limit in bytes), oldest first


@dataclass(frozen=True)
class Frame:
    """The scale of a plot: times in seconds since the epoch, ``line`` in bytes. ``limit`` is None where it is off the
    scale."""

    start: float
    now: float
    end: float
    columns: int
    lines: int
    line: float
    limit: int | None

    def time_of(self, column: int) -> float:
        """Seconds since the epoch at which a column begins."""
        return self.start + column * (self.end - self.start) / self.columns

    def column(self, at: float) -> int:
        """The column of a time in seconds since the epoch."""
        return int((at - self.start) * self.columns / (self.end - self.start))


def plot(details: Details, width: int, height: int, context: Context) -> list[Line]:
    """``height`` lines of ``width`` cells; the last one has the dates."""
    frame = frame_of(details, context.now, max(1, width - AXIS), max(1, height - 1))
    limits, drawing = held(details, frame.start), Drawing(frame, context.glyphs)
    drawing.limits(limits)
    drawing.forecast(details)
    drawing.use(_points(details, frame), limits)
    figures = _figures(frame)
    axis = [(f"{figures.get(number, ''):>{AXIS - 1}} ", "quiet") for number in range(frame.lines)]
    return [*((figure, *row) for figure, row in zip(axis, drawing.rows, strict=True)), _days(frame, details)]


# ---- what is shown


def frame_of(details: Details, now: float, columns: int, lines: int) -> Frame:
    """Which span of time and which range of bytes the plot covers."""
    start, limit = beginning(details, now), details.row.limit_bytes
    since = _since(details.points, start)
    highest = max([point.used_bytes for point in since] + [details.row.used_bytes or 0, 1])
    end = now + _ahead(details, now - start)
    if limit is None or not 0 < limit <= FAR * highest:  # the limit is off the scale; leave a little room on top
        return Frame(start, now, end, columns, lines, line=highest * 1.15 / lines, limit=None)
    tallest = max([highest, *(each for _at, each in held(details, start) if each and each <= FAR * highest)])
    # The limit has to be the edge between two lines: a whole number of lines below it gives the bytes a line, and at
    # least one line stays above it.
    below = max(1, min(lines - 1, int(limit / tallest * lines)))
    return Frame(start, now, end, columns, lines, line=max(limit / below, tallest / lines), limit=limit)


def beginning(details: Details, now: float) -> float:
    """When the plot begins: where the history does, at most 90 days and at least an hour ago."""
    first = details.points[0].at if details.points else now
    return min(max(now - PAST * DAY, first), now - HOUR)


def _ahead(details: Details, past: float) -> float:
    """Seconds after today that are shown: 0 without a forecast, and if the account is full already."""
    forecast = details.forecast
    if forecast is None or not forecast.days:
        return 0.0
    # A quarter more than the likeliest day, so that it is not at the edge.
    return min(max(forecast.days * DAY * 1.25, NEAREST * past), FARTHEST * past)


def _since(points: Sequence[Point], start: float) -> Sequence[Point]:
    """The points from ``start`` on, and the one before, whose usage held at that time."""
    return points[max(0, bisect_right(points, start, key=lambda point: point.at) - 1) :]


def _points(details: Details, frame: Frame) -> list[Point]:
    """The history with the present usage as its last point."""
    points = [point for point in _since(details.points, frame.start) if point.at <= frame.now]
    used = details.row.used_bytes
    return points if used is None else [*points, Point(frame.now, used)]


def held(details: Details, start: float) -> Held:
    """The limits in force since ``start``, each with its time; only the present limit if the history has none."""
    later = [(at, limit) for at, limit in details.limits if at > start]
    before = [(start, limit) for at, limit in details.limits if at <= start][-1:]
    return before + later or [(start, details.row.limit_bytes)]


# ---- drawing


class Drawing:
    """The cells of the plot, from the top line down; what is drawn later hides what was there."""

    def __init__(self, frame: Frame, glyphs: Glyphs) -> None:
        self.frame = frame
        self.rows: list[list[Run]] = [[(" ", "plain")] * frame.columns for _line in range(frame.lines)]
        self._glyphs = glyphs

    def limits(self, held: Held) -> None:
        """Draw each limit on the lower edge of the line above it, over the time in which it was in force."""
        frame, sign = self.frame, (self._glyphs.steps_of_plot[0], "quiet")
        ends = [at for at, _limit in held[1:]] + [frame.end]
        for (at, limit), end in zip(held, ends, strict=True):
            up = frame.lines if limit is None or limit < 0 else round(limit / frame.line)
            if up < frame.lines:
                for column in range(max(0, frame.column(at)), frame.column(end)):
                    self.rows[frame.lines - 1 - up][column] = sign

    def forecast(self, details: Details) -> None:
        """Draw the range of the forecast, and its likeliest course, up to the limit."""
        frame, trend, used = self.frame, details.trend, details.row.used_bytes
        if trend is None or used is None or frame.end <= frame.now:
            return
        most = details.row.limit_bytes if frame.limit is not None else None
        for growth, style in ((trend.low, "quiet"), (trend.high, "quiet"), (trend.growth, "near")):
            for column in range(frame.column(frame.now) + 2, frame.columns, 2):
                size = used + growth * (frame.time_of(column) - frame.now) / DAY
                if size < 0 or (most is not None and size >= most):
                    break
                up, part = divmod(size / frame.line, 1)
                if up < frame.lines:
                    sign = self._glyphs.dots[int(part * len(self._glyphs.dots))]
                    self.rows[frame.lines - 1 - int(up)][column] = (sign, style)

    def use(self, points: Sequence[Point], held: Held) -> None:
        """Draw the usage; what was over the limit of its time has another colour."""
        frame = self.frame
        times, since = [point.at for point in points], [at for at, _limit in held]
        for column in range(max(0, frame.column(times[0])) if times else frame.columns, frame.columns):
            begin, end = frame.time_of(column), frame.time_of(column + 1)
            if begin > frame.now:
                break
            first = max(0, bisect_right(times, begin) - 1)
            after = len(points) if end >= frame.now else max(first + 1, bisect_left(times, end))
            most = max(point.used_bytes for point in points[first:after])
            self._column(column, most, held[max(0, bisect_right(since, min(end, frame.now)) - 1)][1])

    def _column(self, column: int, used: int, limit: int | None) -> None:
        """Draw one column: usage over the limit always reaches above the limit's line, usage below never does."""
        lines = self.frame.lines
        height = max(1, round(used / self.frame.line * STEPS))
        edge = lines if limit is None else round(limit / self.frame.line)
        over = limit is not None and used >= limit
        # Rounding to an eighth of a cell must not move the column to the other side of the limit.
        if over:
            edge = min(edge, lines - 1)
            height = max(height, edge * STEPS + 1)
        else:
            height = min(height, max(1, edge * STEPS))
        for up in range(min(-(-height // STEPS), lines)):
            sign = self._glyphs.steps_of_plot[min(STEPS, height - up * STEPS) - 1]
            if over and up == edge - 1:
                sign = self._glyphs.notch
            self.rows[lines - 1 - up][column] = (sign, "over-area" if over and up >= edge else "area")


def _figures(frame: Frame) -> dict[int, str]:
    """The text left of each line: the limit or the upper end of the scale, and 0."""
    figures = {frame.lines - 1: "0"}
    if frame.limit is None:
        figures[0] = format_size(round(frame.lines * frame.line))
    else:
        figures[max(0, frame.lines - 1 - round(frame.limit / frame.line))] = format_size(frame.limit)
    return figures


def _days(frame: Frame, details: Details) -> Line:
    """The line of dates: today, when the mailbox is full, the beginning, the middle, as far as they fit."""
    cells = [" "] * frame.columns
    places = [
        (frame.now, "now" if is_young(frame.start, frame.now) else "today"),
        (frame.start, moment(frame.start, frame.start, frame.now)),
    ]
    forecast = details.forecast
    if forecast is not None and forecast.days and frame.now + forecast.days * DAY <= frame.end:
        full = frame.now + forecast.days * DAY
        places.insert(1, (full, "full today" if day(full) == day(frame.now) else f"full {day(full)}"))
    middle = (frame.start + frame.now) / 2
    for at, words in [*places, (middle, moment(middle, frame.start, frame.now))]:
        x = max(0, min(frame.column(at) - len(words) // 2, frame.columns - len(words)))
        if not "".join(cells[max(0, x - 2) : x + len(words) + 2]).strip():
            cells[x : x + len(words)] = words
    return ((" " * AXIS + "".join(cells)[: frame.columns], "quiet"),)


def is_young(start: float, now: float) -> bool:
    """Whether the history is so short that dates need the time of day."""
    return now - start < YOUNG


def moment(at: float, start: float, now: float) -> str:
    """A time of a history that began at ``start``: ``4 Dec``, of a short history ``4 Dec 14:05``, of today
    ``14:05``."""
    if not is_young(start, now):
        return day(at)
    return _clock(at) if day(at) == day(now) else f"{day(at)} {_clock(at)}"


def _clock(at: float) -> str:
    return time.strftime("%H:%M", time.localtime(at))


def day(at: float) -> str:
    """``4 Dec``, in local time."""
    moment = time.localtime(at)
    return f"{moment.tm_mday} {time.strftime('%b', moment)}"
