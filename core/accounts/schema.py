"""Every statement of the accounts, for schema ispmail, postfixadmin and custom, in both dialects.

Values are always parameters, written %(address)s and %(limit)s; only names from the table below enter a text.
Left out: postfixadmin's alias_domain, so an address of an alias domain is unknown here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mailquota.core.accounts.store import Queries, Schema
from mailquota.core.base.errors import SettingsError
from mailquota.core.base.mysql import Kind


@dataclass(frozen=True, slots=True)
class TableNames:
    """Names of tables and columns."""

    users: str
    address: str
    limit: str
    enabled: str
    aliases: str
    source: str
    destination: str
    where: str  # which aliases count
    own_rows: bool  # every mailbox has an alias to itself


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
    ),
}


@dataclass(frozen=True, slots=True)
class Statements:
    """What a store runs; an empty text is something it can't or need not do.

    ``find`` and ``find_loosely`` give the rows of an address, by the index and by looking at every row. ``nothing`` is
    a change that meets no row: the database says whether it would be allowed.
    """

    users: str
    aliases: str
    change: str
    update: str
    find: str = ""
    find_loosely: str = ""
    column_type: str = ""
    widen: str = ""
    nothing: str = ""
    add: str = ""
    table: str = ""
    limit: str = ""
    own_rows: bool = False


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where the two differ. ``{a}`` stands for the address column.

    ``exact`` compares every byte: MySQL's collations take jöhn for john and "a " for "a", SQLite's NOCASE takes A
    for a.
    ``loose`` is the address as rows.address_of() makes it.
    """

    lock: str
    exact: str
    loose: str
    integer: str
    widen: str
    column_type: str


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
)
SQLITE = Dialect(
    lock="",  # BEGIN IMMEDIATE has locked the file
    exact="{a} COLLATE BINARY",
    loose="mailquota_address(CAST({a} AS BLOB))",  # our function, which text that is no UTF-8 could not reach
    integer="INTEGER",
    widen="",  # an INTEGER has 64 bits whatever its column is called
    column_type="",
)
DIALECTS: dict[Kind, Dialect] = {"mysql": MYSQL, "sqlite": SQLITE}

# An edit must show up without a row being transferred. What was weighed (100,000 users, MariaDB 10.11):
# - UPDATE_TIME of information_schema costs nothing, but has whole seconds, is lost at a restart, and may be a day old
#   in MySQL 8 (information_schema_stats_expiry).
# - CHECKSUM TABLE (16 ms) and SUM(CRC32(row)) (17 ms) add up CRCs of rows. A CRC is linear: when two accounts swap
#   their limits, both CRCs change in the same bits. So about 1 swap in 10,000 keeps the sum (CHECKSUM TABLE missed 2 of
#   60,000), and every swap keeps BIT_XOR(CRC32(row)).
# - 64 bits of SHA-256 (46 ms) have no such pattern; MD5 takes twice as long here.
# Summed up rather than XORed, as two equal rows would cancel each other.
_DIGEST = (
    "SELECT COUNT(*), SUM(CAST(CONV(LEFT(SHA2(CONCAT_WS(0x00, {columns}), 256), 16), 16, 10) AS UNSIGNED)) FROM {table}"
)


def make_statements(schema: Schema, kind: Kind, queries: Queries | None) -> Statements:
    """The statements of a schema in a dialect. Raises SettingsError for queries that can't work."""
    if schema == "custom":
        return _custom(kind, queries)
    return _for_tables(TABLE_NAMES[schema], kind)


def _for_tables(layout: TableNames, kind: Kind) -> Statements:
    dialect = DIALECTS[kind]
    table, address, limit = layout.users, layout.address, layout.limit
    names = {"a": address, "table": table, "limit": limit}
    columns = [address, limit, *([layout.enabled] if layout.enabled else [])]
    row = f"SELECT {address}, {limit} FROM {table} WHERE"
    return Statements(
        users=f"SELECT {', '.join(columns)} FROM {table}",
        aliases=f"SELECT {layout.source}, {layout.destination} FROM {layout.aliases}{layout.where}",
        change=_mysql_change(layout, columns) if kind == "mysql" else "",
        update=_marked(
            f"UPDATE {table} SET {limit} = %(limit)s"
            f" WHERE {address} = %(address)s AND {dialect.exact.format(**names)} = %(address)s",
            kind,
        ),
        find=_marked(f"{row} {address} = %(address)s{dialect.lock}", kind),
        find_loosely=_marked(f"{row} {dialect.loose.format(**names)} = %(address)s", kind),
        column_type=dialect.column_type.format(**names),
        widen=dialect.widen.format(**names),
        nothing=f"UPDATE {table} SET {limit} = {limit} WHERE 1 = 0",
        add=f"ALTER TABLE {table} ADD COLUMN {limit} {dialect.integer} NOT NULL DEFAULT 0",
        table=table,
        limit=limit,
        own_rows=layout.own_rows,
    )


def _mysql_change(layout: TableNames, columns: list[str]) -> str:
    users = _DIGEST.format(columns=_filled(columns), table=layout.users)
    aliases = _DIGEST.format(columns=_filled([layout.source, layout.destination]), table=layout.aliases)
    return f"{users} UNION ALL {aliases}{layout.where}"


def _filled(columns: list[str]) -> str:
    # CONCAT_WS leaves a NULL out, and the next column would take its place.
    return ", ".join(f"COALESCE({column}, '')" for column in columns)


def _custom(kind: Kind, queries: Queries | None) -> Statements:
    if queries is None or not queries.users_query.strip():
        raise SettingsError('accounts.users_query is empty, and accounts.schema = "custom" needs it')
    missing = [mark for mark in ("%(limit)s", "%(address)s") if mark not in queries.set_query]
    if queries.set_query.strip() and missing:
        raise SettingsError(f"accounts.set_query lacks {' and '.join(missing)}")
    return Statements(
        users=_plain(queries.users_query),
        aliases=_plain(queries.aliases_query),
        change=_plain(queries.change_query),
        update=_marked(_plain(queries.set_query), kind),
    )


def _plain(query: str) -> str:
    return query.strip().rstrip(";")


def _marked(sql: str, kind: Kind) -> str:
    """Put the dialect's marks for parameters; any other per cent sign stays one."""
    percent = "%%" if kind == "mysql" else "%"  # PyMySQL formats the text with %

    def mark(found: re.Match[str]) -> str:
        name = found[1]
        if not name:
            return percent
        return found[0] if kind == "mysql" else f":{name}"

    return re.sub(r"%\((limit|address)\)s|%%?", mark, sql)
