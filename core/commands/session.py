"""Connects a command to an engine: the running one over its control socket, else one of its own in this process.

Theory of operation. The control socket of the settings decides whether an engine runs. Where none listens there (no
file, or one that a killed engine left), the command makes an engine that listens nowhere and measures only what the
command needs, and uses it over a socket pair. So in both cases protocol, functions and journal entries are the same.
Where it is not known whether an engine listens (no right to connect, no answer), the command fails: two engines that
change the same mailbox at once could damage it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..base.errors import MailquotaError, UnreachableError
from ..base.filters import Filter
from ..base.model import AccountRow
from ..base.units import format_age
from ..control.client import Client, EngineGoneError
from ..control.messages import Cancel, Event, GetAccounts, GetStatus, Request, Snapshot, Welcome
from ..control.messages import Progress as ProgressEvent
from ..control.results import Status
from ..history.connection import StateError
from .logs import log_to_user
from .options import Common
from .output import Progress, complain

if TYPE_CHECKING:
    from ..engine.engine import Engine
    from ..settings.config import Config

T = TypeVar("T")


class Make(Protocol):
    """Makes an order with this id for some addresses."""

    def __call__(self, number: int, addresses: list[str]) -> Request:
        """The order with id ``number`` for these addresses."""


_CLIENT = "command"
_LOOK_PATIENCE, _ORDER_PATIENCE = 1.5, 60.0  # seconds to wait for the first round of an engine that has just started
_PART = 500  # accounts that are measured at a time
_ORDER_BYTES = 2 * 1024 * 1024  # of addresses in one order; the protocol takes twice as much


class Session:
    """A connection to an engine. ``engine`` is that of this process, None where the engine of the server runs."""

    def __init__(self, client: Client, welcome: Welcome, engine: Engine | None = None) -> None:
        self._client = client
        self._welcome = welcome
        self._engine = engine
        self.interrupted = False

    @property
    def is_alone(self) -> bool:
        """Whether no engine runs but that of this command."""
        return self._engine is not None

    def require_rights(self) -> None:
        """MailquotaError where the engine would refuse a change; called before the operator is asked anything."""
        if not self._welcome.may_change:
            raise MailquotaError("read-only: nothing was changed")

    def require_no_interrupt(self) -> None:
        """MailquotaError where Ctrl-C was pressed before anything was changed."""
        if self.interrupted:
            raise MailquotaError("interrupted; nothing was changed")

    async def ask(self, make: Callable[[int], Request], answer: Any) -> Any:
        """Send the request that ``make`` makes with an id; its answer, of type ``answer``. Raises MailquotaError."""
        return await self._client.request(make(self._client.next_id()), answer)

    async def work(self, addresses: list[str], make: Make, answer: Any, what: str) -> list[Any]:
        """Send orders for many accounts, with progress. Ctrl-C ends it after an account, and sets ``interrupted``.

        ``make`` makes an order for a part of the addresses; each is answered by a list of type ``answer``.
        """
        results: list[Any] = []
        line = Progress(what)
        try:
            for part in _in_parts(addresses):
                if not self.interrupted:
                    results += await self._work(partial(make, addresses=part), answer, line, len(results))
        finally:
            line.end()
        return results

    async def _work(self, make: Callable[[int], Request], answer: Any, line: Progress, before: int) -> list[Any]:
        number = self._client.next_id()

        def report(event: ProgressEvent) -> None:
            line(before + event.done, before + event.total)

        with self._cancelled_by_interrupt(number):
            results: list[Any] = await self._client.request(make(number), answer, report)
        return results

    @contextlib.contextmanager
    def _cancelled_by_interrupt(self, number: int) -> Iterator[None]:
        """The first Ctrl-C has the engine stop after the account that it is at; the next one ends this process."""
        loop = asyncio.get_running_loop()

        def cancel() -> None:
            loop.remove_signal_handler(signal.SIGINT)
            self.interrupted = True
            self._client.send(Cancel(self._client.next_id(), number))

        loop.add_signal_handler(signal.SIGINT, cancel)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    async def rows(self, patience: float = _LOOK_PATIENCE, *, past: bool = False) -> list[AccountRow]:
        """All accounts with their usage. An engine that has just started is waited for, ``patience`` seconds at most.

        StateError where the ``past`` is needed and the state database can't be used; else that is only reported.
        """
        if self._engine is not None:
            await self.measure(list(self._engine.ledger.entries), everybody=True)
            try:
                await self._engine.history.load()
            except StateError as error:
                if past:
                    raise
                complain(f"growth can't be shown: {error}")
        rows: list[AccountRow] = []

        def take(event: Event) -> None:
            if isinstance(event, Snapshot):
                rows.extend(event.rows)

        self._client.on_event = take
        await self.ask(lambda number: GetAccounts(number, patience), None)
        return rows

    async def matching(self, chosen: Filter, patience: float = _LOOK_PATIENCE) -> list[AccountRow]:
        """The accounts that match a filter; how old their limits are is reported. Raises as ``rows``."""
        await self.tell_stale()
        return await self.selected(chosen, patience)

    async def selected(self, chosen: Filter, patience: float = _LOOK_PATIENCE) -> list[AccountRow]:
        """The same for who tells the age of the limits otherwise."""
        return chosen.select(await self.rows(patience, past=chosen.asks_for_past), time.time())

    async def tell_stale(self) -> None:
        """Report where the limits of the running engine are older than they should be."""
        if self._engine is not None:
            return
        database = (await self.ask(GetStatus, Status)).database
        if database.state == "stale":
            age = "" if database.age_seconds is None else f" as of {format_age(database.age_seconds)} ago"
            complain(f"accounts and limits are{age}: {database.message}")

    async def chosen(self, addresses: list[str], where: Filter | None) -> list[str]:
        """The given addresses, or those that match ``where``, all of which have to be measured before."""
        if where is None:
            return addresses
        return [row.address for row in await self.matching(where, _ORDER_PATIENCE)]

    async def measure_recipient(self, recipient: str) -> None:
        """Measure the mailboxes that mail for ``recipient`` ends in, where the engine is that of this process."""
        if self._engine is not None:
            await self.measure(self._engine.enforcer.leads_to(recipient))

    async def measure(self, addresses: list[str], *, everybody: bool = False) -> None:
        """Measure these accounts where the engine is that of this process; a running engine does so all the time."""
        if self._engine is None:
            return
        engine, line = self._engine, Progress("measuring")
        entries = [entry for entry in map(engine.ledger.get, addresses) if entry is not None]
        for start in range(0, len(entries), _PART):
            part = entries[start : start + _PART]
            await (engine.poller.survey_now(part) if everybody else engine.poller.measure_now(part))
            line(start, len(entries))
        line.end()


def run(
    common: Common,
    work: Callable[[Session], Awaitable[T]],
    *,
    running_only: bool = False,
    alone: Callable[[Config], T] | None = None,
) -> T:
    """Run ``work`` with a session; its result. Raises SettingsError, UnreachableError, and what ``work`` raises.

    ``running_only``: UnreachableError where no engine runs. ``alone`` replaces ``work`` where none runs: for a command
    that needs no accounts, which an engine has to read first.
    """
    return asyncio.run(_run(common, work, running_only, alone))


async def _run(
    common: Common,
    work: Callable[[Session], Awaitable[T]],
    running_only: bool,
    alone: Callable[[Config], T] | None,
) -> T:
    config = common.load()
    found = await find_engine(config, _CLIENT, read_only=common.read_only)
    if found is not None:
        client, welcome = found
        try:
            return await work(Session(client, welcome))
        finally:
            await client.close()
    if running_only:
        raise UnreachableError(f"no engine answers on {config.settings.control.socket}; mailquota --serve starts one")
    if alone is not None:
        log_to_user()
        return alone(config)
    async with _own_engine(config, read_only=common.read_only) as session:
        return await work(session)


async def find_engine(config: Config, name: str, *, read_only: bool) -> tuple[Client, Welcome] | None:
    """Connect to the running engine, None where there is none. UnreachableError where that can't be known."""
    control = config.settings.control
    try:
        return await Client.connect(control.socket, name, read_only=read_only)
    except EngineGoneError as error:
        if error.nobody_listens:
            return None
        if isinstance(error.__cause__, PermissionError):
            group = f" and members of the group {control.group}" if control.group else ""
            raise UnreachableError(
                f"{control.socket}: permission denied; root{group} may speak to the engine"
            ) from error
        raise


@contextlib.asynccontextmanager
async def _own_engine(config: Config, *, read_only: bool) -> AsyncIterator[Session]:
    from ..engine.engine import Engine  # late: needed only where no engine runs
    from ..engine.options import Options
    from ..engine.orders import Orders

    log_to_user()
    engine = Engine(config, Options(load=lambda: config))
    engine.control.handle = Orders(engine).handle
    try:
        await engine.start_local()
        ours, theirs = socket.socketpair()
        await engine.control.adopt(theirs)
        client, welcome = await Client.adopt(ours, _CLIENT, read_only=read_only)
        try:
            yield Session(client, welcome, engine)
        finally:
            await client.close()
    finally:
        await engine.stop()


def _in_parts(addresses: list[str]) -> list[list[str]]:
    """The addresses in parts that each fit into one order."""
    parts: list[list[str]] = [[]]
    size = 0
    for address in addresses:
        size += len(address.encode()) + 5
        if size > _ORDER_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(address)
    return parts
