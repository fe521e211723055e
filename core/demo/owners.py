"""What the owners of mailboxes do: read, delete, empty Trash. So usage goes up and down, and grows without end nowhere.

A *steady* owner brings the mailbox back to about its first usage after some mails. A *filling* owner only reads, until
the mailbox is full and some mails were refused; then empties Trash, and deletes more. A *stuck* owner acts after
hundreds of mails, which only come where the limit was raised.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from ..mailboxes.mailstore import Mailstore
from .maildir import Stored, expunge, list_folder, read_new, throw_away, totals
from .people import Habit, Person, Record

_PATIENCE = {Habit.STEADY: 25, Habit.FILLING: 25, Habit.STUCK: 200}  # mails until the owner comes to read
_REFUSALS = 12  # refused mails until the owner acts
_SLACK = {Habit.STEADY: 60, Habit.FILLING: 300, Habit.STUCK: 60}  # messages more than at the start
_MOST_TIDIED = 0.06  # of the mailbox at a time
_ENDLESS = 1 << 62


class Owners:
    """Counts what happens to each mailbox, and has its owner act on that. Used by one thread."""

    def __init__(self, store: Mailstore, rng: random.Random) -> None:
        self._store = store
        self._rng = rng
        self._arrived: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()

    def accepted(self, person: Person) -> None:
        """Count a delivered mail; the owner may read and delete. Raises OSError."""
        self._arrived[person.address] += 1
        if self._arrived[person.address] >= _PATIENCE[person.habit]:
            goal = _ENDLESS if person.habit is Habit.FILLING else person.used
            self._visit(person, goal, in_need=False)

    def refused(self, person: Person, limit: int | None) -> None:
        """Count a refused mail; the owner may make room. ``limit`` in bytes, None for none. Raises OSError."""
        self._refused[person.address] += 1
        if person.habit is Habit.FILLING and self._refused[person.address] >= _REFUSALS:
            self._visit(person, int((limit or person.used) * self._rng.uniform(0.6, 0.85)), in_need=True)

    def tidy(self, people: Sequence[Person]) -> Person | None:
        """Have one of these owners, at random, empty Trash or delete a little; returns it, or None. Raises OSError."""
        person = self._rng.choice(people)
        maildir = self._store.maildir(person.address)
        if not _is_tidy(person) or totals(maildir)[0] < person.used:
            return None  # below its first usage it grows back, so that the world stays as full as it was
        trash = list_folder(maildir, person.trash_name)
        if self._rng.random() < 0.5 and sum(message.size for message in trash) < person.used * _MOST_TIDIED:
            expunge(maildir, trash)
        else:
            size = int(person.used * self._rng.uniform(0.02, _MOST_TIDIED))
            expunge(maildir, self._some(list_folder(maildir), size))
        return person

    def _some(self, messages: list[Stored], size: int) -> list[Stored]:
        """Some of the messages at random, of ``size`` bytes together at most."""
        chosen = []
        for message in self._rng.sample(messages, len(messages)):
            if message.size <= size:
                chosen.append(message)
                size -= message.size
        return chosen

    def _visit(self, person: Person, goal: int, *, in_need: bool) -> None:
        """Read new mail, then delete down to ``goal`` bytes of usage; ``in_need`` of room, all of Trash, too."""
        del self._arrived[person.address]
        self._refused.pop(person.address, None)
        maildir = self._store.maildir(person.address)
        read_new(maildir)
        trash = list_folder(maildir, person.trash_name)
        kept = (0, 0) if in_need else (sum(person.discarded), len(person.discarded) + _PATIENCE[Habit.STEADY])
        expunge(maildir, _newest(trash, sum(m.size for m in trash) - kept[0], len(trash) - kept[1]))
        used, messages = totals(maildir)
        surplus = _newest(list_folder(maildir), used - goal, messages - person.messages - _SLACK[person.habit])
        if in_need or self._rng.random() < 0.5:
            expunge(maildir, surplus)
        elif surplus:
            throw_away(maildir, surplus, person.trash_name)


def _is_tidy(person: Person) -> bool:
    return person.habit is not Habit.STUCK and person.record is not Record.BROKEN and not person.plain


def _newest(messages: list[Stored], size: int, count: int) -> list[Stored]:
    """The newest messages that are ``size`` bytes and ``count`` messages together, both at least."""
    chosen: list[Stored] = []
    for message in messages:
        if size <= 0 and count <= 0:
            break
        chosen.append(message)
        size -= message.size
        count -= 1
    return chosen
