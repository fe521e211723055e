"""Remembers what maps of Postfix answered, and has them asked where that is not known. Used on the engine's loop.

An answer, also that there is no such key, is good for ``FRESH`` seconds. Then it is asked again; for ``KEPT`` seconds
the old one is used where the map does not answer in time, and at once where that map is slow. The memory for each map
is bounded.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..servers.postfix.postmap import LONGEST, MapAnswer, MapAsker

log = logging.getLogger(__name__)

FRESH = 5.0
KEPT = 600.0
_MOST = 20_000  # keys of one map
_MOST_BYTES = 32 << 20  # of all answers of one map
_PART = 50  # answers that are taken at once
_TELL_AGAIN = 600.0  # seconds between two lines of the log about the same map
_FAULT_SECONDS = 2.0  # how long a key without an answer is not asked again

Key = tuple[str, str]  # the name of a map as postmap takes it, and the key


class _Known(NamedTuple):
    value: str | None
    fault: bool
    at: float


class NotKnownError(Exception):
    """An address can't be resolved yet: these keys have to be asked. Without keys: a map gave no answer."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        super().__init__()
        self.keys = frozenset(keys)


class _Waiter:
    """Who waits for keys; ``ready`` is called once, when all have an answer or a fault."""

    __slots__ = ("left", "ready")

    def __init__(self, left: set[Key], ready: Callable[[], None]) -> None:
        self.left = left
        self.ready = ready


def _nothing() -> None:
    """Nobody waits."""


class MapAnswers:
    """The answers of all maps that are asked. ``changed`` is called when one differs from what was known before."""

    def __init__(self, changed: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._changed = changed
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._known: dict[str, dict[str, _Known]] = {}
        self._bytes: dict[str, int] = {}
        self._askers: dict[str, MapAsker] = {}
        self._waiting: dict[Key, list[_Waiter]] = {}
        self._told: dict[str, float] = {}  # maps whose fault is in the log, and since when
        self._failing: set[str] = set()
        self.late = 0  # recipients that were judged without them

    @property
    def problem(self) -> str:
        """Why a map can't be asked now; empty while all answer."""
        faults = (f"{name}: {asker.fault}" for name, asker in self._askers.items() if asker.fault)
        return "; ".join(faults)[:1000]

    def get(self, name: str, key: str, *, late: bool = False) -> str | None:
        """What a map answers to a key. Raises NotKnownError.

        ``late``: an older answer will do, and nothing is asked.
        """
        known = self._known.get(name, {}).get(key)
        age = KEPT if known is None else self._clock() - known.at
        asker = self._askers.get(name)
        late = late or (asker is not None and asker.resting)
        if known is None or age >= KEPT:
            raise NotKnownError([] if late else [(name, key)])
        if known.fault:
            raise NotKnownError([] if late or age < _FAULT_SECONDS else [(name, key)])
        if age >= FRESH and not late:
            if asker is None or not asker.slow:
                raise NotKnownError([(name, key)])
            self.ask([(name, key)], _nothing)
        return known.value

    def ask(self, keys: Iterable[Key], ready: Callable[[], None]) -> bool:
        """Have these keys asked, and call ``ready`` on the loop when that is done; never within this call.

        False where none of them will be asked, as their maps do not answer or too much waits; ``ready`` is not called.
        """
        waiter = _Waiter(set(keys), ready)
        for name, key in list(waiter.left):
            listeners = self._waiting.get((name, key))
            if listeners is not None:
                listeners.append(waiter)
            elif len(key) <= LONGEST and self._asker(name).ask(key):
                self._waiting[name, key] = [waiter]
            else:
                waiter.left.discard((name, key))
        return bool(waiter.left)

    def _asker(self, name: str) -> MapAsker:
        asker = self._askers.get(name)
        if asker is None:
            asker = MapAsker(name, lambda found: self._post(name, found))
            self._askers[name] = asker
        return asker

    def _post(self, name: str, found: list[MapAnswer]) -> None:
        """In a thread. In parts, so that no other request waits for many."""
        try:
            for start in range(0, len(found), _PART):
                self._loop.call_soon_threadsafe(self._take, name, found[start : start + _PART])
        except RuntimeError:
            log.debug("%s: the loop has ended", name)

    def _take(self, name: str, found: list[MapAnswer]) -> None:
        now, ready = self._clock(), []
        differs = False
        for key, value, fault in found:
            differs |= self._remember(name, key, _Known(value, bool(fault), now))
            for waiter in self._waiting.pop((name, key), ()):
                waiter.left.discard((name, key))
                if not waiter.left:
                    ready.append(waiter.ready)
        self._tell(name, found)
        if differs:
            self._changed()
        for call in ready:
            call()

    def _remember(self, name: str, key: str, known: _Known) -> bool:
        """Whether another answer was known before. An answer that failed takes none away."""
        kept = self._known.setdefault(name, {})
        before = kept.get(key)
        if known.fault and before is not None and not before.fault and known.at - before.at < KEPT:
            return False
        size = len(key) + len(known.value or "")
        self._bytes[name] = self._bytes.get(name, 0) + size - (len(before.value or "") + len(key) if before else 0)
        kept.pop(key, None)
        kept[key] = known
        while len(kept) > _MOST or self._bytes[name] > _MOST_BYTES:  # the first in a dictionary is the oldest
            oldest = next(iter(kept))
            gone = kept.pop(oldest)
            self._bytes[name] -= len(oldest) + len(gone.value or "")
        return before is not None and not before.fault and before.value != known.value

    def _tell(self, name: str, found: list[MapAnswer]) -> None:
        fault = next((answer.fault for answer in found if answer.fault), "")
        now = self._clock()
        if fault and name not in self._failing and now - self._told.get(name, -_TELL_AGAIN) >= _TELL_AGAIN:
            self._told[name] = now
            self._failing.add(name)
            log.warning("%s can't be asked: %s; its recipients are judged by what is known", name, fault)
        elif found and not fault and name in self._failing:
            self._failing.discard(name)
            log.info("%s answers again", name)

    def keep(self, names: Iterable[str]) -> None:
        """Forget all maps but these."""
        wanted = set(names)
        for name in [name for name in self._askers if name not in wanted]:
            self._askers.pop(name).close()
            self._known.pop(name, None)
            self._bytes.pop(name, None)
            waiting = [key for key in self._waiting if key[0] == name]
            for waiter in [waiter for key in waiting for waiter in self._waiting.pop(key)]:
                waiter.left.difference_update(waiting)
                if not waiter.left:
                    self._loop.call_soon(waiter.ready)

    def close(self) -> None:
        """Ask no more."""
        for asker in self._askers.values():
            asker.close()
        self._waiting.clear()
