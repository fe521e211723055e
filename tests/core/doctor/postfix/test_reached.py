"""Policy services that Postfix reaches, or does not: what is tried, and what is said of it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from mailquota.core.base import programs
from mailquota.core.base.programs import ProgramResult
from mailquota.core.doctor.paths import UserFacts
from mailquota.core.doctor.postfix.connecting import reaches
from mailquota.core.doctor.postfix.facts import RECIPIENT, Answer, PolicyReach, PostfixFacts, Smtpd
from tests.core.doctor.healthy import BARE, CHECK, FOLDERS, QUOTA_STATUS, SOCKET, facts, outcome, postfix
from tests.core.doctor.healthy import socket as ours

OTHER = "unix:private/quota-status"
ME = UserFacts("me", os.geteuid(), (os.getegid(),))


def reach(service: str, result: Answer, *, jailed: bool = False) -> PolicyReach:
    return PolicyReach(service=service, jailed=jailed, result=result, text="" if result == "answer" else "why")


@pytest.mark.parametrize(
    ("main", "tried", "state", "words"),
    [
        (CHECK, (), "ok", "no other policy service"),
        (QUOTA_STATUS, (reach(OTHER, "answer"),), "ok", "connected to unix:private/quota-status as user postfix"),
        (QUOTA_STATUS, (), "skip", "run the doctor as root"),
        (QUOTA_STATUS, (reach(OTHER, "not asked"),), "skip", "is not known"),
        (QUOTA_STATUS, (reach(OTHER, "denied"),), "fail", "says '451 4.3.5 Server configuration problem' to every"),
        (QUOTA_STATUS, (reach(OTHER, "answer"), reach(OTHER, "missing", jailed=True)), "fail", "chrooted to /var"),
        (
            f"check_policy_service {{ {OTHER}, default_action=DUNNO }}", (reach(OTHER, "refused"),), "warn",
            "goes on without it (DUNNO)",
        ),
    ],
)  # fmt: skip
def test_other_services(main: str, tried: tuple[PolicyReach, ...], state: str, words: str) -> None:
    told = outcome("policy-services-reached", facts(postfix(main, reaches=tried)))
    assert (told.state, words in told.found) == (state, True), told
    assert bool(told.fix) == (state in {"fail", "warn"})


def test_a_port_where_nothing_listens() -> None:
    service = "inet:127.0.0.1:12340"
    told = outcome("policy-services-reached", facts(postfix(f"check_policy_service {service}", absent=(service,))))
    assert (told.state, "nothing listens at inet:127.0.0.1:12340" in told.found) == ("fail", True)


@pytest.mark.parametrize(
    ("mode", "result", "state", "words"),
    [
        (0o660, "answer", "ok", "(connected as it)"),
        (0o000, "answer", "ok", "(connected as it)"),  # an access list may allow it
        (0o660, "denied", "fail", "though owner and mode allow it"),
        (0o000, "denied", "fail", "may not connect to"),
        (0o660, None, "ok", "(by owner and mode)"),
    ],
)
def test_our_own_socket(mode: int, result: Answer | None, state: str, words: str) -> None:
    """The connection counts; owner and mode tell why it failed."""
    known = postfix(BARE)
    one = msgspec.structs.replace(known.sockets[0], file=ours(mode=mode), folders=FOLDERS)
    tried = () if result is None else (reach("unix:private/mailquota", result),)
    told = outcome("policy-socket-rights", facts(msgspec.structs.replace(known, sockets=(one,), reaches=tried)))
    assert (told.state, words in told.found) == (state, True), told


def test_our_own_socket_that_is_hidden_in_the_jail() -> None:
    service = "unix:private/mailquota"
    tried = (reach(service, "answer"), reach(service, "missing", jailed=True))
    told = outcome("policy-socket-jail", facts(postfix(BARE, reaches=tried)))
    assert (told.state, "in the chroot /var/spool/postfix" in told.found) == ("fail", True)


def known(queue: Path, *services: str, chroot: bool = False) -> PostfixFacts:
    checks = ", ".join(f"check_policy_service {service}" for service in services)
    values = {"queue_directory": str(queue), RECIPIENT: checks}
    return PostfixFacts(fault="", values=values, smtpds=(Smtpd("smtp/inet", chroot=chroot),), owner=ME)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_every_end_of_a_connection(tmp_path: Path) -> None:
    """By real sockets; each is tried once, and nothing is sent."""
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as stale:
        listening.bind(str(tmp_path / "there"))
        listening.listen()
        listening.settimeout(0)
        stale.bind(str(tmp_path / "stale"))
        (tmp_path / "file").touch()
        services = ("unix:there", "unix:there", "unix:stale", "unix:away", "unix:file/x", f"unix:{'x' * 200}")
        found = reaches(known(tmp_path, *services, "inet:127.0.0.1:1"), [f"unix:{tmp_path}/ours"], programs.run)
        connection, _ = listening.accept()
        assert connection.recv(10) == b""
        connection.close()
        with pytest.raises(BlockingIOError):
            listening.accept()
    assert [(one.service, one.result) for one in found] == [
        ("unix:there", "answer"),
        ("unix:stale", "refused"),
        ("unix:away", "missing"),
        ("unix:file/x", "missing"),
        (f"unix:{'x' * 200}", "closed"),
        ("unix:ours", "missing"),
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_child_that_fails_decides_nothing(tmp_path: Path) -> None:
    def run(argv: Sequence[str]) -> ProgramResult:
        return ProgramResult("0\n", "Traceback", 1, "python ended with 1: PermissionError")

    (found,) = reaches(known(tmp_path, "unix:there"), [], run)
    assert (found.result, found.text) == ("not asked", "python ended with 1: PermissionError")
    assert reaches(known(tmp_path / "nowhere", "unix:there"), [], programs.run)[0].result == "not asked"


def test_without_root_nothing_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert reaches(known(tmp_path, "unix:there"), [f"unix:{SOCKET}"], programs.run) == ()
