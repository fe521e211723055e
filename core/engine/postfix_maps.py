"""Keeps Postfix's maps as Postfix has them now, and compares the rows in memory with what Postfix itself answers.

Once a minute postconf is asked which maps rewrite recipients. Maps in SQL that mailquota answers from memory are held
against ``postmap -q``, at a gentle pace: all sources of aliases, and a sample of the mailboxes. Where an answer
differs, and still does after the accounts were read again, that map is asked from then on, and it is said.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from ..accounts.sync import AccountSync
from ..base.threads import gently, in_thread
from ..policy.answering import Enforcer
from ..policy.rewriting import differing
from ..servers.postfix.postmap import MapError, ask_once
from ..servers.postfix.rewriting import Lookup, RewritingMaps
from ..settings.config import Config
from ..settings.discover_rewriting import find_rewriting

log = logging.getLogger(__name__)

SAMPLE = 1000  # mailboxes of a round
_AGAIN = 60.0  # seconds between two looks at Postfix's settings
_ROUND = 600.0  # seconds between two rounds of verification
_SHARE = 0.01  # of the time
_BATCH = 100
_START = 1.0  # seconds that a start waits for postconf

Ask = Callable[[str, Sequence[str]], list[str | None]]


class PostfixMaps:
    """Postfix's maps for the router. Used on the engine's loop. ``off``: Postfix is not asked, as in a demo."""

    def __init__(
        self,
        config: Callable[[], Config],
        enforcer: Enforcer,
        sync: Callable[[], AccountSync],
        *,
        off: bool,
        ask: Ask = ask_once,
    ) -> None:
        self._config = config
        self._router = enforcer.router
        self._sync = sync
        self._off = off
        self._ask = ask
        self._distrusted: set[str] = set()  # names of maps whose answers differed from the rows in memory
        self.differences: dict[str, str] = {}  # by map: a sentence
        self.checked = 0  # keys that were held against Postfix

    @property
    def problem(self) -> str:
        """What an administrator should know of the maps; empty where all is well."""
        return "; ".join(text for text in (*self.differences.values(), self._router.answers.problem) if text)

    async def read(self) -> None:
        """Ask Postfix for its maps, and have them followed."""
        if self._off:
            return
        config = self._config()
        rewriting = await in_thread(lambda: find_rewriting(config))
        if rewriting is not None:
            rewriting = self._trusted(rewriting)
        if rewriting != self._router.rewriting:
            if self._router.rewriting is not None:
                log.info(
                    "Postfix has other maps now: %s",
                    ", ".join(one.name for one in rewriting.lookups) if rewriting else "none",
                )
            for text in rewriting.unfollowed if rewriting is not None else ():
                log.warning("Postfix leads recipients on by %s, which is not followed", text)
            self._router.set_rewriting(rewriting)

    async def start(self) -> None:
        """Read, but wait a second at most: postconf may hang."""
        reading = asyncio.create_task(self.read())
        await asyncio.wait([reading], timeout=_START)

    async def settings_changed(self) -> None:
        """Read again, and trust all maps again."""
        self._distrusted.clear()
        self.differences.clear()
        await self.read()

    def _trusted(self, rewriting: RewritingMaps) -> RewritingMaps:
        def ask(lookups: tuple[Lookup, ...]) -> tuple[Lookup, ...]:
            return tuple(
                msgspec.structs.replace(one, rows="") if one.name in self._distrusted else one for one in lookups
            )

        return msgspec.structs.replace(rewriting, virtual=ask(rewriting.virtual), canonical=ask(rewriting.canonical))

    async def run(self) -> None:
        """Follow Postfix's settings, until cancelled."""
        while True:
            await asyncio.sleep(_AGAIN)
            await self.read()

    async def verify_always(self) -> None:
        """Hold the rows in memory against Postfix's answers, round after round, until cancelled."""
        while True:
            await self.verify(_SHARE)
            await asyncio.sleep(_ROUND)

    async def verify(self, share: float = 1.0) -> None:
        """One round, in ``share`` of the time."""
        rewriting = self._router.rewriting
        for lookup in rewriting.virtual if rewriting is not None else ():
            if not lookup.rows:
                continue
            for keys in _batches(self._keys()):
                if not await self._holds(lookup, keys, share):
                    break

    def _keys(self) -> list[str]:
        table = self._router.aliases
        mailboxes = list(table.accounts) if isinstance(table.accounts, Iterable) else []
        sample = random.sample(mailboxes, min(SAMPLE, len(mailboxes)))
        domains = [f"@{name}" for name in table.domains]
        return list(dict.fromkeys([*table.rows, *domains, *sample]))

    async def _holds(self, lookup: Lookup, keys: list[str], share: float) -> bool:
        """Whether to go on with this map: it answers, and none of its answers differs."""
        try:
            answers = await gently(share, self._ask, lookup.asked, keys)
            odd = differing(self._router.aliases, lookup, keys, answers)
            if odd:  # edited meanwhile?
                await self._sync().look(read=True)
                again = await in_thread(lambda: self._ask(lookup.asked, odd))
                odd = differing(self._router.aliases, lookup, odd, again)
        except MapError as error:
            log.debug("%s can't be verified: %s", lookup.name, error)
            return False
        self.checked += len(keys)
        if odd:
            self._distrust(lookup, odd[0])
        return not odd

    def _distrust(self, lookup: Lookup, key: str) -> None:
        text = f"{lookup.name} answers otherwise about {key} than the accounts database; Postfix is asked instead"
        log.warning("%s", text)
        self.differences[lookup.name] = text
        self._distrusted.add(lookup.name)
        if self._router.rewriting is not None:
            self._router.set_rewriting(self._trusted(self._router.rewriting))


def _batches(keys: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), _BATCH):
        yield keys[start : start + _BATCH]
