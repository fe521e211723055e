"""When growth is a sudden jump: a mail loop, an import, somebody's backup by mail. Pure; bytes."""

from __future__ import annotations

_SHARE = 10  # a tenth of the limit
_WITHOUT_LIMIT = 256 * 1024 * 1024
_LEAST = 32 * 1024 * 1024  # a few attachments are no jump, in however small a mailbox
_USUAL_DAYS = 8

WITHIN = 3600.0  # seconds


def least_jump(limit: int | None, usual: int) -> int:
    """What a mailbox has to grow by within an hour; ``usual`` is what it grows by in a day."""
    share = _WITHOUT_LIMIT if limit is None else limit // _SHARE
    return max(share, _LEAST, _USUAL_DAYS * usual)
