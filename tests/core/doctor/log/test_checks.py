"""What the mail log says of the last day, judged."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from mailquota.core.base.times import local_time
from mailquota.core.doctor.dovecot.facts import DovecotFacts, ScriptFacts
from mailquota.core.doctor.log.checks import LOG_CHECKS
from mailquota.core.doctor.log.facts import GROUPS, LastChanges, LogFacts, add_up, last_change
from mailquota.core.doctor.model import Facts, Outcome
from mailquota.core.servers.mail_log.lines import Kind, LogEvent
from mailquota.core.servers.mail_log.source import LogRead
from mailquota.core.settings.config import Config
from mailquota.core.settings.declared import Policy, Settings

NOW = 1795780800.0
LISTEN = ("unix:/var/spool/postfix/private/mailquota", "inet:127.0.0.1:12341")
CONFIG = Config(Settings(policy=Policy(listen=LISTEN)), {})
NEVER = LastChanges()
DOVECOT = DovecotFacts(fault="", release=(2, 3, 19))
MINUTE, HOUR = 60.0, 3600.0
OPEN = "Failed to get quota resource STORAGE_BYTES for INBOX: quota-maildir: open({}) failed: {} - copying mail anyway"

WRONG_SIZE = (
    "Failed to get quota resource STORAGE_BYTES for INBOX: quota-count: Couldn't get size of mailbox INBOX: UID 3: "
    "read({}) failed: Cached message size smaller than expected (7 < 5013, box=INBOX, UID=3) (read reason=)"
)


def event(kind: Kind, subject: str = "full@example.org", text: str = "", ago: float = MINUTE, **more: Any) -> LogEvent:
    return LogEvent(NOW - ago, kind, subject, text, **more)


def facts(*events: LogEvent, changes: LastChanges = NEVER, **more: Any) -> LogFacts:
    read = LogRead(NOW - 24 * HOUR, ["/var/log/mail.log"], sorted(events, key=lambda each: -each.at), **more)
    return add_up(read, NOW, changes)


def judge(name: str, log: LogFacts, dovecot: DovecotFacts = DOVECOT) -> Outcome:
    (check,) = [check for check in LOG_CHECKS if check.name == name]
    return check.judge(Facts(config=CONFIG, log=log, dovecot=dovecot))


def test_a_healthy_log_is_all_green() -> None:
    """Refusals are no trouble."""
    log = facts(event("refused"))
    assert {check.name: judge(check.name, log).state for check in LOG_CHECKS} == {
        check.name: "ok" for check in LOG_CHECKS
    }


def test_without_a_log_nothing_is_judged() -> None:
    """Each check says why."""
    log = add_up(LogRead(NOW, fault="/var/log/mail.log can't be read: Permission denied"), NOW, NEVER)
    for check in LOG_CHECKS:
        outcome = judge(check.name, log)
        assert outcome.state == "skip"
        assert "/var/log/mail.log can't be read: Permission denied" in outcome.found
        assert "as root" in outcome.fix


def test_a_log_that_was_read_in_part() -> None:
    """How far back, and which file was closed."""
    assert "reading stopped there" in judge("mail-log", facts(complete=False)).found
    outcome = judge("mail-log", facts(fault="/var/log/dovecot.log can't be read: Permission denied"))
    assert (outcome.state, "dovecot.log" in outcome.found) == ("skip", True)
    log = facts(event("out-of-memory", "imap"), fault="/var/log/mail.log can't be read: Permission denied")
    assert judge("out-of-memory", log).state == "fail", "what was read counts"
    outcome = judge("policy-trouble", log)
    assert (outcome.state, "mail.log can't be read" in outcome.found) == ("skip", True)


def test_no_rights_mend_a_damaged_log() -> None:
    """It is named, and counts as not read."""
    for name in ("mail-log", "policy-trouble"):
        outcome = judge(name, facts(fault="/var/log/mail.log.1.gz is damaged"))
        assert (outcome.state, outcome.fix) == ("skip", "")
        assert "mail.log.1.gz is damaged" in outcome.found


def test_refusals_are_told() -> None:
    """How many, and for whom most."""
    many = [event("refused", f"user{number}@example.org") for number in range(30)]
    outcome = judge("refusals", facts(*many, *[event("refused")] * 5))
    assert outcome.found.startswith(f"35 since {local_time(NOW - 24 * HOUR)}, most for full@example.org 5, user")
    assert outcome.found.endswith(" …")
    assert len(facts(*many).tally("refused").groups) == GROUPS


@pytest.mark.parametrize(
    ("server", "reason", "ago", "state", "fix"),
    [
        (
            "private/mailquota",
            "Permission denied",
            MINUTE,
            "fail",
            "policy.socket_user and socket_mode of mailquota say who may connect: see policy-socket-rights",
        ),
        ("private/mailquota", "No such file or directory", MINUTE, "fail", "mailquota install"),
        ("private/mailquota", "Connection refused", 2 * HOUR, "warn", "mailquota install"),
        ("127.0.0.1:12341", "Connection timed out", MINUTE, "fail", "journalctl -u mailquota"),
        ("private/quota-status", "Connection refused", MINUTE, "fail", "doveadm stop || true; dovecot"),
        ("private/postgrey", "Connection refused", MINUTE, "warn", ""),
    ],
)
def test_a_policy_service_that_was_silent(server: str, reason: str, ago: float, state: str, fix: str) -> None:
    """Named with its reason; old trouble and other people's services only warn."""
    outcome = judge("policy-trouble", facts(event("policy-trouble", server, reason, ago)))
    assert (outcome.state, f"{server}: {reason}" in outcome.found) == (state, True)
    assert fix in outcome.fix


def test_trouble_from_before_the_last_change_is_past() -> None:
    """Postfix's settings and sockets mend a policy service, but not what Dovecot says of itself."""
    log = facts(
        event("policy-trouble", "private/mailquota", "Connection refused", 2 * MINUTE),
        event("out-of-memory", "imap", limit="256 MB", ago=2 * MINUTE),
        changes=LastChanges(postfix=NOW - MINUTE),
    )
    outcome = judge("policy-trouble", log)
    assert (outcome.state, "none since the last change of the settings; before it 1" in outcome.found) == ("ok", True)
    assert judge("out-of-memory", log).state == "fail"
    log = facts(event("out-of-memory", "imap", ago=2 * MINUTE), changes=LastChanges(dovecot=NOW - MINUTE))
    assert judge("out-of-memory", log).state == "ok"


def test_trouble_in_the_second_of_the_change_counts() -> None:
    """The log has whole seconds."""
    log = facts(event("empty-answer", ago=MINUTE), changes=LastChanges(postfix=NOW - MINUTE + 0.9))
    assert judge("empty-answers", log).state == "fail"


def test_an_empty_answer() -> None:
    """The table as Postfix names it; the fix is for 2.4, which has the fault."""
    log = facts(*[event("empty-answer", "unix:private/quota-status")] * 3)
    outcome = judge("empty-answers", log)
    assert outcome.state == "fail"
    assert outcome.found == "unix:private/quota-status gave an empty answer (3 times, last 1 min ago)"
    assert outcome.fix.startswith("# see quota-status-toolarge")
    fix = judge("empty-answers", log, DovecotFacts(fault="", release=(2, 4, 1))).fix
    assert fix.startswith("cat >> /etc/dovecot/dovecot.conf <<'EOF'\nquota_status_toolarge = 552 5.2.3")


def test_bounces() -> None:
    """Those at the mailstore; what waits in the queue is only told."""
    outcome = judge("bounces", facts(event("bounced"), event("bounced")))
    assert (outcome.state, "most for full@example.org 2" in outcome.found) == ("warn", True)
    assert "quota_full_tempfail = yes" in outcome.fix
    outcome = judge("bounces", facts(event("deferred")))
    assert (outcome.state, "waits in Postfix's queue: 1 since" in outcome.found) == ("ok", True)


@pytest.mark.parametrize(
    ("limit", "line"), [("256 MB", "512M"), ("1024 MB", "2048M"), ("1 GB", "2048M"), ("24 MB", "512M"), ("", "1024M")]
)
def test_memory(limit: str, line: str) -> None:
    """Which service, for whom, and twice of what it had."""
    outcome = judge("out-of-memory", facts(event("out-of-memory", "imap", "john@example.org", limit=limit)))
    assert (outcome.state, "that is no full mailbox" in outcome.found) == ("fail", True)
    assert f"service imap {{\n  vsz_limit = {line}\n}}\nEOF\ndoveadm reload" in outcome.fix


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        (
            OPEN.format("/var/vmail/x/y/Maildir/maildirsize", "Is a directory"),
            "&& rmdir ./maildirsize)",
        ),
        (
            OPEN.format("/var/vmail/x/a;b/maildirsize", "Permission denied"),
            "test \"$PWD\" = '/var/vmail/x/a;b' && test ! -L ./maildirsize && rm -f ./maildirsize)",
        ),
        (
            OPEN.format("/var/vmail/x/a/dovecot.index", "Permission denied"),
            "# see its owner, and that of its folder",
        ),
        ("Failed to get quota resource STORAGE: x", "doveadm quota recalc -u full@example.org"),
    ],
)
def test_quota_errors(text: str, fix: str) -> None:
    """What Dovecot said, for whom; the fix depends on it, and is quoted."""
    files = frozenset({"/var/vmail/x/y/Maildir/maildirsize", "/var/vmail/x/a;b/maildirsize"})
    log = replace(facts(event("quota-error", text=text)), accounts=frozenset({"full@example.org"}), maildirsizes=files)
    outcome = judge("quota-errors", log)
    assert (outcome.state, outcome.found) == ("warn", f"full@example.org: {text} (last 1 min ago)")
    assert fix in outcome.fix


def test_a_file_that_was_mended(tmp_path: Path) -> None:
    """Its owner or mode was changed after Dovecot complained."""
    file = tmp_path / "maildirsize"
    file.touch()
    changed = file.stat().st_ctime
    for at, state in ((changed - 10, "ok"), (changed + 10, "warn")):
        said = LogEvent(at, "quota-error", "a@b", OPEN.format(file, "Permission denied"))
        log = add_up(LogRead(0.0, ["x"], [said]), changed + 20, NEVER)
        assert judge("quota-errors", log).state == state


def test_a_mail_that_was_renamed(tmp_path: Path) -> None:
    """Whose name said a wrong size: it is as long as a file has the name, whatever its flags and place are now."""
    for part in ("new", "cur"):
        (tmp_path / part).mkdir()
    said = LogEvent(100.0, "quota-error", "a@b", WRONG_SIZE.format(tmp_path / "new/1.M1P1.host,S=7"))
    for name, state in (("1.M1P1.host,S=7:2,RS", "warn"), ("1.M1P1.host:2,RS", "ok")):
        file = tmp_path / "cur" / name
        file.touch()
        assert judge("quota-errors", add_up(LogRead(0.0, ["x"], [said, said]), 200.0, NEVER)).state == state
        file.unlink()


def test_who_may_rename_mails() -> None:
    """Their owner by name, never root; where the name is not known nothing is renamed."""
    log = facts(event("quota-error", text=WRONG_SIZE.format("/var/vmail/x/cur/1.M1P1.host,S=7")))
    log = replace(log, accounts=frozenset({"full@example.org"}))
    fix = judge("quota-errors", log, DovecotFacts(mail_owner=("5000", "vmail"))).fix
    assert "runuser -u vmail -- sh -c" in fix
    assert fix.endswith("doveadm quota recalc -u full@example.org")
    fix = judge("quota-errors", log, DovecotFacts(mail_owner=("5000",))).fix
    assert fix.startswith("# the file names of these mails")
    assert "mv" not in fix


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("execvp(/usr/local/bin/w.sh) failed: Permission denied", "&& chmod 755 /proc/self/fd/3)"),
        ("execvp(/usr/local/bin/w.sh) failed: No such file or directory", "# create /usr/local/bin/w.sh"),
        (
            "program unix:/run/w: net_connect_unix(/run/quota-warning) failed: Permission denied (euid=1)",
            "quota-warning-service",
        ),
        (
            "program unix:/run/w: net_connect_unix(/run/quota-warning) failed: No such file or directory",
            "quota-warning-service",
        ),
        ("master: service(quota-warning): child 4303 returned error 3", "# the script failed"),
    ],
)
def test_warning_errors(text: str, fix: str) -> None:
    """Each with its own way out."""
    dovecot = replace(DOVECOT, scripts=(ScriptFacts(service="quota-warning", path="/usr/local/bin/w.sh"),))
    outcome = judge("warning-errors", facts(event("warning-error", "", text)), dovecot)
    assert (outcome.state, outcome.found) == ("warn", f"{text} (last 1 min ago)")
    assert fix in outcome.fix


def test_every_fix_is_a_shell_text() -> None:
    """Root can paste it."""
    kinds: dict[str, Kind] = {
        "policy-trouble": "policy-trouble", "empty-answers": "empty-answer", "bounces": "bounced",
        "out-of-memory": "out-of-memory", "quota-errors": "quota-error", "warning-errors": "warning-error",
    }  # fmt: skip
    for name, kind in kinds.items():
        fix = judge(name, facts(event(kind, "private/mailquota", "Permission denied"))).fix
        assert subprocess.run(["sh", "-n", "-c", fix], check=False).returncode == 0, fix


def test_last_change(tmp_path: Path) -> None:
    """Of contents or of rights, whatever the file's own time says."""
    file = tmp_path / "main.cf"
    file.touch()
    os.utime(file, (0, 0))
    assert last_change([str(file), "/nowhere", "\0"]) == file.stat().st_ctime
    assert last_change([]) == 0.0


FORGED = (  # what any local user can have in the log
    event("quota-error", text=OPEN.format("/gone/shadow/maildirsize", "Is a directory")),
    event("quota-error", text=OPEN.format("/gone/shadow", "Permission denied")),
    event("quota-error", "evil@example.org", "Failed to get quota resource STORAGE: x"),
    event("quota-error", "evil@example.org", WRONG_SIZE.format("/gone/shadow/cur/1.M1P1.host,S=7")),
    event("warning-error", "", "execvp(/gone/shadow) failed: Permission denied"),
    event("warning-error", "", "execvp(/gone/shadow) failed: No such file or directory"),
    event("out-of-memory", "evil", limit="256 MB"),
    event("policy-trouble", "../../../gone/shadow/quota-evil", "Permission denied"),
    event("policy-trouble", "/gone/shadow/mailquota-evil", "Connection refused"),
)


@pytest.mark.parametrize("one", FORGED, ids=lambda one: f"{one.kind} {one.subject} {one.text[-20:]}")
def test_a_name_that_only_the_log_has_is_in_no_fix(one: LogEvent) -> None:
    (check,) = [name for name, kind in CHECK_OF.items() if kind == one.kind]
    known = replace(facts(one), accounts=frozenset({"full@example.org"}))
    outcome = judge(check, known, replace(DOVECOT, mail_owner=("vmail",)))
    assert outcome.state in {"warn", "fail"}
    assert outcome.fix
    assert "shadow" not in outcome.fix
    assert "evil" not in outcome.fix


def test_the_number_in_a_forged_line_gives_no_service_all_the_memory() -> None:
    outcome = judge("out-of-memory", facts(event("out-of-memory", "imap", limit="999999999 TB")))
    assert "vsz_limit = 4096M" in outcome.fix


CHECK_OF: dict[str, Kind] = {
    "quota-errors": "quota-error",
    "warning-errors": "warning-error",
    "out-of-memory": "out-of-memory",
    "policy-trouble": "policy-trouble",
}
