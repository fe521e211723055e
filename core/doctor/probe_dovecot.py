"""Asks Dovecot for its settings and for some of its users. Reads, never writes; nothing here raises.

Dovecot hides the passwords of its settings itself. Of the SQL file of 2.3 only the two queries are kept, of a user's
fields the values only where they are about quota or the mailbox, of scripts only the lines that hand over a mail.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath

from core import outside
from core.config import Config
from core.doctor.facts_dovecot import DovecotFacts, Script, UserQuery
from core.doctor.probe_accounts import AccountsProbe, mail_names
from core.dovecot_conf import (
    Block,
    config_file,
    dovecot_release,
    dovecot_tool,
    parse_doveconf,
    quota_grace,
    trash_names,
)
from core.dovecot_quota import quota_facts
from core.outside import Read, Run
from core.postfix_maps import parse_map_file

_DELIVERING = ("dovecot-lda", "mailquota", "doveadm", "sendmail", "/deliver")
_REFUSED = 89  # doveconf's exit code for settings that Dovecot does not start with
_OWN_WORDS = ("Permission denied", "open(")  # of a failure that is about us, not about the settings

Stat = Callable[[str], os.stat_result]


def gather(
    config: Config,
    accounts: Mapping[str, int | None],
    run: Run = outside.run,
    read: Read = outside.read,
    stat: Stat = os.stat,
) -> DovecotFacts:
    """``accounts``: address → limit in bytes of the accounts database, None = unlimited; may be empty."""
    doveadm = config.settings.mailstore.doveadm
    said = run([*dovecot_tool(doveadm, "doveconf"), "-n"])
    release = dovecot_release(said.out)
    if said.fault:
        refused = said.code == _REFUSED and not any(word in said.err for word in _OWN_WORDS)
        return DovecotFacts(fault=said.fault, refused=refused, release=release, config_file=config_file(said.out))
    if not config_file(said.out):
        return DovecotFacts(fault="doveconf prints nothing that looks like settings of Dovecot")
    conf = parse_doveconf(said.out)
    root = _root(doveadm)
    mailstore = config.settings.mailstore.path
    probe = AccountsProbe(dovecot_tool(doveadm, "doveadm"), accounts, mailstore, run, stat)
    users = _user_databases(conf, modern=release >= (2, 4))
    server_fault, sample = probe.sample()
    odd, odd_characters = probe.odd(conf.values.get("auth_username_chars"))
    listed, listing_fault = probe.listed() if may_be_listed(users) and not server_fault else (None, server_fault)
    return DovecotFacts(
        fault="",
        conf=conf,
        release=release,
        config_file=config_file(said.out),
        quota=quota_facts(said.out),
        grace=quota_grace(said.out),
        trash=tuple(trash_names(said.out)),
        users=users,
        query=_query(conf, config_file(said.out), read, root, modern=release >= (2, 4)),
        server_fault=server_fault,
        accounts=len(accounts),
        odd=odd,
        odd_characters=odd_characters,
        with_domain=any("@" in address for address in accounts),
        sample=sample,
        listed=listed,
        listing_fault=listing_fault,
        mail_owner=mail_names(conf, sample, "uid"),
        mail_group=mail_names(conf, sample, "gid"),
        scripts=tuple(_scripts(conf, read, stat, root)),
        maildirsizes=probe.maildirsizes(),
        largest_index=probe.largest_index(),
    )


def may_be_listed(users: tuple[str, ...]) -> bool:
    """User databases of which asking for all their users is cheap, and means the accounts."""
    return bool(users) and set(users) <= {"sql", "passwd-file", "prefetch"}


def _root(doveadm: str) -> str:
    """The folder that ``chroot FOLDER doveadm`` makes the root of all paths; empty without one."""
    words = shlex.split(doveadm) if "chroot" in doveadm else []
    at = next((at for at, word in enumerate(words) if PurePosixPath(word).name == "chroot"), None)
    return words[at + 1] if at is not None and len(words) > at + 1 else ""


def _user_databases(conf: Block, *, modern: bool) -> tuple[str, ...]:
    """Their drivers. On 2.4 the name of the block is the driver unless it says otherwise."""
    return tuple(_driver(block, modern=modern) for block in conf.of_kind("userdb"))


def _driver(block: Block, *, modern: bool) -> str:
    return block.values.get("userdb_driver") or block.values.get("driver") or (block.name if modern else "")


def _query(conf: Block, main_file: str, read: Read, root: str, *, modern: bool) -> UserQuery:
    """Those of the first SQL user database."""
    block = next((block for block in conf.of_kind("userdb") if _driver(block, modern=modern) == "sql"), None)
    if block is None:
        return UserQuery()
    if modern:
        user, iterate = (block.values.get(f"{prefix}query", "") for prefix in ("", "iterate_"))
        return UserQuery(file=main_file, block=block.name, user=user, iterate=iterate)
    file = block.values.get("args", "")
    text = read(root + file)
    values = parse_map_file((text.text or "").replace("\\\n", " "))  # a backslash continues a line
    return UserQuery(
        file=file, user=values.get("user_query", ""), iterate=values.get("iterate_query", ""), fault=text.fault
    )


def _scripts(conf: Block, read: Read, stat: Stat, root: str) -> Iterator[Script]:
    for block in conf.of_kind("service"):
        program, _, rest = block.values.get("executable", "").partition(" ")
        if program == "script" and rest:
            yield _script(block.name, rest.split(" ")[0], read, stat, root)


def _script(service: str, path: str, read: Read, stat: Stat, root: str) -> Script:
    try:
        status = stat(root + path)
    except OSError as error:
        return Script(service=service, path=path, fault=f"{path}: {error.strerror}")
    text = read(root + path)
    lines = [line.strip() for line in (text.text or "").splitlines() if not line.lstrip().startswith("#")]
    return Script(
        service=service,
        path=path,
        mode=status.st_mode & 0o7777,
        lines=tuple(line for line in lines if any(word in line for word in _DELIVERING)),
        fault=text.fault,
    )
