"""The tutorial's scenario on the real servers: fill a mailbox by SMTP, be refused, make room, be accepted."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mailserver.fixture import temporary_folder
from tests.mailserver.server import MailServer
from tests.real.beside import COMMAND, Mailquota, Tmux, wait_until, write_settings

pytestmark = pytest.mark.server

REFUSAL = "4.2.2 <{0}>: Recipient address rejected: Mailbox is full and cannot receive any more emails"
MAIL = 900  # bytes; with the headers of Postfix and LMTP 1,300, so that the fourth ends between limit and grace


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for sockets, and open to the servers."""
    with temporary_folder() as path:
        yield path


def fill(server: MailServer, address: str) -> tuple[int, str]:
    """Send until refused; the refusal."""
    for _ in range(60):
        code, text = server.send_mail(address, size=MAIL, announce_size=True)
        if code != 250:
            return code, text
        server.wait_queue_empty()
    raise AssertionError(f"{address} was never full")


def maildirsize_bytes(server: MailServer, address: str) -> int:
    """The sum of Dovecot's own file."""
    lines = (server.maildir(address) / "maildirsize").read_text().splitlines()[1:]
    return sum(int(line.split()[0]) for line in lines)


def assert_dovecot_agrees(server: MailServer, address: str) -> None:
    """`doveadm quota get` says what the file does, and Dovecot's own count leaves every byte of that as it is.

    doveadm has KiB, rounded up; the bytes are those that its recount writes into the file.
    """
    recorded = maildirsize_bytes(server, address)
    said = server.doveadm_quota(address)
    assert said == (-(-recorded // 1024), len(_sizes(server.maildir(address))))
    server.run_doveadm("quota", "recalc", "-u", address)
    assert maildirsize_bytes(server, address) == recorded == sum(_sizes(server.maildir(address)))
    assert server.doveadm_quota(address) == said


def test_full_mailbox_is_refused_until_its_limit_is_raised(mailserver: MailServer, folder: Path) -> None:
    """Quota 5000 by SQL, mails until 452, `mailquota set`, and the next mail is accepted."""
    address = "john@example.org"
    with Mailquota(write_settings(mailserver, folder), mailserver) as mailquota:
        mailserver.add_user(address, 10_000_000)
        mailserver.set_quota(address, 5000)
        wait_until(
            lambda: mailquota.json("list", address)[:1] and mailquota.json("show", address), "the account is read"
        )
        assert fill(mailserver, address) == (452, REFUSAL.format(address))
        assert mailquota.json("status")["refused"] >= 1
        assert mailquota.json("explain", address)["verdict"] == "over_quota"
        (changed,) = mailquota.json("set", address, "20000")
        assert (changed["old_bytes"], changed["new_bytes"], changed["error"]) == (5000, 20000, None)
        assert mailserver.send_mail(address, size=MAIL, announce_size=True)[0] == 250
        mailserver.wait_queue_empty()
        assert mailquota.json("show", address)["used_bytes"] == maildirsize_bytes(mailserver, address)


@pytest.mark.parametrize("doveadm", [None, "off"], ids=["doveadm", "by ourselves"])
def test_emptying_trash_makes_room(mailserver: MailServer, folder: Path, doveadm: str | None) -> None:
    """What Trash held is free at once; Dovecot agrees to the byte, and a mail is accepted."""
    address = f"trash-{'dove' if doveadm is None else 'own'}@example.org"
    mailserver.add_user(address, 5000)
    with Mailquota(write_settings(mailserver, folder, doveadm=doveadm), mailserver) as mailquota:
        fill(mailserver, address)
        mailserver.move_to_trash(address, "1:2")
        before = maildirsize_bytes(mailserver, address)
        preview = mailquota.json("empty-trash", address, "--dry-run")[0]
        (emptied,) = mailquota.json("empty-trash", address, "--yes")
        assert (emptied["messages"], emptied["bytes"], emptied["error"]) == (2, preview["bytes"], None)
        assert maildirsize_bytes(mailserver, address) == before - emptied["bytes"]
        assert mailquota.json("show", address)["trash_bytes"] == 0
        assert_dovecot_agrees(mailserver, address)
        assert mailserver.send_mail(address, size=MAIL, announce_size=True)[0] == 250
        mailserver.wait_queue_empty()


@pytest.mark.parametrize("doveadm", [None, "off"], ids=["doveadm", "by ourselves"])
def test_recalc_mends_a_wrong_figure(mailserver: MailServer, folder: Path, doveadm: str | None) -> None:
    """A file that claims too much is put right, and the figures before and after are told."""
    address = f"recalc-{'dove' if doveadm is None else 'own'}@example.org"
    mailserver.add_user(address, 100_000)
    with Mailquota(write_settings(mailserver, folder, doveadm=doveadm), mailserver) as mailquota:
        assert mailserver.send_mail(address, size=MAIL)[0] == 250
        mailserver.wait_queue_empty()
        right = maildirsize_bytes(mailserver, address)
        with (mailserver.maildir(address) / "maildirsize").open("a") as file:
            file.write("5000 3\n")
        (result,) = mailquota.json("recalc", address)
        assert (result["before_bytes"], result["after_bytes"], result["after_messages"]) == (right + 5000, right, 1)
        assert mailserver.doveadm_quota(address)[1] == 1
        assert maildirsize_bytes(mailserver, address) == right


def limit_of(server: MailServer, address: str) -> object:
    """As the database has it."""
    return server.mariadb.sql("SELECT quota FROM virtual_users WHERE email = %s", address)[0]["quota"]


def test_by_keys_in_a_real_terminal(mailserver: MailServer, folder: Path) -> None:
    """One process in a terminal enforces; its keys raise the limit and empty Trash, and Postfix follows at once."""
    address = "keys@example.org"
    mailserver.clear()  # what other tests left would push it off the screen
    mailserver.add_user(address, 5000)
    settings = write_settings(mailserver, folder)
    terminal = Tmux(shlex.join([*COMMAND, "--config", str(settings)]), 100, 30, folder.name)
    try:
        terminal.wait_for(address)
        assert fill(mailserver, address)[0] == 452
        terminal.keys("/")
        terminal.wait_for("/")
        terminal.keys("keys@", "Enter")
        terminal.keys("e")
        terminal.wait_for("Edit limit")
        terminal.keys("20000", "Enter")
        wait_until(lambda: limit_of(mailserver, address) == 20000, "the limit")
        assert mailserver.send_mail(address, size=MAIL, announce_size=True)[0] == 250
        mailserver.wait_queue_empty()
        assert fill(mailserver, address)[0] == 452
        mailserver.move_to_trash(address, "1:2")
        left = maildirsize_bytes(mailserver, address) - sum(_sizes(mailserver.maildir(address) / ".Trash"))
        terminal.keys("t")
        terminal.wait_for("Empty Trash")
        terminal.wait_for("Messages    2,")
        terminal.keys("BTab", "Enter")
        terminal.wait_for(f"{address}: 2 messages (")
        assert maildirsize_bytes(mailserver, address) == left
        assert_dovecot_agrees(mailserver, address)
        assert mailserver.send_mail(address, size=MAIL, announce_size=True)[0] == 250
        mailserver.wait_queue_empty()
        assert_dovecot_agrees(mailserver, address)
        terminal.keys("q")
        terminal.wait_for("Keep enforcing in the background")
    finally:
        terminal.close()


def _sizes(maildir: Path) -> list[int]:
    return [
        path.stat().st_size
        for part in ("cur", "new")
        for path in [*maildir.glob(f"{part}/*"), *maildir.glob(f".*/{part}/*")]
    ]
