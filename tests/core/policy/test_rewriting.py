"""Where mail ends by maps in their order, step by step as cleanup(8) and local(8) go."""

from __future__ import annotations

import pytest

from mailquota.core.base.model import Alias
from mailquota.core.policy.aliases import AliasMap
from mailquota.core.policy.map_answers import NotKnownError
from mailquota.core.policy.rewriting import RewritingResolver, differing, rows_for
from mailquota.core.servers.postfix.rewriting import Lookup, RewritingMaps

JOHN, JANE, INFO = "john@a.org", "jane@a.org", "info@a.org"
BOXES = {JOHN, JANE, "anna@b.org"}
ALIASES = Lookup("mysql:/aliases.cf", "mysql:/aliases.cf", parts=True, rows="aliases")
OWN = Lookup("mysql:/own.cf", "mysql:/own.cf", parts=True, rows="mailboxes")
HASH = Lookup("hash:/v", "hash:/v", parts=True)
REGEXP = Lookup("regexp:/r", "regexp:/r", parts=False)
CANONICAL = Lookup("hash:/c", "hash:/c", parts=True)
LOCAL = Lookup("hash:/etc/aliases", "hash:/etc/aliases", parts=True)

Maps = dict[str, dict[str, str]]
Rows = list[tuple[str, str]]


def resolver(rewriting: RewritingMaps, rows: Rows) -> RewritingResolver:
    table = AliasMap((Alias(*row) for row in rows), accounts=BOXES)
    return RewritingResolver(rewriting, table, "+", BOXES.__contains__, {"a.org", "b.org"}.__contains__)


def ends(rewriting: RewritingMaps, recipient: str, rows: Rows = [], maps: Maps = {}) -> list[tuple[str, str]]:  # noqa: B006
    def ask(name: str, key: str) -> str | None:
        return maps.get(name, {}).get(key)

    return [(end.address, end.kind.value) for end in resolver(rewriting, rows).resolve(recipient, ask)]


def virtual(*lookups: Lookup) -> RewritingMaps:
    return RewritingMaps(virtual=lookups, delimiters="+", origin="mail.a.org", local_domains=frozenset({"mail.a.org"}))


CATCH = [("@a.org", JANE)]
CASES: dict[str, tuple[RewritingMaps, str, Rows, Maps, list[tuple[str, str]]]] = {
    "without a map of mailboxes a catch-all takes all": (virtual(ALIASES), JOHN, CATCH, {}, [(JANE, "mailbox")]),
    "with one the mailbox wins": (virtual(ALIASES, OWN), JOHN, CATCH, {}, [(JOHN, "mailbox")]),
    "in whatever order": (virtual(OWN, ALIASES), JOHN, CATCH, {}, [(JOHN, "mailbox")]),
    "also with extension": (virtual(ALIASES, OWN), "john+x@a.org", CATCH, {}, [(JOHN, "mailbox")]),
    "the first map wins": (
        virtual(HASH, ALIASES),
        INFO,
        [(INFO, JOHN)],
        {"hash:/v": {INFO: JANE}},
        [(JANE, "mailbox")],
    ),
    "the last one otherwise": (
        virtual(ALIASES, HASH),
        INFO,
        [(INFO, JOHN)],
        {"hash:/v": {INFO: JANE}},
        [(JOHN, "mailbox")],
    ),
    "a whole address in the last map before a part in the first": (
        virtual(ALIASES, HASH),
        JOHN,
        CATCH,
        {"hash:/v": {JOHN: JOHN}},
        [(JOHN, "mailbox")],
    ),
    "patterns see whole addresses only": (
        virtual(REGEXP),
        "info+x@a.org",
        [],
        {"regexp:/r": {INFO: JOHN, "@a.org": JANE}},
        [("info+x@a.org", "unknown")],
    ),
    "patterns get the extension": (
        virtual(REGEXP),
        "info+x@a.org",
        [],
        {"regexp:/r": {"info+x@a.org": JOHN}},
        [(JOHN, "mailbox")],
    ),
    "several results, in any notation": (
        virtual(HASH),
        INFO,
        [],
        {"hash:/v": {INFO: 'John <john@a.org>, <jane@a.org> "anna"@b.org x@b.org'}},
        [(JOHN, "mailbox"), (JANE, "mailbox"), ("anna@b.org", "mailbox"), ("x@b.org", "unknown")],
    ),
    "another domain": (virtual(HASH), "anna@c.org", [], {"hash:/v": {"@c.org": "@b.org"}}, [("anna@b.org", "mailbox")]),
    "a domain beside an address is none": (
        virtual(HASH),
        "x@c.org",
        [],
        {"hash:/v": {"@c.org": f"@b.org, {JOHN}"}},
        [(f"x@b.org, {JOHN}", "unknown")],
    ),
    "no domain": (virtual(HASH), "info", [], {"hash:/v": {"info": "john@a.org"}}, [(JOHN, "mailbox")]),
    "a result without domain": (virtual(HASH), INFO, [], {"hash:/v": {INFO: "x"}}, [("x@mail.a.org", "external")]),
    "a loop": (virtual(HASH), INFO, [], {"hash:/v": {INFO: "x@a.org", "x@a.org": INFO}}, [(INFO, "loop")]),
    "a name that grows": (virtual(HASH), INFO, [], {"hash:/v": {INFO: "info+xxxxxxxxxx@a.org"}}, []),
    "a regexp that matches everything": (
        virtual(REGEXP),
        JOHN,
        [],
        {"regexp:/r": {JOHN: JANE, JANE: JANE}},
        [(JANE, "mailbox")],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_ends(name: str) -> None:
    rewriting, recipient, rows, maps, expected = CASES[name]
    found = ends(rewriting, recipient, rows, maps)
    if expected:
        assert found == expected
    else:
        assert [kind for _, kind in found] == ["loop"]


def test_canonical_maps_come_first() -> None:
    rewriting = RewritingMaps(recipient_canonical=(CANONICAL,), canonical=(HASH,), virtual=(ALIASES,), delimiters="+")
    maps = {"hash:/c": {"j.smith@a.org": "js@a.org"}, "hash:/v": {"js@a.org": JOHN}}
    assert ends(rewriting, "j.smith@a.org", [], maps) == [(JOHN, "mailbox")]
    assert ends(rewriting, "j.smith+x@a.org", [(JOHN, JANE)], maps) == [(JANE, "mailbox")]
    turning = {"hash:/c": {"x@a.org": "y@a.org", "y@a.org": "x@a.org"}}
    assert ends(rewriting, "x@a.org", [("x@a.org", JOHN)], turning) == [
        (JOHN, "mailbox")
    ]  # after ten turns it is let be


def test_local_aliases() -> None:
    rewriting = RewritingMaps(
        virtual=(ALIASES,), local=(LOCAL,), local_domains=frozenset({"mail.a.org"}), origin="mail.a.org", delimiters="+"
    )
    maps = {
        LOCAL.name: {
            "postmaster": "root",
            "root": f"{JOHN}, \\root",
            "list": f'"|/usr/bin/list", {JANE}',
            "self": "self",
            "team": INFO,
            "a": "b",
            "b": "a",
        }
    }
    assert ends(rewriting, "postmaster", [], maps)[0] == (JOHN, "mailbox")
    assert ends(rewriting, "postmaster+x@mail.a.org", [], maps)[0] == (JOHN, "mailbox")
    assert ends(rewriting, "list@mail.a.org", [], maps) == [("|/usr/bin/list", "unknown"), (JANE, "mailbox")]
    assert ends(rewriting, "self@mail.a.org", [], maps) == [("self@mail.a.org", "external")]
    assert ends(rewriting, "team@mail.a.org", [(INFO, JANE)], maps) == [(JANE, "mailbox")]
    assert [kind for _, kind in ends(rewriting, "a@mail.a.org", [], maps)] == ["loop"]


def test_the_map_of_each_step() -> None:
    rewriting = RewritingMaps(recipient_canonical=(CANONICAL,), virtual=(ALIASES, OWN), delimiters="+")

    def ask(name: str, key: str) -> str | None:
        return INFO if (name, key) == ("hash:/c", "x@a.org") else None

    (end,) = resolver(rewriting, [(INFO, JOHN)]).resolve("x@a.org", ask)
    assert (end.via, end.maps) == (("x@a.org", INFO), ("hash:/c", "mysql:/aliases.cf"))


def test_keys_are_asked_together() -> None:
    def ask(name: str, key: str) -> str | None:
        raise NotKnownError([(name, key)])

    with pytest.raises(NotKnownError) as raised:
        resolver(virtual(HASH, REGEXP, ALIASES), []).resolve("info+x@a.org", ask)
    keys = {("hash:/v", key) for key in ("info+x@a.org", INFO, "@a.org")} | {("regexp:/r", "info+x@a.org")}
    assert raised.value.keys == keys


def test_an_empty_answer_is_a_fault() -> None:
    with pytest.raises(NotKnownError):
        resolver(virtual(HASH), []).resolve(INFO, lambda _name, _key: "")


def test_copies() -> None:
    rewriting = RewritingMaps(virtual=(ALIASES,), bcc=(HASH,), always_bcc="all@a.org", delimiters="+")
    found = resolver(rewriting, [("all@a.org", JANE)]).copies(
        "john+x@a.org", lambda _, key: INFO if key == JOHN else None
    )
    assert [end.address for end in found] == [JANE, INFO]


def test_tables_of_postfixadmin() -> None:
    table = AliasMap(
        [Alias(INFO, JOHN), Alias("@a.org", JANE)],
        accounts=BOXES,
        without_own_row=frozenset({"anna@b.org"}),
        domain_targets={"c.org": "a.org"},
    )
    assert rows_for(table, "aliases", JOHN) == [JOHN]
    assert rows_for(table, "aliases", "anna@b.org") == []
    assert rows_for(table, "alias_domains", "info@c.org") == [JOHN]
    assert rows_for(table, "alias_domains", "john@c.org") == [JOHN]
    assert rows_for(table, "alias_domains", "@c.org") == []
    assert rows_for(table, "alias_domains", INFO) == []
    assert rows_for(table, "alias_domain_catchalls", "who@c.org") == [JANE]
    assert differing(table, ALIASES, [INFO, JOHN, "@a.org"], ["JOHN@a.org", None, f"{JANE}, {JOHN}"]) == [
        JOHN,
        "@a.org",
    ]
