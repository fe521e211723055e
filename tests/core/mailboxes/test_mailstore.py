"""From an address to a path: inside the mailstore, whatever the address."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.mailboxes.mailstore import Mailstore, is_username
from mailquota.core.servers.dovecot.folder_names import TrashNames

STORE = Mailstore("/var/vmail/{domain}/{user}/Maildir", TrashNames(()))
HOSTILE = [
    "../etc@example.org", "..@example.org", ".@example.org", "a@..", "a@.", "a/b@example.org", "a@example.org/x",
    "/etc/passwd@example.org", "a\0b@example.org", "a@example.org\0", "a@example.org\n", "a\nb@example.org",
    "a b@example.org", "a'; DROP TABLE x@example.org", 'a"b@example.org', "a$(id)@example.org", "a`id`@example.org",
    "käse@example.org", "a@exämple.org", "\udcff@example.org", "a\\b@example.org", "a%2e@example.org",
    "~root@example.org", "{user}@example.org", "a*@example.org", "a@", "@example.org", "a", "", "@",
    "a@@example.org", "x@y@example.org",
    "A@example.org", "a+b@example.org", "\u212aate@example.org", "a@example.org ",
    "a" * 2000 + "@example.org", "a@" + "b" * 2000, "a" * 256 + "@example.org", "a@" + "b" * 256,
]  # fmt: skip


@pytest.mark.parametrize("address", HOSTILE)
def test_no_mailbox_for_a_hostile_name(address: str) -> None:
    """What Dovecot would not look up, or no folder can be named after, has no path here."""
    assert not is_username(address)


@pytest.mark.parametrize(
    "address", ["a@example.org", "a.b_c-1@sub.example.org", "...@example.org", "-a@x", "a" * 255 + "@" + "b" * 255]
)
def test_a_mailbox(address: str) -> None:
    """Letters, digits and . _ - are what Dovecot takes by default."""
    user, _, domain = address.partition("@")
    assert is_username(address)
    assert STORE.maildir(address) == f"/var/vmail/{domain}/{user}/Maildir"


@given(st.one_of(st.text(), st.text("a./@_-\0\n\\~é", max_size=12), st.just("..@..")))
def test_any_address_stays_inside(address: str) -> None:
    """A path of an address that is taken has exactly the parts of the template."""
    if is_username(address):
        path = STORE.maildir(address)
        assert os.path.normpath(path) == path
        assert path.split("/")[:3] == ["", "var", "vmail"]
        assert path.count("/") == 5


@given(st.text("ab.-_", min_size=1, max_size=8), st.text("ab.-_", min_size=1, max_size=8))
def test_no_two_addresses_share_a_path(user: str, domain: str) -> None:
    """The path tells the address."""
    if is_username(f"{user}@{domain}"):
        assert STORE.maildir(f"{user}@{domain}").split("/")[3:5] == [domain, user]


@pytest.mark.parametrize(
    ("template", "base", "path"),
    [
        ("/var/vmail/{domain}/{user}/Maildir/", "/var/vmail", "/var/vmail/example.org/a/Maildir"),
        ("/home/{user}/Maildir", "/home", "/home/a/Maildir"),
        ("/mail/box-{user}", "/mail", "/mail/box-a"),
        ("/{user}", "/", "/a"),
        ("/mail/{user}@{domain}", "/mail", "/mail/a@example.org"),
        ("/mail/{domain}/{domain}.{user}", "/mail", "/mail/example.org/example.org.a"),
    ],
)
def test_templates(template: str, base: str, path: str) -> None:
    """The base is the last folder that all mailboxes share."""
    store = Mailstore(template, TrashNames(()))
    assert (store.base, store.maildir("a@example.org")) == (base, path)
