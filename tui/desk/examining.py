"""The doctor's findings about this server, shared by the screens of one console."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.threads import in_thread
from mailquota.core.doctor.model import Finding
from mailquota.core.doctor.report import worst_first

Examine = Callable[[], list[Finding]]  # examines the server; blocks for seconds


class Examining:
    """Runs one examination at a time in a thread; a second caller waits for the same result."""

    def __init__(self, examine: Examine, clock: Callable[[], float] = time.time) -> None:
        self.findings: list[Finding] | None = None
        self.at = 0.0  # when they were found, in seconds since the epoch
        self._examine = examine
        self._clock = clock
        self._running: asyncio.Task[list[Finding]] | None = None

    @property
    def failed(self) -> int:
        """The number of checks that failed in the last examination."""
        return sum(finding.state == "fail" for finding in self.findings or ())

    async def once(self) -> list[Finding]:
        """The findings of the last examination; examines if there was none. Raises MailquotaError."""
        return await self.again() if self.findings is None else self.findings

    async def again(self) -> list[Finding]:
        """Examine the server now, and return the findings. Raises MailquotaError."""
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())
        return await asyncio.shield(self._running)

    async def _run(self) -> list[Finding]:
        try:
            self.findings = worst_first(await in_thread(self._examine))
            self.at = self._clock()
        except Exception as error:  # a bug in a check must not end the console
            raise MailquotaError(f"The doctor failed: {error}") from error
        finally:
            self._running = None
        return self.findings
