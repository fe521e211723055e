"""The rows of ``doveadm quota get`` and ``mailbox status``, from the table or the JSON of doveadm. Pure.

In both all values are texts: storage in KiB, rounded up, and ``error`` where Dovecot does not know the usage. A user
has two rows for each quota root, storage and messages. Only the first root counts: the limit of the accounts database
is that of the first root.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from ...base.errors import MailquotaError

KIB = 1024
_ERROR = "error"

Row = Mapping[str, str]


class Quota(msgspec.Struct, frozen=True, gc=False):
    """The usage of a user: KiB, rounded up, and messages."""

    kib: int
    messages: int


class MailboxSize(msgspec.Struct, frozen=True, gc=False):
    """A mailbox with its name in UTF-8; ``size`` is its virtual size in bytes (RFC822.SIZE of all messages)."""

    name: str
    messages: int
    size: int


_COLUMNS = {"Username": "username", "Quota name": "root", "Type": "type", "Value": "value"}


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
    kib: dict[str, int | None] = {}
    for row in rows:
        name, root = row.get("username", user), row.get("root", "")
        if roots.setdefault(name, root) != root:
            continue
        number = _number(row.get("value", _ERROR))
        if row.get("type") == "STORAGE":
            kib[name] = number
        elif row.get("type") == "MESSAGE" and name in kib:
            storage = kib.pop(name)
            yield name, None if storage is None or number is None else Quota(storage, number)


def mailbox_sizes(rows: Iterable[Row]) -> list[MailboxSize]:
    """The mailboxes of one user. Raises MailquotaError for rows without name, messages or size."""
    try:
        return [MailboxSize(row["mailbox"], int(row["messages"]), int(row["vsize"])) for row in rows]
    except (KeyError, ValueError) as error:
        raise MailquotaError(f"doveadm: not the sizes of mailboxes: {error}") from error


def _number(text: str) -> int | None:
    """A number from 0 on; None for any other text, such as a number below 0 of a damaged record."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
