"""Dovecot's own tool, where there is one: recount, look into Trash, expunge. Blocking; always called in a thread.

doveadm runs with an environment of its own: TZ=UTC, because it prints local times without a zone, and LC_ALL=C. Its
exit codes are those of sysexits: 67 no such user, 68 no such mailbox, 75 Dovecot does not answer. An error that it
writes while it ends with 0 is one all the same (core/servers/dovecot/doveadm_errors.py).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, Protocol

import msgspec

from mailquota.core.base.errors import MailquotaError, NoSuchAccountError, UnreachableError
from mailquota.core.servers.dovecot.doveadm_errors import errors, outcome
from mailquota.core.servers.dovecot.quota_rows import MailboxSize, Quota, mailbox_sizes, quotas, table_rows

ONE_USER_TIMEOUT = 10.0  # seconds; Dovecot itself waits 60 s for a database that is gone
ALL_USERS_TIMEOUT = 1800.0
TIMEOUT = 120.0  # seconds; a recount of 100,000 messages takes 0.1 s, of a first index minutes
_LONGEST = 4 * 1024 * 1024  # bytes of complaints that are read; one of some 200 for each user that can't be loaded
NO_USER = 67
NO_MAILBOX = 68
NOT_NOW = 75
_UIDS_A_CALL = 2000  # ranges in one command line
_PLACES = "/usr/bin:/usr/local/bin:/usr/sbin:/usr/local/sbin:/bin:/sbin"  # where PATH is empty, as under Dovecot


class TrashMessage(msgspec.Struct, frozen=True, array_like=True):
    """A message in Trash: its size in bytes as quota counts it, and when it came there."""

    uid: int
    size: int
    saved: float


class DoveadmTool(Protocol):
    """What is asked of doveadm, by its command or its HTTP API. Every method blocks.

    All raise NoSuchAccountError, UnreachableError where Dovecot does not answer, and MailquotaError.
    """

    def recalc(self, user: str) -> None:
        """``quota recalc``."""

    def mailboxes(self, user: str) -> list[str]:
        """The names of all mailboxes of a user, in UTF-8."""

    def trash(self, user: str, mailbox: str, before: float | None) -> list[TrashMessage]:
        """The messages of one mailbox, or those saved there before a time in seconds since the epoch."""

    def expunge(self, user: str, mailbox: str, uids: Iterable[int]) -> None:
        """Remove exactly these messages; those of a mailbox that is gone are gone."""

    def quota(self, user: str) -> Quota:
        """What a user holds."""

    def quota_all(self) -> Iterator[tuple[str, Quota | MailquotaError | None]]:
        """What all users hold that Dovecot can list, as far as it can tell; afterwards why it can't, of some."""

    def sizes(self, user: str) -> list[MailboxSize]:
        """The mailboxes of a user and their virtual sizes."""


class Doveadm:
    """``command`` is the words before a subcommand, like ``["doveadm", "-c", "/etc/dovecot/dovecot.conf"]``."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = tuple(command)

    @classmethod
    def find(cls) -> Doveadm | None:
        """The doveadm of this machine, or None."""
        # an empty part of PATH would be the working directory
        path = shutil.which("doveadm", path=":".join(filter(None, [os.environ.get("PATH"), _PLACES])))
        return cls([path]) if path else None

    def recalc(self, user: str) -> None:
        """``doveadm quota recalc``. Raises NoSuchAccountError, UnreachableError, MailquotaError."""
        self._run("quota", "recalc", "-u", user, user=user)

    def mailboxes(self, user: str) -> list[str]:
        """The names of all mailboxes of a user, in UTF-8."""
        return self._lines("mailbox", "list", "-8", "-u", user, user=user)

    def trash(self, user: str, mailbox: str, before: float | None) -> list[TrashMessage]:
        """The messages of one mailbox, or those saved there before a time in seconds since the epoch.

        A mailbox without one of its own is listed for the sake of those below it; it holds nothing.
        """
        words = ("-f", "tab", "fetch", "-u", user, "uid size.physical date.saved", *_search(mailbox, before))
        return [_message(line) for line in self._lines(*words, user=user)[1:]]

    def expunge(self, user: str, mailbox: str, uids: Iterable[int]) -> None:
        """Remove exactly these messages; those of a mailbox that is gone are gone."""
        ranges = _ranges(sorted(uids))
        for start in range(0, len(ranges), _UIDS_A_CALL):
            wanted = ",".join(ranges[start : start + _UIDS_A_CALL])
            self._run("expunge", "-u", user, "mailbox", mailbox, "uid", wanted, user=user)

    def quota(self, user: str) -> Quota:
        """``quota get`` for one user."""
        rows = table_rows(self._lines("-f", "tab", "quota", "get", "-u", user, user=user, seconds=ONE_USER_TIMEOUT))
        return only(quotas(rows, user), user)

    def quota_all(self) -> Iterator[tuple[str, Quota | MailquotaError | None]]:
        """``quota get -A``, user by user as Dovecot prints them. A user that it can't load does not end it."""
        with self._started("-f", "tab", "quota", "get", "-A") as (process, complaints):
            assert process.stdout is not None
            found = 0
            for name, quota in quotas(table_rows(line.decode("utf-8", "replace") for line in process.stdout)):
                found += 1
                yield name, quota
            code = process.wait()
            complaints.seek(0)
            said = complaints.read(_LONGEST).decode("utf-8", "replace")
            if code and not found:
                raise _failure(code, said, "-A")
            yield from ((error.user, MailquotaError(f"doveadm: {error.text}")) for error in errors(said) if error.user)

    def sizes(self, user: str) -> list[MailboxSize]:
        """``mailbox status``; doveadm counts what it does not know yet."""
        words = ("-f", "tab", "mailbox", "status", "-u", user, "messages vsize", "*")
        return mailbox_sizes(table_rows(self._lines(*words, user=user)))

    @contextmanager
    def _started(self, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
        """Running, its complaints in a file, so that neither side waits for the other; at the end it is gone."""
        with tempfile.TemporaryFile() as complaints:
            try:
                process = subprocess.Popen(
                    [*self.command, *arguments],
                    stdout=subprocess.PIPE, stderr=complaints, stdin=subprocess.DEVNULL, env=_environment(),
                )  # fmt: skip
            except OSError as error:
                raise _unusable(self.command, error) from error
            watchdog = threading.Timer(ALL_USERS_TIMEOUT, process.kill)
            watchdog.daemon = True
            watchdog.start()
            with process:
                try:
                    yield process, complaints
                finally:
                    watchdog.cancel()
                    process.kill()

    def _lines(self, *arguments: str, user: str, seconds: float | None = None) -> list[str]:
        """Lines end in LF alone: a name may hold the other characters that end a line in Unicode."""
        return self._run(*arguments, user=user, seconds=seconds).split("\n")[:-1]

    def _run(self, *arguments: str, user: str, seconds: float | None = None) -> str:
        seconds = seconds or TIMEOUT
        try:
            done = subprocess.run(
                [*self.command, *arguments],
                capture_output=True, timeout=seconds, check=False, env=_environment(), stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise UnreachableError(f"doveadm did not end within {seconds:g} s") from error
        except OSError as error:
            raise _unusable(self.command, error) from error
        said = done.stderr.decode("utf-8", "replace")
        if done.returncode == NO_MAILBOX or (done.returncode == 0 and not errors(said)):
            return done.stdout.decode("utf-8", "replace")
        raise _failure(done.returncode, said, user)


def only(found: Iterable[tuple[str, Quota | None]], user: str) -> Quota:
    """What the one user holds that was asked for. Raises MailquotaError where Dovecot can't tell."""
    quota = next((quota for _, quota in found), None)
    if quota is None:
        raise MailquotaError(f"Dovecot can't tell what {user} holds")
    return quota


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", "") or _PLACES, "LC_ALL": "C", "TZ": "UTC"}


def _unusable(command: Sequence[str], error: OSError) -> UnreachableError:
    return UnreachableError(f"{command[0]} can't be run: {error.strerror or error}")


def _failure(code: int, said: str, user: str) -> MailquotaError:
    if code == NO_USER:
        return NoSuchAccountError(user)
    line = outcome(said) or f"exit code {code}"
    return (UnreachableError if code == NOT_NOW else MailquotaError)(f"doveadm: {line}")


def _search(mailbox: str, before: float | None) -> list[str]:
    return ["mailbox", mailbox, *(["all"] if before is None else ["savedbefore", str(int(before))])]


def _message(line: str) -> TrashMessage:
    uid, size, saved = line.split("\t")
    moment = datetime.strptime(saved, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return TrashMessage(uid=int(uid), size=int(size), saved=moment.timestamp())


def _ranges(uids: list[int]) -> list[str]:
    """``1:3,7`` as pieces, so that ten thousand messages fit into a command line."""
    pieces: list[list[int]] = []
    for uid in uids:
        if pieces and uid == pieces[-1][1] + 1:
            pieces[-1][1] = uid
        else:
            pieces.append([uid, uid])
    return [str(first) if first == last else f"{first}:{last}" for first, last in pieces]
