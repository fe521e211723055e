"""Commands whose standard streams have no reader: the exit code says what they did, not what could be printed."""

from __future__ import annotations

import fcntl
import os
import pty
import socket
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import click
import pytest

from mailquota.core.commands.main import root
from tests.core.commands.command_line import COMMAND, ROOT, SECONDS, CommandLine, environment
from tests.core.worlds import FULL, JOHN, LIMIT, TRASH
from tests.mailserver.process import wait_until

# Every command, and its exit code where all is well. Of those that look at the machine, its help.
WORDS: dict[str, tuple[tuple[str, ...], int]] = {
    "list": (("list",), 0),
    "show": (("show", JOHN), 0),
    "set": (("set", JOHN, "20000"), 0),
    "recalc": (("recalc", "--all"), 0),
    "empty-trash": (("empty-trash", TRASH, "--yes"), 0),
    "explain": (("explain", FULL), 0),
    "warn": (("warn", "95", FULL), 0),
    "undo": (("undo",), 0),
    "journal": (("journal",), 0),
    "doctor": (("doctor", "--help"), 0),
    "check": (("check",), 2),
    "config": (("config",), 0),
    "install": (("install", "--help"), 0),
    "uninstall": (("uninstall", "--help"), 0),
    "status": (("status",), 0),
    "reload": (("reload",), 0),
    "replay": (("replay", "--help"), 0),
}


@contextmanager
def closed_pipe() -> Iterator[int]:
    """As of ``mailquota list | head``, later."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@contextmanager
def closed_socket() -> Iterator[int]:
    """The closed socket that Dovecot 2.4 gives scripts as standard output."""
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        yield theirs.fileno()


@contextmanager
def half_closed_socket() -> Iterator[int]:
    """One that takes nothing any more."""
    ours, theirs = socket.socketpair()
    theirs.shutdown(socket.SHUT_WR)
    with ours, theirs:
        yield theirs.fileno()


@contextmanager
def hung_up() -> Iterator[int]:
    """A terminal whose other end is gone."""
    master, slave = pty.openpty()
    os.close(master)
    yield slave
    os.close(slave)


@contextmanager
def for_reading() -> Iterator[int]:
    """A descriptor that can't be written to."""
    handle = os.open(os.devnull, os.O_RDONLY)
    yield handle
    os.close(handle)


DEAD = (closed_socket, half_closed_socket, hung_up, for_reading)
Dead = Callable[[], AbstractContextManager[int]]


def run_dead(line: CommandLine, words: tuple[str, ...], stdout: int, stderr: int = subprocess.DEVNULL) -> int:
    """The exit code of a command with these streams."""
    command = [*COMMAND, "--config", str(line.world.config), *words]
    done = subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
    )  # fmt: skip
    return done.wait(SECONDS)


def test_a_closed_pipe_is_no_failure_of_any_command(beside: CommandLine) -> None:
    """As with ``mailquota list | head``."""
    assert set(WORDS) == set(root.list_commands(click.Context(root)))
    with closed_pipe() as handle:
        got = {name: run_dead(beside, words, handle) for name, (words, _) in WORDS.items()}
    assert got == {name: code for name, (_, code) in WORDS.items()}
    assert not list((beside.world.maildir(TRASH) / ".Trash/cur").iterdir())
    assert list(beside.world.maildir(FULL).glob("new/*"))


@pytest.mark.parametrize("dead", DEAD, ids=lambda dead: dead.__name__)
def test_nor_is_another_output_that_nobody_reads(alone: CommandLine, dead: Dead) -> None:
    """Nor are a dead standard output and a dead standard error at once."""
    with dead() as handle:
        assert run_dead(alone, ("list",), handle) == 0
        assert run_dead(alone, ("set", JOHN, "30000"), handle, handle) == 0
        assert run_dead(alone, ("set", "nobody@example.org", "1G"), handle, handle) == 4
    assert alone.world.limit_of(JOHN) == 30000


@pytest.mark.parametrize("dead", DEAD, ids=lambda dead: dead.__name__)
@pytest.mark.parametrize("words", [("warn", "95", FULL), ("warn", "below", FULL, "--json")], ids=" ".join)
def test_a_warning_that_was_sent_is_a_success_whatever_dovecot_does_with_the_output(
    alone: CommandLine, dead: Dead, words: tuple[str, ...]
) -> None:
    """Dovecot logs an exit code other than 0 as an error, and the mail is there."""
    with dead() as handle:
        assert run_dead(alone, words, handle, handle) == 0
    assert len(list(alone.world.maildir(FULL).glob("new/*"))) == 1


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_at_the_start(alone: CommandLine, closed: str) -> None:
    """The work is done without a message."""
    for words, code in ((["set", JOHN, "+1000"], 0), (["list"], 0), (["show", "nobody@example.org"], 4)):
        assert _closed(alone, closed, *words).wait(SECONDS) == code
    assert alone.world.limit_of(JOHN) == LIMIT + 1000


def test_no_file_of_ours_gets_the_number_of_a_closed_stream(alone: CommandLine) -> None:
    """A database would, and be written to by the programs that the engine starts."""
    engine = _closed(alone, "<&- >&- 2>&-", "--serve")
    try:
        assert wait_until(lambda: alone("status").returncode == 0, SECONDS)
        assert [os.readlink(f"/proc/{engine.pid}/fd/{number}") for number in range(3)] == ["/dev/null"] * 3
    finally:
        engine.terminate()
        engine.wait(SECONDS)


def _closed(line: CommandLine, closed: str, *words: str) -> subprocess.Popen[bytes]:
    """Started by a shell that closes streams of it."""
    command = [*COMMAND, "--config", str(line.world.config), *words]
    return subprocess.Popen(["sh", "-c", f'exec "$@" {closed}', "sh", *command], cwd=ROOT, env=environment())


def test_a_slow_reader_gets_everything(alone: CommandLine) -> None:
    """Also through a full pipe that is non-blocking."""
    for number in range(800):
        alone.world.add_account(f"user{number:04}@example.org")
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    command = [*COMMAND, "--config", str(alone.world.config), "list"]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=writer) as done, open(reader) as pipe:
        os.close(writer)
        assert wait_until(lambda: _waiting(reader) == 4096, SECONDS)
        assert len(pipe.readlines()) == 806
    assert done.returncode == 0


def test_what_nobody_takes_from_standard_error_holds_nobody_up(alone: CommandLine) -> None:
    """A pipe that is full, and a non-blocking one."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with open(reader), open(writer, "wb", buffering=0) as pipe:
        while pipe.write(bytes(4096)):
            pass
        assert run_dead(alone, ("set", "nobody@example.org", "1G"), subprocess.DEVNULL, writer) == 4


def _waiting(pipe: int) -> int:
    """The unread bytes in a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, b"    "), sys.byteorder)


@pytest.mark.parametrize(
    ("words", "code"),
    [(("list",), 1), (("set", JOHN, "20000", "--dry-run"), 1), (("set", JOHN, "20000"), 0), (("warn", "95", FULL), 0)],
)
def test_a_disk_without_room_is_told(alone: CommandLine, words: tuple[str, ...], code: int) -> None:
    """Output that is lost is a failure of a command that only prints; one that acted says what it did."""
    with open("/dev/full", "wb") as full:
        done = alone(*words, stdout=full.fileno())
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        code,
        "mailquota: standard output: No space left on device",
    )
    assert alone.world.limit_of(JOHN) == (20_000 if words == ("set", JOHN, "20000") else LIMIT)
