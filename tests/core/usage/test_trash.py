"""Which folders are Trash: names as on disk and as Dovecot prints them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.usage.trash import SPECIAL_USE, TrashNames, readable_name

READABLE = [
    ("Trash", "Trash"),
    ("Entw&APw-rfe", "Entwürfe"),
    ("&U,BTFw-", "台北"),
    ("&ZeVnLIqe-", "日本語"),
    ("Q&-A", "Q&A"),
    ("&-&-", "&&"),
    ("&2Dzf6Q-", "🏩"),
    ("Q&A", "Q&A"),  # no modified UTF-7: as it is
    ("&AP-x", "&AP-x"),
    ("&!!-", "&!!-"),
    ("&2Dw-", "&2Dw-"),  # half of a pair
    ("Käse", "Käse"),
    ("", ""),
]


@pytest.mark.parametrize(("name", "expected"), READABLE)
def test_readable_name(name: str, expected: str) -> None:
    """Modified UTF-7 becomes text; what is none stays."""
    assert readable_name(name) == expected


@given(st.text())
def test_any_name(name: str) -> None:
    """No name is an error, and one that Dovecot would write comes back."""
    readable_name(name)
    encoded = "".join(f"&{_shifted(char)}-" if ord(char) > 126 or ord(char) < 32 else char for char in name)
    if "&" not in name:
        assert readable_name(encoded) == name


def _shifted(char: str) -> str:
    from base64 import b64encode

    return b64encode(char.encode("utf-16-be")).decode().rstrip("=").replace("/", ",")


NAMES = TrashNames((SPECIAL_USE, "Trash", "Papierkorb", "Gelöscht", "INBOX.Müll", "Old/Bin"), ["Deleted Items"])
FOLDERS = [
    ("Trash", True),
    ("Trash.2024", True),
    ("Trash.2024.May", True),
    ("INBOX.Trash", True),
    ("inbox.Trash", True),
    ("INBOX.Trash.2024", True),
    ("Papierkorb", True),
    ("Deleted Items", True),
    ("Deleted Items.x", True),
    ("Gel&APY-scht", True),
    ("M&APw-ll", True),  # the setting names the namespace's prefix, the disk does not
    ("INBOX.M&APw-ll", True),
    ("Old.Bin", True),
    ("Old.Bin.x", True),
    ("Old", False),
    ("INBOX", False),
    ("trash", False),
    ("Trash2", False),
    ("Trashes.2024", False),
    ("Archive.Trash", False),
    ("Sent", False),
    ("\\Trash", False),
    ("", False),
]


@pytest.mark.parametrize(("folder", "expected"), FOLDERS)
def test_is_trash(folder: str, expected: bool) -> None:
    """A name of the settings or found by special use, and everything below it."""
    assert NAMES(folder) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Trash/2024", True), ("INBOX/Trash", True), ("Gelöscht", True), ("INBOX.Müll", True), ("Gel&APY-scht", False)],
)
def test_names_as_dovecot_prints_them(name: str, expected: bool) -> None:
    """UTF-8, with any separator."""
    assert NAMES.readable(name) is expected


def test_special_use_only_where_wanted() -> None:
    """What Dovecot marks as Trash counts when the settings say \\Trash, and once."""
    assert TrashNames(["Bin"], ["Trash"]).names == ("Bin",)
    assert TrashNames(["Trash", SPECIAL_USE], ["Trash", "Old"]).names == ("Trash", "Old")
    assert TrashNames(iter([SPECIAL_USE]), iter(["Trash"])).names == ("Trash",)
    assert TrashNames([SPECIAL_USE]).names == ()


def test_no_names_no_trash() -> None:
    """Nothing is emptied where nothing is named."""
    assert not TrashNames(())("Trash")
