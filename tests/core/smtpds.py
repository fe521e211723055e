"""Many clients that ask without a pause, each in a thread, and come back as Postfix does when they are closed."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from tests.core.clients import PolicyClient, until

_TRIES = 2  # smtpd_policy_service_try_limit


class Smtpds:
    """``wrong`` is every answer that is not the ``expected`` one, and every request that none of two tries got one to.

    ``answers`` counts, ``retries`` are second tries, ``slowest`` is the longest time of a request in seconds, tries
    included.
    """

    def __init__(self, path: Path, expected: dict[str, str], clients: int) -> None:
        self.wrong: list[str] = []
        self.answers = 0
        self.retries = 0
        self.slowest = 0.0
        self._path = path
        self._expected = expected
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> Smtpds:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask no more; what is under way is answered first."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, answers: int) -> None:
        """Until so many came, in all."""
        until(lambda: self.answers >= answers or self.wrong, f"{answers} answers", 60)
        assert not self.wrong

    def _run(self) -> None:
        client: PolicyClient | None = None
        while not self._stop.is_set():
            for recipient, expected in self._expected.items():
                began = time.monotonic()
                client, action = self._ask(client, recipient)
                self._note(recipient, expected, action, time.monotonic() - began)
        if client is not None:
            client.close()

    def _ask(self, client: PolicyClient | None, recipient: str) -> tuple[PolicyClient | None, str]:
        error: Exception | None = None
        for attempt in range(_TRIES):
            self.retries += attempt
            try:
                client = client or PolicyClient(self._path)
                return client, client.ask(recipient)
            except (OSError, EOFError) as found:
                error = found
                if client is not None:
                    client.close()
                client = None
        return None, repr(error)

    def _note(self, recipient: str, expected: str, action: str, seconds: float) -> None:
        with self._lock:
            self.answers += 1
            self.slowest = max(self.slowest, seconds)
            if action != expected:
                self.wrong.append(f"{recipient}: {action} after {seconds:.3f} s")
