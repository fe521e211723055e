"""Numbers in orders that are out of range: told as such, and neither an internal error nor the end of the engine."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from mailquota.core.control.messages import Cancel, Failed, GetStatus, Goodbye, HandOver, Reply, Request
from mailquota.core.control.results import Status
from tests.core.clients import Console
from tests.core.engines import console, embedded, measured
from tests.core.worlds import JOHN, SmallWorld

EXTREMES: tuple[Any, ...] = (
    -1,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64 - 1,
    float("inf"),
    float("nan"),
    -1.0,
    1e300,
    [],
    "x" * 100,
)
VALUES: dict[str, Any] = {"addresses": [JOHN], "address": JOHN, "size": "1G", "limit": "7", "mark": "95", "target": 99}
TEXTS = {"addresses", "address", "reason", "mark", "source", "until", "limit", "dry_run", "everybody"}


def said_to(client: Console, document: dict[str, Any]) -> str:
    """What the engine answers to an order of these fields; "" where it carries it out."""
    body = msgspec.msgpack.encode(document)
    client.socket.sendall(len(body).to_bytes(4, "big") + body)
    while True:
        for event in client.events:
            if isinstance(event, Failed | Goodbye | Reply):
                client.events.clear()
                return "" if isinstance(event, Reply) else getattr(event, "message", getattr(event, "reason", ""))
        client.read()


def test_a_number_out_of_range_is_told_as_such(small_world: SmallWorld) -> None:
    tried = 0
    with embedded(small_world) as engine:
        measured(engine)
        for kind in get_args(Request):
            if kind in {HandOver, Cancel}:
                continue
            needed = {one.name: VALUES.get(one.name, "x") for one in msgspec.structs.fields(kind) if one.required}
            document = needed | {"type": kind.__struct_config__.tag, "id": 7, "dry_run": True}
            for field in msgspec.structs.fields(kind):
                for value in EXTREMES if field.name not in TEXTS else ():
                    with console(engine) as client:
                        client.welcome()
                        told = said_to(client, document | {field.name: value})
                    assert "internal" not in told, (kind, field.name, value)
                    tried += 1
        with console(engine) as client:
            client.welcome()
            assert "Expected `int` <= 9007199254740992" in said_to(client, {"type": "undo", "id": 7, "entry": 2**63})
            assert client.ask(GetStatus, Status).accounts == 5, "the same connection goes on"
    assert tried > 100
