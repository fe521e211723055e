"""Reads the passwords of the settings, and gives databases with theirs.

A password is read each time it is needed, so that a changed one counts at the next connection.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..base.endpoints import DatabaseUrl
from ..base.errors import SettingsError
from ..base.mysql import Target
from ..base.programs import own_name, read_bytes
from ..servers.dovecot.sql import password_in
from ..servers.postfix.maps import main_cf_password, parse_map_file
from .config import DEFAULT_ORIGIN, Config

log = logging.getLogger(__name__)

Which = Literal["database", "write_database", "state", "doveadm"]

_LONGEST = 64 * 1024  # bytes; a password file that is longer is something else
_CREDENTIALS = "$CREDENTIALS_DIRECTORY"
_CREDENTIAL_NAMES: dict[Which, str] = {
    "database": "password",
    "write_database": "write_password",
    "state": "state_password",
    "doveadm": "doveadm_password",
}


@dataclass(frozen=True, slots=True)
class Password:
    """A password and its ``origin``: the setting or file that it was read from.

    ``warning`` is a message for the log where everybody may read that file, else empty.
    """

    text: str = field(repr=False)
    origin: str
    warning: str = ""


def read_password(config: Config, which: Which, environ: Mapping[str, str] = os.environ) -> Password:
    """The password in the URL, else in the password file, else in the folder of systemd's credentials.

    Its text is empty where there is none: a database may admit a user by the socket alone. Raises SettingsError, which
    names the file, where a file that is set can't be read or holds no password; the default file may be missing. A file
    that only root may read is no error where systemd, as root, has made a credential of it.
    """
    if which == "write_database" and not config.settings.accounts.write_database:
        which = "database"
    url = _url(config, which)
    if url is not None and url.password is not None:
        return Password(url.password, "state.database" if which == "state" else f"accounts.{which}")
    login = (url.user, url.database) if url is not None else ("", "")
    key, setting = _file_setting(config, which)
    credential = f"{_CREDENTIALS}/{_CREDENTIAL_NAMES[which]}"
    # The variable may have been inherited from another service: its folder is then closed to this user.
    has_credential = bool(environ.get("CREDENTIALS_DIRECTORY")) and os.path.exists(_expanded(credential, environ, key))
    if setting and (config.origin.get(key) != DEFAULT_ORIGIN or _exists(Path(setting))):
        file = Path(_expanded(setting, environ, key))
        if not has_credential or os.access(file, os.R_OK, effective_ids=True):
            return _read(file, key, login)
    if has_credential:
        return _read(Path(_expanded(credential, environ, key)), key, login)
    return Password("", f"none: no {setting or key}, no {credential}, none in the URL")


def database_target(config: Config, url: DatabaseUrl, which: Which) -> Target:
    """The database of a URL with its password. Raises SettingsError where the password can't be read."""
    if url.kind == "sqlite":
        return Target("sqlite", path=Path(url.path))
    password = read_password(config, which)
    if password.warning:
        log.warning("%s", password.warning)
    return Target("mysql", url.hosts, url.database, url.user, password.text, ssl_ca=url.ssl_ca)


def _exists(file: Path) -> bool:
    """True also for a file in a folder that this user may not enter: reading it raises the better message."""
    try:
        return file.exists()
    except PermissionError:
        return True


def password_files(config: Config) -> dict[str, str]:
    """The files that passwords are read from, by the names of their credentials of systemd (``password`` …)."""
    found = {}
    for which, name in _CREDENTIAL_NAMES.items():
        _, setting = _file_setting(config, which)
        url = _url(config, which) if which != "write_database" or config.settings.accounts.write_database else None
        if setting and not setting.startswith(_CREDENTIALS) and (url is None or url.password is None):
            found[name] = setting
    return found


def _url(config: Config, which: Which) -> DatabaseUrl | None:
    if which == "doveadm":
        return None
    if which == "state":
        return config.settings.state.url
    accounts = config.settings.accounts
    return accounts.url if which == "database" else accounts.write_url


def _file_setting(config: Config, which: Which) -> tuple[str, str]:
    settings = config.settings
    if which == "state":
        return "state.database", ""
    if which == "doveadm":
        return "mailstore.doveadm_password_file", settings.mailstore.doveadm_password_file
    if which == "database":
        return "accounts.password_file", settings.accounts.password_file
    return "accounts.write_password_file", settings.accounts.write_password_file


def _expanded(setting: str, environ: Mapping[str, str], key: str) -> str:
    if not setting.startswith(_CREDENTIALS):
        return setting
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise SettingsError(f"{key}: {setting} can't be read: CREDENTIALS_DIRECTORY is not set (systemd sets it)")
    return folder + setting.removeprefix(_CREDENTIALS)


def _read(file: Path, key: str, login: tuple[str, str]) -> Password:
    """The password in a file. ``login``, user and database, picks one where the file has several."""
    try:
        text = read_bytes(str(file), _LONGEST + 1).decode()
        mode = file.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        fault = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        unread = SettingsError(f"{key}: {file} can't be read: {fault}")
        if isinstance(error, PermissionError):
            unread.advice = _own_file(key)
        raise unread from None
    text = text.rstrip("\r\n")
    if "\n" in text:
        text = _from_map(file, text, key, login)
    if not text or len(text) > _LONGEST or "\0" in text:
        raise SettingsError(f"{key}: {file}: found no password in it, expected one line of text")
    readable = f"{file} is readable by everybody; {_cure(file)}" if mode & stat.S_IROTH else ""
    return Password(text, str(file), readable)


def _own_file(key: str) -> tuple[str, ...]:
    """The commands and settings that give this user, who is not root, a password file that it can read."""
    section, _, name = key.partition(".")
    file, user = f"/etc/mailquota/{name.removesuffix('_file')}", own_name()
    return (
        f"Put that password, and nothing else, into a file that {user} can read. As root:",
        "",
        f"install -D -o {user} -m 0400 /dev/null {file}",
        "",
        "And into the settings:",
        "",
        f"[{section}]",
        f'{name} = "{file}"',
    )


def _cure(file: Path) -> str:
    """main.cf has to stay readable: sendmail(1) reads it as the user who calls it."""
    return "move its password into a map of its own" if file.name == "main.cf" else f"chmod o= {file}"


def _from_map(file: Path, text: str, key: str, login: tuple[str, str]) -> str:
    """The password in a file of Dovecot or Postfix, which has more than one line. It is copied nowhere."""
    password = password_in(text) or parse_map_file(text).get("password") or main_cf_password(text, *login)
    if not password:
        raise SettingsError(
            f"{key}: {file}: found lines without a password,"
            " expected one line, a Postfix map or main.cf, or Dovecot's settings"
        )
    return password
