"""The way from Postfix to mailquota's socket: every state of its checks."""

from __future__ import annotations

import pytest

from mailquota.core.base.guarded import line, mode_by, owner_to
from mailquota.core.doctor.host.facts import EngineFacts
from mailquota.core.doctor.paths import PathFacts
from mailquota.core.doctor.postfix.facts import RECIPIENT, PostfixFacts, ProbeAnswer, Smtpd, SocketFacts
from tests.core.doctor.healthy import (
    CHECK,
    FOLDERS,
    SOCKET,
    config,
    facts,
    folder,
    host,
    outcome,
    postfix,
    socket,
)

ADDRESS = f"unix:{SOCKET}"
GUARD = "reject_unauth_destination"
ANSWERS = ProbeAnswer("answer", "action=DUNNO\n\n")


def seen(
    file: PathFacts | None = None, folders: tuple[PathFacts, ...] = FOLDERS, probe: ProbeAnswer = ANSWERS
) -> PostfixFacts:
    """Postfix with one socket of ours."""
    return postfix(sockets=(SocketFacts(ADDRESS, file or socket(), folders, probe),))


# ---- how Postfix asks


@pytest.mark.parametrize(
    ("options", "default", "state"),
    [
        ("{ unix:private/mailquota, timeout=10s }", "100s", "ok"),
        ("{ unix:private/mailquota, timeout=2m }", "100s", "warn"),
        ("unix:private/mailquota", "100s", "warn"),
        ("unix:private/mailquota", "1h", "warn"),
        ("unix:private/mailquota", "20", "ok"),
        ("unix:private/mailquota", "soon", "skip"),
    ],
)
def test_timeout(options: str, default: str, state: str) -> None:
    asked = postfix(f"{GUARD}, check_policy_service {options}", values={"smtpd_policy_service_timeout": default})
    said = outcome("policy-service-timeout", facts(asked))
    assert said.state == state
    assert (said.fix == f"postconf -e '{RECIPIENT} = {GUARD}, {CHECK}'\npostfix reload") == (state == "warn")


@pytest.mark.parametrize(
    ("options", "default", "state"),
    [
        ("{ unix:private/mailquota, default_action=dunno }", "451 4.3.5 x", "ok"),
        ("unix:private/mailquota", "DUNNO", "ok"),
        ("unix:private/mailquota", "451 4.3.5 Server configuration problem", "warn"),
        ("{ unix:private/mailquota, { default_action = 550 5.7.1 no } }", "DUNNO", "warn"),
        ("{ unix:private/mailquota, default_action=OK }", "DUNNO", "warn"),
    ],
)
def test_default_action(options: str, default: str, state: str) -> None:
    values = {"smtpd_policy_service_default_action": default}
    asked = postfix(f"{GUARD}, check_policy_service {options}", values=values)
    assert outcome("policy-service-default-action", facts(asked)).state == state


# ---- the file


@pytest.mark.parametrize(
    ("file", "probe", "state", "words"),
    [
        (socket(), ANSWERS, "ok", "in place"),
        (PathFacts(SOCKET), ProbeAnswer(), "fail", "there is no socket"),
        (PathFacts(SOCKET, "file"), ProbeAnswer(), "fail", "is a file, not a socket"),
        (PathFacts(SOCKET, "folder"), ProbeAnswer(), "fail", "is a folder, not a socket"),
        (socket(), ProbeAnswer("refused", "connection refused"), "fail", "stale"),
        (
            PathFacts(SOCKET, "closed", fault=f"{SOCKET}: Permission denied"),
            ProbeAnswer(),
            "skip",
            "run the doctor as root",
        ),
    ],
)
def test_socket_file(file: PathFacts, probe: ProbeAnswer, state: str, words: str) -> None:
    said = outcome("policy-socket", facts(seen(file, probe=probe)))
    assert said.state == state
    assert words in said.found
    assert bool(said.fix) == (state == "fail")


def test_a_socket_that_systemd_opened_comes_back_with_its_own_unit() -> None:
    gone = seen(PathFacts(SOCKET), probe=ProbeAnswer())
    service = "mailquota.socket mailquota.service"
    assert outcome("policy-socket", facts(gone)).fix == f"systemctl stop {service}\nsystemctl start {service}"
    by_hand = host(installed=False, engine=EngineFacts(known=True))
    assert outcome("policy-socket", facts(gone, host=by_hand)).fix == "mailquota install --apply"


def test_a_file_with_a_hostile_name_can_not_reach_the_shell() -> None:
    path = "/var/spool/postfix/private/a'; reboot #"
    listed = SocketFacts(f"unix:{path}", PathFacts(path, "file"), FOLDERS)
    said = outcome("policy-socket", facts(postfix(sockets=(listed,))))
    assert """&& mv -nT './a'"'"'; reboot #' './a'"'"'; reboot #'.old)""" in said.fix.splitlines()[0]


def test_a_path_that_is_too_long() -> None:
    path = "/var/spool/postfix/private/" + "m" * 90
    listed = SocketFacts(f"unix:{path}", PathFacts(path), FOLDERS)
    said = outcome("policy-socket", facts(postfix(sockets=(listed,))))
    assert said.state == "fail"
    assert "107 bytes" in said.found


def test_inet_has_no_file() -> None:
    listed = SocketFacts("inet:127.0.0.1:10040", probe=ANSWERS)
    found = facts(postfix(sockets=(listed,)))
    for check in ("policy-socket", "policy-socket-rights", "policy-service-answers"):
        assert outcome(check, found).state == "ok"


def test_where_neither_side_was_set_up_the_socket_is_not_missed() -> None:
    absent = postfix(GUARD, sockets=(SocketFacts(ADDRESS, PathFacts(SOCKET), FOLDERS),))
    assert outcome("policy-socket", facts(absent)).state == "skip"


# ---- rights


@pytest.mark.parametrize(
    ("file", "state"),
    [
        (socket(), "ok"),
        (socket(mode=0o666, uid=0, gid=0, owner="root"), "ok"),
        (socket(mode=0o660, uid=5000, gid=105), "ok"),
        (socket(mode=0o600, uid=0, gid=0, owner="root"), "fail"),
        (socket(mode=0o460), "fail"),
        (socket(mode=0o600, uid=0, gid=0, owner="root", acl=True), "skip"),
        (PathFacts(SOCKET, "closed", fault=f"{SOCKET}: Permission denied"), "skip"),
        (PathFacts(SOCKET), "ok"),
    ],
)
def test_rights_of_the_socket(file: PathFacts, state: str) -> None:
    said = outcome("policy-socket-rights", facts(seen(file)))
    assert said.state == state
    assert said.fix.startswith(line(SOCKET, owner_to("postfix"), mode_by("postfix", "u+rw")) + "\n") == (
        state == "fail"
    )


@pytest.mark.parametrize(
    ("closed", "fix"),
    [
        (folder("/var/spool/postfix/private", 0o700), "chown -h postfix ./private"),
        (folder("/var/spool/postfix/private", 0o600, 101), "runuser -u postfix -- chmod u+rwx ./private"),
        (folder("/var/spool", 0o700), "chmod o+x ./spool"),
    ],
)
def test_rights_of_the_folders(closed: PathFacts, fix: str) -> None:
    said = outcome("policy-socket-rights", facts(seen(folders=(folder("/"), closed))))
    assert said.state == "fail"
    assert "may not enter" in said.found
    assert fix in said.fix
    assert len(said.fix.splitlines()) == 1


def test_no_user_of_postfix() -> None:
    assert outcome("policy-socket-rights", facts(postfix(owner=None))).state == "skip"


# ---- the jail


ABSOLUTE = f"{GUARD}, check_policy_service {{ unix:{SOCKET}, timeout=5s, default_action=DUNNO }}"


def test_an_absolute_path_leads_nowhere_in_the_jail() -> None:
    said = outcome("policy-socket-jail", facts(postfix(ABSOLUTE)))
    assert said.state == "fail"
    assert said.fix == f"postconf -e '{RECIPIENT} = {GUARD}, {CHECK}'\npostfix reload"


def test_without_a_jail_it_does() -> None:
    free = (Smtpd("smtp/inet", chroot=False),)
    assert outcome("policy-socket-jail", facts(postfix(ABSOLUTE, smtpds=free))).state == "ok"
    assert outcome("policy-socket-jail", facts()).state == "ok"


def test_every_service_that_asks_is_judged_by_its_own_jail() -> None:
    """Port 25 may be free of it, and another not."""
    two = (Smtpd("smtp/inet", chroot=False), Smtpd("2525/inet", chroot=True))
    said = outcome("policy-socket-jail", facts(postfix(ABSOLUTE, smtpds=two)))
    assert (said.state, said.found.split()[0]) == ("fail", "2525/inet")
    other = (two[0], Smtpd("2525/inet", chroot=True, overrides={RECIPIENT: GUARD}))
    assert outcome("policy-socket-jail", facts(postfix(ABSOLUTE, smtpds=other))).state == "ok"


def test_a_socket_outside_the_queue_directory_needs_another_place() -> None:
    outside = config(policy={"listen": ("unix:/run/mailquota/policy",)})
    asked = postfix(f"{GUARD}, check_policy_service unix:/run/mailquota/policy")
    said = outcome("policy-socket-jail", facts(asked, config_=outside))
    assert said.state == "fail"
    assert "postconf -F smtp/inet/chroot=n\npostfix reload" in said.fix
    assert all(line.startswith(("#", "post")) for line in said.fix.splitlines())


# ---- the answer


@pytest.mark.parametrize(
    ("probe", "state", "words"),
    [
        (ANSWERS, "ok", "mailquota answers"),
        (ProbeAnswer("answer", "action=dunno\n\n"), "ok", "mailquota answers"),
        (ProbeAnswer("answer", "action=OK\n\n"), "fail", "foreign service"),
        (ProbeAnswer("answer", "action=\n\n"), "fail", "foreign service"),
        (ProbeAnswer("answer", "action=DUNNO\n"), "fail", "not the policy protocol"),
        (ProbeAnswer("answer", "220 mail ESMTP\r\n"), "fail", "not the policy protocol"),
        (ProbeAnswer("silent", "no answer within 2 s"), "fail", "does not answer"),
        (ProbeAnswer("closed", "the connection was closed without an answer"), "fail", "closed without an answer"),
        (ProbeAnswer("refused", "Connection refused"), "fail", "refused"),
        (ProbeAnswer("denied", "Permission denied"), "skip", "run the doctor as root"),
        (ProbeAnswer("missing"), "skip", "see policy-socket"),
        (ProbeAnswer(), "skip", "see policy-socket"),
    ],
)
def test_answers(probe: ProbeAnswer, state: str, words: str) -> None:
    said = outcome("policy-service-answers", facts(seen(probe=probe)))
    assert said.state == state
    assert words in said.found


def test_a_folder_that_is_closed_to_us_keeps_us_from_asking() -> None:
    closed = PathFacts(SOCKET, "closed", fault=f"{SOCKET}: Permission denied")
    said = outcome("policy-service-answers", facts(seen(closed, probe=ProbeAnswer())))
    assert said.state == "skip"
    assert SOCKET in said.found


@pytest.mark.parametrize(
    ("engine", "state"),
    [
        (EngineFacts(known=True), "warn"),
        (EngineFacts(known=True, fault="permission denied"), "ok"),
        (EngineFacts(), "ok"),
    ],
)
def test_somebody_answers_though_no_engine_runs(engine: EngineFacts, state: str) -> None:
    assert outcome("policy-service-answers", facts(host=host(engine=engine))).state == state
