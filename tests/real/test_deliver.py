"""Warnings get through a full mailbox of a real Dovecot 2.3, by each method, and are counted."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mailquota.core.alerts import from_settings
from mailquota.core.alerts.deliver import Deliverer
from mailquota.core.alerts.maildir import OwnMaildir
from mailquota.core.alerts.programs import sendmail
from mailquota.core.base.errors import DeliveryError
from mailquota.core.servers.dovecot.quota import QuotaFacts
from tests.mailserver.dovecot import VMAIL_UID
from tests.mailserver.fixture import require_mailserver, temporary_folder
from tests.mailserver.process import find_program
from tests.mailserver.server import MailServer
from tests.real.full_mailbox import FILLS, LIMIT, METHODS, Mailbox, deliverer, warning

pytestmark = pytest.mark.server

JOHN = "john@deliver.example"


@pytest.fixture(scope="module", params=["maildir", "count"])
def server(request: pytest.FixtureRequest) -> Iterator[MailServer]:
    """One for each of Dovecot's quota drivers."""
    require_mailserver()
    if request.param == "maildir":
        yield request.getfixturevalue("mailserver")
        return
    with temporary_folder() as folder, MailServer(folder, driver="count") as started:
        yield started


@pytest.fixture
def only(mailserver: MailServer) -> Iterator[MailServer]:
    """Where the quota driver makes no difference."""
    yield mailserver
    mailserver.clear()


def fill(server: MailServer, percent: int) -> None:
    """Lowering a limit is a way above it."""
    server.add_user(JOHN, 10 * LIMIT)
    for _ in range(4):
        assert server.deliver_lmtp(JOHN, percent * LIMIT // 400)[0] == 250
    server.set_quota(JOHN, LIMIT)


def mailbox(server: MailServer) -> Mailbox:
    return Mailbox(JOHN, server.maildir(JOHN), server.run_doveadm)


def by(server: MailServer, folder: Path, delivery: str, doveadm: list[str] | None = None) -> Deliverer:
    return deliverer(folder, server.mailstore, shlex.join(doveadm or server.doveadm), delivery)


@pytest.mark.parametrize("percent", FILLS)
@pytest.mark.parametrize("method", METHODS)
def test_it_gets_in_and_is_counted(server: MailServer, tmp_path: Path, method: str, percent: int) -> None:
    fill(server, percent)
    try:
        mailbox(server).takes(by(server, tmp_path, method), method, percent)
    finally:
        server.clear()


def test_our_own_looks_like_one_of_dovecots(only: MailServer, tmp_path: Path) -> None:
    """Owner, rights, and a name that stays the same when a client reads and flags it."""
    fill(only, 60)
    tried = by(only, tmp_path, "maildir")
    message, message_id = warning(JOHN)
    tried.deliver(JOHN, message)
    (path,) = only.maildir(JOHN).glob("new/*Q*")
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (VMAIL_UID, VMAIL_UID, 0o600)
    with only.imap(JOHN) as imap:
        assert imap.select("INBOX")[1] == [b"5"]
        imap.store("5", "+FLAGS", r"(\Seen \Flagged)")
    assert [found.name.partition(":")[0] for found in only.maildir(JOHN).glob("cur/*Q*")] == [path.name]
    assert OwnMaildir(lambda _: str(only.maildir(JOHN))).holds(JOHN, message_id) is True
    assert only.dovecot.log.read_text().count("Broken") == 0


def test_beside_dovecots_own_deliveries(only: MailServer, tmp_path: Path) -> None:
    """Into the same mailbox at the same time; none is lost, none counted twice or not at all."""
    fill(only, 60)
    only.run_doveadm("quota", "recalc", "-u", JOHN)  # for the new limit; beside deliveries Dovecot counts some twice
    tried = by(only, tmp_path, "maildir")

    def both(_: int) -> tuple[str, int]:
        return tried.deliver(JOHN, warning(JOHN)[0]), only.deliver_lmtp(JOHN, 700)[0]

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(both, range(20))) == {("maildir", 250)}
    said = mailbox(only).figures(), mailbox(only).counted()
    assert said[0][1].split("\t")[2] == "44"
    only.run_doveadm("quota", "recalc", "-u", JOHN)
    assert (mailbox(only).figures(), mailbox(only).counted()) == said


def test_auto_is_dovecot_lda(only: MailServer, tmp_path: Path) -> None:
    """It also makes the Maildir of an account that has none yet; our own delivery never does."""
    only.add_user(JOHN, LIMIT)
    message, message_id = warning(JOHN)
    with pytest.raises(DeliveryError, match="there is no Maildir yet"):
        by(only, tmp_path, "maildir").deliver(JOHN, message)
    assert not only.maildir(JOHN).exists()
    assert by(only, tmp_path, "auto").deliver(JOHN, message) == "dovecot-lda"
    assert mailbox(only).fetched(message_id).rstrip("\n") == message.decode().rstrip("\n")


@pytest.mark.dovecot("2.3")
def test_settings_of_another_version_lose_nothing(only: MailServer, tmp_path: Path) -> None:
    """As after an upgrade below us: Dovecot's programs refuse instead of taking it and throwing it away."""
    fill(only, 120)
    modern = QuotaFacts("maildir", version=(2, 4), roots=(("User quota", ""),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(from_settings, "_delivering_dovecot", lambda _: modern)
        tried = by(only, tmp_path, "auto")
    message, message_id = warning(JOHN)
    assert tried.deliver(JOHN, message) == "maildir"
    assert mailbox(only).fetched(message_id).rstrip("\n") == message.decode().rstrip("\n")


def test_as_the_owner_of_the_mailboxes(only: MailServer, tmp_path: Path) -> None:
    """Under Dovecot's script service we may be that user, who may not write to this log; so dovecot-lda gives up."""
    fill(only, 120)
    user = [find_program("setpriv") or "setpriv", f"--reuid={VMAIL_UID}", f"--regid={VMAIL_UID}", "--clear-groups"]
    message, message_id = warning(JOHN)
    tried = by(only, tmp_path, "auto", [*user, *only.doveadm])
    assert tried.deliver(JOHN, message) == "doveadm"
    assert mailbox(only).figures()[1].split("\t")[2] == "5"
    assert tried.was_delivered(JOHN, message_id) is True


def test_a_dovecot_that_is_down(only: MailServer, tmp_path: Path) -> None:
    """Nothing is stored, and later it is."""
    fill(only, 60)
    tried = by(only, tmp_path, "auto")
    message, message_id = warning(JOHN)
    with only.dovecot.stopped():
        with pytest.raises(DeliveryError) as caught:
            tried.deliver(JOHN, message)
        assert caught.value.temporary
        assert tried.was_delivered(JOHN, message_id) is None
    assert len(list(only.maildir(JOHN).glob("new/*"))) == 4
    assert tried.deliver(JOHN, message) == "dovecot-lda"


def test_an_unknown_user(only: MailServer, tmp_path: Path) -> None:
    with pytest.raises(DeliveryError) as caught:
        by(only, tmp_path, "auto").deliver("nobody@deliver.example", warning(JOHN)[0])
    words = (
        "dovecot-lda: no such user",
        "doveadm: User doesn't exist",
        "no Maildir yet",
    )
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("method", METHODS)
def test_a_mailbox_that_can_not_be_written(only: MailServer, tmp_path: Path, method: str) -> None:
    """Whoever tries; the reason is told, and nothing is left behind."""
    fill(only, 60)
    locked = [only.maildir(JOHN) / part for part in ("new", "tmp")]
    message, message_id = warning(JOHN)
    tried = by(only, tmp_path, method)
    if subprocess.run(["chattr", "+i", *locked], check=False, capture_output=True).returncode:
        pytest.skip("this file system knows no immutable folders")
    try:
        with pytest.raises(DeliveryError) as caught:
            tried.deliver(JOHN, message)
    finally:
        subprocess.run(["chattr", "-i", *locked], check=True)
    assert caught.value.temporary
    assert tried.was_delivered(JOHN, message_id) is False
    assert (len(os.listdir(locked[0])), os.listdir(locked[1])) == (4, [])


def test_sendmail(only: MailServer) -> None:
    """Through Postfix's queue to a mailbox with room, with the empty sender."""
    only.add_user(JOHN, LIMIT)
    message, message_id = warning(JOHN)
    program = find_program("sendmail")
    assert program is not None
    tried = Deliverer([], str, [], sendmail([program, "-C", str(only.postfix.config)]))
    tried.send(JOHN, message)
    only.wait_queue_empty()
    stored = mailbox(only).fetched(message_id).rstrip("\n")
    assert "Return-Path: <>\n" in stored
    assert stored.endswith(message.decode().rstrip("\n"))
