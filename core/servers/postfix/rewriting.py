"""Which maps of Postfix rewrite recipients, in which order and of which type. Pure but for ``read``.

Theory of operation. cleanup(8) rewrites each recipient by recipient_canonical_maps and canonical_maps (the first
result of each, at most ten times), then through virtual_alias_maps until nothing is found. In a local domain local(8)
then looks into alias_maps. For each address all maps of a parameter are searched for the whole address, then all of
them for the address without its extension, then for ``@domain`` (mail_addr_find in Postfix). Maps that match patterns
are searched for the whole address only: regexp, pcre, cidr, tcp, socketmap, randmap, and databases whose query uses a
part of the address (%u, %d, %1 …).

A map in SQL whose query reads just the rows that mailquota reads, too, is answered from memory; ``rows`` says which
rows. Every other map is asked through postmap(1). ``proxy:`` is left out there: proxymap(8) asks the same table, and
answers only Postfix itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from ...base.programs import FileText, Read
from .maps import main_cf_map, parse_map_file, with_options
from .restrictions import entries as restrictions_of
from .restrictions import policy_check, words

Rows = Literal["", "aliases", "mailboxes", "alias_domains", "alias_domain_catchalls"]

PARAMETERS = (
    "config_directory",
    "queue_directory",
    "smtpd_recipient_restrictions",
    "recipient_canonical_maps",
    "recipient_canonical_classes",
    "canonical_maps",
    "canonical_classes",
    "masquerade_domains",
    "masquerade_classes",
    "virtual_alias_maps",
    "virtual_alias_expansion_limit",
    "virtual_alias_recursion_limit",
    "alias_maps",
    "mydestination",
    "myorigin",
    "propagate_unmatched_extensions",
    "recipient_bcc_maps",
    "always_bcc",
    "recipient_delimiter",
    "owner_request_special",
)
_PATTERNS = frozenset({"regexp", "pcre", "cidr", "tcp", "socketmap", "randmap", "fail"})
_DATABASES = frozenset({"mysql", "pgsql", "sqlite", "ldap", "memcache", "mongodb"})
_PART_OF_KEY = re.compile(r"%[udUD1-9]")
_CHANGES_RESULTS = ("result_format", "domain", "expansion_limit", "additional_conditions", "select_function")
_OF_DOMAINS = "select goto from alias,alias_domain where alias_domain='%%d' and address=%s and active=1 and active=1"
_QUERIES: dict[tuple[str, str], Rows] = {
    ("ispmail", "select destination from virtual_aliases where source='%s'"): "aliases",
    ("ispmail", "select email from virtual_users where email='%s'"): "mailboxes",
    ("postfixadmin", "select goto from alias where address='%s' and active=1"): "aliases",
    ("postfixadmin", "select username from mailbox where username='%s' and active=1"): "mailboxes",
    (
        "postfixadmin",
        _OF_DOMAINS % "concat('%u','@',target_domain)",
    ): "alias_domains",
    (
        "postfixadmin",
        _OF_DOMAINS % "concat('@',target_domain)",
    ): "alias_domain_catchalls",
}
_DEEPEST = 10  # maps of maps in each other
_MOST = 1000  # Postfix's own default for both limits


class Lookup(msgspec.Struct, frozen=True):
    """One map. ``name`` is as in Postfix's settings, ``asked`` as postmap takes it.

    ``parts``: whether it is searched for parts of an address, too. ``rows``: the rows in memory that have its answers,
    empty where it has to be asked.
    """

    name: str
    asked: str
    parts: bool
    rows: Rows = ""


class RewritingMaps(msgspec.Struct, frozen=True, kw_only=True):
    """The maps that rewrite recipients, in Postfix's order. ``unfollowed``: those that mailquota does not follow."""

    recipient_canonical: tuple[Lookup, ...] = ()
    canonical: tuple[Lookup, ...] = ()
    virtual: tuple[Lookup, ...] = ()
    local: tuple[Lookup, ...] = ()
    bcc: tuple[Lookup, ...] = ()
    always_bcc: str = ""
    local_domains: frozenset[str] = frozenset()
    origin: str = ""
    delimiters: str = ""
    keeps_extension: frozenset[str] = frozenset({"canonical", "virtual"})
    owner_request: bool = True
    most_steps: int = _MOST
    most_addresses: int = _MOST
    unfollowed: tuple[str, ...] = ()

    @property
    def lookups(self) -> tuple[Lookup, ...]:
        """All maps, each once."""
        every = (*self.recipient_canonical, *self.canonical, *self.virtual, *self.local, *self.bcc)
        return tuple(dict.fromkeys(every))


class Tables(msgspec.Struct, frozen=True):
    """The tables that mailquota reads: schema, kind of database (mysql, sqlite), and its name or path."""

    schema: str
    kind: str
    database: str


def asks_us(values: Mapping[str, str], listen: Sequence[str]) -> bool:
    """Whether this Postfix is the one that asks mailquota at these addresses (``unix:PATH``, ``inet:HOST:PORT``).

    A Postfix that has nothing to do with mailquota may be installed on the same machine.
    """
    queue = values.get("queue_directory", "").rstrip("/")
    checks = (policy_check(entry) for entry in restrictions_of(values.get("smtpd_recipient_restrictions", "")))
    services = {check.service for check in checks if check is not None}
    below = f"unix:{queue}/"
    return any(
        one in services or (queue and one.startswith(below)) or one.replace(f"unix:{queue}/", "unix:") in services
        for one in listen
    )


def rewriting_maps(values: Mapping[str, str], tables: Tables, read: Read, virtual: Sequence[str] = ()) -> RewritingMaps:
    """The maps of a Postfix by its settings, as postconf -x prints them. Reads the files of maps in databases.

    ``virtual`` are maps in place of virtual_alias_maps.
    """

    def lookups(names: Sequence[str]) -> tuple[Lookup, ...]:
        return tuple(_lookup(name, values, tables, read) for name in names)

    def maps(parameter: str, classes: str = "") -> tuple[Lookup, ...]:
        if classes and "envelope_recipient" not in words(values.get(classes, "envelope_recipient")):
            return ()
        return lookups(words(values.get(parameter, "")))

    destinations = [word.lower() for word in words(values.get("mydestination", ""))]
    return RewritingMaps(
        recipient_canonical=maps("recipient_canonical_maps", "recipient_canonical_classes"),
        canonical=maps("canonical_maps", "canonical_classes"),
        virtual=lookups(virtual) if virtual else maps("virtual_alias_maps"),
        local=maps("alias_maps"),
        bcc=maps("recipient_bcc_maps"),
        always_bcc=values.get("always_bcc", "").lower(),
        local_domains=frozenset(name for name in destinations if ":" not in name and "/" not in name),
        origin=values.get("myorigin", "").lower(),
        delimiters=values.get("recipient_delimiter", ""),
        keeps_extension=frozenset(words(values.get("propagate_unmatched_extensions", "canonical virtual"))),
        owner_request=values.get("owner_request_special", "yes") == "yes",
        most_steps=_number(values.get("virtual_alias_recursion_limit")),
        most_addresses=_number(values.get("virtual_alias_expansion_limit")),
        unfollowed=tuple(_unfollowed(values, destinations)),
    )


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 20 and 0 < int(text) <= _MOST else _MOST


def _unfollowed(values: Mapping[str, str], destinations: Sequence[str]) -> Sequence[str]:
    found = []
    if values.get("masquerade_domains") and "envelope_recipient" in words(values.get("masquerade_classes", "")):
        found.append("masquerade_domains (masquerade_classes has envelope_recipient)")
    if tables := [name for name in destinations if ":" in name or "/" in name]:
        found.append(f"domains of mydestination in {', '.join(tables)}")
    return found


def _lookup(name: str, values: Mapping[str, str], tables: Tables, read: Read, depth: int = 0) -> Lookup:
    asked = without_proxy(name)
    kind, _, place = asked.partition(":")
    if kind in {"pipemap", "unionmap"}:  # they take what the first of their maps takes
        inner = words(place.strip().removeprefix("{").removesuffix("}"))
        nested = bool(inner) and depth < _DEEPEST
        first = _lookup(inner[0].strip(","), values, tables, read, depth + 1) if nested else None
        return Lookup(name, asked, parts=first is None or first.parts)
    if kind not in _DATABASES:
        return Lookup(name, asked, parts=kind not in _PATTERNS)
    own = _settings_of(place, values, read)
    query = own.get("query") or own.get("query_filter") or own.get("key_format") or _old_query(own)
    return Lookup(name, asked, parts=not _PART_OF_KEY.search(query), rows=_rows_of(kind, own, query, tables))


def without_proxy(name: str) -> str:
    """The name of a map as postmap takes it: without ``proxy:`` before it, and in a unionmap or pipemap."""
    return re.sub(r"\bproxy:(?=[a-z]+:)", "", name)


def _settings_of(place: str, values: Mapping[str, str], read: Read) -> dict[str, str]:
    """The settings of a map: in its own file, or in main.cf by its name."""
    file = place if place.startswith("/") else f"{values.get('config_directory', '/etc/postfix')}/main.cf"
    text = read(file).text or ""
    own = parse_map_file(text) if file == place else main_cf_map(text, place)
    options = read(own["option_file"]) if own.get("option_file") else FileText("")
    return with_options(own, options.text or "")


def _old_query(own: Mapping[str, str]) -> str:
    """A query by the parameters before Postfix 2.2, as query."""
    if not all(own.get(name) for name in ("table", "select_field", "where_field")):
        return ""
    return " ".join(["select", own["select_field"], "from", own["table"], "where", own["where_field"], "= '%s'"])


def _rows_of(kind: str, own: Mapping[str, str], query: str, tables: Tables) -> Rows:
    """The rows that a map reads, where they are those that mailquota reads; else empty."""
    if kind != tables.kind or any(own.get(name, "") not in {"", "%s", "0"} for name in _CHANGES_RESULTS):
        return ""
    if own.get("dbpath" if kind == "sqlite" else "dbname", "") != tables.database:
        return ""
    return _QUERIES.get((tables.schema, _normal(query)), "")


def _normal(query: str) -> str:
    text = " ".join(query.lower().replace("`", "").replace('"', "'").rstrip("; ").split())
    text = re.sub(r"\s*([=,(])\s*|\s+(?=\))", r"\1", text)
    text = re.sub(r"\balias(?:_domain)?\.(?=[a-z])", "", text)
    return re.sub(r"active=(?:'1'|true|1)(?!\w)", "active=1", text)
