"""Who is told what and when: by state and memory, never by the moment of crossing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.alerts.rules import BELOW, HYSTERESIS, Policy, judge, parse_marks, reached
from mailquota.core.base.model import LastWarning

DAY = 86400.0
POLICY = Policy(parse_marks([80, 95]), 7 * DAY, True)
LIMIT = 1000


class Mailbox:
    """One mailbox through time: what its owner is told at each step."""

    def __init__(self, policy: Policy = POLICY, limit: int | None = LIMIT) -> None:
        self.policy = policy
        self.limit = limit
        self.told: LastWarning | None = None
        self.now = 1_000_000.0

    def at(self, used: int | None, later: float = 1.0) -> str:
        self.now += later
        verdict = judge(self.told, used, self.limit, self.policy, self.now)
        self.told = verdict.told
        return verdict.due

    def through(self, *uses: int) -> list[str]:
        return [self.at(used) for used in uses]


def test_each_mark_is_told_once() -> None:
    assert Mailbox().through(100, 799, 800, 810, 949, 950, 1000, 1100, 999) == [
        "", "", "80%", "", "", "95%", "", "", ""
    ]  # fmt: skip


def test_a_jump_over_several_marks_tells_the_highest_alone() -> None:
    assert Mailbox().through(100, 990, 990, 960) == ["", "95%", "", ""]


def test_who_is_above_at_the_first_look_is_told_once() -> None:
    assert Mailbox().through(850, 850) == ["80%", ""]


def test_a_mailbox_that_hovers_around_a_mark_gets_one_mail() -> None:
    box = Mailbox()
    assert box.through(800, 799, 800, 780, 801, 771, 830) == ["80%", "", "", "", "", "", ""]
    assert box.through(950, 940, 950, 921, 950) == ["95%", "", "", "", ""]


def test_room_again_comes_well_below_the_lowest_mark_and_once() -> None:
    assert Mailbox().through(850, 770, 769, 700, 500) == ["80%", "", BELOW, "", ""]


def test_the_memory_ends_with_it() -> None:
    assert Mailbox().through(850, 500, 850) == ["80%", BELOW, "80%"]


def test_below_the_upper_mark_it_counts_anew_without_a_word() -> None:
    assert Mailbox().through(960, 900, 950) == ["95%", "", "95%"]


def test_who_was_full_hears_of_room_below_the_upper_mark_and_not_again() -> None:
    """Mail was refused, and is taken again: that is news. Further down it is none."""
    box = Mailbox()
    assert box.through(1000, 930, 919, 850, 500) == ["95%", "", BELOW, "", ""]
    assert box.through(800, 500) == ["80%", BELOW]


def test_a_lowered_limit_tells_and_a_raised_one_makes_room() -> None:
    box = Mailbox()
    assert box.at(500) == ""
    box.limit = 600
    assert box.at(500) == "80%"
    box.limit = 510
    assert box.at(500) == "95%"
    box.limit = 10_000
    assert box.at(500) == BELOW


def test_unlimited_and_unknown() -> None:
    """Nobody is told of no limit, and a mailbox that can't be measured changes nothing."""
    box = Mailbox(limit=None)
    assert box.through(10**12) == [""]
    box = Mailbox()
    assert [box.at(960), box.at(None), box.at(960)] == ["95%", "", ""]
    box.limit = None
    assert (box.at(960), box.told) == ("", None)


def test_reminders() -> None:
    box = Mailbox()
    assert [box.at(850), box.at(850, 6 * DAY), box.at(850, DAY), box.at(850, DAY)] == ["80%", "", "80%", ""]
    assert box.at(790, 30 * DAY) == ""  # below the mark: what is remembered is not repeated
    silent = Mailbox(POLICY._replace(remind_seconds=0.0))
    assert [silent.at(850), silent.at(850, 1000 * DAY)] == ["80%", ""]


def test_a_higher_mark_does_not_wait_for_the_reminder() -> None:
    box = Mailbox()
    assert [box.at(850), box.at(960), box.at(960, 7 * DAY)] == ["80%", "95%", "95%"]


def test_clocks_that_jump() -> None:
    """Back: no reminder before its time, counted from now. Forward: one reminder early, then peace."""
    box = Mailbox()
    assert box.at(850) == "80%"
    assert [box.at(850, -100 * DAY), box.at(850, 6 * DAY), box.at(850, DAY)] == ["", "", "80%"]
    assert [box.at(850, 1000 * DAY), box.at(850, 1.0)] == ["80%", ""]


def test_a_size_that_is_left() -> None:
    """Less than 100 left of 1000; a mailbox that is smaller than that is never near in this way."""
    box = Mailbox(POLICY._replace(marks=parse_marks([80, "100"])))
    assert box.through(800, 900, 901, 870, 869, 901) == ["80%", "", "100", "", "", "100"]
    small = Mailbox(POLICY._replace(marks=parse_marks(["2000"])))
    assert small.through(0, 999, 1000) == ["", "", ""]


def test_without_marks_nobody_is_told_anything() -> None:
    """Not that there is room either, whatever was said by hand."""
    box = Mailbox(POLICY._replace(marks=()))
    box.told = LastWarning(95.0, box.now)
    assert box.through(990, 100, 990) == ["", "", ""]
    assert box.told is None


def test_without_below_there_is_no_word_of_room() -> None:
    box = Mailbox(POLICY._replace(below=False))
    assert box.through(1000, 100, 850) == ["95%", "", "80%"]


def test_changed_marks_repeat_nothing() -> None:
    """Told of 80: a mark at 70 is no news, one at 83 is."""
    box = Mailbox()
    assert box.at(850) == "80%"
    box.policy = POLICY._replace(marks=parse_marks([70, 95]))
    assert box.at(850) == ""
    box.policy = POLICY._replace(marks=parse_marks([83]))
    assert box.at(850) == "83%"


def test_equality_counts_as_reached_and_not_a_byte_less() -> None:
    marks = parse_marks([80])
    assert reached(2401, 3001, marks) is not None
    assert reached(2400, 3001, marks) is None


@pytest.mark.parametrize("limit", [0, None])
def test_no_limit_is_never_divided_by(limit: int | None) -> None:
    assert judge(LastWarning(80.0, 0.0), 5, limit, POLICY, 1.0) == ("", None)


steps = st.lists(st.tuples(st.integers(0, 1200), st.sampled_from([1.0, DAY, -DAY])), max_size=40)


@given(steps, st.lists(st.integers(1, 100), max_size=4, unique=True), st.booleans())
def test_whatever_happens(course: list[tuple[int, float]], thresholds: list[int], below: bool) -> None:
    """Above a mark they have been told of it; room is told to who was told, once; nothing repeats at once."""
    box = Mailbox(Policy(parse_marks(thresholds), 7 * DAY, below))
    owed = False
    for used, later in course:
        due = box.at(used, later)
        found = reached(used, LIMIT, box.policy.marks)
        assert box.at(used, 0.0) == ""
        if found is not None:
            assert box.told is not None
            assert box.told.percent >= found[1]
            assert due in {"", found[0], BELOW}
        elif not due:
            assert box.told is None or used * 100 / LIMIT >= min(thresholds) - HYSTERESIS
        if due == BELOW:
            assert owed
            assert below
        owed = due not in {"", BELOW} or (owed and due == "" and box.told is not None)
