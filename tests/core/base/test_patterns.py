"""Regular expressions of filters: what they find, and what they cost."""

from __future__ import annotations

import contextlib
import re
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.base.errors import UsageError
from mailquota.core.base.patterns import Pattern

TEXTS = [
    "",
    "a",
    "ab",
    "abc",
    "aab",
    "ba",
    "b.a@c",
    "a1_",
    "x-y",
    "]",
    "^$",
    "a{2}",
    "éa",
    "a\\b",
    "info12@example.org",
]
EXPRESSIONS = [
    "", "a", "^a", "a$", "^$", "^a$", "a|b", "^a|b$", "(a|b)+$", "a*b", "a+?b", "^a{2,}b", "a{1,2}c?$", "[^ab]",
    "^[a-c]+$", r"\d+@", r"\w\W", r"\.", r"\\", "(?:ab)+", "É", "[A-C]B", r"^info[0-9]+@.*\.org$", "^(a|ab)(c|bcd)?$",
]  # fmt: skip
HOSTILE = ["(a+)+$", "(a|a)*$", "(a*)*b", "a*a*a*a*a*a*a*c", "^(([a-z])+.)+[A-Z]([a-z])+$", "(a|b)*a(a|b){45}c"]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_finds_what_python_finds(expression: str) -> None:
    """Capitals aside."""
    found_in = Pattern(expression).found_in
    for text in TEXTS:
        assert found_in(text) is bool(re.search(expression, text, re.IGNORECASE)), text


@given(st.text(), st.text())
def test_any_text_is_an_expression_or_an_error(expression: str, text: str) -> None:
    """Nothing else is raised."""
    with contextlib.suppress(UsageError):
        assert Pattern(expression).found_in(text) in {True, False}


@pytest.mark.parametrize(
    "expression", ["(", "a)", "[", "*", "a**", "\\", r"(a)\1", "(?=a)", "[b-a]", "a{3,2}", "(a{50}){50}", "\udc80"]
)
def test_what_is_not_taken_says_why(expression: str) -> None:
    """In words, and at once."""
    with pytest.raises(UsageError, match="regular expression"):
        Pattern(expression)


def test_without_the_package_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is none for the machine, everything else works."""
    monkeypatch.setitem(sys.modules, "re2", None)
    with pytest.raises(UsageError, match="google-re2"):
        Pattern("a")


@pytest.mark.parametrize("expression", HOSTILE)
def test_work_grows_as_the_text(expression: str) -> None:
    """Ways that Python would try by the million: each of these takes it longer than anybody waits.

    Eight times the text is about eight times the processor time, and not its square.
    """
    costs = []
    for length in (4_000, 32_000):
        text = "ab" * (length // 2) + "!"
        found_in = Pattern(expression).found_in
        started = time.process_time_ns()
        found_in(text)
        costs.append(time.process_time_ns() - started)
    assert costs[1] < 40 * costs[0] + 50_000_000
