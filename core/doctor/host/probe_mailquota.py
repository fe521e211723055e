"""Gathers facts about mailquota's own parts: the engine, the accounts database, the state database. Only reads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from ...accounts.from_settings import make_store
from ...accounts.store import Accounts, AccountStore, LimitColumn
from ...base.errors import DatabaseError, MailquotaError
from ...control.client import Client, EngineGoneError
from ...control.messages import GetStatus
from ...control.results import Status
from ...history.from_settings import state_target
from ...history.inspection import inspect
from ...settings.config import Config
from .facts import DatabaseFacts, EngineFacts, StateFacts

_CLIENT = "doctor"
_ENGINE_SECONDS = 3.0


class AccountsAnswer(NamedTuple):
    """The accounts. ``limits``: address → bytes, None for unlimited; empty where the database can't be read.

    ``disabled`` are accounts that are switched off: Dovecot need not know them. ``found`` has the aliases, too.
    """

    limits: Mapping[str, int | None]
    facts: DatabaseFacts
    disabled: frozenset[str] = frozenset()
    found: Accounts | None = None

    @property
    def spelled(self) -> dict[str, str]:
        """Addresses that are spelled in another way in the database, and how."""
        found = self.found.accounts if self.found is not None else ()
        return {account.address: account.spelled for account in found if account.spelled}


class EngineAnswer(NamedTuple):
    """The engine at the control socket and its status, None where none answers. ``demo``: it is that of a demo."""

    facts: EngineFacts
    status: Status | None = None
    demo: bool = False


def accounts(config: Config) -> AccountsAnswer:
    """The accounts with their limits, and whether limits may be changed. Blocks for some seconds at most."""
    writer = config.settings.accounts.write_url.without_password()
    try:
        store = make_store(config)
        try:
            everything = store.read()
            found = everything.accounts
            limits = {account.address: account.limit for account in found}
            disabled = frozenset(account.address for account in found if not account.enabled)
            faults = {account.address: account.fault for account in found if account.fault}
            return AccountsAnswer(limits, _database(store, writer, faults), disabled, everything)
        finally:
            store.close()
    except MailquotaError as error:
        return AccountsAnswer({}, DatabaseFacts(known=True, fault=str(error), writer=writer, advice=error.advice))


def _database(store: AccountStore, writer: str, faults: dict[str, str]) -> DatabaseFacts:
    column = store.limit_column() or LimitColumn("")
    may_write: bool | None = None
    fault = ""
    try:
        may_write = store.try_writing() or None
    except DatabaseError as error:
        may_write, fault = False, str(error)
    table, _, name = column.name.partition(".")
    return DatabaseFacts(
        known=True, write_fault=fault, may_write=may_write, writer=writer,
        table=table, column=name, column_type=column.type, column_max=column.highest,
        limit_faults=faults,
    )  # fmt: skip


def state(config: Config, engine: Status | None) -> StateFacts:
    """Facts about the state database. Whether it can be written is known from the engine's status."""
    try:
        found = inspect(state_target(config))
    except MailquotaError as error:
        return StateFacts(known=True, fault=str(error))
    problem = engine.state_problem if engine is not None else ""
    return StateFacts(
        known=True, write_fault=problem, schema=found.version, schema_known=found.known,
        newest=found.newest, size=found.size,
    )  # fmt: skip


def engine(config: Config) -> EngineAnswer:
    """The engine, asked over the control socket. Blocks for three seconds at most."""
    return asyncio.run(_ask_engine(config.settings.control.socket))


async def _ask_engine(path: str) -> EngineAnswer:
    try:
        async with asyncio.timeout(_ENGINE_SECONDS):
            client, welcome = await Client.connect(path, _CLIENT, read_only=True)
            try:
                status: Status = await client.request(GetStatus(client.next_id()), Status)
            finally:
                await client.close()
    except TimeoutError:
        return EngineAnswer(EngineFacts(known=True, fault=f"{path}: no answer within {_ENGINE_SECONDS:g} s"))
    except EngineGoneError as error:
        return EngineAnswer(EngineFacts(known=True, fault="" if error.nobody_listens else str(error)))
    except MailquotaError as error:
        return EngineAnswer(EngineFacts(known=True, fault=str(error)))
    facts = EngineFacts(
        known=True, running=True, version=welcome.engine, mode=status.mode,
        uptime_seconds=status.uptime_seconds, listen=tuple(status.listen), policy=status.policy, driver=status.driver,
        witness=status.witness, witness_remark=status.witness_remark, witness_examples=status.witness_examples,
        mailstore_problem=status.mailstore_problem,
    )  # fmt: skip
    return EngineAnswer(facts, status, welcome.demo)
