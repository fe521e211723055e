"""From the recipient of a request to the mailboxes that decide, by settings, aliases and ledger.

Used on the engine's loop. Nearly all recipients resolve to mailboxes alone; for those the mailboxes are remembered by
the spelling of the recipient, so that the next request needs one look into a dict. All are forgotten with any change of
accounts, aliases or settings.

Where Postfix's maps are known, they decide (core/policy/rewriting.py). An answer that a map has to be asked for is
not waited for here: the route then has ``missing``, the keys to be asked. Where they can't be had in time, the
recipient is judged by what is known: a mailbox of that name, or the alias table (core/policy/aliases.py). Routes by
maps that were asked are forgotten after some seconds, as their answers are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from ..mailboxes.ledger import Entry, Ledger
from ..servers.postfix.rewriting import RewritingMaps
from .aliases import AliasMap, Destination, DestinationKind, Resolver
from .decision import DECIDED_STATES, Rules, Verdict
from .map_answers import FRESH, Key, MapAnswers, NotKnownError
from .protocol import Question
from .recipient import address_of, user_name
from .rewriting import RewritingResolver

_PLAIN_MOST = 65_536  # spellings remembered; of more all are forgotten
_LONGEST = 2048  # bytes; more fit into no line that Postfix reads (line_length_limit)
_PLAIN_LONGEST = 320  # bytes; longer ones are not remembered, as any client could fill the memory with them


class Route(NamedTuple):
    """What a recipient resolves to: all destinations, and the entries of those that are mailboxes.

    ``settled`` is the verdict where usage does not decide (unknown, exempt, unlimited, forwarded elsewhere, no
    request to decide); None where the usage of ``boxes`` has to be judged. ``missing``: nothing is known before
    these keys of maps are asked.
    """

    destinations: list[Destination]
    boxes: list[Entry]
    settled: Verdict | None
    missing: frozenset[Key] = frozenset()


class Router:
    """Resolves recipients over the ledger, the aliases and the rules in force."""

    def __init__(self, ledger: Ledger, rules: Rules) -> None:
        self._ledger = ledger
        self._rules = rules
        self._plain: dict[bytes, tuple[Entry, ...]] = {}
        self._generation = -1  # of the ledger, when the resolver was made
        self._forgetting: asyncio.TimerHandle | None = None
        self._resolved: dict[str, list[Destination]] = {}
        self._certain = True  # whether the last recipient was resolved by answers of all maps
        self.aliases = AliasMap()
        self.rewriting: RewritingMaps | None = None  # Postfix's maps; None where they are not known
        self.answers = MapAnswers(self.forget)

    def set_rules(self, rules: Rules) -> None:
        """Take new settings, from the next request on."""
        self._rules = rules
        self._generation = -1

    def set_aliases(self, aliases: AliasMap) -> None:
        """Take a new state of the alias table."""
        self.aliases = aliases
        self._generation = -1

    def set_rewriting(self, rewriting: RewritingMaps | None) -> None:
        """Take Postfix's maps, or None where they are not known."""
        self.rewriting = rewriting
        self.answers.keep(
            lookup.asked for lookup in (rewriting.lookups if rewriting is not None else ()) if not lookup.rows
        )
        self._generation = -1

    def forget(self) -> None:
        """Resolve everything anew: what a map answered has changed, or is old."""
        self._forgetting = None
        self._generation = -1

    def close(self) -> None:
        """Ask no map any more."""
        if self._forgetting is not None:
            self._forgetting.cancel()
        self.answers.close()

    def plain(self, recipient: bytes) -> tuple[Entry, ...] | None:
        """The mailboxes of a recipient by its spelling, if they are remembered; None: ``find`` has to be called.

        Remembered are only recipients that resolve to mailboxes alone, none of them exempt.
        """
        if self._generation != self._ledger.generation:
            self._learn()
        return self._plain.get(recipient)

    def find(self, asked: Question, *, late: bool = True) -> Route:
        """Resolve the recipient of a request; ``late``: by what is known at this moment.

        Only a mail whose destinations are all mailboxes here can be refused, so for any other the verdict is settled.
        """
        if self._generation != self._ledger.generation:
            self._learn()
        if len(asked.recipient) > _LONGEST and asked.state in DECIDED_STATES:
            return Route([], [], Verdict.TROUBLE)
        address = address_of(asked.recipient) if asked.state in DECIDED_STATES else None
        if not address or not self._ledger.may_be_recipient(address):
            return Route([], [], Verdict.OTHER)
        try:
            ends = self._destinations(address, asked.recipient, late=late)
        except NotKnownError as error:
            return Route([], [], None, error.keys)
        boxes = [
            entry for end in ends if end.kind is DestinationKind.MAILBOX and (entry := self._ledger.get(end.address))
        ]
        exempt = self.is_exempt_recipient(asked.recipient) or any(map(self.is_exempt, boxes))
        if boxes and len(boxes) == len(ends) and not exempt and self._certain:
            self._remember(asked.recipient, tuple(boxes))
        return Route(ends, boxes, self._settled(ends, boxes, asked.size, exempt=exempt))

    def mailboxes(self, recipient: str) -> list[str]:
        """The addresses of the mailboxes that a recipient resolves to."""
        asked = Question(b"RCPT", recipient.encode(errors="replace"), 0)
        return [entry.address for entry in self.find(asked).boxes]

    def is_exempt(self, entry: Entry) -> bool:
        """Whether mail for this account is never refused, by the setting policy.exempt."""
        return entry.address in self._rules.exempt

    def is_exempt_recipient(self, recipient: bytes) -> bool:
        """The same for a recipient as the client sent it, whatever it resolves to."""
        return (user_name(recipient, self._rules.delimiters) or "") in self._rules.exempt

    def _learn(self) -> None:
        ledger = self._ledger
        self._plain.clear()
        self._resolved.clear()
        self._generation = ledger.generation
        table = self.aliases
        self._by_postfix = (
            RewritingResolver(self.rewriting, table, self._rules.delimiters, ledger.is_mailbox, ledger.is_local)
            if self.rewriting is not None
            else None
        )
        self._resolver = Resolver(self.aliases, self._rules.delimiters, ledger.is_mailbox, ledger.is_local)

    def _destinations(self, address: str, recipient: bytes, *, late: bool) -> list[Destination]:
        """Raises NotKnownError, unless ``late``."""
        self._certain = True
        if self._rules.aliases:
            return (
                self._resolver.resolve(address)
                if self._by_postfix is None
                else self._by_maps(self._by_postfix, address, late)
            )
        name = user_name(recipient, self._rules.delimiters) or ""
        return [
            Destination(name, DestinationKind.MAILBOX if self._ledger.is_mailbox(name) else DestinationKind.UNKNOWN)
        ]

    def _by_maps(self, resolver: RewritingResolver, address: str, late: bool) -> list[Destination]:
        found = self._resolved.get(address)
        if found is not None:
            return found
        try:
            found = resolver.resolve(address, self._ask(late=False))
        except NotKnownError as error:
            if error.keys and not late:
                raise
            found, self._certain = self._by_what_is_known(resolver, address), False
        if self._certain and len(address) <= _PLAIN_LONGEST:
            self._resolved[address] = found
            if len(self._resolved) > _PLAIN_MOST:
                self._resolved.clear()
        self._soon_old(resolver)
        return found

    def _by_what_is_known(self, resolver: RewritingResolver, address: str) -> list[Destination]:
        try:
            return resolver.resolve(address, self._ask(late=True))
        except NotKnownError:
            self.answers.late += 1
            return self._resolver.resolve(address)

    def _ask(self, *, late: bool) -> Callable[[str, str], str | None]:
        return lambda name, key: self.answers.get(name, key, late=late)

    def _soon_old(self, resolver: RewritingResolver) -> None:
        """What is remembered by the answers of maps is forgotten after a while."""
        if self._forgetting is None and any(not lookup.rows for lookup in resolver.rewriting.lookups):
            self._forgetting = asyncio.get_running_loop().call_later(FRESH, self.forget)

    async def copies(self, recipient: str, patience: float) -> list[Destination]:
        """Where the copies end that Postfix makes of mail to a recipient (always_bcc, recipient_bcc_maps)."""
        if self._generation != self._ledger.generation:
            self._learn()
        resolver, address = self._by_postfix, address_of(recipient.encode("utf-8", "replace"))
        if resolver is None or not address or not (resolver.rewriting.bcc or resolver.rewriting.always_bcc):
            return []
        try:
            async with asyncio.timeout(patience):
                while True:
                    try:
                        return resolver.copies(address, self._ask(late=False))
                    except NotKnownError as error:
                        if not error.keys or not await self.known(error.keys):
                            return []
        except TimeoutError:
            return []

    async def known(self, keys: frozenset[Key]) -> bool:
        """Wait until these keys were asked. False, at once, where they can't be."""
        done = asyncio.Event()
        asked = self.answers.ask(keys, done.set)
        return asked and await done.wait()

    def _settled(self, ends: list[Destination], boxes: list[Entry], size: int, *, exempt: bool) -> Verdict | None:
        if all(end.kind is DestinationKind.UNKNOWN for end in ends):
            return Verdict.UNKNOWN
        unlimited = not self._rules.is_too_large(size) and not all(entry.limited for entry in boxes)
        return Verdict.ACCEPT if exempt or unlimited or len(boxes) < len(ends) else None

    def _remember(self, recipient: bytes, boxes: tuple[Entry, ...]) -> None:
        if len(recipient) > _PLAIN_LONGEST:
            return
        if len(self._plain) >= _PLAIN_MOST:
            self._plain.clear()
        self._plain[recipient] = boxes
