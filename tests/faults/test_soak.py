"""Full load for ten minutes, with deliveries, edits, changes and clients that come and go: memory does not grow.

Recipients are many, most of them with a detail that never came before, half of those by aliases: what is remembered of
them has to have a bound. Limits are edited for a part of the time only, as each edit makes all that be forgotten.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time

import psutil
import pytest

from mailquota.core.control.messages import EmptyTrash, GetStatus, Recalc, SetLimit
from mailquota.core.control.results import RecalcResult, SetResult, Status, TrashResult
from tests.core.clients import Console, PolicyClient, request, until
from tests.core.engines import serving
from tests.core.worlds import ANNA, FREE, FULL, JOHN, OVERQUOTA, TRASH, SmallWorld

SECONDS = float(os.environ.get("MAILQUOTA_SOAK_SECONDS") or 600)
WARM = 0.2  # share of the time after which nothing new is to be learnt
EDITED = 0.5  # from then on until this share, limits are edited all the time
MOST_GROWTH = 8 * 2**20  # bytes; what is remembered of recipients is forgotten all at once, and leaves gaps
_BATCH = 50
_CLIENTS = 8
_MANY = 300

_tags = itertools.count()


def furnish(world: SmallWorld) -> None:
    """Many accounts, and as many lists that lead to two of them."""
    for number in range(_MANY):
        world.add_mailbox(f"u{number}@many.example", [1000], file=bool(number % 2))
    for number, step in itertools.product(range(_MANY), (0, 1)):
        world.add_alias(f"team{number}@many.example", f"u{(number + step) % _MANY}@many.example")


def batch() -> bytes:
    """Requests on the wire: the accounts of the small world, and with details these, the many others and the lists."""
    requests = [request(name) for name in (FULL, JOHN, ANNA, FREE, TRASH) * (_BATCH // 25)]
    while len(requests) < _BATCH:
        tag = next(_tags)
        number = tag % _MANY
        requests += [
            request(f"john+{tag}@example.org"), request(f"info+{tag}@example.org"),
            request(f"u{number}+{tag}@many.example"), request(f"team{number}+{tag}@many.example", 10),
        ]  # fmt: skip
    return b"".join(requests)


class Load:
    """Clients that send batches; ``answers`` counts, ``wrong`` is what must not come."""

    def __init__(self, world: SmallWorld) -> None:
        self.answers = 0
        self.wrong: list[str] = []
        self._world = world
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(_CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                with PolicyClient(self._world.policy_socket) as postfix:  # a new connection for each 20 batches
                    for _ in range(20):
                        postfix.socket.sendall(batch())
                        found = [postfix.read() for _ in range(_BATCH)]
                        self.wrong += [action for action in found if action not in {OVERQUOTA, "DUNNO"}]
                        self.answers += _BATCH
        except (OSError, EOFError) as error:
            self.wrong.append(repr(error))


def use(world: SmallWorld, turn: int, *, edits: bool) -> None:
    """What an operator, a mail server and other programs do meanwhile."""
    world.deliver(JOHN, 10)
    world.deliver(TRASH, 10, ".Trash")
    if edits:
        world.set_limit(ANNA, 10_000 + turn % 7)
    with Console(world.control_socket) as client:
        client.subscribe()
        if edits:
            client.ask(lambda number: SetLimit(number, [FREE], str(turn % 3)), list[SetResult])
        client.ask(lambda number: Recalc(number, [JOHN]), list[RecalcResult])
        client.ask(lambda number: EmptyTrash(number, [TRASH]), list[TrashResult])
    if turn % 50 == 0:
        for path in (world.maildir(JOHN) / "cur").iterdir():
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        (world.maildir(JOHN) / "maildirsize").unlink(missing_ok=True)


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 120)
def test_memory_does_not_grow(small_world: SmallWorld) -> None:
    furnish(small_world)
    with serving(small_world) as running:
        engine = psutil.Process(running.pid)
        until(lambda: engine.memory_info().rss > 0)
        began, turn, warm, most = time.monotonic(), 0, 0, 0
        with Load(small_world) as load:
            while (passed := time.monotonic() - began) < SECONDS:
                use(small_world, turn, edits=WARM < passed / SECONDS < EDITED)
                turn += 1
                held = engine.memory_info().rss
                if passed < SECONDS * WARM:
                    warm = max(warm, held)
                most = max(most, held)
        with Console(small_world.control_socket) as client:
            status: Status = client.ask(GetStatus, Status)
        files, threads = engine.num_fds(), engine.num_threads()
        print(
            f"{passed:.0f} s, {load.answers} answers, {turn} turns of changes, {status.trouble} in trouble; memory "
            f"{warm / 2**20:.1f} MiB warm, {most / 2**20:.1f} at most; {files} descriptors, {threads} threads"
        )
        assert load.wrong == []
        assert status.malformed == 0
        assert most - warm < MOST_GROWTH
        assert files < 100
        assert threads < 50
