"""Compare mode beside a real quota-status: what it sees otherwise is told, what both see alike is only counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.mailserver.fixture import temporary_folder
from tests.mailserver.mail import ask_policy
from tests.mailserver.server import MailServer
from tests.real.beside import Mailquota, wait_until, write_settings

pytestmark = pytest.mark.server

DOMAIN = "compare.example"
FULL, EMPTY, INFO, LIST, NOBODY = (f"{name}@{DOMAIN}" for name in ("full", "empty", "info", "list", "nobody"))
OVERQUOTA = "452 4.2.2 Mailbox is full and cannot receive any more emails"
LIMIT = 5000


@pytest.fixture
def mailquota(mailserver: MailServer) -> Iterator[Mailquota]:
    """It asks the quota-status of a server where a mailbox is full, and aliases lead to it and to both."""
    mailserver.clear()
    mailserver.add_users([(FULL, LIMIT), (EMPTY, LIMIT)])
    for source, destination in ((INFO, FULL), (LIST, FULL), (LIST, EMPTY)):
        mailserver.add_alias(source, destination)
    assert mailserver.deliver_lmtp(FULL, LIMIT - 100)[0] == 250  # with the lines that LMTP adds it is full
    with temporary_folder() as folder:
        more = f'compare_with = "unix:{mailserver.quota_status_socket}"'
        with Mailquota(write_settings(mailserver, folder, more=more), mailserver) as running:
            wait_until(lambda: len(running.json("list", f"@{DOMAIN}")) == 2, "the accounts are read")
            yield running


def test_an_alias_to_a_full_mailbox_is_a_disagreement(mailserver: MailServer, mailquota: Mailquota) -> None:
    """Plain mailboxes are none, nor is an address that both leave to Postfix, or a list of which one has room."""

    def ask(recipient: str, size: int = 0, **attributes: str) -> str:
        return ask_policy(mailserver.policy_socket, recipient, size, **attributes)

    assert [ask(FULL), ask(FULL, 10), ask(FULL.replace("@", "+tag@"))] == [OVERQUOTA] * 3
    assert ask(FULL, 10, protocol_state="END-OF-MESSAGE") == OVERQUOTA  # DUNNO to quota-status; not asked
    assert [ask(EMPTY, 10), ask(EMPTY), ask(NOBODY), ask(LIST, 10)] == ["DUNNO"] * 4
    assert ask(EMPTY, 10 * LIMIT) == OVERQUOTA
    assert ask(INFO, 7) == OVERQUOTA
    assert ask_policy(mailserver.quota_status_socket, INFO, 7) == "DUNNO"
    wait_until(lambda: _report(mailquota)["compared"] == 9, "all are compared")
    wait_until(lambda: _report(mailquota)["disagreed"], "a disagreement is told")
    report = _report(mailquota)
    assert (report["compared"], report["not_compared"], report["disagreed"]) == (9, 0, 1)
    (found,) = report["disagreements"]
    assert (found["recipient"], found["size"], found["verdict"]) == (INFO, 7, "over_quota")
    assert found["quota_status"] == "DUNNO"
    assert "at or over its limit" in found["why"]
    assert "1 of 9 answers differ from quota-status" in mailquota.run("status", "--report").stdout


def test_a_mail_that_postfix_takes_is_compared(mailserver: MailServer, mailquota: Mailquota) -> None:
    """With all that the real Postfix says of it."""
    assert mailserver.send_mail(EMPTY, size=LIMIT - 500, announce_size=True)[0] == 250
    wait_until(lambda: _report(mailquota)["compared"] == 1, "it is compared")
    assert mailserver.send_mail(INFO, announce_size=True)[0] == 452
    wait_until(lambda: _report(mailquota)["disagreed"], "a disagreement is told")
    mailserver.wait_queue_empty()
    report = _report(mailquota)
    assert (report["compared"], report["not_compared"]) == (2, 0)
    assert [found["recipient"] for found in report["disagreements"]] == [INFO]


def test_why_nothing_is_compared_is_told(mailserver: MailServer) -> None:
    with temporary_folder() as folder:
        settings = write_settings(mailserver, folder, more='compare_with = "unix:/nowhere/quota-status"')
        with Mailquota(settings, mailserver) as running:
            ask_policy(mailserver.policy_socket, NOBODY)
            why = "unix:/nowhere/quota-status does not answer: No such file or directory"
            wait_until(lambda: why in running.run("status").stdout, "it is told")
            assert f"Nothing can be compared: {why}\n" in running.run("status", "--report").stdout


def _report(mailquota: Mailquota) -> Any:
    return mailquota.json("status", "--report")
