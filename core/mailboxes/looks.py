"""Looks at paths of mailboxes for the guard: by this process itself, or by the helper where it has no rights there."""

from __future__ import annotations

import os
from typing import Protocol

from ..base.errors import MailquotaError
from ..base.helper_calls import Helper
from . import stray_mail
from .mailstore import Mailstore
from .measure import Unmeasurable


class Looks(Protocol):
    """All may hang with the file system, and raise Unmeasurable where a helper that is to look is away."""

    def is_mailbox(self, maildir: str) -> bool | None:
        """Whether a Maildir is there; None where that can't be seen."""

    def is_folder(self, path: str) -> bool:
        """Whether this is a folder, or leads to one."""

    def real(self, path: str) -> tuple[str, bool]:
        """The path without symbolic links, and whether it is there. Never raises."""

    def stray(self) -> str:
        """A folder with mail, where no mailbox is at a path of the mailstore's form; else ""."""


class OwnLooks:
    """Looks itself."""

    def __init__(self, store: Mailstore) -> None:
        self._store = store

    def is_mailbox(self, maildir: str) -> bool | None:
        """By its folders."""
        return stray_mail.is_mailbox(maildir)

    def is_folder(self, path: str) -> bool:
        """By stat."""
        return os.path.isdir(path)

    def real(self, path: str) -> tuple[str, bool]:
        """By realpath."""
        real = os.path.realpath(path)
        return real, os.path.lexists(real)

    def stray(self) -> str:
        """By core/mailboxes/stray_mail.py."""
        return "" if stray_mail.has_form(self._store.template) else stray_mail.find(self._store.base)


class HelperLooks:
    """Has the helper look."""

    def __init__(self, helper: Helper) -> None:
        self._helper = helper

    def is_mailbox(self, maildir: str) -> bool | None:
        """By the helper."""
        try:
            found: bool | None = self._helper.call("is_mailbox", maildir, gives=bool | None)
        except (MailquotaError, OSError) as error:
            raise Unmeasurable(str(error)) from error
        return found

    def is_folder(self, path: str) -> bool:
        """By the helper."""
        try:
            return bool(self._helper.call("is_folder", path, gives=bool))
        except (MailquotaError, OSError) as error:
            raise Unmeasurable(str(error)) from error

    def real(self, path: str) -> tuple[str, bool]:
        """By the helper; while it is away the path itself, as one that is not known to be there."""
        try:
            name, there = self._helper.call("real", path, gives=tuple[str, bool])
        except (MailquotaError, OSError):
            return path, False
        return name, there

    def stray(self) -> str:
        """By the helper."""
        try:
            return str(self._helper.call("stray", gives=str))
        except (MailquotaError, OSError) as error:
            raise Unmeasurable(str(error)) from error
