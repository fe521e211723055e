"""The plot of an account's use, and growth in words and signs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import pytest

from mailquota.core.base.growth import forecast
from mailquota.core.base.model import AccountRow, Forecast, Point, Trend
from mailquota.core.base.times import local_time
from mailquota.core.control.results import Details
from mailquota.tui.card import page as card
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw import outlook, plot
from mailquota.tui.draw.format import Line
from mailquota.tui.draw.glyphs import ASCII, UNICODE, Glyphs
from mailquota.tui.draw.grid import Context
from tests.tui import past, world
from tests.tui.world import GIB, MIB

DAY, HOUR = 86400.0, 3600.0
NOW = world.NOW
CONTEXT = Context(NOW, UNICODE)
Limits = Sequence[tuple[float, int | None]]


def account(used: int, limit: int | None, points: list[Point], *, growth: int = 0, limits: Limits = ()) -> Details:
    """What a plot needs of it."""
    trend = Trend(growth, growth // 2, growth * 2)
    ahead = None if limit is None else forecast(used, limit, trend)
    row = AccountRow("a@example.org", limit, used)
    return Details(row, [], [], [], points=points, limits=list(limits), trend=trend, forecast=ahead)


def drawn(details: Details, width: int = 100, height: int = 12, context: Context = CONTEXT) -> list[str]:
    """As text, without the figures on the left and the days below."""
    lines = plot.plot(details, width, height, context)
    assert len(lines) == height
    assert {fmt.width_of(line) for line in lines} == {width}
    return ["".join(text for text, _look in line)[plot.AXIS :] for line in lines[:-1]]


def days(details: Details, width: int = 100) -> str:
    """What stands below."""
    return "".join(text for text, _look in plot.plot(details, width, 12, CONTEXT)[-1])


def heights(lines: list[str]) -> list[int]:
    """Of the use in each column, in eighths of a line."""
    return [sum(UNICODE.steps_of_plot.find(line[x]) + 1 for line in lines) for x in range(len(lines[0]))]


def test_a_figure_holds_until_the_next_one() -> None:
    """Steps, not slopes; the present figure is the last."""
    steps = [Point(NOW - 89 * DAY, 2 * GIB), Point(NOW - 45 * DAY, 4 * GIB)]
    found = heights(drawn(account(8 * GIB, None, steps)))
    assert len(set(found[2:44])) == 1
    assert len(set(found[47:88])) == 1
    assert found[50] == pytest.approx(2 * found[10], abs=1)
    assert found[89] == pytest.approx(2 * found[50], abs=1)


def test_a_short_peak_is_seen() -> None:
    """An hour among ninety days."""
    peak = NOW - 45 * DAY
    points = [Point(NOW - 100 * DAY, GIB), Point(peak, 8 * GIB), Point(peak + 3600, GIB)]
    found = heights(drawn(account(GIB, None, points)))
    assert found.index(max(found)) in {44, 45}
    assert sum(height > 20 for height in found) == 1


def test_before_the_first_figure_nothing_is_drawn_and_a_young_history_has_its_own_span() -> None:
    """Its days below are its own."""
    young = account(2 * GIB, None, [Point(NOW - 10 * DAY, GIB)])
    assert heights(drawn(young))[0] > 0
    assert days(young).split()[:2] == ["8", "Nov"]
    assert plot.beginning(young, NOW) == NOW - 10 * DAY
    assert plot.beginning(account(1, None, []), NOW) == NOW - HOUR


@pytest.mark.parametrize("age", [0.0, 20 * 60, 5 * HOUR, 30 * HOUR, 3 * DAY - 60])
@pytest.mark.parametrize("width", [70, 110])
def test_a_history_of_hours_has_times(age: float, width: int) -> None:
    """Days would say the same twice, and ``today`` what began today. It takes the room that there is."""
    young = account(2 * GIB, 5 * GIB, [Point(NOW - age, GIB), Point(NOW - age / 2, 2 * GIB)])
    below = days(young, width).strip()
    labels = re.split(r"  +", below)
    assert labels[-1] == "now"
    assert labels[0] == _told(NOW - max(age, HOUR))
    assert len({*labels}) == len(labels) == 3
    found = heights(drawn(young, width))
    assert found[-1] == max(found)
    assert found[0] > 0 or age < HOUR
    assert card.title_of_plot(young, NOW) == f"Usage since {_told(NOW - age)}"


def _told(at: float) -> str:
    """The time of day, and the day where it is not this one."""
    day, clock = local_time(at).split()
    return clock[:5] if local_time(NOW).startswith(day) else f"{plot.day(at)} {clock[:5]}"


def test_full_within_the_day() -> None:
    """Where it is full on this day, that is said so."""
    details = account(4 * GIB, 5 * GIB, [Point(NOW - 5 * HOUR, GIB), Point(NOW - HOUR, 4 * GIB)], growth=8 * GIB)
    assert details.forecast is not None
    assert details.forecast.days
    full = plot.day(NOW + details.forecast.days * DAY)
    assert f"full {'today' if full == plot.day(NOW) else full}" in days(details)


def test_the_limit_is_a_line_and_what_is_over_it_has_another_colour() -> None:
    """By the limit of that time: the same use is over before a raise, and not after it."""
    raised = NOW - 45 * DAY
    limits: Limits = [(NOW - 200 * DAY, 2 * GIB), (raised, 4 * GIB)]
    details = account(3 * GIB, 4 * GIB, [Point(NOW - 89 * DAY, 3 * GIB)], limits=limits)
    over = [_columns(line, "over-area") for line in plot.plot(details, 100, 12, CONTEXT)]
    assert {x for columns in over for x in columns} == set(range(44))
    line = drawn(details)[0]
    assert line[50:] == "▁" * 40
    assert line[:40].strip() == ""


def _columns(line: Line, look: str) -> set[int]:
    """In which columns a look stands."""
    return {x for x, (_text, style) in enumerate(line[1:]) if style == look}


@pytest.mark.parametrize("used", [MIB, GIB, 4 * GIB + 1023 * MIB, 5 * GIB, 5 * GIB + MIB, 9 * GIB])
@pytest.mark.parametrize("height", [2, 5, 9, 15])
def test_red_is_exactly_what_is_over_the_limit(used: int, height: int) -> None:
    """At every scale, a byte counts."""
    details = account(used, 5 * GIB, [Point(NOW - 200 * DAY, used)])
    looks = {style for line in plot.plot(details, 60, height, CONTEXT) for _text, style in line}
    assert ("over-area" in looks) is (used >= 5 * GIB)


@pytest.mark.parametrize(("glyphs", "sign"), [(UNICODE, "▇"), (ASCII, "=")])
def test_the_limit_is_seen_without_colours_too(glyphs: Glyphs, sign: str) -> None:
    """A dark line through the columns that go over it, where its own line would be."""
    details = account(9 * GIB, 5 * GIB, [Point(NOW - 200 * DAY, 9 * GIB)])
    lines = drawn(details, context=Context(NOW, glyphs))
    assert [line for line in lines if set(line) == {sign}] == [lines[5]]


def test_a_limit_far_above_the_use_is_off_the_scale() -> None:
    """Else all that happens would be flat."""
    details = account(100 * MIB, 50 * GIB, [Point(NOW - 89 * DAY, 50 * MIB)])
    found = heights(drawn(details))
    assert max(found) > 70
    assert "".join(text for text, _look in plot.plot(details, 100, 12, CONTEXT)[0]).split()[:2] == ["115", "MiB"]


def test_the_forecast_ends_at_the_limit_on_its_day() -> None:
    """Behind today, rising, with the range beside it."""
    points = past.points(4 * GIB, 50 * MIB, NOW)
    details = account(4 * GIB, 5 * GIB, points, growth=50 * MIB)
    below = days(details)
    assert "today" in below
    assert "full 8 Dec" in below
    today = below.index("today") + 2
    signs = [(x, y) for y, line in enumerate(plot.plot(details, 100, 12, CONTEXT)[:-1]) for x in _columns(line, "near")]
    assert min(x for x, _y in signs) + plot.AXIS > today
    rising = [y for _x, y in sorted(signs)]
    assert all(before >= after for before, after in itertools.pairwise(rising))
    assert max(x for x, _y in signs) + plot.AXIS == pytest.approx(below.index("full") + 5, abs=4)


def test_nothing_is_foretold_of_an_account_that_is_full_shrinks_or_has_no_limit() -> None:
    """Today is then at the right edge."""
    for used, limit, growth in ((6 * GIB, 5 * GIB, MIB), (4 * GIB, 5 * GIB, -MIB), (4 * GIB, None, MIB)):
        details = account(used, limit, [Point(NOW - 89 * DAY, used)], growth=growth)
        assert days(details).rstrip().endswith("today")
        assert not any(_columns(line, "near") for line in plot.plot(details, 100, 12, CONTEXT))


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
@pytest.mark.parametrize(("width", "height"), [(30, 2), (40, 5), (79, 6), (199, 15), (11, 1)])
def test_every_size_has_its_cells(glyphs: Glyphs, width: int, height: int) -> None:
    """Whatever the account did."""
    for row in past.accounts(60):
        lines = plot.plot(past.details(row), width, max(2, height), Context(NOW, glyphs))
        assert {fmt.width_of(line) for line in lines} == {width}
        assert glyphs is UNICODE or "".join(text for line in lines for text, _look in line).isascii()


def test_points_from_the_future_are_left_out() -> None:
    """A clock that jumped back leaves them."""
    ahead = account(GIB, None, [Point(NOW - 10 * DAY, GIB), Point(NOW + 5 * DAY, 50 * GIB)])
    assert len(set(heights(drawn(ahead))[1:])) == 1


# ---- words and signs


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (None, UNICODE.nothing),
        (0.0, "< 1 day"),
        (0.99, "< 1 day"),
        (1.2, "1 day"),
        (12.4, "12 days"),
        (99.0, "99 days"),
        (101.0, "14 weeks"),
        (699.0, "100 weeks"),
        (3650.0, "10 years"),
    ],
)
def test_days_keep_two_digits(days: float | None, text: str) -> None:
    """They fit their column, but for the very last of the weeks."""
    assert outlook.days_text(days, UNICODE) == text


@pytest.mark.parametrize(
    ("row", "words"),
    [
        pytest.param(AccountRow("a", 100, 100, days_to_full=7.0), ("now", "over"), id="full, whatever was reckoned"),
        pytest.param(AccountRow("a", 100, 96, days_to_full=4.0), ("4 days", "near"), id="this week"),
        pytest.param(AccountRow("a", 100, 96, days_to_full=12.0), ("12 days", "plain"), id="this month"),
        pytest.param(AccountRow("a", 100, 96, days_to_full=60.0), ("60 days", "quiet"), id="later"),
        pytest.param(AccountRow("a", 100, 96), (UNICODE.nothing, "quiet"), id="not known"),
    ],
)
def test_when_an_account_is_full(row: AccountRow, words: tuple[str, str]) -> None:
    """Amber where it needs a person."""
    assert outlook.full_in(row, UNICODE) == words


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (Forecast(12.4, 9.6, 19.2), "full in about 12 days (9-20)"),
        (Forecast(12.0, 12.0, 12.0), "full in about 12 days"),
        (Forecast(200.0, 150.0, 420.0), "full in about 29 weeks (21-60)"),
        (Forecast(12.0, 9.0, None), "full in about 12 days (not before 9, perhaps never)"),
        (Forecast(0.5, 0.3, 2.0), "full within a day"),
        (Forecast(None, 30.0, None), "full: not in sight, in 30 days at the earliest"),
        (Forecast(None, None, None), "full: not in sight"),
        (None, None),
    ],
)
def test_the_forecast_in_words(ahead: Forecast | None, words: str | None) -> None:
    """With its honest range."""
    found = outlook.full_words(AccountRow("a", 100, 50), ahead, ASCII)
    assert (found[0] if found is not None else None) == words


@pytest.mark.parametrize(
    ("trend", "words"),
    [
        (Trend(48 * MIB, 31 * MIB, 60 * MIB), "grows 48 MiB a day (between 31 MiB and 60 MiB)"),
        (Trend(-5 * MIB, -8 * MIB, -MIB), "shrinks 5 MiB a day (between 1 MiB and 8 MiB)"),
        (Trend(5 * MIB, -MIB, 9 * MIB), "grows 5 MiB a day (between -1 MiB and 9 MiB)"),
        (Trend(0, -MIB, MIB), "neither grows nor shrinks"),
        (Trend(MIB, MIB, MIB), "grows 1 MiB a day"),
    ],
)
def test_growth_in_words(trend: Trend, words: str) -> None:
    """Both ways."""
    assert outlook.growth_words(trend) == words


def test_sparklines() -> None:
    """Seven digits, oldest first; nothing without history. Never a full block: rows below each other stay apart."""
    assert outlook.spark("0123456", UNICODE) == "▁▂▃▄▅▆▇"
    assert outlook.spark("7", UNICODE) == "▇"
    assert outlook.spark("01234567", ASCII) == "_.-:=+*#"
    assert outlook.spark("", UNICODE) == ""
    assert outlook.spark("1x\x1b", UNICODE) == "▂  "
