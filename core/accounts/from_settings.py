"""Makes the store for the accounts database of the settings."""

from __future__ import annotations

from ..base.errors import SettingsError
from ..base.mysql import Target
from ..settings.config import Config
from ..settings.discover_limits import ask_limits
from ..settings.missing import require
from ..settings.passwords import database_target
from .base import AskDovecot
from .store import AccountStore, Queries, Schema


def make_store(config: Config) -> AccountStore:
    """The store for the accounts database of the settings; it connects when it is first used.

    Raises SettingsError for a password that can't be read, MissingSettingError where the settings name no database and
    none was found on the server.
    """
    require(config, "accounts")
    accounts = config.settings.accounts
    queries = Queries(
        users_query=accounts.users_query,
        aliases_query=accounts.aliases_query,
        set_query=accounts.set_query,
        change_query=accounts.change_query,
    )
    return open_store(
        database_target(config, accounts.url, "database"),
        schema=accounts.schema,
        write_target=database_target(config, accounts.write_url, "write_database"),
        queries=queries if accounts.schema == "custom" else None,
        ask=_ask_dovecot(config),
    )


def _ask_dovecot(config: Config) -> AskDovecot | None:
    """How to ask Dovecot which limits it gives to users. Not for schema custom, whose query says all of them."""
    doveadm = config.settings.mailstore.doveadm
    if config.settings.accounts.schema == "custom" or doveadm == "off":
        return None
    return lambda: ask_limits(doveadm)


def open_store(
    target: Target,
    *,
    schema: Schema = "ispmail",
    write_target: Target | None = None,
    queries: Queries | None = None,
    ask: AskDovecot | None = None,
) -> AccountStore:
    """A store for ``target``; it connects when it is first used. Raises SettingsError for targets that can't work.

    ``write_target`` is where limits are changed, ``target`` unless given. ``queries`` are those of schema custom.
    ``ask`` is called once, at the first read, in its thread.
    """
    write_target = write_target or target
    if write_target.kind != target.kind:
        raise SettingsError("accounts.write_database must be of the same kind as accounts.database")
    if target.kind == "mysql":
        from .mysql import MysqlStore

        return MysqlStore(target, write_target, schema, queries, ask)
    from .sqlite import SqliteStore

    return SqliteStore(target, write_target, schema, queries, ask)
