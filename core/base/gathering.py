"""Work in a lane for whole lists, whose results are waited for together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from .lanes import Lane

log = logging.getLogger(__name__)

I = TypeVar("I", bound=Hashable)  # noqa: E741 - as in core/base/lanes.py
R = TypeVar("R")


class GatheringLane(Generic[I, R]):
    """Calls ``work(item)`` for each item of a list in one thread, one list at a time. Made and used on the loop.

    ``otherwise`` is the result of an item that hangs for ``patience`` seconds, fails, or can't be begun. ``key``,
    ``place`` and ``patience`` are as in Lane.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[I], R],
        otherwise: R,
        *,
        key: Callable[[I], Hashable],
        place: Callable[[I], Hashable],
        patience: float,
    ) -> None:
        self._name = name
        self._key = key
        self._otherwise = otherwise
        self._lane = Lane(name, work, self._take, stuck=self._give_up, key=key, place=place, patience=patience)
        self._found: dict[I, R] = {}
        self._wanted = 0

    @property
    def cpu_seconds(self) -> float:
        """Of its thread, since the start."""
        return self._lane.cpu_seconds

    async def gather(self, items: list[I]) -> dict[I, R]:
        """The result of each item."""
        if not items:
            return {}
        self._found, self._wanted = {}, len(items)
        self._complete = asyncio.get_running_loop().create_future()
        for item in items:
            if self._lane.usable(item):
                self._lane.submit(item)
            else:
                self._give_up(item)
        await self._complete
        return self._found

    def close(self) -> None:
        """End the thread."""
        self._lane.close()

    def _take(self, item: I, result: R | Exception) -> None:
        if isinstance(result, Exception):
            log.debug("%s: %s: %s", self._name, self._key(item), result)
            result = self._otherwise
        self._found[item] = result
        if len(self._found) == self._wanted and not self._complete.done():
            self._complete.set_result(None)

    def _give_up(self, item: I) -> None:
        self._take(item, self._otherwise)
