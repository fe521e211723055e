"""Programs that deliver: what they are given, and what each way to fail means. They are scripts in a folder here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mailquota.core.alerts import programs
from mailquota.core.alerts.programs import HungError, Program, doveadm_save, dovecot_lda, search, sendmail
from mailquota.core.base.errors import DeliveryError
from tests.mailserver.process import wait_until

JOHN = "john@example.org"
MAIL = b"Subject: x\nMessage-ID: <1@example.org>\n\n\xc3\xa4\n"
ROOT = "plugin/quota=maildir:User quota:noenforcing"
TOLD = """import json, os, sys
json.dump({{"words": sys.argv[1:], "mail": sys.stdin.buffer.read().decode(), "env": dict(os.environ),
           "cwd": os.getcwd(), "leads": os.getpgrp() == os.getpid()}}, open({file!r}, "w"))
"""


def script(folder: Path, text: str, interpreter: str = "/bin/sh") -> str:
    program = folder / "program"
    program.write_text(f"#!{interpreter}\n{text}\n")
    program.chmod(0o755)
    return str(program)


def failing(folder: Path, text: str, message: bytes = MAIL) -> DeliveryError:
    """The error of a delivery by this shell script."""
    with pytest.raises(DeliveryError) as caught:
        dovecot_lda([script(folder, text)], []).deliver(JOHN, message)
    return caught.value


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda c: dovecot_lda([*c, "-c", "/x"], [ROOT]), ["-c", "/x", "-d", JOHN, "-e", "-o", ROOT]),
        (lambda c: doveadm_save(c, ["a=no", "b=no"]), ["-o", "a=no", "-o", "b=no", "save", "-u", JOHN, "-m", "INBOX"]),
        (sendmail, ["-i", "-f", "<>", "--", JOHN]),
    ],
    ids=["dovecot-lda", "doveadm", "sendmail"],
)
def test_what_a_program_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[list[str]], Program], words: list[str]
) -> None:
    """Words, the mail byte for byte, and an environment that holds nothing of ours."""
    monkeypatch.setenv("SECRET", "x")
    told = tmp_path / "told"
    make([script(tmp_path, TOLD.format(file=str(told)), sys.executable)]).deliver(JOHN, MAIL)
    given = json.loads(told.read_text())
    assert given["words"] == words
    assert given["mail"].encode() == MAIL
    assert given["env"].keys() - {"LC_CTYPE"} == {"PATH", "LC_ALL", "TZ"}
    assert (given["cwd"], given["leads"]) == ("/", True)


@pytest.mark.parametrize(
    ("code", "temporary", "unclear"),
    [(64, False, False), (67, False, False), (73, False, False), (77, False, False), (78, True, False),
     (89, True, False), (127, True, False), (75, True, True), (1, True, True), (70, True, True)],
)  # fmt: skip
def test_exit_codes(tmp_path: Path, code: int, temporary: bool, unclear: bool) -> None:
    error = failing(tmp_path, f"exit {code}")
    assert (error.temporary, error.unclear) == (temporary, unclear)


def test_the_reason_is_the_last_line_and_harmless(tmp_path: Path) -> None:
    error = failing(tmp_path, r"printf 'one\nQuota\033[31m exceeded \377\n\n' >&2; exit 77")
    assert str(error) == "dovecot-lda: Quota\\x1b[31m exceeded \ufffd"


def test_garbage_without_end(tmp_path: Path) -> None:
    """A megabyte on standard error is read, and little of it shown; standard output is ignored."""
    error = failing(tmp_path, "head -c 1000000 /dev/zero | tr '\\0' x >&2; head -c 1000000 /dev/zero; exit 75")
    assert len(str(error)) < 300


def test_errors_of_doveadm_without_an_exit_code(tmp_path: Path) -> None:
    """They leave open whether the mail was stored; harmless ones are no failure."""
    save = doveadm_save([script(tmp_path, "echo 'doveadm(john@example.org): Error: cmd save: no' >&2")], [])
    with pytest.raises(DeliveryError, match=r"^doveadm: no$") as caught:
        save.deliver(JOHN, MAIL)
    assert (caught.value.temporary, caught.value.unclear) == (True, True)
    harmless = "Error: net_connect_unix(/run/dovecot/stats-writer) failed: Permission denied"
    doveadm_save([script(tmp_path, f"echo '{harmless}' >&2")], []).deliver(JOHN, MAIL)


def test_a_signal(tmp_path: Path) -> None:
    error = failing(tmp_path, "kill -9 $$")
    assert (str(error), error.unclear) == ("dovecot-lda: ended by signal 9", True)


def test_a_program_that_does_not_read(tmp_path: Path) -> None:
    """More than a pipe holds: its exit code counts."""
    assert "no such user" in str(failing(tmp_path, "exit 67", b"x" * 1_000_000))


@pytest.mark.parametrize("present", [False, True])
def test_a_program_that_can_not_be_run(tmp_path: Path, present: bool) -> None:
    program = tmp_path / "lda"
    if present:
        program.write_text("")
    with pytest.raises(DeliveryError, match=r"can't be run: (No such file|Permission denied)") as caught:
        dovecot_lda([str(program)], []).deliver(JOHN, MAIL)
    assert (caught.value.temporary, caught.value.unclear) == (True, False)


def test_a_program_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes, and what it started as well."""
    monkeypatch.setattr(programs, "SECONDS", 0.5)
    pid = tmp_path / "pid"
    error = failing(tmp_path, f"sleep 1000 & echo $! > {pid}; wait")
    assert isinstance(error, HungError)
    assert (error.temporary, error.unclear) == (True, True)
    assert wait_until(lambda: not is_alive(int(pid.read_text())), 10)


def is_alive(pid: int) -> bool:
    """A zombie without a parent that waits for it does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_a_program_leaves_behind_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ended well; something that it started holds the pipe for its complaints."""
    monkeypatch.setattr(programs, "SECONDS", 0.5)
    dovecot_lda([script(tmp_path, "sleep 1000 & exit 0")], []).deliver(JOHN, MAIL)


@pytest.mark.parametrize(
    ("text", "answer"),
    [("echo b17e64 2", True), ("exit 0", False), ("exit 67", None), ("echo b17e64 2; exit 75", None),
     ("echo 'doveadm(john@example.org): Error: Syncing mailbox Sent failed' >&2", None)],
)  # fmt: skip
def test_searching(tmp_path: Path, text: str, answer: bool | None) -> None:
    assert search([script(tmp_path, text)], JOHN, "<1@example.org>") is answer


def test_searching_asks_for_the_message(tmp_path: Path) -> None:
    words = tmp_path / "words"
    search([script(tmp_path, f'printf "%s\\n" "$@" > {words}')], JOHN, "<1@example.org>")
    assert words.read_text().split("\n")[:-1] == [
        "search", "-u", JOHN, "mailbox", "*", "header", "Message-ID", "<1@example.org>"
    ]  # fmt: skip


@pytest.mark.parametrize("message_id", ["", "1@example.org", "<a> all", "<a\n>"])
def test_searching_for_what_is_no_message_id(tmp_path: Path, message_id: str) -> None:
    """Nothing is run: it would be another question."""
    ran = tmp_path / "ran"
    assert search([script(tmp_path, f"touch {ran}")], JOHN, message_id) is None
    assert not ran.exists()


def test_searching_without_doveadm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert search([str(tmp_path / "doveadm")], JOHN, "<1@example.org>") is None
    monkeypatch.setattr(programs, "SECONDS", 0.2)
    assert search([script(tmp_path, "exec sleep 1000")], JOHN, "<1@example.org>") is None
