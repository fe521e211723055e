"""Modified UTF-7, there and back, and which names are in its one right form: each row was shown to a real Dovecot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.servers.dovecot.mutf7 import decode, encode, is_canonical

READABLE = [
    ("Trash", "Trash"),
    ("Entw&APw-rfe", "Entwürfe"),
    ("&U,BTFw-", "台北"),
    ("&ZeVnLIqe-", "日本語"),
    ("Q&-A", "Q&A"),
    ("&-&-", "&&"),
    ("&2Dzf6Q-", "🏩"),
    ("Q&A", "Q&A"),  # no modified UTF-7: as it is
    ("&AP-x", "&AP-x"),
    ("&!!-", "&!!-"),
    ("&2Dw-", "&2Dw-"),  # half of a pair
    ("Käse", "Käse"),
    ("", ""),
]


@pytest.mark.parametrize(("name", "expected"), READABLE)
def test_decode(name: str, expected: str) -> None:
    """Modified UTF-7 becomes text; what is none stays."""
    assert decode(name) == expected


@given(st.text())
def test_any_name(name: str) -> None:
    """No name is an error, and one that Dovecot would write comes back."""
    decode(name)
    try:
        encoded = encode(name)
    except ValueError:  # half of a pair is no text
        assert not is_canonical(name)
        return
    assert decode(encoded) == name
    assert is_canonical(encoded) is ("\0" not in name)
    assert encoded.isascii()


RIGHT = [
    "Trash", "x.", "x..y", "x...y", "a b", "a*b", "100%", "~home", "#x", 'a"b', "a\\b", "&-", "R&-D", "&AOQ-", "&AOQ--",
    "&AOQ-.x", "&2D3cAA-", "&ZeVnLIqe-", "a&AA0-", "",
]  # fmt: skip
WRONG = [
    "b&AOQ", "&", "&bad", "&AOQ-&AOQ-", "&AAA-", "&AGEAYg-", "a&b", "a&b-", "ä", "\udce9", "&AOQ=-", "&AOQ,-", "&A-",
    "&AB-", "&ABC-", "&2AA-", "a\x01b", "a\x7fb", "a\nb", "&AEE-", "&AC8-", "&AC4-", "x.&bad", "&jjo-&AOQ-", "&Jjo!",
]  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_right_form(name: str) -> None:
    assert is_canonical(name)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_form(name: str) -> None:
    """Broken, not the shortest, with 8 bits or control characters."""
    assert not is_canonical(name)
