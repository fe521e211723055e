"""What is asked of Postfix and of the socket: recorded answers, and everything that can go wrong."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailquota.core.base.endpoints import ListenAddress, parse_listen
from mailquota.core.base.programs import ProgramResult
from mailquota.core.doctor.examine import judge
from mailquota.core.doctor.model import Facts
from mailquota.core.doctor.postfix import probe as probe_postfix
from mailquota.core.doctor.postfix.checks import POSTFIX_CHECKS
from mailquota.core.doctor.postfix.facts import RECIPIENT, RELAY, ProbeAnswer, Smtpd
from mailquota.core.doctor.postfix.probe import gather, look_at, parse_master, probe
from tests.core.doctor.healthy import config, outcome
from tests.core.engines import embedded, inner
from tests.core.worlds import SmallWorld
from tests.mailserver.fixture import temporary_folder

DATA = Path(__file__).parents[3] / "data" / "postfix"


class Recorded:
    """Answers of one version; ``faults`` by the option that is asked with."""

    def __init__(self, version: str, faults: dict[str, ProgramResult] | None = None, more: str = "") -> None:
        self._answers = {
            "-x": ProgramResult((DATA / f"settings-{version}.txt").read_text() + more, code=0),
            "-M": ProgramResult((DATA / f"services-{version}.txt").read_text(), code=0),
            "-Px": ProgramResult((DATA / f"service-options-{version}.txt").read_text(), code=0),
        } | (faults or {})
        self.asked: list[Sequence[str]] = []

    def __call__(self, argv: Sequence[str]) -> ProgramResult:
        self.asked.append(argv)
        if argv[1] == "-I":  # the child that connects
            return ProgramResult(
                "0\n" * sum(word.startswith(("private/", "/", "there", "away")) for word in argv[8:]), code=0
            )
        return self._answers[argv[1]]


NOWHERE = config(policy={"listen": ("unix:/var/spool/postfix/private/not-there",)})


@pytest.mark.parametrize(("version", "number"), [("3.7", (3, 7)), ("3.10", (3, 10))])
def test_recorded_settings(version: str, number: tuple[int, int]) -> None:
    facts = gather(NOWHERE, Recorded(version))
    assert (facts.fault, facts.master_fault, facts.version) == ("", "", number)
    assert facts.queue_directory == "/var/spool/postfix"
    users = "permit_sasl_authenticated,reject"
    assert [(one.service, one.chroot) for one in facts.smtpds] == [("smtp/inet", True), ("submission/inet", True)]
    assert facts.smtpds[1].overrides[RECIPIENT] == facts.smtpds[1].overrides[RELAY] == users


def test_policy_services_without_a_socket(tmp_path: Path) -> None:
    """Other machines are not asked, nor is what is no address at all."""
    (tmp_path / "there").touch()
    with socket.socket() as closed, socket.create_server(("127.0.0.1", 0)) as open_:
        closed.bind(("127.0.0.1", 0))  # and nobody listens
        nobody, somebody = (f"inet:localhost:{one.getsockname()[1]}" for one in (closed, open_))
        names = ("unix:there", "unix:away", somebody, nobody, "inet:192.0.2.1:1", f"inet:[::1]:{'9' * 30}", "inet:x")
        asked = ", ".join(f"check_policy_service {name}" for name in names)
        more = f"{RECIPIENT} = {asked}\nqueue_directory = {tmp_path}\n"
        assert gather(NOWHERE, Recorded("3.7", more=more)).absent == ("unix:away", nobody)


@pytest.mark.parametrize("version", ["3.7", "3.10"])
def test_a_server_of_the_guides_is_told_nothing_but_that_it_asks_quota_status(version: str) -> None:
    facts = Facts(config=NOWHERE, postfix=gather(NOWHERE, Recorded(version)))
    found = {one.check: one.state for one in judge(facts, POSTFIX_CHECKS) if one.state in {"warn", "fail"}}
    assert found == {"policy-service-listed": "warn"}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (ProgramResult(fault="postconf is not installed"), "not installed"),
        (ProgramResult(fault="postconf took longer than 5 s"), "longer than 5 s"),
        (
            ProgramResult("", "postconf: fatal: …", 1, "postconf ended with 1: open main.cf: Permission denied"),
            "Permission denied",
        ),
        (ProgramResult("", code=0), "prints no mail_version"),
        (ProgramResult("\0\x1b[31m = \n=\n  = x\ngarbage", code=0), "prints no mail_version"),
    ],
)
def test_postconf_in_trouble(said: ProgramResult, words: str) -> None:
    """Nothing raises, nothing is asked twice, and each check of Postfix says why it can't judge."""
    run = Recorded("3.7", {"-x": said})
    facts = gather(NOWHERE, run)
    assert words in facts.fault
    assert len(run.asked) == 1
    for finding in judge(Facts(config=NOWHERE, postfix=facts), POSTFIX_CHECKS):
        assert finding.state in {"ok", "skip"} or finding.check == "policy-socket"


@pytest.mark.parametrize("option", ["-M", "-Px"])
def test_master_cf_in_trouble(option: str) -> None:
    fault = "postconf ended with 1: postconf: fatal: open /etc/postfix/master.cf: Permission denied"
    facts = gather(NOWHERE, Recorded("3.7", {option: ProgramResult(code=1, fault=fault)}))
    assert (facts.fault, facts.master_fault, facts.smtpds) == ("", fault, ())


def test_restriction_classes_are_asked_for() -> None:
    run = Recorded("3.7", more="smtpd_restriction_classes = full, other\n")
    gather(NOWHERE, run)
    assert ["postconf", "-x", "full", "other"] in run.asked


def test_garbage_of_master_cf_is_no_service() -> None:
    assert parse_master("x\nsmtp inet n\n\0\n# smtp inet n - y - - smtpd\n", "a/b\n= \n", dash_is_chroot=False) == ()


@pytest.mark.parametrize(
    ("column", "old", "chroot"), [("y", False, True), ("n", True, False), ("-", False, False), ("-", True, True)]
)
def test_what_a_dash_means_depends_on_the_level(column: str, old: bool, chroot: bool) -> None:
    found = parse_master(
        f"smtp inet n - {column} - - smtpd\n", "smtp/inet/a = b\nsmtp/unix/c = d\n", dash_is_chroot=old
    )
    assert found == (Smtpd("smtp/inet", chroot, {"a": "b"}),)


# ---- the socket


def at(path: Path) -> ListenAddress:
    return ListenAddress("unix", path=str(path))


@contextmanager
def service(path: Path, answer: bytes, *, hold: bool = True) -> Iterator[None]:
    """Answers one connection; with ``hold`` it stays open until the end."""
    end = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)
                if hold:
                    end.wait()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()


@pytest.mark.parametrize("answer", ["action=DUNNO\n\n", "action=OK\n\n", "220 mail ESMTP\n\n"])
def test_an_answer_is_kept_as_it_is(tmp_path: Path, answer: str) -> None:
    with service(tmp_path / "s", answer.encode()):
        assert probe(at(tmp_path / "s")) == ProbeAnswer("answer", answer)


def test_half_an_answer_is_kept_too(tmp_path: Path) -> None:
    with service(tmp_path / "s", b"action=", hold=False):
        assert probe(at(tmp_path / "s")) == ProbeAnswer("answer", "action=")


def test_who_closes_said_nothing(tmp_path: Path) -> None:
    with service(tmp_path / "s", b"", hold=False):
        assert probe(at(tmp_path / "s")).result == "closed"


def test_who_is_silent_is_left_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_postfix, "PATIENCE", 0.05)
    with service(tmp_path / "s", b"action=DUNNO\n"):
        assert probe(at(tmp_path / "s")).result == "silent"


def test_a_greeting_is_enough_to_know_a_foreign_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_postfix, "PATIENCE", 0.05)
    with service(tmp_path / "s", b"220 mail ESMTP\r\n"):
        assert probe(at(tmp_path / "s")) == ProbeAnswer("answer", "220 mail ESMTP\r\n")


def test_nobody_there(tmp_path: Path) -> None:
    assert probe(at(tmp_path / "s")).result == "missing"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(tmp_path / "s"))
    assert probe(at(tmp_path / "s")).result == "refused"
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert probe(parse_listen(f"inet:127.0.0.1:{port}")).result == "refused"


@pytest.mark.parametrize("address", ["inet:no.such.host.invalid:1", f"inet:{'a' * 64}.example:1"])
def test_a_host_that_is_none(address: str) -> None:
    assert probe(parse_listen(address)).result in {"closed", "refused"}


def test_a_path_that_is_too_long_is_not_tried(tmp_path: Path) -> None:
    assert probe(ListenAddress("unix", path=f"/{'a' * 200}")).result == "not asked"


def test_our_own_engine_answers_dunno_and_counts_nothing(small_world: SmallWorld) -> None:
    """By contract, whatever it would say about a recipient."""
    with embedded(small_world) as running:
        seen = look_at(at(small_world.policy_socket))
        assert seen.probe == ProbeAnswer("answer", "action=DUNNO\n\n")
        assert seen.file is not None
        assert (seen.file.kind, seen.folders[0].path) == ("socket", "/")
        assert seen.folders[-1].path == str(small_world.policy_socket.parent)
        status = inner(running).status()
        assert (status.requests, status.refused, status.trouble, status.malformed) == (0, 0, 0, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else for a moment")
def test_a_folder_that_is_closed_to_us_is_told() -> None:
    with temporary_folder() as folder:
        closed = folder / "private"
        closed.mkdir(mode=0o700)
        (closed / "mailquota").touch()
        os.seteuid(65534)
        try:
            seen = look_at(at(closed / "mailquota"))
        finally:
            os.seteuid(0)
    assert [one.kind for one in seen.folders[-2:]] == ["folder", "folder"]
    assert seen.file is not None
    assert seen.file.kind == "closed"
    assert "Permission denied" in seen.file.fault
    assert seen.probe.result == "not asked"


@pytest.mark.parametrize(
    ("said", "uid", "state"),
    [
        (ProgramResult(code=0), 0, "fail"),
        (ProgramResult(code=1), 0, "ok"),
        (ProgramResult(code=1), 1000, "skip"),
        (ProgramResult(fault="master is not installed"), 0, "skip"),
    ],
    ids=["stopped", "runs", "not root", "no program"],
)
def test_whether_postfix_runs(said: ProgramResult, uid: int, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own test of the lock, which needs root."""
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    run = Recorded("3.7", {"-t": said}, more="daemon_directory = /usr/lib/postfix/sbin\n")
    found = outcome("postfix-running", Facts(config=NOWHERE, postfix=gather(NOWHERE, run)))
    assert found.state == state
    assert (found.fix == "postfix start") == (state == "fail")
    assert (["/usr/lib/postfix/sbin/master", "-t"] in run.asked) == (uid == 0)
