"""Addresses of sockets and URLs of databases, in the forms of the settings: read, checked and written back. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote

from .errors import UsageError
from .text import shown

LISTEN_FORMS = "unix:/PATH, inet:HOST:PORT, inet:[IPV6]:PORT"
URL_FORMS = (
    "mysql://USER@HOST:PORT/DATABASE (several hosts: HOST:PORT,HOST:PORT; with verified TLS: ?ssl_ca=/FILE at the end),"
    " sqlite:////ABSOLUTE/PATH"
)
SUN_PATH_MAX = 107  # bytes; Linux has 108 with the closing NUL, and a longer path is fatal to smtpd
MYSQL_PORT = 3306
MYSQL_SOCKET = "/run/mysqld/mysqld.sock"  # where Debian's client library looks

_HOST = r"\[[0-9a-fA-F:.]+(?:%[\w.-]+)?\]|[\w.-]+"
_HOST_PORT = re.compile(rf"({_HOST}):([0-9]{{1,5}})", re.ASCII)
_DATABASE_HOST = re.compile(rf"({_HOST}|%2[fF][^:,@]+)(?::([0-9]{{1,5}}))?", re.ASCII)
_SSL_CA = "ssl_ca"
_URL_SECRET = re.compile(r"(://[^:/@\s]*):.*@", re.DOTALL)


def mask_secrets(text: str) -> str:
    """A text with the password of each URL in it replaced by ***. A password may hold an @: the last @ ends it."""
    return _URL_SECRET.sub(r"\1:***@", text)


def has_control(text: str) -> bool:
    """Whether the text has a control character in it: a newline, a NUL, an escape."""
    return any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text)


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A socket to listen on or connect to: unix has ``path``, inet ``host`` (IPv6 without brackets) and ``port``."""

    kind: Literal["unix", "inet"]
    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        """``unix:PATH`` or ``inet:HOST:PORT``, as in the settings."""
        return f"unix:{self.path}" if self.kind == "unix" else f"inet:{host_port(self.host, self.port)}"


def host_port(host: str, port: int) -> str:
    """``HOST:PORT``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_listen(text: str) -> ListenAddress:
    """Read ``unix:PATH`` with an absolute path, or ``inet:HOST:PORT``. Raises UsageError."""
    kind, _, rest = text.partition(":")
    if kind == "unix":
        return ListenAddress("unix", path=socket_path(rest, text))
    if kind == "inet":
        host, port = parse_host_port(rest, text)
        return ListenAddress("inet", host=host, port=port)
    raise UsageError(f"{shown(text)} is not an address to listen on; accepted: {LISTEN_FORMS}")


def socket_path(path: str, text: str | None = None) -> str:
    """The path of a UNIX socket, if it is absolute and short enough for the kernel; else raises UsageError.

    ``text`` is the whole setting, for the message.
    """
    read = shown(path if text is None else text)
    if not path.startswith("/") or path.endswith("/") or has_control(path):
        raise UsageError(f"{read}: a socket needs an absolute path, like /run/mailquota/control.sock")
    if len(path.encode()) > SUN_PATH_MAX:
        raise UsageError(f"{read}: {len(path.encode())} bytes; the path of a socket has at most {SUN_PATH_MAX}")
    return path


def parse_host_port(text: str, whole: str | None = None) -> tuple[str, int]:
    """Host, without brackets, and port of ``HOST:PORT``. Raises UsageError with ``whole``, the whole setting."""
    match = _HOST_PORT.fullmatch(text)
    if match is None or not 0 < int(match[2]) < 65536:
        raise UsageError(f"{shown(whole or text)}: accepted are HOST:PORT and [IPV6]:PORT, ports 1 to 65535")
    return match[1].strip("[]"), int(match[2])


@dataclass(frozen=True, slots=True, repr=False)
class DatabaseUrl:
    """A parsed database URL; ``repr`` and ``str`` never show the password.

    MySQL: ``hosts`` in the order in which they are tried, each with its port; a host that begins with / is the path of
    a UNIX socket. SQLite: only ``path``.
    """

    kind: Literal["mysql", "sqlite"]
    user: str = ""
    password: str | None = None  # None: not in the URL
    hosts: tuple[tuple[str, int], ...] = ()
    database: str = ""
    path: str = ""
    ssl_ca: str = ""  # file of certificates; with one TCP is TLS, and the server has to be one of theirs

    def __str__(self) -> str:
        secret = "" if self.password is None else ":***"
        return self._text(secret)

    def __repr__(self) -> str:
        return f"DatabaseUrl({self})"

    def without_password(self) -> str:
        """The URL without its password, for messages and files that others may read."""
        return self._text("")

    def _text(self, secret: str) -> str:
        if self.kind == "sqlite":
            return f"sqlite:///{quote(self.path)}"
        hosts = ",".join(_host_text(host, port) for host, port in self.hosts)
        options = f"?{_SSL_CA}={quote(self.ssl_ca)}" if self.ssl_ca else ""
        return f"mysql://{quote(self.user, safe='')}{secret}@{hosts}/{quote(self.database, safe='')}{options}"


def _host_text(host: str, port: int) -> str:
    return quote(host, safe="") if host.startswith("/") else host_port(host, port)


def parse_database_url(text: str) -> DatabaseUrl:
    """Read a ``mysql:`` or ``sqlite:`` URL, with its parts percent-decoded. Raises UsageError."""
    if has_control(text):
        raise _no_url(text, "no control characters")
    if text.startswith("mysql://"):
        return _mysql_url(text)
    if text.startswith("sqlite:"):
        return _sqlite_url(text)
    raise _no_url(text, "mysql: or sqlite:")


def _no_url(text: str, expected: str) -> UsageError:
    read = shown(mask_secrets(text))
    return UsageError(f"{read} is not the URL of a database (expected: {expected}); accepted: {URL_FORMS}")


def _sqlite_url(text: str) -> DatabaseUrl:
    # Three slashes make a path relative to the working directory, which a service and a shell do not share.
    path = unquote(text.removeprefix("sqlite:///"))
    if not text.startswith("sqlite:///") or not path.startswith("/") or has_control(path):
        raise _no_url(text, "an absolute path, so four slashes")
    return DatabaseUrl("sqlite", path=path)


def _mysql_url(text: str) -> DatabaseUrl:
    # A password may hold an @, / or ? that is not percent-encoded: the last @ ends it.
    login, at, place = text.removeprefix("mysql://").rpartition("@")
    place, question, options = place.partition("?")
    hosts, slash, database = place.partition("/")
    user, colon, password = login.partition(":")
    if not at or not user:
        raise _no_url(text, "a user before the @")
    if not slash or not database or "/" in database:
        raise _no_url(text, "the name of a database after the hosts, and nothing more")
    return DatabaseUrl(
        "mysql",
        user=unquote(user),
        password=unquote(password) if colon else None,
        hosts=tuple(_database_host(text, host) for host in hosts.split(",")),
        database=unquote(database),
        ssl_ca=_ssl_ca(text, options) if question else "",
    )


def _ssl_ca(text: str, options: str) -> str:
    name, _, value = options.partition("=")
    path = unquote(value)
    if name != _SSL_CA or not path.startswith("/") or "&" in value or has_control(path):
        raise _no_url(text, f"after the ? nothing but {_SSL_CA}=/FILE, an absolute path")
    return path


def _database_host(text: str, host: str) -> tuple[str, int]:
    match = _DATABASE_HOST.fullmatch(host)
    port = int(match[2] or MYSQL_PORT) if match else 0
    if match is None or not 0 < port < 65536:
        raise _no_url(text, "hosts as HOST, HOST:PORT or [IPV6]:PORT, separated by commas")
    name = unquote(match[1]).strip("[]")
    return (name, 0) if name.startswith("/") else (name, port)


def mysql_url(user: str, database: str, places: Iterable[tuple[str, str]]) -> str | None:
    """A URL without password, made of another program's settings: hosts or paths of sockets, each with a port or "".

    None where something is missing or makes no valid URL. To MySQL's client library, and so to Postfix and Dovecot,
    ``localhost`` means the UNIX socket, and the database account ``user@localhost`` may be allowed in by it alone.
    """
    texts: list[str] = []
    for host, port in places:
        if host.lower() == "localhost":
            texts.append(quote(MYSQL_SOCKET, safe=""))
        texts.append(quote(host, safe="") if host.startswith("/") else f"{host}:{port}" if port else host)
    url = f"mysql://{quote(user, safe='')}@{','.join(texts)}/{quote(database, safe='')}"
    try:
        parse_database_url(url)
    except UsageError:
        return None
    return url
