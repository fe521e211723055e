"""Gathers the events in the mail log of the last day."""

from __future__ import annotations

import time
from collections.abc import Container, Mapping
from pathlib import Path

import msgspec

from ...base import programs
from ...mailboxes.from_settings import make_names
from ...mailboxes.mailstore import Mailstore
from ...servers.dovecot.conf import Block
from ...servers.dovecot.folder_names import TrashNames
from ...servers.mail_log.source import ask_dovecot, ask_postfix, last_day, log_files, read_log
from ...settings.config import Config
from .facts import LastChanges, LogFacts, add_up, last_change


def log_facts(config: Config, run: programs.Run = programs.run, now: float | None = None) -> LogFacts:
    """The events in the mail log of the last day. Blocks for a few seconds at most; raises nothing."""
    now = time.time() if now is None else now
    postfix, dovecot, file = ask_postfix(run), *ask_dovecot(config.settings.mailstore.doveadm, run)
    changes = LastChanges(
        postfix=last_change([*_files_of(postfix.get("config_directory", "")), *_sockets(config)]),
        dovecot=last_change([*_files_of(str(Path(file).parent)), *_scripts(dovecot)]),
    )
    return add_up(read_log(log_files(postfix, dovecot), last_day(now)), now, changes)


def with_known(log: LogFacts, config: Config, known: Container[str], spelled: Mapping[str, str]) -> LogFacts:
    """The facts, with what else than the log knows of what they name: ``known`` are all accounts."""
    named = {group.newest.subject for tally in log.tallies.values() for group in tally.groups}
    accounts = frozenset(address for address in named if address in known)
    names = make_names(config, spelled)
    store = Mailstore(config.settings.mailstore.path, TrashNames(config.settings.mailstore.trash), names=names)
    files = (f"{store.maildir(address)}/maildirsize" for address in accounts if names.is_user(address))
    return msgspec.structs.replace(log, accounts=accounts, maildirsizes=frozenset(files))


def _files_of(folder: str) -> list[str]:
    """The files of a configuration: those in its folder and in conf.d, where includes usually are."""
    if not folder:
        return []
    return [str(path) for pattern in ("*.c*f*", "*.ext", "conf.d/*") for path in Path(folder).glob(pattern)]


def _sockets(config: Config) -> list[str]:
    return [one.path for one in config.settings.policy.listen_addresses if one.path]


def _scripts(dovecot: Block) -> list[str]:
    """The scripts that Dovecot's services run, such as one for warnings."""
    commands = [service.values.get("executable", "").split() for service in dovecot.of_kind("service")]
    return [word for words in commands if words[:1] == ["script"] for word in words if word.startswith("/")]
