"""Schemas other than ISPmail's."""

from __future__ import annotations

import pytest

from mailquota.core.accounts.schema import make_statements
from mailquota.core.accounts.store import AccountStore, LimitChange, Queries, Schema
from mailquota.core.base.errors import DatabaseError, MailquotaError, NoSuchAccountError, SettingsError
from mailquota.core.base.model import Account, Alias
from mailquota.core.base.mysql import Kind
from tests.core.accounts.worlds import SqliteWorld, World

MIB = 1024**2

USERS = "SELECT name || '@' || domain, mib * 1048576, state <> 'off' FROM people"
QUERIES = Queries(
    users_query=f"{USERS};",
    aliases_query="SELECT source, destination FROM virtual_aliases",
    set_query=(
        "UPDATE people SET mib = %(limit)s / 1048576"
        " WHERE name || '@' || domain = %(address)s AND name NOT LIKE '%nobody%' AND 7 %% 4 = 3"
    ),
)
CHANGE = "SELECT COUNT(*) FROM people"


def add_mailbox(world: World, address: str, quota: int, active: int = 1) -> None:
    """A mailbox as PostfixAdmin makes it, with the alias to itself."""
    world.execute("INSERT INTO mailbox (username, quota, active) VALUES (%s, %s, %s)", address, quota, active)
    world.execute("INSERT INTO alias (address, goto, active) VALUES (%s, %s, 1)", address, address)


@pytest.fixture
def postfixadmin(world: World) -> World:
    """PostfixAdmin's tables, as far as they matter."""
    address = "VARCHAR(255) NOT NULL PRIMARY KEY"
    world.execute(f"CREATE TABLE mailbox (username {address}, quota BIGINT NOT NULL DEFAULT 0, active INT NOT NULL)")
    world.execute(f"CREATE TABLE alias (address {address}, goto TEXT NOT NULL, active INT NOT NULL)")
    return world


def test_postfixadmin_accounts(postfixadmin: World) -> None:
    """A mailbox that is not active is an account all the same."""
    add_mailbox(postfixadmin, "john@example.org", 5000)
    add_mailbox(postfixadmin, "gone@example.org", 0, active=0)
    read = postfixadmin.store("postfixadmin").read()
    assert sorted(read.accounts, key=lambda account: account.address) == [
        Account("gone@example.org", None, enabled=False),
        Account("john@example.org", 5000),
    ]
    assert read.aliases == []


def test_postfixadmin_aliases(postfixadmin: World) -> None:
    """Lists are split, those switched off left out. A mailbox with copies to others keeps the alias to itself."""
    add_mailbox(postfixadmin, "john@example.org", 5000)
    for address, goto, active in [
        ("info@example.org", "john@example.org,jane@example.org", 1),
        ("off@example.org", "john@example.org", 0),
        ("jane@example.org", "Jane@example.org, copy@elsewhere.example", 1),
    ]:
        postfixadmin.execute("INSERT INTO alias VALUES (%s, %s, %s)", address, goto, active)
    read = postfixadmin.store("postfixadmin").read()
    assert sorted((alias.source, alias.destination) for alias in read.aliases) == [
        ("info@example.org", "jane@example.org"),
        ("info@example.org", "john@example.org"),
        ("jane@example.org", "copy@elsewhere.example"),
        ("jane@example.org", "jane@example.org"),
    ]
    assert read.skipped == 0


def test_postfixadmin_edits(postfixadmin: World) -> None:
    """Limits are set and edits noticed as in the other schema."""
    add_mailbox(postfixadmin, "john@example.org", 5000)
    store = postfixadmin.store("postfixadmin")
    store.read()
    for statement in (
        "UPDATE mailbox SET active = 0",
        "UPDATE mailbox SET quota = 6000",
        "UPDATE alias SET active = 0",
        "UPDATE alias SET active = 1, goto = 'jane@example.org'",
    ):
        postfixadmin.execute(statement)
        assert store.changed()
        store.read()
        assert not store.changed()
    assert store.set_limit("john@example.org", 7) == 6000
    assert postfixadmin.execute("SELECT quota FROM mailbox") == [(7,)]
    with pytest.raises(NoSuchAccountError):
        store.set_limit("jane@example.org", 7)


@pytest.fixture
def people(sqlite: SqliteWorld) -> SqliteWorld:
    """A table that nobody but its maker knows, with limits in MiB."""
    sqlite.execute("CREATE TABLE people (name TEXT, domain TEXT, mib INTEGER, state TEXT)")
    sqlite.execute("INSERT INTO people VALUES ('John', 'example.org', 5, 'on'), ('jane', 'example.org', 0, 'off')")
    sqlite.add_alias("info@example.org", "john@example.org")
    return sqlite


def custom(world: World, **queries: str) -> AccountStore:
    """A store with QUERIES but for some."""
    fields = {name: getattr(QUERIES, name) for name in QUERIES.__slots__}
    return world.store("custom", Queries(**fields | queries))


def test_custom_queries_read(people: SqliteWorld) -> None:
    """Rows come from the queries alone."""
    read = custom(people).read()
    assert read.accounts == [
        Account("john@example.org", 5 * MIB, spelled="John@example.org"),
        Account("jane@example.org", None, enabled=False),
    ]
    assert read.aliases == [Alias("info@example.org", "john@example.org")]


def test_custom_queries_may_lack_aliases_and_enabled(people: SqliteWorld) -> None:
    """Then there are no aliases, and all are enabled."""
    read = custom(people, users_query="SELECT name || '@' || domain, 5000 FROM people", aliases_query="").read()
    assert read.accounts == [
        Account("john@example.org", 5000, spelled="John@example.org"),
        Account("jane@example.org", 5000),
    ]
    assert read.aliases == []


def test_custom_query_with_one_column_is_an_error(people: SqliteWorld) -> None:
    """The message names the query."""
    with pytest.raises(DatabaseError, match=r"users_query gives one column.*address, limit"):
        custom(people, users_query="SELECT name FROM people").read()


def test_custom_query_with_a_fault_is_an_error(people: SqliteWorld) -> None:
    """SQLite's words are passed on."""
    with pytest.raises(DatabaseError, match="no such column: quota"):
        custom(people, users_query="SELECT name, quota FROM people").read()


def test_custom_queries_set(people: SqliteWorld) -> None:
    """The address goes into set_query as users_query spells it, and other per cent signs stay what they are."""
    store = custom(people)
    results = store.set_limits([("john@example.org", 7 * MIB), ("nobody@example.org", 1), ("john@example.org", None)])
    assert [(result.old, type(result.error)) for result in results] == [
        (5 * MIB, type(None)),
        (None, NoSuchAccountError),
        (7 * MIB, type(None)),
    ]
    assert people.execute("SELECT name, mib FROM people") == [("John", 0), ("jane", 0)]


def test_custom_limit_may_be_rounded(people: SqliteWorld) -> None:
    """Where limits are kept in MiB, up to one of them is lost."""
    assert custom(people).set_limit("john@example.org", 7 * MIB + 1000) == 5 * MIB
    assert people.execute("SELECT mib FROM people WHERE name = 'John'") == [(7,)]


@pytest.mark.parametrize(
    ("set_query", "limit", "message"),
    [
        (QUERIES.set_query, 5000, "was to set the limit of john@example.org to 5000 bytes, but .* gives 0 then"),
        (
            "UPDATE people SET mib = %(limit)s WHERE 'John@example.org' = %(address)s",
            9 * MIB,
            "gives 9895604649984 then",
        ),
        ("UPDATE people SET mib = %(limit)s WHERE name = %(address)s", 9 * MIB, "changed nothing for John@example.org"),
        ("UPDATE people SET name = %(address)s, mib = %(limit)s", 9 * MIB, "gives no row then"),
        ("", 9 * MIB, "set_query is empty"),
    ],
)
def test_custom_set_query_that_does_something_else(
    people: SqliteWorld, set_query: str, limit: int, message: str
) -> None:
    """Above all, a small limit must not be rounded to 0, which is unlimited: all is taken back."""
    before = people.execute("SELECT * FROM people")
    with pytest.raises(MailquotaError, match=message):
        custom(people, set_query=set_query).set_limit("john@example.org", limit)
    assert people.execute("SELECT * FROM people") == before


def test_custom_expects(people: SqliteWorld) -> None:
    """As with the other schemas."""
    result = custom(people).set_limits([LimitChange("john@example.org", MIB, expect=4 * MIB)])[0]
    assert "5242880 bytes now" in str(result.error)


def test_custom_change_is_exact_in_sqlite(people: SqliteWorld) -> None:
    """The file tells of itself whether it was edited."""
    store = custom(people)
    store.read()
    assert not store.changed()
    people.execute("UPDATE people SET mib = 6")
    assert store.changed()


def test_custom_change_query_is_asked_too(people: SqliteWorld) -> None:
    """What it gives may depend on more than the file, on the date for one."""
    store = custom(people, change_query="SELECT random()")
    store.read()
    assert store.changed()


@pytest.mark.server
@pytest.mark.parametrize(("change_query", "seen"), [("", True), (CHANGE, False)])
def test_custom_change_query_in_mariadb(maria: World, change_query: str, seen: bool) -> None:
    """It decides; without it, each look finds a change, so that all is read again."""
    maria.execute("CREATE TABLE people (name TEXT, domain TEXT, mib INTEGER, state TEXT)")
    queries = Queries("SELECT CONCAT(name, '@', domain), mib * 1048576, b'1' FROM people", change_query=change_query)
    store = maria.store("custom", queries)
    store.read()
    assert store.changed() is seen
    maria.execute("INSERT INTO people VALUES ('john', 'example.org', 5, 'on')")
    assert store.changed()
    assert store.read().accounts == [Account("john@example.org", 5 * MIB)]


@pytest.mark.server
def test_custom_queries_in_mariadb(maria: World) -> None:
    """Fractions and per cent signs included."""
    maria.add_user("John@example.org", 5 * MIB)
    queries = Queries(
        "SELECT email, quota * 1.0, 'yes' FROM virtual_users WHERE email LIKE '%@example.org'",
        set_query="UPDATE virtual_users SET quota = %(limit)s WHERE email = %(address)s AND email LIKE '%john%'",
    )
    store = maria.store("custom", queries)
    assert store.read().accounts == [Account("john@example.org", 5 * MIB, spelled="John@example.org")]
    assert store.set_limit("john@example.org", 6 * MIB) == 5 * MIB
    assert maria.quotas() == {"John@example.org": 6 * MIB}


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        (None, "users_query is empty"),
        (Queries(" "), "users_query is empty"),
        (Queries(USERS, set_query="UPDATE x SET y = %(limit)s"), r"set_query lacks %\(address\)s"),
        (Queries(USERS, set_query="UPDATE x SET y = 1"), r"set_query lacks %\(limit\)s and %\(address\)s"),
    ],
)
def test_custom_queries_that_can_not_work(queries: Queries | None, message: str) -> None:
    """They are an error of the settings, before anything is asked."""
    with pytest.raises(SettingsError, match=message):
        make_statements("custom", "sqlite", queries)


@pytest.mark.parametrize("kind", ["mysql", "sqlite"])
@pytest.mark.parametrize("schema", ["ispmail", "postfixadmin"])
def test_no_value_is_written_into_a_statement(schema: Schema, kind: Kind) -> None:
    """Both values of an update are marks for parameters."""
    update = make_statements(schema, kind, None).update
    limit, address = ("%(limit)s", "%(address)s") if kind == "mysql" else (":limit", ":address")
    assert update.count(limit) == 1
    assert update.count(address) == 2
    assert "'" not in update
