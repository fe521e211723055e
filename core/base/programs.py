"""Runs other programs and reads files within a time limit. ``run`` and ``read`` raise nothing: trouble is in ``fault``.

So a caller can tell a program that prints nothing from one that could not be run, and can name the program or file to
the administrator. The output may hold secrets; the caller must not show them.

A program that took too long is not run again for a while (_REST): a command that asks Dovecot many questions would
else wait for each of them. A program that prints without end is killed, and its output is thrown away: half of the
settings, say, would be taken for all of them.
"""

from __future__ import annotations

import errno
import os
import pwd
import selectors
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile

import msgspec

from .threads import within

PATIENCE = 5.0  # seconds; a doveconf that hangs must not keep a command or the engine from starting
DENIED = "Permission denied"  # in messages of programs and the system; all are run with LC_ALL=C
LONGEST = 4 * 1024 * 1024  # bytes that are read of a file
MOST_PRINTED = 32 * 1024 * 1024  # bytes of output; a list of 100,000 users has 3 MB
_REST = 15.0  # seconds in which a program that took too long is not run again
_CHUNK = 1 << 16
_MORE_PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # Dovecot's services have no PATH


class ProgramResult(msgspec.Struct, frozen=True):
    """The output of a program as text, and its exit code.

    ``fault`` is empty where it ended with 0, else one line for a message. ``code`` is None where the program could not
    be run or was killed.
    """

    out: str = ""
    err: str = ""
    code: int | None = None
    fault: str = ""


class FileText(msgspec.Struct, frozen=True):
    """The text of a file; None where it can't be read, and ``fault`` is then the reason, for a message."""

    text: str | None = None
    fault: str = ""


Run = Callable[[Sequence[str]], ProgramResult]
Read = Callable[[str], FileText]


_hung: dict[tuple[str, ...], float] = {}  # program with subcommand; time.monotonic() until which it is not run again


def search_path() -> str:
    """The value of PATH to search programs with, and to give to them: the folders of PATH, then the usual ones.

    An empty or relative folder in PATH, and no PATH at all, would mean the current folder. That may be another user's,
    who then has a ``postconf`` of his own there. So only absolute ones are in it.
    """
    return ":".join(filter(os.path.isabs, [*os.environ.get("PATH", "").split(":"), *_MORE_PLACES.split(":")]))


def find(program: str) -> str | None:
    """The path of a program on the search path; None where it is not installed."""
    return shutil.which(program, path=search_path())


def run(argv: Sequence[str], patience: float = PATIENCE) -> ProgramResult:
    """Run a program with empty standard input and English messages, for at most ``patience`` seconds."""
    path = search_path()
    program = find(argv[0])
    if program is None:
        return ProgramResult(fault=f"{argv[0]} is not installed")
    # A hang is remembered for program and subcommand, as ``doveadm user``, whatever the options are.
    asked = (program, *takewhile(lambda word: not word.startswith("-"), argv[1:]))
    late = ProgramResult(fault=f"{argv[0]} took longer than {patience:g} s")
    if time.monotonic() < _hung.get(asked, 0.0):
        return late
    try:
        printed = run_raw([program, *argv[1:]], {**os.environ, "LC_ALL": "C", "PATH": path}, patience)
    except (OSError, ValueError) as error:
        return ProgramResult(fault=f"{argv[0]} can't be run: {getattr(error, 'strerror', None) or error}")
    if printed.endless:
        return ProgramResult(fault=f"{argv[0]} printed more than {MOST_PRINTED >> 20} MiB")
    if printed.code is None:
        _hung[asked] = time.monotonic() + _REST
        return late
    out, err = printed.out.decode(errors="replace"), printed.err.decode(errors="replace")
    return ProgramResult(out=out, err=err, code=printed.code, fault=_fault(argv[0], printed.code, err))


class RawProgramOutput(msgspec.Struct, frozen=True):
    """The output of a program as bytes. ``code`` is None where it was killed: it took too long, or was ``endless``."""

    out: bytes
    err: bytes
    code: int | None
    endless: bool


def run_raw(
    command: Sequence[str],
    environment: Mapping[str, str],
    patience: float,
    given: bytes = b"",
    most: int = MOST_PRINTED,
) -> RawProgramOutput:
    """Run a program for at most ``patience`` seconds; its output until then. Raises OSError where it can't be started.

    Of its output ``most`` bytes are taken. ``given`` is its standard input, in a file, which can't block as a pipe
    may. The program ends when both outputs are closed, or at the time limit. A child process that goes on in the
    background may hold the outputs open, so that only the time limit ends the wait; nothing waits for that child.
    """
    until = time.monotonic() + patience
    with tempfile.TemporaryFile() if given else open(os.devnull, "rb") as file:
        if given:
            file.write(given)
            file.seek(0)
        process = subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    out: list[bytes] = []
    err: list[bytes] = []
    code = None
    with process:  # closes the pipes, and waits for the process, which was killed
        try:
            endless = not _collect(process, (out, err), until, most)
            if not endless:
                code = process.wait(max(0.0, until - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            endless = False
        finally:
            process.kill()
    return RawProgramOutput(out=b"".join(out), err=b"".join(err), code=code, endless=endless)


def _collect(
    process: subprocess.Popen[bytes], parts_of: tuple[list[bytes], list[bytes]], until: float, left: int
) -> bool:
    """Read both outputs until they are closed; False where they have more than ``left`` bytes. Raises TimeoutError.

    Both are read as data arrives: a program blocks once the pipe that is not read is full.
    """
    with selectors.DefaultSelector() as waiting:
        for pipe, parts in zip((process.stdout, process.stderr), parts_of, strict=True):
            assert pipe is not None
            waiting.register(pipe, selectors.EVENT_READ, parts)
        while left >= 0 and waiting.get_map():
            ready = waiting.select(max(0.0, until - time.monotonic()))
            if time.monotonic() >= until:
                raise TimeoutError
            for key, _ in ready:
                part = os.read(key.fd, _CHUNK)
                key.data.append(part)
                left -= len(part)
                if not part:
                    waiting.unregister(key.fileobj)
    return left >= 0


def _fault(program: str, code: int, err: str) -> str:
    if code == 0:
        return ""
    last = last_line(err)
    return f"{program} ended with {code}" + (f": {last}" if last else "")


def own_name() -> str:
    """The user of this process: its name, or its number where it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def last_line(text: str) -> str:
    """The last line that is not blank; programs say there why they failed."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def read(path: str) -> FileText:
    """The contents of a text file, at most LONGEST bytes, within PATIENCE seconds: a network file system may hang."""
    try:
        return FileText(within(PATIENCE, lambda: read_bytes(path, LONGEST)).decode(errors="replace"))
    except (OSError, ValueError) as error:
        return FileText(fault=f"{path} can't be read: {getattr(error, 'strerror', None) or error}")


def read_bytes(path: str, most: int) -> bytes:
    """The first bytes of a file. Raises OSError, also for a FIFO or device: reading it could wait for ever.

    /dev/null counts as an empty file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(handle, "rb") as file:
        mode = os.fstat(handle).st_mode
        if not (stat.S_ISREG(mode) or os.path.samestat(os.fstat(handle), os.stat(os.devnull))):
            kind = "FIFO" if stat.S_ISFIFO(mode) else "folder" if stat.S_ISDIR(mode) else "device"
            raise OSError(errno.EINVAL, f"it is a {kind}, not a file", path)
        return file.read(most)
