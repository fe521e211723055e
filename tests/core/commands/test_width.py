"""``mailquota list`` fits into the width of what shows it."""

from __future__ import annotations

import pytest

from tests.core.commands.command_line import CommandLine
from tests.core.worlds import JOHN
from tests.tui.real_terminal import Terminal

ALL = "address level percent used limit messages trash growth days source age"


def titles(text: str) -> str:
    """The titles of the columns, in the first line."""
    return " ".join(text.splitlines()[0].split())


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("200", ALL),
        ("100", "address level percent used limit messages trash growth days age"),
        ("80", "address level percent used limit trash growth days"),
        ("60", "address level percent used limit"),
        ("30", "address percent"),
        ("0", ALL),
        ("wide", ALL),
    ],
)
def test_columns_that_fit(alone: CommandLine, columns: str, expected: str) -> None:
    """As wide as COLUMNS says, which ``watch`` sets; no line is longer. Numbers of the console go last."""
    text = alone("list", env={"COLUMNS": columns}).stdout
    assert titles(text) == expected
    if columns.isdigit() and int(columns):
        assert max(map(len, text.splitlines())) <= int(columns)


def test_all_through_a_pipe(alone: CommandLine) -> None:
    """Programs get every column; nothing is cut."""
    assert titles(alone("list").stdout) == ALL
    assert titles(alone().stdout) == ALL


def test_the_sorted_column_is_there(alone: CommandLine) -> None:
    """Also where others of its kind are left out; and an address that is cut says so."""
    text = alone("list", "--sort", "trash", env={"COLUMNS": "42"}).stdout
    assert titles(text) == "address percent trash"
    narrow = alone("list", env={"COLUMNS": "12"}).stdout
    assert {len(line) for line in narrow.splitlines()[1:]} == {12}
    assert JOHN[:11] + "…" in narrow.splitlines()


def test_as_wide_as_the_terminal(alone: CommandLine) -> None:
    """It is asked for its width: 100 cells."""
    with Terminal("--config", str(alone.world.config), "list") as terminal:
        terminal.wait_for(JOHN, "days")
        assert terminal.wait() == 0
