"""Dovecot's doveadm HTTP API: the commands of doveadm over the network. All calls block, so they are made in threads.

Each request has one command, as Dovecot's documentation advises. Dovecot answers with status 200 even where the command
failed; the body then has the exit code of the command. To a request that it does not understand it closes the
connection without an answer. The secret of the settings may be the API key or the password of the user ``doveadm``:
both are tried.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ...base.errors import MailquotaError, NoSuchAccountError, UnreachableError
from ...base.text import shown
from .doveadm import (
    ALL_USERS_TIMEOUT,
    NO_MAILBOX,
    NO_USER,
    NOT_NOW,
    ONE_LOOK,
    ONE_USER_TIMEOUT,
    TIMEOUT,
    QuotaAnswers,
    Received,
    TrashMessage,
    quota_of_one,
    quotas_one_by_one,
    received_message,
)
from .quota_rows import MailboxSize, Quota, Row, mailbox_sizes, quotas

_TAG = "mailquota"
_LONGEST = 256 * 1024 * 1024  # bytes of an answer; 1,000 users take 0.2 MB
_UNAUTHORIZED = 401


class _NoMailboxError(MailquotaError):
    """There is no such mailbox."""


class HttpDoveadm:
    """A DoveadmTool that uses the API at ``url``, like ``http://127.0.0.1:8080``."""

    def __init__(self, url: str, secret: str) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(url)
        self._secure = parts.scheme == "https"
        self._address = parts.hostname or "", parts.port
        key = "X-Dovecot-API " + base64.b64encode(secret.encode()).decode()
        password = "Basic " + base64.b64encode(f"doveadm:{secret}".encode()).decode()
        self._authorizations: tuple[str, ...] = (key, password)

    def recalc(self, user: str) -> None:
        """Recount a mailbox.

        Over HTTP Dovecot reports no error of a recount. But after one that failed it does not know the usage either, so
        that is asked for, and its error raised.
        """
        self._ask("quotaRecalc", user)
        try:
            self.quota(user)
        except MailquotaError as error:
            raise MailquotaError(f"Dovecot could not recount the mailbox; see its log ({error})") from error

    def mailboxes(self, user: str) -> list[str]:
        """The names of all mailboxes of a user, in UTF-8."""
        return [row["mailbox"] for row in self._ask("mailboxList", user)]

    def trash(self, user: str, mailbox: str, before: float | None) -> list[TrashMessage]:
        """The messages of one mailbox, or those saved before a time; none where there is no such mailbox.

        Times are asked for as seconds since the epoch: as text they would be in the server's time zone.
        """
        fields = ["uid", "size.physical", "date.saved.unixtime"]
        ages = ["all"] if before is None else ["savedbefore", str(int(before))]
        with contextlib.suppress(_NoMailboxError):
            rows = self._ask("fetch", user, field=fields, query=["mailbox", mailbox, *ages])
            return [TrashMessage(*(int(row[field]) for field in fields)) for row in rows]
        return []

    def received(self, user: str, mailbox: str, *, virtual: bool) -> Generator[Received, None, None]:
        """Bytes of each message of the mailbox, and when it was received."""
        fields = [f"size.{'virtual' if virtual else 'physical'}", "date.received.unixtime"]
        rows = self._ask("fetch", user, seconds=ONE_LOOK, field=fields, query=["mailbox", mailbox, "all"])
        return (received_message(*(row.get(field, "") for field in fields)) for row in rows)

    def expunge(self, user: str, mailbox: str, uids: Iterable[int]) -> None:
        """Remove exactly these messages. It is no error if the mailbox is gone."""
        wanted = ",".join(map(str, sorted(uids)))
        with contextlib.suppress(_NoMailboxError):
            self._ask("expunge", user, query=["mailbox", mailbox, "uid", wanted])

    def quota(self, user: str) -> Quota:
        """The usage of a user."""
        return quota_of_one(quotas(self._ask("quotaGet", user, seconds=ONE_USER_TIMEOUT), user), user)

    def quota_all(self) -> Iterator[tuple[str, Quota | MailquotaError | None]]:
        """The usage of all users. Dovecot sends the answer when it has counted all of them."""
        yield from quotas(self._send("quotaGet", "", {"allUsers": True}, ALL_USERS_TIMEOUT))

    def quotas_of(self, users: Sequence[str]) -> QuotaAnswers:
        """The usage of these users, by a request for each. After one that got no answer no other is asked about."""
        return quotas_one_by_one(self, users)

    def sizes(self, user: str) -> list[MailboxSize]:
        """The mailboxes of a user with their messages and virtual sizes in bytes."""
        return mailbox_sizes(self._ask("mailboxStatus", user, field=["messages", "vsize"], mailboxMask=["*"]))

    def _ask(self, command: str, user: str, seconds: float = TIMEOUT, **parameters: object) -> list[Row]:
        return self._send(command, user, {"user": user, **parameters}, seconds)

    def _send(self, command: str, user: str, parameters: dict[str, Any], seconds: float) -> list[Row]:
        body = msgspec.json.encode([[command, parameters, _TAG]])
        for authorization in self._authorizations:
            status, data = self._post(body, authorization, seconds)
            if status != _UNAUTHORIZED:
                self._authorizations = (authorization,)  # the one that was accepted
                return _rows(status, data, command, user)
        raise MailquotaError(f"{self.url} does not accept the password of mailstore.doveadm_password_file")

    def _post(self, body: bytes, authorization: str, seconds: float) -> tuple[int, bytes]:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(*self._address, timeout=seconds)
        try:
            headers = {"Content-Type": "application/json", "Authorization": authorization}
            connection.request("POST", "/doveadm/v1", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(_LONGEST)
        except http.client.RemoteDisconnected as error:
            raise MailquotaError(f"{self.url} closed the connection without an answer") from error
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(f"{self.url} does not answer: {error}") from error
        finally:
            connection.close()


def _rows(status: int, data: bytes, command: str, user: str) -> list[Row]:
    """The rows of an answer; raises its error."""
    try:
        (kind, result, _), *_ = msgspec.json.decode(data, type=list[tuple[str, Any, str]])
    except (msgspec.DecodeError, ValueError) as error:
        text = shown(data[:200].decode("utf-8", "replace"), 200)
        raise MailquotaError(f"doveadm: {command}: HTTP status {status}: {text}") from error
    if kind == "doveadmResponse":
        try:
            rows: list[Row] = msgspec.convert(result, list[dict[str, str]])
        except msgspec.ValidationError as error:
            raise MailquotaError(f"doveadm: {command}: not understood: {error}") from error
        return rows
    raise _failure(result if isinstance(result, dict) else {}, command, user)


def _failure(result: dict[str, Any], command: str, user: str) -> MailquotaError:
    code = result.get("exitCode")
    if code == NO_USER:
        return NoSuchAccountError(user)
    if code == NO_MAILBOX:
        return _NoMailboxError(f"doveadm: {command}: no such mailbox")
    text = f"doveadm: {command}: {result.get('type', 'not understood')} {code}"
    return UnreachableError(text) if code == NOT_NOW else MailquotaError(text)
