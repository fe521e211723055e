"""Rows, one by one."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.accounts.collecting import RowCollector
from mailquota.core.accounts.reader import RowReader, Shape, shape_of
from mailquota.core.accounts.rows import (
    NO_NUMBER,
    address_of,
    aliases_of,
    enabled_of,
    limit_of,
)
from mailquota.core.base.model import Account, Alias


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        (5000, 5000),
        (0, None),
        (-5, -5),
        ("-5", -5),
        ("00", None),
        (None, None),
        (Decimal("5000.0"), 5000),
        (5000.9, 5000),
        ("5000", 5000),
        (b"5000", 5000),
        (True, 1),
        (2**63 - 1, 2**63 - 1),
    ],
)
def test_limits(value: object, limit: int | None) -> None:
    """Whatever number a query gives is one of bytes."""
    assert limit_of(value) == limit


NO_LIMITS = [
    "",
    "5G",
    " 5000",
    "+5000",
    "5_000",
    "1.5",
    b"\xff",
    2**63,
    "9" * 9999,
    -(2**63),
    float("nan"),
    Decimal("NaN"),
    [],
]


@pytest.mark.parametrize("value", NO_LIMITS)
def test_no_limits(value: object) -> None:
    """What is no number of bytes is told, and is not unlimited; a text as Dovecot reads it."""
    account = RowReader(Shape()).account(("john@example.org", value))
    assert account is not None
    assert account.limit == NO_NUMBER
    assert re.fullmatch(r"its limit in the database is .+, which is no number of bytes", account.fault)
    assert account.fault.isprintable()
    assert len(account.fault) < 200


@pytest.mark.parametrize("value", [1, True, "1", b"1", b"\1", "y", "Yes", "active", 2.0])
def test_enabled(value: object) -> None:
    """Flags that mean yes."""
    assert enabled_of(value)


@pytest.mark.parametrize("value", [0, False, None, "0", b"0", b"\0", "", "N", "no", "False", "off", 0.0])
def test_not_enabled(value: object) -> None:
    """Flags that mean no."""
    assert not enabled_of(value)


def test_aliases_keep_what_is_no_plain_address() -> None:
    """Postfix knows patterns and local names (virtual(5)); what they lead to is not ours to say."""
    assert aliases_of(("@example.net", "root"), False) == [Alias("@example.net", "root")]


@pytest.mark.parametrize("destination", [None, "", " , ", "a@x.org,b\n@x.org", b"\xff", "a" * 400])
def test_aliases_that_make_no_sense(destination: object) -> None:
    """A list is taken whole or not at all."""
    assert aliases_of(("info@example.org", destination), False) is None


def test_a_long_list_is_taken() -> None:
    """Only each part has to be as short as an address."""
    many = [f"user{number}@example.org" for number in range(2000)]
    found = aliases_of(("all@example.org", ",".join(many)), False)
    assert found == [Alias("all@example.org", one) for one in many]


def test_examples_are_few_and_short() -> None:
    """They are for a log line."""
    collector = RowCollector(RowReader(Shape()))
    collector.add_users([("\x1b" * 5000, 1)] * 10)
    result = collector.result()
    assert result.skipped == 10
    assert [len(example) <= 120 for example in result.examples] == [True] * 3


@given(st.one_of(st.binary(max_size=400), st.text(max_size=400), st.none(), st.integers()))
def test_addresses_are_harmless(value: object) -> None:
    """Whatever is in the database: printable, lower case, of a user and a domain, and the same when read again."""
    address = address_of(value)
    if address is not None:
        assert address.isprintable()
        assert address == address.strip()
        assert all(address.rpartition("@"))
        assert len(address.encode()) <= 640


@given(st.from_regex(r"[a-zA-Z0-9.+_-]{1,64}@[a-zA-Z0-9.-]{1,100}", fullmatch=True))
def test_ordinary_addresses_are_taken(text: str) -> None:
    """As text and as bytes, with spaces around or not."""
    assert address_of(text) == address_of(f" {text} ".encode()) == text.lower()


def test_places_of_custom_rows() -> None:
    """A limit of messages is in the column of that name; the first other one behind the limit says whether it is on."""
    assert shape_of(["a", "b"]) == Shape(None, None)
    assert shape_of(["a", "b", "on", "more"]) == Shape(2, None)
    assert shape_of(["a", "messages", "Messages", "on"]) == Shape(3, 2)
    reader = RowReader(Shape(3, 2))
    assert reader.account(("john@x", 5, 3, 0)) == Account("john@x", 5, enabled=False, limit_messages=3)
    assert reader.account(("john@x", 5, None, 1)) == Account("john@x", 5)
    assert reader.account(("john@x", 5, 0, 1)) == Account("john@x", 5)
    bad = reader.account(("john@x", 5, "many", 1))
    assert bad is not None
    assert (bad.limit, bad.limit_messages) == (5, NO_NUMBER)
    assert bad.fault == "its limit of messages in the database is 'many', which is no number of messages"
    assert "limit of messages in the database is -3" in RowReader(Shape(None, 2)).limits(("john@x", 5, -3))[2]
