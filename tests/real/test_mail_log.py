"""Trouble made on real servers, and found in what they logged of it."""

from __future__ import annotations

import contextlib
import imaplib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailquota.core.doctor.dovecot.probe import gather
from mailquota.core.doctor.log.checks import LOG_CHECKS
from mailquota.core.doctor.log.facts import LogFacts
from mailquota.core.doctor.log.probe import log_facts, with_known
from mailquota.core.doctor.model import Facts, Outcome
from mailquota.core.settings.config import Config, load
from tests.mailserver.fixture import require_mailserver, temporary_folder
from tests.mailserver.process import SEARCH_PATH
from tests.mailserver.recorder import recorded_policy
from tests.mailserver.series import dovecot_series
from tests.mailserver.server import MailServer
from tests.real.beside import Mailquota, wait_until, write_settings

pytestmark = pytest.mark.server

ASKED = "check_policy_service { unix:private/mailquota, timeout=1s }"
FULL = "452 4.2.2 Mailbox is full"
MODERN = dovecot_series() == "2.4"
WARNING = "\nplugin {\n  quota_warning = storage=10%% quota-warning 10 %u\n}\n"
if MODERN:
    WARNING = """
quota "User quota" {
  warning warn-10 {
    quota_storage_percentage = 10
    execute quota-warning {
      args = 10 %{user}
    }
  }
}
"""
MEMORY = "80M" if MODERN else "24M"  # for 2.4 less is not enough to begin with
SCRIPT = """
service quota-warning {{
  executable = script {}
  user = nobody
  unix_listener quota-warning {{
    mode = 0666
  }}
}}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    """Not the session's: its Postfix waits a second for the policy service, not ten."""
    require_mailserver()
    with temporary_folder() as folder, MailServer(folder, policy=ASKED) as server:
        yield server


class Log:
    """What the doctor says about the log of a server now."""

    def __init__(self, server: MailServer, folder: Path) -> None:
        self.server = server
        self.settings = write_settings(server, folder)
        self.config: Config = load(self.settings, {})
        self.accounts: set[str] = set()

    def facts(self) -> LogFacts:
        """With the accounts as the doctor knows them."""
        return with_known(log_facts(self.config), self.config, self.accounts, {})

    def judge(self, name: str) -> Outcome:
        (check,) = [check for check in LOG_CHECKS if check.name == name]
        return check.judge(Facts(config=self.config, log=self.facts(), dovecot=gather(self.config, {})))

    def waits_for(self, name: str, state: str, text: str) -> Outcome:
        """Logging is not at once."""
        wait_until(lambda: self.judge(name).state == state and text in self.judge(name).found, f"{name}: {text}")
        return self.judge(name)


@pytest.fixture
def log(server: MailServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    """As if these were the servers of this machine."""
    monkeypatch.setenv("MAIL_CONFIG", str(server.postfix.config))
    monkeypatch.setenv("PATH", SEARCH_PATH)
    return Log(server, tmp_path)


@contextlib.contextmanager
def listening(path: Path, owner: str, *, stale: bool = False) -> Iterator[None]:
    """A socket that takes connections and says nothing, or takes none any more."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen(5)
        shutil.chown(path, owner)
        path.chmod(0o600)
        if stale:
            sock.close()
        yield
    path.unlink()


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (lambda _path: contextlib.nullcontext(), "No such file or directory"),
        (lambda path: listening(path, "postfix", stale=True), "Connection refused"),
        (lambda path: listening(path, "root"), "Permission denied"),
        (lambda path: listening(path, "postfix"), "Connection timed out"),
    ],
)
def test_a_policy_service_that_does_not_answer(
    log: Log, trouble: Callable[[Path], contextlib.AbstractContextManager[None]], reason: str
) -> None:
    """Each reason in Postfix's words."""
    address = f"{reason.replace(' ', '.').lower()}@example.org"
    log.server.add_user(address, 10_000_000)
    with trouble(log.server.policy_socket):
        assert log.server.send_mail(address)[0] == 451
    log.waits_for("policy-trouble", "fail", f"private/mailquota: {reason}")


def test_an_empty_answer_and_a_refusal(log: Log) -> None:
    """The one permits, the other is told."""
    server = log.server
    server.add_user("empty@example.org", 10_000_000)
    with recorded_policy(server.policy_socket, ""):
        assert server.send_mail("empty@example.org")[0] == 250
    with recorded_policy(server.policy_socket, FULL):
        assert server.send_mail("empty@example.org")[0] == 452
    found = log.waits_for("empty-answers", "fail", "unix:private/mailquota")
    assert "quota-status-toolarge" in found.fix.replace("_", "-")
    assert "empty@example.org 1" in log.waits_for("refusals", "ok", "most for").found


def test_a_bounce_over_quota(log: Log) -> None:
    """And none any more with the fix, which lets it wait."""
    server = log.server
    server.add_user("bounced@example.org", 100)
    with recorded_policy(server.policy_socket, "DUNNO"):
        assert server.send_mail("bounced@example.org", size=1500)[0] == 250
        server.wait_queue_empty()
        found = log.waits_for("bounces", "warn", "bounced@example.org 1")
        (line,) = [line for line in found.fix.splitlines() if line.startswith("quota_full_tempfail")]
        with server.dovecot.changed(lambda text: f"{text}\n{line}\n"):
            assert server.send_mail("bounced@example.org", size=1500)[0] == 250
            wait_until(lambda: log.facts().tally("deferred").count, "it waits")
    assert log.facts().tally("deferred").groups[0].newest.subject == "bounced@example.org"
    for file in server.postfix.queued():
        file.unlink()


def test_memory(log: Log) -> None:
    """A mail that needs more than its reader may have."""
    server = log.server
    server.add_user("memory@example.org", 900_000_000)
    assert server.deliver_lmtp("memory@example.org")[0] == 250
    with server.dovecot.changed(lambda text: f"{text}\nservice imap {{\n  vsz_limit = {MEMORY}\n}}\n"):
        imap = server.imap("memory@example.org")
        with contextlib.suppress(imaplib.IMAP4.abort, OSError):
            imap.append("INBOX", "", "", b"Subject: " + b"x" * 100_000_000 + b"\r\n\r\n")
            imap.select("INBOX")
            imap.fetch("1:*", "(ENVELOPE)")
        imap.shutdown()
        found = log.waits_for("out-of-memory", "fail", "Dovecot's service imap")
    assert "last for memory@example.org" in found.found
    assert "service imap {\n  vsz_limit = " in found.fix


def test_a_maildirsize_that_dovecot_may_not_read(log: Log) -> None:
    """Named with its owner; the fix, run as it is, turns the check green."""
    server = log.server
    server.add_user("denied@example.org", 10_000_000)
    log.accounts.add("denied@example.org")
    assert server.deliver_lmtp("denied@example.org")[0] == 250
    file = server.maildir("denied@example.org") / "maildirsize"
    shutil.chown(file, "root", "root")
    file.chmod(0o600)
    assert server.deliver_lmtp("denied@example.org")[0] == 250
    found = log.waits_for("quota-errors", "warn", "denied@example.org: Failed to get quota resource")
    at = log.facts().tally("quota-error").groups[0].newest.at
    wait_until(lambda: time.time() >= at + 2, "a second later, as the log has whole seconds")
    subprocess.run(["sh", "-e", "-c", found.fix], check=True)
    assert not file.exists()
    assert server.deliver_lmtp("denied@example.org")[0] == 250
    assert file.stat().st_uid == file.parent.stat().st_uid
    assert log.judge("quota-errors").state == "ok"


@pytest.mark.parametrize(
    ("settings", "reason", "fix"),
    [
        (WARNING, "No such file or directory", "# see quota-warning-service"),
        (WARNING + SCRIPT.format("/nowhere/warn.sh"), "execvp(/nowhere/warn.sh) failed: No such file", "# create"),
        (WARNING + SCRIPT.format("/bin/false"), "returned error 1", "# the script failed"),
    ],
)
def test_warnings_that_do_not_leave(log: Log, settings: str, reason: str, fix: str) -> None:
    """No service, no script, a script that fails."""
    server, address = log.server, f"warned{abs(hash(settings))}@example.org"
    server.add_user(address, 20_000)
    with server.dovecot.changed(lambda text: text + settings):
        assert server.deliver_lmtp(address, size=5000)[0] == 250
        assert fix in log.waits_for("warning-errors", "warn", reason).fix


def test_what_an_engine_refused_before_it_was_restarted(log: Log) -> None:
    """Its successor knows it from the log, and of its own refusals each once."""
    server, address = log.server, "restarted@example.org"
    server.add_user(address, 10_000_000)
    server.add_alias("alias@example.org", address)
    with Mailquota(log.settings, server) as mailquota:
        wait_until(lambda: mailquota.run("show", address, check=False).returncode == 0, "the account is read")
        assert server.deliver_lmtp(address, size=5000)[0] == 250
        server.set_quota(address, 1000)
        wait_until(lambda: mailquota.json("explain", address)["verdict"] == "over_quota", "it is full")
        assert server.send_mail("alias@example.org")[0] == 452
        assert [row["origin"] for row in mailquota.json("show", address)["refusals"]] == ["engine"]
    with Mailquota(log.settings, server) as mailquota:
        (refusal,) = mailquota.json("show", address)["refusals"]
        assert (refusal["origin"], refusal["recipient"], refusal["verdict"]) == (
            "log",
            "alias@example.org",
            "over_quota",
        )
        assert "over_quota (mail log)" in mailquota.run("show", address).stdout
