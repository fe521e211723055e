"""Gathers facts about Dovecot: its settings, and some of its users. Writes nothing and raises nothing.

No password is kept: no setting that may be secret; of 2.3's SQL file only the two queries; of a user's fields only the
values about quota or the mailbox; of scripts only the lines that call dovecot-lda.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import msgspec

from ...base import programs
from ...base.programs import FileText, ProgramResult, Read, Run
from ...mailboxes.from_settings import names_by
from ...mailboxes.mailstore import Mailstore
from ...servers.dovecot.conf import (
    Block,
    config_file,
    dovecot_release,
    dovecot_tool,
    driver_of,
    is_whole,
    parse_doveconf,
    quota_grace,
    trash_names,
)
from ...servers.dovecot.folder_names import TrashNames
from ...servers.dovecot.followed import dovecot_settings
from ...servers.dovecot.sql import parse_sql_conf
from ...settings.config import Config
from ...settings.discover import list_files
from ...settings.discover_accounts import ListFiles
from .facts import LOCAL_USERS, DovecotFacts, ScriptFacts, UserQueries
from .probe_accounts import AccountsProbe, LookUpNames, Stat, also_called, mail_names
from .probe_databases import LogIn, log_in_to, logins

_LDA = "dovecot-lda"
_MAILQUOTA = re.compile(r"(?:^|[\s/\"'])mailquota(?:[\s\"']|$)")  # the command, not a file named after it
_SECRET = re.compile(r"pass|key|secret|token|nonce|salt")
_REFUSED = 89  # doveconf's exit code for settings that Dovecot does not start with
_OF_THIS_USER = ("Permission denied", "open(")  # in errors about the rights of this user, not about the settings


def gather(
    config: Config,
    accounts: Mapping[str, int | None],
    run: Run = programs.run,
    read: Read = programs.read,
    stat: Stat = os.stat,
    *,
    names: LookUpNames = also_called,
    log_in: LogIn = log_in_to,
    listed: ListFiles = list_files,
    spelled: Mapping[str, str] | None = None,
) -> DovecotFacts:
    """Facts about Dovecot. ``accounts``: address → limit in bytes, None = unlimited; may be empty.

    ``spelled``: address → the same as its row in the database has it, where that differs.
    """
    mailstore = config.settings.mailstore
    said = run([*dovecot_tool(mailstore.doveadm, "doveconf"), "-n"])
    facts = _settings(said)
    if facts.fault:
        return facts
    files = _Files(read, stat, _root(mailstore.doveadm))
    settings = dovecot_settings(said.out, files.read)
    facts = msgspec.structs.replace(
        facts,
        quota=settings.quota,
        query=_query(facts, files),
        scripts=tuple(_scripts(facts.conf, files)),
        mailquota=programs.find("mailquota") or facts.mailquota,
    )
    doveadm = dovecot_tool(mailstore.doveadm, "doveadm")
    store = Mailstore(mailstore.path, TrashNames(()), names=names_by(settings.users, spelled))
    probe = AccountsProbe(doveadm, accounts, store, run, stat, root=files.root)
    with ThreadPoolExecutor(1) as beside:  # a database that does not answer takes seconds, and so does doveadm then
        found = beside.submit(logins, said.out, files.read, listed, log_in)
        facts = _with_users(facts, probe, names)
        return msgspec.structs.replace(facts, databases=found.result())


def _settings(said: ProgramResult) -> DovecotFacts:
    """The facts in the output of doveconf."""
    text = said.out
    file, release = config_file(text), dovecot_release(text)
    if said.fault:
        refused = said.code == _REFUSED and not any(word in said.err for word in _OF_THIS_USER)
        return DovecotFacts(fault=said.fault, refused=refused)
    if not file:
        return DovecotFacts(fault="doveconf prints no settings of Dovecot")
    if not is_whole(text):
        return DovecotFacts(fault="the output of doveconf is incomplete")
    conf = _harmless(parse_doveconf(text))
    return DovecotFacts(
        fault="",
        conf=conf,
        release=release,
        config_file=file,
        grace=quota_grace(text),
        trash=tuple(trash_names(text)),
        users=tuple(driver_of(block) for block in conf.of_kind("userdb")),
    )


def _harmless(block: Block) -> Block:
    """The settings without those that may be secret. doveconf hides known passwords, but not those of plugins."""
    values = {
        name: value
        for name, value in block.values.items()
        if not _SECRET.search(name) and (block.kind != "plugin" or name.startswith("quota"))
    }
    return Block(block.kind, block.name, values, [_harmless(one) for one in block.blocks if one.kind != "passdb"])


def _with_users(facts: DovecotFacts, probe: AccountsProbe, names: LookUpNames) -> DovecotFacts:
    """The facts with those about users: from a running Dovecot, and from files of mailboxes."""
    server_fault, sample = probe.sample()
    listed, listing_fault = probe.listed() if may_be_listed(facts) and not server_fault else (None, "")
    names_ = probe.names(facts.conf.values.get("auth_username_chars"), ask=not server_fault)
    return msgspec.structs.replace(
        facts,
        server_fault=server_fault,
        accounts=probe.count,
        names=names_,
        with_domain=probe.with_domain,
        sample=sample,
        listed=listed,
        listing_fault=listing_fault,
        mail_owner=mail_names(facts.conf, sample, "uid", names),
        mail_group=mail_names(facts.conf, sample, "gid", names),
        maildirsizes=probe.maildirsizes(),
        largest_index=probe.largest_index(),
    )


def may_be_listed(facts: DovecotFacts) -> bool:
    """Whether Dovecot's users are the accounts, and can be listed quickly: not with LDAP or passwd."""
    return bool(facts.users) and LOCAL_USERS.issuperset(facts.users)


class _Files:
    """Reads files by the paths in Dovecot's settings, below ``root`` where doveadm is called by chroot."""

    def __init__(self, read: Read, stat: Stat, root: str) -> None:
        self._read = read
        self._stat = stat
        self.root = root

    def read(self, path: str) -> FileText:
        return self._read(self.root + path)

    def mode(self, path: str) -> int:
        """The permission bits of a file. Raises OSError."""
        return self._stat(self.root + path).st_mode & 0o7777


def _root(doveadm: str) -> str:
    """The FOLDER in a command ``chroot FOLDER doveadm``; empty without one."""
    match = re.search(r"(?:^|[\s/])chroot\s+(/[^\s'\"]*)", doveadm)
    return match[1].rstrip("/") if match else ""


def _query(facts: DovecotFacts, files: _Files) -> UserQueries:
    """The queries of the first SQL user database."""
    block = next((block for block in facts.conf.of_kind("userdb") if driver_of(block) == "sql"), None)
    if block is None:
        return UserQueries()
    if facts.release >= (2, 4):
        user, iterate = (block.values.get(f"{prefix}query", "") for prefix in ("", "iterate_"))
        return UserQueries(file=facts.config_file, block=block.name, user=user, iterate=iterate)
    file = block.values.get("args", "")
    text = files.read(file)
    values = parse_sql_conf(text.text or "")
    user, iterate = (values.get(name, "") for name in ("user_query", "iterate_query"))
    return UserQueries(file=file, user=user, iterate=iterate, fault=text.fault)


def _scripts(conf: Block, files: _Files) -> Iterator[ScriptFacts]:
    for block in conf.of_kind("service"):
        program, _, rest = block.values.get("executable", "").partition(" ")
        if program == "script" and rest:
            yield _script(block.name, rest.split(" ")[0], files)


def _script(service: str, path: str, files: _Files) -> ScriptFacts:
    ours = os.path.basename(path) == "mailquota"
    try:
        mode = files.mode(path)
    except (OSError, ValueError) as error:
        fault = f"{path}: {getattr(error, 'strerror', None) or error}"
        return ScriptFacts(service=service, path=path, ours=ours, fault=fault)
    text = files.read(path)
    lines = [line.strip() for line in (text.text or "").splitlines() if not line.lstrip().startswith("#")]
    return ScriptFacts(
        service=service,
        path=path,
        mode=mode,
        lines=tuple(line for line in lines if _LDA in line),
        interpreter=_missing_interpreter(text.text or "", files),
        ours=ours or any(_MAILQUOTA.search(line) for line in lines),
        fault=text.fault,
    )


def _missing_interpreter(text: str, files: _Files) -> str:
    """The interpreter in the first line of a script, if there is no such file; else empty.

    The kernel takes all up to a blank or line feed, so a carriage return is part of the name.
    """
    match = re.match(r"#![ \t]*(/[^ \t\n]*)", text)
    if not match:
        return ""
    try:
        files.mode(match[1])
    except FileNotFoundError:
        return match[1]
    except (OSError, ValueError):  # this user can't look at it
        return ""
    return ""
