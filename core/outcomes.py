"""What becomes of changes, account by account: results for whoever ordered them, errors in words. Pure."""

from __future__ import annotations

import os

import msgspec

from core.control.results import SetResult, TrashResult
from core.errors import MailquotaError
from core.usage.empty import Removed

TOLD = {"told": True}  # of a log record: whoever asked has it in the answer, too


def trash_result(address: str, removed: Removed, method: str) -> TrashResult:
    """What was found, or removed, in the Trash of one account."""
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
    """A limit that could not be set."""
    return SetResult(
        planned.address,
        planned.old_bytes,
        planned.old_bytes,
        planned.used_bytes,
        error=str(error),
        code=error.exit_code,
    )


def numbered(results: list[SetResult], numbers: list[int], remark: str | None) -> list[SetResult]:
    """Each result that was written with the number of its journal entry; without numbers with the reason."""
    left = iter(numbers)
    return [
        r if r.error is not None else msgspec.structs.replace(r, journal_id=next(left, None), remark=remark)
        for r in results
    ]


def figure(value: int | None) -> str | None:
    """A figure as the journal has it."""
    return None if value is None else str(value)


def error_text(error: Exception) -> str:
    """An error in one line. A file name may hold any bytes; what is not UTF-8 in it can't be sent, so it is escaped."""
    text = str(error)
    if isinstance(error, OSError) and error.filename:
        text = f"{os.fsdecode(error.filename2 or error.filename)}: {error.strerror}"  # the second: where to
    return text.encode("utf-8", "backslashreplace").decode()


def error_code(error: Exception) -> int:
    """Its exit code."""
    return error.exit_code if isinstance(error, MailquotaError) else 1


def sendable(name: str) -> str:
    """A file name as text that can be sent: bytes that are not UTF-8 become replacement characters."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
