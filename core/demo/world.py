"""A throwaway mail server in a folder: settings, accounts, Maildirs. Nothing outside the folder is read or written.

Theory of operation. All accounts and the first Maildirs are made by ``create``. With more than 200 accounts, Maildirs
that can't be made within a second follow in a thread, which rests as long as it works, while a console already shows
the others. ``ready`` counts those that are made; only the thread that makes them writes it. The thread stops early
where space or inodes get short: the mailboxes that are missing then are empty, like those of new accounts.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ..accounts import sqlite
from ..base.endpoints import DatabaseUrl
from ..base.errors import MailquotaError, UsageError
from ..history.connection import StateError
from ..mailboxes.mailstore import Mailstore
from ..servers.dovecot.folder_names import TrashNames
from ..settings.declared import Mailstore as MailstoreSettings
from .build import MessageFile, build, make_message_files
from .folder import SpaceLimit, check_sparse, temporary_folder
from .past import write_past
from .people import NEIGHBOURS, Person, aliases_among, populate

log = logging.getLogger(__name__)

ACCOUNTS = 60
MOST_ACCOUNTS = 1_000_000
_SLICE = 50  # Maildirs between two checks of free space
_AT_ONCE_SECONDS = 1.0  # on a slow disk Maildirs of neighbours are made in the thread, too
_REST_MOST = 0.05  # seconds

_SETTINGS = """\
# A throwaway world of mailquota --demo. It goes away with the program that made it.
[accounts]
database = {database}
password_file = ""
refresh = "1s"

[mailstore]
path = {maildirs}
doveadm = "off"

[policy]
listen = [{policy}]
socket_user = ""
socket_mode = "0600"

[warnings]
delivery = "maildir"  # never by mail: nothing leaves this folder
templates = ""

[state]
database = {state}

[control]
socket = {control}
group = ""
"""


class World:
    """A world in ``folder``, which exists, is empty and belongs to this process; ``now`` gives seconds since the epoch.

    ``people`` are the owners of all accounts; the Maildirs of the first ``ready`` of them are complete.
    """

    def __init__(self, folder: Path, accounts: int, seed: int = 1, now: Callable[[], float] = time.time) -> None:
        check_count(accounts)
        self.folder = folder
        self.config_path = folder / "mailquota.toml"
        self.database = folder / "accounts.db"
        self.policy_socket = folder / "policy"
        self.control_socket = folder / "control.sock"
        self.people = populate(accounts, seed)
        self.aliases = aliases_among(self.people)
        self.mailstore = Mailstore(f"{folder}/mail/{{domain}}/{{user}}", TrashNames(MailstoreSettings().trash))
        self.ready = 0
        self._seed = seed
        self._now = now
        self._stop = threading.Event()
        self._maker: threading.Thread | None = None

    @classmethod
    @contextlib.contextmanager
    def temporary(cls, accounts: int = ACCOUNTS, seed: int = 1) -> Iterator[World]:
        """A world in a new folder, which is removed at the end, but for SIGKILL.

        Raises UsageError for a wrong number of accounts, MailquotaError where no folder can hold a world.
        """
        check_count(accounts)
        with temporary_folder("control.sock") as folder, contextlib.closing(cls(folder, accounts, seed)) as world:
            world.create()
            yield world

    def create(self) -> None:
        """Make settings, databases and Maildirs, of which some may follow in a thread. Raises MailquotaError."""
        try:
            check_sparse(self.folder)
            Path(self.mailstore.base).mkdir(mode=0o700)
            self.config_path.write_text(self._settings())
            self._create_accounts()
            write_past(self.folder / "state.db", self.people[:NEIGHBOURS], self._now())
            rest = self._make_maildirs()
            next(rest, None)
        except (OSError, sqlite3.Error, StateError) as error:
            reason = getattr(error, "strerror", None) or error
            raise MailquotaError(f"a demo can't be made in {self.folder}: {reason}") from error
        if self.ready < len(self.people):
            self._maker = threading.Thread(target=self._make_rest, args=(rest,), name="mailquota-demo", daemon=True)
            self._maker.start()

    def close(self) -> None:
        """Stop the thread that makes Maildirs, and wait for its end."""
        self._stop.set()
        if self._maker is not None:
            self._maker.join()

    def _settings(self) -> str:
        def url(path: Path) -> str:
            return str(DatabaseUrl("sqlite", path=str(path)))

        values = {
            "database": url(self.database),
            "maildirs": self.mailstore.template,
            "policy": f"unix:{self.policy_socket}",
            "state": url(self.folder / "state.db"),
            "control": str(self.control_socket),
        }
        # A JSON text is a TOML text, for any path that can be printed.
        return _SETTINGS.format(**{key: json.dumps(value, ensure_ascii=False) for key, value in values.items()})

    def _create_accounts(self) -> None:
        sqlite.create(self.database)
        addresses = [*(person.address for person in self.people), *(alias.source for alias in self.aliases)]
        domains = dict.fromkeys(address.rpartition("@")[2] for address in addresses)
        number = {name: index for index, name in enumerate(domains, 1)}
        users = ((number[p.address.rpartition("@")[2]], p.address, p.limit or 0) for p in self.people)
        aliases = ((number[a.source.rpartition("@")[2]], a.source, a.destination) for a in self.aliases)
        with contextlib.closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute("PRAGMA synchronous = OFF")  # it is worthless after a crash
            connection.executemany("INSERT INTO virtual_domains (id, name) VALUES (?, ?)", _swapped(number))
            connection.executemany("INSERT INTO virtual_users (domain_id, email, quota) VALUES (?, ?, ?)", users)
            connection.executemany(
                "INSERT INTO virtual_aliases (domain_id, source, destination) VALUES (?, ?, ?)", aliases
            )

    # ---- Maildirs

    def _make_maildirs(self) -> Iterator[None]:
        """Make the Maildirs in order. Yields where ``create`` may return, and from then on after each slice."""
        hurried = time.monotonic() + _AT_ONCE_SECONDS if len(self.people) > NEIGHBOURS else math.inf
        space = SpaceLimit(self.folder)
        files = make_message_files(self.folder / "messages", random.Random(self._seed), self._now())
        for index, person in enumerate(self.people):
            if index and index % _SLICE == 0 and (index >= NEIGHBOURS or time.monotonic() > hurried):
                yield
            if index % _SLICE == 0 and not space.left():
                log.warning("space gets short: %d of %d mailboxes stay empty", len(self.people) - index, index)
                return
            self._make(person, files)
            self.ready = index + 1

    def _make(self, person: Person, files: dict[int, MessageFile]) -> None:
        rng = random.Random(f"{self._seed} {person.address}")
        build(self.mailstore.maildir(person.address), person, files, rng)

    def _make_rest(self, rest: Iterator[None]) -> None:
        try:
            started = time.monotonic()
            for _ in rest:
                if self._stop.wait(min(time.monotonic() - started, _REST_MOST)):
                    return
                started = time.monotonic()
        except OSError as error:
            log.warning("the mailboxes from number %d on stay empty: %s", self.ready + 1, error)


def check_count(accounts: int) -> None:
    """UsageError for a number of accounts that a demo can't have."""
    if not 1 <= accounts <= MOST_ACCOUNTS:
        raise UsageError(f"a demo has 1 to {MOST_ACCOUNTS} accounts, not {accounts}")


def _swapped(number: dict[str, int]) -> Iterator[tuple[int, str]]:
    return ((index, name) for name, index in number.items())
