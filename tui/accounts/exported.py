"""The accounts of the table as they are exported, and the command that lists the same. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from mailquota.core.base.model import AccountRow, account_json, rfc3339

from ..desk.account_columns import left_of, trash_share
from ..desk.account_list import AccountList, View
from ..draw.grid import Placed
from ..draw.sheet import Sheet, parts

# Column of the table → keys of its values, which are those of ``mailquota list --json``.
KEYS = {
    "use": ("percent",), "used": ("used_bytes",), "limit": ("limit_bytes",), "messages": ("messages",),
    "trash": ("trash_bytes", "trash_messages"), "week": ("growth_bytes_per_day",), "full": ("days_to_full",),
    "measured": ("measured_at",), "refused": ("refused_at",),
    "left": ("left_bytes",), "refusals": ("refused_in_24_h",), "growth": ("growth_bytes_per_day",),
    "changed": ("changed_at",), "verified": ("verified_at",),
    "trash-share": ("trash_percent",), "most-messages": ("limit_messages",), "dovecot": ("witness_bytes",),
}  # fmt: skip
# Column of the table → key of ``mailquota list --sort`` that has the same direction.
SORTS = {
    "address": "address", "level": "level", "used": "used", "limit": "limit", "messages": "messages", "trash": "trash",
    "week": "growth", "growth": "growth", "measured": "-age",
}  # fmt: skip


def sheet(accounts: AccountList, placed: Sequence[Placed[AccountRow]]) -> Sheet[AccountRow]:
    """The marked accounts, else all that are shown, in the order of the table."""
    marked = bool(accounts.marks)
    rows = [accounts.rows[address] for address in (_marked(accounts) if marked else accounts.order)]
    if marked:
        command, why = "", "No command lists accounts by marks: filter them, or export them as CSV, JSON or text."
    else:
        command = list_command(accounts.view)
        why = "mailquota list has no such order: sort by another column."
    return Sheet("accounts", rows, parts(placed, KEYS), record, "account", command, why, marked)


def record(row: AccountRow) -> dict[str, Any]:
    """An account as ``mailquota list --json`` has it, and what else has a column."""
    return {
        **account_json(row),
        "left_bytes": left_of(row),
        "refused_at": rfc3339(row.refused_at),
        "refused_in_24_h": row.refused_day,
        "changed_at": rfc3339(row.changed_at),
        "trash_percent": trash_share(row),
    }


def _marked(accounts: AccountList) -> list[str]:
    """As the table has them; those that the filter hides are last."""
    shown = [address for address in accounts.order if address in accounts.marks]
    return shown + sorted(filter(accounts.hides, accounts.marks))


def list_command(view: View) -> str:
    """The command that lists the same accounts in the same order; empty if there is none."""
    words = view.filter.text.split() if view.filter is not None else []
    command = ["mailquota", "list", *(["--"] if any(word.startswith("-") for word in words) else []), *words]
    if view.column.key == "use" and not view.inverted:
        return shlex.join(command)
    key = {**SORTS, "use": "percent"}.get(view.column.key)
    if key is None:
        return ""
    key = f"-{key}".removeprefix("--") if view.inverted else key
    return shlex.join([*command[:2], f"--sort={key}", *command[2:]])
