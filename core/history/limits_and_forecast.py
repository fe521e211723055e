"""The limits that an account has had, by the journal, and when it will be full, by its growth."""

from __future__ import annotations

from collections.abc import Sequence

from ..base.growth import STANDING, forecast
from ..base.model import Forecast
from ..control.results import JournalRow
from ..mailboxes.ledger import Entry


def forecast_of(entry: Entry) -> Forecast | None:
    """When the mailbox will be full, by its trend in the ledger; None without limit, usage or trend."""
    if entry.limit is None or entry.used is None or (entry.trend is None and entry.used < entry.limit):
        return None
    return forecast(entry.used, entry.limit, entry.trend or STANDING)


def limit_history(limit: int | None, changes: Sequence[JournalRow], now: float) -> list[tuple[float, int | None]]:
    """Times and the limits (bytes, None is unlimited) that held from then on, oldest first.

    They come from the journal (``changes``, newest first). Where the limit of now is another one, it was changed
    outside mailquota at an unknown time, and is listed from ``now`` on.
    """
    edits = [change for change in reversed(changes) if change.kind == "limit"]
    found = [(0.0, _limit(edits[0].old))] if edits else []
    found += [(edit.at, _limit(edit.new)) for edit in edits]
    if not found or found[-1][1] != limit:
        found.append((now if found else 0.0, limit))
    return found


def _limit(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
