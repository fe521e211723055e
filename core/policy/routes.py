"""From the recipient of a request to the mailboxes that decide, by settings, aliases and ledger.

Used on the engine's loop. Nearly all recipients resolve to mailboxes alone; for those the mailboxes are remembered by
the spelling of the recipient, so that the next request needs one look into a dict. All are forgotten with any change of
accounts, aliases or settings.
"""

from __future__ import annotations

from typing import NamedTuple

from ..mailboxes.ledger import Entry, Ledger
from .aliases import AliasMap, Destination, DestinationKind, Resolver
from .decision import DECIDED_STATES, Rules, Verdict
from .protocol import Question
from .recipient import address_of, user_name

_PLAIN_MOST = 65_536  # spellings remembered; of more all are forgotten
_LONGEST = 2048  # bytes; more fit into no line that Postfix reads (line_length_limit)
_PLAIN_LONGEST = 320  # bytes; longer ones are not remembered, as any client could fill the memory with them


class Route(NamedTuple):
    """What a recipient resolves to: all destinations, and the entries of those that are mailboxes.

    ``settled`` is the verdict where usage does not decide (unknown, exempt, unlimited, forwarded elsewhere, no
    request to decide); None where the usage of ``boxes`` has to be judged.
    """

    destinations: list[Destination]
    boxes: list[Entry]
    settled: Verdict | None


class Router:
    """Resolves recipients over the ledger, the aliases and the rules in force."""

    def __init__(self, ledger: Ledger, rules: Rules) -> None:
        self._ledger = ledger
        self._rules = rules
        self._plain: dict[bytes, tuple[Entry, ...]] = {}
        self._generation = -1  # of the ledger, when the resolver was made
        self.aliases = AliasMap()

    def set_rules(self, rules: Rules) -> None:
        """Take new settings, from the next request on."""
        self._rules = rules
        self._generation = -1

    def set_aliases(self, aliases: AliasMap) -> None:
        """Take a new state of the alias table."""
        self.aliases = aliases
        self._generation = -1

    def plain(self, recipient: bytes) -> tuple[Entry, ...] | None:
        """The mailboxes of a recipient by its spelling, if they are remembered; None: ``find`` has to be called.

        Remembered are only recipients that resolve to mailboxes alone, none of them exempt.
        """
        if self._generation != self._ledger.generation:
            self._learn()
        return self._plain.get(recipient)

    def find(self, asked: Question) -> Route:
        """Resolve the recipient of a request.

        Only a mail whose destinations are all mailboxes here can be refused, so for any other the verdict is settled.
        """
        if self._generation != self._ledger.generation:
            self._learn()
        if len(asked.recipient) > _LONGEST and asked.state in DECIDED_STATES:
            return Route([], [], Verdict.TROUBLE)
        address = address_of(asked.recipient) if asked.state in DECIDED_STATES else None
        if not address or not self._ledger.may_be_recipient(address):
            return Route([], [], Verdict.OTHER)
        ends = self._destinations(address, asked.recipient)
        boxes = [
            entry for end in ends if end.kind is DestinationKind.MAILBOX and (entry := self._ledger.get(end.address))
        ]
        exempt = self.is_exempt_recipient(asked.recipient) or any(map(self.is_exempt, boxes))
        if boxes and len(boxes) == len(ends) and not exempt:
            self._remember(asked.recipient, tuple(boxes))
        return Route(ends, boxes, self._settled(ends, boxes, exempt=exempt))

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
        self._generation = ledger.generation
        self._resolver = Resolver(self.aliases, self._rules.delimiters, ledger.is_mailbox, ledger.is_local)

    def _destinations(self, address: str, recipient: bytes) -> list[Destination]:
        if self._rules.aliases:
            return self._resolver.resolve(address)
        name = user_name(recipient, self._rules.delimiters) or ""
        return [
            Destination(name, DestinationKind.MAILBOX if self._ledger.is_mailbox(name) else DestinationKind.UNKNOWN)
        ]

    def _settled(self, ends: list[Destination], boxes: list[Entry], *, exempt: bool) -> Verdict | None:
        if all(end.kind is DestinationKind.UNKNOWN for end in ends):
            return Verdict.UNKNOWN
        unlimited = any(entry.limit is None for entry in boxes)
        return Verdict.ACCEPT if exempt or unlimited or len(boxes) < len(ends) else None

    def _remember(self, recipient: bytes, boxes: tuple[Entry, ...]) -> None:
        if len(recipient) > _PLAIN_LONGEST:
            return
        if len(self._plain) >= _PLAIN_MOST:
            self._plain.clear()
        self._plain[recipient] = boxes
