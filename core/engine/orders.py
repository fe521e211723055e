"""Carries out the orders of clients of the control socket, each by one function of the part that it is about."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from msgspec import structs

from ..base.errors import ALSO_ANSWERED, MailquotaError, NoSuchAccountError, error_text
from ..base.model import Point
from ..base.threads import in_thread
from ..base.times import parse_until
from ..control.contents import FolderContents
from ..control.framing import encode_result
from ..control.messages import (
    Cancel,
    EmptyTrash,
    Explain,
    Failed,
    GetAccounts,
    GetDetails,
    GetFolder,
    GetJournal,
    GetRefusals,
    GetReport,
    GetStatus,
    GetWarnings,
    HandOver,
    Order,
    PlanUndo,
    PreviewWarning,
    Progress,
    Recalc,
    Reload,
    Reply,
    Request,
    SetLimit,
    SetMessages,
    Subscribe,
    TrialWarning,
    Undo,
    UndoPart,
    Warn,
    Watch,
)
from ..control.results import Details, JournalRow, Report, SetResult, UndoPlan, WarningRow
from ..control.server import ControlConnection
from ..history.connection import StateError
from ..history.limits_and_forecast import forecast_of, limit_history
from .engine import Engine

if TYPE_CHECKING:
    from ..history.who import Operator
    from ..mailboxes.ledger import Entry

log = logging.getLogger(__name__)

_REFUSALS_SHOWN = 20
_REPORTED = 100  # accounts of a report
_CHANGES_SHOWN = 20
_WARNINGS_SHOWN = 20
_CHANGES_READ = 500  # those of the limit are looked for among them
_CHANGES = SetLimit | SetMessages | Undo | Recalc | EmptyTrash
_CHANGING = _CHANGES | Reload | Warn | TrialWarning
_AT_ONCE = GetStatus | GetRefusals | GetReport | Reload | HandOver  # need no accounts


class _Past(NamedTuple):
    """What the state database has of an account; ``remark`` says why there is nothing."""

    points: list[Point]
    changes: list[JournalRow]
    warnings: list[WarningRow]
    remark: str | None = None


class Orders:
    """The orders on one engine. Runs on its loop. An error in one order fails that order and is logged."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def handle(self, connection: ControlConnection, order: Order) -> None:
        """Begin to carry out one order; its answer is sent later."""
        if connection.peer is not None and connection.peer.only_warns and not isinstance(order, Warn | Cancel):
            connection.end("the owner of the mailboxes may have warnings sent, and nothing else")
            return
        if connection.peer is not None and connection.peer.only_warns and isinstance(order, Warn):
            order = _as_dovecots(order)
        if isinstance(order, Watch):
            self._engine.poller.watch(connection, order.addresses)
        elif isinstance(order, Subscribe):
            connection.run(self._engine.publisher.subscribe(connection))
        elif isinstance(order, Cancel):
            connection.cancel(order.target)
        elif isinstance(order, Request):
            connection.run(self._answer(connection, order))

    async def _answer(self, connection: ControlConnection, request: Request) -> None:
        try:
            if not _may(connection, request):
                raise MailquotaError("read-only: nothing was changed")
            if not isinstance(request, _AT_ONCE):
                await self._engine.accounts.known()
            result = await self._do(connection, request)
            connection.send(Reply(request.id, encode_result(result)))
        except MailquotaError as error:
            connection.send(Failed(request.id, error.exit_code, error_text(error)))
        except Exception as error:  # an outer edge: a fault in one order must not end the others
            log.exception("an order failed: %s", type(request).__name__)
            connection.send(Failed(request.id, 1, f"internal error: {error_text(error)}"))

    async def _accounts(self, connection: ControlConnection, patience: float) -> None:
        """Send all rows, once the first round of measuring is over or ``patience`` seconds have passed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._engine.poller.first_round.wait()
        await self._engine.publisher.snapshot(connection)

    async def _do(self, connection: ControlConnection, request: Request) -> object:
        if isinstance(request, _CHANGES):
            return await self._change(connection, request)
        match request:
            case GetAccounts(patience=patience):
                await self._accounts(connection, patience)
            case Reload():
                return await self._engine.reload()
            case HandOver():
                return await self._hand_over(connection)
            case Warn() | TrialWarning() | PreviewWarning() | GetWarnings():
                return await self._warnings(request)
            case _:
                return await self._look_up(request)
        return None

    async def _hand_over(self, connection: ControlConnection) -> int:
        if self._engine.options.embedded and (connection.peer is None or connection.peer.pid != os.getpid()):
            raise MailquotaError("this engine runs in a console: leave that with q, which can keep it enforcing")
        return await self._engine.hand_over()

    async def _look_up(self, request: Request) -> object:
        engine = self._engine
        match request:
            case GetStatus():
                return engine.status()
            case GetDetails() | GetFolder():
                return await self._one(request)
            case GetJournal() | PlanUndo():
                return await self._journal(request)
            case GetRefusals(most=most):
                return engine.decisions.report(most)
            case GetReport():
                refusals = engine.decisions.report(_REPORTED)
                second = engine.enforcer.comparison
                return Report(
                    refusals=refusals,
                    compared=second.compared,
                    not_compared=second.skipped,
                    disagreed=second.disagreed,
                    disagreements=list(second.newest),
                    problem=second.problem,
                )
            case Explain(address=address, size=size):
                return await engine.enforcer.explain(address, size)
        raise MailquotaError(f"{type(request).__name__} is no order")

    async def _change(
        self, connection: ControlConnection, order: SetLimit | SetMessages | Undo | Recalc | EmptyTrash
    ) -> object:
        if not isinstance(order, Undo):
            await self._read_missing(order.addresses)
        engine, operator = self._engine, _operator(connection, order.id)
        actions, limits = engine.actions, engine.limits
        try:
            if isinstance(order, SetLimit):
                return await self._set(order, operator)
            if isinstance(order, SetMessages):
                store, set_messages = engine.accounts.store, limits.messages.set
                return await set_messages(
                    store, order.addresses, order.limit, operator, reason=order.reason, dry_run=order.dry_run
                )
            if isinstance(order, Undo):
                without = order.without if isinstance(order, UndoPart) else ()
                return await limits.undo(
                    engine.accounts.store, order.entry, operator,
                    reason=order.reason, newest=order.newest, without=without,
                )  # fmt: skip
            if isinstance(order, EmptyTrash):
                return await actions.empty_trash(order.addresses, order.older_than, operator, dry_run=order.dry_run)
            return await actions.recalc(list(engine.ledger.entries) if order.everybody else order.addresses, operator)
        finally:
            connection.operators.pop(order.id, None)

    async def _set(self, order: SetLimit, operator: Operator) -> list[SetResult]:
        engine, until = self._engine, None
        if order.until:
            until = parse_until(order.until, time.time())
            await engine.accounts.sync.look()  # the limit that it goes back to must be the present one
        return await engine.limits.set(
            engine.accounts.store,
            order.addresses,
            order.size,
            operator,
            reason=order.reason,
            until=until,
            dry_run=order.dry_run,
        )

    async def _warnings(self, order: Warn | TrialWarning | PreviewWarning | GetWarnings) -> object:
        if not isinstance(order, GetWarnings):
            await self._read_missing(order.addresses if isinstance(order, Warn) else [order.address])
        return await self._engine.alerts.answer(order)

    async def _read_missing(self, addresses: list[str]) -> None:
        """Read the accounts again where one of these is not known: it may have been made a moment ago."""
        if any(self._engine.ledger.get(address) is None for address in addresses):
            await self._engine.accounts.sync.look()

    async def _one(self, request: GetDetails | GetFolder) -> Details | FolderContents:
        if isinstance(request, GetDetails):
            return await self._details(request.address)
        entry = await self._mailbox(request.address)
        return await self._engine.folder_looks.contents(entry.address, request.folder)

    async def _mailbox(self, address: str) -> Entry:
        """The account with this address, if it has a mailbox."""
        await self._read_missing([address])
        entry = self._engine.ledger.get(address)
        if entry is None or not entry.mailbox:
            raise NoSuchAccountError(address, odd=entry is not None)
        return entry

    async def _details(self, address: str) -> Details:
        engine = self._engine
        await self._read_missing([address])
        entry = engine.ledger.get(address)
        if entry is None:
            raise NoSuchAccountError(address)
        await engine.poller.measure_now([entry])
        folders = await engine.alerts.mails.folders(address) if entry.mailbox else []
        aliases = engine.enforcer.router.aliases.leading_to(address)
        known = engine.decisions.refusals(address, _REFUSALS_SHOWN)
        refusals = await engine.mail_log.refusals(address, known, _REFUSALS_SHOWN)
        past = await self._past(entry)
        return Details(
            row=engine.ledger.row(entry),
            folders=folders,
            aliases=aliases,
            refusals=refusals,
            changes=past.changes[:_CHANGES_SHOWN],
            remark=past.remark,
            warnings=past.warnings,
            points=past.points,
            limits=limit_history(entry.database_limit, past.changes, time.time()),
            trend=entry.trend,
            forecast=forecast_of(entry),
        )

    async def _past(self, entry: Entry) -> _Past:
        address = entry.address
        try:
            points = await self._engine.history.usage_points(entry)
            changes = await in_thread(lambda: self._engine.journal.read(address, 0.0, _CHANGES_READ))
            warnings = await self._engine.alerts.warnings(address, _WARNINGS_SHOWN)
        except StateError as error:
            remark = f"changes and warnings can't be shown, nor the history: {error}"
            log.warning(remark, extra=ALSO_ANSWERED)
            return _Past([], [], [], remark)
        return _Past(points, changes, warnings)

    async def _journal(self, request: GetJournal | PlanUndo) -> list[JournalRow] | UndoPlan:
        if isinstance(request, PlanUndo):
            return await self._engine.limits.plan_undo(request.entry)
        return await in_thread(lambda: self._engine.journal.read(request.address, request.since, request.most))


def _may(connection: ControlConnection, request: Request) -> bool:
    """Whether a client may order this. Dry runs are free for all; a read-only console of a user with more rights may
    hand over, so that leaving it does not end enforcement.
    """
    if isinstance(request, HandOver):
        return connection.peer is not None and connection.peer.may_change
    if isinstance(request, SetLimit | SetMessages | EmptyTrash) and request.dry_run:
        return True
    if isinstance(request, Warn) and connection.peer is not None and connection.peer.only_warns:
        return request.source == "dovecot"
    return connection.may_change or not isinstance(request, _CHANGING)


def _as_dovecots(order: Warn) -> Warn:
    """From a shell of the owner of the mailboxes, too, a warning that was sent is not sent again at once."""
    return structs.replace(order, source="dovecot") if order.source == "operator" else order


def _operator(connection: ControlConnection, number: int) -> Operator:
    from ..history.who import Operator

    peer, hello = connection.peer, connection.hello
    assert peer is not None
    assert hello is not None
    operator = Operator(peer.name, hello.origin)
    operator.progress = lambda done, total, note: connection.send(Progress(number, done, total, note))
    connection.operators[number] = operator
    return operator
