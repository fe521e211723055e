"""Resolves a recipient as Postfix does: by its own maps, in its order (core/servers/postfix/rewriting.py). Pure.

The steps are those of cleanup(8): recipient_canonical_maps and canonical_maps, ten times at most, then
virtual_alias_maps over a list of addresses, in which each result takes the place of its address or is added at the end,
until nothing is found; an address that is among its own results is not looked up again. In a local domain follows
local(8) with alias_maps, whose results start again from the beginning.

So a mailbox wins over a catch-all only where a map has the mailbox with itself as the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from ..servers.postfix.rewriting import Lookup, RewritingMaps, Rows
from .aliases import AliasMap, Destination, DestinationKind
from .map_answers import Key, NotKnownError
from .recipient import without_detail

_CANONICAL_TURNS = 10  # MAX_RECURSION of cleanup_map11.c
_LOCAL_TURNS = 100  # local(8)
_SHOWN = 32  # addresses of a path that are kept
_LONGEST = 1000  # virtual_alias_address_length_limit
_UNSPLIT = frozenset({"postmaster", "mailer-daemon", "double-bounce"})
_TOKEN = re.compile(r'(?P<quoted>"(?:[^"\\]|\\.)*+")|(?P<named><[^>]*>)|(?P<blank>\s+)|(?P<word>[^\s,<>"]+)', re.DOTALL)
_NAMED = re.compile(r"<([^>]*)>$")

Ask = Callable[[str, str], str | None]  # what a map answers to a key; raises NotKnownError


class _Step(NamedTuple):
    """An address that the recipient was rewritten to: from the address of ``before``, by the map ``by``."""

    address: str
    before: _Step | None = None
    by: str = ""


class _LoopError(Exception):
    """Postfix gives up at this step."""

    def __init__(self, step: _Step) -> None:
        super().__init__()
        self.step = step


class RewritingResolver:
    """Resolves recipients by one state of accounts, aliases and maps. ``mailbox`` and ``local`` are as in Resolver."""

    def __init__(
        self,
        rewriting: RewritingMaps,
        table: AliasMap,
        delimiters: str,
        mailbox: Callable[[str], bool],
        local: Callable[[str], bool],
    ) -> None:
        self.rewriting = rewriting
        self._table = table
        self._delimiters = delimiters  # of the mailstore; Postfix's own are in ``rewriting``
        self._mailbox = mailbox
        self._local = local

    def resolve(self, address: str, ask: Ask) -> list[Destination]:
        """All destinations of a normalised address, each once. Raises NotKnownError where maps have to be asked."""
        walk = _Walk(self.rewriting, self._table, ask)
        ends: dict[str, Destination] = {}
        try:
            for step in walk.ends_of(address):
                end = self._end(step)
                ends.setdefault(end.address, end)
        except _LoopError as error:
            via, maps = _path(error.step)
            loop = Destination(error.step.address[:_LONGEST], DestinationKind.LOOP, via, maps)
            return [loop]
        return list(ends.values())

    def copies(self, address: str, ask: Ask) -> list[Destination]:
        """Where the copies end that always_bcc and recipient_bcc_maps make of mail to an address."""
        walk = _Walk(self.rewriting, self._table, ask)
        found = [self.rewriting.always_bcc] if self.rewriting.always_bcc else []
        hit = walk.find(self.rewriting.bcc, walk.qualified(address), keep_extension=False)
        found += hit[0][:1] if hit is not None else []
        return [end for one in found for end in self.resolve(one, ask)]

    def _end(self, step: _Step) -> Destination:
        via, maps = _path(step)
        name = step.address
        bare = without_detail(name, self._delimiters)
        if self._mailbox(bare):
            return Destination(bare, DestinationKind.MAILBOX, via, maps)
        domain = name.rpartition("@")[2]
        ours = domain in self._table.domains or self._local(domain) or "@" not in name
        return Destination(name, DestinationKind.UNKNOWN if ours else DestinationKind.EXTERNAL, via, maps)


def _path(step: _Step) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The addresses from the recipient to a step, and the map that rewrote each."""
    via: list[str] = []
    maps: list[str] = []
    while step.before is not None:
        via.append(step.before.address)
        maps.append(step.by)
        step = step.before
    return tuple(via[::-1][:_SHOWN]), tuple(maps[::-1][:_SHOWN])


class _Walk:
    """Resolves one recipient, step by step."""

    def __init__(self, rewriting: RewritingMaps, table: AliasMap, ask: Ask) -> None:
        self._rewriting = rewriting
        self._table = table
        self._ask = ask
        self._steps = 0

    def ends_of(self, address: str) -> list[_Step]:
        """Where mail for an address ends."""
        ends: list[_Step] = []
        todo = [_Step(self.qualified(address))]
        turns = 0
        while todo:
            turns += 1
            step = todo.pop(0)
            if turns > _LOCAL_TURNS:
                raise _LoopError(step)
            for result in self._virtual(self._canonical(step)):
                following = self._aliased(result)
                if following is None:
                    ends.append(result)
                else:
                    todo += [one for one in following if "@" in one.address]
                    ends += [one for one in following if "@" not in one.address]
        return ends

    def qualified(self, address: str) -> str:
        """The address with a domain, as Postfix adds its own (append_at_myorigin)."""
        return address if "@" in address or not self._rewriting.origin else f"{address}@{self._rewriting.origin}"

    # ---- cleanup_map11.c

    def _canonical(self, step: _Step) -> _Step:
        for lookups in (self._rewriting.recipient_canonical, self._rewriting.canonical):
            for _ in range(_CANONICAL_TURNS if lookups else 0):
                hit = self.find(lookups, step.address, keep_extension="canonical" in self._rewriting.keeps_extension)
                if hit is None:
                    break
                (first, *_rest), by = hit
                if first == step.address:
                    break
                step = _Step(first, step, by)
        return step

    # ---- cleanup_map1n.c

    def _virtual(self, start: _Step) -> list[_Step]:
        rewriting, listed = self._rewriting, [start]
        finished: set[str] = set()  # addresses that were among their own results
        at = 0
        while at < len(listed):
            if len(listed) > rewriting.most_addresses:
                raise _LoopError(listed[at])
            seen: dict[str, int] = {}  # addresses of this turn, and how many were finished then
            while (step := listed[at]).address not in finished:
                if seen.get(step.address, -1) == len(finished) or len(seen) >= rewriting.most_steps:
                    raise _LoopError(step)
                seen[step.address] = len(finished)
                hit = self.find(rewriting.virtual, step.address, keep_extension="virtual" in rewriting.keeps_extension)
                if hit is None:
                    break
                self._expand(listed, at, *hit, finished)
            at += 1
        return listed

    def _expand(self, listed: list[_Step], at: int, results: Sequence[str], by: str, finished: set[str]) -> None:
        """Put the first result in the place of its address, and the others at the end."""
        step = listed[at]
        for number, to in enumerate(results):
            if len(to) > _LONGEST:
                raise _LoopError(step)
            result = step if to == step.address else _Step(to, step, by)
            if number == 0:
                listed[at] = result
            else:
                listed.append(result)
            if to == step.address:
                finished.add(to)

    # ---- in a local domain

    def _aliased(self, step: _Step) -> list[_Step] | None:
        """The results of alias_maps; None where the address is in no local domain, or no alias."""
        local, _, domain = step.address.rpartition("@")
        if domain not in self._rewriting.local_domains or not self._rewriting.local:
            return None
        names = [local, *([bare] if (bare := self._split(step.address)[0].rpartition("@")[0]) != local else [])]
        found = self._first((lookup, name) for name in names for lookup in self._rewriting.local)
        if found is None:
            return None
        lookup, name, text = found
        results = [_local_result(word) for word in addresses_in(text)]
        if name in results or any(self.qualified(one) == step.address for one in results):
            return None  # an alias that has itself goes to the user
        return [_Step(self.qualified(one) if one[:1] not in "|/:" else one, step, lookup.name) for one in results]

    # ---- mail_addr_find.c, mail_addr_map.c

    def find(self, lookups: Sequence[Lookup], name: str, *, keep_extension: bool) -> tuple[list[str], str] | None:
        """The results for an address, and the map that has them; None where none has."""
        found = self._first(
            (lookup, key) for key, part in self._keys(name) for lookup in lookups if lookup.parts or not part
        )
        if found is None:
            return None
        lookup, key, text = found
        results = self._results(name, key, text, keep_extension=keep_extension)
        if not results:  # Postfix takes that for an error of the map
            raise NotKnownError
        return results, lookup.name

    def _first(self, wanted: Iterable[tuple[Lookup, str]]) -> tuple[Lookup, str, str] | None:
        """The first of these maps that has its key, with the text there.

        Raises NotKnownError with all keys that are to be asked before that is known, so that all are asked at once.
        """
        missing: list[Key] = []
        for lookup, key in wanted:
            try:
                text = self._value(lookup, key)
            except NotKnownError as error:
                if not error.keys:
                    raise
                missing += error.keys
                continue
            if text is not None:
                if missing:
                    break
                return lookup, key, text
        if missing:
            raise NotKnownError(missing)
        return None

    def _keys(self, name: str) -> list[tuple[str, bool]]:
        """What is looked up for an address, in order; whether it is only a part of it."""
        local, at, domain = name.rpartition("@")
        bare, extension = self._split(name)
        keys = [(name, False)]
        if extension:
            keys.append((bare, True))
        if at and (domain == self._rewriting.origin or domain in self._rewriting.local_domains):
            keys.append((local, True))
            if extension:
                keys.append((bare.rpartition("@")[0], True))
        if at:
            keys.append((f"@{domain}", True))
        return [(key, part) for key, part in keys if key]

    def _split(self, name: str) -> tuple[str, str]:
        """An address without its extension, and the extension with its delimiter (split_addr.c)."""
        local, at, domain = name.rpartition("@") if "@" in name else (name, "", "")
        delimiters = self._rewriting.delimiters
        cut = next((place for place, char in enumerate(local) if char in delimiters), 0)
        own = (
            self._rewriting.owner_request
            and "-" in delimiters
            and (local.startswith("owner-") or local.endswith("-request"))
        )
        if not cut or own or local in _UNSPLIT:
            return name, ""
        return local[:cut] + at + domain, local[cut:]

    def _results(self, name: str, key: str, text: str, *, keep_extension: bool) -> list[str]:
        bare, extension = self._split(name)
        cut = extension if extension and key in {bare, bare.rpartition("@")[0]} and key != name else ""
        if text.startswith("@"):  # the name is put before the whole text, even where that has several addresses
            local = name.rpartition("@")[0]
            results = [local.removesuffix(cut) + text if cut else local + text]
        else:
            results = [_plain(word) for word in addresses_in(text)]
        results = [self.qualified(one) for one in results if one]
        return [_with_extension(one, cut) for one in results] if cut and keep_extension else results

    def _value(self, lookup: Lookup, key: str) -> str | None:
        if lookup.rows:
            found = rows_for(self._table, lookup.rows, key)
            return ",".join(found) if found else None
        value = self._ask(lookup.asked, key)
        return value.lower().strip() if value is not None else None


def differing(table: AliasMap, lookup: Lookup, keys: Sequence[str], answers: Sequence[str | None]) -> list[str]:
    """The keys to which Postfix's answers are others than those by the rows in memory."""
    return [
        key
        for key, answer in zip(keys, answers, strict=True)
        if {part.strip().lower() for part in (answer or "").split(",")} - {""}
        != {one.lower() for one in rows_for(table, lookup.rows, key)}
    ]


def rows_for(table: AliasMap, rows: Rows, key: str) -> list[str]:
    """The answer that a map in SQL gives to a key, by the rows in memory."""
    local, at, domain = key.rpartition("@")
    if rows == "aliases":
        return table.rows.get(key) or ([key] if table.own_row(key) else [])
    if rows == "mailboxes":
        return [key] if key in table.accounts else []
    target = table.domain_targets.get(domain) if at else None
    if target is None or (rows == "alias_domains" and not local):
        return []
    wanted = f"{local}@{target}" if rows == "alias_domains" else f"@{target}"
    return table.rows.get(wanted) or ([wanted] if table.own_row(wanted) else [])


def addresses_in(text: str) -> list[str]:
    """The addresses in an answer of a map, as they are written there.

    One is an address in angle brackets, with whatever is before it up to a comma; or words, which need no comma between
    them. It takes time by the length of the text alone, as a map decides what is in it.
    """
    found: list[str] = []
    before: list[tuple[str, str]] = []  # since the last end of an address: words, quoted texts, and blanks
    for kind, part in [*_pieces(text), ("end", "")]:
        if kind == "named":
            found.append("".join(piece for _, piece in before) + part)
        elif kind != "end" and kind:
            before.append((kind, part))
            continue
        else:
            words = "".join("\n" if one == "blank" else piece.replace("\n", " ") for one, piece in before)
            found += [word for word in words.split("\n") if word]
        before = []
    return found


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Kind and text of each piece; a comma, or a quote or bracket without its other half, has no kind."""
    at, quotes, brackets = 0, True, text.rfind(">")
    while at < len(text):
        char = text[at]
        whole = quotes if char == '"' else char != "<" or at < brackets
        match = _TOKEN.match(text, at) if whole else None
        if match is None:
            quotes = quotes and char != '"'  # all that follow are behind a backslash, and end nothing either
            yield "", char
            at += 1
        else:
            yield match.lastgroup or "", match[0]
            at = match.end()


def _plain(word: str) -> str:
    named = _NAMED.search(word)
    return named[1].strip() if named else word.replace('"', "") if word.count('"') == 2 and "@" in word else word


def _local_result(word: str) -> str:
    return word.strip('"') if word.startswith('"') else _plain(word)


def _with_extension(address: str, extension: str) -> str:
    local, at, domain = address.rpartition("@")
    return f"{local}{extension}@{domain}" if at else address + extension
