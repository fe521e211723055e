"""Folders as a tree, and which of them are junk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.control.results import Folder
from mailquota.tui.card import folders
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.glyphs import ASCII, UNICODE
from mailquota.tui.draw.grid import Context
from tests.tui import world

CONTEXT = Context(world.NOW, UNICODE)
MAILDIR = [
    Folder("INBOX", 1000, 2000),
    Folder("Archive.2025", 100, 700),
    Folder("Archive.2024.old", 100, 300),
    Folder("Archive", 10, 5),
    Folder("Papierkorb", 3, 900, trash=True),
    Folder("Papierkorb.x", 3, 1, trash=True),
    Folder("Trash", 0, 0, trash=True),
]


def names(listed: list[Folder], context: Context = CONTEXT, width: int = 100) -> list[str]:
    """The beginning of each line."""
    return [line[0][0] + line[1][0].rstrip() for line in folders.lines(listed, width, context)]


def test_the_largest_first_with_all_below_it() -> None:
    """A folder counts what lies in those below; one that counts as Trash says so once."""
    assert names(MAILDIR) == [
        " INBOX",
        " Archive",
        " ├ 2025",
        " └ 2024",
        "   └ old",
        " Papierkorb (Trash)",
        " └ x",
        " Trash",
    ]
    text = ["".join(part for part, _look in line) for line in folders.lines(MAILDIR, 100, CONTEXT)]
    assert " 1005 B " in text[1]
    assert " 25 % " in text[1]
    assert " 210 messages" in text[1]
    assert " < 1 % " in text[6]


def test_dots_are_no_separators_where_slashes_are() -> None:
    """As Dovecot has them with another layout."""
    listed = [Folder("john.smith", 1, 10), Folder("a/b", 1, 5)]
    assert names(listed) == [" john.smith", " a", " └ b"]
    assert names([Folder("john.smith", 1, 10)]) == [" john", " └ smith"]


@pytest.mark.parametrize("width", [20, 36, 60, 100])
def test_narrow_columns_drop_the_bar_then_the_messages(width: int) -> None:
    """Name, size and share are always there."""
    for line in folders.lines(MAILDIR, width, CONTEXT):
        text = "".join(part for part, _look in line)
        assert "%" in text
        assert ("message" in text) is (width >= 60)
        assert ("─" in text) is (width >= 100)
        assert fmt.width_of(line) <= max(width, 34)


def test_junk_by_its_usual_names() -> None:
    """With what lies below, and nothing that only sounds like it."""
    listed = [Folder("Junk", 1, 5), Folder("Junk.2025", 1, 7), Folder("INBOX.Spam", 1, 11), Folder("Junkers", 1, 13)]
    assert folders.junk(listed) == 23


NAMES = st.text(st.characters(codec="utf-8"), max_size=12)


@given(st.lists(st.builds(Folder, NAMES, st.integers(0, 9), st.integers(0, 99), st.booleans()), max_size=12))
def test_whatever_they_are_called_nothing_is_lost(listed: list[Folder]) -> None:
    """The sum of the top is the sum of all, and ASCII stays ASCII."""
    root = folders.tree(listed)
    assert root.bytes == sum(folder.bytes for folder in listed) == sum(node.bytes for node in root.below.values())
    for line in folders.lines(listed, 80, Context(world.NOW, ASCII)):
        assert "".join(part for part, _look in line).isascii()
