"""Every error that mailquota raises on purpose.

    MailquotaError            exit 1   refused or failed, nothing was changed
    ├── UsageError            exit 2   wrong input: a command's arguments, a size, a filter
    ├── SettingsError         exit 2   the settings file, or something that it names (a missing socket folder)
    ├── NoSuchAccountError    exit 4
    ├── UnreachableError      exit 5   a needed service does not answer: engine, database, doveadm
    │   └── DatabaseError              the accounts database
    │       └── UnclearError           as before, but limits may have been changed
    ├── DeliveryError         exit 1   a warning was not delivered to a mailbox
    └── ProtocolError         exit 1   bytes on a socket that are not the protocol

These are the exit codes of the command line. Exit code 3, partly done, is a result and not an error.
"""

from __future__ import annotations

import os


class MailquotaError(Exception):
    """Refused or failed, and nothing was changed. ``advice`` are lines that are shown after the message."""

    exit_code = 1
    advice: tuple[str, ...] = ()


class UsageError(MailquotaError):
    """Input that can't be understood; the message says what was read and what is accepted."""

    exit_code = 2


class SettingsError(MailquotaError):
    """A setting is unknown, wrong, or names something that is not there; the message names file and key."""

    exit_code = 2


class NoSuchAccountError(MailquotaError):
    """The address has no mailbox. ``odd``: it is in the accounts database, but Dovecot refuses such a user name."""

    exit_code = 4

    def __init__(self, address: str, *, odd: bool = False) -> None:
        why = ", as Dovecot takes no such user name" if odd else ""
        super().__init__(f"no such account: {address}{why}")
        self.address = address


class UnreachableError(MailquotaError):
    """A service that is needed does not answer."""

    exit_code = 5


class DatabaseError(UnreachableError):
    """The accounts database does not answer, refuses, or lacks a table or column."""


class MayNotWriteError(DatabaseError):
    """The database account, or this process, may only read the accounts database."""


class UnclearError(DatabaseError):
    """The accounts database got a change, and went away before it answered: whether it was made is not known."""


class DeliveryError(MailquotaError):
    """A mail was not delivered, as far as is known. ``temporary``: a later attempt may succeed.

    ``unclear``: the delivering program failed or hung after it got the mail, so it may have delivered it.
    """

    def __init__(self, reason: str, *, temporary: bool, unclear: bool = False) -> None:
        super().__init__(reason)
        self.temporary = temporary
        self.unclear = unclear


class ProtocolError(MailquotaError):
    """A peer sent bytes that are not the protocol. Its connection is closed; others go on."""


ALSO_ANSWERED = {"told": True}  # ``extra`` of a log record whose text the client also gets in the answer


def error_text(error: Exception) -> str:
    """An error in one line that is valid UTF-8: other bytes, as of a file name, are escaped."""
    text = str(error)
    if isinstance(error, OSError) and error.filename:
        text = f"{os.fsdecode(error.filename2 or error.filename)}: {error.strerror}"  # filename2: a rename's target
    return text.encode("utf-8", "backslashreplace").decode()


def error_code(error: Exception) -> int:
    """The exit code for an error; 1 for one that is no MailquotaError."""
    return error.exit_code if isinstance(error, MailquotaError) else 1


def sendable(name: str) -> str:
    """A file name as text that can be sent: bytes that are not UTF-8 become replacement characters."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
