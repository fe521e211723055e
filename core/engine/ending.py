"""When an engine has to end, and why."""

from __future__ import annotations

import asyncio
import logging

log = logging.getLogger(__name__)


class Ending:
    """``due`` is set when the engine has to stop, or when its sockets were handed over.

    ``failed`` is the reason where a part died that can't be started again in this process, else "".
    """

    def __init__(self) -> None:
        self.due = asyncio.Event()
        self.failed = ""

    def fail(self, reason: str) -> None:
        """End because of a part that died. The service manager starts a new engine."""
        self.failed = self.failed or reason
        log.critical("%s: this engine ends", reason)
        self.due.set()
