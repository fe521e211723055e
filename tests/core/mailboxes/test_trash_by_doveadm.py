"""Emptying Trash by doveadm: exactly the messages that were found, folder by folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailquota.core.base.errors import MailquotaError, UnreachableError
from mailquota.core.mailboxes.trash import FoundMessage, Removal, find_by_doveadm, remove_by_doveadm
from mailquota.core.servers.dovecot.doveadm import Doveadm
from tests.core.mailboxes.boxes import Box
from tests.core.servers.dovecot.fake_doveadm import FakeDoveadm

DATA = Path(__file__).parents[2] / "data"
JOHN = "john@example.org"
SAVED = 1795347351.0  # 2026-11-22 11:35:51 UTC, as recorded
FAILED = b"doveadm(john@example.org): Error: cmd quota recalc: Recalculating quota failed: it can't be read\n"
HEAD = b"uid\tsize.physical\tdate.saved\n"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDoveadm:
    return FakeDoveadm(tmp_path / "bin", monkeypatch)


@pytest.fixture
def doveadm(fake: FakeDoveadm) -> Doveadm:
    return Doveadm([str(fake.program)])


@pytest.fixture
def john(fake: FakeDoveadm) -> FakeDoveadm:
    """Two folders of Trash with two messages and one, a third that is named like a pattern, and others."""
    fake.answer("mailbox*", out="INBOX\nSent\nTrash\nTrash/Müll\nTrash/*\nTrash/a%b\nTrash/?\nTrashy\n".encode())
    fake.answer("*fetch*Trash/Müll*", out=HEAD + b"9\t50\t2026-01-02 03:04:05\n")
    fake.answer("*fetch*Trash*", out=(DATA / "dovecot-2.3/fetch-trash.john.tab.txt").read_bytes())
    return fake


def test_find_and_remove(john: FakeDoveadm, doveadm: Doveadm, box: Box) -> None:
    """Every Trash folder by its own name, never by a name that doveadm would take as a pattern for others."""
    found = find_by_doveadm(doveadm, box.store, JOHN, None)
    assert found == [
        FoundMessage("Trash", 1, 6171, SAVED),
        FoundMessage("Trash", 2, 5184, SAVED),
        FoundMessage("Trash/Müll", 9, 50, 1767323045.0),
    ]
    assert remove_by_doveadm(doveadm, JOHN, found) == Removal(found)
    assert john.calls[-2:] == [
        f"expunge|-u|{JOHN}|mailbox|Trash|uid|1:2|",
        f"expunge|-u|{JOHN}|mailbox|Trash/Müll|uid|9|",
    ]
    assert len(john.calls) == 5


def test_partly_removed(john: FakeDoveadm, doveadm: Doveadm, box: Box) -> None:
    """What went before an error is reported with it."""
    john.answer("expunge*Müll*", error=b"broken index\n", code=75)
    found = find_by_doveadm(doveadm, box.store, JOHN, None)
    removed = remove_by_doveadm(doveadm, JOHN, found)
    assert removed.messages == found[:2]
    assert isinstance(removed.error, UnreachableError)


def test_removed_all_the_same(john: FakeDoveadm, doveadm: Doveadm, box: Box) -> None:
    """After an error it is looked at what went, so that the figures are those of what was really removed."""
    found = find_by_doveadm(doveadm, box.store, JOHN, None)
    left = HEAD + b"2\t5184\t2026-11-22 11:35:51\n"
    john.program.write_text(
        f"#!/bin/sh\ncase \"$*\" in expunge*) cat <<'E' >&2\n{FAILED.decode()}E\n"
        f";; *) cat <<'E'\n{left.decode()}E\n;; esac\n"
    )
    removed = remove_by_doveadm(doveadm, JOHN, found[:2])
    assert removed.messages == found[:1]
    assert isinstance(removed.error, MailquotaError)


def test_nothing_removed(john: FakeDoveadm, doveadm: Doveadm, box: Box) -> None:
    """The error alone, so that it can be done in another way."""
    john.answer("expunge*", error=b"not now\n", code=75)
    found = find_by_doveadm(doveadm, box.store, JOHN, None)
    with pytest.raises(UnreachableError, match="not now"):
        remove_by_doveadm(doveadm, JOHN, found)
    assert remove_by_doveadm(doveadm, JOHN, []) == Removal([])
