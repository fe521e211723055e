"""The work of recounts and Trash in mailboxes: by this process, or by the helper where it has no rights there."""

from __future__ import annotations

from typing import Protocol

import msgspec

from ..base.helper_calls import Helper
from ..control.results import TrashResult
from ..mailboxes.mailstore import Mailstore
from ..mailboxes.recount import Times, times_of, with_doveadm
from ..mailboxes.trash import Removal, find_by_doveadm, find_files, remove_by_doveadm, remove_files
from ..servers.dovecot.doveadm import DoveadmTool
from .results import trash_result


class MailboxWork(Protocol):
    """Blocking work. All methods raise MailquotaError and OSError; those with doveadm also NoSuchAccountError, and
    UnreachableError where there is no doveadm."""

    @property
    def has_doveadm(self) -> bool:
        """Whether there may be a doveadm that recounts."""

    def recount_by_doveadm(self, address: str, *, maildir: bool) -> None:
        """Have Dovecot recount a mailbox; ``maildir``: by its driver maildir."""

    def empty_by_doveadm(self, address: str, before: float | None, *, dry_run: bool) -> TrashResult:
        """Remove what came into Trash before ``before`` (None: all), or only find it."""

    def empty(self, address: str, before: float | None, *, dry_run: bool) -> TrashResult:
        """The same without doveadm."""


class OwnWork:
    """Does the work itself. ``doveadm`` is None where there is none."""

    def __init__(self, store: Mailstore, doveadm: DoveadmTool | None, times: Times = times_of) -> None:
        self._store = store
        self._doveadm = doveadm
        self._times = times

    @property
    def has_doveadm(self) -> bool:
        """Whether one was found, or is set."""
        return self._doveadm is not None

    def recount_by_doveadm(self, address: str, *, maildir: bool) -> None:
        """``doveadm quota recalc``."""
        doveadm, user = self._tool(), self._store.names.in_path(address)
        if maildir:
            with_doveadm(self._store.maildir(address), lambda: doveadm.recalc(user), self._times)
        else:
            doveadm.recalc(user)

    def empty_by_doveadm(self, address: str, before: float | None, *, dry_run: bool) -> TrashResult:
        """``doveadm expunge``."""
        doveadm, user = self._tool(), self._store.names.in_path(address)
        found = find_by_doveadm(doveadm, self._store, user, before)
        removed = Removal(found) if dry_run else remove_by_doveadm(doveadm, user, found)
        return trash_result(address, removed, "doveadm")

    def empty(self, address: str, before: float | None, *, dry_run: bool) -> TrashResult:
        """By removing files."""
        maildir = self._store.maildir(address)
        found = find_files(self._store, maildir, before)
        return trash_result(address, Removal(found) if dry_run else remove_files(maildir, found), "unlink")

    def _tool(self) -> DoveadmTool:
        assert self._doveadm is not None
        return self._doveadm


class HelperWork:
    """Has the helper do the work, but for Dovecot's HTTP API (``http``), which the engine asks itself.

    ``doveadm``: the settings do not switch it off.
    """

    def __init__(self, store: Mailstore, helper: Helper, http: DoveadmTool | None, *, doveadm: bool) -> None:
        self.has_doveadm = doveadm
        self._store = store
        self._helper = helper
        self._http = OwnWork(store, http, self._times) if http is not None else None

    def recount_by_doveadm(self, address: str, *, maildir: bool) -> None:
        """By the helper's doveadm, or the HTTP API."""
        if self._http is not None:
            self._http.recount_by_doveadm(address, maildir=maildir)
        else:
            self._helper.call("recount_by_doveadm", self._store.names.in_path(address), maildir, gives=None)

    def empty_by_doveadm(self, address: str, before: float | None, *, dry_run: bool) -> TrashResult:
        """By the helper's doveadm, or the HTTP API."""
        if self._http is not None:
            return self._http.empty_by_doveadm(address, before, dry_run=dry_run)
        return self._empty("empty_by_doveadm", address, before, dry_run)

    def empty(self, address: str, before: float | None, *, dry_run: bool) -> TrashResult:
        """By the helper, which removes files."""
        return self._empty("empty", address, before, dry_run)

    def _empty(self, verb: str, address: str, before: float | None, dry_run: bool) -> TrashResult:
        name = self._store.names.in_path(address)
        found: TrashResult = self._helper.call(verb, name, before, dry_run, gives=TrashResult)
        return msgspec.structs.replace(found, address=address)

    def _times(self, maildir: str) -> dict[str, int]:
        found: dict[str, int] = self._helper.call("times", maildir, gives=dict[str, int])
        return found
