"""Refusals by account: over an hour, over a day, and how they are forgotten."""

from __future__ import annotations

import random

from mailquota.core.mailboxes.refusals import RefusalCount, RefusalTally
from mailquota.core.policy.protocol import text_attribute

HOUR, DAY = 3600.0, 86400.0
START = 1_795_000_000.0 // 300 * 300


def sender_of(request: bytes) -> str:
    return text_attribute(request, "sender")


def request(sender: str) -> bytes:
    """A request as RequestReader returns it."""
    return f"\nsender={sender}\n".encode()


def figures(tally: RefusalTally, now: float, most: int = 10) -> list[tuple[str, int, int]]:
    """Address, last hour, last day."""
    return [(row.address, row.last_hour, row.last_day) for row in tally.report(now, now, most).accounts]


def test_the_worst_of_the_hour_first_then_of_the_day() -> None:
    """With who was refused last, and how many accounts there are."""
    tally = RefusalTally(START, sender_of)
    for number in range(3):
        tally.add("old@x", request("a@y"), START + number, START + number)
    tally.add("one@x", request("b@y"), START + 2 * HOUR, START + 2 * HOUR)
    for number in range(2):
        tally.add("two@x", request(f"{number}@y"), START + 2 * HOUR + number, START + 2 * HOUR + number)
    now = START + 2 * HOUR + 60
    assert figures(tally, now) == [("two@x", 2, 2), ("one@x", 1, 1), ("old@x", 0, 3)]
    report = tally.report(now, now, 1)
    assert (report.total, report.since) == (3, START)
    (worst,) = report.accounts
    assert (worst.sender, worst.at) == ("1@y", START + 2 * HOUR + 1)


def test_what_is_older_than_a_day_is_forgotten() -> None:
    """Also where nothing is added any more; and the tally says from when on it counts."""
    tally = RefusalTally(START, sender_of)
    tally.add("a@x", request("s@y"), START, START)
    assert figures(tally, START + DAY) == [("a@x", 0, 1)]
    report = tally.report(START + DAY + 600, START + DAY + 600, 10)
    assert (report.accounts, report.total) == ([], 0)
    assert report.since == START + 600


def test_it_counts_as_a_list_of_all_would() -> None:
    """To the slice of five minutes, for any order of accounts and gaps."""
    rng = random.Random(5)
    tally, events, now = RefusalTally(START, sender_of), list[tuple[float, str]](), START
    for _step in range(2000):
        now += rng.expovariate(1 / 90)
        address = f"u{rng.randrange(5)}@x"
        events.append((now // 300, address))
        tally.add(address, request("s@y"), now, now)
        if rng.random() < 0.02:
            number = now // 300
            for row in tally.report(now, now, 10).accounts:
                mine = [at for at, who in events if who == row.address]
                assert row.last_hour == sum(at >= number - 12 for at in mine)
                assert row.last_day == sum(at >= number - 288 for at in mine)


def test_a_clock_that_is_set_back_changes_nothing() -> None:
    """What was refused is forgotten after an hour, and a day, of time that went by."""
    tally, back = RefusalTally(0.0, sender_of), START - 10 * DAY
    tally.add("a@x", request("s@y"), START, 600.0)
    tally.add("a@x", request("s@y"), back, 900.0)
    (row,) = tally.report(back + 60, 960.0, 10).accounts
    assert (row.last_hour, row.last_day, row.at) == (2, 2, back)
    assert tally.report(back + 60, 960.0, 10).since == back + 60 - 960
    later = 900.0 + HOUR + 600
    assert [(row.last_hour, row.last_day) for row in tally.report(back + HOUR, later, 10).accounts] == [(0, 2)]
    assert tally.report(back + DAY, later + DAY, 10).accounts == []


def test_a_sender_that_is_no_text_does_no_harm() -> None:
    """As everywhere."""
    tally = RefusalTally(START, sender_of)
    tally.add("a@x", b"\nsender=k\xe4se\x1b\n", START, START)
    assert tally.report(START, START, 1).accounts[0].sender == "k\ufffdse\x1b"


def test_all_refusals_of_the_last_hour() -> None:
    """Those of several mailboxes count once, and are no account."""
    tally = RefusalTally(START, sender_of)
    for step in range(3):
        tally.add("a@x", request("s@y"), START + step, START + step)
        tally.add("b@x", request("s@y"), START + step, START + step)
        tally.count(request("s@y"), START + step, START + step)
    assert tally.last_hour(START + HOUR) == 3
    assert figures(tally, START) == [("a@x", 3, 3), ("b@x", 3, 3)]
    assert tally.report(START, START, 1).total == 2
    assert tally.last_hour(START + HOUR + 300) == 0


def test_another_engine_goes_on() -> None:
    """With what is known of the last day, beside what it refused itself meanwhile."""
    before, after = RefusalTally(START, sender_of), RefusalTally(START + DAY, sender_of)
    before.add("old@x", request("o@y"), START - HOUR, START - HOUR)
    for at, sender in ((START + DAY - 60, "a@y"), (START + DAY - 30, "b@y")):
        before.add("a@x", request(sender), at, at)
        before.count(request(sender), at, at)
    after.add("b@x", request("c@y"), START + DAY, START + DAY)
    after.count(request("c@y"), START + DAY, START + DAY)
    told = after.recall(before.known(), START + DAY)
    assert told == {"a@x": START + DAY - 30}
    assert figures(after, START + DAY) == [("a@x", 2, 2), ("b@x", 1, 1)]
    assert after.last_hour(START + DAY) == 3
    report = after.report(START + DAY, START + DAY, 1)
    assert (report.accounts[0].sender, report.accounts[0].at) == ("b@y", START + DAY - 30)
    assert report.since == START + DAY - 300
    assert figures(after, START + 2 * DAY + 600) == []


def test_each_refusal_is_written_once() -> None:
    """What could not be written comes again, with what came since."""
    tally = RefusalTally(START, sender_of)
    tally.add("a@x", request("a@y"), START, START)
    (first,) = tally.unsaved()
    assert first == RefusalCount(int(START // 300), "a@x", 1, START, "a@y")
    assert tally.unsaved() == []
    tally.give_back([first])
    tally.add("a@x", request("b@y"), START + 1, START + 1)
    assert [(one.times, one.sender) for one in tally.unsaved()] == [(2, "b@y")]
    tally.recall([first], START)
    assert tally.unsaved() == []


def test_changes_of_the_day_are_told_once() -> None:
    """What was added, and what is older than a day now; an engine before it counts, too."""
    tally = RefusalTally(START, sender_of)
    for moment in (START, START + HOUR, START + HOUR):
        tally.add("a@x", request("s@y"), moment, moment)
    tally.count(request("s@y"), START, START + HOUR)
    assert tally.take_changes(START + HOUR) == {"a@x": 3}
    assert tally.take_changes(START + DAY) == {}
    assert tally.take_changes(START + DAY + 600) == {"a@x": 2}
    number = int((START + DAY) // 300)
    tally.recall([RefusalCount(number, "b@x", 4, START + DAY, "s@y")], START + DAY + 600)
    assert tally.take_changes(START + DAY + 600) == {"b@x": 4}
    assert tally.take_changes(START + 2 * DAY + HOUR) == {"a@x": 0, "b@x": 0}
