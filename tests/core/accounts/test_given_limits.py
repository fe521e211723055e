"""Limits that Dovecot gives to accounts beside the column of the database, in both kinds of database."""

from __future__ import annotations

from contextlib import closing

import pytest

from mailquota.core.accounts.from_settings import open_store
from mailquota.core.accounts.rows import NO_NUMBER
from mailquota.core.accounts.store import AccountStore, LimitChange, LimitChangedError, Queries
from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.model import Account
from mailquota.core.servers.dovecot.conf import parse_doveconf
from mailquota.core.servers.dovecot.given_limits import GivenLimits, given_limits
from tests.core.accounts.worlds import World

JOHN, JANE = "john@example.org", "jane@example.org"
BY_COLUMN = "concat('*:bytes=', quota, ':messages=', ifnull(most, 0)) AS quota_rule"
KIB = 1024


def given(selected: str, *rules: str, table: str = "virtual_users") -> GivenLimits:
    """By a Dovecot 2.3 with these rules beside its user query."""
    plugin = "\n".join(["quota = maildir:User quota", *rules])
    conf = parse_doveconf(f"plugin {{\n{plugin}\n}}\nuserdb {{\ndriver = sql\n}}\n")
    return given_limits(conf, modern=False, query=f"SELECT {selected} FROM {table} WHERE email='%u'")


def opened(world: World, by: GivenLimits) -> AccountStore:
    """A store whose Dovecot gives this."""
    return open_store(world.target, write_target=world.write_target, ask=lambda: by)


def loose(world: World, column: str = "most") -> None:
    """A table that takes NULL, with a column for limits of messages."""
    world.loosen()
    world.execute(f"ALTER TABLE virtual_users ADD COLUMN {column} INTEGER")


def test_a_default_where_the_database_says_nothing(world: World) -> None:
    """NULL is what Dovecot's settings say; 0 is unlimited."""
    loose(world)
    for name, limit in ((JOHN, None), (JANE, 0), ("bob@example.org", 5000)):
        world.add_user(name, limit)
    by = given("concat('*:bytes=', quota) AS quota_rule", "quota_rule = *:storage=500K:messages=9")
    with closing(opened(world, by)) as store:
        assert set(store.read().accounts) == {
            Account(JOHN, 500 * KIB, limit_messages=9), Account(JANE, None), Account("bob@example.org", 5000)
        }  # fmt: skip
        with pytest.raises(LimitChangedError):
            store.set_limit(JOHN, 6000, expect=None)
        assert store.set_limit(JOHN, 6000, expect=500 * KIB) == 500 * KIB
        assert store.changed()
        assert Account(JOHN, 6000) in store.read().accounts


def test_a_limit_of_messages_for_all(world: World) -> None:
    """A constant of the query, or a rule of the settings."""
    world.add_user(JOHN, 5000)
    by = given("concat('*:bytes=', quota, ':messages=3') AS quota_rule")
    with closing(opened(world, by)) as store:
        assert store.read().accounts == [Account(JOHN, 5000, limit_messages=3)]
        (result,) = store.set_limits([LimitChange(JOHN, 9, messages=True)])
        assert "no limits of messages: Dovecot takes none from a column of virtual_users" in str(result.error)
    by = given("concat('*:bytes=', quota) AS quota_rule", "quota_rule2 = *:messages=7")
    with closing(opened(world, by)) as store:
        assert store.read().accounts == [Account(JOHN, 5000, limit_messages=7)]


def test_a_column_with_limits_of_messages(world: World) -> None:
    """It is read, seen to change, and written; 0 and NULL are no limit."""
    loose(world)
    world.add_user(JOHN, 5000)
    world.add_user(JANE, 6000)
    world.execute("UPDATE virtual_users SET most = 3 WHERE email = %s", JOHN)
    with closing(opened(world, given(BY_COLUMN))) as store:
        assert store.read().accounts == [Account(JOHN, 5000, limit_messages=3), Account(JANE, 6000)]
        assert not store.changed()
        world.execute("UPDATE virtual_users SET most = 4 WHERE email = %s", JOHN)
        assert store.changed()
        assert store.read().accounts[0].limit_messages == 4
        changes = [LimitChange(JOHN, 9, 4, messages=True), LimitChange(JANE, 8, 7, messages=True)]
        first, second = store.set_limits(changes)
        assert (first.old, first.error) == (4, None)
        assert str(second.error) == f"the limit of {JANE} was changed meanwhile, it is unlimited now"
        assert store.set_limits([LimitChange(JOHN, None, messages=True)])[0].old == 9
        assert tuple(world.execute("SELECT most, quota FROM virtual_users WHERE email = %s", JOHN)[0]) == (0, 5000)
        assert store.read().accounts == [Account(JOHN, 5000), Account(JANE, 6000)]
        (result,) = store.set_limits([LimitChange(JOHN, 2**31, messages=True)])
        assert str(result.error) == "a limit of 2147483648 messages is not possible"


def test_a_limit_that_dovecot_refuses(world: World) -> None:
    """The account stays in the list, and is not usable."""
    loose(world)
    world.add_user(JOHN, 5000)
    world.execute("UPDATE virtual_users SET most = -3")
    with closing(opened(world, given(BY_COLUMN))) as store:
        (account,) = store.read().accounts
        assert (account.limit, account.limit_messages) == (5000, NO_NUMBER)
        assert "'*:bytes=1:messages=-3'" in account.fault


def test_limits_that_dovecot_does_not_take(world: World) -> None:
    """Where the user query lost its field, an edit is made, and its result says that Dovecot goes by other limits."""
    world.add_user(JOHN, 5000)
    for selected, remark in (("email AS user, home", True), ("concat('*:bytes=', quota) AS quota_rule", False)):
        with closing(opened(world, given(selected))) as store:
            store.read()
            (result,) = store.set_limits([LimitChange(JOHN, 6000)])
            assert result.error is None
            assert ("gives no limit from virtual_users.quota" in result.remark) is remark


@pytest.mark.parametrize("by", [
    given("concat('*:bytes=', quota, ':messages=', gone) AS quota_rule"),
    given(BY_COLUMN, table="mailbox"),
    given("concat('*:bytes=', quota * 2) AS quota_rule", "quota_rule2 = *:messages=7"),
])  # fmt: skip
def test_what_is_not_known_changes_nothing(world: World, by: GivenLimits) -> None:
    """A column that is not there, another table, a query that is not understood: the column alone counts."""
    loose(world)
    world.add_user(JOHN, None)
    with closing(opened(world, by)) as store:
        assert store.read().accounts == [Account(JOHN, None)]


def test_a_column_of_a_custom_query(world: World) -> None:
    """Schema custom gives limits of messages by a column of that name, and sets them by its set_query."""
    loose(world)
    world.add_user(JOHN, 5000)
    queries = Queries(
        users_query="SELECT email, quota, most AS messages FROM virtual_users",
        set_query="UPDATE virtual_users SET quota = %(limit)s, most = %(messages)s WHERE email = %(address)s",
    )
    store = world.store("custom", queries)
    assert store.read().accounts == [Account(JOHN, 5000)]
    assert store.set_limits([LimitChange(JOHN, 3, None, messages=True)])[0].old is None
    assert store.set_limits([LimitChange(JOHN, 6000)])[0].old == 5000
    assert store.read().accounts == [Account(JOHN, 6000, limit_messages=3)]
    alone = Queries(users_query=queries.users_query, set_query=queries.set_query.replace(", most = %(messages)s", ""))
    store = world.store("custom", alone)
    assert store.read().accounts == [Account(JOHN, 6000, limit_messages=3)]
    (result,) = store.set_limits([LimitChange(JOHN, 4, messages=True)])
    assert isinstance(result.error, MailquotaError)
    assert "set_query has no %(messages)s" in str(result.error)


@pytest.mark.parametrize("limit", [2**64 - 1, -(2**63), -(10**25), 10**30])
@pytest.mark.parametrize("schema", ["ispmail", "custom"])
def test_a_number_that_no_limit_can_be(world: World, schema: str, limit: int) -> None:
    """The account stays in the list, with the reason; the numbers fit into every message of the control protocol."""
    world.loosen()
    world.execute("ALTER TABLE virtual_users DROP COLUMN quota")
    world.execute("ALTER TABLE virtual_users ADD COLUMN quota VARCHAR(40)")  # Dovecot gets a text of any number
    world.add_user(JOHN, str(limit))
    queries = Queries("SELECT email, quota FROM virtual_users") if schema == "custom" else None
    (account,) = world.store("custom" if queries else "ispmail", queries).read().accounts
    assert account.limit is not None
    assert -(2**63) <= account.limit < 0
    assert str(limit) in account.fault
