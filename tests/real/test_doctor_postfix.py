"""A real Postfix, broken on purpose: the doctor names the cause, and its fix, run as it is, mends it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from mailquota.core.base.endpoints import parse_listen
from mailquota.core.doctor.examine import examine, judge
from mailquota.core.doctor.host.checks import HOST_CHECKS
from mailquota.core.doctor.model import Facts
from mailquota.core.doctor.postfix.probe import look_at
from mailquota.core.doctor.postfix.socket import SOCKET_CHECKS
from mailquota.core.settings.config import load
from tests.mailserver.fixture import require_servers, temporary_folder
from tests.mailserver.postfix import MAILQUOTA_CHECK, Postfix
from tests.mailserver.server import MailServer
from tests.real.beside import Mailquota, wait_until, write_settings
from tests.real.doctored_postfix import CHECKS, REFUSAL, Doctored, StaticPostfix

pytestmark = pytest.mark.server

LIST = "smtpd_recipient_restrictions"
RELAY = "smtpd_relay_restrictions"
ASKED = f"reject_unauth_destination, {MAILQUOTA_CHECK}"
OF_THIS_MACHINE = {"disk-space", "disk-inodes", "disk-promised", "clock"}
BARE = "check_policy_service unix:private/mailquota"


@pytest.fixture(scope="module")
def postfix() -> Iterator[StaticPostfix]:
    """One for all of these tests; each gets its settings back as they were."""
    require_servers(*Postfix.programs)
    with temporary_folder() as folder, StaticPostfix(folder / "postfix") as server:
        yield server


@pytest.fixture
def doctored(postfix: StaticPostfix, tmp_path: Path) -> Iterator[Doctored]:
    """Healthy: all checks are green, and Postfix asks."""
    whole = tmp_path / "whole"
    shutil.copytree(postfix.config, whole)
    doctored = Doctored(postfix, tmp_path)
    doctored.service.start()
    try:
        wait_until(lambda: doctored.reply() == REFUSAL, "Postfix lets mailquota refuse")
        assert {name: one.found for name, one in doctored.findings().items() if one.state != "ok"} == {}
        yield doctored
    finally:
        doctored.service.stop()
        doctored.service.path.unlink(missing_ok=True)
        shutil.chown(postfix.sockets, "postfix")
        for file in whole.iterdir():
            shutil.copy(file, postfix.config)
            os.utime(postfix.config / file.name, (0, 0))
        doctored.run("postfix reload")


def main_cf(**values: str) -> Callable[[Doctored], None]:
    """A broken main.cf."""
    script = "\n".join(f"postconf -e '{name} = {value}'" for name, value in values.items())
    return lambda doctored: doctored.run(f"{script}\npostfix reload")


def master_cf(script: str) -> Callable[[Doctored], None]:
    """A broken master.cf; SMTP is the service that takes mail."""
    return lambda doctored: doctored.run(f"{script.replace('SMTP', doctored.postfix.service)}\npostfix reload")


def settings(text: str) -> Callable[[Doctored], None]:
    """More lines in [policy] of mailquota's settings."""

    def change(doctored: Doctored) -> None:
        with doctored.settings.open("a") as file:
            file.write(f"{text}\n")

    return change


def stopped(doctored: Doctored) -> None:
    doctored.service.stop()


def stale(doctored: Doctored) -> None:
    doctored.service.stop(stale=True)


def a_file(doctored: Doctored) -> None:
    doctored.service.stop()
    doctored.service.path.write_text("not a socket")


def roots_socket(doctored: Doctored) -> None:
    shutil.chown(doctored.service.path, "root", "root")
    doctored.service.path.chmod(0o600)


def roots_folder(doctored: Doctored) -> None:
    shutil.chown(doctored.postfix.sockets, "root", "root")


def absolute_in_jail(doctored: Doctored) -> None:
    check = MAILQUOTA_CHECK.replace("private/mailquota", str(doctored.service.path))
    main_cf(**{LIST: f"reject_unauth_destination, {check}"})(doctored)
    master_cf("postconf -F 'SMTP/chroot = y'")(doctored)


BREAKAGES = [
    ("not asked", main_cf(**{LIST: "reject_unauth_destination"}), "policy-service-listed", "does not ask mailquota"),
    (
        "in another list",
        main_cf(**{LIST: "reject_unauth_destination", "smtpd_sender_restrictions": MAILQUOTA_CHECK}),
        "policy-service-listed",
        "only smtpd_sender_restrictions asks",
    ),
    (
        "only after the data",
        main_cf(**{LIST: "reject_unauth_destination", "smtpd_end_of_data_restrictions": MAILQUOTA_CHECK}),
        "policy-service-listed",
        "a mail with several recipients is never refused",
    ),
    (
        "quota-status instead",
        main_cf(**{LIST: "reject_unauth_destination, check_policy_service unix:private/quota-status"}),
        "policy-service-listed",
        "quota-status, not mailquota",
    ),
    (
        "quota-status as well",
        main_cf(**{LIST: f"reject_unauth_destination, check_policy_service inet:127.0.0.1:12340, {MAILQUOTA_CHECK}"}),
        "two-enforcers",
        "inet:127.0.0.1:12340",
    ),
    (
        "behind a permit",
        main_cf(**{LIST: f"permit, {MAILQUOTA_CHECK}"}),
        "policy-service-place",
        "permit stands before",
    ),
    (
        "behind permit_auth_destination",
        main_cf(**{LIST: f"permit_auth_destination, {MAILQUOTA_CHECK}, reject"}),
        "policy-service-place",
        "permit_auth_destination stands before",
    ),
    (
        "only logged",
        main_cf(**{LIST: f"reject_unauth_destination, warn_if_reject, {MAILQUOTA_CHECK}"}),
        "policy-service-place",
        "warn_if_reject",
    ),
    (
        "first",
        main_cf(**{LIST: f"{MAILQUOTA_CHECK}, reject_unauth_destination"}),
        "policy-service-place",
        "before reject_unauth_destination",
    ),
    ("twice", main_cf(**{LIST: f"{ASKED}, {BARE}"}), "policy-service-once", "2 times"),
    (
        "overridden",
        master_cf(f"postconf -P 'SMTP/{LIST}=reject_unauth_destination'"),
        "policy-service-override",
        "replaces the list",
    ),
    ("overridden by nothing", master_cf(f"postconf -P 'SMTP/{LIST}='"), "policy-service-override", "replaces the list"),
    (
        "no timeout",
        main_cf(**{LIST: f"reject_unauth_destination, {BARE}"}),
        "policy-service-timeout",
        "100s",
    ),
    (
        "no default action",
        main_cf(**{LIST: "reject_unauth_destination, check_policy_service { unix:private/mailquota, timeout=5s }"}),
        "policy-service-default-action",
        "451 4.3.5",
    ),
    ("stopped", stopped, "policy-socket", "there is no socket"),
    ("stale socket", stale, "policy-socket", "stale"),
    ("a file in its place", a_file, "policy-socket", "is a file"),
    ("socket of root", roots_socket, "policy-socket-rights", "may not connect"),
    ("folder of root", roots_folder, "policy-socket-rights", "may not enter"),
    ("outside the jail", absolute_in_jail, "policy-socket-jail", "is chrooted to"),
    (
        "open relay",
        main_cf(**{RELAY: "permit_mynetworks, permit", LIST: f"{MAILQUOTA_CHECK}, defer_if_permit"}),
        "relay-control",
        "refuses to relay mail for strangers",
    ),
    ("everybody is at home", main_cf(mynetworks="0.0.0.0/0"), "relay-control", "0.0.0.0/0"),
    (
        "users can't send",
        main_cf(smtpd_sasl_auth_enable="yes"),
        "submission-relay",
        "refuses recipients on other servers before permit_sasl_authenticated",
    ),
    ("another delimiter", main_cf(recipient_delimiter="-"), "recipient-delimiter", "'-'"),
    ("unknown users are refused", settings('nouser = "REJECT no such user"'), "answer-no-such-user", "REJECT"),
    ("mail that fits is refused", settings('success = "REJECT"'), "answer-otherwise", "mail that fits is refused"),
    ("codes disagree", settings('overquota = "452 5.2.2 full"'), "answer-codes", "do not agree"),
    ("refuses nothing", settings('overquota = "DUNNO"'), "answer-codes", "refuses nothing"),
]


# Where Postfix really does not let mailquota refuse, as a client sees it. (Its folder closed, it does nothing.)
NOT_REFUSED = {
    "not asked", "only after the data", "quota-status instead", "behind a permit", "behind permit_auth_destination",
    "only logged", "overridden", "overridden by nothing", "stopped", "stale socket", "a file in its place",
    "socket of root", "outside the jail",
}  # fmt: skip


@pytest.mark.parametrize("name", [one[0] for one in BREAKAGES])
def test_what_is_broken_is_named_and_mended(doctored: Doctored, name: str) -> None:
    """Green before (the fixture), named when broken, and green after the fix; then Postfix really asks."""
    (_, broken, check, words) = next(one for one in BREAKAGES if one[0] == name)
    broken(doctored)
    finding = doctored.findings()[check]
    assert finding.state in {"warn", "fail"}
    assert words in finding.found
    if name in NOT_REFUSED:
        wait_until(lambda: doctored.reply() not in {"", REFUSAL}, "Postfix does not let mailquota refuse")
    doctored.run(finding.fix)
    assert doctored.findings()[check].state == "ok"
    wait_until(lambda: doctored.reply() == REFUSAL, "Postfix lets mailquota refuse")


def test_a_server_of_the_tutorial_gets_no_alarm(
    mailserver: MailServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a real engine, as everything is meant to be."""
    monkeypatch.setenv("MAIL_CONFIG", str(mailserver.postfix.config))
    mailserver.add_user("healthy@example.org", 10_000_000)
    file = write_settings(mailserver, tmp_path)
    file.chmod(0o600)  # it holds a password
    with Mailquota(file, mailserver):
        findings = examine(load(file, {}))
    own = {check.name for check in (*CHECKS, *HOST_CHECKS)} - OF_THIS_MACHINE
    assert {one.check: one.found for one in findings if one.check in own and one.state != "ok"} == {}


def test_without_root_it_says_what_it_could_not_see(doctored: Doctored) -> None:
    """private/ is Postfix's alone."""
    os.seteuid(65534)
    try:
        seen = look_at(parse_listen(f"unix:{doctored.service.path}"))
    finally:
        os.seteuid(0)
    assert seen.file is not None
    assert (seen.file.kind, seen.probe.result) == ("closed", "not asked")
    blind = Facts(
        config=doctored.config, postfix=msgspec.structs.replace(doctored.facts(), sockets=(seen,), reaches=())
    )
    for finding in judge(blind, SOCKET_CHECKS):
        if finding.check in {"policy-socket", "policy-socket-rights", "policy-service-answers"}:
            assert finding.state == "skip"
            assert str(doctored.service.path) in finding.found
        else:
            assert finding.state == "ok"
