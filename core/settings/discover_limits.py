"""Discovers which limits Dovecot of this server gives to its users, by its settings and its query for a user."""

from __future__ import annotations

import logging

from ..base import programs
from ..base.programs import Read, Run
from ..servers.dovecot.conf import Block, dovecot_tool, dovecot_version, driver_of, is_whole, parse_doveconf
from ..servers.dovecot.given_limits import NOTHING_GIVEN, GivenLimits, given_limits
from ..servers.dovecot.sql import parse_sql_conf

log = logging.getLogger(__name__)


def ask_limits(doveadm: str = "auto", run: Run = programs.run, read: Read = programs.read) -> GivenLimits:
    """The limits that Dovecot gives, by one run of doveconf. Blocks for some seconds at most, and never raises.

    ``doveadm`` is the setting ``mailstore.doveadm``. Where the settings or the query can't be read, or are not
    understood, the fault says so, and it is logged.
    """
    done = run([*dovecot_tool(doveadm, "doveconf"), "-n"])
    version = dovecot_version(done.out)
    if done.fault or version == (0, 0) or not is_whole(done.out):
        return NOTHING_GIVEN  # no Dovecot, or one whose settings this user may not read
    conf, modern = parse_doveconf(done.out), version >= (2, 4)
    query, sqlite, fault = _modern_query(conf) if modern else _old_query(conf, read)
    given = given_limits(conf, modern=modern, query=query, sqlite=sqlite, fault=fault)
    if given.fault:
        log.info("limits that Dovecot gives to users are not all known: %s", given.fault)
    return given


def _userdb(conf: Block) -> Block:
    return next((block for block in conf.of_kind("userdb") if driver_of(block) == "sql"), Block())


def _modern_query(conf: Block) -> tuple[str, bool, str]:
    """The query of a user in 2.4, whether it is for SQLite, and "" for no fault."""
    block = _userdb(conf)
    driver = block.values.get("sql_driver") or conf.values.get("sql_driver", "")
    return block.values.get("query") or block.values.get("userdb_sql_query", ""), driver == "sqlite", ""


def _old_query(conf: Block, read: Read) -> tuple[str, bool, str]:
    """The query of a user in the file that 2.3's settings name, as for ``_modern_query``."""
    file = _userdb(conf).values.get("args", "").split(" ")[-1]
    if not file:
        return "", False, ""  # users are not in SQL; given_limits says so
    text = read(file)
    if text.text is None:
        return "", False, text.fault
    values = parse_sql_conf(text.text)
    return values.get("user_query", ""), values.get("driver") == "sqlite", ""
