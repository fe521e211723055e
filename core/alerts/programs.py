"""Programs that take a mail on their standard input: dovecot-lda, doveadm, sendmail. Blocking; always in a thread.

Exit codes are those of sysexits: 67 no such user, 73 and 77 the mailbox is full (doveadm, dovecot-lda). Some of them
say for sure that nothing was stored; after any other failure, a signal or a timeout, the mail may be there. So it may
after errors that doveadm writes while it ends with 0 (core/servers/dovecot/doveadm_errors.py).

dovecot-lda must have ``-e``: without it a full mailbox means exit code 0 and a mail that is gone. With it that is 77,
so settings of Dovecot that changed since its options were chosen are noticed.

The environment is our own: under Dovecot's script service there is none. A program leads a process group, so that
whatever it started goes with it when it hangs.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Callable, Sequence

import msgspec

from mailquota.core.base.errors import DeliveryError
from mailquota.core.servers.dovecot.doveadm_errors import errors, outcome

SECONDS = 20.0  # that a program may take; Dovecot itself waits 60 s for a database that is gone
SENDMAIL = ("/usr/sbin/sendmail",)

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = {"PATH": _PATH, "LC_ALL": "C", "TZ": "UTC"}
_REFUSED = {64: "it does not know these options", 67: "no such user", 73: "refused", 77: "refused"}
_UNUSABLE = {78: "its settings are wrong", 89: "its settings are wrong", 126: "can't be run", 127: "is not there"}
_LONGEST_REASON = 200
_MESSAGE_ID = re.compile(r"<[^\s<>]+>")


class HungError(DeliveryError):
    """A program was killed because it did not end; what it asked to deliver may go on."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} did not end within {SECONDS:g} s", temporary=True, unclear=True)


class Program(msgspec.Struct, frozen=True):
    """One way of delivery; ``command`` makes the words for an address.

    ``errors_count``: whether an error on its standard error is one though it ends with 0.
    """

    name: str
    command: Callable[[str], Sequence[str]]
    errors_count: bool = False

    def deliver(self, address: str, message: bytes) -> None:
        """Raises DeliveryError."""
        code, complaints = _run(self.name, self.command(address), message)
        if code == 0 and not (self.errors_count and errors(complaints)):
            return
        known = _REFUSED.get(code) or _UNUSABLE.get(code)
        by_code = known or (f"ended by signal {-code}" if code < 0 else f"exit code {code}")
        reason = outcome(complaints)[:_LONGEST_REASON] or by_code
        raise DeliveryError(f"{self.name}: {reason}", temporary=code not in _REFUSED, unclear=known is None)


def dovecot_lda(command: Sequence[str], options: Sequence[str]) -> Program:
    """``options`` are the settings with which Dovecot stores a mail in a full mailbox."""
    return Program("dovecot-lda", lambda address: [*command, "-d", address, "-e", *_settings(options)])


def doveadm_save(command: Sequence[str], options: Sequence[str]) -> Program:
    """As ``dovecot_lda``, past Sieve."""
    return Program(
        "doveadm", lambda address: [*command, *_settings(options), "save", "-u", address, "-m", "INBOX"], True
    )


def sendmail(command: Sequence[str] = SENDMAIL) -> Program:
    """With the empty sender: what can't be delivered comes back to nobody."""
    return Program("sendmail", lambda address: [*command, "-i", "-f", "<>", "--", address])


def search(command: Sequence[str], address: str, message_id: str) -> bool | None:
    """Whether doveadm finds a Message-ID in any folder of a user; None where that can't be told."""
    if not _MESSAGE_ID.fullmatch(message_id):
        return None
    words = [*command, "search", "-u", address, "mailbox", "*", "header", "Message-ID", message_id]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False, env=_ENVIRONMENT
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = bool(done.stdout.strip())
    unsure = done.returncode or (not found and errors(done.stderr.decode("utf-8", "replace")))
    return None if unsure else found


def _settings(options: Sequence[str]) -> list[str]:
    return [word for option in options for word in ("-o", option)]


def _run(name: str, command: Sequence[str], message: bytes) -> tuple[int, str]:
    """Exit code, and its complaints. Raises DeliveryError where there is no exit code."""
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=_ENVIRONMENT, cwd="/", start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        why = f"{name}: {command[0]} can't be run: {error.strerror or error}"
        raise DeliveryError(why, temporary=True) from error
    with process:
        try:
            complaints = process.communicate(message, SECONDS)[1]
        except subprocess.TimeoutExpired:
            code = process.poll()  # something that it left behind may hold the pipe
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if code is not None:
                return code, ""
            raise HungError(name) from None
    return process.returncode, complaints.decode("utf-8", "replace")
