"""Mail for the demo world, as Postfix and Dovecot would handle it.

Theory of operation. One thread plays Postfix, Dovecot and the owners of the mailboxes. An event is a mail, or an owner
who deletes mail. For a mail the policy server is asked over its real socket, by one of five clients that keep their
connections; only where it permits, a real file is delivered and recorded in maildirsize. So each refusal is an answer
of the engine. Limits are read from the accounts database for each delivery, as Dovecot's userdb does, so edits count at
once. While no engine answers, nothing is delivered.
"""

from __future__ import annotations

import contextlib
import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import quote

from . import maildir, senders
from .owners import Owners
from .people import CAST, MIB, Habit, Person, Record
from .smtpd import Smtpd, permits
from .world import World

log = logging.getLogger(__name__)

_SMTPDS = 5
_SLOWEST, _FASTEST = 3.0, 8.0  # events a second
_ACTIVE = 500  # people who get mail: the world must not grow without end
_LARGEST = 25 * MIB


class Event(NamedTuple):
    """What happened. ``action`` is that of the policy answer, ``delivered`` the mailboxes that got the mail."""

    kind: Literal["delivered", "refused", "unanswered", "tidied", "nothing"]
    recipient: str = ""
    action: str | None = None
    size: int = 0
    delivered: tuple[str, ...] = ()


class Traffic:
    """Mail for ``world``, with policy requests on the socket at ``socket_path``. Used by one thread at a time."""

    def __init__(
        self, world: World, socket_path: Path, rng: random.Random, now: Callable[[], float] = time.time
    ) -> None:
        self._world = world
        self._rng = rng
        self._now = now
        self._people = world.people[:_ACTIVE]
        self._numbers = {person.address: number for number, person in enumerate(self._people)}
        self._shares = list(accumulate(person.share for person in self._people[: len(CAST)]))
        self._sources = sorted({alias.source for alias in world.aliases})
        self._owners = Owners(world.mailstore, rng)
        self._smtpds = [Smtpd(socket_path) for _ in range(_SMTPDS)]
        self._stop = threading.Event()
        self._database: sqlite3.Connection | None = None
        self._serial = 0
        self._rate = _FASTEST
        self._failed = False

    # ---- running

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Deliver mail in a thread until the end of the block."""
        stop = threading.Event()
        thread = threading.Thread(target=self.run, args=(stop,), name="mailquota-traffic", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def run(self, stop: threading.Event) -> None:
        """Three to eight events a second until ``stop`` is set. Raises nothing."""
        self._stop = stop
        try:
            while not stop.wait(self._pause()):
                self._step_safely()
        finally:
            self.close()

    def close(self) -> None:
        """Close the connections; the next step opens new ones."""
        for smtpd in self._smtpds:
            smtpd.close()
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _pause(self) -> float:
        """Random seconds until the next event, at a rate that changes now and then."""
        if self._rng.random() < 0.04:
            self._rate = self._rng.uniform(_SLOWEST, _FASTEST)
        return self._rng.expovariate(self._rate)

    def _step_safely(self) -> None:
        try:
            self.step()
        except Exception:  # an outer edge: a demo goes on; an error that repeats is logged once
            log.log(logging.DEBUG if self._failed else logging.ERROR, "demo traffic failed", exc_info=True)
            self._failed = True
        else:
            self._failed = False

    # ---- events

    def step(self) -> Event:
        """Have one event happen. Raises OSError and sqlite3.Error where the world can't be read or written."""
        if self._world.ready == 0:
            return Event("nothing")
        if self._rng.random() < 0.012:
            person = self._owners.tidy(self._present())
            return Event("tidied", person.address) if person else Event("nothing")
        return self._mail(self._next_mail())

    def _present(self) -> list[Person]:
        return self._people[: self._world.ready]

    def _next_mail(self) -> senders.Mail:
        rng, roll = self._rng, self._rng.random()
        if roll < 0.04:
            domain = rng.choice(self._present()).address.rpartition("@")[2]
            return senders.ordinary(senders.guessed_address(domain, rng), rng)
        if roll < 0.08 and self._sources:
            return senders.ordinary(rng.choice(self._sources), rng)
        person = self._recipient()
        recipient = senders.as_typed(person.address, rng)
        if person.habit is Habit.FILLING and rng.random() < 0.6:
            return senders.bulky(recipient, rng, min((person.limit or person.used) // 150, _LARGEST))
        return senders.ordinary(recipient, rng)

    def _recipient(self) -> Person:
        """A random recipient. A third of the mail goes to the cast, so that those mailboxes visibly fill."""
        present = self._present()
        others = present[len(CAST) :]
        if others and self._rng.random() > 0.35:
            return self._rng.choice(others)
        cast = present[: len(CAST)]
        return self._rng.choices(cast, cum_weights=self._shares[: len(cast)])[0]

    def _mail(self, mail: senders.Mail) -> Event:
        rng = self._rng
        request = senders.policy_request(mail, rng.randrange(1024, 65536), f"{rng.randrange(1 << 28):x}.{self._serial}")
        action = rng.choice(self._smtpds).ask(request, self._stop)
        if action is None:
            return Event("unanswered", mail.recipient, size=mail.size)
        if not permits(action):
            self._refused(mail.recipient)
            return Event("refused", mail.recipient, action, size=mail.size)
        size = senders.stored_size(mail, rng)
        return Event("delivered", mail.recipient, action, size=size, delivered=self._deliver(mail.recipient, size))

    def _refused(self, recipient: str) -> None:
        for person in self._mailboxes(recipient):
            limit = self._limit(person.address)
            if limit is not None:
                self._owners.refused(person, limit or None)

    def _deliver(self, recipient: str, size: int) -> tuple[str, ...]:
        delivered = []
        for person in self._mailboxes(recipient):
            limit = self._limit(person.address)
            through_alias = person.address != _plain(recipient)
            if limit is None or (through_alias and self._is_full(person, limit)):
                continue
            self._put(person, size, limit or None)
            delivered.append(person.address)
        return tuple(delivered)

    def _is_full(self, person: Person, limit: int) -> bool:
        """Dovecot's own check of mail that comes by an alias: another mailbox behind it may have let the mail pass."""
        return limit > 0 and maildir.totals(self._world.mailstore.maildir(person.address))[0] >= limit

    def _put(self, person: Person, size: int, limit: int | None) -> None:
        self._serial += 1
        path = self._world.mailstore.maildir(person.address)
        maildir.deliver(path, maildir.message_name(self._now(), self._serial, size), size)
        maildir.record(path, size, limit, create=person.record is Record.KEPT)
        self._owners.accepted(person)

    def _mailboxes(self, recipient: str) -> list[Person]:
        """The mailboxes that an address resolves to, without those whose Maildir is not made yet."""
        address = _plain(recipient)
        found = [address, *(alias.destination for alias in self._world.aliases if alias.source == address)]
        numbers = [self._numbers[name] for name in found if name in self._numbers]
        return [self._people[number] for number in numbers if number < self._world.ready]

    def _limit(self, address: str) -> int | None:
        """The limit in bytes as it is in the database now, 0 for unlimited; None where the account is gone."""
        if self._database is None:
            uri = f"file:{quote(str(self._world.database))}?mode=ro"
            self._database = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
        row = self._database.execute("SELECT quota FROM virtual_users WHERE email = ?", (address,)).fetchone()
        return None if row is None else int(row[0])


def _plain(recipient: str) -> str:
    """The address without tag, in lower case."""
    user, _, domain = recipient.lower().partition("@")
    return f"{user.partition('+')[0]}@{domain}"
