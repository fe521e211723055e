"""Whether ``mailstore.path`` is right, on a file system that no mailbox was found on yet.

A mailbox that is missing there may be one that Dovecot has not made yet, of a new server too. But fstab(5) may want a
file system there that is not mounted; and there may be mail elsewhere below the folder above all mailboxes
(core/mailboxes/stray_mail.py). Used from any thread; touches the file system of the mailbox that it is asked about.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from ..base import mounts
from ..base.mounts import Mount, mount_of
from .file_systems import missing_mount
from .looks import Looks, OwnLooks
from .mailstore import Mailstore

_SEARCH_SECONDS = 5.0  # how long the result of a search for stray mail, and of reading fstab, holds


class PathCheck:
    """``nowhere`` says why the path is wrong, "" where it is not, or that is not known.

    ``absent`` has mount points that fstab(5) wants, and that are not there, and why.
    """

    def __init__(self, store: Mailstore, fstab: str = mounts.FSTAB, looks: Looks | None = None) -> None:
        self.nowhere = ""
        self.absent: dict[str, str] = {}
        self._store = store
        self._looks: Looks = looks or OwnLooks(store)
        self._fstab = fstab
        self._known: list[Mount] = []
        self._read_at = self._searched_at = float("-inf")
        self._proven = False

    def prove(self) -> None:
        """A mailbox was found where the path says."""
        self._proven = True
        self.nowhere = ""

    def follow(self, table: Iterable[Mount]) -> None:
        """These are the mounts now: what is mounted is absent no more."""
        for point in list(self.absent):
            if mount_of(point, table).point == point:
                self.absent.pop(point, None)

    def why(self, address: str, table: Iterable[Mount]) -> str:
        """Why a mailbox that is not there is unknown; "" where it is empty."""
        base = self._store.base
        path = self._looks.real(self._store.maildir(address))[0]
        point, unmounted = missing_mount(path, table, self._wanted())
        if unmounted:
            self.absent[point] = unmounted
            return unmounted
        if self._looks.is_folder(base):
            return "" if self._proven else self._search()
        reason = f"mailstore.path leads nowhere: there is no folder {base}"
        if not self._proven:
            self.nowhere = reason
        return reason

    def _search(self) -> str:
        now = time.monotonic()
        if now - self._searched_at >= _SEARCH_SECONDS:
            template = self._store.template
            stray = self._looks.stray()
            self.nowhere = f"mailstore.path ({template}) leads nowhere: there is mail in {stray}" if stray else ""
            self._searched_at = now
        return self.nowhere

    def _wanted(self) -> list[Mount]:
        now = time.monotonic()
        if now - self._read_at >= _SEARCH_SECONDS:
            self._known, self._read_at = mounts.read_fstab(self._fstab), now
        return self._known
