"""Asks Dovecot's quota-status the same requests in the background, and records where its answers differ.

So an administrator sees what would change before mailquota takes its place. No answer to Postfix waits for this:
requests wait in a short queue, and one that finds it full is skipped and counted, as is one that quota-status defers.
END-OF-MESSAGE is not asked, as quota-status does not decide it. Each request has a connection of its own, as
quota-status remembers the size of an earlier request on the same one.

Mail may be delivered between the two answers. So where they differ both are asked again, and only a difference that
stays is recorded, with the reason of mailquota's answer: an alias that quota-status does not resolve, or reservations.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum

from ..base import restarts
from ..base.endpoints import ListenAddress
from ..control.results import Disagreement, Explanation
from .decision import REFUSALS, Verdict
from .protocol import question

log = logging.getLogger(__name__)

QUEUED = 200
KEPT = 200
_PATIENCE = 10.0  # seconds that quota-status may take; with many accounts in a dict it is slow
_PAUSE = 5.0  # seconds after it could not be reached
_NAMED = 3  # mailboxes of an alias that are named in a reason
_MOST = 4096  # bytes of an answer

Explain = Callable[[str, int, bytes], Awaitable[Explanation]]


class Effect(Enum):
    """What an action does with the recipient."""

    ACCEPTS = "takes"
    REFUSES = "refuses"
    DEFERS = "open"  # not decided: the client has to try again


def effect_of(action: str) -> Effect:
    """The effect of an action of access(5), as quota-status gives it; an empty one permits."""
    word = action.partition(" ")[0].upper()
    if word in {"DEFER", "DEFER_IF_PERMIT", "DEFER_IF_REJECT"}:
        return Effect.DEFERS
    return Effect.REFUSES if word == "REJECT" or (word[:1] in {"4", "5"} and word.isdigit()) else Effect.ACCEPTS


class QuotaStatusComparison:
    """Compares answers; runs on the engine's loop. Without an address it does nothing.

    ``explain`` gives the decision on a recipient with its reason: ``Enforcer.explain``.
    """

    def __init__(self, explain: Explain) -> None:
        self._explain = explain
        self._address: ListenAddress | None = None
        self._queue: deque[tuple[bytes, Verdict]] = deque()
        self._task: asyncio.Task[None] | None = None
        self.problem = ""  # why nothing can be compared now
        self.compared = 0
        self.disagreed = 0
        self.skipped = 0
        self.newest: deque[Disagreement] = deque(maxlen=KEPT)

    @property
    def wanted(self) -> bool:
        """Whether there is a quota-status to compare with."""
        return self._address is not None

    def ask_at(self, address: ListenAddress | None) -> None:
        """The address of quota-status from now on; None: compare nothing."""
        if address == self._address:
            return
        self._address = address
        self.problem = ""
        self._queue.clear()

    def put(self, request: bytes, verdict: Verdict) -> None:
        """Queue a request with the verdict that it got, unless quota-status decides no such request."""
        if verdict in {Verdict.OTHER, Verdict.TROUBLE} or question(request).state == b"END-OF-MESSAGE":
            return
        if len(self._queue) >= QUEUED:
            self.skipped += 1
            return
        self._queue.append((request, verdict))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())

    def close(self) -> None:
        """Stop comparing."""
        if self._task is not None:
            self._task.cancel()

    async def _work(self) -> None:
        """Compare until the queue is empty."""
        try:
            while self._queue:
                await self._compare(*self._queue.popleft())
        except Exception as error:  # noqa: BLE001 - an outer edge: the next request starts a new task
            restarts.count("comparing", error)
        finally:
            self._task = None

    async def _compare(self, request: bytes, verdict: Verdict) -> None:
        ours = Effect.REFUSES if verdict in REFUSALS else Effect.ACCEPTS
        theirs = await self._ask(request)
        if theirs is None or effect_of(theirs) is Effect.DEFERS:
            self.skipped += 1
            return
        self.compared += 1
        if effect_of(theirs) is not ours:
            await self._compare_again(request)

    async def _compare_again(self, request: bytes) -> None:
        asked = question(request)
        recipient = asked.recipient.decode("utf-8", "replace")
        explained = await self._explain(recipient, asked.size, request)
        theirs = await self._ask(request)
        ours = Effect.REFUSES if explained.verdict in REFUSALS else Effect.ACCEPTS
        if theirs is None or effect_of(theirs) in {ours, Effect.DEFERS} or explained.verdict == Verdict.TROUBLE:
            return
        self.disagreed += 1
        said, why = theirs[:200], _reason(explained)
        self.newest.append(
            Disagreement(
                at=time.time(), recipient=recipient, size=asked.size, verdict=explained.verdict, theirs=said, why=why
            )
        )

    async def _ask(self, request: bytes) -> str | None:
        """The action that quota-status gives; None where it does not answer."""
        address = self._address
        if address is None:
            return None
        try:
            async with asyncio.timeout(_PATIENCE):
                action = await _ask(address, request)
        except (OSError, TimeoutError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            if not self.problem:
                log.warning("%s, to compare with, does not answer: %s", address, reason)
            self.problem = f"{address} does not answer: {reason}"
            await asyncio.sleep(_PAUSE)
            return None
        self.problem = ""
        return action


def _reason(explained: Explanation) -> str:
    """The reason of mailquota's answer; that it is an alias, which quota-status does not resolve, comes first."""
    ends = [target.address for target in explained.targets if target.via]
    more = f" and {len(ends) - _NAMED} more" if len(ends) > _NAMED else ""
    return f"An alias of {', '.join(ends[:_NAMED])}{more}. {explained.why}" if ends else explained.why


async def _ask(address: ListenAddress, request: bytes) -> str:
    if address.kind == "unix":
        reader, writer = await asyncio.open_unix_connection(address.path, limit=_MOST)
    else:
        reader, writer = await asyncio.open_connection(address.host, address.port, limit=_MOST)
    try:
        writer.write(request[1:] + b"\n")
        reply = await reader.readuntil(b"\n\n")
    finally:
        writer.close()
    name, _, action = reply.strip(b"\n").decode("utf-8", "replace").partition("=")
    if name != "action":
        raise ValueError(f"{name[:40]!r} is no answer")
    return action
