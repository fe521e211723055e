"""A generated configuration of Dovecot as data: settings, the user query, accounts and what happens to their mail.

It prints as the files it makes, so that a seed that fails shows what to try by hand. ``@FOLDER@`` stands for the folder
of its server, ``@VMAIL@`` for that of the mail.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from tests.mailserver.dovecot import VMAIL_UID
from tests.truth.peers import FITS, FULL, LARGE, NOBODY

Series = Literal["2.3", "2.4"]
DOMAIN = "example.org"


@dataclass(frozen=True)
class Step:
    """``create`` a folder, ``append`` a message of ``size`` bytes by IMAP, ``lmtp``: have one delivered."""

    what: Literal["create", "append", "lmtp"]
    folder: str = "INBOX"
    size: int = 0


@dataclass(frozen=True)
class Account:
    """A row of the accounts database. ``limit`` is in bytes, as it is while mail is put in.

    ``of_use`` sets it afterwards to so many hundredths of what the mailbox then holds; None leaves it.
    """

    address: str
    limit: int | None
    of_use: int | None = None
    steps: tuple[Step, ...] = ()


@dataclass
class Namespace:
    """A block ``namespace``; ``mailboxes`` are names with settings of theirs."""

    name: str
    settings: dict[str, str] = field(default_factory=dict)
    mailboxes: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass
class Draft:
    """What the features of a kind write into; ``quotas`` are 2.4's blocks, ``plugin`` is 2.3's."""

    series: Series
    settings: dict[str, str]
    columns: dict[str, str]  # of the user query: name and SQL expression
    namespaces: list[Namespace]
    plugin: dict[str, str] = field(default_factory=dict)
    quotas: dict[str, dict[str, str]] = field(default_factory=dict)
    plugins: list[str] = field(default_factory=lambda: ["quota"])
    where: str = "email = '%u'"
    prefetched: str = ""  # lines in the block of the user database
    accounts: list[Account] = field(default_factory=list)
    separator: str = "."  # of folders in the namespace of INBOX
    prefix: str = ""
    extra_folders: list[str] = field(default_factory=list)  # in other namespaces, whole names
    stale: bool = False  # with a maildirsize of an earlier driver


@dataclass(frozen=True)
class Configuration:
    """Files by name, and accounts. ``again`` is the command that makes the same one."""

    series: Series
    kind: str
    seed: int
    files: dict[str, str]
    accounts: tuple[Account, ...]
    stale: bool = False

    @property
    def again(self) -> str:
        return f"python -m tests.truth.configs {self.series} {self.kind} {self.seed}"

    def __str__(self) -> str:
        files = "\n".join(f"---- {name}\n{text}" for name, text in self.files.items())
        return f"{files}\n---- accounts\n" + "\n".join(_shown(account) for account in self.accounts)


def _shown(account: Account) -> str:
    steps = ", ".join(f"{one.what} {one.folder} {one.size or ''}".strip() for one in account.steps)
    limit = f"limit {account.limit}" + ("" if account.of_use is None else f", then {account.of_use} % of its use")
    return f"{account.address!r}: {limit}: {steps or 'no mail'}"


def freeze(draft: Draft, kind: str, seed: int) -> Configuration:
    """The files of a draft."""
    files = _files_23(draft) if draft.series == "2.3" else {"dovecot.conf": _conf_24(draft)}
    return Configuration(draft.series, kind, seed, files, tuple(draft.accounts), draft.stale)


def _files_23(draft: Draft) -> dict[str, str]:
    chosen = ", ".join(f"{expression} AS {name}" for name, expression in draft.columns.items())
    sql = f"""driver = mysql
connect = host=127.0.0.1 port=@DBPORT@ dbname=@DATABASE@ user=@USER@ password=@PASSWORD@
user_query = SELECT {chosen} FROM virtual_users WHERE {draft.where}
password_query = SELECT password FROM virtual_users WHERE email='%u'
iterate_query = SELECT email AS user FROM virtual_users
"""
    plugin = {"quota_status_success": FITS, "quota_status_nouser": NOBODY, "quota_status_overquota": f'"{FULL}"',
              "quota_status_toolarge": f'"{LARGE}"', **draft.plugin}  # fmt: skip
    lines = [
        *_COMMON,
        *_settings(draft.settings),
        f"mail_plugins = {' '.join(draft.plugins)}",
        "disable_plaintext_auth = no",
        *_namespaces(draft.namespaces),
        *_block("plugin", _settings(plugin)),
        *_block("passdb", ["driver = sql", "args = @FOLDER@/etc/dovecot-sql.conf.ext"]),
        *_block("userdb", ["driver = sql", "args = @FOLDER@/etc/dovecot-sql.conf.ext", *draft.prefetched.splitlines()]),
        *_SERVICES,
    ]
    return {"dovecot.conf": "\n".join(lines) + "\n", "dovecot-sql.conf.ext": sql}


def _conf_24(draft: Draft) -> str:
    chosen = ", ".join(f"{expression} AS {name}" for name, expression in draft.columns.items())
    answers = {"quota_status_success": FITS, "quota_status_nouser": NOBODY, "quota_status_overquota": f'"{FULL}"',
               "quota_status_toolarge": f'"{LARGE}"'}  # fmt: skip
    quotas = (line for name, values in draft.quotas.items() for line in _block(f'quota "{name}"', _settings(values)))
    lines = [
        "dovecot_config_version = 2.4.0",
        "dovecot_storage_version = 2.4.0",
        *_COMMON,
        "auth_allow_cleartext = yes",
        f"mail_uid = {VMAIL_UID}",
        f"mail_gid = {VMAIL_UID}",
        *_settings(answers),
        *_settings(draft.settings),
        *_block("mail_plugins", [f"{name} = yes" for name in draft.plugins]),
        *_namespaces(draft.namespaces),
        *quotas,
        "sql_driver = mysql",
        *_block("mysql 127.0.0.1", [
            "port = @DBPORT@", "user = @USER@", "password = @PASSWORD@", "dbname = @DATABASE@",
        ]),
        *_block("passdb sql", ["query = SELECT password FROM virtual_users WHERE email = '%{user}'"]),
        *_block("userdb sql", [
            f"query = SELECT {chosen} FROM virtual_users WHERE {draft.where}",
            "iterate_query = SELECT email AS user FROM virtual_users",
            *draft.prefetched.splitlines(),
        ]),
        *_SERVICES,
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


_COMMON = [
    "base_dir = @FOLDER@/run", "state_dir = @FOLDER@/state", "log_path = @FOLDER@/dovecot.log",
    "instance_name = @FOLDER@", "hostname = mail.example.org", "postmaster_address = postmaster@example.org",
    "protocols = lmtp", "listen = 127.0.0.1", "ssl = no", f"first_valid_uid = {VMAIL_UID}", "auth_failure_delay = 0",
]  # fmt: skip
_SERVICES = """service lmtp {
  unix_listener @FOLDER@/lmtp {
    mode = 0600
  }
}
service quota-status {
  executable = quota-status -p postfix
  unix_listener @FOLDER@/quota-status {
    mode = 0600
  }
}""".splitlines()


def _settings(values: dict[str, str]) -> list[str]:
    return [f"{name} = {value}" for name, value in values.items()]


def _block(head: str, lines: Iterable[str]) -> list[str]:
    return [f"{head} {{", *(f"  {line}" for line in lines), "}"]


def _namespaces(namespaces: Iterable[Namespace]) -> Iterator[str]:
    for namespace in namespaces:
        boxes = [
            line
            for name, values in namespace.mailboxes.items()
            for line in _block(f'mailbox "{name}"', _settings(values))
        ]
        yield from _block(f"namespace {namespace.name}", [*_settings(namespace.settings), *boxes])
