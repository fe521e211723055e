"""What follows from the past of one account: the limits that held, and when it will be full."""

from __future__ import annotations

from collections.abc import Sequence

from mailquota.core.base.growth import STANDING, forecast
from mailquota.core.base.model import Forecast
from mailquota.core.control.results import JournalRow
from mailquota.core.mailboxes.ledger import Entry


def forecast_of(entry: Entry) -> Forecast | None:
    """When it is full; None where that can't be told."""
    if entry.limit is None or entry.used is None or (entry.trend is None and entry.used < entry.limit):
        return None
    return forecast(entry.used, entry.limit, entry.trend or STANDING)


def limits_of(limit: int | None, changes: Sequence[JournalRow], now: float) -> list[tuple[float, int | None]]:
    """From when on which limit held, oldest first: what the journal (newest first) says, and the one of now.

    Of an edit made elsewhere nobody knows when it was.
    """
    edits = [change for change in reversed(changes) if change.kind == "limit"]
    found = [(0.0, _limit(edits[0].old))] if edits else []
    found += [(edit.at, _limit(edit.new)) for edit in edits]
    if not found or found[-1][1] != limit:
        found.append((now if found else 0.0, limit))
    return found


def _limit(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
