"""What every store of accounts does, whichever database is behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from mailquota.core.accounts.store import Accounts, AccountStore, LimitChange, LimitChangedError
from mailquota.core.base.errors import DatabaseError, MailquotaError, NoSuchAccountError
from mailquota.core.base.model import Account, Alias
from tests.core.accounts.worlds import World

GIB = 1024**3
BELOW = "Dovecot loads no user with a limit below 0"

# Nothing of this can be an account.
NO_ADDRESS = [
    "",
    "@",
    "@example.org",
    "john@",
    "john",
    "\0",
    "john@example.org\0",
    "john@example.org\n",
    "john\r\nRCPT TO:<x@example.org>@example.org",
    "\x1b[31mjohn@example.org",
    "john\u202e@example.org",
    "\udcff@example.org",
    "a" * 2000 + "@example.org",
]
# This can, but isn't; the last one can't be stored in MySQL's three-byte utf8.
UNKNOWN = ["nobody@example.org", "%@example.org", "john_@example.org", "\N{PENCIL}\N{GRINNING FACE}@example.org"]
# All of this can.
ODD_ADDRESSES = [
    "o'brien@example.org",
    'john"; drop table virtual_users; --@example.org',
    "' or '1'='1@example.org",
    "100%@example.org",
    "%s%(limit)s@example.org",
    "back\\slash@example.org",
    "under_score@example.org",
    "../../etc@example.org",
    "john doe@example.org",
    "jürgen@bücher.example",
    "例え@例え.テスト",
]


def addresses(accounts: Accounts) -> list[str]:
    """The addresses that were read, sorted."""
    return sorted(account.address for account in accounts.accounts)


def test_reads_accounts_and_aliases(world: World) -> None:
    """Limits are bytes, 0 is unlimited; an alias is as many rows as it has destinations."""
    world.add_user("john@example.org", 5000)
    world.add_user("jane@example.org", 0)
    world.add_alias("info@example.org", "john@example.org")
    world.add_alias("info@example.org", "jane@example.org, bob@elsewhere.example,")
    world.add_alias("@example.net", "@example.org")
    read = world.store().read()
    assert read.accounts == [Account("john@example.org", 5000), Account("jane@example.org", None)]
    assert read.aliases == [
        Alias("info@example.org", "john@example.org"),
        Alias("info@example.org", "jane@example.org"),
        Alias("info@example.org", "bob@elsewhere.example"),
        Alias("@example.net", "@example.org"),
    ]
    assert read.skipped == 0


def test_reads_an_empty_database(world: World) -> None:
    """No accounts is no error."""
    assert world.store().read() == Accounts([], [])


def test_addresses_are_lower_case_and_stripped(world: World) -> None:
    """Policy and mailstore know one spelling of an address."""
    world.add_user(" John@Example.ORG ", 1)
    world.add_alias("Info@Example.org ", " John@example.org")
    read = world.store().read()
    assert addresses(read) == ["john@example.org"]
    assert read.aliases == [Alias("info@example.org", "john@example.org")]


def test_rows_without_sense_are_skipped_and_counted(world: World) -> None:
    """One bad row keeps no other from being read."""
    world.loosen()
    bad = [
        None,
        b"\xff\xfe@example.org",
        "",
        "john",
        "a\0b@example.org",
        "x\ny@example.org",
        "a" * 400 + "@example.org",
    ]
    for email in bad:
        world.add_user(email, 1)
    world.add_user("john@example.org", 1)
    world.add_user("JOHN@example.org", 2)
    world.add_user("null@example.org", None)
    world.add_user("less@example.org", -5)
    world.add_alias("x\t@example.org", "john@example.org")
    read = world.store().read()
    assert read.accounts == [
        Account("john@example.org", 1),
        Account("null@example.org", None),
        Account("less@example.org", -5, fault=f"its limit in the database is -5, and {BELOW}"),
    ]
    assert read.aliases == []
    assert read.skipped == len(bad) + 2
    assert len(read.examples) == 3
    assert all(example.isascii() and example.isprintable() for example in read.examples)


Edit = Callable[[World], object]
EDITS: dict[str, Edit] = {
    "user added": lambda world: world.add_user("new@example.org", 3),
    "limit": lambda world: world.execute("UPDATE virtual_users SET quota = 1001 WHERE email = 'a@example.org'"),
    "limits swapped": lambda world: world.execute("UPDATE virtual_users SET quota = 3000 - quota"),
    "case": lambda world: world.execute(
        "UPDATE virtual_users SET email = 'A@example.org' WHERE email = 'a@example.org'"
    ),
    "user removed": lambda world: world.execute("DELETE FROM virtual_users WHERE email = 'b@example.org'"),
    "user replaced": lambda world: world.execute("UPDATE virtual_users SET email = 'c@example.org' WHERE quota = 1000"),
    "alias added": lambda world: world.add_alias("more@example.org", "a@example.org"),
    "alias moved": lambda world: world.execute("UPDATE virtual_aliases SET destination = 'b@example.org'"),
    "alias removed": lambda world: world.execute("DELETE FROM virtual_aliases"),
    "alias doubled": lambda world: world.add_alias("info@example.org", "a@example.org"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_notices_edits_made_elsewhere(world: World, edit: Edit) -> None:
    """Changed before the first reading, not after it, changed after an edit, and not any more when that is read."""
    world.add_user("a@example.org", 1000)
    world.add_user("b@example.org", 2000)
    world.add_alias("info@example.org", "a@example.org")
    store = world.store()
    assert store.changed()
    store.read()
    assert not store.changed()
    edit(world)
    assert store.changed()
    assert store.changed()
    store.read()
    assert not store.changed()


def test_notices_every_swap_of_limits(world: World) -> None:
    """Neither the sum of the limits nor the XOR of their checksums changes then."""
    world.add_user("a@example.org")
    world.add_user("b@example.org")
    store = world.store()
    for step in range(100):
        low, high = 10**9 + step, 2 * 10**9 + 7 * step
        world.execute("UPDATE virtual_users SET quota = %s WHERE email = 'a@example.org'", low)
        world.execute("UPDATE virtual_users SET quota = %s WHERE email = 'b@example.org'", high)
        store.read()
        world.execute("UPDATE virtual_users SET quota = %s - quota", low + high)
        assert store.changed()


def test_notices_an_edit_that_was_taken_back(world: World) -> None:
    """Also where it was read in between without a look before: what is in use now is what was read."""
    world.add_user("a@example.org", 500)
    store = world.store()
    store.read()
    assert not store.changed()
    world.execute("UPDATE virtual_users SET quota = 1000")
    store.read()
    world.execute("UPDATE virtual_users SET quota = 500")
    assert store.changed()


def test_sees_an_edit_once_it_is_committed(world: World) -> None:
    """Rows are not shown before their commit, and not missed because they were written before the last look."""
    world.add_user("a@example.org", 1000)
    store = world.store()
    store.read()
    with world.transaction("UPDATE virtual_users SET quota = 2000"):
        assert not store.changed()
        assert store.read().accounts == [Account("a@example.org", 1000)]
    assert store.changed()
    assert store.read().accounts == [Account("a@example.org", 2000)]


def test_sets_a_limit(world: World) -> None:
    """The old limit is returned, only this row changes, and the store sees its own change."""
    world.add_user("john@example.org", 5000)
    world.add_user("jane@example.org", 6000)
    store = world.store()
    store.read()
    assert store.set_limit("john@example.org", 5 * GIB) == 5000
    assert world.quotas() == {"john@example.org": 5 * GIB, "jane@example.org": 6000}
    assert store.changed()


@pytest.mark.parametrize("unlimited", [None, 0])
def test_unlimited_is_0_in_the_database(world: World, unlimited: int | None) -> None:
    """None is unlimited on both ways."""
    world.add_user("john@example.org", 5000)
    store = world.store()
    assert store.set_limit("john@example.org", unlimited) == 5000
    assert world.quotas() == {"john@example.org": 0}
    assert store.set_limit("john@example.org", 7) is None


def test_setting_the_same_limit_again_is_no_error(world: World) -> None:
    """MySQL counts a row that has the value already as not changed; it was found all the same."""
    world.add_user("john@example.org", 5000)
    assert world.store().set_limit("john@example.org", 5000) == 5000


def test_trying_to_write_changes_nothing(world: World) -> None:
    """Not even that an edit is seen; the column is told as far as its type matters."""
    world.add_user("john@example.org", 5000)
    store = world.store()
    store.read()
    assert store.try_writing()
    column = store.limit_column()
    assert column
    assert (column.name, column.highest) == ("virtual_users.quota", 2**63 - 1)
    assert not store.changed()
    assert world.quotas() == {"john@example.org": 5000}


def test_sets_only_what_is_expected(world: World) -> None:
    """A limit that somebody changed meanwhile stays, and the error says what it is now."""
    world.add_user("john@example.org", 5000)
    store = world.store()
    with pytest.raises(LimitChangedError, match="it is 5000 bytes now") as caught:
        store.set_limit("john@example.org", 1, expect=None)
    assert caught.value.found == 5000
    assert world.quotas() == {"john@example.org": 5000}
    assert store.set_limit("john@example.org", None, expect=5000) == 5000
    assert store.set_limit("john@example.org", 1, expect=None) is None


@pytest.mark.parametrize("address", [*NO_ADDRESS, *UNKNOWN], ids=ascii)
def test_unknown_and_hostile_addresses_are_no_accounts(world: World, address: str) -> None:
    """They change nothing, and their bytes do not reach the message."""
    world.add_user("john@example.org", 5000)
    world.add_user("johnx@example.org", 6000)
    with pytest.raises(NoSuchAccountError) as caught:
        world.store().set_limit(address, 1)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 150
    assert world.quotas() == {"john@example.org": 5000, "johnx@example.org": 6000}


@pytest.mark.parametrize("address", ODD_ADDRESSES)
def test_odd_addresses_are_only_data(world: World, address: str) -> None:
    """They are read, and their limit is set, as any other's."""
    world.add_user(address, 5000)
    world.add_user("john@example.org", 6000)
    store = world.store()
    assert addresses(store.read()) == sorted([address, "john@example.org"])
    assert store.set_limit(address, 7) == 5000
    assert world.quotas() == {address: 7, "john@example.org": 6000}


@pytest.mark.parametrize("limit", [-1, 2**63, 10**30])
def test_impossible_limits_are_refused(world: World, limit: int) -> None:
    """No column holds them."""
    world.add_user("john@example.org", 5000)
    with pytest.raises(MailquotaError, match="is not possible"):
        world.store().set_limit("john@example.org", limit)
    assert world.quotas() == {"john@example.org": 5000}


def test_sets_the_highest_limit(world: World) -> None:
    """What BIGINT holds goes there and back."""
    world.add_user("john@example.org", 2**63 - 1)
    store = world.store()
    assert store.read().accounts == [Account("john@example.org", 2**63 - 1)]
    assert store.set_limit("john@example.org", 2**63 - 2) == 2**63 - 1


def test_lookalikes_are_not_touched(world: World) -> None:
    """MySQL's collations take ö for o and ignore spaces at the end; an address is one sequence of bytes."""
    world.loosen()
    if world.target.kind == "mysql":
        world.execute("ALTER TABLE virtual_users MODIFY email VARCHAR(100) CHARACTER SET utf8mb4")
    world.add_user("jöhn@example.org", 1)
    world.add_user("john@example.org", 2)
    world.add_user("juhn@example.org", 3)
    assert world.store().set_limit("john@example.org", 9) == 2
    assert world.quotas() == {"jöhn@example.org": 1, "john@example.org": 9, "juhn@example.org": 3}


def test_finds_other_spellings(world: World) -> None:
    """The address of an account leads to its row however that spells it."""
    world.add_user(" John@Example.ORG", 5000)
    assert world.store().set_limit("john@example.org", 1) == 5000
    assert world.quotas() == {" John@Example.ORG": 1}


def test_one_address_twice_is_refused(world: World) -> None:
    """Nobody can say which of two rows counts for Dovecot."""
    world.loosen()
    world.add_user("john@example.org", 1)
    world.add_user("john@example.org", 2)
    with pytest.raises(MailquotaError, match="2 times"):
        world.store().set_limit("john@example.org", 9)
    assert world.execute("SELECT quota FROM virtual_users ORDER BY id") == [(1,), (2,)]


def test_sets_many_limits(world: World) -> None:
    """Each has its result, in order; those that fail do not keep the others back."""
    world.add_user("a@example.org", 1)
    world.add_user("b@example.org", 2)
    world.add_user("c@example.org", 0)
    changes: list[tuple[str, int | None] | LimitChange] = [
        ("c@example.org", 30),
        ("nobody@example.org", 5),
        LimitChange("a@example.org", 10, expect=77),
        ("b@example.org", None),
        ("c@example.org", 31),
    ]
    results = world.store().set_limits(changes)
    assert [(result.address, result.old, type(result.error)) for result in results] == [
        ("c@example.org", None, type(None)),
        ("nobody@example.org", None, NoSuchAccountError),
        ("a@example.org", None, LimitChangedError),
        ("b@example.org", 2, type(None)),
        ("c@example.org", 30, type(None)),
    ]
    assert world.quotas() == {"a@example.org": 1, "b@example.org": 0, "c@example.org": 31}


def test_many_limits_are_one_transaction(world: World) -> None:
    """When the database refuses in the middle, nothing is changed."""
    world.add_user("a@example.org", 1)
    world.add_user("b@example.org", 2)
    world.execute(world.trigger_refuses)
    with pytest.raises(DatabaseError, match="not this one"):
        world.store().set_limits([("a@example.org", 10), ("b@example.org", 20)])
    assert world.quotas() == {"a@example.org": 1, "b@example.org": 2}


def test_a_limit_that_does_not_arrive_is_an_error(world: World) -> None:
    """Where a trigger stores something else, the change is taken back."""
    world.add_user("a@example.org", 1000)
    world.execute(world.trigger_halves)
    with pytest.raises(DatabaseError, match="virtual_users has another limit for a@"):
        world.store().set_limit("a@example.org", 5000)
    assert world.quotas() == {"a@example.org": 1000}


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda store: store.read(), id="read"),
        pytest.param(lambda store: store.set_limit("a@example.org", 5), id="set"),
        pytest.param(lambda store: store.try_writing(), id="try"),
    ],
)
def test_a_missing_quota_column_is_told_apart(world: World, call: Callable[[AccountStore], object]) -> None:
    """The message has the statement that mends it; run, it does."""
    world.add_user("a@example.org", 1000)
    world.execute("ALTER TABLE virtual_users DROP COLUMN quota")
    store = world.store()
    with pytest.raises(DatabaseError, match="virtual_users has no column quota; add it with: ALTER TABLE") as caught:
        call(store)
    world.execute(str(caught.value).partition("add it with: ")[2])
    call(store)
    assert store.read().accounts[0].address == "a@example.org"


@pytest.mark.parametrize("table", ["virtual_users", "virtual_aliases"])
def test_a_missing_table_is_told(world: World, table: str) -> None:
    """Its name is in the message; the store works again when it is there."""
    store = world.store()
    store.read()
    world.execute(f"ALTER TABLE {table} RENAME TO elsewhere")
    with pytest.raises(DatabaseError, match=table):
        store.read()
    world.execute(f"ALTER TABLE elsewhere RENAME TO {table}")
    assert store.read() == Accounts([], [])


def test_a_closed_store_opens_again(world: World) -> None:
    """close() gives back connections, no more; twice is fine."""
    world.add_user("a@example.org", 1000)
    store = world.store()
    before = store.read()
    store.close()
    store.close()
    assert store.read() == before


def test_threads_take_turns(world: World) -> None:
    """A store that one thread opened works in another one."""
    world.add_user("a@example.org", 1000)
    store = world.store()
    store.read()
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.extend([store.read(), store.set_limit("a@example.org", 1)]))
    thread.start()
    thread.join()
    assert found == [Accounts([Account("a@example.org", 1000)], []), 1000]
