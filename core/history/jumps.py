"""When growth is a sudden jump, as by a mail loop, an import, or backups sent by mail. Pure; sizes in bytes."""

from __future__ import annotations

_SHARE = 10  # a tenth of the limit
_WITHOUT_LIMIT = 256 * 1024 * 1024  # in place of a tenth of the limit
_LEAST = 32 * 1024 * 1024  # a few attachments are no jump, also in a small mailbox
_USUAL_DAYS = 8  # days of usual growth

WITHIN = 3600.0  # seconds


def least_jump(limit: int | None, usual: int) -> int:
    """By how much a mailbox has to grow within an hour for a jump.

    ``usual`` is its growth in a day; a ``limit`` of None is unlimited.
    """
    share = _WITHOUT_LIMIT if limit is None else limit // _SHARE
    return max(share, _LEAST, _USUAL_DAYS * usual)
