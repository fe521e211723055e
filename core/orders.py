"""What clients of the control socket can order, each mapped to the one function that does it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from core.control.framing import encode_result
from core.control.messages import (
    Cancel,
    EmptyTrash,
    Explain,
    Failed,
    GetAccounts,
    GetDetails,
    GetJournal,
    GetStatus,
    HandOver,
    Order,
    Progress,
    Recalc,
    Reload,
    Reply,
    Request,
    SetLimit,
    Subscribe,
    Watch,
)
from core.control.results import Details, Folder, JournalRow
from core.control.server import ControlConnection
from core.errors import MailquotaError, NoSuchAccountError
from core.history.database import StateError
from core.threads import in_thread
from core.usage.folders import sum_folders
from core.usage.trash import readable_name

if TYPE_CHECKING:
    from core.actions import Operator
    from core.engine import Engine

log = logging.getLogger(__name__)

_REFUSALS_SHOWN = 20
_CHANGES_SHOWN = 20
_FIRST_ROUND_SECONDS = 30.0
_AT_ONCE = GetStatus | Reload | HandOver  # need no accounts


class Orders:
    """Runs on the engine's loop. A fault in one order fails that order and is logged; the engine goes on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def handle(self, connection: ControlConnection, order: Order) -> None:
        """Take one order."""
        if isinstance(order, Watch):
            self._engine.poller.watch(connection, order.addresses)
        elif isinstance(order, Subscribe):
            connection.run(self._engine.publisher.subscribe(connection))
        elif isinstance(order, GetAccounts):
            connection.run(self._accounts(connection, order))
        elif isinstance(order, Cancel):
            connection.cancel(order.target)
        elif isinstance(order, Request):
            connection.run(self._answer(connection, order))

    async def _answer(self, connection: ControlConnection, request: Request) -> None:
        try:
            if not connection.may_change and _changes(request):
                raise MailquotaError("read-only: nothing was changed")
            if not isinstance(request, _AT_ONCE):
                await self._engine.accounts_known()
            result = await self._do(connection, request)
            connection.send(Reply(request.id, encode_result(result)))
        except MailquotaError as error:
            connection.send(Failed(request.id, error.exit_code, str(error)))
        except Exception as error:  # an outer edge: a fault in one order must not end the others
            log.exception("an order failed: %s", type(request).__name__)
            connection.send(Failed(request.id, 1, f"internal error: {error}"))

    async def _accounts(self, connection: ControlConnection, request: GetAccounts) -> None:
        """All rows; just after a start not before everybody was measured, unless a disk is too slow for that."""
        engine = self._engine
        try:
            await engine.accounts_known()
        except MailquotaError as error:
            connection.send(Failed(request.id, error.exit_code, str(error)))
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_ROUND_SECONDS):
                await engine.poller.first_round.wait()
        await engine.publisher.accounts(connection, request.id)

    async def _do(self, connection: ControlConnection, request: Request) -> object:
        engine = self._engine
        match request:
            case GetStatus():
                return engine.status()
            case GetDetails(address=address):
                return await self._details(address)
            case GetJournal(address=address, since=since, most=most):
                return await self._journal(address, since, most)
            case Explain(address=address, size=size):
                return await engine.enforcer.explain(address, size)
            case HandOver():
                return await engine.hand_over()
        return await (engine.reload() if isinstance(request, Reload) else self._change(connection, request))

    async def _change(self, connection: ControlConnection, request: Request) -> object:
        actions, operator = self._engine.actions, _operator(connection, request.id)
        try:
            if isinstance(request, SetLimit):
                store = self._engine.sync.store
                return await actions.set_limits(
                    store, request.addresses, request.size, request.reason, operator, dry_run=request.dry_run
                )
            if isinstance(request, Recalc):
                everybody = list(self._engine.ledger.entries) if request.everybody else request.addresses
                return await actions.recalc(everybody, operator)
            if isinstance(request, EmptyTrash):
                return await actions.empty_trash(
                    request.addresses, request.older_than, operator, dry_run=request.dry_run
                )
        finally:
            connection.operators.pop(request.id, None)
        raise MailquotaError(f"{type(request).__name__} is no order")

    async def _details(self, address: str) -> Details:
        engine = self._engine
        entry = engine.ledger.get(address)
        if entry is None:
            raise NoSuchAccountError(address)
        await engine.poller.measure_now([entry])
        folders = await self._folders(engine.mailstore.maildir(address)) if entry.mailbox else []
        aliases = sorted({alias.source for alias in engine.aliases if alias.destination.lower() == address})
        refusals = engine.decisions.refusals(address, _REFUSALS_SHOWN)
        try:
            changes = await self._journal(address, 0.0, _CHANGES_SHOWN)
        except StateError as error:
            log.warning("changes can't be shown: %s", error)
            changes = []
        return Details(engine.ledger.row(entry), folders, aliases, refusals, changes)

    async def _folders(self, maildir: str) -> list[Folder]:
        """None where the mailbox can't be read; that its use is unknown says the row."""
        try:
            counted = await in_thread(lambda: sum_folders(maildir))
        except OSError as error:
            log.warning("folders can't be shown: %s", error)
            return []
        is_trash = self._engine.mailstore.is_trash
        return [Folder(_text(readable_name(f.name)), f.messages, f.bytes, is_trash(f.name)) for f in counted]

    async def _journal(self, address: str, since: float, most: int) -> list[JournalRow]:
        rows = await in_thread(lambda: self._engine.journal.read(address, since, most))
        return [JournalRow(*row) for row in rows]


def _changes(request: Request) -> bool:
    if isinstance(request, SetLimit | EmptyTrash):
        return not request.dry_run
    return isinstance(request, Recalc | Reload | HandOver)


def _operator(connection: ControlConnection, number: int) -> Operator:
    from core.actions import Operator

    peer, hello = connection.peer, connection.hello
    assert peer is not None
    assert hello is not None
    operator = Operator(peer.name, hello.origin)
    operator.progress = lambda done, total, note: connection.send(Progress(number, done, total, note))
    connection.operators[number] = operator
    return operator


def _text(name: str) -> str:
    """A file name as text that can be sent: bytes that are not UTF-8 become replacement characters."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
