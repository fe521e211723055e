"""From what a client typed to the name that Dovecot looks up: each row was asked of a real quota-status."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.policy.recipient import user_name

EDGE = "edge@example.org"

# These reach the mailbox: a full one is refused.
SAME = [
    "edge@example.org", "EDGE@EXAMPLE.ORG", "edge@EXAMPLE.org", "edge+tag@example.org", "edge+a+b@example.org",
    "edge+@example.org", '"edge"@example.org', '"edge+x"@example.org', '"ed\\ge"@example.org', "<edge@example.org>",
    "<edge+tag@example.org>", '<"edge"@example.org>', "<@x.org:edge@example.org>", "<@x.org,@y.org:edge@example.org>",
]  # fmt: skip

# These are addresses, of nobody.
OTHER = {
    "edge": "edge",
    "<edge>": "edge",
    '"edge"': "edge",
    "e'dge@example.org": "e'dge@example.org",
    "ed%ge@example.org": "ed%ge@example.org",
    "ed{ge@example.org": "ed{ge@example.org",
    "@example.org": "@example.org",
    "+tag@example.org": "@example.org",
    '""@example.org': "@example.org",
    "edge-tag@example.org": "edge-tag@example.org",
    "edge@@example.org": "edge@@example.org",
    "a@edge@example.org": "a@edge@example.org",
    "@x.org:edge@example.org": "@x.org:edge@example.org",
    "edge@example.org,x@y.z": "edge@example.org,x@y.z",
    "edge@[127.0.0.1]": "edge@[127.0.0.1]",
    "ed ge@example.org": "ed ge@example.org",
    " edge@example.org": " edge@example.org",
    '"ed ge"@example.org': "ed ge@example.org",
    "ed(ge)@example.org": "ed(ge)@example.org",
    "ed\\ge@example.org": "ed\\ge@example.org",
    "[edge]@example.org": "[edge]@example.org",
    "edge@exam_ple.org": "edge@exam_ple.org",
    "edge@-.org": "edge@-.org",
    ".edge@example.org": ".edge@example.org",
    "../edge@example.org": "../edge@example.org",
    "a" * 2000 + "@example.org": "a" * 2000 + "@example.org",
    "KÄTE+tag@Example.org": "käte@example.org",
    '"Käte"@example.org': "käte@example.org",
    "edge@exämple.org": "edge@exämple.org",
    "\u212aate@example.org": "\u212aate@example.org",  # the Kelvin sign, whose small letter would be k
    "\u0130ate@example.org": "\u0130ate@example.org",
}

# These are no addresses: Dovecot does not even look.
NONE: list[str | bytes] = [
    "", "<>", "<", "edge@", "edge@example.org@", "edge@example.org ", "edge@example.org.", "edge@example..org",
    "edge@.example.org", "edge@exa mple.org", "edge@exa!mple.org", "edge@exa+mple.org", "edge@[", "edge@[]",
    "<edge@example.org", "edge@example.org>", "<edge@example.org> ", "<<edge@example.org>>", '"edge@example.org',
    '"ed"ge@example.org', '"edge"+x@example.org', '"', '"edge\\"@example.org', "edge\t@example.org",
    "ed\x7fge@example.org", "edge@example.org\x1b[31m", "kä\u202ete@example.org", "kä te@", "kä\x85te@example.org",
    b"k\xe4te@example.org", b"\xff@example.org", b"edge@example.org\xa0",
]  # fmt: skip


@pytest.mark.parametrize("text", SAME)
def test_the_mailbox(text: str) -> None:
    """Case, quotes, brackets, routes and details do not matter."""
    assert user_name(text.encode(), "+") == EDGE


@pytest.mark.parametrize("text", OTHER)
def test_other_names(text: str) -> None:
    """A name as it would be looked up."""
    assert user_name(text.encode(), "+") == OTHER[text]


@pytest.mark.parametrize("text", NONE)
def test_no_address(text: str | bytes) -> None:
    """Control characters, bytes that are not UTF-8, broken quotes, brackets and domains."""
    assert user_name(text.encode() if isinstance(text, str) else text, "+") is None


@pytest.mark.parametrize(
    ("delimiters", "text", "expected"),
    [
        ("", "edge+tag@example.org", "edge+tag@example.org"),
        ("-", "edge-tag+x@example.org", "edge@example.org"),
        ("-", "edge+tag@example.org", "edge+tag@example.org"),
        ("+-", "edge-a+b@example.org", "edge@example.org"),
        ("+-", "edge+a-b@exa-mple.org", "edge@exa-mple.org"),
        (".", "ed.ge@example.org", "ed@example.org"),
        ("+", "edge+tag", "edge"),
    ],
)
def test_delimiters(delimiters: str, text: str, expected: str) -> None:
    """Any of them begins the detail, in the local part alone."""
    assert user_name(text.encode(), delimiters) == expected


@given(st.one_of(st.binary(max_size=40), st.text('<>"\\@+.a[] \x1f', max_size=20).map(str.encode)))
def test_any_bytes(recipient: bytes) -> None:
    """A name is in lower case without control characters, or none. What is not ASCII does not become it."""
    name = user_name(recipient, "+")
    if name is not None:
        assert name == name.lower() or not name.isascii()
        assert name.isprintable()
        assert name.isascii() or not recipient.isascii()


def test_nul() -> None:
    """Postfix sends none; what stands before one is not taken for the whole, as a C string would be."""
    assert user_name(b"edge@example.org\0x", "+") is None
