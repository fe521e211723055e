"""Warnings on the real servers: a mailbox driven over its marks by SMTP, and what its owner finds in it."""

from __future__ import annotations

import email
import email.message
import shlex
import sys
from collections.abc import Iterator
from email.policy import default
from pathlib import Path

import pytest

from mailquota.core.base.units import format_size
from tests.mailserver.fixture import temporary_folder
from tests.mailserver.series import dovecot_series
from tests.mailserver.server import MailServer
from tests.real.beside import ROOT, Mailquota, wait_until, write_settings

pytestmark = pytest.mark.server

LIMIT = 1_000_000
MAIL = 50_000
WARNINGS = 'thresholds = [80, 95]\nfrom = "postmaster@example.org"'
WARNINGS_OF_DOVECOT = {
    "2.3": """
plugin {
  quota_warning = storage=95%% quota-warning 95 %u
  quota_warning2 = storage=80%% quota-warning 80 %u
  quota_warning3 = -storage=100%% quota-warning below %u
}
""",
    "2.4": """
quota "User quota" {
  warning warn-95 {
    quota_storage_percentage = 95
    execute quota-warning {
      args = 95 %{user}
    }
  }
  warning warn-80 {
    quota_storage_percentage = 80
    execute quota-warning {
      args = 80 %{user}
    }
  }
  warning warn-under {
    threshold = under
    quota_storage_percentage = 100
    execute quota-warning {
      args = below %{user}
    }
  }
}
""",
}
METHODS = pytest.mark.parametrize("delivery", ["auto", "dovecot-lda", "doveadm", "maildir"])


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for sockets, and open to the servers."""
    with temporary_folder() as path:
        yield path


def inbox(server: MailServer, address: str) -> list[email.message.EmailMessage]:
    """The warnings in INBOX, oldest first, as the owner gets them by IMAP."""
    with server.imap(address) as imap:
        imap.select("INBOX", readonly=True)
        numbers = imap.search(None, "HEADER", "Auto-Submitted", "auto-generated")[1][0].split()
        answers = [imap.fetch(number, "(BODY.PEEK[])")[1][0] for number in numbers]
    return [email.message_from_bytes(answer[1], policy=default) for answer in answers if isinstance(answer, tuple)]


def subjects(server: MailServer, address: str) -> list[str]:
    return [str(message["Subject"]) for message in inbox(server, address)]


def fill_to(server: MailServer, address: str, percent: int) -> None:
    """Send mails until so much is there."""
    for _ in range(60):
        if server.doveadm_quota(address)[0] * 1024 >= LIMIT * percent // 100:
            return
        code, text = server.send_mail(address, size=MAIL)
        assert code == 250, text
        server.wait_queue_empty()
    raise AssertionError(f"{address} was never at {percent} %")


def wait_for_warnings(server: MailServer, address: str, count: int) -> list[str]:
    wait_until(lambda: len(inbox(server, address)) >= count, f"{count} warnings for {address}", 30.0)
    return subjects(server, address)


def assert_complete(message: email.message.EmailMessage, address: str) -> None:
    """Every header that a mail needs, once, and both forms of the text."""
    for header in ("From", "To", "Date", "Message-ID", "Subject", "Auto-Submitted", "MIME-Version"):
        assert len(message.get_all(header) or []) == 1, header
    assert (message["From"], message["To"]) == ("postmaster@example.org", address)
    assert message["Date"].datetime is not None
    assert {part.get_content_type() for part in message.iter_parts()} == {"text/plain", "text/html"}
    text = message.get_body(("plain",))
    assert text is not None
    assert format_size(LIMIT) in text.get_content()


def make_room(server: MailServer, mailquota: Mailquota, address: str) -> None:
    """Most of it to Trash, and Trash emptied."""
    server.move_to_trash(address, "1:15")
    (emptied,) = mailquota.json("empty-trash", address, "--yes")
    assert emptied["error"] is None


@METHODS
def test_a_mailbox_that_fills_up_gets_its_two_mails_though_it_is_full(
    mailserver: MailServer, folder: Path, delivery: str
) -> None:
    """Over all marks by SMTP; a restart and a recount repeat nothing; emptied Trash is told; the journal has it all."""
    address = f"fills-{delivery}@example.org"
    mailserver.add_user(address, LIMIT)
    settings = write_settings(mailserver, folder, warnings=f'{WARNINGS}\ndelivery = "{delivery}"')
    with Mailquota(settings, mailserver) as mailquota:
        fill_to(mailserver, address, 81)
        assert len(wait_for_warnings(mailserver, address, 1)) == 1
        fill_to(mailserver, address, 96)
        wait_for_warnings(mailserver, address, 2)
        fill_to(mailserver, address, 100)
        recorded = mailserver.doveadm_quota(address)
        mailserver.run_doveadm("quota", "recalc", "-u", address)
        assert mailserver.doveadm_quota(address) == recorded  # what we delivered was counted
        (recounted,) = mailquota.json("recalc", address)
        assert recounted["error"] is None
    with Mailquota(settings, mailserver) as mailquota:
        wait_until(lambda: mailquota.json("show", address)["level"] == "over", "measured again")
        messages = inbox(mailserver, address)
        assert len(messages) == 2
        for message in messages:
            assert_complete(message, address)
        make_room(mailserver, mailquota, address)
        assert len(wait_for_warnings(mailserver, address, 3)) == 3
        warnings = mailquota.json("show", address)["warnings"]
        assert [(row["mark"], row["state"]) for row in warnings] == [
            ("below", "sent"),
            ("95%", "sent"),
            ("80%", "sent"),
        ]
        kinds = [row["kind"] for row in mailquota.json("journal") if row["address"] == address]
        assert kinds == ["warning", "trash", "recalc", "warning", "warning"]
    headers = mailserver.run_doveadm(
        "fetch", "-u", address, "hdr", "mailbox", "INBOX", "HEADER", "Auto-Submitted", "auto"
    )
    assert headers.count("\nMessage-ID: <mailquota.") == 3


def test_a_lowered_limit_warns_and_undo_takes_it_back(mailserver: MailServer, folder: Path) -> None:
    """Dovecot says nothing in this case."""
    address = "lowered@example.org"
    mailserver.add_user(address, 10 * LIMIT)
    with Mailquota(write_settings(mailserver, folder, warnings=WARNINGS), mailserver) as mailquota:
        fill_to(mailserver, address, 50)
        assert inbox(mailserver, address) == []
        mailquota.run("set", address, str(LIMIT // 2), "--yes", "--reason", "as agreed")
        wait_for_warnings(mailserver, address, 1)
        (undone,) = mailquota.json("undo")
        assert (undone["address"], undone["new_bytes"], undone["error"]) == (address, 10 * LIMIT, None)
        assert mailquota.json("show", address)["limit_bytes"] == 10 * LIMIT
        wait_for_warnings(mailserver, address, 2)  # there is room again
        told = [row["mark"] for row in mailquota.json("show", address)["warnings"]]
        assert told == ["below", "95%"]


def quota_warning(settings: Path, folder: Path) -> str:
    """The lines of the docs, for this checkout."""
    script = folder / "warn"
    script.write_text(
        f"#!/bin/sh\ncd {shlex.quote(str(ROOT))} || exit 75\n"
        f'exec {sys.executable} -m mailquota --config {settings} warn "$@" >> {folder}/warn.log 2>&1\n'
    )
    script.chmod(0o755)
    return f"""
service quota-warning {{
  executable = script {script}
  unix_listener quota-warning {{
    mode = 0666
  }}
}}
{WARNINGS_OF_DOVECOT[dovecot_series() or "2.3"]}"""


@pytest.mark.parametrize("engine", [True, False])
def test_as_dovecots_own_service_nobody_gets_two_mails(mailserver: MailServer, folder: Path, engine: bool) -> None:
    """With an engine both sources are one; without one the mail is delivered all the same."""
    address = f"dropin-{'with' if engine else 'without'}@example.org"
    mailserver.add_user(address, LIMIT)
    settings = write_settings(mailserver, folder, warnings=WARNINGS)
    lines = quota_warning(settings, folder)

    def drive() -> None:
        for percent, count in ((81, 1), (96, 2)):
            while mailserver.doveadm_quota(address)[0] * 1024 < LIMIT * percent // 100:
                assert mailserver.deliver_lmtp(address, MAIL)[0] == 250
            wait_for_warnings(mailserver, address, count)

    with mailserver.dovecot.changed(lambda text: text + lines):
        if engine:
            with Mailquota(settings, mailserver) as mailquota:
                drive()
                wait_until(lambda: (folder / "warn.log").read_text().count("\n") >= 2, "Dovecot called twice")
                assert len(inbox(mailserver, address)) == 2
                assert {row["state"] for row in mailquota.json("show", address)["warnings"]} == {"sent"}
        else:
            drive()
        assert len(inbox(mailserver, address)) == 2
