"""Notes the start and the end of an engine in the journal. Neither waits for the journal nor fails by it.

An engine is named by its process id and its host. Where the last engine of this host noted its start, did not note its
stop, and does not run any more, the next engine says so in its own entry.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import time
from collections.abc import Callable, Sequence

import psutil

from ..base.programs import own_name
from ..base.threads import in_thread
from ..control.client import operator_origin
from ..control.results import JournalRow
from ..history.connection import StateError
from ..history.journal import Journal, add_entry
from ..history.who import Operator

log = logging.getLogger(__name__)

_LOOKED_AT = 50  # entries on starts and stops
_STOP_SECONDS = 0.4  # of the 5 s that a stop may take in all
_NAME = re.compile(r"process ([0-9]{1,9}) on (.*)", re.DOTALL)


class StartAndStopEntries:
    """The entries of one engine. Used on its loop."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._name = f"process {os.getpid()} on {socket.gethostname()}"
        self._begin: asyncio.Task[None] | None = None

    def begin(self, what: str, *, took_over: bool) -> None:
        """Note the start of ``what`` in the background. ``took_over``: the sockets came from another engine."""
        self._begin = asyncio.get_running_loop().create_task(
            self._note("start", lambda: self._started(what, took_over))
        )

    async def end(self, why: str) -> None:
        """Note the end, for 0.4 s at most. Nothing is noted where ``begin`` was not called."""
        if self._begin is None:
            return
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._begin
                await self._note("end", lambda: self._write("stop", self._name, None, why))
        except TimeoutError:
            log.warning("the end of this engine is not in the journal: the state database does not answer")

    async def _note(self, what: str, work: Callable[[], None]) -> None:
        try:
            await in_thread(work)
        except StateError as error:
            log.warning("the %s of this engine is not in the journal: %s", what, error)
        except Exception:  # an outer edge: neither the start nor the end may fail by it
            log.exception("the %s of this engine is not in the journal", what)

    def _started(self, what: str, took_over: bool) -> None:
        if took_over:
            what += "; took over from the engine before"
        elif _was_killed(self._journal.runs(_LOOKED_AT), socket.gethostname()):
            what += "; the engine before did not stop by itself"
        self._write("start", None, self._name, what)

    def _write(self, kind: str, old: str | None, new: str | None, reason: str) -> None:
        operator = Operator(own_name(), operator_origin(dict(os.environ)))
        entry = operator.entry(kind, old=old, new=new, reason=reason)
        self._journal.database.write(lambda sql: add_entry(sql, time.time(), entry))  # not add: a lost change counts


def _was_killed(rows: Sequence[JournalRow], host: str) -> bool:
    """Whether the last engine of this host ended without noting it; ``rows`` are the newest first."""
    stopped = set()
    for row in rows:
        if row.kind == "stop":
            stopped.add(row.old)
        elif (name := _NAME.fullmatch(row.new or "")) and name[2] == host:
            return row.new not in stopped and not _lives(int(name[1]), row.at)
    return False


def _lives(pid: int, since: float) -> bool:
    """Whether the process that had this id at that time (seconds since the epoch) still runs."""
    try:
        return psutil.Process(pid).create_time() <= since
    except psutil.Error:
        return False
