"""All SQL statements for accounts: schemas ispmail, postfixadmin and custom, for MySQL and SQLite.

Values are always parameters, written %(address)s and %(limit)s; only names from the table below are put into a text.
PostfixAdmin's table alias_domain is read where it is there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..base.errors import SettingsError
from ..base.mysql import Kind
from .store import Queries, Schema


@dataclass(frozen=True, slots=True)
class TableNames:
    """The names of tables and columns of a schema."""

    users: str
    address: str
    limit: str
    enabled: str
    aliases: str
    source: str
    destination: str
    where: str  # condition for the aliases that count, with a leading blank; or empty
    own_rows: bool  # whether each mailbox has an alias to itself
    domains: str = ""  # reads all domains that are other names of one; the table may be missing


TABLE_NAMES: dict[str, TableNames] = {
    "ispmail": TableNames(
        users="virtual_users",
        address="email",
        limit="quota",
        enabled="",
        aliases="virtual_aliases",
        source="source",
        destination="destination",
        where="",
        own_rows=False,
    ),
    "postfixadmin": TableNames(
        users="mailbox",
        address="username",
        limit="quota",
        enabled="active",
        aliases="alias",
        source="address",
        destination="goto",
        where=" WHERE active = 1",
        own_rows=True,
        domains="SELECT alias_domain, target_domain FROM alias_domain WHERE active = 1",
    ),
}


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements of a store; an empty one is something that the store can't or need not do.

    ``users`` and ``aliases`` read all rows; ``change`` gives a value that differs after an edit; ``update`` sets a
    limit. ``find`` gives the rows of an address by the index, ``find_loosely`` by comparing every row. ``nothing`` is
    an update of no row, by which the database says whether updates are allowed. ``add`` and ``widen`` are for messages:
    they add the column for limits, or make it larger. ``domains`` reads alias domains, in a
    table that may be missing. ``table`` and ``limit`` are the names of table and column; ``columns`` lists the columns
    of the table. ``update_messages`` sets a limit of messages. ``chosen`` are the columns of the rows of ``users`` and
    ``find``; of those of schema custom only their order is known.
    """

    users: str
    aliases: str
    change: str
    update: str
    find: str = ""
    find_loosely: str = ""
    column_type: str = ""
    columns: str = ""
    update_messages: str = ""
    widen: str = ""
    nothing: str = ""
    add: str = ""
    table: str = ""
    limit: str = ""
    own_rows: bool = False
    domains: str = ""
    chosen: tuple[str, ...] = ()
    enabled: int | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """SQL that differs between MySQL and SQLite. ``{a}`` stands for the address column.

    ``exact`` makes a comparison of every byte: collations of MySQL take jöhn for john and "a " for "a", and SQLite's
    NOCASE takes A for a. ``loose`` is the address in the form of rows.address_of().
    """

    lock: str
    exact: str
    loose: str
    integer: str
    widen: str
    column_type: str
    columns: str


MYSQL = Dialect(
    lock=" FOR UPDATE",
    exact="CONVERT({a} USING utf8mb4) COLLATE utf8mb4_bin",
    loose="LOWER(TRIM({a}))",
    integer="BIGINT",
    widen="ALTER TABLE {table} MODIFY {limit} BIGINT NOT NULL DEFAULT 0",
    column_type=(
        "SELECT COLUMN_TYPE FROM information_schema.COLUMNS"
        " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '{table}' AND COLUMN_NAME = '{limit}'"
    ),
    columns=(
        "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '{table}'"
    ),
)
SQLITE = Dialect(
    lock="",  # BEGIN IMMEDIATE has locked the file
    exact="{a} COLLATE BINARY",
    loose="mailquota_address(CAST({a} AS BLOB))",  # a function of sqlite.py; a BLOB, as text that is not UTF-8 fails
    integer="INTEGER",
    widen="",  # SQLite stores integers in 64 bits, whatever the column's type
    column_type="",
    columns="SELECT name FROM pragma_table_info('{table}')",
)
DIALECTS: dict[Kind, Dialect] = {"mysql": MYSQL, "sqlite": SQLITE}

# An edit has to be detected without transferring the rows. Alternatives, with times for 100,000 users in MariaDB 10.11:
# - UPDATE_TIME of information_schema costs nothing, but has whole seconds, is lost at a restart, and may be a day old
#   in MySQL 8 (information_schema_stats_expiry).
# - CHECKSUM TABLE (16 ms) and SUM(CRC32(row)) (17 ms) add up CRCs of rows. A CRC is linear: when two accounts swap
#   their limits, both CRCs change in the same bits. So about 1 swap in 10,000 keeps the sum (CHECKSUM TABLE missed 2 of
#   60,000), and every swap keeps BIT_XOR(CRC32(row)).
# - 64 bits of SHA-256 (46 ms) have no such pattern; MD5 takes twice as long here.
# The digests are added, not XORed, because two equal rows would cancel each other out.
_DIGEST = (
    "SELECT COUNT(*), SUM(CAST(CONV(LEFT(SHA2(CONCAT_WS(0x00, {columns}), 256), 16), 16, 10) AS UNSIGNED)) FROM {table}"
)


def make_statements(
    schema: Schema, kind: Kind, queries: Queries | None, more: Sequence[str] = (), messages: str = ""
) -> Statements:
    """The statements of a schema for a kind of database. Raises SettingsError where queries of custom are missing.

    ``more`` are columns that rows get besides, of schemas with tables; ``messages`` is the one with limits of messages.
    """
    if schema == "custom":
        return _custom(kind, queries)
    return _for_tables(TABLE_NAMES[schema], kind, more, messages)


def _for_tables(layout: TableNames, kind: Kind, more: Sequence[str], messages: str) -> Statements:
    dialect = DIALECTS[kind]
    table, address, limit = layout.users, layout.address, layout.limit
    names = {"a": address, "table": table, "limit": limit}
    chosen = (address, limit, *([layout.enabled] if layout.enabled else []), *more)
    columns = [*chosen[: len(chosen) - len(more)], *(f"`{name}`" for name in more)]  # both kinds take such quotes
    row = f"SELECT {', '.join(columns)} FROM {table} WHERE"
    this_one = f" WHERE {address} = %(address)s AND {dialect.exact.format(**names)} = %(address)s"
    return Statements(
        users=f"SELECT {', '.join(columns)} FROM {table}",
        aliases=f"SELECT {layout.source}, {layout.destination} FROM {layout.aliases}{layout.where}",
        change=_mysql_change(layout, columns) if kind == "mysql" else "",
        update=_with_parameters(f"UPDATE {table} SET {limit} = %(limit)s{this_one}", kind),
        update_messages=_with_parameters(f"UPDATE {table} SET `{messages}` = %(messages)s{this_one}", kind)
        if messages
        else "",
        columns=dialect.columns.format(**names),
        find=_with_parameters(f"{row} {address} = %(address)s{dialect.lock}", kind),
        find_loosely=_with_parameters(f"{row} {dialect.loose.format(**names)} = %(address)s", kind),
        column_type=dialect.column_type.format(**names),
        widen=dialect.widen.format(**names),
        nothing=f"UPDATE {table} SET {limit} = {limit} WHERE 1 = 0",
        add=f"ALTER TABLE {table} ADD COLUMN {limit} {dialect.integer} NOT NULL DEFAULT 0",
        table=table,
        limit=limit,
        own_rows=layout.own_rows,
        domains=layout.domains,
        chosen=chosen,
        enabled=2 if layout.enabled else None,
    )


def _mysql_change(layout: TableNames, columns: list[str]) -> str:
    users = _DIGEST.format(columns=_filled(columns), table=layout.users)
    aliases = _DIGEST.format(columns=_filled([layout.source, layout.destination]), table=layout.aliases)
    return f"{users} UNION ALL {aliases}{layout.where}"


def _filled(columns: list[str]) -> str:
    # CONCAT_WS leaves out a NULL, so that (NULL, x) and (x, NULL) would have the same digest.
    return ", ".join(f"COALESCE({column}, '')" for column in columns)


def _custom(kind: Kind, queries: Queries | None) -> Statements:
    if queries is None or not queries.users_query.strip():
        raise SettingsError('accounts.users_query is empty, and accounts.schema = "custom" needs it')
    missing = [mark for mark in ("%(limit)s", "%(address)s") if mark not in queries.set_query]
    if queries.set_query.strip() and missing:
        raise SettingsError(f"accounts.set_query lacks {' and '.join(missing)}")
    update = _with_parameters(_plain(queries.set_query), kind)
    return Statements(
        users=_plain(queries.users_query),
        aliases=_plain(queries.aliases_query),
        change=_plain(queries.change_query),
        update=update,
        update_messages=update if "%(messages)s" in queries.set_query else "",
    )


def _plain(query: str) -> str:
    return query.strip().rstrip(";")


def _with_parameters(sql: str, kind: Kind) -> str:
    """A statement with the parameters as the driver of ``kind`` expects them; any other percent sign stays one."""
    percent = "%%" if kind == "mysql" else "%"  # PyMySQL formats the text with %

    def mark(found: re.Match[str]) -> str:
        name = found[1]
        if not name:
            return percent
        return found[0] if kind == "mysql" else f":{name}"

    return re.sub(r"%\((limit|address|messages)\)s|%%?", mark, sql)
