"""What a new limit would mean."""

from __future__ import annotations

import pytest

from mailquota.core.base.model import AccountRow
from mailquota.tui.acts.proposal import Proposal
from mailquota.tui.draw.glyphs import UNICODE
from mailquota.tui.draw.grid import Context
from tests.tui import world

GIB = 1 << 30
CONTEXT = Context(world.NOW, UNICODE)


def proposal(text: str, *rows: AccountRow) -> Proposal:
    """For these accounts."""
    made = Proposal(text)
    for row in rows:
        made.add(row)
    return made


def shown(made: Proposal) -> str:
    """The preview as text."""
    return "\n".join("".join(text for text, _look in line) for line in made.lines(CONTEXT))


FULL = AccountRow("john@x", 5 * GIB, 5 * GIB)
HALF = AccountRow("anna@x", 4 * GIB, 2 * GIB)
FREE = AccountRow("archive@x", None, 9 * GIB)
NEW = AccountRow("new@x", 1 * GIB, None)


@pytest.mark.parametrize(
    ("text", "row", "words"),
    [
        ("10G", FULL, "5 GiB → 10 GiB   ● 50 % ok   5 GiB left"),
        ("+10%", FULL, "5 GiB → 5.5 GiB   △ 90 % near   512 MiB left"),
        ("4G", FULL, "5 GiB → 4 GiB   ■ 125 % over   over by 1 GiB"),
        ("unlimited", FULL, "5 GiB → unlimited   ∞ unlimited"),
        ("10G", FREE, "unlimited → 10 GiB   △ 90 % near   1 GiB left"),
        ("10G", NEW, "1 GiB → 10 GiB   ? unknown"),
        ("used*2", HALF, "4 GiB → 4 GiB   ● 50 % ok   2 GiB left"),
    ],
)
def test_the_preview_of_one_account(text: str, row: AccountRow, words: str) -> None:
    """Old, new, percent, level, what is left or over."""
    assert words in shown(proposal(text, row))


def test_the_preview_of_many_sums() -> None:
    """What is granted before and after, and who would be near or over."""
    made = proposal("x2", FULL, HALF)
    assert "granted 9 GiB → 18 GiB" in shown(made)
    assert "nobody near or over afterwards" in shown(made)
    made = proposal("2G", FULL, HALF)
    assert "granted 9 GiB → 4 GiB" in shown(made)
    assert "■ 2 over" in shown(made)
    assert made.below_usage == 1


def test_relative_sizes_may_be_impossible_for_some() -> None:
    """They are counted, and the others can still be set."""
    made = proposal("+10%", FULL, FREE)
    assert not made.impossible
    assert "1 can't have this limit" in shown(made)
    assert proposal("+10%", FREE).impossible
    assert "unlimited" in proposal("+10%", FREE).errors[0]


def test_what_can_not_be_read_is_impossible_for_all() -> None:
    """With the words of the size language."""
    made = proposal("5 apples", FULL, HALF)
    assert made.impossible
    assert "5 apples" in made.errors[0]
    assert made.lines(CONTEXT) == []


def test_a_limit_under_the_present_use_must_be_confirmed() -> None:
    """And the question says by how much."""
    assert "1 GiB below the present usage" in proposal("4G", FULL).warning()
    assert "1 account would be over it by up to 3 GiB" in proposal("2G", FULL, HALF).warning()
    assert proposal("5G", FULL).warning() == ""
    assert proposal("unlimited", FULL).warning() == ""


def test_the_same_limit_again_is_no_change() -> None:
    """So nothing is set and nothing asked."""
    assert proposal("5G", FULL).changed == 0
    assert proposal("5G", FULL, HALF).changed == 1


def test_who_is_over_already_is_not_blamed_on_a_raise() -> None:
    """How many stay over and how many come over are told apart; only the latter have to be confirmed."""
    fuller = AccountRow("full@x", 5 * GIB, 8 * GIB)
    raised = proposal("+10%", fuller, fuller, HALF)
    assert "2 stay over, 0 come over" in shown(raised)
    assert raised.warning() == ""
    assert "5 GiB → 5.5 GiB   ■ 145 % over   stays over by 2.5 GiB" in shown(proposal("+10%", fuller))
    assert proposal("+10%", fuller).warning() == ""
    both = proposal("5G", fuller, AccountRow("big@x", 9 * GIB, 6 * GIB))
    assert "1 stay over, 1 come over" in shown(both)
    assert "1 account would be over it by up to 1 GiB" in both.warning()
    lowered = proposal("4G", fuller)
    assert "4 GiB below the present usage" in lowered.warning()
    assert "0 stay over, 0 come over" in shown(proposal("+10%", HALF, FULL))
