"""The mail log beside the engine: where it is found, and what it adds to an account."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from mailquota.core.base.programs import ProgramResult, Run
from mailquota.core.commands.show import details_json
from mailquota.core.control.messages import GetDetails
from mailquota.core.control.results import DecisionRow, Details
from mailquota.core.doctor.log.probe import log_facts
from mailquota.core.policy import mail_log
from mailquota.core.policy.mail_log import MailLog
from mailquota.core.servers.mail_log.source import MAIL_LOGS, LogFiles, LogRead, find_log
from mailquota.core.servers.mail_log.subprocess_reader import read_apart
from mailquota.core.settings.config import Config
from mailquota.core.settings.declared import Mailstore, Policy, Settings
from tests.core.engines import console, embedded
from tests.core.loops import SteppedLoop, run
from tests.core.worlds import FULL, JOHN, TRASH, SmallWorld

DATA = Path(__file__).parents[2] / "data"
FAULTS = LogRead(0.0, fault="/var/log/mail.log can't be read: Permission denied")
REFUSAL = (
    "{at} mail postfix/smtpd[1]: NOQUEUE: reject: RCPT from mx.example.net[192.0.2.7]: 452 4.2.2 <{to}>: Recipient "
    "address rejected: Mailbox is full; from=<{sender}> to=<{to}> proto=ESMTP helo=<x>\n"
)
BOUNCE = (
    "{at} mail postfix/lmtp[1]: C3214: to=<{to}>, relay=m[private/dovecot-lmtp], delay=0.1, delays=0/0/0/0, dsn=5.2.2,"
    " status=bounced (host m said: 552 5.2.2 <{to}> Quota exceeded)\n"
)


def line(form: str, to: str, ago: float = 0.0, sender: str = "s@example.net") -> str:
    at = time.strftime("%b %e %H:%M:%S", time.localtime(time.time() - ago))
    return form.format(at=at, to=to, sender=sender)


@pytest.fixture
def mail_log_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log that Postfix's settings name on this server; each question is noted in ``asked``."""
    tools, file = tmp_path / "bin", tmp_path / "own.log"
    tools.mkdir()
    for name, answer in (("postconf", f"maillog_file = {file}"), ("doveconf", "log_path = syslog")):
        (tools / name).write_text(f'#!/bin/sh\necho {name} >> {tmp_path}/asked\necho "{answer}"\n')
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    return file


def readings(file: Path) -> int:
    return (file.parent / "asked").read_text().count("postconf")


def test_what_others_refused_is_shown_with_the_account(small_world: SmallWorld, mail_log_file: Path) -> None:
    """By the mailbox's own address, its aliases and details of it, and at the mailstore; newest first, and marked."""
    mail_log_file.write_text(
        line(REFUSAL, JOHN, 50) + line(REFUSAL, "Info@example.org", 40) + line(BOUNCE, JOHN, 30)
        + line(REFUSAL, "john+list@example.org", 20) + line(REFUSAL, FULL, 10)
    )  # fmt: skip
    with embedded(small_world) as engine, console(engine) as client:
        details = client.ask(lambda number: GetDetails(number, JOHN), Details)
    assert [(row.recipient, row.verdict, row.mailbox, row.origin) for row in details.refusals] == [
        ("john+list@example.org", "over_quota", JOHN, "log"),
        (JOHN, "bounced", JOHN, "log"),
        ("Info@example.org", "over_quota", JOHN, "log"),
        (JOHN, "over_quota", JOHN, "log"),
    ]
    assert details.refusals[0].sender == "s@example.net"
    assert {row["origin"] for row in json.loads(msgspec.json.encode(details_json(details)))["refusals"]} == {"log"}


def test_what_the_engine_refused_is_not_told_twice(mail_log_file: Path) -> None:
    """Postfix logs our answer; other times and senders are other mails, and in shadow mode somebody else refused."""
    known = [DecisionRow(time.time(), "over_quota", TRASH, TRASH, "s@example.net", "", 5000, 50)]
    mail_log_file.write_text(line(REFUSAL, TRASH) + line(REFUSAL, TRASH, 60) + line(REFUSAL, TRASH, sender="other@x"))
    shadow = [msgspec.structs.replace(known[0], shadow=True)]
    assert [row.origin for row in refusals(known)] == ["engine", "log", "log"]
    assert [row.origin for row in refusals(shadow)] == ["engine", "log", "log", "log"]


def refusals(known: list[DecisionRow]) -> list[DecisionRow]:
    async def asked() -> list[DecisionRow]:
        return await mail_log_of_one(off=False).refusals(TRASH, known, 20)

    return run(asked())


def mail_log_of_one(*, off: bool) -> MailLog:
    """Every recipient is a mailbox."""
    return MailLog(lambda: Config(Settings(), {}), lambda recipient: [recipient], off=off)


def test_read_once_a_minute(mail_log_file: Path) -> None:
    """However many ask, and at the same time."""

    async def asking() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteppedLoop)
        log = mail_log_of_one(off=False)
        await asyncio.gather(*[log.refusals(JOHN, [], 20) for _ in range(5)])
        loop.ahead += 59
        await log.refusals(JOHN, [], 20)
        assert readings(mail_log_file) == 1
        loop.ahead += 2
        await log.refusals(JOHN, [], 20)

    run(asking(), "stepped")
    assert readings(mail_log_file) == 2


def test_a_demo_reads_no_log(mail_log_file: Path) -> None:
    """It is a world of its own."""
    mail_log_file.write_text(line(REFUSAL, JOHN))
    assert run(mail_log_of_one(off=True).refusals(JOHN, [], 20)) == []
    assert not (mail_log_file.parent / "asked").exists()


def test_a_log_that_is_closed_is_told_once(
    mail_log_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And nobody has to wait or to hear of it again."""
    monkeypatch.setattr(mail_log, "read_apart", lambda _: FAULTS)

    async def asking() -> None:
        log = mail_log_of_one(off=False)
        for _ in range(3):
            assert await log.refusals(JOHN, [], 20) == []
            asyncio.get_running_loop().ahead += 61  # type: ignore[attr-defined]

    with caplog.at_level("INFO"):
        run(asking(), "stepped")
    assert [record.getMessage() for record in caplog.records] == [
        f"refusals in the mail log are not shown: {FAULTS.fault}"
    ]
    assert readings(mail_log_file) == 3


def test_read_by_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest thousand refusals, however large, and nothing else; a process that can't be had is a fault."""
    file = tmp_path / "mail.log"
    trouble = line("{at} mail postfix/smtpd[1]: warning: problem talking to server private/x: Connection refused\n", "")
    file.write_text(line(REFUSAL, JOHN, sender="ü" * 2000) * 1200 + trouble)
    read = read_apart(LogFiles((str(file),)))
    assert ({event.kind for event in read.events}, len(read.events), read.fault) == ({"refused"}, 1000, "")
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    assert read_apart(LogFiles((str(file),))).fault == "the mail log: /nowhere/python is not installed"


def said(answers: dict[str, str]) -> Run:
    """Programs that say these things."""

    def run_program(argv: Sequence[str], _patience: float = 0.0) -> ProgramResult:
        return ProgramResult(answers.get(argv[0], ""), fault="" if argv[0] in answers else "is not installed")

    return run_program


@pytest.mark.parametrize(
    ("postconf", "doveconf", "expected"),
    [
        ("maillog_file = ", "log_path = syslog", LogFiles()),
        ("maillog_file = /var/log/postfix.log", "", LogFiles(("/var/log/postfix.log",))),
        ("maillog_file = /dev/stdout", "log_path = /dev/stderr", LogFiles(("/dev/stdout",), ("/dev/stderr",))),
        (
            "",
            "# 2.3.19.1 (9b53102964): /etc/dovecot.conf\nlog_path = /var/log/d.log\ninfo_log_path = /var/log/i.log",
            LogFiles(MAIL_LOGS, ("/var/log/d.log", "/var/log/i.log")),
        ),
    ],
)
def test_where_the_log_is(postconf: str, doveconf: str, expected: LogFiles) -> None:
    """By what the two say of themselves; what is no file is not read in the end."""
    assert find_log("auto", said({"postconf": postconf, "doveconf": doveconf})) == expected


def test_facts_for_the_doctor(tmp_path: Path) -> None:
    """From the log and from what was changed since."""
    for name in ("postfix", "dovecot"):
        (tmp_path / name).mkdir()
    (tmp_path / "mail.log").write_text((DATA / "log" / "postfix-3.7.log").read_text())
    now = time.mktime((2026, 11, 27, 12, 0, 0, 0, 0, -1))
    answers = {
        "postconf": f"maillog_file = {tmp_path}/mail.log\nconfig_directory = {tmp_path}/postfix",
        "doveconf": f"# 2.3.19.1 (9b53102964): {tmp_path}/dovecot/dovecot.conf\nservice quota-warning {{\n"
        f"  executable = script {tmp_path}/warn.sh\n}}",
    }
    settings = Settings(policy=Policy(listen=(f"unix:{tmp_path}/policy",)), mailstore=Mailstore(doveadm="off"))

    def tallies() -> tuple[int, int]:
        tally = log_facts(Config(settings, {}), said(answers), now).tally("policy-trouble")
        return tally.count, tally.fresh

    assert tallies() == (10, 10)
    for place in ("postfix/main.cf", "dovecot/local.conf", "policy", "warn.sh"):
        path = tmp_path / place
        path.touch()
        assert tallies() == (10, 0), place
        path.unlink()
    (tmp_path / "postfix" / "virtual").touch()  # a map, not a setting
    assert tallies() == (10, 10)


def test_a_server_that_has_neither() -> None:
    """Is no error."""
    facts = log_facts(Config(Settings(), {}), said({}), time.time())
    assert facts.fault or facts.sources
