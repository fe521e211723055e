"""Text of cells, tiles and dialogs."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.glyphs import ASCII, UNICODE


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("john@example.org", "john@example.org", id="plain"),
        pytest.param("[red]x[/]@example.org", "[red]x[/]@example.org", id="markup stays text"),
        pytest.param("a\x1b[31mb", "a␛[31mb", id="escape"),
        pytest.param("a\nb\x00\x7f", "a␊b␀␡", id="newline, NUL, DEL"),
        pytest.param("a\u202eb\u200bc\x9b", "a·b·c·", id="bidirectional override, zero width, C1"),
        pytest.param("jürgen@例え.jp", "jürgen@例え.jp", id="letters of the world"),
        pytest.param("a\udc80b", "a·b", id="half of a surrogate pair"),
    ],
)
def test_text_from_outside_is_shown_literally(text: str, shown: str) -> None:
    """Nothing of it can steer the terminal, and nothing of it disappears."""
    assert fmt.literal(text, UNICODE) == shown


def test_text_from_outside_is_ascii_where_the_terminal_has_no_more() -> None:
    """What can't be shown is written as an escape, so two addresses never look the same."""
    assert fmt.literal("jü\x1b@x", ASCII) == r"j\xfc\x1b@x"


@pytest.mark.parametrize("text", ["short", "exactly ten", "a good deal too long", "例え例え例え例え"])
@pytest.mark.parametrize("right", [False, True])
def test_a_fitted_text_has_exactly_its_cells(text: str, right: bool) -> None:
    """Wide letters count two."""
    assert cell_len(fmt.fit(text, 11, UNICODE, right=right)) == 11


def test_a_cut_text_says_so() -> None:
    """By its last sign."""
    assert fmt.fit("webmaster@example.org", 10, UNICODE) == "webmaster…"
    assert fmt.fit("webmaster@example.org", 10, ASCII) == "webmaster~"


@pytest.mark.parametrize(
    ("percent", "bar"),
    [
        pytest.param(None, "────────", id="unknown"),
        pytest.param(0.0, "────────", id="empty"),
        pytest.param(0.01, "╸───────", id="a trace"),
        pytest.param(50.0, "━━━━────", id="half"),
        pytest.param(56.3, "━━━━╸───", id="halves of a cell"),
        pytest.param(99.99, "━━━━━━━╸", id="not quite full"),
        pytest.param(100.0, "━━━━━━━━", id="full"),
        pytest.param(5000.0, "━━━━━━━━", id="never longer"),
    ],
)
def test_bar(percent: float | None, bar: str) -> None:
    """Halves of a cell; only 100 % fills it to the end."""
    assert "".join(fmt.bar(percent, 8, UNICODE)) == bar


def test_bar_in_ascii() -> None:
    """Signs that every terminal has, by the same rules."""
    assert fmt.bar(50, 8, ASCII) == ("####", "----")
    assert fmt.bar(0.1, 8, ASCII) == ("#", "-------")
    assert fmt.bar(99.9, 8, ASCII) == ("#######", "-")


def test_a_meter_has_its_look_and_ends_where_its_column_does() -> None:
    """What is empty has a look of its own; caps only where the signs need them."""
    assert fmt.meter(50, "near", 8, UNICODE) == (("━━━━", "near-bar"), ("────", "track"))
    assert fmt.meter(100, "over", 8, UNICODE) == (("━━━━━━━━", "over-bar"),)
    assert fmt.meter(50, "ok", 8, ASCII) == (("[", "quiet"), ("###", "ok-bar"), ("---", "track"), ("]", "quiet"))


def test_a_percentage_is_never_rounded_up_to_full() -> None:
    """99.9 % is not over."""
    assert fmt.percent_text(99.9, UNICODE) == "99 %"
    assert fmt.percent_text(100.0, UNICODE) == "100 %"
    assert fmt.percent_text(51200.0, UNICODE) == "> 999 %"
    assert fmt.percent_text(None, UNICODE) == UNICODE.nothing


@pytest.mark.parametrize(
    ("limit", "text"),
    [(None, "unlimited"), (5 << 30, "5G"), (1536 << 20, "1536M"), (5000, "5000"), (1 << 10, "1K"), (3 << 40, "3T")],
)
def test_a_limit_is_offered_as_one_would_type_it(limit: int | None, text: str) -> None:
    """Exact to the byte, so that Enter on the old value changes nothing."""
    assert fmt.editable_size(limit) == text


def test_drift_is_told_in_words() -> None:
    """More, less, the same, or not known before."""
    assert fmt.drift_words(100 << 20, 95 << 20) == "5 MiB less than recorded"
    assert fmt.drift_words(95 << 20, 100 << 20) == "5 MiB more than recorded"
    assert fmt.drift_words(7, 7) == "as recorded"
    assert fmt.drift_words(None, 7) == "counted for the first time"
    assert fmt.drift_words(7, None) == "not counted"


@pytest.mark.parametrize(
    ("value", "text"), [(None, UNICODE.nothing), (61, "61 µs"), (910, "910 µs"), (1500, "1.5 ms"), (2_500_000, "2.5 s")]
)
def test_microseconds(value: int | None, text: str) -> None:
    """In the unit that people read."""
    assert fmt.micros(value, UNICODE) == text


def test_ages_of_a_table_change_by_the_minute() -> None:
    """Else every line would be sent again each second."""
    assert fmt.age(1000.0, 1059.0, UNICODE) == "< 1 min"
    assert fmt.age(1000.0, 1061.0, UNICODE) == "1 min"
    assert fmt.age(None, 1061.0, UNICODE) == UNICODE.nothing


def test_the_end_of_a_long_line_wraps_below_itself() -> None:
    """Under where it begins, in its own look."""
    line = (("  form  ", "key"), ("one two three four", "quiet"))
    assert fmt.hanging(line, 26) == [line]
    assert fmt.hanging(line, 18) == [
        (("  form  ", "key"), ("one two", "quiet")),
        ((" " * 8, "plain"), ("three four", "quiet")),
    ]
    assert fmt.hanging((("only one run of text", "plain"),), 5) == [(("only one run of text", "plain"),)]
