"""Programs and files that are not ours, asked with patience and without ever raising.

What was said is kept with what went wrong, so that who asks can tell "says nothing" from "could not be asked", and name
the file or program to the administrator. Output is cut at LONGEST; secrets in it are the asker's to keep out of sight.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

PATIENCE = 5.0  # seconds; a doveconf that hangs must not keep a command from starting
DENIED = "Permission denied"  # as programs and the system say it, in English
LONGEST = 4 * 1024 * 1024  # bytes of a file or an output
_MORE_PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # Dovecot's services have no PATH


class Said(msgspec.Struct, frozen=True):
    """The answer of a program: ``fault`` is empty where it ended with 0, else one line for people.

    ``code`` is None where the program did not run to its end.
    """

    out: str = ""
    err: str = ""
    code: int | None = None
    fault: str = ""


class Text(msgspec.Struct, frozen=True):
    """A file: ``text`` is None where it can't be read, ``fault`` says why."""

    text: str | None = None
    fault: str = ""


Run = Callable[[Sequence[str]], Said]
Read = Callable[[str], Text]


def run(argv: Sequence[str], patience: float = PATIENCE) -> Said:
    """Run a program with nothing on stdin and English messages."""
    path = f"{os.environ.get('PATH', '')}:{_MORE_PLACES}"
    program = shutil.which(argv[0], path=path)
    if program is None:
        return Said(fault=f"{argv[0]} is not installed")
    environment = {**os.environ, "LC_ALL": "C", "PATH": path}
    try:
        done = subprocess.run(
            [program, *argv[1:]],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=patience, env=environment, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Said(fault=f"{argv[0]} took longer than {patience:g} s")
    except (OSError, ValueError) as error:
        return Said(fault=f"{argv[0]} can't be run: {getattr(error, 'strerror', None) or error}")
    out, err = (text[:LONGEST].decode(errors="replace") for text in (done.stdout, done.stderr))
    return Said(out, err, done.returncode, _fault(argv[0], done.returncode, err))


def _fault(program: str, code: int, err: str) -> str:
    if code == 0:
        return ""
    last = next((line.strip() for line in reversed(err.splitlines()) if line.strip()), "")
    return f"{program} ended with {code}" + (f": {last}" if last else "")


def read(path: str) -> Text:
    """The contents of a text file."""
    try:
        with Path(path).open("rb") as file:
            return Text(file.read(LONGEST).decode(errors="replace"))
    except (OSError, ValueError) as error:
        return Text(fault=f"{path} can't be read: {getattr(error, 'strerror', None) or error}")
