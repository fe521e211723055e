"""The filter language, one word at a time and together."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.base.errors import UsageError
from mailquota.core.base.filters import DOCS, parse_filter
from mailquota.core.base.model import AccountRow

GIB = 1024**3
DAY = 86400
NOW = 1_800_000_000.0

GROWS: dict[str, Any] = {"growth_bytes_per_day": 1, "changed_at": NOW - 5, "days_to_full": 700.0}
ROWS = [
    AccountRow("empty@example.org", GIB, 0, 0, 0, 0, refused_day=0),
    AccountRow("half@example.org", 4 * GIB, 2 * GIB, 10, GIB, 3, **GROWS),
    AccountRow("Near@Example.org", 100, 80, growth_bytes_per_day=0, changed_at=NOW - 90 * DAY - 1),
    AccountRow("critical@example.com", 100, 95, growth_bytes_per_day=-1, changed_at=NOW - 90 * DAY, days_to_full=3),
    AccountRow("over@example.com", 100, 100, refused_day=11),
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
    "over|near": "Near critical over",
    "over | near": "Near critical over",
    "OVER|unlimited|Half": "half over archive",
    "over|near @example.com": "critical over",
    "@example.com over|near": "critical over",
    "!over|critical": "empty half Near critical archive new",
    "!over !near|archive": "empty half archive new",
    "limit>99": "empty half Near critical over archive new",
    "limit>1G": "half archive",
    "limit<1G": "Near critical over",
    "!limit<1G": "empty half archive new",
    "days<14": "critical over",
    "days<2.5": "over",
    "days>14": "half",
    "days>14d": "half",
    "refused>10": "over",
    "refused>11": "",
    "refused<1": "empty",
    "growth>0": "half",
    "growth<1": "Near critical",
    "/^n/": "Near new",
    "/^N.*org$/": "Near",
    "!/^n/": "empty half critical over archive",
    "/^(over|half)@/": "half over",
    "/^half|^over/|empty": "empty half over",
    "/ALF/|>80% !/cri/": "half over",
    "/x\\/y/": "",
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
        "limit>80%",
        "limit>",
        "days<x",
        "days<",
        "growth>5%",
        "refusals>5",
        "refused>1G",
        "refused>",
    ],
)
def test_broken_words(text: str) -> None:
    """A comparison that can't be read is never taken for a text: it may choose what is emptied."""
    word = text.rsplit(maxsplit=1)[-1]
    with pytest.raises(UsageError) as caught:
        parse_filter(text)
    assert str(caught.value).startswith(repr(word))
    assert "accepted" in str(caught.value) or "write" in str(caught.value)


@pytest.mark.parametrize("text", ["idle>90d", "!idle>90d", "over !growing", "GROWING", "days<3", "over|growth>1M"])
def test_what_needs_the_history_says_so(text: str) -> None:
    """Turned round it would match everybody where there is none."""
    assert parse_filter(text).asks_for_past
    assert not parse_filter("over !near idle grow").asks_for_past


def test_the_given_rows_stay_the_callers() -> None:
    """An empty filter gives a list of its own."""
    assert parse_filter("").select(ROWS, NOW) is not ROWS


@pytest.mark.parametrize("text", ["|", "over|", "|over", "over||near", "over | | near", "over near |", "!|over"])
def test_or_stands_between_two_words(text: str) -> None:
    """Half of it never chooses everything, or nothing."""
    with pytest.raises(UsageError):
        parse_filter(text)


@pytest.mark.parametrize("text", ["/", "/x", "x /over", "/a b/", "/a/b/", "//x", "!/x", "/(/", "/*/", "/a|b"])
def test_broken_expressions(text: str) -> None:
    """What begins with a slash is never a text."""
    with pytest.raises(UsageError):
        parse_filter(text)


def test_an_endless_filter_is_refused() -> None:
    """Pasted by mistake."""
    with pytest.raises(UsageError, match="1000"):
        parse_filter("!" * 1_000_000)


@given(st.text() | st.from_regex(r"!?(trash|idle|domain|@|limit|/|days)?[<>:]?[0-9a-zG%|/*]{0,6}", fullmatch=True))
def test_filters_raise_nothing_else(text: str) -> None:
    """Any text is a filter or a UsageError, and ``!`` before a word turns it round exactly."""
    try:
        compiled = parse_filter(text)
    except UsageError:
        return
    chosen = compiled.select(ROWS, NOW)
    assert [row for row in ROWS if compiled.matches(row, NOW)] == chosen
    if len(text.split()) == 1 and "|" not in text:
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
