"""Maildirs are written as Dovecot would."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailquota.core.demo import maildir as md
from mailquota.core.mailboxes.maildirsize import MAX_BYTES
from mailquota.core.mailboxes.measure import recorded

LIMIT = 1_000_000
WHEN = 1_700_000_000.0


@pytest.fixture
def maildir(tmp_path: Path) -> str:
    """An empty mailbox with a record."""
    path = str(tmp_path / "john")
    md.make_folders(path)
    md.write_maildirsize(path, LIMIT, 0, 0)
    return path


def _deliver(maildir: str, serial: int, size: int, limit: int | None = LIMIT, *, create: bool = True) -> None:
    md.deliver(maildir, md.message_name(WHEN + serial, serial, size), size)
    md.record(maildir, size, limit, create=create)


def test_a_delivery_is_a_file_and_a_line(maildir: str) -> None:
    """The message lies in new, as long as its name says; maildirsize has one line more."""
    _deliver(maildir, 1, 5000)
    [name] = os.listdir(f"{maildir}/new")
    assert name == f"1700000001.M000001P{os.getpid()}.mail,S=5000,W=5078"
    assert Path(maildir, "new", name).stat().st_size == 5000
    assert os.listdir(f"{maildir}/tmp") == []
    assert Path(maildir, "maildirsize").read_text() == "1000000S\n0 0\n5000 1\n"


def test_a_delivery_makes_what_is_missing(tmp_path: Path) -> None:
    """The first mail of a mailbox makes its folders, and its record where there is to be one."""
    path = str(tmp_path / "anna")
    _deliver(path, 1, 700)
    assert sorted(os.listdir(path)) == ["cur", "maildirsize", "new", "tmp"]
    assert recorded(path) == (700, 1)


def test_the_record_stays_short(maildir: str) -> None:
    """Dovecot does not read 5120 bytes; the file is written anew in time, and is right at every moment."""
    longest = 0
    for serial in range(800):
        _deliver(maildir, serial, 900)
        longest = max(longest, os.stat(f"{maildir}/maildirsize").st_size)
        assert recorded(maildir) == (900 * (serial + 1), serial + 1)
    assert 4000 < longest < MAX_BYTES
    assert md.totals(maildir) == (720_000, 800)
    assert sorted(os.listdir(maildir)) == ["cur", "maildirsize", "new", "tmp"]


def test_another_limit_makes_a_new_record(maildir: str) -> None:
    """Also from and to unlimited, which is written 0S."""
    for serial, (limit, header) in enumerate([(5000, "5000S"), (None, "0S"), (LIMIT, "1000000S")]):
        _deliver(maildir, serial, 1000, limit)
        used = 1000 * (serial + 1)
        assert Path(maildir, "maildirsize").read_text() == f"{header}\n{used} {serial + 1}\n"


def test_over_the_limit_the_record_is_one_line(maildir: str) -> None:
    """Dovecot believes a claim over the limit only so."""
    _deliver(maildir, 1, LIMIT - 1)
    _deliver(maildir, 2, 500)
    assert Path(maildir, "maildirsize").read_text() == f"{LIMIT}S\n{LIMIT + 499} 2\n"


def test_a_mailbox_without_record_gets_none(maildir: str) -> None:
    """One that was made meanwhile is kept up to date."""
    os.unlink(f"{maildir}/maildirsize")
    _deliver(maildir, 1, 500, create=False)
    assert not os.path.exists(f"{maildir}/maildirsize")
    md.rebuild(maildir, LIMIT)
    _deliver(maildir, 2, 500, create=False)
    assert Path(maildir, "maildirsize").read_text() == "1000000S\n500 1\n500 1\n"


def test_a_directory_in_place_of_the_record_stays(maildir: str) -> None:
    """Mail is delivered and deleted all the same."""
    os.unlink(f"{maildir}/maildirsize")
    os.mkdir(f"{maildir}/maildirsize")
    _deliver(maildir, 1, 500)
    assert md.totals(maildir) == (500, 1)
    assert md.expunge(maildir, md.list_folder(maildir)) == 500
    assert os.path.isdir(f"{maildir}/maildirsize")


def test_only_what_went_is_subtracted(maildir: str) -> None:
    """A message that another process removed meanwhile is not subtracted."""
    for serial in range(3):
        _deliver(maildir, serial, 1000 + serial)
    found = md.list_folder(maildir)
    assert [message.size for message in found] == [1002, 1001, 1000]
    os.unlink(f"{found[0].directory}/{found[0].name}")
    assert md.expunge(maildir, found) == 2001
    assert Path(maildir, "maildirsize").read_text().endswith("\n-2001 -2\n")


def test_nothing_removed_is_not_recorded(maildir: str) -> None:
    """No line of 0 0."""
    assert md.expunge(maildir, []) == 0
    assert Path(maildir, "maildirsize").read_text() == "1000000S\n0 0\n"


def test_reading_and_throwing_away_keep_the_use(maildir: str) -> None:
    """New mail becomes seen, then goes to Trash, which is made; the record needs no line."""
    for serial in range(3):
        _deliver(maildir, serial, 1000)
    md.read_new(maildir)
    assert os.listdir(f"{maildir}/new") == []
    assert all(name.endswith(":2,S") for name in os.listdir(f"{maildir}/cur"))
    md.throw_away(maildir, md.list_folder(maildir)[:2], "Papierkorb")
    assert len(md.list_folder(maildir)) == 1
    assert len(md.list_folder(maildir, "Papierkorb")) == 2
    assert all(name.count(":2,") == 1 for name in os.listdir(f"{maildir}/.Papierkorb/cur"))
    assert recorded(maildir) == md.totals(maildir) == (3000, 3)


def test_a_rebuild_beside_others_leaves_no_wrong_record(maildir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where mail came in between, there is rather none."""
    real = md.write_maildirsize

    def write_while_mail_comes(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        md.deliver(maildir, md.message_name(WHEN, 9, 77), 77)

    monkeypatch.setattr(md, "write_maildirsize", write_while_mail_comes)
    md.rebuild(maildir, LIMIT)
    assert not os.path.exists(f"{maildir}/maildirsize")
