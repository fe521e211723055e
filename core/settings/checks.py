"""Checks of single settings. Pure; each takes a value of the right type and raises ``UsageError`` if it is not valid.

They run when the settings are loaded, so that no setting fails only when it is first used.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from string import Formatter
from urllib.parse import urlsplit

from ..base.endpoints import (
    has_control,
    mask_secrets,
    parse_database_url,
    parse_host_port,
    parse_listen,
    socket_path,
)
from ..base.errors import UsageError
from ..base.text import shown
from ..base.units import parse_duration, parse_grace, parse_size, parse_time_span
from .actions import check_answer

SET_QUERY_FIELDS = ("%(limit)s", "%(address)s")
MAILSTORE_FIELDS = ("domain", "user")
_SHORTEST_REFRESH = 0.1
_PERCENT_MAX = 1000
_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+")
_DOMAIN_OR_ADDRESS = re.compile(r"(?:\S+@)?[^\s@]+")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:[-_][A-Za-z]{2,4})?")


def refuse(value: str, expected: str) -> UsageError:
    """The error for a value that is not as expected; passwords in it are masked."""
    return UsageError(f"found {shown(mask_secrets(value))}, expected {expected}")


def optional(check: Callable[[str], object]) -> Callable[[str], None]:
    """The same check, which also accepts the empty text."""

    def check_unless_empty(value: str) -> None:
        if value:
            check(value)

    return check_unless_empty


def each(check: Callable[[str], object]) -> Callable[[Iterable[str]], None]:
    """A check of all items of a list."""

    def check_each(values: Iterable[str]) -> None:
        for value in values:
            check(value)

    return check_each


def database_url(value: str) -> None:
    """The URL of a database."""
    parse_database_url(value)


def file_path(value: str) -> None:
    """An absolute path, or one that starts with $CREDENTIALS_DIRECTORY."""
    if not value.startswith(("/", "$CREDENTIALS_DIRECTORY/")) or has_control(value):
        raise refuse(value, "an absolute path")


def postfix_map(value: str) -> None:
    """A map as in Postfix's settings: its type, a colon, and what that type needs."""
    if not re.match(r"[a-z]+:\S", value) or has_control(value):
        raise refuse(value, "a map of Postfix, like hash:/etc/postfix/virtual")


def refresh_time(value: str) -> None:
    """A duration of at least 0.1 s: with 0 the database would be asked without a pause."""
    if parse_duration(value) < _SHORTEST_REFRESH:
        raise refuse(value, f"{_SHORTEST_REFRESH:g} s or longer")


def size(value: str) -> None:
    """A size in bytes, 0 included."""
    parse_size(value)


def duration(value: str) -> None:
    """A duration, 0 included."""
    parse_duration(value)


def duration_above_zero(value: str) -> None:
    """A duration above 0."""
    if parse_duration(value) <= 0:
        raise refuse(value, "a duration above 0")


def set_query(value: str) -> None:
    """An SQL text with both placeholders; any other % has to be doubled."""
    missing = [field for field in SET_QUERY_FIELDS if field not in value]
    if missing:
        raise refuse(value, f"an SQL text with the placeholder {missing[0]}")
    try:
        value % {"limit": 0, "address": "", "messages": 0}
    except (KeyError, TypeError, ValueError):
        known = "%(limit)s, %(messages)s and %(address)s"
        raise refuse(value, f"no placeholders but {known} (a plain % is written %%)") from None


def mailstore_path(value: str) -> None:
    """An absolute path with {user} in it, without ``..``."""
    try:
        parts = list(Formatter().parse(value))
    except ValueError:
        raise refuse(value, "braces only around domain and user") from None
    fields = [(field, spec, conversion) for _, field, spec, conversion in parts if field is not None]
    if any(field not in MAILSTORE_FIELDS or spec or conversion for field, spec, conversion in fields):
        raise refuse(value, "the placeholders {domain} and {user} and no others")
    if "user" not in {field for field, _, _ in fields}:
        raise refuse(value, "a path with {user} in it: one Maildir for each account")
    if not value.startswith("/") or has_control(value) or ".." in value.split("/"):
        raise refuse(value, 'an absolute path without ".."')


def doveadm(value: str) -> None:
    """``auto``, ``off``, a command, or the URL of doveadm's HTTP API."""
    if value.startswith(("http:", "https:")):
        _http_url(value)
    elif not _split_command(value):
        raise refuse(value, "auto, off, a command, or http://HOST:PORT")


def _http_url(value: str) -> None:
    try:
        url = urlsplit(value)
        sound = bool(url.hostname) and url.port != 0 and url.path in {"", "/"} and "@" not in url.netloc
    except ValueError:  # a port that is no number
        sound = False
    if not sound or url.query or url.fragment or has_control(value):
        raise refuse(value, "http://HOST:PORT (the password belongs into doveadm_password_file)")


def _split_command(value: str) -> list[str]:
    try:
        return [] if has_control(value) else shlex.split(value)
    except ValueError as error:  # an open quote
        raise refuse(value, f"a command as a shell would take it ({error})") from None


def folder_name(value: str) -> None:
    """The name of a mailbox, or the flag \\Trash."""
    if not value.strip() or has_control(value):
        raise refuse(value, "the name of a folder")


def listen_address(value: str) -> None:
    """A socket address."""
    parse_listen(value)


def listen_addresses(values: Iterable[str]) -> None:
    """Socket addresses: at least one, and none twice."""
    seen: set[str] = set()
    for value in values:
        address = str(parse_listen(value))
        if address in seen:
            raise UsageError(f"found {shown(value)} twice, expected each address once")
        seen.add(address)
    if not seen:
        raise UsageError('found none, expected an address that Postfix asks, like ["inet:127.0.0.1:12345"]')


def host_and_port(value: str) -> None:
    """``HOST:PORT`` of a TCP listener."""
    parse_host_port(value)


def control_socket(value: str) -> None:
    """The path of a UNIX socket."""
    socket_path(value)


def account_name(value: str) -> None:
    """A user or group of this machine, by name or number."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?", value, re.ASCII):
        raise refuse(value, "the name of a user or group")


def file_mode(value: str) -> None:
    """Access rights in octal."""
    if not re.fullmatch(r"0?[0-7]{3}", value, re.ASCII):
        raise refuse(value, 'access rights in octal, like "0660"')


def answer(value: str) -> None:
    """An action that may be sent to Postfix."""
    check_answer(value)


def answer_or_nothing(value: str) -> None:
    """An action that may be sent to Postfix, or the empty text."""
    check_answer(value, may_be_empty=True)


def grace(value: str) -> None:
    """A grace: percent of the limit, or a size."""
    parse_grace(value)


def delimiters(value: str) -> None:
    """Characters that separate user and extension in an address; empty: there are no extensions."""
    if any(char.isspace() or not char.isprintable() or char in '@"' for char in value):
        raise refuse(value, "one or more separators like + or -, or nothing")


def address_pattern(value: str) -> None:
    """An address, or a pattern with * for any text."""
    if not value or any(char.isspace() or not char.isprintable() for char in value):
        raise refuse(value, "an address or a pattern like postmaster@*")


def mail_address(value: str) -> None:
    """An address without a name, safe in a mail header and on a command line."""
    if not _ADDRESS.fullmatch(value) or not value.isprintable() or value.startswith("-"):
        raise refuse(value, "an address like postmaster@example.org")


def thresholds(values: Iterable[int | str]) -> None:
    """Percents as whole numbers, or sizes of the space that is left."""
    for value in values:
        if isinstance(value, str):
            _size_left(value)
        elif not 1 <= value <= _PERCENT_MAX:
            raise UsageError(f"found {value}, expected a percentage from 1 to {_PERCENT_MAX}")


def _size_left(value: str) -> None:
    if value.strip().endswith("%"):
        raise refuse(value, 'a percentage as a number (80), or a size that is left as text ("50M")')
    if parse_size(value) < 1:
        raise refuse(value, "a size above 0")


def at_least_one(value: int) -> None:
    """A whole number from 1: a rate of 0 would switch warnings off."""
    if value < 1:
        raise UsageError(f"found {value}, expected a whole number from 1")


def time_span(value: str) -> None:
    """A span of time in a day, ``22:00-07:00``."""
    parse_time_span(value)


def language(value: str) -> None:
    """A language code."""
    if not _LANGUAGE.fullmatch(value):
        raise refuse(value, "a language code like en or de")


def languages(values: dict[str, str]) -> None:
    """A table from domains or addresses to language codes."""
    for name, code in values.items():
        if not _DOMAIN_OR_ADDRESS.fullmatch(name) or not name.isprintable():
            raise refuse(name, "a domain or an address")
        language(code)
