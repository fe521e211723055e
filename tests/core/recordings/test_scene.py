"""What is known of a time takes bounded memory, whatever a file has."""

from __future__ import annotations

import msgspec
import pytest

from mailquota.core.recordings import scene
from mailquota.core.recordings.periods import Period
from mailquota.core.recordings.scene import Scene
from tests.core.recordings.made import JOHN, NIGHT, entry, night, row, warning


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene, "MOST_ACCOUNTS", 5)
    monkeypatch.setattr(scene, "MOST_ENTRIES", 7)


def test_only_so_many_accounts() -> None:
    """Those that are known go on changing."""
    found = Scene()
    found.take(night()[0])
    many = [row(f"a{number}@example.org", 1) for number in range(9)]
    changed, gone = found.take(Period(start=NIGHT, end=NIGHT + 10, accounts=[*many, row(JOHN, 7)]))
    assert len(found.rows) == 5
    assert found.rows[JOHN].used_bytes == 7
    assert ([each.address for each in changed][-1], gone) == (JOHN, [])


def test_only_so_many_entries_and_warnings() -> None:
    """The newest; an entry that changed is shown as it is then."""
    found = Scene()
    for number in range(1, 30):
        rows = [entry(number, NIGHT)], [warning(number, NIGHT, "queued")]
        found.take(Period(start=NIGHT, end=NIGHT + 10, journal=rows[0], warnings=rows[1]))
    found.take(Period(start=NIGHT, end=NIGHT + 10, warnings=[warning(29, NIGHT)]))
    assert [each.id for each in found.entries("", 0.0, 100)] == [*range(29, 22, -1)]
    assert [each.state for each in found.sent("", 2)] == ["sent", "queued"]
    assert not found.entries("nobody@example.org", 0.0, 9)
    assert not found.sent("nobody@example.org", 9)


def test_a_new_table_forgets_the_one_before() -> None:
    """As another file begins with one; accounts that are in both are not gone."""
    found = Scene()
    found.take(night()[0])
    first = msgspec.structs.replace(night()[0], accounts=[row(JOHN, 5), row("new@example.org", 1)])
    _changed, gone = found.take(first)
    assert (set(found.rows), gone) == ({JOHN, "new@example.org"}, ["anna@example.com"])
