"""Programs and files that are not ours, asked with patience and without ever raising.

What was said is kept with what went wrong, so that who asks can tell "says nothing" from "could not be asked", and name
the file or program to the administrator. Secrets in it are the asker's to keep out of sight.

Whoever hangs is waited for once: the same program is not asked again for a while, so that a command that asks for many
things still ends within seconds. What prints without end is ended, and half an answer is none.
"""

from __future__ import annotations

import errno
import os
import pwd
import selectors
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile

import msgspec

from mailquota.core.base.threads import within

PATIENCE = 5.0  # seconds; a doveconf that hangs must not keep a command from starting
DENIED = "Permission denied"  # as programs and the system say it, in English
LONGEST = 4 * 1024 * 1024  # bytes of a file; longer ones are cut
MOST_PRINTED = 32 * 1024 * 1024  # bytes of an output; 100,000 users are 3 MB
_REST = 15.0  # seconds in which a program that hung is not asked again
_CHUNK = 1 << 16
_MORE_PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # Dovecot's services have no PATH


class ProgramResult(msgspec.Struct, frozen=True):
    """The answer of a program: ``fault`` is empty where it ended with 0, else one line for people.

    ``code`` is None where the program did not run to its end.
    """

    out: str = ""
    err: str = ""
    code: int | None = None
    fault: str = ""


class FileText(msgspec.Struct, frozen=True):
    """A file: ``text`` is None where it can't be read, ``fault`` says why."""

    text: str | None = None
    fault: str = ""


Run = Callable[[Sequence[str]], ProgramResult]
Read = Callable[[str], FileText]


_hung: dict[tuple[str, ...], float] = {}  # program, moment of time.monotonic until which it is left alone


def run(argv: Sequence[str], patience: float = PATIENCE) -> ProgramResult:
    """Run a program with nothing on stdin and English messages."""
    path = f"{os.environ.get('PATH', '')}:{_MORE_PLACES}"
    program = shutil.which(argv[0], path=path)
    if program is None:
        return ProgramResult(fault=f"{argv[0]} is not installed")
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
    """``code`` is None where the program was ended, as it took too long or, if ``endless``, printed too much."""

    out: bytes
    err: bytes
    code: int | None
    endless: bool


def run_raw(command: Sequence[str], environment: Mapping[str, str], patience: float) -> RawProgramOutput:
    """Run a program for so many seconds at most; what it said until then. Raises OSError where it can't be started.

    A child of its own that lives on, with our pipe in hand, is not waited for.
    """
    until = time.monotonic() + patience
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    out: list[bytes] = []
    err: list[bytes] = []
    code = None
    with process:  # which waits for its end
        try:
            endless = not _collect(process, (out, err), until)
            if not endless:
                code = process.wait(max(0.0, until - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            endless = False
        finally:
            process.kill()
    return RawProgramOutput(out=b"".join(out), err=b"".join(err), code=code, endless=endless)


def _collect(process: subprocess.Popen[bytes], heard: tuple[list[bytes], list[bytes]], until: float) -> bool:
    """Take what comes until both outputs are closed; False where there is no end of it. Raises TimeoutError."""
    left = MOST_PRINTED
    with selectors.DefaultSelector() as waiting:
        for pipe, parts in zip((process.stdout, process.stderr), heard, strict=True):
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
    """The user that we are, by name or else number."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def last_line(text: str) -> str:
    """What a program says at the end."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def read(path: str) -> FileText:
    """The contents of a text file."""
    try:
        return FileText(within(PATIENCE, lambda: read_bytes(path, LONGEST)).decode(errors="replace"))
    except (OSError, ValueError) as error:
        return FileText(fault=f"{path} can't be read: {getattr(error, 'strerror', None) or error}")


def read_bytes(path: str, most: int) -> bytes:
    """The start of a file. Raises OSError, also for what is no file: at a FIFO nobody may ever write.

    /dev/null is an empty file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(handle, "rb") as file:
        mode = os.fstat(handle).st_mode
        if not (stat.S_ISREG(mode) or os.path.samestat(os.fstat(handle), os.stat(os.devnull))):
            kind = "FIFO" if stat.S_ISFIFO(mode) else "device"
            raise OSError(errno.EINVAL, f"it is a {kind}, not a file", path)
        return file.read(most)
