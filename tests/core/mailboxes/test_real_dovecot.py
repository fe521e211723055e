"""Use and changes beside a real Dovecot: both ways of each leave figures that Dovecot has too, to the byte."""

from __future__ import annotations

import imaplib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailquota.core.mailboxes.compare import compare
from mailquota.core.mailboxes.contents import messages_in
from mailquota.core.mailboxes.folders import sum_folders
from mailquota.core.mailboxes.maildirsize import parse
from mailquota.core.mailboxes.mailstore import Mailstore
from mailquota.core.mailboxes.measure import Measurement, measure
from mailquota.core.mailboxes.recount import rewrite
from mailquota.core.mailboxes.trash import Removal, find_by_doveadm, find_files, remove_by_doveadm, remove_files
from mailquota.core.servers.dovecot.doveadm import Doveadm
from mailquota.core.servers.dovecot.folder_names import TrashNames
from tests.mailserver import MailServer
from tests.mailserver.dovecot import VMAIL_UID
from tests.mailserver.process import wait_until

pytestmark = pytest.mark.server

USER = "edge@usage.example"
LIMIT = 500_000


class Mailbox:
    """The mailbox of ``USER`` on the private server."""

    def __init__(self, server: MailServer) -> None:
        self.server = server
        self.store = Mailstore(server.mailstore, TrashNames(("Trash",)))
        self.maildir = self.store.maildir(USER)
        self.path = Path(self.maildir)
        self.file = self.path / "maildirsize"
        self.doveadm = Doveadm(server.doveadm)

    def measure(self) -> Measurement:
        """As the ledger would have it."""
        return measure(self.store, self.maildir, LIMIT, None, time.time())

    def write(self, text: str) -> None:
        """A maildirsize file that Dovecot can read."""
        self.file.write_text(text)
        os.chown(self.file, VMAIL_UID, VMAIL_UID)

    def put(self, place: str, name: str, size: int) -> None:
        """A file that Dovecot did not write."""
        directory = self.path / place
        for folder in (directory.parent, directory):
            if not folder.exists():
                folder.mkdir()
                os.chown(folder, VMAIL_UID, VMAIL_UID)
        (directory / name).write_bytes(b"x" * size)
        os.chown(directory / name, VMAIL_UID, VMAIL_UID)

    def settle(self) -> None:
        """Make the directories older than the second in which a change can't be told by its time."""
        then = time.time() - 60
        for directory in self.path.rglob("*"):
            if directory.is_dir():
                os.utime(directory, (then, then))

    def assert_agreed(self) -> None:
        """The file is what the folders hold; Dovecot says the same (in KiB rounded up) and leaves the file as it is."""
        folders = sum_folders(self.maildir)
        true = sum(folder.bytes for folder in folders), sum(folder.messages for folder in folders)
        known = self.measure()
        assert (known.used, known.messages) == true
        before = self.file.read_bytes() if self.file.exists() else None
        assert self.server.doveadm_quota(USER) == (-(-true[0] // 1024), true[1])
        after = self.file.read_bytes()
        assert before in {None, after}
        size = parse(after)
        assert size is not None
        assert (size.limit, size.used, size.messages) == (LIMIT, *true)


@pytest.fixture
def mailbox(mailserver: MailServer) -> Iterator[Mailbox]:
    """Three messages in INBOX, three that an IMAP client copied to Trash, one below it."""
    mailserver.add_user(USER, quota=LIMIT)
    for size in (3000, 2000, 1000):
        assert mailserver.deliver_lmtp(USER, size)[0] == 250
    with mailserver.imap(USER) as client:
        client.create("Trash")
        client.create("Trash.Old")
        client.select()
        client.copy("1:3", "Trash")
        client.copy("1", "Trash.Old")
    yield Mailbox(mailserver)
    mailserver.clear()


def messages(client: imaplib.IMAP4, mailbox: str) -> int:
    """How many messages IMAP sees."""
    return int((client.select(mailbox)[1][0] or b"0").decode())


def test_dovecot_writes_what_we_read(mailbox: Mailbox) -> None:
    """Deliveries and copies, each with its line."""
    assert mailbox.measure().source == "maildirsize"
    assert mailbox.measure().messages == 7
    mailbox.assert_agreed()


def test_recount_of_an_odd_mailbox(mailbox: Mailbox) -> None:
    """Names that lie, files that are no mail, links, directories that are no folders: we count what Dovecot counts."""
    mailbox.put("cur", "1,S=100:2,", 2000)
    mailbox.put("cur", "2,S=12x,S=5:2,", 13)
    mailbox.put("cur", "3,S=12\n", 7)
    mailbox.put("cur", ".hidden", 333)
    mailbox.put("cur", "..hidden", 19)
    mailbox.put("tmp", "4", 5000)
    mailbox.put("visible/cur", "5", 40)
    mailbox.put(".INBOX/cur", "6", 80)
    mailbox.put(".Entw&APw-rfe/new", "7", 160)
    mailbox.put(".Trash.deep.down/cur", "8", 320)
    (mailbox.path / "cur/link").symlink_to("/etc/passwd")
    (mailbox.path / "cur/dangling").symlink_to("/nonexistent")
    (mailbox.path / ".file").write_text("not a folder")
    os.utime(mailbox.path, (1, 1))  # else Dovecot may keep a list of folders from within this second
    mailbox.doveadm.recalc(USER)
    size = parse(mailbox.file.read_bytes())
    folders = sum_folders(mailbox.maildir)
    assert size is not None
    assert (size.used, size.messages) == (sum(f.bytes for f in folders), sum(f.messages for f in folders))
    assert size.messages == 14


def test_recalc_by_doveadm(mailbox: Mailbox) -> None:
    """It repairs a file that claims too little at once."""
    mailbox.write(f"{LIMIT}S\n10 1\n")
    mailbox.doveadm.recalc(USER)
    mailbox.assert_agreed()


def test_recalc_by_ourselves(mailbox: Mailbox) -> None:
    """So do we; Dovecot believes our file, and its next delivery adds to it."""
    mailbox.write(f"{LIMIT}S\n10 1\n")
    mailbox.settle()
    assert rewrite(mailbox.store, mailbox.maildir, LIMIT) == "rewrite"
    assert mailbox.file.stat().st_uid == VMAIL_UID
    mailbox.assert_agreed()
    mailbox.server.deliver_lmtp(USER, 1500)
    assert mailbox.file.read_text().count("\n") == 3
    mailbox.assert_agreed()


def test_recalc_by_ourselves_while_mail_comes(mailbox: Mailbox) -> None:
    """A mailbox that was used within the second is left to Dovecot."""
    mailbox.write(f"{LIMIT}S\n10 1\n")
    mailbox.server.deliver_lmtp(USER, 1500)
    assert rewrite(mailbox.store, mailbox.maildir, LIMIT) == "unlink"
    mailbox.assert_agreed()


def empty(mailbox: Mailbox, method: str) -> Removal:
    """Empty Trash."""
    if method == "doveadm":
        return remove_by_doveadm(mailbox.doveadm, USER, find_by_doveadm(mailbox.doveadm, mailbox.store, USER, None))
    return remove_files(mailbox.maildir, find_files(mailbox.store, mailbox.maildir, None))


@pytest.mark.parametrize("method", ["doveadm", "unlink"])
def test_empty_trash(mailbox: Mailbox, method: str) -> None:
    """All of Trash goes, also for a client that has it open; the figures are right before and after a delivery."""
    with mailbox.server.imap(USER) as client:
        assert messages(client, "Trash") == 3
        removed = empty(mailbox, method)
        assert removed.error is None
        assert sorted({message.folder for message in removed.messages}) == ["Trash", "Trash.Old"]
        assert len(removed.messages) == 4
        assert wait_until(lambda: client.noop() is not None and not client.search(None, "ALL")[1][0], 10)
        assert messages(client, "Trash.Old") == 0
        assert messages(client, "INBOX") == 3
    assert mailbox.file.read_text().endswith(" -4\n" if method == "unlink" else " -1\n")
    mailbox.assert_agreed()
    mailbox.server.deliver_lmtp(USER, 1500)
    mailbox.assert_agreed()


def test_both_ways_find_the_same(mailbox: Mailbox) -> None:
    """Sizes and arrival times in Trash agree, to the second that doveadm prints; so does an age."""
    listed = find_by_doveadm(mailbox.doveadm, mailbox.store, USER, None)
    files = find_files(mailbox.store, mailbox.maildir, None)
    assert sorted((m.folder, m.size) for m in listed) == sorted((m.folder, m.size) for m in files)
    assert max(m.arrived for m in listed) == int(max(m.arrived for m in files))
    for before, count in ((time.time() + 60, 4), (time.time() - 3600, 0)):
        assert len(find_by_doveadm(mailbox.doveadm, mailbox.store, USER, before)) == count
        assert len(find_files(mailbox.store, mailbox.maildir, before)) == count


@pytest.mark.parametrize("virtual", [False, True])
def test_both_ways_tell_what_is_in_a_folder(mailbox: Mailbox, virtual: bool) -> None:
    """The same sizes and dates, also of a message whose date the client chose."""
    with mailbox.server.imap(USER) as client:
        client.append("Trash", "", imaplib.Time2Internaldate(1_500_000_000), b"From: a@example.org\r\n\r\nHello\r\n")
    by_files = sorted((size, int(at)) for size, at in messages_in(mailbox.maildir, "Trash", "W" if virtual else "S"))
    by_dovecot = sorted(mailbox.doveadm.received(USER, "Trash", virtual=virtual))
    assert by_files == by_dovecot
    assert len(by_files) == 4
    assert 1_500_000_000 in {at for _size, at in by_files}
    assert list(mailbox.doveadm.received(USER, "Nowhere", virtual=virtual)) == []


def test_a_folder_named_like_a_pattern(mailbox: Mailbox) -> None:
    """doveadm would take ``Trash.O%`` for all that begin so; it is left alone, and nothing goes twice."""
    with mailbox.server.imap(USER) as client:
        client.create('"Trash.O%"')
        client.select()
        client.copy("2:3", '"Trash.O%"')
        removed = empty(mailbox, "doveadm")
        assert len(removed.messages) == 4
        assert messages(client, '"Trash.O%"') == 2
    mailbox.assert_agreed()


def test_a_name_without_a_mailbox(mailbox: Mailbox) -> None:
    """Dovecot lists Trash.x for the sake of Trash.x.y; that is no error."""
    mailbox.server.run_doveadm("mailbox", "create", "-u", USER, "Trash.x.y")
    assert "Trash.x" in mailbox.doveadm.mailboxes(USER)
    assert len(empty(mailbox, "doveadm").messages) == 4


def test_unlimited(mailserver: MailServer) -> None:
    """Dovecot keeps a file that says 0S, and replaces one that was left from a time with a limit."""
    user = "free@usage.example"
    mailserver.add_user(user, quota=0)
    mailserver.deliver_lmtp(user, 1000)
    file = mailserver.maildir(user) / "maildirsize"
    store = Mailstore(mailserver.mailstore, TrashNames(()))
    assert re.fullmatch(r"0S\n\d+ 1\n", file.read_text())
    assert measure(store, store.maildir(user), None, None, time.time()).source == "maildirsize"
    file.write_text("5000S\n1 1\n")
    counted = measure(store, store.maildir(user), None, None, time.time())
    assert (counted.source, counted.messages) == ("scan", 1)
    os.chown(file, VMAIL_UID, VMAIL_UID)
    mailserver.deliver_lmtp(user, 1000)
    assert re.fullmatch(r"0S\n\d+ 2\n", file.read_text())
    mailserver.clear()


def test_drift(mailbox: Mailbox) -> None:
    """What IMAP MOVE, a hand in the folder or a restore leave behind: Dovecot believes it, a comparison does not."""
    mailbox.settle()
    found = compare(mailbox.store, mailbox.maildir)
    assert found is not None
    assert found.drift == 0
    mailbox.put("cur", "1,S=900:2,", 900)
    mailbox.settle()
    found = compare(mailbox.store, mailbox.maildir)
    assert found is not None
    assert found.drift == 900
    assert mailbox.measure().used == found.recorded
    mailbox.doveadm.recalc(USER)
    found = compare(mailbox.store, mailbox.maildir)
    assert found is not None
    assert found.drift == 0
