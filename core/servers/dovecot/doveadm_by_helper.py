"""Dovecot's figures by the helper's doveadm, where the engine itself has no rights in mailboxes. All calls block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...base.errors import MailquotaError, UnreachableError
from ...base.helper_calls import Helper
from .doveadm import QuotaAnswers
from .quota_rows import MailboxSize, Quota

Told = tuple[str, Quota | None, str]  # a user, the usage, and why there is none


class HelperDoveadm:
    """The part of doveadm that gives figures and recounts: core/servers/dovecot/doveadm.py, DoveadmFigures."""

    def __init__(self, helper: Helper) -> None:
        self._helper = helper

    def recalc(self, user: str) -> None:
        """Recount the mailbox of a user."""
        self._call("recount_by_doveadm", user, False, gives=None)

    def quota(self, user: str) -> Quota:
        """The usage of a user."""
        found: Quota = self._call("quota", user, gives=Quota)
        return found

    def quota_all(self) -> Iterator[tuple[str, Quota | MailquotaError | None]]:
        """The usage of all users; the helper is asked at the first step."""
        answers: list[Told] = self._call("quota_all", gives=list[Told])
        yield from ((user, _quota(quota, why)) for user, quota, why in answers)

    def quotas_of(self, users: Sequence[str]) -> QuotaAnswers:
        """The usage and the limits of these users, in one call. Raises nothing."""
        try:
            answers, fault, away = self._call("quotas_of", list(users), gives=tuple[list[Told], str | None, bool])
        except MailquotaError as error:
            return QuotaAnswers({}, error)
        found: dict[str, Quota | MailquotaError] = {
            user: _quota(quota, why) or MailquotaError(why) for user, quota, why in answers
        }
        return QuotaAnswers(found, None if fault is None else (UnreachableError if away else MailquotaError)(fault))

    def sizes(self, user: str) -> list[MailboxSize]:
        """The folders of a user with their messages and virtual sizes in bytes."""
        found: list[MailboxSize] = self._call("sizes", user, gives=list[MailboxSize])
        return found

    def _call(self, verb: str, *arguments: object, gives: Any) -> Any:
        try:
            return self._helper.call(verb, *arguments, gives=gives)
        except OSError as error:
            raise UnreachableError(f"doveadm: {error.strerror or error}") from error


def _quota(quota: Quota | None, why: str) -> Quota | MailquotaError | None:
    if why:
        return MailquotaError(why)
    return quota


def told(user: str, answer: Quota | MailquotaError | None) -> Told:
    """How the helper sends one of these."""
    if isinstance(answer, MailquotaError):
        return user, None, str(answer) or "unknown"
    return user, answer, ""
