"""A MariaDB that refuses, goes away, comes back, or is not what the accounts need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from mailquota.core.accounts import mysql
from mailquota.core.accounts.from_settings import open_store
from mailquota.core.accounts.store import AccountStore
from mailquota.core.base import mysql as mysql_hosts
from mailquota.core.base.errors import DatabaseError, MailquotaError, MayNotWriteError
from mailquota.core.base.model import Account
from mailquota.core.base.mysql import Target
from tests.core.accounts.hosts import ENDLESS, Address, CuttingHost, FakeHost, dead_host, full_host
from tests.core.accounts.worlds import MariaWorld

pytestmark = pytest.mark.server

JOHN = Account("john@example.org", 5000)
GIB = 1024**3


@pytest.fixture
def world(maria: MariaWorld) -> MariaWorld:
    """The real server, with one account."""
    maria.add_user(JOHN.address, JOHN.limit)
    return maria


@contextmanager
def opened(target: Target, write_target: Target | None = None) -> Iterator[AccountStore]:
    """A store that is closed at the end."""
    store = open_store(target, write_target=write_target)
    try:
        yield store
    finally:
        store.close()


def at(target: Target, *hosts: Address) -> Target:
    """The same database at other hosts."""
    return replace(target, hosts=hosts)


def message_of(store: AccountStore) -> str:
    """What read() fails with; whatever that is, it must be short, on one line, and without the password."""
    with pytest.raises(DatabaseError) as caught:
        store.read()
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 400
    assert "ChangeMe" not in text
    return text


def kill_connections(world: MariaWorld) -> int:
    """End all connections of the reading account; returns how many there were."""
    sql = "SELECT id FROM information_schema.processlist WHERE user = %s AND db = %s"
    found = world.server.sql(sql, world.target.user, world.database)
    for row in found:
        world.server.sql("KILL %s", row["id"])
    return len(found)


def test_refused_connection(world: MariaWorld) -> None:
    """Nobody listens: the error names host, port and reason."""
    host, port = dead_host()
    with opened(at(world.target, (host, port))) as store:
        assert f"{host}:{port}/{world.database}: Connection refused" in message_of(store)


def test_missing_unix_socket(world: MariaWorld) -> None:
    """A host with a slash is a path."""
    with opened(at(world.target, ("/nowhere/mysqld.sock", 0))) as store:
        assert "/nowhere/mysqld.sock" in message_of(store)


def test_unix_socket(world: MariaWorld) -> None:
    """The server's socket works as a host."""
    path = str(world.server.sql("SELECT @@socket AS path")[0]["path"])
    world.server.sql(f"CREATE USER IF NOT EXISTS {world.owner}@localhost IDENTIFIED BY '{world.server.password}'")
    world.server.sql(f"GRANT SELECT ON {world.database}.* TO {world.owner}@localhost")
    with opened(replace(world.target, hosts=((path, 0),), user=world.owner)) as store:
        assert store.read().accounts == [JOHN]


def test_wrong_password(world: MariaWorld) -> None:
    """The server's words are passed on; a password may have letters that Latin-1 lacks."""
    with opened(replace(world.target, password="Größe→ChangeMe")) as store:
        assert "Access denied for user 'mailserver'" in message_of(store)


def test_unknown_host_name(world: MariaWorld) -> None:
    """A name that leads nowhere, or can't be one."""
    for name in ("nowhere.invalid", "a" * 70 + ".invalid", "x..y"):
        with opened(at(world.target, (name, 3306))) as store:
            assert name[:20] in message_of(store)


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\0", b"\x01\0\0\0\n", b"\xff" * 9000])
def test_something_else_answers(world: MariaWorld, greeting: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port of another service is an error like any other."""
    monkeypatch.setattr(mysql_hosts, "READ_SECONDS", 0.2)
    with FakeHost(greeting) as host, opened(at(world.target, host.address)) as store:
        assert str(host.address[1]) in message_of(store)


def test_silent_host_is_given_up(world: MariaWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was stopped in its tracks takes connections and says nothing."""
    monkeypatch.setattr(mysql_hosts, "READ_SECONDS", 0.2)
    with FakeHost() as host, opened(at(world.target, host.address, *world.target.hosts)) as store:
        assert store.read().accounts == [JOHN]


def test_host_that_does_not_take_the_connection_is_given_up(world: MariaWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that is down answers nothing at all."""
    monkeypatch.setattr(mysql_hosts, "CONNECT_SECONDS", 0.2)
    with full_host() as address, opened(at(world.target, address, *world.target.hosts)) as store:
        assert store.read().accounts == [JOHN]


def test_next_host_is_tried_and_kept(world: MariaWorld) -> None:
    """The first of three is dead; after a lost connection the one that worked is the first to be asked."""
    with (
        FakeHost(b"go away") as first,
        opened(at(world.target, first.address, *world.target.hosts, dead_host())) as store,
    ):
        assert store.read().accounts == [JOHN]
        assert kill_connections(world) == 1
        assert not store.changed()
        assert first.connections == 1


def test_all_hosts_are_named_when_none_works(world: MariaWorld) -> None:
    """Each with its own reason."""
    first, second = dead_host(), dead_host()
    with opened(at(world.target, first, second)) as store:
        text = message_of(store)
    assert f"{first[1]}" in text
    assert f"{second[1]}" in text


def test_changes_go_to_the_next_host_too(world: MariaWorld) -> None:
    """The writing account has hosts of its own."""
    with opened(world.target, at(world.write_target, dead_host(), *world.target.hosts)) as store:
        assert store.set_limit(JOHN.address, 7) == JOHN.limit
    assert world.quotas() == {JOHN.address: 7}


def test_a_killed_connection_is_replaced_at_once(world: MariaWorld) -> None:
    """Nothing of it is seen outside: wait_timeout and firewalls end idle connections every day."""
    store = world.store()
    store.read()
    assert kill_connections(world) == 1
    world.execute("UPDATE virtual_users SET quota = 6000")
    assert store.changed()
    assert kill_connections(world) == 1
    assert store.read().accounts == [Account(JOHN.address, 6000)]


def test_a_server_that_was_restarted_is_found_again(world: MariaWorld) -> None:
    """Gone in mid-run every call is an error; back again the same store works."""
    store = world.store()
    store.read()
    with world.server_stopped():
        assert "Connection refused" in message_of(store)
        with pytest.raises(DatabaseError):
            store.changed()
        with pytest.raises(DatabaseError):
            store.set_limit(JOHN.address, 1)
    assert not store.changed()
    assert store.read().accounts == [JOHN]
    assert store.set_limit(JOHN.address, 1) == JOHN.limit


def test_rows_cut_off_in_the_middle_are_no_accounts(world: MariaWorld) -> None:
    """Half a table must not look like a table: whoever is missing would be unknown."""
    for number in range(2000):
        world.add_user(f"{number:060}@example.org")
    host = CuttingHost(world.target.hosts[0], allowed=60_000)
    with host, opened(at(world.target, host.address)) as store:
        for _ in range(2):
            assert "Lost connection" in message_of(store)
        host.allowed = ENDLESS
        assert len(store.read().accounts) == 2001


def test_a_commit_without_an_answer_is_told(world: MariaWorld) -> None:
    """The last bytes of a change are the answer to its commit; without them nobody knows, so the error says that."""
    with (
        CuttingHost(world.target.hosts[0]) as host,
        opened(world.target, at(world.write_target, host.address)) as store,
    ):
        store.set_limit(JOHN.address, 5001)
    # The same conversation, number for number, but for its last byte.
    host = CuttingHost(world.target.hosts[0], allowed=host.passed - 1)
    unknown = pytest.raises(DatabaseError, match="whether limits were changed is not known")
    with host, opened(world.target, at(world.write_target, host.address)) as store, unknown:
        store.set_limit(JOHN.address, 5002)
    assert world.quotas() == {JOHN.address: 5002}


def test_an_account_that_may_only_read(world: MariaWorld) -> None:
    """The message names the setting; reading goes on."""
    with opened(world.target) as store:
        with pytest.raises(DatabaseError, match=r"may not write, set accounts\.write_database"):
            store.set_limit(JOHN.address, 1)
        with pytest.raises(MayNotWriteError, match=r"may not write, set accounts\.write_database"):
            store.try_writing()
        assert store.read().accounts == [JOHN]


def test_a_column_that_is_too_small_is_told_with_what_widens_it(world: MariaWorld) -> None:
    """As some copies of the tables have it: 2 GiB less a byte."""
    world.execute("ALTER TABLE virtual_users MODIFY quota int(11) NOT NULL DEFAULT 0")
    with opened(world.target, world.write_target) as store:
        column = store.limit_column()
        assert column
        assert (column.type, column.highest) == ("int(11)", 2**31 - 1)
        world.execute(column.widen)
        column = store.limit_column()
        assert column
        assert column.highest == 2**63 - 1


def test_a_server_that_may_only_be_read(world: MariaWorld) -> None:
    """A replica is told as such."""
    world.server.sql("SET GLOBAL read_only = 1")
    try:
        with pytest.raises(DatabaseError, match=r"read-only.*set accounts\.write_database"):
            world.store().set_limit(JOHN.address, 1)
    finally:
        world.server.sql("SET GLOBAL read_only = 0")


def test_an_account_that_may_not_read(world: MariaWorld) -> None:
    """The server's own words say what is denied."""
    stranger = f"stranger@{world.server.host}"
    world.server.sql(f"CREATE USER {stranger} IDENTIFIED BY '{world.server.password}'")
    world.server.sql(f"GRANT SELECT ON {world.database}.virtual_aliases TO {stranger}")
    try:
        with opened(replace(world.target, user="stranger")) as store:
            assert "SELECT command denied" in message_of(store)
    finally:
        world.server.sql(f"DROP USER {stranger}")


@pytest.mark.parametrize(
    ("column", "highest"),
    [("INT(11)", 2**31 - 1), ("INT UNSIGNED", 2**32 - 1), ("MEDIUMINT", 2**23 - 1), ("SMALLINT", 2**15 - 1)],
)
def test_a_narrow_column_is_told_before_the_write(world: MariaWorld, column: str, highest: int) -> None:
    """The message has type, highest value and the statement that mends it; run, it does."""
    world.execute(f"ALTER TABLE virtual_users MODIFY quota {column} NOT NULL DEFAULT 0")
    store = world.store()
    assert store.set_limit(JOHN.address, highest) == JOHN.limit
    with pytest.raises(MailquotaError, match=rf"virtual_users\.quota is .*int.* holds at most {highest};") as caught:
        store.set_limit(JOHN.address, highest + 1)
    assert not isinstance(caught.value, DatabaseError)
    assert world.quotas() == {JOHN.address: highest}
    world.execute(str(caught.value).partition("change it with: ")[2])
    assert store.set_limit(JOHN.address, 5 * GIB) == highest
    assert store.read().accounts == [Account(JOHN.address, 5 * GIB)]


def test_only_those_that_do_not_fit_fail(world: MariaWorld) -> None:
    """In a narrow column small limits can be set all the same."""
    world.execute("ALTER TABLE virtual_users MODIFY quota INT NOT NULL DEFAULT 0")
    world.add_user("jane@example.org", 1)
    results = world.store().set_limits([(JOHN.address, 2 * GIB), ("jane@example.org", GIB)])
    assert [bool(result.error) for result in results] == [True, False]
    assert world.quotas() == {JOHN.address: JOHN.limit, "jane@example.org": GIB}


def test_the_server_is_strict_with_us(world: MariaWorld) -> None:
    """Where the type says nothing, a value that does not fit is refused, not stored as the nearest possible one."""
    world.server.sql("SET GLOBAL sql_mode = ''")
    try:
        world.execute("ALTER TABLE virtual_users MODIFY quota DECIMAL(5,0) NOT NULL DEFAULT 0")
        store = world.store()
        assert store.read().accounts == [JOHN]
        with pytest.raises(DatabaseError, match="Out of range value"):
            store.set_limit(JOHN.address, 5 * GIB)
    finally:
        world.server.sql("SET GLOBAL sql_mode = DEFAULT")
    assert world.quotas() == {JOHN.address: JOHN.limit}


def test_a_locked_row_is_told(world: MariaWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's open transaction is waited for, but not for ever."""
    monkeypatch.setattr(mysql, "LOCK_SECONDS", 1)
    store = world.store()
    with world.transaction("UPDATE virtual_users SET quota = 6000"), pytest.raises(DatabaseError, match="Lock wait"):
        store.set_limit(JOHN.address, 1)
    assert store.set_limit(JOHN.address, 1) == 6000


def test_the_password_is_not_in_the_target_s_text(world: MariaWorld) -> None:
    """Targets end up in logs."""
    assert "ChangeMe" not in repr(world.target)
