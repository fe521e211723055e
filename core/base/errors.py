"""Every error that mailquota raises on purpose.

    MailquotaError            exit 1   refused or failed, nothing changed
    ├── UsageError            exit 2   the words of a command, a size, a filter
    ├── SettingsError         exit 2   the settings file, or what it leads to (socket folder missing)
    ├── NoSuchAccountError    exit 4
    ├── UnreachableError      exit 5   a needed service does not answer: engine, database, doveadm
    │   └── DatabaseError              the accounts database
    ├── DeliveryError         exit 1   a mail of ours did not get into a mailbox
    └── ProtocolError         exit 1   bytes on a socket that are not the protocol

The exit codes are those of the command line; partly done (3) is a result, not an error.
"""

from __future__ import annotations

import os


class MailquotaError(Exception):
    """Refused or failed, and nothing was changed. ``advice`` are lines for people that follow the message."""

    exit_code = 1
    advice: tuple[str, ...] = ()


class UsageError(MailquotaError):
    """What was typed can't be understood; the text says what was read and what is accepted."""

    exit_code = 2


class SettingsError(MailquotaError):
    """A setting is unknown, of the wrong type, or leads nowhere; the text names file and key."""

    exit_code = 2


class NoSuchAccountError(MailquotaError):
    """The address has no mailbox here; ``odd``: though the accounts database has it."""

    exit_code = 4

    def __init__(self, address: str, *, odd: bool = False) -> None:
        why = ", as Dovecot takes no such user name" if odd else ""
        super().__init__(f"no such account: {address}{why}")
        self.address = address


class UnreachableError(MailquotaError):
    """A service that is needed for this does not answer."""

    exit_code = 5


class DatabaseError(UnreachableError):
    """The accounts database refused, is gone, or lacks what is asked for."""


class DeliveryError(MailquotaError):
    """A mail was not delivered, as far as can be told. ``temporary``: a later try may do better.

    ``unclear``: whoever took it failed or hung, so it may be in the mailbox all the same.
    """

    def __init__(self, reason: str, *, temporary: bool, unclear: bool = False) -> None:
        super().__init__(reason)
        self.temporary = temporary
        self.unclear = unclear


class ProtocolError(MailquotaError):
    """A peer sent bytes that are not the protocol; its connection ends, nobody else's."""


ALSO_ANSWERED = {"told": True}  # of a log record: whoever asked has it in the answer, too


def error_text(error: Exception) -> str:
    """An error in one line. A file name may hold any bytes; what is not UTF-8 in it can't be sent, so it is escaped."""
    text = str(error)
    if isinstance(error, OSError) and error.filename:
        text = f"{os.fsdecode(error.filename2 or error.filename)}: {error.strerror}"  # the second: where to
    return text.encode("utf-8", "backslashreplace").decode()


def error_code(error: Exception) -> int:
    """Its exit code."""
    return error.exit_code if isinstance(error, MailquotaError) else 1


def sendable(name: str) -> str:
    """A file name as text that can be sent: bytes that are not UTF-8 become replacement characters."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
