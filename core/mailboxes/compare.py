"""Whether maildirsize still says what the folders hold. Reads only."""

from __future__ import annotations

import msgspec

from mailquota.core.mailboxes.folders import settled, sum_folders
from mailquota.core.mailboxes.mailstore import Mailstore
from mailquota.core.mailboxes.measure import NO_FILE, Unmeasurable, reason, recorded, stamp_of, total


class Comparison(msgspec.Struct, frozen=True, gc=False):
    """Bytes on record and bytes counted. Two that are equal were made without a change in between."""

    stamp: int
    recorded: int
    counted: int

    @property
    def drift(self) -> int:
        """How many bytes more a count finds than are on record."""
        return self.counted - self.recorded


def compare(store: Mailstore, maildir: str) -> Comparison | None:
    """Count the mailbox; None where there is no record, or somebody is changing the mailbox. Raises Unmeasurable.

    Dovecot moves a message into its folder first and records it then, so a difference seen once means nothing.
    """
    path = f"{maildir}/maildirsize"
    try:
        stamp = stamp_of(path)
        figures = recorded(maildir)
        if stamp == NO_FILE or figures is None:
            return None
        folders = sum_folders(maildir)
        if stamp_of(path) != stamp or not settled(folders):
            return None
    except OSError as error:
        raise Unmeasurable(reason(error)) from error
    return Comparison(stamp, recorded=figures[0], counted=total(store, folders)[0])
