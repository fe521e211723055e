"""The variables of the mail templates, made from the facts: plain numbers, texts and lists. Pure.

docs/warnings.md lists them for administrators who write own templates. Addresses and names of folders come from
outside: their control characters are made visible here, so that no template can forget it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import ceil, floor
from typing import Any

from ..base.errors import UsageError
from ..base.model import Forecast
from ..base.text import visible
from ..base.units import parse_size
from .facts import FolderShare, MailFacts

FOLDERS_SHOWN = 5
DIGEST_SHOWN = 50
_LONGEST_NAME = 60
_FAR = 365  # days; a mailbox that is full later than that needs no action
_NOTABLE_TRASH = 20  # Trash is mentioned from a twentieth of the usage on
_PERCENT = re.compile(r"([0-9]{1,4})%?")


def warning_variables(facts: MailFacts, *, postmaster: str, at: float, copy: bool) -> dict[str, Any]:
    """Of a mail about one account. ``at`` is in seconds since the epoch; ``copy``: it goes to an administrator."""
    known_trash = _trash_bytes(facts)
    trash = known_trash or 0
    return {
        **_account(facts),
        "state": _state(facts),
        "messages": facts.messages,
        "trash": known_trash,
        "trash_messages": facts.trash_messages,
        "trash_notable": trash > 0 and trash * _NOTABLE_TRASH >= (facts.used_bytes or 0),
        "folders": [_folder(folder) for folder in facts.folders[:FOLDERS_SHOWN]],
        **_outlook(facts),
        "test": facts.test,
        "copy": copy,
        "postmaster": visible(postmaster),
        "at": at,
    }


def digest_variables(accounts: Sequence[MailFacts], *, postmaster: str, at: float) -> dict[str, Any]:
    """Of one mail about many accounts: DIGEST_SHOWN of them, the fullest first, and how many there are."""
    fullest = sorted(accounts, key=lambda facts: (-(facts.percent or 0), facts.address))
    return {
        "count": len(accounts),
        "accounts": [_account(facts) for facts in fullest[:DIGEST_SHOWN]],
        "more": max(0, len(accounts) - DIGEST_SHOWN),
        "postmaster": visible(postmaster),
        "at": at,
    }


def _account(facts: MailFacts) -> dict[str, Any]:
    reached, left = _threshold(facts.threshold)
    return {
        "address": visible(facts.address),
        "below": facts.threshold == "below",
        "reached": reached,
        "left": left,
        "percent": None if facts.percent is None else floor(facts.percent),  # 99.9 is not full yet
        "used": facts.used_bytes,
        "limit": facts.limit_bytes,
        "free": facts.free_bytes,
    }


def _threshold(name: str) -> tuple[int | None, int | None]:
    """A threshold as a percentage, or as the bytes that are left; None for the other."""
    percent = _PERCENT.fullmatch(name)
    if percent is not None:
        return int(percent[1]), None
    try:
        return None, parse_size(name)
    except UsageError:  # below, or empty
        return None, None


def _state(facts: MailFacts) -> str:
    if facts.limit_bytes is None and facts.limit_known:
        return "unlimited"
    if facts.used_bytes is None or facts.limit_bytes is None:
        return "unknown"
    return "full" if facts.full else "room"


def _trash_bytes(facts: MailFacts) -> int | None:
    if facts.trash_bytes is not None:
        return facts.trash_bytes
    shares = [folder.bytes for folder in facts.folders if folder.is_trash]
    return sum(shares) if shares else None


def _folder(folder: FolderShare) -> dict[str, Any]:
    name = visible(folder.name)
    return {
        "name": name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "…",
        "bytes": folder.bytes,
        "messages": folder.messages,
        "trash": folder.is_trash,
    }


def _outlook(facts: MailFacts) -> dict[str, Any]:
    """Growth in bytes a day, and in how many days it may be full, at the earliest and at the latest.

    None where that is not known, or farther away than _FAR.
    """
    growth = facts.growth.growth if facts.growth else None
    first, last = _days(facts.forecast) if facts.free_bytes and facts.forecast else (None, None)
    return {"growth": growth, "days_from": first, "days_to": last}


def _days(forecast: Forecast) -> tuple[int | None, int | None]:
    if forecast.days is None or forecast.days > _FAR:
        return None, None
    earliest = forecast.days if forecast.earliest is None else forecast.earliest
    last = None if forecast.latest is None or forecast.latest > _FAR else max(1, ceil(forecast.latest))
    return max(1, floor(earliest)), last
