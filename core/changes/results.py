"""The results of changes, one for each account. Pure."""

from __future__ import annotations

import msgspec

from ..base.errors import MailquotaError, error_code, error_text, sendable
from ..control.results import SetResult, TrashResult
from ..mailboxes.trash import Removal


def trash_result(address: str, removed: Removal, method: str) -> TrashResult:
    """The messages that were found in, or deleted from, the Trash of one account by ``method``."""
    found, error = removed.messages, removed.error
    arrivals = [message.arrived for message in found]
    return TrashResult(
        address=address,
        folders=[sendable(name) for name in dict.fromkeys(message.folder for message in found)],
        messages=len(found),
        bytes=sum(message.size for message in found),
        oldest=min(arrivals, default=None),
        newest=max(arrivals, default=None),
        method=method,
        error=None if error is None else error_text(error),
        code=0 if error is None else error_code(error),
    )


def failed(planned: SetResult, error: MailquotaError) -> SetResult:
    """The result of a limit that could not be set: it is still the old one, of bytes and of messages."""
    return msgspec.structs.replace(
        planned,
        new_bytes=planned.old_bytes,
        new_messages=planned.old_messages,
        error=str(error),
        code=error.exit_code,
    )


def numbered(results: list[SetResult], numbers: list[int], remark: str | None) -> list[SetResult]:
    """The results with the ids of their journal entries (in order, without those that failed) and one more remark."""
    left = iter(numbers)
    return [r if r.error is not None else _numbered(r, next(left, None), remark) for r in results]


def _numbered(result: SetResult, number: int | None, remark: str | None) -> SetResult:
    both = "; ".join(filter(None, (result.remark, remark)))
    return msgspec.structs.replace(result, journal_id=number, remark=both or None)


def number_text(value: int | None) -> str | None:
    """A number of bytes as journal entries have it; None stays None."""
    return None if value is None else str(value)
