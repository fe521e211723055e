"""The rows of ``doveadm quota get`` and ``mailbox status``, from its table or its JSON. Pure.

Both give texts: storage in KiB, rounded up; ``error`` where Dovecot can't tell. A user has two rows for each of its
quota roots, of which the first one counts: it is the one that the limit of the accounts database belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from mailquota.core.base.errors import MailquotaError

KIB = 1024
_ERROR = "error"

Row = Mapping[str, str]


class Quota(msgspec.Struct, frozen=True, gc=False):
    """What a user holds: KiB rounded up, and messages."""

    kib: int
    messages: int


class MailboxSize(msgspec.Struct, frozen=True, gc=False):
    """A mailbox, named in UTF-8; ``size`` in virtual bytes."""

    name: str
    messages: int
    size: int


_COLUMNS = {"Username": "username", "Quota name": "root", "Type": "type", "Value": "value"}


def table_rows(lines: Iterable[str]) -> Iterator[Row]:
    """A table with tabs as rows by the names of the JSON form; a line with a field too few or too many is skipped."""
    names: list[str] | None = None
    for line in lines:
        fields = line.rstrip("\n").split("\t")
        if names is None:
            names = [_COLUMNS.get(name, name) for name in fields]
        elif len(fields) == len(names):
            yield dict(zip(names, fields, strict=True))


def quotas(rows: Iterable[Row], user: str = "") -> Iterator[tuple[str, Quota | None]]:
    """Each user (rows without a name are ``user``'s) with what it holds, None where Dovecot can't tell."""
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
    """The mailboxes of one user. Raises MailquotaError for rows that are none."""
    try:
        return [MailboxSize(row["mailbox"], int(row["messages"]), int(row["vsize"])) for row in rows]
    except (KeyError, ValueError) as error:
        raise MailquotaError(f"doveadm: not the sizes of mailboxes: {error}") from error


def _number(text: str) -> int | None:
    """A count; below zero, as a damaged record may say, is nothing that can be told."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
