"""mailquota without settings of its own, on one server after the other.

Theory of operation: this module runs as a process that imports the engine once, and then forks for each server. The
fork gets mounts of its own, in which /etc/dovecot and /etc/postfix are those of the server; so everything that
mailquota asks (doveconf, doveadm, postconf) works as on a machine with that server. It starts a whole engine, waits
until all accounts are measured and, where a witness is asked, verified, puts its questions, and prints a line of JSON.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import socket
import subprocess
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.model import account_json
from mailquota.core.control.client import Client
from mailquota.core.control.messages import Explain, GetAccounts, Snapshot
from mailquota.core.control.results import Explanation
from mailquota.core.doctor.examine import examine
from mailquota.core.engine.engine import Engine
from mailquota.core.engine.options import Options
from mailquota.core.engine.orders import Orders
from mailquota.core.settings.config import Config, load
from mailquota.core.settings.discover import discover

_NEW_MOUNTS, _BIND, _PRIVATE, _RECURSIVE = 0x20000, 0x1000, 1 << 18, 0x4000  # unshare(2), mount(2)
_SECONDS = 60.0
_PATIENCE = 8.0  # seconds; an account that Dovecot does not know is never verified
_POLL = 0.02
_AGAIN = 0.2  # seconds until an account that differs is verified again
_LATE = "Dovecot has not answered yet"
_LARGEST_LIMIT = 2**56  # above, Dovecot 2.3's own sum for a grace in percent does not fit into 64 bits
_SIZES = (0, 3_000, 60_000, 3_000_000)
KIB = 1024
_ROOT = Path(__file__).parents[3]

Answer = dict[str, Any]


class Ours:
    """The process; ``ask`` is for one thread at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.truth.configs.ours"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=_ROOT, text=True,
        )  # fmt: skip

    def ask(
        self, folder: Path, *, doctor: bool = False, recipients: tuple[str, ...] = (), witness: bool = True
    ) -> Answer:
        """About the server whose settings are in ``etc`` and ``postfix`` of this folder.

        ``rows`` by address, ``verdicts`` as triples of recipient, size and verdict, ``remarks``, ``findings`` if the
        ``doctor`` shall be asked, and ``error`` where it does not start. ``witness``: whether Dovecot runs, so that its
        own figures are waited for.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        question = {"folder": str(folder), "doctor": doctor, "recipients": recipients, "witness": witness}
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer: Answer = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def __enter__(self) -> Ours:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# ---- in the process


def _serve() -> None:
    for line in sys.stdin:
        read_end, write_end = os.pipe()
        child = os.fork()
        if not child:
            os.close(read_end)
            with os.fdopen(write_end, "w") as out:
                out.write(json.dumps(_answer(json.loads(line))))
            os._exit(0)
        os.close(write_end)
        with os.fdopen(read_end) as answer:
            sys.stdout.write(f"{answer.read() or json.dumps({'error': 'no answer'})}\n")
        os.waitpid(child, 0)
        sys.stdout.flush()


def _answer(question: dict[str, Any]) -> Answer:
    try:
        folder = Path(question["folder"])
        _move_to(folder)
        config = load(_settings(folder, witness=question["witness"]), {}, discover)
        answer: Answer = {"remarks": list(config.remarks)}
        try:
            answer |= asyncio.run(_ask(config, question["recipients"], doctor=question["doctor"]))
        except MailquotaError as error:
            answer["error"] = str(error)
        return answer
    except MailquotaError as error:
        return {"error": str(error), "remarks": [str(error)]}
    except BaseException:  # noqa: BLE001 - outer edge: the other process has to hear of it
        return {"fault": traceback.format_exc()}


def _move_to(folder: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)

    def done(result: int) -> None:
        if result:
            raise OSError(ctypes.get_errno(), "private mounts")

    done(libc.unshare(_NEW_MOUNTS))
    done(libc.mount(None, b"/", None, _PRIVATE | _RECURSIVE, None))
    for name, place in (("etc", "/etc/dovecot"), ("postfix", "/etc/postfix")):
        done(libc.mount(os.fsencode(folder / name), os.fsencode(place), None, _BIND, None))


def _settings(folder: Path, *, witness: bool) -> Path:
    """Only of where things are that have nothing to do with Dovecot and Postfix."""
    path = folder / "mailquota.toml"
    own_mailstore = "" if witness else '[mailstore]\nverify = "0s"'  # else the mailstore is found
    path.write_text(f"""
{own_mailstore}
[warnings]
thresholds = []
[control]
socket = "{folder}/control.sock"
group = ""
[state]
database = "sqlite:///{folder}/state.db"
""")
    for file in ("control.sock", "state.db"):
        (folder / file).unlink(missing_ok=True)
    return path


async def _ask(config: Config, recipients: list[str], *, doctor: bool) -> Answer:
    engine = Engine(config, Options(load=lambda: config))
    engine.control.handle = Orders(engine).handle
    if getattr(engine, "witness", None) is not None:
        vars(engine)["witness"]._again = _AGAIN  # mail does not move here, so a difference need not wait
    await engine.start()
    try:
        ours, theirs = socket.socketpair()
        await engine.control.adopt(theirs)
        client, _ = await Client.adopt(ours, "test", read_only=True)
        try:
            rows = await _rows(engine, client)
            asked = [(name, size) for name, row in rows.items() for size in _sizes(row)]
            asked += [(name, 0) for name in recipients]
            answer = {"rows": rows, "verdicts": [[*one, *await _verdict(client, *one)] for one in asked]}
            if doctor:  # while the engine runs, which it asks, too
                found = await asyncio.to_thread(examine, config)
                answer["findings"] = [[one.check, one.state, one.found] for one in found]
            return answer
        finally:
            await client.close()
    finally:
        await engine.stop()


async def _rows(engine: Engine, client: Client) -> dict[str, dict[str, Any]]:
    """Once everything is measured and verified, or can't be; what is not after _PATIENCE is as it is."""
    until = monotonic() + _PATIENCE
    while not (engine.poller.first_round.is_set() and _verified(engine)) and monotonic() < until:  # noqa: ASYNC110
        await asyncio.sleep(_POLL)
    rows: dict[str, dict[str, Any]] = {}

    def take(event: object) -> None:
        if isinstance(event, Snapshot):
            rows.update({row.address: account_json(row) for row in event.rows})

    client.on_event = take
    await client.request(GetAccounts(client.next_id(), _SECONDS), None)
    return rows


def _verified(engine: Engine) -> bool:
    """Whether Dovecot's own figures were held beside ours, or nobody does so.

    A witness is ``away`` before its first answer, too.
    """
    witness = getattr(engine.status(), "witness", None)
    return witness is None or witness.state == "off" or witness.checked >= len(engine.ledger.entries)


def _sizes(row: dict[str, Any]) -> list[int]:
    """Some, and those at the edges by our figures, with a tenth as the grace and without."""
    limit, used = row["limit_bytes"], row["used_bytes"]
    if limit is None or used is None or used >= limit or limit > _LARGEST_LIMIT:
        return list(_SIZES)
    room, next_size = limit - used, KIB if by_doveadm(row) else 1
    return [*_SIZES, *(edge + more for edge in (room, room + limit // 10) for more in (0, next_size))]


def by_doveadm(row: dict[str, Any]) -> bool:
    """Whether the usage of an account is Dovecot's own figure, which may be rounded up to KiB."""
    return row.get("source") == "doveadm" or row.get("witness_bytes") is not None


async def _verdict(client: Client, recipient: str, size: int) -> tuple[str, str, list[list[str]]]:
    """Asked again where Dovecot was too slow for an answer in time, as on a busy machine."""
    until = monotonic() + _PATIENCE
    while True:
        found: Explanation = await client.request(Explain(client.next_id(), recipient, size), Explanation)
        if _LATE not in found.why or monotonic() > until:
            return found.verdict, found.why, [[target.kind, target.address] for target in found.targets]
        await asyncio.sleep(_AGAIN)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        _serve()
