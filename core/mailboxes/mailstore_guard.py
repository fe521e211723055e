"""Knows whether the file systems that have the mailboxes are there: a mailbox of one that is not is unknown, not empty.

Theory of operation. Each new measurement of a mailbox with mail tells the guard (``saw``). It keeps a sample of a few
mailboxes for each folder of mailboxes, as a domain has, and by the kernel's list of mounts (core/base/mounts.py) the
file system that the folder is on. A mailbox that is missing, or that has become smaller (``confirm``), is believed only
after a look at its file system: at the list of mounts and, where that is another one or the mailbox is missing, at the
sample (core/mailboxes/file_systems.py). ``due`` and ``judge`` do so for all file systems when the list of mounts
changes, and for those that are lost until they are back. While one is lost, ``refuse_lost`` raises for its mailboxes,
without touching them.

Where nothing is remembered of a path, as at the first start or after a change of it, core/mailboxes/path_check.py tells
whether it is right.

Used from any thread. File systems are touched only in the thread of the caller, and no lock is held meanwhile; so one
that hangs makes nobody wait who is not about its own mailboxes.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable

import msgspec

from ..base import mounts
from ..base.mounts import Mount, MountTable, is_inside, mount_of
from .file_systems import SAMPLE, FileSystem, Found, at, is_complete, loss
from .looks import Looks, OwnLooks
from .mailstore import Mailstore
from .measure import Measurement, Unmeasurable
from .path_check import PathCheck

_SAMPLED = 8  # mailboxes of one folder
_FEW = 3  # mailboxes; of fewer than that all may have been removed while their folder is there
_TRIES = 3

Count = Callable[[str], int]  # messages in the mailbox of an address now; raises Unmeasurable


class MailstoreGuard:
    """``count`` counts the messages of a mailbox. ``by_path``: usage is measured at ``mailstore.path`` itself.

    ``looks`` is who looks; by default this process itself.
    """

    def __init__(
        self, store: Mailstore, count: Count, *, by_path: bool, fstab: str = mounts.FSTAB, looks: Looks | None = None
    ) -> None:
        self.store = store
        self.looks: Looks = looks or OwnLooks(store)
        self.is_account: Callable[[str], bool] = lambda _address: True  # mailboxes of others may be removed
        self.remembered: dict[str, FileSystem] = {}  # by mount point
        self.lost: dict[str, str] = {}  # mount points of file systems that are not there, and why
        self.path = PathCheck(store, fstab, self.looks)
        self._count = count
        self.by_path = by_path
        self._table = MountTable()
        self._lock = threading.Lock()
        self._samples: dict[str, dict[str, int]] = {}  # by folder: addresses and their messages
        self._full: dict[str, dict[str, int]] = {}  # the same by domain, so that most need not be looked up by folder
        self._mounts: tuple[tuple[Mount, ...], dict[str, Mount]] = ((), {})  # a list of mounts, and those of folders
        self._real: dict[str, str] = {}  # folders without symbolic links
        self._changes = 0  # of the list of mounts, as far as ``due`` followed them
        self.unseen: set[str] = set()  # mount points that were remembered, and not looked at since
        self.generation = 0  # changes when a file system is lost, is back, or is another one
        self._back: dict[str, float] = {}  # mount points of file systems that were lost, and when they were back
        # From the end of a mailbox's path so many names belong to the account; the rest is the folder that it shares.
        parts = store.template.rstrip("/").split("/")
        self._own = len(parts) - next((n for n, part in enumerate(parts) if "{user}" in part), len(parts) - 1)

    @property
    def problem(self) -> str:
        """Why mailboxes are not where they should be, as a sentence; "" while all is well."""
        return next(iter([*self.lost.values(), *self.path.absent.values()]), self.path.nowhere)

    # ---- for measurements

    def refuse_lost(self, address: str) -> None:
        """Raises Unmeasurable where the file system of a mailbox is not there.

        After a start that is found out here, later on nothing is touched.
        """
        reason = self.reason(address) if self.lost else ""
        if not reason and self.unseen:
            reason = self._first_look(address)
        if reason:
            raise Unmeasurable(reason)

    def reason(self, address: str) -> str:
        """Why the file system of a mailbox is not there, as far as that is known; "" where it is."""
        found = at(self._path(address), self.remembered.values()) if self.lost else None
        return self.lost.get(found.mount.point, "") if found is not None else ""

    def saw(self, address: str, messages: int) -> None:
        """A mailbox was measured, and has so many messages, at least one.

        It is a sign of its file system only where it is at its path: Dovecot may keep it elsewhere, or in another form.
        """
        domain = address.rpartition("@")[2]
        sample = self._full.get(domain)
        if sample is not None and address not in sample and len(sample) >= _SAMPLED:
            return
        folder = self._folder(address)
        sample = self._samples.get(folder)
        if (sample is None or address not in sample) and self.looks.is_mailbox(self.store.maildir(address)) is False:
            return
        if sample is None:
            sample = self._begin(folder)
        if address in sample or len(sample) < _SAMPLED:
            sample[address] = messages
        self._full[domain] = sample

    def missing(self, address: str) -> str:
        """Why a mailbox that is not there is unknown; "" where it is empty. May hang with its file system."""
        table, folder = self._table.now(), self._folder(address)
        if self._is_well(folder, table):
            self._forget(folder, address)
            return ""
        path = self._path(address)
        if at(path, self.remembered.values()) is not None:
            self._cover(folder, table)
            found = at(path, self.remembered.values())
            reason = self._judge(found) if found is not None else ""
            if not reason:
                self._forget(folder, address)
            return reason
        if self.looks.is_mailbox(self.store.maildir(address)) is not False:
            self.path.prove()
            return ""
        return self.path.why(address, table) if self.by_path else ""

    def confirm(self, address: str) -> str:
        """Why a mailbox that has become smaller is unknown; "" where it is smaller. Touches nothing without need."""
        path, table = self._path(address), self._table.now()
        found = at(path, self.remembered.values())
        if found is None or mount_of(path, table).is_same(found.mount):
            return ""
        return self.missing(address)

    # ---- what is remembered

    def recall(self, known: Iterable[FileSystem]) -> None:
        """Remember what was known before this engine."""
        for one in known:
            if one.sample:
                self.remembered.setdefault(one.mount.point, one)
                self.unseen.add(one.mount.point)
                self.path.prove()

    def memory(self) -> list[FileSystem]:
        """What is to be remembered: all file systems; those that are lost as they were."""
        return [
            msgspec.structs.replace(one, sample=_some(self._sample(one)))
            for _, one in sorted(dict(self.remembered).items())
        ]

    # ---- for the engine

    def due(self) -> list[str]:
        """The mount points of file systems that ``judge`` has to look at: changed ones, and those that are lost."""
        table, changes = self._table.now(), self._table.changes
        if changes != self._changes:
            self._changes = changes
            for folder in list(self._samples):
                self._cover(folder, table)
        self.path.follow(table)
        found = []
        for point, one in list(self.remembered.items()):
            now = mount_of(point, table)
            # Where an automounter waits for the first look, that look is left to whoever needs the mailbox.
            if point in self.lost or not (now.is_same(one.mount) or now.kind == "autofs"):
                found.append(point)
            else:
                self.unseen.discard(point)
        return found

    def judge(self, points: Iterable[str]) -> None:
        """Look whether these file systems are there. May hang with one of them."""
        for point in points:
            one = self.remembered.get(point)
            if one is not None:
                with contextlib.suppress(Unmeasurable):  # the helper is away: all stays as it is
                    self._judge(one)

    def look(self) -> None:
        """``judge`` what is due."""
        self.judge(self.due())

    def asked_before(self, address: str, at_: float) -> bool:
        """Whether a figure that a service gave at this time is from before the mailbox's file system was back."""
        if not self._back:
            return False
        found = at(self._path(address), self.remembered.values())
        return found is not None and at_ < self._back.get(found.mount.point, 0.0)

    @property
    def is_base_lost(self) -> bool:
        """Whether the file system of the folder above all mailboxes is not there."""
        base = self._real.get(self.store.base, self.store.base)
        return any(is_inside(base, point) for point in (*self.lost, *self.path.absent))

    def close(self) -> None:
        """Let the kernel's list of mounts go."""
        self._table.close()

    # ---- parts

    def _folder(self, address: str) -> str:
        return self.store.maildir(address).rsplit("/", self._own)[0]

    def _path(self, address: str) -> str:
        """The path of a mailbox, without the symbolic links above the account's own folders."""
        maildir = self.store.maildir(address)
        folder = maildir.rsplit("/", self._own)[0]
        return self._resolved(folder) + maildir[len(folder) :]

    def _resolved(self, folder: str) -> str:
        """The folder without symbolic links; kept where it is there, as a link on a lost file system can't be seen."""
        real = self._real.get(folder)
        if real is None:
            real, there = self.looks.real(folder)
            if there:
                self._real[folder] = real
        return real

    def _forget(self, folder: str, address: str) -> None:
        """A mailbox was removed: it is no sign of its file system any more."""
        self._samples.get(folder, {}).pop(address, None)
        for point, one in list(self.remembered.items()):
            if address in one.sample:
                sample = {other: messages for other, messages in one.sample.items() if other != address}
                self.remembered[point] = msgspec.structs.replace(one, sample=sample)

    def _is_well(self, folder: str, table: tuple[Mount, ...]) -> bool:
        """Whether this folder is on the mount that was remembered, and has other mailboxes with mail."""
        sample = self._samples.get(folder)
        if not sample:
            return False
        mount = self._mount(folder, table)
        known = self.remembered.get(mount.point)
        well = known is not None and mount.is_same(known.mount) and mount.point not in self.lost
        return well and self._is_any_there(list(sample))

    def _mount(self, folder: str, table: tuple[Mount, ...]) -> Mount:
        """The mount of a folder, found out once for each list of mounts."""
        of, known = self._mounts
        if of is not table:
            known = {}
            self._mounts = (table, known)
        mount = known.get(folder)
        if mount is None:
            mount = known[folder] = mount_of(self._resolved(folder), table)
        return mount

    def _begin(self, folder: str) -> dict[str, int]:
        """A mailbox with mail was found in this folder for the first time."""
        mount = mount_of(self._resolved(folder), self._table.now())
        self.path.prove()
        with self._lock:
            self.remembered.setdefault(mount.point, FileSystem(mount))
            return self._samples.setdefault(folder, {})

    def _first_look(self, address: str) -> str:
        found = at(self._path(address), self.remembered.values())
        if found is None or found.mount.point not in self.unseen:
            return ""
        if mount_of(found.mount.point, self._table.now()).is_same(found.mount):
            self.unseen.discard(found.mount.point)
            return ""
        return self._judge(found)

    def _cover(self, folder: str, table: tuple[Mount, ...]) -> None:
        """Where something was mounted between a remembered file system and this folder, its sample is wanted there."""
        sample = self._samples.get(folder)
        if not sample:
            return
        mount, before = self._mount(folder, table), at(self._resolved(folder), self.remembered.values())
        if before is not None and len(mount.point) > len(before.mount.point):
            with self._lock:
                self.remembered.setdefault(mount.point, FileSystem(before.mount._replace(point=mount.point)))

    def _judge(self, one: FileSystem) -> str:
        """Look whether a remembered file system is there, note that, and return why it is not.

        The sample first: a look at it mounts what an automounter has for it.
        """
        point, sample = one.mount.point, self._sample(one)
        if not sample:
            return ""
        there, now = self._state(one, sample)
        self.unseen.discard(point)
        if there:
            if point in self.lost or now != one.mount:
                self._found(point, now)
            return ""
        reason = loss(one.mount, now, self._resolved(self.store.base))
        with self._lock:
            if self.lost.get(point) != reason:
                self.lost[point] = reason
                self.generation += 1
        return reason

    def _state(self, one: FileSystem, sample: dict[str, int]) -> tuple[bool, Mount]:
        """Whether the sample is there, and what its mount point is on; once more where that changed meanwhile."""
        for _ in range(_TRIES):
            before = self._table.now()
            there = self._is_any_there(sample)
            table = self._table.now()
            now = mount_of(one.mount.point, table)
            if not now.is_same(one.mount):
                there = there and self._is_complete(sample)
            elif not there and len(sample) < _FEW:
                there = all(self.looks.is_folder(self._folder(address)) for address in sample)
            if before is table:
                break
        return there, now

    def _found(self, point: str, now: Mount) -> None:
        """The mailboxes are on this mount now: on the one that was remembered, or on another one, as after a move."""
        with self._lock:
            if self.lost.pop(point, ""):
                self._back[now.point] = time.time()
            self.generation += 1
            before, here = self.remembered.pop(point, None), self.remembered.get(now.point)
            sample = {**(here.sample if here else {}), **(before.sample if before else {})}
            self.remembered[now.point] = FileSystem(now, _some(sample))

    def _sample(self, one: FileSystem) -> dict[str, int]:
        """Mailboxes that are to be found on a file system: those that were seen in this run, and the remembered."""
        found: dict[str, int] = {}
        for folder, sample in list(self._samples.items()):
            if len(found) >= SAMPLE:
                break
            here = at(self._resolved(folder), self.remembered.values())
            if here is not None and here.mount.point == one.mount.point:
                found.update(dict(sample))
        wanted = one.sample | found if len(found) < SAMPLE else found
        return {address: messages for address, messages in wanted.items() if self.is_account(address)}

    def _is_any_there(self, sample: Iterable[str]) -> bool:
        return any(self.looks.is_mailbox(self.store.maildir(address)) is not False for address in sample)

    def _is_complete(self, sample: dict[str, int]) -> bool:
        there = [address for address in sample if self.looks.is_mailbox(self.store.maildir(address)) is not False]
        if not is_complete(sample, Found(len(there), sum(sample.values()))):
            return False  # without counting any of them
        return is_complete(sample, Found(len(there), sum(min(self._messages(one), sample[one]) for one in there)))

    def _messages(self, address: str) -> int:
        try:
            return self._count(address)
        except Unmeasurable:
            return 0


def _some(sample: dict[str, int]) -> dict[str, int]:
    """At most SAMPLE of them, at even distances, always the same ones."""
    addresses = sorted(sample)
    step = max(1, -(-len(addresses) // SAMPLE))
    return {address: sample[address] for address in addresses[::step]}


def is_absent(found: Measurement) -> bool:
    """Whether a measurement without messages found no folder of a mailbox, so that the reason matters."""
    inbox = found.folders[0] if found.folders else None
    return inbox is None or (inbox.new.mtime_ns == 0 and inbox.cur.mtime_ns == 0)
