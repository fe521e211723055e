"""Regular expressions whose time is bounded, beside those of Python."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailquota.core.base import patterns
from mailquota.core.base.errors import UsageError
from mailquota.core.base.patterns import MOST, Pattern

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
    "", "a", "^a", "a$", "^$", "^a$", "a|b", "^a|b$", "(a|b)+$", "a*b", "^a*b$", "a+?b", "^a??b", "a{2}", "a{,2}b",
    "^a{2,}b",
    "a{1,2}c?$", "a{", "a{x}", "a{,}", "[ab]c", "[^ab]", "^[a-c]+$", "[]]", "[^]a]", "[a-]y", "[x-y]-", r"\d+@",
    r"\D$", r"\w\W",
    r"[\d_]$", r"[^\w]", r"\.", r"\$", r"\\", r"[\]x]", "(?:ab)+", "()", "(|a)b", "((a|b)*c)?$", "^(^a)", "a.c|.$",
    "É", "[A-C]B",
    "(a*)*b$", "^(a|ab)(c|bcd)?$", "x*", r"^info[0-9]+@.*\.org$", "(a{0}b){2}", "a{0,3}$",
]  # fmt: skip


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_finds_what_python_finds(expression: str) -> None:
    """Capitals aside."""
    found_in = Pattern(expression).found_in
    for text in TEXTS:
        assert found_in(text) is bool(re.search(expression, text, re.IGNORECASE)), text


@given(
    st.from_regex(r"([ab.]|[ab][*+?]|\([ab|.]{0,4}\)[*+?]?|\[\^?[ab]+\]|\||[ab]\{[0-3],[3-5]\}){0,8}", fullmatch=True),
    st.text("abc"),
)
@example("(a|ab)(c|bcd)(d*)", "abcd")
def test_finds_what_python_finds_in_anything(expression: str, text: str) -> None:
    """Python reads a few more as one, as two quantifiers after each other."""
    try:
        pattern = Pattern(expression)
    except UsageError:
        return
    assert pattern.found_in(text) is bool(re.search(expression, text))


@given(st.text(), st.text())
def test_any_text_is_an_expression_or_an_error(expression: str, text: str) -> None:
    """Nothing else is raised."""
    with contextlib.suppress(UsageError):
        assert Pattern(expression).found_in(text.lower()) in {True, False}


@pytest.mark.parametrize(
    "expression",
    ["(", "a)", "[", "[]", "[a", "*", "a**", "a+*", r"\\"[:1], r"\b", r"(a)\1", "(?=a)", "(?i)a", "(?P<n>a)",
    "[b-a]", "a{3,2}",
     "a{101}", "(a{50}){50}", "((((((()" + "{100}){100}){100}){100}){100})", "a" * (MOST + 1), "(" * 400 + ")" * 400],
)  # fmt: skip
def test_what_is_not_taken_says_why(expression: str) -> None:
    """In words, and at once."""
    with pytest.raises(UsageError) as caught:
        Pattern(expression)
    assert "expression" in str(caught.value)


@contextlib.contextmanager
def counting_steps() -> Iterator[list[int]]:
    """How often a line of the machine was run."""
    steps = [0]

    def trace(frame: object, event: str, _arg: object) -> object:
        if getattr(frame, "f_code", None) is not None and frame.f_code.co_filename == patterns.__file__:  # type: ignore[attr-defined]
            steps[0] += event == "line"
            return trace
        return None

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        yield steps
    finally:
        sys.settrace(before)


HOSTILE = [
    "(a+)+$",
    "(a|a)*$",
    "(a*)*b",
    "a*a*a*a*a*a*a*c",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
    "(a|b)*a(a|b){45}c",
    "(.*)(.*)(.*)=",
    "(x+x+)+y",
]


@pytest.mark.parametrize("expression", HOSTILE)
def test_work_grows_as_the_text(expression: str) -> None:
    """Ways that Python would try by the million: twice the text is at most about twice the work, step by step."""
    steps = []
    for length in (100, 200, 400):
        pattern = Pattern(expression)
        with counting_steps() as counted:
            pattern.found_in(("abba" * length)[:length] + "!")
        steps.append(counted[0])
    assert steps[2] <= 400 * (MOST // 8 * 5 + 400)
    assert steps[2] <= 4 * steps[0] + 20_000


def test_what_is_kept_is_bounded() -> None:
    """An expression whose sets never come again."""
    pattern = Pattern("(a|b)*a(a|b){45}c")
    text = format(0xB7E151628AED2A6ABF7158809CF4F3C7, "b").replace("0", "a").replace("1", "b")
    for turn in range(1, 400):
        pattern.found_in((text[turn % 97 :] + text) * 2 + "a" * (turn % 7))
    assert pattern._kept <= patterns._KEPT
    assert pattern.found_in("ab" * 30 + "c") is bool(re.search("(a|b)*a(a|b){45}c", "ab" * 30 + "c"))
