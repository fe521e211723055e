"""The journal: every change, with several writers, and never a reason to refuse one."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from mailquota.core.base.mysql import Target
from mailquota.core.history.connection import StateError
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.journal import Journal, JournalEntry


def sqlite_journal(path: Path) -> Journal:
    return Journal(StateDatabase(Target("sqlite", path=path)))


def entry(address: str = "john@example.org", new: str = "2000") -> JournalEntry:
    return JournalEntry(
        operator="mary",
        origin="ssh:10.0.0.9",
        kind="limit",
        address=address,
        old="1000",
        new=new,
        reason="she asked",
    )


def test_entries_come_back_newest_first(journal: Journal) -> None:
    """With operator, origin, old and new value, and the id that ``add`` returned."""
    numbers = journal.add([entry(new="1"), entry(new="2")]) + journal.add([entry("anna@example.com", "3")])
    rows = journal.read()
    assert [row.id for row in rows] == sorted(numbers, reverse=True)
    assert msgspec.structs.astuple(rows[0])[2:] == (
        "mary", "ssh:10.0.0.9", "limit", "anna@example.com", "1000", "3", "she asked", None, None
    )  # fmt: skip
    assert [row.new for row in rows] == ["3", "2", "1"]


def test_entries_are_found_by_address_and_time(journal: Journal) -> None:
    journal.add([entry(), entry("anna@example.com")])
    (row,) = journal.read("anna@example.com")
    assert row.address == "anna@example.com"
    assert journal.read(since=row.at + 1) == []
    assert len(journal.read(most=1)) == 1


def test_reading_makes_no_file(tmp_path: Path) -> None:
    """An engine that changes nothing needs no state database."""
    assert sqlite_journal(tmp_path / "state/state.db").read() == []
    assert not (tmp_path / "state").exists()


def test_texts_from_outside_are_data(journal: Journal) -> None:
    hostile = "'); DROP TABLE journal; --\x1b[31m\0"
    entry = JournalEntry(operator=hostile, origin=hostile, kind="limit", address=hostile, old=hostile, reason=hostile)
    journal.add([entry])
    assert journal.read(hostile)[0].operator == hostile


def test_two_writers_do_not_lose_each_others_entries(target: Target) -> None:
    """An engine and a command, each with a connection of its own."""
    failures: list[Exception] = []

    def write(name: str) -> None:
        with closing(StateDatabase(target)) as state:
            for number in range(50):
                try:
                    Journal(state).add([entry(f"{name}@x", str(number))])
                except StateError as error:
                    failures.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with closing(StateDatabase(target)) as state:
        assert len(Journal(state).read("a@x")) == len(Journal(state).read("b@x")) == 50


def test_what_is_lost_is_counted_and_it_comes_back(tmp_path: Path) -> None:
    """The next entry tries anew."""
    path = tmp_path / "state.db"
    path.mkdir()
    journal = sqlite_journal(path)
    with pytest.raises(StateError, match="unable to open"):
        journal.add([entry(), entry()])
    assert journal.lost == 2
    path.rmdir()
    assert journal.add([entry()]) == [1]
    assert journal.lost == 2
    journal.database.close()


def test_a_table_that_went_is_a_state_error(journal: Journal, state: StateDatabase) -> None:
    """And nothing of the entries stays half written."""
    journal.add([entry()])
    state.write(lambda sql: sql.change("DROP TABLE journal"))
    with pytest.raises(StateError, match=r"no such table|doesn't exist"):
        journal.add([entry()])
    with pytest.raises(StateError, match=r"no such table|doesn't exist"):
        journal.read()


def test_a_folder_that_is_none_is_a_state_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    journal = sqlite_journal(tmp_path / "file/state.db")
    assert journal.read() == []
    with pytest.raises(StateError):
        journal.add([entry()])
