"""The doctor on a real Dovecot 2.3: healthy, then broken in many ways, each of which its own fix mends."""

from __future__ import annotations

import os
import smtplib
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.mailserver.dovecot import VMAIL_UID, Dovecot
from tests.mailserver.fixture import require_mailserver, temporary_folder
from tests.mailserver.process import exchange
from tests.mailserver.server import MailServer
from tests.real.beside import wait_until
from tests.real.breaking import Case, Patient, adding, replacing, settings

pytestmark = [pytest.mark.server, pytest.mark.dovecot("2.3")]

ACCOUNTS: dict[str, int | None] = {
    "small@example.org": 5000,
    "john@example.org": 100_000_000,
    "large@example.net": 5 * 2**30,
    "free@example.net": None,
}
WARNING = (
    "plugin {",
    "  quota_warning = storage=95%% quota-warning 95 %u",
    "}",
)
SCRIPT = '#!/bin/sh\ncat | /usr/lib/dovecot/dovecot-lda -d "$2" -o "plugin/quota=maildir:User quota:noenforcing"\n'
PLAIN_SCRIPT = '#!/bin/sh\ncat | /usr/lib/dovecot/dovecot-lda -d "$2"\n'


def service(script: str, *listener: str) -> tuple[str, ...]:
    """A warning service as the tutorial has it."""
    inside = listener or (f"user = {VMAIL_UID}", "mode = 0660")
    return (
        "service quota-warning {",
        f"executable = script {script}",
        "unix_listener quota-warning {",
        *inside,
        "}",
        "}",
    )


CASES = [
    Case("quota-plugin", "quota is missing", replacing("mail_plugins = quota\n", "mail_plugins = notify\n")),
    Case("quota-plugin-lmtp", "protocol lmtp", adding("protocol lmtp {", "mail_plugins = notify", "}")),
    Case("quota-plugin-lda", "protocol lda", adding("protocol lda {", "mail_plugins = notify", "}")),
    Case("quota-plugin-protocols", "protocol pop3", adding("protocol pop3 {", "mail_plugins = notify", "}")),
    Case("imap-quota", "is loaded globally", replacing("mail_plugins = quota\n", "mail_plugins = quota imap_quota\n")),
    Case("imap-quota", "in protocol lmtp", adding("protocol lmtp {", "mail_plugins = quota imap_quota", "}")),
    Case("imap-quota", "does not load", replacing("quota imap_quota", "quota"), state="warn"),
    Case("quota-driver", "no quota is configured", replacing("quota = maildir:User quota", "")),
    Case("quota-enforced", "noenforcing", replacing(":User quota", ":User quota:noenforcing"), state="warn"),
    Case("quota-vsizes", "quota_vsizes is not set", replacing("quota = maildir:", "quota = count:")),
    Case("quota-limits", "1024 times too large", query=replacing("*:bytes=", "*:storage=")),
    Case("quota-limits", "1048576 times too large", query=replacing("quota) AS", "quota * 1048576) AS")),
    Case("quota-limits", "1048576 times too large", query=replacing("quota) AS", "quota, 'M') AS")),
    Case("quota-limits", "gives no quota_rule (but 'quota')", query=replacing("AS quota_rule", "AS quota")),
    Case("quota-limits", "gives no quota_rule", query=replacing("concat('*:bytes=', quota) AS quota_rule", "quota")),
    Case("user-listing", "can't list its users", query=replacing("iterate_query", "#"), state="warn"),
    Case("lmtp-username", "drops the domain", adding("protocol lmtp {", "auth_username_format = %Ln", "}")),
    Case(
        "memory-limit", "vsz_limit (imap", adding("service imap {", "vsz_limit = 1M", "}"), state="warn", index=2 << 20
    ),
    Case("trash-folder", "no mailbox has", replacing(r"special_use = \Trash", ""), state="warn"),
    Case("quota-status-answers", "'OK'", replacing("quota_status_success = DUNNO", "")),
    Case("quota-status-answers", "'REJECT Unknown user'", replacing("quota_status_nouser = DUNNO", ""), state="warn"),
    Case("quota-status-codes", "disagree", replacing("452 4.2.2", "452 5.2.2"), state="warn"),
    Case(
        "quota-status-codes",
        "which permits",
        replacing("452 4.2.2 Mailbox is full and cannot receive any more emails", "452"),
    ),
    Case("quota-warning-service", "no service listens", adding(*WARNING)),
    Case(
        "quota-warning-service",
        "user root and mode 0600",
        adding(*WARNING, *service("SCRIPT", "mode = 0600")),
        script=SCRIPT,
    ),
    Case("quota-warning-script", "not executable", adding(*WARNING, *service("SCRIPT")), script=SCRIPT, mode=0o644),
    Case("quota-warning-script", "does not exist", adding(*WARNING, *service("SCRIPT"))),
    Case("quota-warning-option", "without an option", adding(*WARNING, *service("SCRIPT")), script=PLAIN_SCRIPT),
    Case(
        "quota-warning-option",
        "names quota driver count",
        adding(*WARNING, *service("SCRIPT")),
        script=SCRIPT.replace("maildir:", "count:"),
        state="warn",
    ),
]


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    """One of our own, whose files we may change."""
    require_mailserver()
    with temporary_folder() as folder, MailServer(folder) as running:
        running.add_users([(address, limit or 0) for address, limit in ACCOUNTS.items()])
        for address in ACCOUNTS:
            running.deliver_lmtp(address, 1000)
        yield running


@pytest.fixture
def patient(server: MailServer, tmp_path: Path) -> Patient:
    config = settings(tmp_path / "mailquota.toml", server.mailstore, server.doveadm, "10%")
    return Patient(config, dict(ACCOUNTS), server.doveadm)


def sql_file(dovecot: Dovecot) -> Path:
    return dovecot.folder / "dovecot-sql.conf.ext"


def assert_healthy(patient: Patient) -> None:
    patient.finding("dovecot-answers")
    bad = [finding for finding in patient.findings().values() if finding.state in {"fail", "warn"}]
    assert not bad
    skipped = [finding.check for finding in patient.findings().values() if finding.state == "skip"]
    assert skipped == ["quota-status-aliases"]


def test_a_healthy_server_is_left_alone(server: MailServer, patient: Patient) -> None:
    """The one skip is for want of a Postfix to ask."""
    assert_healthy(patient)


def test_a_healthy_server_with_count_is_left_alone(server: MailServer, patient: Patient) -> None:
    with patient.changed(
        (server.dovecot.config, replacing("maildir:User quota", "count:User quota\n  quota_vsizes = yes"))
    ):
        stale = list(server.mail_folder.rglob("maildirsize"))
        assert patient.finding("maildirsize").state == "warn"
        patient.mend(patient.finding("maildirsize"))
        assert stale
        assert not list(server.mail_folder.rglob("maildirsize"))
        assert_healthy(patient)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_broken_is_named_and_mended(
    case: Case, server: MailServer, patient: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mailquota").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    script = server.folder / "script"
    if case.script:
        script.write_text(case.script)
        script.chmod(case.mode)
    (server.maildir("john@example.org") / "dovecot-uidlist").write_bytes(b"\n" * case.index)
    assert patient.finding(case.check).state == "ok"

    def change(text: str) -> str:
        return case.change(text).replace("SCRIPT", str(script))

    with patient.changed((server.dovecot.config, change), (sql_file(server.dovecot), case.query)):
        patient.assert_mended(case)
    script.unlink(missing_ok=True)


def takes(server: MailServer, address: str) -> bool:
    """Whether LMTP takes a mail; it hangs up while Dovecot takes up its settings."""
    with suppress(OSError, smtplib.SMTPException):
        return server.deliver_lmtp(address, 1000)[0] == 250
    return False


def test_mail_arrives_again_once_lmtp_looks_up_whole_addresses(server: MailServer, patient: Patient) -> None:
    """The finding says what really happens, and its fix ends it."""
    change = adding("protocol lmtp {", "auth_username_format = %Ln", "}")
    with patient.changed((server.dovecot.config, change)):
        finding = patient.finding("lmtp-username")
        assert server.deliver_lmtp("john@example.org", 1000)[0] == 550
        patient.mend(finding)
        wait_until(lambda: takes(server, "john@example.org"), "mail is taken")


def test_a_warning_reaches_a_full_mailbox_once_its_script_says_so(server: MailServer, patient: Patient) -> None:
    """A plain dovecot-lda loses it, and says nothing."""
    address, script = "full@example.org", server.folder / "script"
    server.add_user(address, 1000)
    server.deliver_lmtp(address, 1000)
    new = server.maildir(address) / "new"
    script.write_text(PLAIN_SCRIPT.replace("-d", f"-c {server.dovecot.config} -d"))
    script.chmod(0o755)

    def mails_after_warning() -> int:
        subprocess.run([script, "95", address], input=b"Subject: full\n\n", check=True, capture_output=True)
        return len(list(new.iterdir()))

    with patient.changed((server.dovecot.config, adding(*WARNING, *service(str(script))))):
        finding = patient.finding("quota-warning-option")
        assert mails_after_warning() == 1
        patient.mend(finding)
        assert mails_after_warning() == 2
    script.unlink()


def test_a_maildirsize_of_somebody_else_is_given_back(server: MailServer, patient: Patient) -> None:
    file = server.maildir("small@example.org") / "maildirsize"
    server.run_doveadm("quota", "recalc", "-u", "small@example.org")
    assert patient.finding("maildirsize").state == "ok"
    os.chown(file, 0, 0)
    patient.assert_mended(Case("maildirsize", "has owner 0"))
    assert file.stat().st_uid == VMAIL_UID


def test_a_name_that_dovecot_does_not_look_up(server: MailServer, patient: Patient) -> None:
    server.add_user("o'neil@example.org", 5000)
    patient.accounts["o'neil@example.org"] = 5000
    with patient.changed((server.dovecot.config, str)):
        assert patient.finding("quota-limits").state == "ok"
        patient.assert_mended(Case("username-characters", "auth_username_chars lacks"))
        server.run_doveadm("user", "o'neil@example.org")


def test_settings_that_dovecot_refuses(server: MailServer, patient: Patient) -> None:
    """What it complains of is in the finding; all else can't be judged, and says so."""
    text = server.dovecot.config.read_text()
    exchange(server.dovecot.config, text + "no_such_setting = 1\n")
    try:
        findings = patient.findings()
    finally:
        exchange(server.dovecot.config, text)
    assert findings["dovecot-settings"].state == "fail"
    assert "Unknown setting: no_such_setting" in findings["dovecot-settings"].found
    assert {finding.state for name, finding in findings.items() if name != "dovecot-settings"} == {"skip"}


def test_a_dovecot_that_does_not_run(server: MailServer, patient: Patient) -> None:
    with server.dovecot.stopped():
        findings = patient.findings()
    assert findings["dovecot-answers"].state == "fail"
    assert "does not run: nothing listens at" in findings["dovecot-answers"].found  # refused, or no socket any more
    assert findings["quota-limits"].state == findings["user-listing"].state == "skip"
    assert findings["quota-plugin"].state == "ok"
