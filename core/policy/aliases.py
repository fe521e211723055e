"""The alias table, and where a recipient ends by it alone: where Postfix's own maps are not known. Pure.

By Postfix's maps it is resolved in core/policy/rewriting.py. The rules here are those of virtual(5) and of the
ISPmail tutorial, which makes every mailbox an alias of itself, so that a mailbox wins over a catch-all. For each
address the row of the whole address counts, else that of the address without its detail (which is then added to every
destination: propagate_unmatched_extensions), else the mailbox, else the row of ``@domain``. Destinations are resolved
in turn.

An address that is an alias of itself is a destination and is not resolved again. So where aliases come back to an
earlier address, that is a loop only if there is no such address between; Postfix does not deliver there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from ..base.model import Alias
from .recipient import without_detail

MOST = 1000  # Postfix: virtual_alias_expansion_limit, virtual_alias_recursion_limit
_DEEP = 32  # addresses of a path that are kept of an endless one
_CACHED = 10_000  # recipients; then all are forgotten
_CACHED_LONGEST = 320  # characters of a recipient


class DestinationKind(StrEnum):
    """What a destination is."""

    MAILBOX = "mailbox"
    EXTERNAL = "external"
    UNKNOWN = "unknown"  # a domain of this server, but no account of this name
    LOOP = "loop"


class Destination(NamedTuple):
    """One address that a recipient resolves to; ``via`` is the path to it: the aliases, from the recipient on.

    ``maps`` are the maps of Postfix that made each step; empty where those are not known.
    """

    address: str
    kind: DestinationKind
    via: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()


class AliasMap:
    """The rows of the alias table by source.

    ``accounts`` are the addresses of all accounts, ``without_own_row`` those that have no alias to themselves where the
    table has such rows (PostfixAdmin; they are not among ``rows``), else None. ``domain_targets`` are alias domains.
    """

    def __init__(
        self,
        aliases: Iterable[Alias] = (),
        *,
        accounts: Container[str] = frozenset(),
        without_own_row: frozenset[str] | None = None,
        domain_targets: Mapping[str, str] | None = None,
    ) -> None:
        self.rows: dict[str, list[str]] = {}
        for alias in aliases:
            self.rows.setdefault(alias.source.lower(), []).append(alias.destination.lower())
        self.accounts = accounts
        self.without_own_row = without_own_row
        self.domain_targets = dict(domain_targets or {})
        self.domains = {source.rpartition("@")[2] for source in self.rows} | set(self.domain_targets)

    def own_row(self, address: str) -> bool:
        """Whether the table leads an account onto itself, by a row that is not among ``rows``."""
        return self.without_own_row is not None and address in self.accounts and address not in self.without_own_row

    def same_as(self, other: AliasMap) -> bool:
        """Whether both lead everybody the same way."""
        same_rows = self.rows == other.rows and self.domain_targets == other.domain_targets
        return same_rows and self.without_own_row == other.without_own_row and self.accounts is other.accounts

    def leading_to(self, address: str) -> list[str]:
        """The addresses that are aliases of this one by a row of the table, in alphabetical order."""
        return sorted(source for source, found in self.rows.items() if address in found)


class Resolver:
    """Resolves recipients by one state of accounts and aliases.

    ``mailbox`` says whether an address is a mailbox, ``local`` whether a domain is one of this server.
    """

    def __init__(
        self, aliases: AliasMap, delimiters: str, mailbox: Callable[[str], bool], local: Callable[[str], bool]
    ) -> None:
        self._aliases = aliases
        self._delimiters = delimiters
        self._mailbox = mailbox
        self._local = local
        self._cache: dict[str, list[Destination]] = {}

    def resolve(self, address: str) -> list[Destination]:
        """All destinations of a normalised address, each once, in the order in which Postfix finds them."""
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
        ended: set[str] = set()  # aliases of themselves: destinations
        steps = 0
        while todo:
            name, via = todo.popleft()
            steps += 1
            if steps > MOST:
                if len(via) > _DEEP:  # an alias whose name grows at each turn: its paths would fill much memory
                    ends.clear()
                ends[name] = Destination(name, DestinationKind.LOOP, via[:_DEEP])
                break
            following = self._follow(name)
            if following is None:
                self._end(ends, name, via)
                continue
            if name in following:
                ended.add(name)
            path = (*via, name)
            for to in following:
                if to in ended:
                    self._end(ends, to, via if to == name else path)
                elif to not in via:
                    todo.append((to, path))
                elif ended.isdisjoint(path[via.index(to) :]):
                    ends[to] = Destination(to, DestinationKind.LOOP, path)
        return list(ends.values())

    def _follow(self, name: str) -> list[str] | None:
        """The destinations in the row that counts for this address; None where there is none."""
        rows = self._aliases.rows
        found = rows.get(name)
        if found is not None:
            return found
        bare = without_detail(name, self._delimiters)
        found = rows.get(bare) if bare[:1] != "@" else None  # Postfix sees no detail where no name is before it
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
