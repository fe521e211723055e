"""The filter language, one word at a time and together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.base.errors import UsageError
from mailquota.core.base.filters import DOCS, parse_filter
from mailquota.core.base.model import AccountRow

GIB = 1024**3
DAY = 86400
NOW = 1_800_000_000.0

ROWS = [
    AccountRow("empty@example.org", GIB, 0, 0, 0, 0),
    AccountRow("half@example.org", 4 * GIB, 2 * GIB, 10, GIB, 3, growth_bytes_per_day=1, changed_at=NOW - 5),
    AccountRow("Near@Example.org", 100, 80, growth_bytes_per_day=0, changed_at=NOW - 90 * DAY - 1),
    AccountRow("critical@example.com", 100, 95, growth_bytes_per_day=-1, changed_at=NOW - 90 * DAY),
    AccountRow("over@example.com", 100, 100),
    AccountRow("archive@sub.example.org", None, 3 * GIB, 9, 3 * GIB, 9),
    AccountRow("new@example.org.uk", GIB),
]

FILTERS = {
    "": "empty half Near critical over archive new",
    "   ": "empty half Near critical over archive new",
    "ALF": "half",
    "example.org": "empty half Near archive new",
    "h a l f": "half",
    "@example.org": "empty half Near",
    "domain:Example.ORG": "empty half Near",
    "domain:@example.org": "empty half Near",
    "@": "empty half Near critical over archive new",
    ">80%": "critical over",
    "<50%": "empty",
    "<50.5%": "empty half",
    ">1G": "half archive",
    "<1G": "empty Near critical over",
    ">2G": "archive",
    "messages>9": "half",
    "messages<10": "empty archive",
    "over": "over",
    "OVER": "over",
    "near": "Near critical",
    "critical": "critical",
    "ok": "empty half",
    "unlimited": "archive",
    "unknown": "new",
    "trash>1G": "archive",
    "trash>1023M": "half archive",
    "trash<1G": "empty",
    "idle>90d": "Near",
    "idle>12h": "Near critical",
    "!idle>12h": "empty half over archive new",
    "growing": "half",
    "!growing": "empty Near critical over archive new",
    "!over": "empty half Near critical archive new",
    "!!over": "over",
    "!>80%": "empty half Near archive new",
    "near @example.com": "critical",
    "example !near !@example.org": "over archive new",
    "!example": "",
}


@pytest.mark.parametrize(("text", "names"), FILTERS.items(), ids=repr)
def test_words(text: str, names: str) -> None:
    """Each word, ANDed, negated; both ways of asking give the same, in the order of the rows."""
    compiled = parse_filter(text)
    assert [row.address.split("@")[0] for row in compiled.select(iter(ROWS), NOW)] == names.split()
    assert [row for row in ROWS if compiled.matches(row, NOW)] == compiled.select(ROWS, NOW)


@pytest.mark.parametrize(
    "text",
    [
        "!",
        ">80x",
        ">",
        "<%",
        ">-1G",
        "trash>",
        "trash>80%",
        "messages>",
        "messages>1G",
        "messages>-1",
        "idle>90",
        "idle>",
        "idle<3d",
        "size>1G",
        "domain:",
        "x >80x",
    ],
)
def test_broken_words(text: str) -> None:
    """A comparison that can't be read is never taken for a text: it may choose what is emptied."""
    word = text.rsplit(maxsplit=1)[-1]
    with pytest.raises(UsageError) as caught:
        parse_filter(text)
    assert str(caught.value).startswith(repr(word))
    assert "accepted" in str(caught.value) or "write" in str(caught.value)


@pytest.mark.parametrize("text", ["idle>90d", "!idle>90d", "over !growing", "GROWING"])
def test_what_needs_the_history_says_so(text: str) -> None:
    """Turned round it would match everybody where there is none."""
    assert parse_filter(text).asks_for_past
    assert not parse_filter("over !near idle grow").asks_for_past


def test_the_given_rows_stay_the_callers() -> None:
    """An empty filter gives a list of its own."""
    assert parse_filter("").select(ROWS, NOW) is not ROWS


@given(st.text() | st.from_regex(r"!?(trash|idle|domain|@)?[<>:]?[0-9a-zG%]{0,6}", fullmatch=True))
def test_filters_raise_nothing_else(text: str) -> None:
    """Any text is a filter or a UsageError, and ``!`` before a word turns it round exactly."""
    try:
        compiled = parse_filter(text)
    except UsageError:
        return
    chosen = compiled.select(ROWS, NOW)
    assert [row for row in ROWS if compiled.matches(row, NOW)] == chosen
    if len(text.split()) == 1:
        rest = parse_filter("!" + text.strip()).select(ROWS, NOW)
        assert sorted(row.address for row in [*chosen, *rest]) == sorted(row.address for row in ROWS)


def test_help_names_only_words_that_work() -> None:
    """Every example of the help table is a filter, and every keyword is in it."""
    shown = " ".join(words for words, _ in DOCS)
    for word in shown.split():
        parse_filter(word)
    for keyword in ("over", "near", "critical", "ok", "unlimited", "unknown", "trash>", "idle>", "growing", "@", "!"):
        assert keyword in shown


def test_differs() -> None:
    """Accounts of which Dovecot tells another usage or limit."""
    same = AccountRow("a@example.org", 10, 1)
    other = AccountRow("b@example.org", 10, 1, differs="Dovecot counts 5 KiB")
    assert parse_filter("differs").select([same, other], 0.0) == [other]
    assert parse_filter("!DIFFERS").select([same, other], 0.0) == [same]
