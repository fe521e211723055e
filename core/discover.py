"""What Postfix and Dovecot already say about this server, as settings.

Commands and files are asked for through two functions that never raise, so a server without Postfix, without Dovecot,
or with files that we may not read simply says less. What is not understood with certainty stays unknown: a default that
can be read in the documentation is better than a guess.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from core.config import Found, check_value
from core.dovecot_conf import (
    Block,
    dovecot_tool,
    dovecot_version,
    parse_doveconf,
    path_template,
    quota_grace,
    status_answers,
    trash_names,
)
from core.dovecot_quota import quota_facts
from core.errors import UsageError
from core.postfix_maps import database_url, mysql_map_files, parse_map_file, schema_of

Run = Callable[[Sequence[str]], str | None]
Read = Callable[[str], str | None]

_TIMEOUT = 5.0  # seconds; a doveconf that hangs must not keep a command from starting
_MORE_PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # Dovecot's services have no PATH
_LIBEXEC = "/usr/lib/dovecot"
_LONGEST = 1024 * 1024
_SILENT = ""  # a field that a query does not select
_MAIL_FIELD = {False: "mail", True: "mail_path"}  # 2.3, 2.4
_CONSTANT = r"'([^']*)'\s+as\s+[`\"]?{}\b"


def run_command(argv: Sequence[str]) -> str | None:
    """What a command prints; None if it is not there, fails, or takes longer than 5 s."""
    path = f"{os.environ.get('PATH', '')}:{_MORE_PLACES}"
    program = shutil.which(argv[0], path=path)
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *argv[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            env={**os.environ, "LC_ALL": "C", "PATH": path},
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


def read_text(path: str) -> str | None:
    """The contents of a settings file; None if we may not."""
    try:
        with Path(path).open("rb") as file:
            return file.read(_LONGEST).decode(errors="replace")
    except (OSError, ValueError):
        return None


def ask_dovecot(doveadm: str = "auto", run: Run = run_command) -> Found:
    """Only what is no setting of ours: which folders are \\Trash on this server, and how quota is kept."""
    text = run([*dovecot_tool(doveadm, "doveconf"), "-n"]) or ""
    return Found(trash_names=tuple(trash_names(text)), quota=quota_facts(text))


def dovecot_lda(doveadm: str = "auto", run: Run = run_command) -> list[str]:
    """The command for dovecot-lda, which lies in a folder that Dovecot alone knows for sure."""
    folder = (run([*dovecot_tool(doveadm, "doveconf"), "-h", "libexec_dir"]) or "").strip()
    return dovecot_tool(doveadm, f"{folder or _LIBEXEC}/dovecot-lda")


def discover(doveadm: str = "auto", run: Run = run_command, read: Read = read_text) -> Found:
    """Ask Postfix and Dovecot. ``doveadm`` is the setting ``mailstore.doveadm``, whose -c says which Dovecot."""
    gathered = _Gathered()
    _ask_postfix(gathered, run, read)
    text = run([*dovecot_tool(doveadm, "doveconf"), "-n"])
    if text is None:
        return gathered.found()
    _ask_dovecot(gathered, text, read)
    return gathered.found(text)


class _Gathered:
    """Collects what was found; what would not do as a setting is as good as not found."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {}
        self.origins: dict[str, str] = {}

    def add(self, section: str, key: str, value: Any, origin: str) -> None:
        try:
            check_value(section, key, value)
        except UsageError:
            return
        self.values.setdefault(section, {})[key] = value
        self.origins[f"{section}.{key}"] = origin

    def drop(self, section: str, key: str) -> None:
        self.values.get(section, {}).pop(key, None)
        self.origins.pop(f"{section}.{key}", None)

    def found(self, text: str = "") -> Found:
        """With what the text of doveconf says beside settings."""
        values = {name: table for name, table in self.values.items() if table}
        return Found(values, self.origins, tuple(trash_names(text)), quota_facts(text))


def _ask_postfix(gathered: _Gathered, run: Run, read: Read) -> None:
    text = run(["postconf", "-x", "queue_directory", "virtual_mailbox_maps", "recipient_delimiter"])
    values = parse_map_file(text or "")
    if values.get("queue_directory"):
        listen = [f"unix:{values['queue_directory']}/private/mailquota"]
        gathered.add("policy", "listen", listen, "postconf queue_directory")
    if "recipient_delimiter" in values:
        gathered.add("policy", "recipient_delimiter", values["recipient_delimiter"], "postconf recipient_delimiter")
    for file in mysql_map_files(values.get("virtual_mailbox_maps", "")):
        if _take_map(gathered, file, parse_map_file(read(file) or "")):
            return


def _take_map(gathered: _Gathered, file: str, values: dict[str, str]) -> bool:
    """The database of a map. Its password stays where it is: only the file is noted."""
    url = database_url(values)
    if url is None:
        return False
    gathered.add("accounts", "database", url, file)
    if values.get("password"):
        gathered.add("accounts", "password_file", file, file)
    schema = schema_of(values.get("query", ""))
    if schema:
        gathered.add("accounts", "schema", schema, f"{file} query")
    return True


def _ask_dovecot(gathered: _Gathered, text: str, read: Read) -> None:
    conf = parse_doveconf(text)
    # The decision is Dovecot's, so its delimiter counts; "+" is its default, and -n shows only what differs.
    gathered.drop("policy", "recipient_delimiter")
    if "recipient_delimiter" in conf.values:
        gathered.add(
            "policy", "recipient_delimiter", conf.values["recipient_delimiter"], "doveconf recipient_delimiter"
        )
    grace = quota_grace(text)
    if grace:
        gathered.add("policy", "grace", grace, "doveconf quota grace")
    for name, answer in status_answers(text).items():
        gathered.add("policy", name, answer, f"doveconf quota_status_{name}")
    path = maildir_template(conf, modern=dovecot_version(text) >= (2, 4), read=read)
    if path:
        gathered.add("mailstore", "path", path, "doveconf mail location")


def maildir_template(conf: Block, *, modern: bool, read: Read) -> str | None:
    """Where Maildirs lie, with {domain} and {user}; None unless it is one path for all users."""
    fields = _userdb_fields(conf, modern=modern, read=read)
    location = fields.get("mail", _global_location(conf, modern=modern))
    home = fields.get("home", conf.values.get("mail_home"))
    if not location:
        return None
    if location == "~" or location.startswith("~/"):
        location = home + location[1:] if home else ""
    template = path_template(location, modern=modern)
    return template.rstrip("/") if template else None


def _global_location(conf: Block, *, modern: bool) -> str | None:
    if modern:
        return conf.values.get("mail_path") if conf.values.get("mail_driver") == "maildir" else None
    return _maildir_of(conf.values.get("mail_location", ""))


def _maildir_of(location: str) -> str | None:
    """The path of ``maildir:PATH:OPTION=…``; other formats have no Maildir."""
    kind, _, rest = location.partition(":")
    return rest.partition(":")[0] or None if kind == "maildir" else None


def _userdb_fields(conf: Block, *, modern: bool, read: Read) -> dict[str, str | None]:
    """``home`` and ``mail`` as user databases give them: None where they differ by user, missing where not given."""
    fields: dict[str, str | None] = {}
    for userdb in conf.of_kind("userdb"):
        query, constants = _userdb_sources(userdb, modern=modern, read=read)
        home = constants.get("home") or _selected(query, "home")
        mail = constants.get(_MAIL_FIELD[modern]) or _selected(query, _MAIL_FIELD[modern])
        if home != _SILENT:
            fields.setdefault("home", home)
        if mail != _SILENT:
            fields.setdefault("mail", mail if modern else _maildir_of(mail or ""))
    return fields


def _userdb_sources(userdb: Block, *, modern: bool, read: Read) -> tuple[str, dict[str, str]]:
    """The SQL query, and the fields that are the same for all."""
    if modern:
        fields = {name: value for block in userdb.of_kind("fields") for name, value in block.values.items()}
        return userdb.values.get("query", ""), fields
    args = userdb.values.get("args", "")
    driver = userdb.values.get("driver", "")
    words = [*userdb.values.get("default_fields", "").split(), *userdb.values.get("override_fields", "").split()]
    if driver == "static":
        words = [*args.split(), *words]
    fields = dict(word.split("=", 1) for word in words if "=" in word)
    query = parse_sql_conf(read(args) or "").get("user_query", "") if driver == "sql" and args.startswith("/") else ""
    return query, fields


def parse_sql_conf(text: str) -> dict[str, str]:
    """Dovecot 2.3's dovecot-sql.conf.ext; a backslash at the end of a line continues it."""
    values = {}
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        name, equals, value = line.partition("=")
        if equals and not name.lstrip().startswith("#"):
            values[name.strip()] = value.strip()
    return values


def _selected(query: str, field: str) -> str | None:
    """What a query gives for a field: its constant, None for what differs by user, _SILENT if it is not selected."""
    constant = re.search(_CONSTANT.format(field), query, re.IGNORECASE)
    if constant:
        return constant[1]
    columns = re.split(r"\bfrom\b", re.sub(r"'[^']*'", "", query), maxsplit=1, flags=re.IGNORECASE)[0]
    return None if re.search(rf"\b{field}\b|select\s+\*", columns, re.IGNORECASE) else _SILENT
