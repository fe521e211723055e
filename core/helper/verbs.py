"""What the helper does: named orders alone, each checked by itself, as the engine may be in the hands of another one.

An order names an account, by the name that Dovecot has for it. Its mailbox is where the helper's own settings say, and
nowhere else. Programs are those of the helper's settings, with words that are made here: no word of an order but such a
name, or a Message-ID, gets into a command. What is removed is in Trash by the helper's settings. So an engine in the
hands of another one can have Trash emptied, mails stored and mailboxes counted, and learns how many messages of which
size there are. It reads no mail.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from ..alerts.from_settings import make_deliverer
from ..alerts.letters import Delivery
from ..base.errors import MailquotaError, UnreachableError
from ..base.text import shown
from ..changes.mailbox_work import OwnWork
from ..control.contents import FolderContents
from ..control.results import TrashResult
from ..mailboxes.compare import Comparison, compare
from ..mailboxes.contents import FolderLooks, NoSuchFolderError
from ..mailboxes.driver import Driver, MaildirDriver
from ..mailboxes.folders import Folders
from ..mailboxes.from_settings import driver_name, make_doveadm, make_driver, make_mailstore, with_dovecot
from ..mailboxes.looks import OwnLooks
from ..mailboxes.measure import Measurement, ProbeOutcome, Unmeasurable
from ..mailboxes.recount import times_of
from ..servers.dovecot.doveadm import DoveadmTool
from ..servers.dovecot.doveadm_by_helper import Told, told
from ..servers.dovecot.quota_rows import MailboxSize, Quota
from ..settings.config import NOTHING_DISCOVERED, Config

_ASK_AGAIN = 5.0  # seconds between two looks at Dovecot's settings that orders ask for
_MOST_USERS = 100_000  # in one order
_OWN_DRIVERS = ("maildir", "count")


class _Limits(threading.local):
    """The limit of messages of the account that a thread works at."""

    most: int | None = None


class Verbs:
    """The orders, by the settings of the helper. Used from many threads."""

    def __init__(self, config: Config) -> None:
        self._limits = _Limits()
        self._lock = threading.Lock()
        self._asked = float("-inf")
        self.config = config
        self.store = make_mailstore(config)
        self.looks = OwnLooks(self.store)
        self._drivers: dict[str, Driver] = {}
        self._delivery: Delivery | None = None
        self.follow()

    # ---- about the helper

    def ping(self) -> str:
        """The driver of these settings."""
        return self.driver_name

    def follow(self) -> str:
        """Ask Dovecot for its settings anew; the driver that fits them."""
        with self._lock:
            if time.monotonic() - self._asked >= _ASK_AGAIN:
                config = with_dovecot(msgspec.structs.replace(self.config, found=NOTHING_DISCOVERED))
                self.driver_name, self._delivery = driver_name(config), None
                self.store.follow(make_mailstore(config))
                self.config, self._asked = config, time.monotonic()
            return self.driver_name

    # ---- measuring

    def driver(self, name: str) -> Driver:
        """The driver of this name, which has to be that of the helper's settings, or to count folders for another."""
        if name not in _OWN_DRIVERS:
            raise MailquotaError(f"the helper has no driver {shown(name)}")
        if self.driver_name in _OWN_DRIVERS and name != self.driver_name and name != self.follow():
            raise Unmeasurable(f"the helper's settings say that usage is measured by {self.driver_name}, not by {name}")
        with self._lock:
            if name not in self._drivers:
                mailstore = msgspec.structs.replace(self.config.settings.mailstore, driver=name)
                settings = msgspec.structs.replace(self.config.settings, mailstore=mailstore)
                config = msgspec.structs.replace(self.config, settings=settings)
                self._drivers[name] = make_driver(config, self.store, lambda _: self._limits.most)
            return self._drivers[name]

    def name(self, name: str) -> str:
        """The name of an account, if it can be one. Raises MailquotaError."""
        if not self.store.names.is_user(name):
            raise MailquotaError(f"Dovecot takes no such user name: {shown(name)}")
        return name

    def probe(
        self, driver: Driver, name: str, limit: int | None, most: int | None, known: Measurement | None
    ) -> Measurement | ProbeOutcome:
        """What an answer to Postfix can afford."""
        self._limits.most = most
        return driver.probe(name, limit, known, time.time())

    def count(
        self, driver: str, name: str, limit: int | None, most: int | None, known: Measurement | None
    ) -> Measurement | None:
        """For an answer to Postfix; None where the last measurement holds."""
        return self._measure(self.driver(driver).count, name, limit, most, known)

    def measure(
        self, driver: str, name: str, limit: int | None, most: int | None, known: Measurement | None
    ) -> Measurement | None:
        """A complete one; None where the last measurement holds."""
        return self._measure(self.driver(driver).measure, name, limit, most, known)

    def _measure(
        self,
        work: Callable[[str, int | None, Measurement | None, float], Measurement],
        name: str,
        limit: int | None,
        most: int | None,
        known: Measurement | None,
    ) -> Measurement | None:
        self._limits.most = most
        found = work(self.name(name), limit, known, time.time())
        return None if found is known else found

    def folders(self, driver: str, name: str) -> Folders:
        """Usage by folder."""
        return self.driver(driver).folders(self.name(name))

    def recorded(self, driver: str, name: str) -> tuple[int, int] | None:
        """What Dovecot has on record."""
        return self.driver(driver).recorded(self.name(name))

    def compare(self, name: str) -> Comparison | None:
        """The record beside a count."""
        return compare(self.store, self.store.maildir(self.name(name)))

    def times(self, maildir: str) -> dict[str, int]:
        """When the folders of a mailbox changed."""
        return times_of(self._inside(maildir))

    # ---- looks

    def is_mailbox(self, maildir: str) -> bool | None:
        """Whether a Maildir is there."""
        return self.looks.is_mailbox(self._inside(maildir))

    def is_folder(self, path: str) -> bool:
        """Whether a folder is there."""
        return self.looks.is_folder(self._inside(path))

    def real(self, path: str) -> tuple[str, bool]:
        """The path without links."""
        return self.looks.real(self._inside(path))

    def stray(self) -> str:
        """Mail at a path of another form."""
        return self.looks.stray()

    def _inside(self, path: str) -> str:
        """A path that is the folder above all mailboxes, or below it as it is written. Raises MailquotaError."""
        inside = path == self.store.base or path.startswith(self.store.base.rstrip("/") + "/")
        if not inside or "\0" in path or ".." in path.split("/"):
            raise MailquotaError("the helper looks at nothing but mailboxes")
        return path

    def contents(self, name: str, folder: str, driver: str, asks_dovecot: bool) -> FolderContents:
        """What is in a folder: sizes and times of its messages."""
        doveadm = self._doveadm() if asks_dovecot else None
        if doveadm is not None and folder not in doveadm.mailboxes(self.name(name)):
            raise NoSuchFolderError(shown(folder))
        named = MaildirDriver(self.store)
        named.name = driver
        looks = FolderLooks(self.store, named, doveadm, away=lambda _: "", asks_dovecot=lambda _: asks_dovecot)
        return looks.look(self.name(name), folder)

    # ---- Dovecot's figures

    def quota(self, name: str) -> Quota:
        """The usage by Dovecot."""
        return self._doveadm().quota(self.name(name))

    def sizes(self, name: str) -> list[MailboxSize]:
        """The folders by Dovecot."""
        return self._doveadm().sizes(self.name(name))

    def quotas_of(self, names: list[str]) -> tuple[list[Told], str | None, bool]:
        """The usage of these by Dovecot; why others got no reply, and whether Dovecot does not answer."""
        answers = self._doveadm().quotas_of([self.name(name) for name in names[:_MOST_USERS]])
        found = [told(user, answer) for user, answer in answers.found.items()]
        fault = answers.fault
        return found, None if fault is None else str(fault), isinstance(fault, UnreachableError)

    def quota_all(self) -> list[Told]:
        """The usage of all users that Dovecot can list."""
        return [told(user, answer) for user, answer in self._doveadm().quota_all()]

    def _doveadm(self) -> DoveadmTool:
        tool, _ = make_doveadm(self.config)
        if tool is None:
            raise UnreachableError("the helper has no doveadm that it may run")
        return tool

    # ---- changes

    def recount(self, driver: str, name: str, limit: int | None, most: int | None) -> str:
        """Without doveadm."""
        self._limits.most = most
        return self.driver(driver).recount(self.name(name), limit)

    def recount_by_doveadm(self, name: str, maildir: bool) -> None:
        """With doveadm."""
        OwnWork(self.store, self._doveadm()).recount_by_doveadm(self.name(name), maildir=maildir)

    def empty_by_doveadm(self, name: str, before: float | None, dry_run: bool) -> TrashResult:
        """Trash, with doveadm."""
        return OwnWork(self.store, self._doveadm()).empty_by_doveadm(self.name(name), before, dry_run=dry_run)

    def empty(self, name: str, before: float | None, dry_run: bool) -> TrashResult:
        """Trash, without doveadm."""
        return OwnWork(self.store, None).empty(self.name(name), before, dry_run=dry_run)

    def deliver(self, name: str, message: bytes) -> str:
        """Store a mail; the method."""
        return self._deliverer().deliver(self.name(name), message)

    def was_delivered(self, name: str, message_id: str) -> bool | None:
        """Whether a mail was stored."""
        return self._deliverer().was_delivered(self.name(name), message_id)

    def _deliverer(self) -> Delivery:
        found = self._delivery
        if found is None:
            found = self._delivery = make_deliverer(self.config)
        return found
