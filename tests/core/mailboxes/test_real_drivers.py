"""The drivers beside a real Dovecot with the quota driver ``count``: the same figures, to the byte."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailquota.core.base.errors import MailquotaError, NoSuchAccountError
from mailquota.core.mailboxes import asking
from mailquota.core.mailboxes.count_driver import CountDriver
from mailquota.core.mailboxes.dovecot_driver import DoveadmDriver
from mailquota.core.mailboxes.driver import MaildirDriver
from mailquota.core.mailboxes.from_settings import driver_name, make_driver, make_mailstore
from mailquota.core.mailboxes.mailstore import Mailstore
from mailquota.core.mailboxes.trash import find_by_doveadm, remove_by_doveadm
from mailquota.core.servers.dovecot.doveadm import Doveadm
from mailquota.core.servers.dovecot.doveadm_http import HttpDoveadm
from mailquota.core.servers.dovecot.folder_names import IgnoredFolders, TrashNames
from mailquota.core.servers.dovecot.quota import quota_facts
from mailquota.core.settings.config import load
from tests.mailserver import MailServer
from tests.mailserver.dovecot import VMAIL_UID
from tests.mailserver.fixture import require_mailserver, temporary_folder
from tests.mailserver.ports import free_port
from tests.mailserver.process import find_program

pytestmark = pytest.mark.server

USER = "edge@count.example"
LIMIT = 500_000
SECRET = "ChangeMe"


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    """A mail server whose Dovecot counts."""
    require_mailserver()
    with temporary_folder() as folder, MailServer(folder, driver="count") as started:
        yield started


@pytest.fixture
def maildir(server: MailServer) -> Iterator[Path]:
    """Three messages in INBOX, three that an IMAP client copied to Trash."""
    server.add_user(USER, quota=LIMIT)
    for size in (3000, 2000, 1000):
        assert server.deliver_lmtp(USER, size)[0] == 250
    with server.imap(USER) as client:
        client.create("Trash")
        client.select()
        client.copy("1:3", "Trash")
    yield server.maildir(USER)
    server.clear()


def store(server: MailServer) -> Mailstore:
    return Mailstore(server.mailstore, TrashNames(("Trash",)))


def put(maildir: Path, place: str, content: bytes) -> None:
    """A file that Dovecot did not write."""
    path = maildir / place
    for folder in (path.parent.parent, path.parent):
        if not folder.exists():
            folder.mkdir()
            os.chown(folder, VMAIL_UID, VMAIL_UID)
    path.write_bytes(content)
    os.chown(path, VMAIL_UID, VMAIL_UID)


def true_figures(server: MailServer) -> tuple[int, int]:
    """Bytes and messages by Dovecot, from all its mailboxes."""
    table = server.run_doveadm("-f", "tab", "mailbox", "status", "-u", USER, "messages vsize", "*")
    rows = [line.split("\t") for line in table.splitlines()[1:]]
    return sum(int(row[2]) for row in rows), sum(int(row[1]) for row in rows)


def test_count_is_exact(server: MailServer, maildir: Path) -> None:
    """Also of files without sizes in their names, of names that lie, and of what is no message."""
    driver = CountDriver(store(server))
    put(maildir, "cur/1:2,", b"Subject: x\n\none\ntwo\r\nthree")
    put(maildir, "new/2", b"Subject: x\r\n\r\none\r\n")
    put(maildir, "cur/3,S=7,W=1000:2,S", b"Subject: x\n\none\n")
    put(maildir, "cur/4,S=16:2,S", b"Subject: x\n\none\n")
    put(maildir, "cur/.hidden", b"x" * 333)
    put(maildir, "tmp/5", b"x" * 500)
    put(maildir, "visible/cur/6", b"x" * 500)
    put(maildir, ".Entw&APw-rfe/new/7", b"Subject: y\n\n\n")
    put(maildir, "maildirsize", f"{LIMIT}S\n17 1\n".encode())
    os.utime(maildir, (1, 1))  # else Dovecot may keep a list of folders from within this second
    known = driver.measure(USER, LIMIT, None, 0.0)
    assert (known.used, known.messages) == true_figures(server)
    assert server.doveadm_quota(USER) == (-(-known.used // 1024), known.messages)


def test_count_follows_deliveries(server: MailServer, maildir: Path) -> None:
    driver = CountDriver(store(server))
    known = driver.measure(USER, LIMIT, None, 0.0)
    server.deliver_lmtp(USER, 1500)
    fresh = driver.count(USER, LIMIT, known, 0.0)
    assert (fresh.used, fresh.messages) == true_figures(server)
    assert fresh.messages == known.messages + 1


def test_physical_sizes_would_be_too_small(server: MailServer, maildir: Path) -> None:
    """Why the driver matters: on disk each line is a byte shorter."""
    physical = MaildirDriver(store(server)).measure(USER, LIMIT, None, 0.0)
    assert physical.used < true_figures(server)[0]


def test_doveadm_is_exact(server: MailServer, maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One account, everybody at once, and the folders."""
    monkeypatch.setattr(asking, "WAIT", 20.0)
    driver = DoveadmDriver(store(server), Doveadm(server.doveadm))
    now = time.time()
    known = driver.measure(USER, LIMIT, None, now)
    assert (known.used, known.messages, known.source) == (*true_figures(server), "doveadm")
    assert {folder.name for folder in known.folders or ()} == {"INBOX", "Trash"}
    surveyed = DoveadmDriver(store(server), Doveadm(server.doveadm)).survey(USER, LIMIT, None, now)
    assert (surveyed.used, surveyed.messages) == (-(-known.used // 1024) * 1024, known.messages)
    decided = DoveadmDriver(store(server), Doveadm(server.doveadm)).count(USER, known.used, None, now)
    assert decided.used == known.used


def test_doveadm_over_http(server: MailServer, maildir: Path) -> None:
    """The same figures, and the same messages in Trash, as by the command."""
    with http_api(server) as url:
        by_http, by_command = HttpDoveadm(url, SECRET), Doveadm(server.doveadm)
        assert by_http.quota(USER) == by_command.quota(USER)
        assert dict(by_http.quota_all()) == dict(by_command.quota_all())
        assert by_http.sizes(USER) == by_command.sizes(USER)
        assert by_http.mailboxes(USER) == by_command.mailboxes(USER)
        assert by_http.trash(USER, "Trash", None) == by_command.trash(USER, "Trash", None)
        assert by_http.trash(USER, "Nosuch", None) == []
        by_http.recalc(USER)
        removed = remove_by_doveadm(by_http, USER, find_by_doveadm(by_http, store(server), USER, None))
        assert len(removed.messages) == 3
        assert {size.name: size.messages for size in by_command.sizes(USER)} == {"INBOX": 3, "Trash": 0}
        with pytest.raises(NoSuchAccountError):
            by_http.quota("nobody@count.example")


@contextmanager
def http_api(server: MailServer) -> Iterator[str]:
    """Dovecot with its HTTP API for the length of the block; its address."""
    port = free_port()
    listener = f"service doveadm {{\n  inet_listener http {{\n    port = {port}\n  }}\n}}\n"
    with server.dovecot.changed(lambda text: f"{text}\ndoveadm_password = {SECRET}\n{listener}"):
        yield f"http://127.0.0.1:{port}"


def test_auto_finds_out(server: MailServer, tmp_path: Path) -> None:
    """From this server's own settings: what it is, and that the maildirsize beside it is none of Dovecot's."""
    file = tmp_path / "mailquota.toml"
    doveadm = shlex.join(server.doveadm)
    file.write_text(f'[mailstore]\npath = "{server.mailstore}"\ndoveadm = "{doveadm}"\n')
    config = load(file, {})
    assert driver_name(config) == "count"
    assert isinstance(make_driver(config, make_mailstore(config)), CountDriver)


def test_ignored_folders(server: MailServer, maildir: Path) -> None:
    """Dovecot leaves them out of its figure, and so do we."""
    config = server.dovecot.config
    before = config.read_text()
    after = before.replace("quota_vsizes = yes", "quota_vsizes = yes\n  quota_rule2 = Tr*:ignore")  # 2.3
    after = (
        after.replace("special_use = \\Trash", "special_use = \\Trash\n    quota_ignore = yes")
        if after == before
        else after
    )
    config.write_text(after)
    try:
        text = subprocess.run(
            [find_program("doveconf") or "doveconf", "-c", str(config), "-n"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        ignoring = Mailstore(server.mailstore, TrashNames(("Trash",)), IgnoredFolders(quota_facts(text).rules))
        known = CountDriver(ignoring).measure(USER, LIMIT, None, 0.0)
        assert known.messages == 3
        assert server.doveadm_quota(USER) == (-(-known.used // 1024), known.messages)
    finally:
        config.write_text(before)


# ---- errors that doveadm writes while it ends with 0


def put_wrong_name(maildir: Path) -> None:
    """A message whose name says a size that it has not, as another program may have left it."""
    put(maildir, "cur/1700000000.M1P1.host,S=1000:2,S", b"Subject: x\n\n" + b"x" * 5000 + b"\n")


def test_a_recount_that_dovecot_could_not_do(server: MailServer, maildir: Path) -> None:
    """doveadm ends with 0, and says in words that it failed; over HTTP it says so only in its log."""
    put_wrong_name(maildir)
    with pytest.raises(MailquotaError, match=r"^doveadm: Recalculating quota failed: .* smaller than expected"):
        Doveadm(server.doveadm).recalc(USER)
    with http_api(server) as url, pytest.raises(MailquotaError, match="could not recount"):
        HttpDoveadm(url, SECRET).recalc(USER)
