"""Compares the usage in maildirsize with a count of the folders. Reads only."""

from __future__ import annotations

import msgspec

from .folders import settled, sum_folders
from .mailstore import Mailstore
from .measure import NO_FILE, Unmeasurable, reason, recorded, stamp_of, total


class Comparison(msgspec.Struct, frozen=True, gc=False):
    """Bytes in maildirsize and bytes counted, with the file's stamp.

    Two comparisons that are equal were made without a change of the mailbox between them.
    """

    stamp: int
    recorded: int
    counted: int

    @property
    def drift(self) -> int:
        """How many bytes more the count found than maildirsize has; negative where it found fewer."""
        return self.counted - self.recorded


def compare(store: Mailstore, maildir: str) -> Comparison | None:
    """Count the mailbox and compare; None where there is no readable maildirsize, or the mailbox is changing just now.

    Dovecot moves a message into its folder first and writes it into maildirsize then. So a difference that is seen once
    means nothing: compare twice. Raises Unmeasurable.
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
