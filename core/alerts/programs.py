"""Programs that read a mail from standard input: dovecot-lda, doveadm, sendmail. Blocking; called in a thread.

Exit codes are those of sysexits.h: 67 no such user, 73 and 77 the mailbox is full (doveadm, dovecot-lda). Those in
_REFUSED and _UNUSABLE mean that nothing was stored; after any other failure, a signal or a timeout, the mail may have
been stored. So it may after errors that doveadm writes though it ends with 0 (core/servers/dovecot/doveadm_errors.py).

dovecot-lda must have ``-e``: without it a full mailbox gives exit code 0, and the mail is lost. With it the code is 77,
so it is noticed if Dovecot's settings have changed since its options were chosen.

The environment is set here, as Dovecot's script service gives none. Each program leads a process group, so that the
processes that it started are killed with it when it hangs.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Callable, Sequence

import msgspec

from ..base.errors import DeliveryError
from ..servers.dovecot.doveadm_errors import errors, outcome

SECONDS = 20.0  # that a program may take; Dovecot itself waits 60 s for a database that does not answer
SENDMAIL = ("/usr/sbin/sendmail",)

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = {"PATH": _PATH, "LC_ALL": "C", "TZ": "UTC"}
_REFUSED = {64: "it does not know these options", 67: "no such user", 73: "refused", 77: "refused"}
_UNUSABLE = {78: "its settings are wrong", 89: "its settings are wrong", 126: "can't be run", 127: "is not there"}
_LONGEST_REASON = 200
_MESSAGE_ID = re.compile(r"<[^\s<>]+>")


class HungError(DeliveryError):
    """A program was killed because it did not end; a server that it gave the mail to may still store it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} did not end within {SECONDS:g} s", temporary=True, unclear=True)


class Program(msgspec.Struct, frozen=True):
    """A method of delivery; ``command`` gives the words of the command for an address.

    ``errors_count``: an error on its standard error is a failure although it ends with 0.
    """

    name: str
    command: Callable[[str], Sequence[str]]
    errors_count: bool = False

    def deliver(self, address: str, message: bytes) -> None:
        """Run the program with the mail. Raises DeliveryError; ``unclear`` where the mail may have been stored."""
        code, complaints = _run(self.name, self.command(address), message)
        if code == 0 and not (self.errors_count and errors(complaints)):
            return
        known = _REFUSED.get(code) or _UNUSABLE.get(code)
        by_code = known or (f"ended by signal {-code}" if code < 0 else f"exit code {code}")
        reason = outcome(complaints)[:_LONGEST_REASON] or by_code
        raise DeliveryError(f"{self.name}: {reason}", temporary=code not in _REFUSED, unclear=known is None)


def dovecot_lda(command: Sequence[str], options: Sequence[str]) -> Program:
    """Dovecot's own delivery. ``options`` are the settings with which it stores a mail in a full mailbox."""
    return Program("dovecot-lda", lambda address: [*command, "-d", address, "-e", *_settings(options)])


def doveadm_save(command: Sequence[str], options: Sequence[str]) -> Program:
    """``doveadm save``: as ``dovecot_lda``, but into INBOX without Sieve."""
    return Program(
        "doveadm", lambda address: [*command, *_settings(options), "save", "-u", address, "-m", "INBOX"], True
    )


def sendmail(command: Sequence[str] = SENDMAIL) -> Program:
    """Postfix's sendmail with the empty sender, so that no bounce comes back."""
    return Program("sendmail", lambda address: [*command, "-i", "-f", "<>", "--", address])


def search(command: Sequence[str], address: str, message_id: str) -> bool | None:
    """Whether doveadm finds a Message-ID in any folder of a user; None where it failed."""
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
    """Run a program; its exit code and standard error. Raises DeliveryError where it can't be run, or hangs."""
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
            code = process.poll()  # it may have ended, and a process that it started holds the pipe open
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if code is not None:
                return code, ""
            raise HungError(name) from None
    return process.returncode, complaints.decode("utf-8", "replace")
