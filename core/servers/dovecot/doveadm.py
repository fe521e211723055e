"""Runs doveadm: recounts, usage, the messages in Trash, expunge. All calls block, so they are made in threads.

doveadm gets TZ=UTC, because it prints local times without a zone, and LC_ALL=C. Its exit codes are those of
sysexits.h: 67 no such user, 68 no such mailbox, 75 Dovecot does not answer. It may also print an error and end with 0;
that counts as an error (core/servers/dovecot/doveadm_errors.py).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, Protocol

import msgspec

from ...base.errors import MailquotaError, NoSuchAccountError, UnreachableError
from ...base.programs import MOST_PRINTED, RawProgramOutput, find, run_raw, search_path
from .doveadm_errors import errors, outcome
from .quota_rows import MailboxSize, Quota, mailbox_sizes, quotas, table_rows

ONE_USER_TIMEOUT = 10.0  # seconds; Dovecot itself waits 60 s for a database that does not answer
ALL_USERS_TIMEOUT = 1800.0
ONE_LOOK = 25.0  # for the messages of one folder
TIMEOUT = 120.0  # seconds; a recount of 100,000 messages takes 0.1 s, but minutes where there is no index yet
_MOST_PRINTED = 128 * 1024 * 1024  # bytes of output; a Trash of a million messages has some 50 MB
_LONGEST_LINE = 64 * 1024  # bytes
_REST_SECONDS = 1.0  # for the last errors; a program that doveadm started may hold the pipe open
_LONGEST = 4 * 1024 * 1024  # bytes of errors that are read; some 200 for each user that can't be loaded
_EACH_USER = 0.1  # seconds more for each user of one call; most take less than a millisecond
NO_USER = 67
NO_MAILBOX = 68
NOT_NOW = 75
_UIDS_A_CALL = 2000  # ranges of UIDs in one command line


Received = tuple[int, float]  # bytes of a message, and when it was received (seconds since the epoch)


class TrashMessage(msgspec.Struct, frozen=True, array_like=True):
    """A message in Trash: its size in bytes as quota counts it, and when it was saved (seconds since the epoch)."""

    uid: int
    size: int
    saved: float


class QuotaAnswers(msgspec.Struct, frozen=True):
    """What Dovecot replied about several users: the usage of each in lower case, or why it gives none.

    ``fault`` is None where it was asked about all of them; else why the users that are missing got no reply.
    """

    found: dict[str, Quota | MailquotaError]
    fault: MailquotaError | None = None


class DoveadmFigures(Protocol):
    """The figures that doveadm has. Every method blocks. A folder is what Dovecot calls a mailbox.

    All raise NoSuchAccountError where Dovecot has no such user, UnreachableError where it does not answer within a
    time limit, and MailquotaError for any other error.
    """

    def recalc(self, user: str) -> None:
        """Recount the mailbox of a user (``quota recalc``)."""

    def quota(self, user: str) -> Quota:
        """The usage of a user."""

    def quota_all(self) -> Iterator[tuple[str, Quota | MailquotaError | None]]:
        """The usage of all users that Dovecot can list: user by user, None where Dovecot does not know it.

        After them come users that Dovecot can't load, each with the error.
        """

    def quotas_of(self, users: Sequence[str]) -> QuotaAnswers:
        """The usage and the limits of these users, in one call where that is possible. Raises nothing."""

    def sizes(self, user: str) -> list[MailboxSize]:
        """The folders of a user with their messages and virtual sizes in bytes."""


class DoveadmTool(DoveadmFigures, Protocol):
    """doveadm, as a command or by its HTTP API, with the messages in Trash. Raises as DoveadmFigures."""

    def mailboxes(self, user: str) -> list[str]:
        """The names of all folders of a user, in UTF-8."""

    def trash(self, user: str, mailbox: str, before: float | None) -> list[TrashMessage]:
        """The messages of the folder; with ``before``, only those saved earlier (seconds since the epoch)."""

    def received(self, user: str, mailbox: str, *, virtual: bool) -> Generator[Received, None, None]:
        """Bytes of each message of the folder, and when it was received (seconds since the epoch).

        A folder that is not there has none. ``virtual``: as the driver ``count`` counts them, else as they are stored.
        """

    def expunge(self, user: str, mailbox: str, uids: Iterable[int]) -> None:
        """Remove exactly these messages of the folder. It is no error if the folder is gone: then they are, too."""


class Doveadm:
    """A DoveadmTool that runs the command. ``command`` is all before the subcommand: ``["doveadm", "-c", FILE]``."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = tuple(command)

    @classmethod
    def find(cls) -> Doveadm | None:
        """The doveadm on PATH or in the usual folders; None where there is none."""
        path = find("doveadm")
        return cls([path]) if path else None

    def recalc(self, user: str) -> None:
        """Recount the mailbox of a user (``doveadm quota recalc``)."""
        self._run("quota", "recalc", "-u", user, user=user)

    def mailboxes(self, user: str) -> list[str]:
        """The names of all folders of a user, in UTF-8."""
        return self._lines("mailbox", "list", "-8", "-u", user, user=user)

    def trash(self, user: str, mailbox: str, before: float | None) -> list[TrashMessage]:
        """The messages of the folder; with ``before``, only those saved earlier (seconds since the epoch).

        ``mailboxes`` also lists names that only have folders below them; for such a name there are no messages.
        """
        words = ("-f", "tab", "fetch", "-u", user, "uid size.physical date.saved", *_search(mailbox, before))
        return [_message(line) for line in self._lines(*words, user=user)[1:]]

    def received(self, user: str, mailbox: str, *, virtual: bool) -> Generator[Received, None, None]:
        """Bytes of each message of the folder, and when it was received, yielded as doveadm prints them.

        doveadm ends when the iteration does, and after ``ONE_LOOK`` seconds.
        """
        fields = f"size.{'virtual' if virtual else 'physical'} date.received.unixtime"
        words = ("-f", "tab", "fetch", "-u", user, fields, "mailbox", mailbox, "all")
        with self._started(*words, seconds=ONE_LOOK) as (process, told):
            lines = _each_line(process.stdout)
            next(lines, None)  # the titles
            for line in lines:
                yield received_message(*line.split("\t"))
            code = process.wait()
            stderr = told()
            if code == -signal.SIGKILL:
                raise UnreachableError(f"doveadm did not end within {ONE_LOOK:g} s")
            if code or errors(stderr):
                raise _failure(code, stderr, user)

    def expunge(self, user: str, mailbox: str, uids: Iterable[int]) -> None:
        """Remove exactly these messages of the folder. It is no error if the folder is gone: then they are, too."""
        ranges = _ranges(sorted(uids))
        for start in range(0, len(ranges), _UIDS_A_CALL):
            wanted = ",".join(ranges[start : start + _UIDS_A_CALL])
            self._run("expunge", "-u", user, "mailbox", mailbox, "uid", wanted, user=user)

    def quota(self, user: str) -> Quota:
        """The usage of a user (``doveadm quota get``)."""
        rows = table_rows(self._lines("-f", "tab", "quota", "get", "-u", user, user=user, seconds=ONE_USER_TIMEOUT))
        return quota_of_one(quotas(rows, user), user)

    def quota_all(self) -> Iterator[tuple[str, Quota | MailquotaError | None]]:
        """The usage of all users (``doveadm quota get -A``), yielded as doveadm prints them."""
        with self._started("-f", "tab", "quota", "get", "-A") as (process, told):
            found = 0
            for name, quota in quotas(table_rows(_each_line(process.stdout))):
                found += 1
                yield name, quota
            code = process.wait()
            stderr = told()
            if code and not found:
                raise _failure(code, stderr, "-A")
            of_users = (error for error in errors(stderr) if error.user)
            yield from ((error.user, MailquotaError(f"doveadm: {error.text}")) for error in of_users)

    def quotas_of(self, users: Sequence[str]) -> QuotaAnswers:
        """The usage of these users (``doveadm quota get -F``), within ``ONE_USER_TIMEOUT`` and ``_EACH_USER`` for each.

        doveadm reads their names from its standard input, so that a command that runs it elsewhere works as well.
        """
        words = [*self.command, "-f", "tab", "quota", "get", "-F", "/dev/stdin"]
        given = "".join(f"{user}\n" for user in users).encode()
        try:
            done = run_raw(words, _environment(), ONE_USER_TIMEOUT + _EACH_USER * len(users), given)
        except (OSError, ValueError) as error:
            return QuotaAnswers({}, _unusable(self.command, error))
        answers = quota_answers(users, done)
        if answers.found or done.code is None:
            return answers
        return quotas_one_by_one(self, users, answers.fault)

    def sizes(self, user: str) -> list[MailboxSize]:
        """The folders of a user (``doveadm mailbox status``); doveadm counts those that have no index yet."""
        words = ("-f", "tab", "mailbox", "status", "-u", user, "messages vsize", "*")
        return mailbox_sizes(table_rows(self._lines(*words, user=user)))

    @contextmanager
    def _started(
        self, *arguments: str, seconds: float | None = None
    ) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
        """doveadm while it runs, and a function that gives its errors; it is killed when the block ends."""
        try:
            process = subprocess.Popen(
                [*self.command, *arguments],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=_environment(),
            )  # fmt: skip
        except OSError as error:
            raise _unusable(self.command, error) from error
        watchdog = threading.Timer(seconds or ALL_USERS_TIMEOUT, process.kill)
        watchdog.daemon = True
        watchdog.start()
        with process:
            kept = bytearray()
            reader = threading.Thread(target=_keep, args=(process.stderr, kept), daemon=True)
            reader.start()

            def told() -> str:
                reader.join(_REST_SECONDS)
                return bytes(kept).decode("utf-8", "replace")

            try:
                yield process, told
            finally:
                watchdog.cancel()
                process.kill()
                reader.join(_REST_SECONDS)

    def _lines(self, *arguments: str, user: str, seconds: float | None = None) -> list[str]:
        """The lines of the output. Only LF ends a line: names may hold other line ends of Unicode (str.splitlines)."""
        return self._run(*arguments, user=user, seconds=seconds).split("\n")[:-1]

    def _run(self, *arguments: str, user: str, seconds: float | None = None) -> str:
        seconds = seconds or TIMEOUT
        try:
            done = run_raw([*self.command, *arguments], _environment(), seconds, most=_MOST_PRINTED)
        except OSError as error:
            raise _unusable(self.command, error) from error
        if done.endless:
            raise _endless()
        if done.code is None:
            raise UnreachableError(f"doveadm did not end within {seconds:g} s")
        stderr = done.err[:_LONGEST].decode("utf-8", "replace")
        if done.code == NO_MAILBOX or (done.code == 0 and not errors(stderr)):
            return done.out.decode("utf-8", "replace")
        raise _failure(done.code, stderr, user)


def _keep(pipe: IO[bytes] | None, kept: bytearray) -> None:
    """Read errors as they come, as a pipe that is full would block doveadm. The first of them are kept."""
    assert pipe is not None
    with contextlib.suppress(OSError, ValueError):  # closed meanwhile
        while part := os.read(pipe.fileno(), 1 << 16):
            kept += part[: _LONGEST - len(kept)]


def _each_line(pipe: IO[bytes] | None) -> Iterator[str]:
    """The lines as they come. Raises UnreachableError for one without an end."""
    assert pipe is not None
    while line := pipe.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise _endless()
        yield line.decode("utf-8", "replace")


def _endless() -> UnreachableError:
    return UnreachableError("doveadm prints without end")


def quota_answers(users: Iterable[str], done: RawProgramOutput) -> QuotaAnswers:
    """Read the output of ``quota get -F``. A user that doveadm passed over without a word has no quota at all."""
    stderr = done.err[:_LONGEST].decode("utf-8", "replace")
    found: dict[str, Quota | MailquotaError] = {}
    for error in errors(stderr):
        if error.user:
            found[error.user.lower()] = MailquotaError(f"doveadm: {error.text}")
    lines = done.out.decode("utf-8", "replace").split("\n")[:-1]
    for name, quota in quotas(table_rows(lines)):
        if quota is not None:
            found[name.lower()] = quota
    if done.endless:
        return QuotaAnswers(found, MailquotaError(f"doveadm printed more than {MOST_PRINTED >> 20} MiB"))
    if done.code is None:
        return QuotaAnswers(found, UnreachableError("doveadm did not end in time"))
    if not found and (done.code or not lines or not lines[0].startswith("Username\t")):
        text = outcome(stderr) or "it printed no table of quotas"
        return QuotaAnswers(found, (UnreachableError if done.code == NOT_NOW else MailquotaError)(f"doveadm: {text}"))
    for user in users:
        found.setdefault(user.lower(), MailquotaError("Dovecot does not know it, or keeps no quota of it"))
    return QuotaAnswers(found)


def quotas_one_by_one(tool: DoveadmFigures, users: Iterable[str], fault: MailquotaError | None = None) -> QuotaAnswers:
    """Ask for each user alone. After one that got no reply no other is asked about.

    ``fault`` is why they could not be asked about together; where the first reply is no quota either, it stands.
    """
    found: dict[str, Quota | MailquotaError] = {}
    for user in users:
        try:
            found[user.lower()] = tool.quota(user)
        except NoSuchAccountError as error:
            found[user.lower()] = error
        except UnreachableError as error:
            return QuotaAnswers(found, error)
        except MailquotaError as error:
            if fault is not None and not found:
                return QuotaAnswers(found, fault)
            found[user.lower()] = error
    return QuotaAnswers(found)


def quota_of_one(found: Iterable[tuple[str, Quota | None]], user: str) -> Quota:
    """The usage in an answer about one user. Raises MailquotaError where Dovecot does not know it."""
    quota = next((quota for _, quota in found), None)
    if quota is None:
        raise MailquotaError(f"Dovecot does not know the usage of {user}")
    return quota


def _environment() -> dict[str, str]:
    return {"PATH": search_path(), "LC_ALL": "C", "TZ": "UTC"}


def _unusable(command: Sequence[str], error: Exception) -> UnreachableError:
    return UnreachableError(f"{command[0]} can't be run: {getattr(error, 'strerror', None) or error}")


def _failure(code: int, stderr: str, user: str) -> MailquotaError:
    if code == NO_USER:
        return NoSuchAccountError(user)
    line = outcome(stderr) or f"exit code {code}"
    return (UnreachableError if code == NOT_NOW else MailquotaError)(f"doveadm: {line}")


def _search(mailbox: str, before: float | None) -> list[str]:
    return ["mailbox", mailbox, *(["all"] if before is None else ["savedbefore", str(int(before))])]


def _message(line: str) -> TrashMessage:
    uid, size, saved = line.split("\t")
    moment = datetime.strptime(saved, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return TrashMessage(uid=int(uid), size=int(size), saved=moment.timestamp())


def received_message(*fields: str) -> Received:
    """Size and date of a message. Raises MailquotaError for what is neither."""
    try:
        size, at = fields
        return int(size), float(at)
    except ValueError as error:
        raise MailquotaError("doveadm: fetch: not understood") from error


def _ranges(uids: list[int]) -> list[str]:
    """UIDs as ranges, ``1:3`` and ``7``, so that ten thousand messages fit into a command line."""
    pieces: list[list[int]] = []
    for uid in uids:
        if pieces and uid == pieces[-1][1] + 1:
            pieces[-1][1] = uid
        else:
            pieces.append([uid, uid])
    return [str(first) if first == last else f"{first}:{last}" for first, last in pieces]
