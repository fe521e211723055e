"""An entry of the ledger as consoles and commands get it. Reads only."""

from __future__ import annotations

import msgspec

from ..base.growth import STANDING, forecast
from ..base.model import AccountRow
from ..servers.dovecot.folder_names import TrashNames
from ..servers.dovecot.quota_rows import KIB
from .entry import Entry
from .witness_rules import difference_text


def account_row(entry: Entry, is_trash: TrashNames) -> AccountRow:
    """The row of an account; ``why`` says why its usage is not known."""
    known = entry.known
    if known is None:
        why = entry.fault or entry.trouble or "it has not been measured yet"
        row = AccountRow(
            entry.address,
            entry.limit,
            enabled=entry.enabled,
            refused_at=entry.refused_at,
            why=why,
            limit_messages=entry.limit_messages,
            refused_day=entry.refused_day,
        )
        return _with_witness(row, entry)
    trash = None if known.folders is None else [f for f in known.folders if is_trash(f.name)]
    row = AccountRow(
        address=entry.address,
        limit_bytes=entry.limit,
        used_bytes=known.used,
        messages=known.messages,
        trash_bytes=None if trash is None else sum(folder.bytes for folder in trash),
        trash_messages=None if trash is None else sum(folder.messages for folder in trash),
        source=known.source,
        measured_at=entry.measured_at,
        enabled=entry.enabled,
        refused_at=entry.refused_at,
        drift_bytes=entry.drift if known.source == "maildirsize" else None,
        growth_bytes_per_day=entry.trend.growth if entry.trend is not None else None,
        days_to_full=_days_to_full(entry),
        week=entry.week,
        changed_at=entry.changed_at,
        limit_messages=entry.limit_messages,
        refused_day=entry.refused_day,
    )
    return _with_witness(row, entry)


def _with_witness(row: AccountRow, entry: Entry) -> AccountRow:
    if entry.verified_at is None:
        return row
    verdict = entry.verdict
    if verdict is None:
        return msgspec.structs.replace(row, verified_at=entry.verified_at)
    told = verdict.told.kib * KIB
    if row.source == "doveadm" and row.used_bytes is not None:
        told = row.used_bytes
    return msgspec.structs.replace(
        row,
        verified_at=entry.verified_at,
        witness_bytes=told if verdict.usage else None,
        differs=difference_text(verdict, entry.database_limit, entry.given_messages),
    )


def _days_to_full(entry: Entry) -> float | None:
    if entry.limit is None or entry.used is None:
        return None
    return forecast(entry.used, entry.limit, entry.trend or STANDING).days
