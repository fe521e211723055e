"""Programs that deliver mail: found without PATH, run with an environment of our own, and ended where they hang.

``mailquota warn`` may be started by Dovecot with no environment at all, as root or as the owner of the mailboxes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from core.errors import MailquotaError
from core.text import visible

SECONDS = 60.0  # below the time after which a mail counts as interrupted (core.history.warnings)
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
LDA = "/usr/lib/dovecot/dovecot-lda"  # Debian's
_LIBRARIES = ("/usr/lib/dovecot", "/usr/libexec/dovecot", "/usr/local/libexec/dovecot", "/usr/local/lib/dovecot")
_SENDMAIL = ("/usr/sbin/sendmail", "/usr/lib/sendmail", "/usr/local/sbin/sendmail")
_LONGEST = 300  # characters of a complaint

NO_USER, TEMPORARY = 67, 75  # sysexits


class DeliveryError(MailquotaError):
    """A mail was not delivered, or it is not known whether it was.

    ``certain``: it was not, so another way may be tried. It can't be known of a program that hung.
    """

    def __init__(self, reason: str, *, certain: bool = True) -> None:
        super().__init__(reason)
        self.certain = certain


def find_lda(tool: str = "") -> str | None:
    """Dovecot's delivery agent: for a tool that is named with its folder (bin, sbin) beside that, else in the places
    of packages.
    """
    root = Path(tool).parent.parent
    beside = [str(root / "libexec/dovecot"), str(root / "lib/dovecot")] if os.path.isabs(tool) else []
    return _first(f"{folder}/dovecot-lda" for folder in (*beside, *_LIBRARIES))


def find_sendmail() -> str | None:
    """The mail server's way in for local programs."""
    return _first(_SENDMAIL)


def _first(paths: Iterable[str]) -> str | None:
    return next((path for path in paths if shutil.which(path)), None)


def run(command: Sequence[str], message: bytes, seconds: float = SECONDS) -> tuple[int, str]:
    """Give a program a message; its exit code and what it complained. Raises DeliveryError where it can't, or hangs."""
    name = os.path.basename(command[0])
    environment = {"PATH": _PATH, "LC_ALL": "C", "TZ": os.environ.get("TZ", "")}
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={key: value for key, value in environment.items() if value}, cwd="/", start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise DeliveryError(f"{command[0]} can't be run: {error.strerror or error}") from error
    try:
        said, _ = child.communicate(message, timeout=seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.communicate(timeout=1.0)
        raise DeliveryError(f"{name} did not end within {seconds:g} s", certain=False) from None
    return child.returncode, _words(said)


def _words(said: bytes) -> str:
    """The last lines, as people read them; on one line, and nothing that could colour a screen."""
    text = visible(" ".join(said.decode("utf-8", "replace").split()))
    return text if len(text) <= _LONGEST else "…" + text[-_LONGEST:]
