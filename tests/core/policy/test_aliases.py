"""Where mail ends: rows as in virtual(5) and the ISPmail recipe."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.base.model import Alias
from mailquota.core.policy.aliases import MOST, AliasMap, DestinationKind, Resolver

MAILBOXES = {"john@a.org", "jane@a.org", "anna@b.org"}
DOMAINS = {"a.org", "b.org"}

Rows = list[tuple[str, str]]
Ends = list[tuple[str, str, tuple[str, ...]]]


def resolver(rows: Rows, delimiters: str = "+") -> Resolver:
    aliases = AliasMap(Alias(*row) for row in rows)
    return Resolver(aliases, delimiters, MAILBOXES.__contains__, DOMAINS.__contains__)


def ends(rows: Rows, recipient: str, delimiters: str = "+") -> Ends:
    return [(end.address, end.kind.value, end.via) for end in resolver(rows, delimiters).resolve(recipient)]


JOHN = ("john@a.org", "mailbox")
INFO = "info@a.org"

CASES: dict[str, tuple[Rows, str, Ends]] = {
    "mailbox": ([], "john@a.org", [(*JOHN, ())]),
    "mailbox with detail": ([], "john+x@a.org", [(*JOHN, ())]),
    "nobody": ([], "who@a.org", [("who@a.org", "unknown", ())]),
    "elsewhere": ([], "who@c.org", [("who@c.org", "external", ())]),
    "no domain": ([], "john", [("john", "unknown", ())]),
    "alias": ([(INFO, "john@a.org")], INFO, [(*JOHN, (INFO,))]),
    "case": ([("INFO@a.org", "John@A.org")], INFO, [(*JOHN, (INFO,))]),
    "several": (
        [(INFO, "john@a.org"), (INFO, "jane@a.org")],
        INFO,
        [(*JOHN, (INFO,)), ("jane@a.org", "mailbox", (INFO,))],
    ),
    "chain": ([(INFO, "x@b.org"), ("x@b.org", "john@a.org")], INFO, [(*JOHN, (INFO, "x@b.org"))]),
    "external": ([(INFO, "me@c.org")], INFO, [("me@c.org", "external", (INFO,))]),
    "to nobody": ([(INFO, "who@a.org")], INFO, [("who@a.org", "unknown", (INFO,))]),
    "before the mailbox": ([("john@a.org", "jane@a.org")], "john@a.org", [("jane@a.org", "mailbox", ("john@a.org",))]),
    "copy": (
        [("john@a.org", "john@a.org"), ("john@a.org", "jane@a.org")],
        "john@a.org",
        [(*JOHN, ()), ("jane@a.org", "mailbox", ("john@a.org",))],
    ),
    "copy by an alias": (
        [(INFO, "john@a.org"), ("john@a.org", "john@a.org"), ("john@a.org", "me@c.org")],
        INFO,
        [(*JOHN, (INFO,)), ("me@c.org", "external", (INFO, "john@a.org"))],
    ),
    "one mailbox by two ways": (
        [(INFO, "x@b.org"), (INFO, "john@a.org"), ("x@b.org", "john@a.org")],
        INFO,
        [(*JOHN, (INFO,))],
    ),
    "catch-all": ([("@a.org", "john@a.org")], "who@a.org", [(*JOHN, ("who@a.org",))]),
    "a user wins over the catch-all": ([("@a.org", "john@a.org")], "jane@a.org", [("jane@a.org", "mailbox", ())]),
    "with detail, too": ([("@a.org", "john@a.org")], "jane+x@a.org", [("jane@a.org", "mailbox", ())]),
    "catch-all of another domain": ([("@c.org", "@a.org")], "john@c.org", [(*JOHN, ("john@c.org",))]),
    "an alias wins over the catch-all": (
        [("@a.org", "jane@a.org"), (INFO, "john@a.org")],
        INFO,
        [(*JOHN, (INFO,))],
    ),
    "detail of an alias": ([(INFO, "john@a.org")], "info+x@a.org", [(*JOHN, ("info+x@a.org",))]),
    "detail goes on": (
        [(INFO, "x@a.org"), ("x+tag@a.org", "john@a.org")],
        "info+tag@a.org",
        [(*JOHN, ("info+tag@a.org", "x+tag@a.org"))],
    ),
    "row with detail": (
        [("john+x@a.org", "jane@a.org")],
        "john+x@a.org",
        [("jane@a.org", "mailbox", ("john+x@a.org",))],
    ),
    "target with detail": ([(INFO, "john+box@a.org")], INFO, [(*JOHN, (INFO,))]),
    "loop": ([(INFO, "x@a.org"), ("x@a.org", INFO)], INFO, [(INFO, "loop", (INFO, "x@a.org"))]),
    "loop beside a mailbox": (
        [(INFO, "x@a.org"), ("x@a.org", INFO), (INFO, "john@a.org")],
        INFO,
        [(INFO, "loop", (INFO, "x@a.org")), (*JOHN, (INFO,))],
    ),
    "loop behind a mailbox": (
        [
            ("john@a.org", "john+t@a.org"),
            ("john@a.org", "x@a.org"),
            ("john+t@a.org", "john+t@a.org"),
            ("x@a.org", "john@a.org"),
        ],
        "john@a.org",
        [("john@a.org", "loop", ("john@a.org", "x@a.org"))],
    ),
    "each forwards to the other, and one keeps a copy": (
        [("john@a.org", "john@a.org"), ("john@a.org", "jane@a.org"), ("jane@a.org", "john@a.org")],
        "jane@a.org",
        [(*JOHN, ("jane@a.org",))],
    ),
    "the copy comes last": (
        [("john@a.org", "jane@a.org"), ("john@a.org", "john@a.org"), ("jane@a.org", "john@a.org")],
        "jane@a.org",
        [(*JOHN, ("jane@a.org",))],
    ),
    "all detail and no name": (
        [("@a.org", "@b.org")],
        "+x@a.org",
        [("+x@b.org", "unknown", ("+x@a.org",))],
    ),
    "our domain by an alias alone": ([("a@d.org", "b@d.org")], "c@d.org", [("c@d.org", "unknown", ())]),
}


@pytest.mark.parametrize("name", CASES)
def test_ends(name: str) -> None:
    rows, recipient, expected = CASES[name]
    found = ends(rows, recipient)
    assert sorted(found) == sorted(expected)


def test_other_delimiters() -> None:
    """Without one nothing is cut; any of several cuts."""
    assert ends([], "john+x@a.org", "") == [("john+x@a.org", "unknown", ())]
    assert ends([], "john-x@a.org", "+-") == [(*JOHN, ())]


def test_depth() -> None:
    """A long chain is followed, and one without end is a loop."""
    chain = [(f"n{number}@a.org", f"n{number + 1}@a.org") for number in range(500)]
    (end,) = ends([*chain, ("n500@a.org", "john@a.org")], "n0@a.org")
    assert (end[0], end[1], len(end[2])) == ("john@a.org", "mailbox", 501)
    ((_, kind, via),) = ends([(INFO, "info+x@a.org"), (INFO, "me@c.org")], INFO)
    assert kind == "loop"
    assert len(via) < 50  # of a thousand addresses, each longer than the one before
    wide = [(INFO, f"u{number}@c.org") for number in range(MOST + 5)]
    assert len(ends(wide, INFO)) == MOST


def test_who_leads_here() -> None:
    aliases = AliasMap([Alias(INFO, "john@a.org"), Alias("@b.org", "john@a.org"), Alias("x@a.org", "jane@a.org")])
    assert aliases.leading_to("john@a.org") == ["@b.org", INFO]


NAMES = st.sampled_from(["john@a.org", "jane@a.org", "x@a.org", "y@b.org", "z+t@b.org", "z@b.org", "w@c.org"])


@given(st.lists(st.tuples(NAMES | st.just("@a.org"), NAMES), max_size=12), NAMES)
def test_every_map_has_an_end(rows: Rows, recipient: str) -> None:
    """Whatever the rows: at least one end, each once, of the right kind, and found twice the same."""
    found = resolver(rows)
    first = found.resolve(recipient)
    assert first
    assert found.resolve(recipient) is first
    assert len({end.address for end in first}) == len(first)
    assert all(
        (end.address in MAILBOXES) == (end.kind is DestinationKind.MAILBOX) or end.kind is DestinationKind.LOOP
        for end in first
    )
    assert all(len(end.via) <= MOST for end in first)


def test_what_is_the_same() -> None:
    """The mailboxes count, too: a map of Postfix may lead each onto itself."""
    accounts = {"john@a.org": None}
    first = AliasMap(accounts=accounts)
    assert first.same_as(AliasMap(accounts=accounts))
    assert not first.same_as(AliasMap())
    assert not first.same_as(AliasMap([Alias(INFO, "john@a.org")], accounts=accounts))
    assert not first.same_as(AliasMap(accounts=accounts, domain_targets={"b.org": "a.org"}))
    assert not first.same_as(AliasMap(accounts=accounts, without_own_row=frozenset()))
