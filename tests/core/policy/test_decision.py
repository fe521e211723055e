"""The decision: Dovecot's rule to the byte, and the words that each verdict gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.base.exempt import Exempt
from mailquota.core.base.units import format_exact, parse_grace
from mailquota.core.policy.decision import (
    DECIDED_STATES,
    Verdict,
    VerdictActions,
    explain_messages,
    explain_verdict,
    judge,
    judge_messages,
)

OK, OVER, LARGE = Verdict.ACCEPT, Verdict.OVER_QUOTA, Verdict.TOO_LARGE
MIB = 1024 * 1024

# grace, limit, use, size, verdict: measured on 2.3.19 (relative graces) and 2.4.1 (absolute ones)
ROWS = [
    ("10%", 100_000, 0, 110_000, OK),
    ("10%", 100_000, 0, 110_001, LARGE),
    *[("10%", 5000, 1000, size, OK) for size in (0, 1, 3999, 4000, 4001, 4499, 4500)],
    *[("10%", 5000, 1000, size, OVER) for size in (4501, 5000)],
    *[("10%", 5000, 1000, size, LARGE) for size in (5001, 6500, 7000, 100_000, 2**63 - 1, 2**64 - 1)],
    *[("10%", 5000, 4999, size, OK) for size in (0, 1, 2, 500, 501)],
    *[("10%", 5000, 4999, size, OVER) for size in (502, 1000)],
    *[("10%", 5000, used, size, OVER) for used in (5000, 5001, 6000) for size in (0, 1, 1000, 5000)],
    ("10%", 5000, 6000, 5001, LARGE),
    ("0", 5000, 1000, 4000, OK),
    *[("0", 5000, 1000, size, OVER) for size in (4001, 4500, 5000)],
    *[("0", 5000, 1000, size, LARGE) for size in (5001, 7000, 50_000_000)],
    ("0", 5000, 4999, 1, OK),
    ("0", 5000, 4999, 2, OVER),
    ("0", 5000, 5000, 1, OVER),
    *[("50%", 5000, 1000, size, OK) for size in (4000, 4501, 5001, 6500)],
    *[("50%", 5000, 1000, size, LARGE) for size in (6501, 7000)],
    ("50%", 5000, 5000, 1, OVER),
    ("1K", 5000, 1000, 5024, OK),
    ("1K", 5000, 1000, 5025, LARGE),
    ("10M", 5000, 1000, 10_489_760, OK),
    ("10M", 5000, 1000, 10_489_761, LARGE),
    ("10M", 5000, 5000, 1, OVER),
    ("10%", 9, 0, 9, OK),  # a grace of a part of a byte is none
    ("10%", 9, 0, 10, LARGE),
    ("10%", 1, 0, 0, OK),
    ("10%", 1, 1, 0, OVER),
]


@pytest.mark.parametrize(("grace", "limit", "used", "size", "verdict"), ROWS)
def test_judge(grace: str, limit: int, used: int, size: int, verdict: Verdict) -> None:
    """Full is full without grace; below it a mail may go beyond the limit by the grace."""
    assert judge(limit, used, size, parse_grace(grace).of(limit)) is verdict


@pytest.mark.parametrize("size", [0, 1, 10**12])
def test_unlimited_and_unknown(size: int) -> None:
    """Without a limit everything fits, known or not; with one, an unknown use is trouble and not 0."""
    assert judge(None, 9_999_999, size, 0) is OK
    assert judge(None, None, size, 0) is OK
    assert judge(5000, None, size, 500) is Verdict.TROUBLE
    assert judge(-5, 0, size, 500) is Verdict.TROUBLE


@pytest.mark.parametrize(
    ("verdict", "limit", "size", "messages", "verdict_with"),
    [
        (OK, 5000, 4000, 2, OK),
        (OVER, 5000, 4000, 2, OVER),
        (OK, 5000, 0, 3, OVER),  # measured on 2.3.19 and 2.4.1: no grace for messages
        (OK, 5000, 5001, 3, LARGE),
        (LARGE, 5000, 5001, 9, LARGE),
        (OK, None, 10**12, 2, OK),
        (OK, None, 10**12, 3, OVER),
        (OK, None, 0, None, Verdict.TROUBLE),
        (Verdict.TROUBLE, 5000, 0, 3, Verdict.TROUBLE),
    ],
)
def test_judge_messages(
    verdict: Verdict, limit: int | None, size: int, messages: int | None, verdict_with: Verdict
) -> None:
    """From three of three on nothing is accepted; a number that is not known, or a limit below 0, is trouble."""
    assert judge_messages(verdict, limit, size, messages, 3) is verdict_with
    assert judge_messages(verdict, limit, size, messages, -3) is Verdict.TROUBLE
    assert "3 of 3 messages" in explain_messages(3, 3)


SIZES = st.integers(0, 2**64 - 1)


@given(st.integers(1, 2**63 - 1), SIZES, SIZES, st.integers(0, 2**63))
def test_rules_of_the_decision(limit: int, used: int, size: int, grace: int) -> None:
    """Smaller never hurts, a byte more use never helps, and too large is said only of what no emptying would help."""
    verdict = judge(limit, used, size, grace)
    assert (verdict is OK) == (used < limit and max(size, 1) <= limit - used + grace)
    assert (verdict is LARGE) <= (size > limit)
    if verdict is OK:
        assert judge(limit, used, size // 2, grace) is OK
        assert judge(limit, max(used - 1, 0), size, grace) is OK


@given(st.none() | st.integers(1, 10**12), st.none() | st.integers(0, 10**12), st.integers(0, 10**12), SIZES)
def test_every_verdict_has_a_sentence(limit: int | None, used: int | None, size: int, grace: int) -> None:
    """The reason names the figures that decided."""
    verdict = judge(limit, used, size, grace)
    sentence = explain_verdict(verdict, limit, used, size, grace)
    assert sentence.endswith(".")
    if limit is not None and used is not None:
        assert f"{format_exact(used)} of {format_exact(limit)} are used" in sentence


@pytest.mark.parametrize(
    ("used", "size", "grace", "words"),
    [
        (5_583_457_484, 0, 0, "5.2 GiB (5,583,457,484 bytes) of 5 GiB (5,368,709,120 bytes) are used: at or over"),
        (5_368_709_119, 0, 0, "are used; 1 byte fits."),
        (5_368_709_119, 2000, 0, "are used; 2 KiB (2,000 bytes) do not fit."),
        (5_368_709_119, 2000, 1998, "do not fit, not even with the grace of 2 KiB (1,998 bytes)."),
        (0, 48_000, 1000, "0 bytes of 5 GiB (5,368,709,120 bytes) are used; 46.9 KiB (48,000 bytes) fit, with a grace"),
    ],
)
def test_figures_are_read_at_a_glance_and_are_exact(used: int, size: int, grace: int, words: str) -> None:
    """Where a byte decides, a rounded size would say the opposite."""
    limit = 5 << 30
    assert words in explain_verdict(judge(limit, used, size, grace), limit, used, size, grace)


ANSWERS = VerdictActions(
    accept="DUNNO yes",
    over_quota="452 4.2.2 full",
    too_large="552 5.2.3 large",
    unknown="DUNNO who",
    trouble="DUNNO trouble",
)


def test_answers() -> None:
    """Each verdict has its action; a request that is not decided gets DUNNO whatever the settings say."""
    assert [ANSWERS.action(verdict) for verdict in Verdict] == [
        "DUNNO yes", "452 4.2.2 full", "552 5.2.3 large", "DUNNO who", "DUNNO trouble", "DUNNO"
    ]  # fmt: skip
    assert {VerdictActions.shadow().action(verdict) for verdict in Verdict} == {"DUNNO"}


def test_decided_states() -> None:
    """No state, RCPT and END-OF-MESSAGE."""
    assert sorted(state for state in DECIDED_STATES if state) == [b"END-OF-MESSAGE", b"RCPT"]
    assert None in DECIDED_STATES


@pytest.mark.parametrize(
    ("patterns", "address", "expected"),
    [
        (["postmaster@*"], "postmaster@example.org", True),
        (["postmaster@*"], "postmaster@sub.example.org", True),
        (["postmaster@*"], "xpostmaster@example.org", False),
        (["postmaster@*"], "postmaster", False),
        (["Boss@Example.ORG"], "boss@example.org", True),
        (["*@example.com", "a?@*"], "ab@example.org", True),
        (["*@example.com", "a?@*"], "abc@example.org", False),
        (["*@example.com", "a?@*"], "abc@example.com", True),
        (["a.b@*"], "axb@example.org", False),
        (["*@example.org"], "a@example.organic", False),
        ([], "a@example.org", False),
        ([""], "a@example.org", False),
    ],
)
def test_exempt(patterns: list[str], address: str, expected: bool) -> None:
    """Patterns hold for whole addresses, in any case; a dot is a dot."""
    assert (address in Exempt(patterns)) is expected
