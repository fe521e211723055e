"""Dates on the command line, in time zones with and without changes of clock, beside what date(1) says of them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import pytest

from mailquota.core.history.from_settings import make_state
from mailquota.core.history.journal import Journal, JournalEntry
from tests.core.commands.command_line import COMMAND, ROOT, CommandLine
from tests.core.worlds import JOHN, SmallWorld
from tests.core.zones import NO_MIDNIGHT, ZONES, date_says, first_second, in_both_seasons, without_midnight
from tests.mailserver.fixture import require_servers
from tests.mailserver.namespace import Namespace

TODAY = datetime.now(UTC).date()
WIDE = timedelta(days=1)  # no zone is farther from UTC


@contextmanager
def journal_of(world: SmallWorld) -> Iterator[Journal]:
    """The journal without a command."""
    journal = Journal(make_state(world.load()))
    try:
        yield journal
    finally:
        journal.database.close()


def until_of(world: SmallWorld) -> float:
    """When the limit that was set last goes back."""
    with journal_of(world) as journal:
        until = journal.read(JOHN)[0].until
    assert until is not None
    return until


def limit_until(line: CommandLine, text: str, zone: str) -> float:
    """Give John a limit until then, typed in that time zone; returns when it ends."""
    done = line("set", JOHN, "20k", "--until", text, env={"TZ": zone})
    assert done.returncode == 0, done.stderr
    return until_of(line.world)


def check_first_second(until: float, day: date, zone: str | None) -> None:
    """By date(1): it is that day, and was another one a second before."""
    assert date_says(until, "%F", zone) == str(day)
    assert date_says(until - 1, "%F", zone) == str(day - timedelta(days=1))


@pytest.fixture
def elsewhere(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    """A running engine in another time zone than the operator."""
    monkeypatch.setenv("TZ", "Pacific/Apia")
    line = CommandLine(small_world)
    with line.engine():
        yield line


@pytest.mark.parametrize("zone", ZONES)
def test_until_a_day_is_its_first_second(alone: CommandLine, zone: str) -> None:
    """In summer and in winter, whichever it is now; also of a day without midnight."""
    days = [*in_both_seasons(TODAY + WIDE), without_midnight(zone, TODAY + WIDE)]
    for day in filter(None, days):
        check_first_second(limit_until(alone, str(day), zone), day, zone)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kathmandu"])
def test_a_date_is_in_the_time_zone_of_the_operator(elsewhere: CommandLine, zone: str) -> None:
    """Days, words and times of day are shown as they were typed."""
    for day in in_both_seasons(TODAY + WIDE):
        check_first_second(limit_until(elsewhere, str(day), zone), day, zone)
        until = limit_until(elsewhere, f"{day} 18:00", zone)
        assert date_says(until, "%F %T", zone) == f"{day} 18:00:00"
        shown = elsewhere("journal", JOHN, env={"TZ": zone}).stdout
        assert f"{day} 18:00:00" in shown.splitlines()[1]
        (entry, *_) = elsewhere.json("journal", JOHN)
        assert entry["until"] == date_says(until, "%FT%TZ", "UTC")


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "America/Santiago"])
def test_until_tomorrow(alone: CommandLine, zone: str) -> None:
    """The next day there, at its first second or at a time."""
    before = today(zone)
    until, at_noon = limit_until(alone, "tomorrow", zone), limit_until(alone, "tomorrow 12:00", zone)
    tomorrow = date.fromisoformat(date_says(until, "%F", zone))
    assert tomorrow - timedelta(days=1) in {before, today(zone)}  # midnight may have passed meanwhile
    check_first_second(until, tomorrow, zone)
    assert date_says(at_noon, "%T", zone) == "12:00:00"


def today(zone: str) -> date:
    """The day of today by date(1)."""
    return date.fromisoformat(date_says(datetime.now(UTC).timestamp(), "%F", zone))


@pytest.mark.parametrize("zone", ZONES)
def test_the_journal_since_a_day(alone: CommandLine, zone: str) -> None:
    """From its first second on, in a season that may be another one than now."""
    without = without_midnight(zone, date(2025, 1, 1))
    assert zone not in NO_MIDNIGHT or without
    for day in filter(None, (date(2025, 1, 15), date(2025, 7, 15), without)):
        first = first_second(day, zone).timestamp()
        check_first_second(first, day, zone)
        with journal_of(alone.world) as journal:
            for at in (first - 1, first):
                why = f"at {at:.0f}"
                edit = JournalEntry(operator="mary", kind="limit", address=JOHN, old="1", new="2", reason=why)
                journal.add([edit], at=at)
        found = alone("journal", "--since", str(day), "--json", env={"TZ": zone})
        reasons = {entry["reason"] for entry in json.loads(found.stdout)}
        assert f"at {first:.0f}" in reasons
        assert f"at {first - 1:.0f}" not in reasons


@pytest.mark.server
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Santiago", "Asia/Kolkata"])
def test_the_time_zone_of_the_machine(small_world: SmallWorld, zone: str) -> None:
    """Where TZ says nothing it is /etc/localtime."""
    require_servers(*Namespace.programs)
    days = [*in_both_seasons(TODAY + WIDE), without_midnight(zone, TODAY + WIDE)]
    python = {"PYTHONPATH": str(ROOT / "packaging"), "PATH": os.environ["PATH"]}
    command = [sys.executable, *COMMAND[1:], "--config", str(small_world.config)]
    with Namespace() as machine:
        machine.check(["ln", "-sf", f"/usr/share/zoneinfo/{zone}", "/etc/localtime"])
        for day in filter(None, days):
            done = machine.run([*command, "set", JOHN, "20k", "--until", str(day)], environ=python)
            assert done.returncode == 0, done.stderr
            until = until_of(small_world)
            assert machine.check(["date", "-d", f"@{until:.0f}", "+%F"]).strip() == str(day)
            assert machine.check(["date", "-d", f"@{until - 1:.0f}", "+%F"]).strip() == str(day - timedelta(days=1))


@pytest.mark.parametrize("text", ["2001-01-01", "yesterday", "2026-02-30", "some day", "tomorrow 25:00", "18:00"])
def test_what_is_no_day_to_come_is_refused(alone: CommandLine, text: str) -> None:
    """In one line that says what is accepted; nothing is changed."""
    done = alone("set", JOHN, "20k", "--until", text)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "accepted: 2026-12-24, 2026-12-24 18:00, tomorrow, friday, 3d, 2w" in done.stderr
    assert alone.world.limit_of(JOHN) == 10_000
