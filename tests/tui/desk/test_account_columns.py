"""The columns of the accounts table."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from mailquota.core.base.model import AccountRow
from mailquota.tui.desk import account_columns
from mailquota.tui.desk.account_columns import BY_KEY, COLUMNS, USUAL, chosen, slides
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.glyphs import ASCII, UNICODE, Glyphs
from mailquota.tui.draw.grid import GAP, Column, Context, column_at, titles
from tests.tui import world

ROW = AccountRow(
    "anna@example.org", 5 << 30, 4 << 30, 9114, 40 << 20, 12, "maildirsize", world.NOW - 5, refused_at=world.NOW - 200
)
CONTEXT = Context(world.NOW, UNICODE)


def line(row: AccountRow, width: int, context: Context = CONTEXT, *, marked: bool = False) -> str:
    """A row as text."""
    return "".join(
        text for text, _style in account_columns.cells(row, account_columns.arrange(width), context, marked=marked)
    )


@pytest.mark.parametrize("width", [10, 24, 39, 60, 79, 100, 119, 160, 199, 300])
def test_columns_fit_every_width(width: int) -> None:
    """Never wider than the terminal, no column over another, the address always there."""
    placed = account_columns.arrange(width)
    assert placed[0].column.key == "address"
    assert placed[-1].x + placed[-1].width <= width
    for before, after in itertools.pairwise(placed):
        assert before.x + before.width + GAP == after.x


@pytest.mark.parametrize(
    ("width", "keys"),
    [
        (39, ["address", "use"]),
        (79, ["address", "use", "used", "limit", "left"]),
        (119, ["address", "use", "used", "limit", "left", "week", "full", "refused", "trash"]),
        (199, [column.key for column in USUAL]),
    ],
)
def test_narrow_terminals_drop_the_less_important_columns(width: int, keys: list[str]) -> None:
    """At 80 columns what is left is still told."""
    assert [place.column.key for place in account_columns.arrange(width)] == keys


def test_a_week_without_a_change_is_a_line_at_the_bottom() -> None:
    """Not as high as its usage: beside curves that move it would be what one sees first."""
    places = account_columns.arrange(119)
    found = {}
    for week in ("7777777", "0012346"):
        cells = account_columns.cells(msgspec.structs.replace(ROW, week=week), places, CONTEXT, marked=False)
        found[week] = next((text, look) for text, look in cells if "▁▁" in text)
    assert found["7777777"] == ("▁▁▁▁▁▁▁ ", "quiet")
    assert found["0012346"] == ("▁▁▂▃▄▅▇ ", "area")


@pytest.mark.parametrize("width", range(60, 200))
def test_addresses_get_what_most_of_them_need_before_anything_grows(width: int) -> None:
    """A longer bar says no more; a cut address does not say whose it is."""
    widths = {place.column.key: place.width for place in account_columns.arrange(width)}
    assert widths["address"] >= BY_KEY["address"].good or widths.get("use", 0) <= BY_KEY["use"].width


@pytest.mark.parametrize("width", [39, 79, 119, 199])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_a_line_has_the_width_of_its_columns(width: int, glyphs: Glyphs) -> None:
    """Whatever the account holds."""
    placed = account_columns.arrange(width)
    end = placed[-1].x + placed[-1].width
    for row in world.accounts(120):
        assert fmt.width_of(account_columns.cells(row, placed, Context(world.NOW, glyphs), marked=True)) == end


def test_a_line_tells_everything() -> None:
    """Sign, address, bar, percentage, figures."""
    text = line(ROW, 199, marked=True)
    words = (
        "✓△ anna@example.org",
        "80 %",
        "4 GiB",
        "5 GiB",
        "9,114",
        "40 MiB",
        "3 min",
        "< 1 min",
        "maildirsize",
    )
    for word in words:
        assert word in text


@pytest.mark.parametrize(("context", "sign"), [(CONTEXT, "≠"), (Context(world.NOW, ASCII), "!")])
@pytest.mark.parametrize("other", [{"drift_bytes": -5}, {"differs": "Dovecot counts 5 GiB"}])
def test_a_figure_that_a_recount_or_dovecot_does_not_agree_with_is_marked(
    context: Context, sign: str, other: dict[str, Any]
) -> None:
    """In the same place and width, and only there."""
    drifting = msgspec.structs.replace(ROW, **other)
    assert line(drifting, 200, context) == line(ROW, 200, context).replace("  4 GiB", f" {sign}4 GiB")
    assert sign in line(drifting, 200, context)


def test_a_line_in_ascii() -> None:
    """Nothing but ASCII, with caps where the bar ends."""
    text = line(ROW, 119, Context(world.NOW, ASCII))
    assert text.isascii()
    assert "^ anna@example.org" in text
    assert "[###" in text


def test_what_is_not_known_is_shown_as_unknown_never_as_nothing() -> None:
    """A dash, and the word."""
    text = line(AccountRow("new@example.org", 5 << 30), 119)
    assert "? new@example.org" in text
    assert "unknown" in text
    assert " 0 " not in text


def test_unlimited_has_no_percentage() -> None:
    """A sign and the word instead."""
    text = line(msgspec.structs.replace(ROW, limit_bytes=None), 79)
    assert "∞ anna@example.org" in text
    assert "unlimited" in text
    assert "%" not in text


@pytest.mark.parametrize(("context", "sign"), [(CONTEXT, "○"), (Context(world.NOW, ASCII), "x")])
def test_a_disabled_account_says_so(context: Context, sign: str) -> None:
    """By a sign instead of that of its level; in a word where the level is shown."""
    disabled = msgspec.structs.replace(ROW, enabled=False)
    assert f" {sign} anna@example.org" in line(disabled, 79, context)
    placed = account_columns.arrange(79, chosen(["level"]))
    assert "disabled" in "".join(text for text, _ in account_columns.cells(disabled, placed, context, marked=False))


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.key)
@pytest.mark.parametrize("inverted", [False, True])
def test_the_sorted_column_shows_its_arrow(column: Column[AccountRow], inverted: bool) -> None:
    """Every title leaves room for it; it turns round with the order."""
    placed = account_columns.arrange(279, COLUMNS)
    header = "".join(text for text, _style in titles(placed, UNICODE, column.key, inverted=inverted))
    arrow = "▼" if column.falling != inverted else "▲"
    assert f"{column.title}{arrow}" in header.replace(f" {arrow}", arrow)


def test_a_click_finds_the_column_under_it() -> None:
    """Also in the gap behind it."""
    placed = account_columns.arrange(119)
    for place in placed:
        assert column_at(placed, place.x) is place.column
        assert column_at(placed, place.x + place.width) is place.column
    assert column_at(placed, 0) is None


def test_sorting_by_use_puts_unlimited_under_empty_and_unknown_last() -> None:
    """Worst first."""
    sort = BY_KEY["use"].sort
    assert sort is not None
    assert sort(msgspec.structs.replace(ROW, limit_bytes=None)) == -1.0
    assert sort(msgspec.structs.replace(ROW, used_bytes=None)) is None
    assert sort(ROW) == 80.0


@pytest.mark.parametrize(
    ("changes", "context", "words"),
    [
        ({"week": "0134567", "days_to_full": 4.2}, CONTEXT, ["▁▂▄▅▆▇▇", "4 days"]),
        ({"week": "0134567", "days_to_full": 4.2}, Context(world.NOW, ASCII), ["_.:=+*#", "4 days"]),
        ({"used_bytes": 5 << 30, "days_to_full": 0.0}, CONTEXT, [" now "]),
        ({"used_bytes": 6 << 30}, CONTEXT, [" now "]),
    ],
)
def test_a_line_tells_the_last_days_and_how_it_goes_on(
    changes: dict[str, Any], context: Context, words: list[str]
) -> None:
    """Signs for the week, words for the days; an account that is full is full now."""
    text = line(msgspec.structs.replace(ROW, **changes), 120, context)
    assert not [word for word in words if word not in text]


def test_sorting_by_days_puts_the_full_ones_first() -> None:
    """And what will not be full last; by the week it is sorted by growth."""
    full, week = BY_KEY["full"].sort, BY_KEY["week"].sort
    assert full is not None
    assert week is not None
    assert [
        full(ROW),
        full(msgspec.structs.replace(ROW, days_to_full=3.0)),
        full(msgspec.structs.replace(ROW, used_bytes=6 << 30, days_to_full=9.0)),
    ] == [None, 3.0, 0.0]
    assert not BY_KEY["full"].falling
    assert week(msgspec.structs.replace(ROW, growth_bytes_per_day=-5)) == -5


@pytest.mark.parametrize(("messages", "text"), [(9114, "9,114"), (701_330, "701,330"), (12_345_678, "12M")])
def test_many_messages_fit_their_column(messages: int, text: str) -> None:
    """Whole as long as they do."""
    assert f" {text} " in line(msgspec.structs.replace(ROW, messages=messages), 200)


def test_what_trash_and_dovecot_have() -> None:
    """A share of the usage, a limit of messages, and by how much Dovecot tells another usage; unknown is unknown."""
    placed = account_columns.arrange(79, chosen(["trash-share", "most-messages", "dovecot"]))

    def shown(**values: object) -> list[str]:
        row = msgspec.structs.replace(ROW, **values)
        cells = account_columns.cells(row, placed, CONTEXT, marked=False)
        return "".join(text for text, _look in cells).split()[2:]

    dash = UNICODE.nothing
    half = {"used_bytes": 1000, "trash_bytes": 500, "limit_messages": 9000, "witness_bytes": 3048}
    assert shown(**half) == ["50", "%", "9,000", "+2", "KiB"]
    assert shown(**half | {"witness_bytes": 0}) == ["50", "%", "9,000", "-1000", "B"]
    assert shown(used_bytes=None, trash_bytes=None, witness_bytes=5) == [dash, dash, dash]
    assert shown(used_bytes=0, trash_bytes=0) == [dash, dash, dash]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.key)
def test_each_column_says_what_it_is_about(column: Column[AccountRow]) -> None:
    """Where columns are chosen; its title fits above it."""
    assert column.about
    assert len(column.title) < max(column.width, 8)


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_what_is_over_is_told_by_the_bar_too(glyphs: Glyphs) -> None:
    """171 % does not look as 110 %; what is under its limit never reaches the sign of it."""

    def bar(percent: float) -> str:
        row = AccountRow("a@b", 10_000, round(percent * 100))
        placed = account_columns.arrange(79)[1:2]
        found = account_columns.cells(row, placed, Context(world.NOW, glyphs), marked=False)
        return "".join(text for text, _ in found)[3:-7].rstrip()

    bars = [bar(percent) for percent in (0, 20, 99.9, 100, 110, 171, 250)]
    assert len(set(bars)) == len(bars)
    at = {text.rindex(glyphs.limit) for text in bars[:3]} | {text.rindex(glyphs.crossed) for text in bars[3:]}
    assert len(at) == 1
    assert bars[-1].endswith(glyphs.fill[-1] + glyphs.beyond)


@pytest.mark.parametrize(
    ("changes", "text"), [({}, "1 GiB"), ({"used_bytes": 6 << 30}, "-1 GiB"), ({"limit_bytes": None}, UNICODE.nothing)]
)
def test_what_is_left_or_over(changes: dict[str, Any], text: str) -> None:
    """Sorted by it, the one that is over by most comes first, and one without a limit last."""
    row = msgspec.structs.replace(ROW, **changes)
    placed = account_columns.arrange(79, chosen(["left"]))
    assert "".join(text for text, _ in account_columns.cells(row, placed, CONTEXT, marked=False)).endswith(f" {text}")
    assert account_columns.left_of(row) == {"1 GiB": 1 << 30, "-1 GiB": -1 << 30}.get(text)


def keys(width: int, columns: account_columns.Columns = USUAL, slid: int = 0) -> list[str]:
    """What is shown."""
    return [place.column.key for place in account_columns.arrange(width, columns, slid)]


@pytest.mark.parametrize("width", [60, 79, 100, 119])
def test_every_column_comes_into_sight_by_sliding(width: int) -> None:
    """One by one behind the address; at the end the last one is seen, and no step goes further."""
    most = slides(width)
    seen = {key for slid in range(most + 1) for key in keys(width, slid=slid)}
    assert seen == {column.key for column in USUAL}
    for slid in range(most + 1):
        placed = account_columns.arrange(width, USUAL, slid)
        assert placed[0].column.key == "address"
        assert placed[-1].x + placed[-1].width <= width
    assert keys(width, slid=1)[1] == keys(width)[2]
    assert most + len(keys(width, slid=most)) == len(USUAL)
    assert slides(250) == 0


def test_chosen_columns_stay_in_their_order() -> None:
    """What does not fit goes from the right; the address comes first, and what is not known is left out."""
    columns = chosen(["source", "no such", "trash", "address", "use", "trash"])
    assert [column.key for column in columns] == ["address", "source", "trash", "use"]
    assert keys(250, columns) == ["address", "source", "trash", "use"]
    assert keys(38, columns) == ["address", "source"]
    assert chosen([]) == chosen(["no such"]) == chosen(["address"]) == USUAL
