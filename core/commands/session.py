"""How a command reaches an engine: the running one over its control socket, else one of its own in this process.

Theory of operation. Whether an engine runs says the control socket of the settings, and nothing else. Where nobody
listens there (no file, or one that a killed engine left), the command makes an engine that listens nowhere and measures
only what is asked for, and speaks to it over a socket pair. So both ways are the same protocol and the same functions,
and leave the same journal entries. Where it can't be told whether somebody listens (no right to connect, no answer),
the command fails: acting beside an engine that runs would be two hands on one mailbox.
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

from mailquota.core.base.errors import MailquotaError, UnreachableError
from mailquota.core.base.filters import Filter
from mailquota.core.base.model import AccountRow
from mailquota.core.commands.logs import log_to_user
from mailquota.core.commands.options import Common
from mailquota.core.commands.output import Progress, complain
from mailquota.core.control.client import Client, EngineGoneError
from mailquota.core.control.messages import Cancel, Event, GetAccounts, Request, Snapshot, Welcome
from mailquota.core.control.messages import Progress as ProgressEvent
from mailquota.core.history.connection import StateError

if TYPE_CHECKING:
    from mailquota.core.engine.engine import Engine
    from mailquota.core.settings.config import Config

T = TypeVar("T")


class Make(Protocol):
    """Builds an order around its id and some addresses."""

    def __call__(self, number: int, addresses: list[str]) -> Request:
        """The order."""


_CLIENT = "command"
_LOOK_PATIENCE, _ORDER_PATIENCE = 1.5, 60.0  # seconds for an engine that measures everybody for the first time
_PART = 500  # accounts that are measured between two looks at anything else
_ORDER_BYTES = 2 * 1024 * 1024  # of addresses in one order; the protocol takes twice as much


class Session:
    """A connection to an engine. ``engine`` is the one in this process, None where one runs elsewhere."""

    def __init__(self, client: Client, welcome: Welcome, engine: Engine | None = None) -> None:
        self._client = client
        self._welcome = welcome
        self._engine = engine
        self.interrupted = False

    @property
    def is_alone(self) -> bool:
        """Whether no engine runs but the one that this command has made for itself."""
        return self._engine is not None

    def require_rights(self) -> None:
        """MailquotaError where the engine would refuse a change anyway: no question is worth asking then."""
        if not self._welcome.may_change:
            raise MailquotaError("read-only: nothing was changed")

    def require_calm(self) -> None:
        """MailquotaError where Ctrl-C was pressed while we only looked."""
        if self.interrupted:
            raise MailquotaError("interrupted; nothing was changed")

    async def ask(self, make: Callable[[int], Request], answer: Any) -> Any:
        """Send the request that ``make`` builds around its id; its answer as type ``answer``. Raises MailquotaError."""
        return await self._client.request(make(self._client.next_id()), answer)

    async def work(self, addresses: list[str], make: Make, answer: Any, what: str) -> list[Any]:
        """Have something done to many accounts, with progress. Ctrl-C ends it between two, then ``interrupted`` is set.

        ``make`` builds the order around its id and a part of the addresses; each answers with a list.
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
        """The first Ctrl-C has the engine stop after the account that it is at; the next one ends us."""
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
        """All accounts, measured: a running engine that has just begun with that is waited for.

        StateError where the ``past`` is needed and there is no way to it; else there is a complaint, and no past.
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
        """The accounts that a filter lets through."""
        return chosen.select(await self.rows(patience, past=chosen.asks_for_past), time.time())

    async def chosen(self, addresses: list[str], where: Filter | None) -> list[str]:
        """The accounts that something is to be done to. A filter must not miss whom nobody has measured yet."""
        if where is None:
            return addresses
        return [row.address for row in await self.matching(where, _ORDER_PATIENCE)]

    async def measure_recipient(self, recipient: str) -> None:
        """The same for the mailbox that mail to this address ends in."""
        if self._engine is not None:
            await self.measure(self._engine.enforcer.leads_to(recipient))

    async def measure(self, addresses: list[str], *, everybody: bool = False) -> None:
        """Have these measured where that is up to us; a running engine does it all the time."""
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
    """Do the work with a session. Raises SettingsError, UnreachableError, and what the work raises.

    ``running_only`` does not make an engine of its own: what is asked about is the running one. ``alone`` does it where
    none runs and none is needed, as an engine has to read the accounts first.
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
    """Connect to the running engine, None where there is none. UnreachableError where one may run and we can't tell."""
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
    from mailquota.core.engine.engine import Engine  # late: needed only where no engine runs
    from mailquota.core.engine.parts import Options

    log_to_user()
    engine = Engine(config, Options(load=lambda: config))
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
    """Addresses in parts that fit into an order each."""
    parts: list[list[str]] = [[]]
    size = 0
    for address in addresses:
        size += len(address.encode()) + 5
        if size > _ORDER_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(address)
    return parts
