"""From the recipient of a request to the mailboxes that decide: rules, aliases and ledger combined.

Used on the engine's loop. What was found for a spelling that leads to nothing but mailboxes is remembered, since nearly
all requests are of that kind; the memory ends with any change of accounts, aliases or settings.
"""

from __future__ import annotations

from typing import NamedTuple

from mailquota.core.mailboxes.ledger import Entry, Ledger
from mailquota.core.policy.aliases import AliasMap, Destination, DestinationKind, Resolver
from mailquota.core.policy.decision import DECIDED_STATES, Rules, Verdict
from mailquota.core.policy.protocol import Question
from mailquota.core.policy.recipient import address_of, user_name

_PLAIN_MOST = 65_536  # spellings remembered; of more all are forgotten
_LONGEST = 2048  # bytes; more fit into no line that Postfix reads (line_length_limit)
_PLAIN_LONGEST = 320  # bytes; anybody can send longer ones, with details that no mail ever had


class Route(NamedTuple):
    """Where mail ends. ``settled`` is the verdict where the mailboxes have no say in it."""

    destinations: list[Destination]
    boxes: list[Entry]
    settled: Verdict | None


class Router:
    """The way of a recipient."""

    def __init__(self, ledger: Ledger, rules: Rules) -> None:
        self._ledger = ledger
        self._rules = rules
        self._plain: dict[bytes, tuple[Entry, ...]] = {}
        self._generation = -1  # of the ledger that all here knows
        self.aliases = AliasMap()

    def set_rules(self, rules: Rules) -> None:
        """New settings."""
        self._rules = rules
        self._generation = -1

    def set_aliases(self, aliases: AliasMap) -> None:
        """The alias table as it is now."""
        self.aliases = aliases
        self._generation = -1

    def plain(self, recipient: bytes) -> tuple[Entry, ...] | None:
        """The mailboxes that this spelling leads to, where that is known, nothing else is among them, and no exemption
        holds."""
        if self._generation != self._ledger.generation:
            self._learn()
        return self._plain.get(recipient)

    def find(self, asked: Question) -> Route:
        """The whole way. Refused can only be what ends in nothing but mailboxes that can't take it."""
        if self._generation != self._ledger.generation:
            self._learn()
        if len(asked.recipient) > _LONGEST and asked.state in DECIDED_STATES:
            return Route([], [], Verdict.TROUBLE)
        address = address_of(asked.recipient) if asked.state in DECIDED_STATES else None
        if not address:
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
        """The addresses of the accounts that mail for a recipient ends in."""
        asked = Question(b"RCPT", recipient.encode(errors="replace"), 0)
        return [entry.address for entry in self.find(asked).boxes]

    def is_exempt(self, entry: Entry) -> bool:
        """Whether the settings say that it is never refused."""
        return entry.address in self._rules.exempt

    def is_exempt_recipient(self, recipient: bytes) -> bool:
        """The same for a recipient as it was written, whatever it leads to."""
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
