"""Where mail for a recipient ends, as Postfix's virtual_alias_maps lead it. Pure.

The rules are those of virtual(5) and of the ISPmail recipe, which puts every mailbox into the map as an alias of
itself, so that a real user wins over a catch-all. For each address the row of the whole address counts, else that of
the address without its detail (which is then added to every destination, as propagate_unmatched_extensions has it),
else the mailbox, else the row of ``@domain``. Destinations are looked up in turn. An address that leads to itself, too,
is a destination, and is not looked up again; so a way back to an earlier address is a loop only if no such address
lies on it, and Postfix will not deliver there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import NamedTuple

from mailquota.core.base.model import Alias
from mailquota.core.policy.recipient import without_detail

MOST = 1000  # Postfix: virtual_alias_expansion_limit, virtual_alias_recursion_limit
_DEEP = 32
_CACHED = 10_000
_CACHED_LONGEST = 320  # characters


class DestinationKind(StrEnum):
    """What mail ends at."""

    MAILBOX = "mailbox"
    EXTERNAL = "external"
    UNKNOWN = "unknown"  # our domain, but nobody of this name
    LOOP = "loop"


class Destination(NamedTuple):
    """One end of the way; ``via`` are the addresses that led to it, from the recipient on."""

    address: str
    kind: DestinationKind
    via: tuple[str, ...] = ()


class AliasMap:
    """The rows of virtual_aliases by source."""

    def __init__(self, aliases: Iterable[Alias] = ()) -> None:
        self.rows: dict[str, list[str]] = {}
        for alias in aliases:
            self.rows.setdefault(alias.source.lower(), []).append(alias.destination.lower())
        self.domains = {source.rpartition("@")[2] for source in self.rows}

    def leading_to(self, address: str) -> list[str]:
        """The sources of the rows that name this address, in order of the alphabet."""
        return sorted(source for source, found in self.rows.items() if address in found)


class Resolver:
    """Resolves over one state of accounts and aliases. ``mailbox`` and ``local`` tell mailboxes and our own domains."""

    def __init__(
        self, aliases: AliasMap, delimiters: str, mailbox: Callable[[str], bool], local: Callable[[str], bool]
    ) -> None:
        self._aliases = aliases
        self._delimiters = delimiters
        self._mailbox = mailbox
        self._local = local
        self._cache: dict[str, list[Destination]] = {}

    def resolve(self, address: str) -> list[Destination]:
        """All ends of the way from a normalised address, each once, in the order in which Postfix finds them."""
        found = self._cache.get(address)
        if found is None:
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            found = self._resolve(address)
            if len(address) <= _CACHED_LONGEST:
                self._cache[address] = found
        return found

    def _resolve(self, address: str) -> list[Destination]:
        ends: dict[str, Destination] = {}
        todo: deque[tuple[str, tuple[str, ...]]] = deque([(address, ())])
        ended: set[str] = set()  # addresses that led to themselves: they end there
        steps = 0
        while todo:
            name, via = todo.popleft()
            steps += 1
            if steps > MOST:
                if len(via) > _DEEP:  # a name that grows at each turn: what it met on its way fills much memory
                    ends.clear()
                ends[name] = Destination(name, DestinationKind.LOOP, via[:_DEEP])
                break
            following = self._follow(name)
            if following is None:
                self._end(ends, name, via)
                continue
            if name in following:
                ended.add(name)
            way = (*via, name)
            for to in following:
                if to in ended:
                    self._end(ends, to, via if to == name else way)
                elif to not in via:
                    todo.append((to, way))
                elif ended.isdisjoint(way[via.index(to) :]):
                    ends[to] = Destination(to, DestinationKind.LOOP, way)
        return list(ends.values())

    def _follow(self, name: str) -> list[str] | None:
        """Where the map leads from here, or None where it does not."""
        rows = self._aliases.rows
        found = rows.get(name)
        if found is not None:
            return found
        bare = without_detail(name, self._delimiters)
        found = rows.get(bare) if bare[:1] != "@" else None  # all detail and no name: to Postfix it is no detail
        if found is not None:
            detail = name[bare.rfind("@") : name.rfind("@")]
            return [_with_detail(destination, detail) for destination in found]
        local, at, domain = name.rpartition("@")
        if self._mailbox(bare) or not at:
            return None
        found = rows.get("@" + domain)
        return None if found is None else [local + to if to.startswith("@") else to for to in found]

    def _end(self, ends: dict[str, Destination], name: str, via: tuple[str, ...]) -> None:
        bare = without_detail(name, self._delimiters)
        if self._mailbox(bare):
            ends.setdefault(bare, Destination(bare, DestinationKind.MAILBOX, via))
            return
        kind = DestinationKind.UNKNOWN if self._is_ours(name) else DestinationKind.EXTERNAL
        ends.setdefault(name, Destination(name, kind, via))

    def _is_ours(self, name: str) -> bool:
        domain = name.rpartition("@")[2]
        return "@" not in name or domain in self._aliases.domains or self._local(domain)


def _with_detail(address: str, detail: str) -> str:
    local, at, domain = address.rpartition("@")
    return f"{local}{detail}@{domain}" if at and local else address
