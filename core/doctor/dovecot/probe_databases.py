"""Logs in to the SQL databases in which Dovecot looks users up, with Dovecot's own settings. Writes nothing.

The password is in the file that ``args`` names (2.3), or in the files of Dovecot's settings (2.4). It is used for the
login and kept nowhere. Raises nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from urllib.parse import quote

from ...base.endpoints import MYSQL_SOCKET, DatabaseUrl, host_port, parse_database_url
from ...base.errors import MailquotaError
from ...base.mysql import NoHostError, Target, connect_any
from ...base.programs import FileText, Read
from ...base.text import visible
from ...base.threads import within
from ...servers.dovecot.conf import Block, dovecot_version, driver_of, parse_doveconf
from ...servers.dovecot.sql import SqlSource, password_in, sql_source_of_conf, sql_source_of_file
from ...settings.discover_accounts import ListFiles, password_file
from .facts import SqlLogin

LogIn = Callable[[Target], str]

_MOST = 8  # databases
_SECONDS = 4.0  # for a login: a host may take the connection and say nothing
_IN_ALL = 8.0  # after which no other login is tried; the doctor waits little longer for all that it asks of Dovecot


def logins(doveconf: str, read: Read, listed: ListFiles, log_in: LogIn) -> tuple[SqlLogin, ...]:
    """A login to each SQL database of the user and password databases in the output of ``doveconf -n``."""
    conf, modern = parse_doveconf(doveconf), dovecot_version(doveconf) >= (2, 4)
    blocks = [block for kind in ("userdb", "passdb") for block in conf.of_kind(kind) if driver_of(block) == "sql"]
    sources = _modern(conf, blocks, doveconf, read, listed) if modern else _old(blocks, read)
    log_in = _bounded(log_in, monotonic() + _IN_ALL)
    found: dict[str, SqlLogin] = {}
    for source, password in sources:
        if (source.url or source.fault) not in found and len(found) < _MOST:
            found[source.url or source.fault] = _login(source, password, log_in)
    return tuple(found.values())


def _bounded(log_in: LogIn, until: float) -> LogIn:
    """The same login, given up after _SECONDS, and not tried after ``until``."""

    def bounded(target: Target) -> str:
        if monotonic() > until:
            return "not tried, as other logins took too long"
        try:
            return within(_SECONDS, lambda: log_in(target))
        except TimeoutError:
            return f"no answer within {_SECONDS:g} s"

    return bounded


def _old(blocks: Sequence[Block], read: Read) -> Iterator[tuple[SqlSource, str]]:
    for file in dict.fromkeys(block.values.get("args", "") for block in blocks):
        text = read(file)
        if text.text is None:
            yield SqlSource(file, fault=text.fault), ""
        else:
            yield sql_source_of_file(file, text.text), password_in(text.text) or ""


def _modern(
    conf: Block, blocks: Sequence[Block], doveconf: str, read: Read, listed: ListFiles
) -> Iterator[tuple[SqlSource, str]]:
    """doveconf hides the passwords, so they are looked for in the files of the settings."""
    for block in blocks:
        source = sql_source_of_conf(conf, block)
        if not source.has_password:
            yield source, ""
            continue
        found = password_file(doveconf, read, listed)
        text = read(found[0]) if found else FileText(fault="the password is in no file of Dovecot that could be read")
        if text.text is None:
            yield SqlSource(source.origin, fault=text.fault), ""
        else:
            yield source, password_in(text.text) or text.text.strip()


def _login(source: SqlSource, password: str, log_in: LogIn) -> SqlLogin:
    if source.url is None:
        return SqlLogin(origin=source.origin, fault=source.fault)
    url = parse_database_url(source.url)
    said = _try_all(url, password, log_in)
    failures = tuple((where, why) for where, why in said if why)
    answering = len(said) - len(failures)
    return SqlLogin(origin=source.origin, url=url.without_password(), answering=answering, failures=failures)


def _try_all(url: DatabaseUrl, password: str, log_in: LogIn) -> list[tuple[str, str]]:
    """Each host, or the file, with the reason why the login failed, empty where it did not.

    ``localhost`` stands for the UNIX socket and for the port behind it (mysql_url): one that answers is enough.
    """
    if url.kind == "sqlite":
        return [(url.path, log_in(Target("sqlite", path=Path(url.path))))]
    said = {}
    for host, port in url.hosts:
        where = host if host.startswith("/") else host_port(host, port)
        said[where] = log_in(Target("mysql", ((host, port),), url.database, url.user, password))
    if said.get(MYSQL_SOCKET) and not all(why for where, why in said.items() if where.startswith("localhost:")):
        del said[MYSQL_SOCKET]
    elif said.get(MYSQL_SOCKET) == "":
        said = {where: why for where, why in said.items() if not where.startswith("localhost:")}
    return list(said.items())


def log_in_to(target: Target) -> str:
    """Log in to a database; the reason why that fails, empty where it does not. Blocks for some seconds at most."""
    if target.path is not None:
        return _open_sqlite(str(target.path))
    try:
        connection, _, _ = connect_any(target, 0)
    except NoHostError as error:
        return visible("; ".join(why for _, why in error.failures))
    except MailquotaError as error:
        return visible(str(error))
    connection.close()
    return ""


def _open_sqlite(path: str) -> str:
    """Why a SQLite file can't be read; empty where it can. It is opened for reading only, and not created."""
    try:
        connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=2.0)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        return visible(str(error))
    return ""
