"""Which folders are Trash: names as on disk and as Dovecot prints them."""

from __future__ import annotations

import pytest

from mailquota.core.servers.dovecot.folder_names import SPECIAL_USE, TrashNames

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
