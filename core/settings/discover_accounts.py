"""Discovers the accounts database: in the maps of Postfix, or where these name none, in the databases of Dovecot.

No password is copied; only the path of the file that holds it is kept. The schema follows from the queries.
"""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Callable, Iterator, Sequence

import msgspec

from ..base.endpoints import MYSQL_PORT, MYSQL_SOCKET, parse_database_url
from ..base.programs import FileText, Read
from ..servers.dovecot.conf import Block, config_file, driver_of
from ..servers.dovecot.sql import (
    SqlSource,
    includes,
    other_unit,
    password_file_in,
    password_in,
    schema_of,
    sql_source_of_conf,
    sql_source_of_file,
)
from ..servers.postfix.maps import (
    database_maps,
    database_url,
    main_cf_map,
    map_query,
    parse_map_file,
    with_options,
)
from .collector import SettingsCollector
from .lenny import NAMED, is_lenny

ListFiles = Callable[[str], Sequence[str]]  # the files that match a pattern

_NO_OTHER_USERS = {"sql", "prefetch", "static"}  # user databases that add no users to those in SQL
_HERE = {("127.0.0.1", MYSQL_PORT), ("::1", MYSQL_PORT)}
_MOST_FILES = 200  # of Dovecot's settings that are searched for a password


class ServerOutput(msgspec.Struct, frozen=True):
    """The output of postconf and doveconf. ``postfix`` or ``dovecot`` is None where ``…_fault`` is the reason.

    ``doveconf`` is the text that ``dovecot`` was parsed from; ``modern``: it is of Dovecot 2.4.
    """

    postfix: dict[str, str] | None
    postfix_fault: str
    dovecot: Block | None
    dovecot_fault: str
    doveconf: str
    modern: bool


def find_accounts(collector: SettingsCollector, output: ServerOutput, read: Read, listed: ListFiles) -> None:
    """Collect the settings of [accounts], or the faults that say why they are not known."""
    sources = list(_dovecot_sources(output, read))
    usable = [source for source in sources if source.url]
    faults = list(_take_postfix(collector, output, read, listed))
    if not collector.has("accounts", "database"):
        if not usable:
            for fault in [*faults, *_nothing_in_dovecot(output, sources)]:
                collector.fault("accounts.database", fault)
            return
        _take_dovecot(collector, output, usable[0], read, listed)
    _judge_schema(collector, usable)
    _name_others(collector, output)


def _take_postfix(collector: SettingsCollector, output: ServerOutput, read: Read, listed: ListFiles) -> Iterator[str]:
    """Take the first map that names a database; yields the faults of those before it."""
    if output.postfix is None:
        yield output.postfix_fault
        return
    value = output.postfix.get("virtual_mailbox_maps", "")
    maps = database_maps(value)
    if not maps:
        yield f"virtual_mailbox_maps of Postfix names no database ({value[:100] or 'it is empty'})"
    main_cf = f"{output.postfix.get('config_directory', '/etc/postfix')}/main.cf"
    for kind, name in maps:
        file = name if name.startswith("/") else main_cf
        prefix = "" if file == name else f"{name}_"
        text = read(file)
        values = main_cf_map(text.text or "", name) if prefix else parse_map_file(text.text or "")
        options = read(values["option_file"]) if values.get("option_file") else FileText("")
        if text.text is None or options.text is None:
            yield text.fault or options.fault
            continue
        values = with_options(values, options.text)
        url = database_url(kind, values)
        if url is not None:
            _take_map(collector, file, prefix, values, _socket_first(url, listed))
            return
        yield f"{file} does not say which database, where and as whom"


def _take_map(collector: SettingsCollector, file: str, prefix: str, values: dict[str, str], url: str) -> None:
    """Take the database of a map in ``file``, where the names of its settings begin with ``prefix``."""
    sqlite = url.startswith("sqlite:")
    settings = ("dbpath",) if sqlite else ("hosts", "user", "dbname")
    collector.add("accounts", "database", url, f"{file} {', '.join(prefix + name for name in settings)}")
    if values.get("password") and not sqlite:
        collector.add("accounts", "password_file", file, f"{file} {prefix}password")
    schema = schema_of(map_query(values))
    if is_lenny(map_query(values)):
        collector.fault("accounts.schema", f"{file}: {NAMED}")
    if schema:
        collector.add("accounts", "schema", schema, f"{file} {prefix}{'query' if values.get('query') else 'table'}")


def _socket_first(url: str, listed: ListFiles) -> str:
    """The URL with the UNIX socket before the standard port of this machine, if the server's socket is there.

    Anybody may listen on the port while the server is down. The socket's folder is the server's.
    """
    known = parse_database_url(url)
    here = [place for place in known.hosts if place in _HERE]
    if not here or any(host.startswith("/") for host, _ in known.hosts) or not listed(MYSQL_SOCKET):
        return url
    at = known.hosts.index(here[0])
    hosts = (*known.hosts[:at], (MYSQL_SOCKET, 0), *known.hosts[at:])
    return dataclasses.replace(known, hosts=hosts).without_password()


def _dovecot_sources(output: ServerOutput, read: Read) -> Iterator[SqlSource]:
    """The SQL databases of Dovecot's userdbs and passdbs. Beside userdb static or prefetch only a passdb has one."""
    conf = output.dovecot or Block()
    for block in (*conf.of_kind("userdb"), *conf.of_kind("passdb")):
        if driver_of(block) != "sql":
            continue
        if output.modern:
            yield sql_source_of_conf(conf, block)
            continue
        file = block.values.get("args", "")
        text = read(file)
        yield SqlSource(file, fault=text.fault) if text.text is None else sql_source_of_file(file, text.text)


def _nothing_in_dovecot(output: ServerOutput, sources: list[SqlSource]) -> list[str]:
    if output.dovecot is None:
        return [output.dovecot_fault]
    kinds = ", ".join(driver_of(block) for block in output.dovecot.of_kind("userdb"))
    return [source.fault for source in sources] or [f"Dovecot's user database ({kinds or 'none'}) is not in SQL"]


def _take_dovecot(
    collector: SettingsCollector, output: ServerOutput, source: SqlSource, read: Read, listed: ListFiles
) -> None:
    what = "" if output.modern else " connect"
    collector.add("accounts", "database", source.url and _socket_first(source.url, listed), f"{source.origin}{what}")
    if not source.has_password:
        return
    if not output.modern:
        collector.add("accounts", "password_file", source.origin, f"{source.origin} connect")
    elif found := password_file(output.doveconf, read, listed):
        collector.add("accounts", "password_file", found[0], f"{found[1]} mysql password")
    else:
        collector.fault(
            "accounts.password_file",
            f"the password of {source.origin.removeprefix('doveconf ')} is in no file of Dovecot that could be"
            " read; write it into /etc/mailquota/password, alone on a line, for root only (chmod 0600)",
        )


def password_file(doveconf: str, read: Read, listed: ListFiles) -> tuple[str, str] | None:
    """The file that holds the database password (Dovecot 2.4), and the file of Dovecot's settings that names it.

    Both are the same where the password itself is in the settings. doveconf prints no passwords, so the files are
    searched, from the main one along its includes. Only the paths are returned.
    """
    waiting, seen = [config_file(doveconf)], set[str]()
    while waiting and len(seen) < _MOST_FILES:
        file = waiting.pop(0)
        text = read(file).text if file and file not in seen else None
        seen.add(file)
        if text is None:
            continue
        elsewhere = password_file_in(text)
        if elsewhere or password_in(text):
            return posixpath.normpath(posixpath.join(posixpath.dirname(file), elsewhere or file)), file
        for pattern in includes(text):
            waiting += listed(posixpath.join(posixpath.dirname(file), pattern))
    return None


def _judge_schema(collector: SettingsCollector, sources: list[SqlSource]) -> None:
    """Take the schema of Dovecot's query where Postfix's gave none. Drop it where Dovecot's limits are not in bytes."""
    for source in sources:
        schema = schema_of(source.query)
        if schema and not collector.has("accounts", "schema"):
            collector.add("accounts", "schema", schema, f"{source.origin} query")
    odd = next((source for source in sources if other_unit(source.query)), None)
    if collector.has("accounts", "schema"):  # the views may have been kept beside newer tables
        collector.faults = [fault for fault in collector.faults if NAMED not in fault]
    if odd is not None and collector.values["accounts"].get("schema") != "ispmail":
        collector.drop("accounts", "schema")
        collector.fault("accounts.schema", f"the query in {odd.origin} gives limits in another unit than bytes")
    elif lenny := next((source for source in sources if is_lenny(source.query)), None):
        collector.fault("accounts.schema", f"{lenny.origin}: {NAMED}")
    elif not collector.has("accounts", "schema") and not collector.lacks("accounts.schema"):
        collector.fault("accounts.schema", "no query of Postfix or Dovecot uses the tables of ISPmail or PostfixAdmin")


def _name_others(collector: SettingsCollector, output: ServerOutput) -> None:
    kinds = [driver_of(block) for block in (output.dovecot or Block()).of_kind("userdb")]
    others = list(dict.fromkeys(kind for kind in kinds if kind not in _NO_OTHER_USERS))
    if others:
        collector.fault(
            "accounts", f"userdb {', '.join(others)} of Dovecot is not covered: mailquota does not see its users"
        )
