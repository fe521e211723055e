"""Delivery: which way is taken, what failures mean, and Maildirs that somebody has spoilt."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.alerts import maildir as own
from core.alerts import programs
from core.alerts.deliver import Deliverer, Method, Ways
from core.alerts.programs import DeliveryError

ROOT = Path(__file__).parents[3]
JOHN = "john@example.org"
MESSAGE = b"Message-ID: <one@example.org>\nSubject: full\n\nHello\nthere.\n"
Program = Callable[..., tuple[str, ...]]


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    """An empty one."""
    for part in ("cur", "new", "tmp"):
        (tmp_path / "Maildir" / part).mkdir(parents=True)
    return tmp_path / "Maildir"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """A program that notes its words, environment and input, says something and ends."""

    def make(name: str, code: int = 0, says: str = "", before: str = "") -> tuple[str, ...]:
        path, notes = tmp_path / name, tmp_path / f"{name}.notes"
        path.write_text(
            f"#!/bin/sh\n{before}\n(printf '%s\\n' \"$@\"; env; cat) > {notes}\nprintf '%s' '{says}'\nexit {code}\n"
        )
        path.chmod(0o755)
        return (str(path),)

    return make


def notes(tmp_path: Path, name: str) -> list[str]:
    path = tmp_path / f"{name}.notes"
    return path.read_text().splitlines() if path.exists() else []


def deliverer(maildir: Path, method: Method = "auto", **ways: object) -> Deliverer:
    return Deliverer(method, Ways(lambda _address: str(maildir), **ways))  # type: ignore[arg-type]


def delivered(maildir: Path) -> list[Path]:
    return sorted((maildir / "new").iterdir())


# ---- by ourselves


def test_a_mail_is_there_with_its_sizes_and_is_counted(maildir: Path) -> None:
    (maildir / "maildirsize").write_text("5000S\n100 1\n")
    assert deliverer(maildir).deliver(JOHN, MESSAGE) == "maildir"
    (file,) = delivered(maildir)
    assert file.read_bytes() == MESSAGE
    assert file.name.endswith(f",S={len(MESSAGE)},W={len(MESSAGE) + len(MESSAGE.splitlines())}")
    assert (maildir / "maildirsize").read_text() == f"5000S\n100 1\n{len(MESSAGE)} 1\n"
    assert list((maildir / "tmp").iterdir()) == []


def test_line_ends_that_are_whole_already_are_counted_once(maildir: Path) -> None:
    deliverer(maildir).deliver(JOHN, b"a\r\nb\n")
    assert delivered(maildir)[0].name.endswith(",S=5,W=6")


def test_where_nobody_keeps_a_maildirsize_none_is_made(maildir: Path) -> None:
    deliverer(maildir).deliver(JOHN, MESSAGE)
    assert not (maildir / "maildirsize").exists()


def test_two_mails_have_two_names(maildir: Path) -> None:
    for _ in range(3):
        deliverer(maildir).deliver(JOHN, MESSAGE)
    assert len(delivered(maildir)) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_it_belongs_to_the_owner_of_the_mailbox(maildir: Path) -> None:
    os.chown(maildir, 5000, 5001)
    maildir.chmod(0o2770)
    deliverer(maildir).deliver(JOHN, MESSAGE)
    found = delivered(maildir)[0].stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (5000, 5001, 0o660)


def missing(maildir: Path) -> None:
    maildir.rename(maildir.with_name("elsewhere"))


def no_maildir(maildir: Path) -> None:
    (maildir / "cur").rmdir()


def led_elsewhere(part: str) -> Callable[[Path], None]:
    def spoil(maildir: Path) -> None:
        (maildir / part).rename(maildir.with_name(f"other-{part}"))
        (maildir / part).symlink_to(maildir.with_name(f"other-{part}"))

    return spoil


def a_file(maildir: Path) -> None:
    (maildir / "new").rmdir()
    (maildir / "new").write_text("")


@pytest.mark.parametrize("spoil", [missing, no_maildir, led_elsewhere("new"), led_elsewhere("tmp"), a_file])
def test_a_place_that_is_none_is_told_and_nothing_is_left(maildir: Path, spoil: Callable[[Path], None]) -> None:
    """A link could lead into anybody's files."""
    spoil(maildir)
    with pytest.raises(DeliveryError, match=str(maildir)):
        deliverer(maildir).deliver(JOHN, MESSAGE)
    assert not list(maildir.parent.rglob("*,S=*"))


def test_a_full_disk_leaves_nothing_in_new(maildir: Path) -> None:
    """Limited by the kernel, in a process of its own."""
    code = (
        "import resource, signal, sys\nfrom core.alerts.maildir import deliver, DeliveryError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: deliver(sys.argv[1], b'x' * 100_000)\n"
        "except DeliveryError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(maildir)], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert "File too large" in done.stdout
    assert list(maildir.rglob("*,S=*")) == []


def test_killed_in_between_there_is_a_whole_mail_or_none(maildir: Path) -> None:
    code = (
        "import sys; from core.alerts import maildir\nprint('go', flush=True)\n"
        "while True: maildir.deliver(sys.argv[1], b'x' * 300_000)\n"
    )
    for number in range(5):
        child = subprocess.Popen([sys.executable, "-c", code, str(maildir)], stdout=subprocess.PIPE, cwd=ROOT)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.003 * number)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    assert {file.stat().st_size for file in delivered(maildir)} <= {300_000}


def test_a_maildirsize_that_is_a_trap_is_left_alone(maildir: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (maildir / "maildirsize").symlink_to(victim)
    deliverer(maildir).deliver(JOHN, MESSAGE)
    assert victim.read_text() == "mine"
    (maildir / "maildirsize").unlink()
    os.mkfifo(maildir / "maildirsize")
    deliverer(maildir).deliver(JOHN, MESSAGE)
    assert len(delivered(maildir)) == 2


def test_what_arrived_is_found_again(maildir: Path) -> None:
    sending = deliverer(maildir, "maildir")
    assert sending.was_delivered(JOHN, "<one@example.org>") is False
    sending.deliver(JOHN, MESSAGE)
    assert sending.was_delivered(JOHN, "<one@example.org>") is True
    assert sending.was_delivered(JOHN, "<two@example.org>") is False
    (file,) = delivered(maildir)
    file.rename(maildir / "cur" / f"{file.name}:2,S")  # it was read
    assert sending.was_delivered(JOHN, "<one@example.org>") is True
    os.utime(maildir / "cur" / f"{file.name}:2,S", (0, 0))
    assert sending.was_delivered(JOHN, "<one@example.org>") is False
    assert deliverer(maildir / "none", "maildir").was_delivered(JOHN, "<one@example.org>") is None


def test_looking_for_it_follows_no_link_and_waits_for_nothing(maildir: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(MESSAGE)
    (maildir / "cur/link").symlink_to(tmp_path / "secret")
    os.mkfifo(maildir / "new/fifo")
    assert own.holds(str(maildir), "<one@example.org>", 0.0) is False


# ---- by programs


def test_dovecots_agent_comes_first_with_quota_switched_off(maildir: Path, tmp_path: Path, program: Program) -> None:
    unlimited = ("plugin/quota=maildir:User quota:noenforcing",)
    sending = deliverer(maildir, lda=program("lda"), doveadm=program("doveadm"), unlimited=unlimited)
    assert sending.deliver(JOHN, MESSAGE) == "dovecot-lda"
    words = notes(tmp_path, "lda")
    assert words[:5] == ["-d", JOHN, "-e", "-o", unlimited[0]]
    assert words[-5:] == MESSAGE.decode().splitlines()
    assert (notes(tmp_path, "doveadm"), delivered(maildir)) == ([], [])


def test_programs_get_an_environment_of_ours(
    maildir: Path, tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere")
    monkeypatch.delenv("PATH")
    deliverer(maildir, lda=program("lda")).deliver(JOHN, MESSAGE)
    found = notes(tmp_path, "lda")
    assert "LC_ALL=C" in found
    assert not [line for line in found if "nowhere" in line]


def test_doveadm_saves_into_inbox(maildir: Path, tmp_path: Path, program: Program) -> None:
    sending = deliverer(maildir, "doveadm", doveadm=program("doveadm"), unlimited=("quota_enforce=no",))
    assert sending.deliver(JOHN, MESSAGE) == "doveadm"
    assert notes(tmp_path, "doveadm")[:7] == ["-o", "quota_enforce=no", "save", "-u", JOHN, "-m", "INBOX"]


@pytest.mark.parametrize("code", [67, 77, 73, 78, 1, 127])
def test_auto_goes_on_where_it_is_certain_that_nothing_was_delivered(
    maildir: Path, tmp_path: Path, program: Program, code: int
) -> None:
    sending = deliverer(maildir, lda=program("lda", code, "Quota exceeded"), doveadm=program("doveadm", code))
    assert sending.deliver(JOHN, MESSAGE) == "maildir"
    assert notes(tmp_path, "doveadm")
    assert len(delivered(maildir)) == 1


def test_auto_does_not_go_on_where_dovecot_says_not_now(maildir: Path, program: Program) -> None:
    with pytest.raises(DeliveryError, match="ended with 75: userdb is gone"):
        deliverer(maildir, lda=program("lda", 75, "userdb is gone")).deliver(JOHN, MESSAGE)
    assert delivered(maildir) == []


def test_one_that_hangs_is_ended_with_its_children_and_nobody_gets_two(
    maildir: Path, tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs.run, "__defaults__", (0.3,))
    lda = program("lda", before=f"sleep 1000 & echo $! > {tmp_path}/pid; wait")
    with pytest.raises(DeliveryError, match=r"did not end within 0.3 s"):
        deliverer(maildir, lda=lda).deliver(JOHN, MESSAGE)
    assert delivered(maildir) == []
    child = int((tmp_path / "pid").read_text())
    until = time.monotonic() + 5
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
        assert time.monotonic() < until


def test_one_that_is_missing_is_passed_over(maildir: Path) -> None:
    sending = deliverer(maildir, lda=("/nowhere/dovecot-lda",), doveadm=("/nowhere/doveadm",))
    assert sending.deliver(JOHN, MESSAGE) == "maildir"


def test_a_method_that_is_named_is_the_only_one(maildir: Path, program: Program) -> None:
    with pytest.raises(DeliveryError, match="Dovecot knows no such user"):
        deliverer(maildir, "dovecot-lda", lda=program("lda", 67)).deliver(JOHN, MESSAGE)
    with pytest.raises(DeliveryError, match="there is no doveadm here"):
        deliverer(maildir, "doveadm").deliver(JOHN, MESSAGE)
    assert delivered(maildir) == []


def test_all_failures_are_named(maildir: Path, program: Program) -> None:
    missing(maildir)
    with pytest.raises(DeliveryError, match=r"dovecot-lda: .*such user; maildir: .*No such file"):
        deliverer(maildir, lda=program("lda", 67)).deliver(JOHN, MESSAGE)


def test_what_a_program_says_is_data(maildir: Path, program: Program) -> None:
    """On one line, without colours, and never endless."""
    lda = program("lda", 75, "\x1b[31mred\nnext " + "x" * 5000)
    with pytest.raises(DeliveryError) as caught:
        deliverer(maildir, lda=lda).deliver(JOHN, MESSAGE)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_sendmail_has_an_empty_sender_and_a_recipient_that_is_no_option(
    maildir: Path, tmp_path: Path, program: Program
) -> None:
    sending = deliverer(maildir, sendmail=program("sendmail")[0])
    sending.send("-oQ/tmp@example.org", MESSAGE)
    assert notes(tmp_path, "sendmail")[:5] == ["-i", "-f", "<>", "--", "-oQ/tmp@example.org"]
    with pytest.raises(DeliveryError, match="there is no sendmail here"):
        deliverer(maildir).send(JOHN, MESSAGE)
    with pytest.raises(DeliveryError, match="sendmail ended with 70: no"):
        deliverer(maildir, sendmail=program("sendmail", 70, "no")[0]).send(JOHN, MESSAGE)


def test_doveadm_is_asked_whether_it_arrived(maildir: Path, tmp_path: Path, program: Program) -> None:
    found = deliverer(maildir, "doveadm", doveadm=program("doveadm", 0, "guid 12"))
    assert found.was_delivered(JOHN, "<one@example.org>") is True
    assert "one@example.org" in notes(tmp_path, "doveadm")
    assert deliverer(maildir, "doveadm", doveadm=program("doveadm", 0)).was_delivered(JOHN, "<x@y>") is False
    assert deliverer(maildir, "doveadm", doveadm=program("doveadm", 75)).was_delivered(JOHN, "<x@y>") is None
    assert deliverer(maildir, "sendmail").was_delivered(JOHN, "<x@y>") is None


def test_auto_looks_itself_where_doveadm_can_not_say(maildir: Path, program: Program) -> None:
    sending = deliverer(maildir, doveadm=program("doveadm", 67))
    sending.deliver(JOHN, MESSAGE)
    assert sending.was_delivered(JOHN, "<one@example.org>") is True
