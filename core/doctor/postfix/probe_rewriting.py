"""Gathers where mail goes by Postfix's maps, by Postfix's own answers. Only reads."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence

from ...accounts.store import Accounts
from ...base import programs
from ...policy.aliases import AliasMap, Destination, DestinationKind
from ...policy.map_answers import Key, NotKnownError
from ...policy.rewriting import RewritingResolver, differing
from ...servers.postfix.postmap import MapError, ask_once
from ...servers.postfix.rewriting import Lookup, RewritingMaps
from ...settings.config import Config
from ...settings.discover_rewriting import find_rewriting
from .facts import LedElsewhere, MapFacts, RewritingFacts

SAMPLE = 500  # mailboxes that are asked about
MOST = 5000  # aliases, and mailboxes that are looked at
_SECONDS = 8.0  # in all
_PATIENCE = 3.0  # for one map
_TURNS = 30  # steps of one recipient
_NOBODY = "mailquota-asks-for-nobody"
_NAMED = 100

Ask = Callable[[str, Sequence[str], float], list[str | None]]


def gather(
    config: Config,
    accounts: Accounts | None,
    problem: str = "",
    *,
    run: programs.Run = programs.run,
    ask: Ask = ask_once,
) -> RewritingFacts:
    """The facts; ``problem`` is what the engine says about maps. Blocks for some seconds at most."""
    if accounts is None:
        return RewritingFacts(fault="the accounts could not be read", problem=problem)
    rewriting = find_rewriting(config, run)
    if rewriting is None:
        return RewritingFacts(fault="the Postfix of this machine is not the one that asks mailquota", problem=problem)
    witness = _Witness(config, accounts, rewriting, ask)
    maps = tuple(witness.compare(lookup) for lookup in dict.fromkeys((*rewriting.lookups,)))
    unreached, never_refused, count = witness.led_elsewhere()
    copies = ([f"always_bcc = {rewriting.always_bcc}"] if rewriting.always_bcc else []) + [
        one.name for one in rewriting.bcc
    ]
    return RewritingFacts(
        fault="",
        maps=tuple(witness.with_fault(one) for one in maps),
        copies=tuple(copies),
        unfollowed=rewriting.unfollowed,
        unreached=tuple(unreached[:_NAMED]),
        never_refused=tuple(never_refused[:_NAMED]),
        looked_at=count,
        problem=problem,
    )


class _Witness:
    """Asks Postfix, within a time limit for all questions."""

    def __init__(self, config: Config, accounts: Accounts, rewriting: RewritingMaps, ask: Ask) -> None:
        self._ask = ask
        self._until = time.monotonic() + _SECONDS
        self._known: dict[Key, str | None] = {}
        self._faults: dict[str, str] = {}
        every = {account.address for account in accounts.accounts}
        self._limits = {account.address: account.limit for account in accounts.accounts}
        self._boxes = {account.address for account in accounts.accounts if account.enabled}
        self._table = AliasMap(
            accounts.aliases,
            accounts=every,
            without_own_row=accounts.without_own_row,
            domain_targets=accounts.domain_targets,
        )
        domains = {name.rpartition("@")[2] for name in every}
        delimiters = config.settings.policy.recipient_delimiter
        self._resolver = RewritingResolver(
            rewriting, self._table, delimiters, self._boxes.__contains__, domains.__contains__
        )

    def compare(self, lookup: Lookup) -> MapFacts:
        """A map beside the rows that answer for it: all sources of aliases, and a sample of mailboxes."""
        table = self._table
        boxes = random.sample(sorted(self._boxes), min(SAMPLE, len(self._boxes)))
        sources = list(table.rows)[:MOST]
        keys = list(dict.fromkeys([*sources, *(f"@{name}" for name in table.domains), *boxes])) or ["@example.invalid"]
        answers = self._answers(lookup.asked, keys if lookup.rows else keys[:1])
        if answers is None or not lookup.rows:
            return MapFacts(lookup.name, lookup.rows, self._faults.get(lookup.asked, ""))
        differs = tuple(differing(table, lookup, keys, answers))
        return MapFacts(lookup.name, lookup.rows, differs=differs, checked=len(keys))

    def _answers(self, name: str, keys: Sequence[str]) -> list[str | None] | None:
        left = self._until - time.monotonic()
        if name in self._faults or left <= 0:
            return None
        try:
            return self._ask(name, keys, min(left, _PATIENCE))
        except MapError as error:
            self._faults[name] = str(error)
            return None

    def with_fault(self, facts: MapFacts) -> MapFacts:
        """The same, with a fault that was found later."""
        fault = facts.fault or self._faults.get(facts.name, "")
        return MapFacts(facts.name, facts.rows, fault, facts.differs, facts.checked)

    def led_elsewhere(self) -> tuple[list[LedElsewhere], list[LedElsewhere], int]:
        """Mailboxes that no mail reaches, those that can never be refused, and how many were looked at."""
        boxes = sorted(self._boxes)
        boxes = random.sample(boxes, MOST) if len(boxes) > MOST else boxes
        nobodies = {f"{_NOBODY}@{name.rpartition('@')[2]}" for name in boxes}
        found = self._resolve([*boxes, *nobodies])
        unreached, never = [], []
        for name in boxes:
            ends = found.get(name)
            if ends is None or any(end.kind is DestinationKind.LOOP for end in ends):
                continue
            others = tuple(end.address for end in ends if end.address != name)
            caught = found.get(f"{_NOBODY}@{name.rpartition('@')[2]}", [])
            if len(others) == len(ends) and set(others) == {end.address for end in caught}:
                unreached.append(LedElsewhere(name, others))
            elif len(others) < len(ends) and self._limits[name] is not None:
                outside = tuple(end.address for end in ends if end.kind is not DestinationKind.MAILBOX)
                if outside:
                    never.append(LedElsewhere(name, outside))
        return unreached, never, len([name for name in boxes if name in found])

    def _resolve(self, names: Iterable[str]) -> dict[str, list[Destination]]:
        """Where mail to these ends, without those about which a map can't be asked."""
        found: dict[str, list[Destination]] = {}
        waiting = list(names)
        for _ in range(_TURNS):
            missing: dict[str, set[str]] = {}
            again = []
            for name in waiting:
                try:
                    found[name] = self._resolver.resolve(name, self._look_up)
                except NotKnownError as error:
                    again += [name] if error.keys else []
                    for asked, key in error.keys:
                        missing.setdefault(asked, set()).add(key)
            if not missing:
                break
            for asked, keys in missing.items():
                wanted = sorted(keys)
                for key, value in zip(wanted, self._answers(asked, wanted) or (), strict=False):
                    self._known[asked, key] = value
            waiting = again
        return found

    def _look_up(self, asked: str, key: str) -> str | None:
        if (asked, key) in self._known:
            return self._known[asked, key]
        raise NotKnownError([] if asked in self._faults or time.monotonic() > self._until else [(asked, key)])
