"""The rows of ``doveadm quota get`` and ``mailbox status``, from the table or the JSON of doveadm. Pure.

In both all values are texts: storage in KiB, rounded up, and ``error`` where Dovecot does not know the usage. A user
has two rows for each quota root, storage and messages; by Dovecot's driver dirsize, which counts no messages, one. Only
the first root counts: the limit of the accounts database is that of the first root.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from ...base.errors import MailquotaError

KIB = 1024
_ERROR = "error"

Row = Mapping[str, str]


class QuotaLimits(msgspec.Struct, frozen=True, gc=False):
    """The limits of a user: KiB, rounded up, and messages; None is unlimited."""

    kib: int | None
    messages: int | None


class Quota(msgspec.Struct, frozen=True, gc=False):
    """The usage of a user: KiB, rounded up, and messages. ``limits`` is None where Dovecot's answer has none."""

    kib: int
    messages: int
    limits: QuotaLimits | None = None


class MailboxSize(msgspec.Struct, frozen=True, gc=False):
    """A mailbox with its name in UTF-8; ``size`` is its virtual size in bytes (RFC822.SIZE of all messages)."""

    name: str
    messages: int
    size: int


_COLUMNS = {"Username": "username", "Quota name": "root", "Type": "type", "Value": "value", "Limit": "limit"}
_UNLIMITED = ("-", "0")


def table_rows(lines: Iterable[str]) -> Iterator[Row]:
    """The rows of a table with tabs, by the column names of the JSON form.

    Lines with a wrong number of fields are skipped.
    """
    names: list[str] | None = None
    for line in lines:
        fields = line.rstrip("\n").split("\t")
        if names is None:
            names = [_COLUMNS.get(name, name) for name in fields]
        elif len(fields) == len(names):
            yield dict(zip(names, fields, strict=True))


def quotas(rows: Iterable[Row], user: str = "") -> Iterator[tuple[str, Quota | None]]:
    """Each user with its usage, None where Dovecot does not know it. Rows without a name are about ``user``."""
    roots: dict[str, str] = {}
    storage: dict[str, Row] = {}
    for row in rows:
        name, root = row.get("username", user), row.get("root", "")
        if roots.setdefault(name, root) != root:
            continue
        if row.get("type") == "STORAGE":
            yield from _without_messages(storage)
            storage[name] = row
        elif row.get("type") == "MESSAGE" and name in storage:
            yield name, _quota(storage.pop(name), row)
    yield from _without_messages(storage)


def _without_messages(storage: dict[str, Row]) -> Iterator[tuple[str, Quota | None]]:
    """The user whose messages Dovecot does not count: their number is 0."""
    while storage:
        name, row = storage.popitem()
        yield name, _quota(row, {"value": "0", "limit": _UNLIMITED[0]})


def _quota(storage: Row, message: Row) -> Quota | None:
    kib, messages = _number(storage.get("value", _ERROR)), _number(message.get("value", _ERROR))
    return None if kib is None or messages is None else Quota(kib, messages, _limits(storage, message))


def _limits(storage: Row, message: Row) -> QuotaLimits | None:
    texts = storage.get("limit", _ERROR), message.get("limit", _ERROR)
    limits = [None if text in _UNLIMITED else _number(text) for text in texts]
    told = all(text in _UNLIMITED or limit for text, limit in zip(texts, limits, strict=True))
    return QuotaLimits(*limits) if told else None


def mailbox_sizes(rows: Iterable[Row]) -> list[MailboxSize]:
    """The mailboxes of one user. Raises MailquotaError for rows without name, messages or size."""
    try:
        return [MailboxSize(row["mailbox"], int(row["messages"]), int(row["vsize"])) for row in rows]
    except (KeyError, ValueError) as error:
        raise MailquotaError(f"doveadm: not the sizes of mailboxes: {error}") from error


def _number(text: str) -> int | None:
    """A number from 0 on; None for any other text, such as a number below 0 of a damaged record."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
