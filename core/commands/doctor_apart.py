"""Examines this server in a process of its own, for the console: it reads all accounts.

In the console's process, keys would wait for the thread that does so, and its memory would stay taken.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from ..base.errors import MailquotaError
from ..base.programs import last_line, run_raw
from ..doctor.model import Finding

_PATIENCE = 60.0  # seconds; each part of an examination gives up sooner
_DONE = {0, 1}  # exit codes of the command: no check failed, one did


def examine_apart(settings: Path | None) -> list[Finding]:
    """The findings of ``mailquota doctor`` with this settings file, None for the usual one.

    Blocks for some seconds. Raises MailquotaError where the command can't be run or does not end.
    """
    words = ["--config", str(settings.absolute())] if settings is not None else []
    # -P: no module of the working directory is imported in place of one of Python's own
    command = [sys.executable, "-P", "-m", "mailquota", *words, "doctor", "--json"]
    try:
        done = run_raw(command, os.environ, _PATIENCE)
    except OSError as error:
        raise MailquotaError(f"mailquota doctor can't be run: {error.strerror or error}") from error
    if done.code not in _DONE:
        reason = last_line(done.err.decode(errors="replace")) if done.code is not None else ""
        raise MailquotaError(reason or f"mailquota doctor took longer than {_PATIENCE:g} s")
    try:
        return msgspec.json.decode(done.out, type=list[Finding])
    except msgspec.DecodeError as error:
        raise MailquotaError(f"the output of mailquota doctor can't be read: {error}") from error
