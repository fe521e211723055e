"""The doctor on a real Dovecot 2.4, with the faults that only this version has."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mailquota.core.doctor.postfix.facts import PostfixFacts
from mailquota.core.servers.dovecot.conf import dovecot_tool
from tests.real.beside import wait_until
from tests.real.breaking import Case, Patient, adding, replacing, settings
from tests.truth.dovecot24 import Dovecot24, dovecot24
from tests.truth.peers import FITS, FULL, Line

pytestmark = [pytest.mark.server, pytest.mark.dovecot("2.4")]

ACCOUNTS: dict[str, int | None] = {"small@example.org": 5000, "large@example.net": 5 * 2**30, "free@example.net": None}
BASE = ("protocol imap {", "mail_plugins {", "imap_quota = yes", "}", "}")
WARNING = (
    'quota "User quota" {', "warning warn-95 {", "quota_storage_percentage = 95", "execute quota-warning {",
    "args = 95 %{user}", "}", "}", "}",
)  # fmt: skip
NESTED = (  # the limit stands behind a nested block
    "driver = count", "warning warn-95 { # {", "quota_storage_percentage = 95", "execute quota-warning {",
    "args = 95 %{user}", "} # }", "}", "# }", "  storage_size=3000 # as before",
)  # fmt: skip
SCRIPT = '#!/bin/sh\ncat | /usr/lib/dovecot/dovecot-lda -d "$2" -o "plugin/quota=maildir:User quota:noenforcing"\n'
NESTED_ELSEWHERE = (
    'quota "User quota" {', *(f"  {line}" for line in WARNING[1:-1]), "  storage_size = 1G", "}",
    "protocol imap {", "  quota_storage_size = 7G", "  quota other {", "    warning w { # {",
    "      quota_storage_percentage = 80", "      execute w {", "      }", "      }",
    "    quota_storage_size=2G # 2", "    }", "}", "quota_storage_grace = 7M",
)  # fmt: skip
SERVICE = (
    "service quota-warning {", "executable = script SCRIPT", "unix_listener quota-warning {", "mode = 0666", "}", "}",
)  # fmt: skip

CASES = [
    Case("quota-status-toolarge", "quota_status_toolarge is empty on Dovecot 2.4.1"),
    Case(
        "quota-limit-in-block",
        "storage_size = 3000",
        replacing("driver = count", "driver = count\nstorage_size = 3000"),
    ),
    Case("quota-limit-in-block", "storage_size = 3000", replacing("driver = count", "\n".join(NESTED))),
    Case(
        "quota-limits", "the quota block has", replacing("driver = count", "driver = count\nquota_storage_size = 3000")
    ),
    Case("quota-enforced", "quota_enforce", replacing("driver = count", "driver = count\nenforce = no"), state="warn"),
    Case("quota-enforced", "quota_enforce", adding("quota_enforce = no"), state="warn"),
    Case("quota-message-count", "is 100", adding("quota_mailbox_message_count = 100")),
    Case("quota-mail-size", "is 10M", adding("quota_mail_size = 10M"), state="warn"),
    Case("quota-status-variables", "%{user}", adding("quota_status_overquota = 452 4.2.2 %{user} %{error}")),
    Case("imap-move", "quota driver maildir", replacing("driver = count", "driver = maildir"), state="warn"),
    Case("quota-driver", "no longer has", replacing("driver = count", "driver = dict")),
    Case(
        "lmtp-username", "drops the domain", adding("protocol lmtp {", "auth_username_format = %{user|username}", "}")
    ),
    Case(
        "quota-plugin", "quota is missing", replacing("mail_plugins {\n  quota = yes", "mail_plugins {\n  notify = yes")
    ),
    Case("quota-plugin-lmtp", "protocol lmtp", adding("protocol lmtp {", "mail_plugins = notify", "}")),
    Case("quota-plugin-lmtp", "lmtp", adding("protocol !imap {", "mail_plugins {", "quota = no", "}", "}")),
    Case("imap-quota", "is loaded globally", adding("mail_plugins {", "imap_quota = yes", "}")),
    Case("trash-folder", "no mailbox has", replacing("special_use = \\Trash", ""), state="warn"),
    Case("quota-warning-service", "no service listens", adding(*WARNING)),
    Case("quota-warning-option", "which 2.4 ignores", adding(*WARNING, *SERVICE), script=SCRIPT),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot24]:
    """One of our own, whose files we may change; its quota-status has the faulty default."""
    with dovecot24("count") as running:
        running.set_users([(address, limit or 0) for address, limit in ACCOUNTS.items()])
        for address in ACCOUNTS:
            running.run("mailbox", "create", "-u", address, "Archive")
        config(running).write_text(adding(*BASE)(config(running).read_text()))
        yield running


def config(server: Dovecot24) -> Path:
    return server.folder / "dovecot.conf"


@pytest.fixture
def patient(server: Dovecot24, tmp_path: Path) -> Patient:
    mailstore = f"{server.mail_folder}/{{domain}}/{{user}}/Maildir"
    ours = settings(tmp_path / "mailquota.toml", mailstore, server.doveadm, "10M")
    postfix = postfix_asking("unix:private/mailquota")
    return Patient(ours, dict(ACCOUNTS), server.doveadm, postfix)


def postfix_asking(service: str) -> PostfixFacts:
    restrictions = f"permit_mynetworks, check_policy_service {service}"
    values = {"smtpd_recipient_restrictions": restrictions, "queue_directory": "/var/spool/postfix"}
    return PostfixFacts(fault="", values=values)


def asked(server: Dovecot24) -> PostfixFacts:
    """A Postfix that asks quota-status."""
    return postfix_asking(f"inet:127.0.0.1:{server.port}")


def bad(patient: Patient) -> list[str]:
    patient.finding("dovecot-answers")
    return [finding.check for finding in patient.findings().values() if finding.state != "ok"]


def test_a_healthy_server_is_left_alone(patient: Patient) -> None:
    """The fault of quota-status is none where Postfix asks mailquota."""
    assert not bad(patient)


def test_driver_maildir_is_told_its_fault_alone(server: Dovecot24, patient: Patient) -> None:
    with patient.changed((config(server), replacing("driver = count", "driver = maildir"))):
        assert bad(patient) == ["imap-move"]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_broken_is_named_and_mended(case: Case, server: Dovecot24, patient: Patient) -> None:
    script = server.folder / "script"
    if case.script:
        script.write_text(case.script)
        script.chmod(case.mode)
    assert patient.finding(case.check).state == "ok"
    patient.postfix = asked(server)
    with patient.changed((config(server), lambda text: case.change(text).replace("SCRIPT", str(script)))):
        patient.assert_mended(case)
    script.unlink(missing_ok=True)


def answer(server: Dovecot24, address: str, size: int) -> str:
    """That of quota-status to a mail of ``size`` bytes."""
    with Line(server.quota_status()) as line:
        return line.ask(b"protocol_state=RCPT\nrecipient=%b\nsize=%d\n\n" % (address.encode(), size))


def says(server: Dovecot24, address: str, size: int, wanted: str) -> bool:
    """Its process is another one while Dovecot takes up its settings."""
    with suppress(OSError, EOFError):
        return answer(server, address, size) == wanted
    return False


def test_quota_status_refuses_what_is_larger_than_the_mailbox(server: Dovecot24, patient: Patient) -> None:
    """The finding says what really happens, and its fix ends it."""
    patient.postfix = asked(server)
    with patient.changed((config(server), str)):
        finding = patient.finding("quota-status-toolarge")
        assert answer(server, "small@example.org", 20 << 20) == ""
        patient.mend(finding)
        wait_until(lambda: says(server, "small@example.org", 20 << 20, FULL), "it is refused")


def test_quota_status_lives_again_without_a_count_of_messages(server: Dovecot24, patient: Patient) -> None:
    with patient.changed((config(server), adding("quota_mailbox_message_count = 100"))):
        patient.postfix = asked(server)
        finding = patient.finding("quota-message-count")
        with pytest.raises(EOFError):
            answer(server, "small@example.org", 1)
        patient.mend(finding)
        wait_until(lambda: says(server, "small@example.org", 1, FITS), "it answers")


def test_nothing_but_the_limit_leaves_the_block(server: Dovecot24, patient: Patient) -> None:
    """By what doveconf makes of the files: other blocks, nested ones, included files stay to the letter."""
    included = server.folder / "conf.d" / "90-quota.conf"
    included.parent.mkdir()
    included.write_text("\n".join((*NESTED_ELSEWHERE, "")))
    doveconf = dovecot_tool(shlex.join(server.doveadm), "doveconf")

    def says() -> list[str]:
        done = subprocess.run([*doveconf, "-n"], capture_output=True, text=True, check=True)
        return [line.strip() for line in done.stdout.splitlines() if not line.startswith("#")]

    with patient.changed((config(server), adding(f"!include {included}"))):
        before = says()
        patient.mend(patient.finding("quota-limit-in-block"))
        left = [line for line in before if line not in {"storage_size = 1G", "storage_size = 2G"}]
        assert [line for line in says() if line != "quota_storage_size = 1G"] == left
        assert len(before) - len(left) == 2
    shutil.rmtree(included.parent)


def test_the_users_own_limit_counts_once_the_block_has_none(server: Dovecot24, patient: Patient) -> None:
    with patient.changed((config(server), replacing("driver = count", "driver = count\nstorage_size = 3000"))):
        finding = patient.finding("quota-limit-in-block")
        assert "3" in server.run("quota", "get", "-u", "large@example.net").split()
        patient.mend(finding)
        assert str(5 * 2**20) in server.run("quota", "get", "-u", "large@example.net").split()
