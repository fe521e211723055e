"""The drivers ``maildir`` and ``count`` where a helper has the rights in mailboxes (core/base/helper_calls.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base.errors import MailquotaError
from ..base.helper_calls import LONGEST_REASON, Ahead, Helper, HelperSaidError, Probe
from ..base.mounts import Mounts
from .driver import MostMessages, Probed
from .folders import Folders
from .mailstore import Mailstore
from .measure import MadeUnreadable, MailstoreAbsent, Measurement, ProbeOutcome, Unmeasurable

_KINDS = {"absent": MailstoreAbsent, "made": MadeUnreadable}
_LEAST, _MOST = -(2**63), 2**63 - 1  # bytes, messages: as far as Dovecot itself counts
_LATEST = 2.0**36  # seconds since the epoch
_OWN = frozenset({"maildirsize", "scan"})  # sources of a measurement that the helper can go on from


class HelperDriver:
    """Has the helper measure, by its driver of this name, which has to be that of the helper's settings."""

    def __init__(self, name: str, store: Mailstore, most_messages: MostMessages, helper: Helper) -> None:
        self.name = name
        self.base = store.base
        self._store = store
        self._most = most_messages
        self._helper = helper
        self._mounts = Mounts()

    def place(self, address: str) -> str:
        """The mount point of its Maildir."""
        return self._mounts.point_of(self._store.maildir(address))

    def record(self, address: str) -> str | None:
        """The maildirsize, where that is Dovecot's record."""
        return f"{self._store.maildir(address)}/maildirsize" if self.name == "maildir" else None

    # ---- for answers to Postfix

    def ahead(self, wanted: Sequence[Probed]) -> None:
        """Ask for these probes in one go."""
        self._helper.send_ahead([self.words(address, limit, known) for address, limit, known in wanted])

    def probe(
        self, address: str, limit: int | None, known: Measurement | None, now: float
    ) -> Measurement | ProbeOutcome:
        """As the driver of that name. Raises Unmeasurable also where the helper is away."""
        try:
            found = self._helper.probe(self.words(address, limit, known))
        except MailquotaError as error:
            raise Unmeasurable(str(error)) from error
        return outcome(found, known)

    def words(self, address: str, limit: int | None, known: Measurement | None) -> Probe:
        """What the helper needs for a probe: of the last measurement only what tells whether it still holds."""
        name, most = self._store.names.in_path(address), self._most(address)
        if known is None or known.source not in _OWN:
            return self.name, name, limit, most, None
        inbox = known.folders[0] if known.folders else None
        return self.name, name, limit, most, (known.source, known.stamp, known.expires_at, inbox)

    def count(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """As the driver of that name."""
        return self._measured("count", address, limit, known)

    # ---- for rounds, screens and orders

    def measure(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """As the driver of that name."""
        return self._measured("measure", address, limit, known)

    look = measure
    survey = measure

    def folders(self, address: str) -> Folders:
        """As the driver of that name."""
        return tuple(self._ask("folders", address, gives=Folders))

    def recorded(self, address: str) -> tuple[int, int] | None:
        """As the driver of that name; None also where the helper can't tell."""
        try:
            found: tuple[int, int] | None = self._ask("recorded", address, gives=tuple[int, int] | None)
        except Unmeasurable:
            return None
        return found

    def recount(self, address: str, limit: int | None) -> str:
        """As the driver of that name. Raises OSError and MailquotaError."""
        name, most = self._store.names.in_path(address), self._most(address)
        return str(self._helper.call("recount", self.name, name, limit, most, gives=str))

    # ---- parts

    def _measured(self, verb: str, address: str, limit: int | None, known: Measurement | None) -> Measurement:
        before = known if known is not None and known.source in _OWN else None
        found: Measurement | None = self._ask(
            verb, address, limit, self._most(address), before, gives=Measurement | None
        )
        if found is not None:
            return usable(found)
        if before is None:
            raise Unmeasurable("the helper gave no figure")
        return before

    def _ask(self, verb: str, address: str, *arguments: Any, gives: Any) -> Any:
        try:
            return self._helper.call(verb, self.name, self._store.names.in_path(address), *arguments, gives=gives)
        except HelperSaidError as error:
            raise _KINDS.get(error.kind, Unmeasurable)(str(error)) from error
        except (MailquotaError, OSError) as error:
            raise Unmeasurable(str(error)) from error


def outcome(found: Ahead, known: Measurement | None) -> Measurement | ProbeOutcome:
    """What a probe found. Raises Unmeasurable."""
    if found.kind >= 3:
        kind = {4: MailstoreAbsent, 5: MadeUnreadable}.get(found.kind, Unmeasurable)
        raise kind(found.reason[:LONGEST_REASON])
    if found.kind:
        return ProbeOutcome.COUNT_DUE if found.kind == 1 else ProbeOutcome.UNCHANGED
    folders = known.folders if known else None
    return usable(Measurement(
        found.used, found.messages, "maildirsize", found.stamp,
        expires_at=found.expires_at, folders=folders, complete=False,
    ))  # fmt: skip


def usable(found: Measurement) -> Measurement:
    """A figure whose numbers the engine can add up and store. Raises Unmeasurable for one that no mailbox has."""
    numbers = [found.used, found.messages]
    for folder in found.folders or ():
        numbers += (folder.new.bytes, folder.new.messages, folder.cur.bytes, folder.cur.messages)
    times = (found.expires_at or 0.0, found.measured_at or 0.0)
    if all(_LEAST <= number <= _MOST for number in numbers) and all(-_LATEST <= time <= _LATEST for time in times):
        return found
    raise Unmeasurable("the helper's figure can't be used: a number of it is out of range")
