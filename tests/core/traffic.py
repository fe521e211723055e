"""Busy clients of the policy server, who look at every answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tests.core.clients import PolicyClient
from tests.core.worlds import FULL, JOHN, OVERQUOTA, SmallWorld


class Traffic:
    """Connections that ask without a pause, each in a thread; ``wrong`` is every answer that is not right.

    ``count`` of them stay as they are, ``anew`` connect again for each question; one that is refused is wrong, too.
    """

    def __init__(self, world: SmallWorld, count: int, *, anew: int = 0) -> None:
        self.wrong: list[str] = []
        self.answers = 0
        self._place = world.policy_socket
        self._stop = threading.Event()
        ways = [self._stay] * count + [self._come_and_go] * anew
        self._threads = [threading.Thread(target=self._ask, args=(way,)) for way in ways]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, way: Callable[[], None]) -> None:
        try:
            way()
        except (OSError, EOFError) as error:
            self.wrong.append(repr(error))

    def _stay(self) -> None:
        with PolicyClient(self._place) as postfix:
            while not self._stop.is_set():
                self._ask_both(postfix)

    def _come_and_go(self) -> None:
        while not self._stop.is_set():
            with PolicyClient(self._place) as postfix:
                self._ask_both(postfix)

    def _ask_both(self, postfix: PolicyClient) -> None:
        for address, expected in ((FULL, OVERQUOTA), (JOHN, "DUNNO")):
            action = postfix.ask(address)
            self.answers += 1
            if action != expected:
                self.wrong.append(f"{address}: {action}")

    def wait_for_more(self, count: int = 200) -> None:
        """Until so many were answered from now on."""
        wanted = self.answers + count
        deadline = time.monotonic() + 60
        while self.answers < wanted and not self.wrong and time.monotonic() < deadline:
            time.sleep(0.001)
        assert self.answers >= wanted, self.wrong
