"""What holds between versions: a conversation with the last release, 0.1.0, recorded byte for byte in its demo world.

``orders`` is what a console of 0.1.0 sent, ``events`` what its engine answered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from mailquota.core.base.version import build, digest, version
from mailquota.core.control.framing import EventReader, OrderReader, Refused
from mailquota.core.control.messages import (
    VERSION,
    Decisions,
    Delta,
    Failed,
    Head,
    Hello,
    Progress,
    Reload,
    Reply,
    Request,
    SetLimit,
    Snapshot,
    Subscribe,
    Watch,
    Welcome,
)
from mailquota.core.control.results import (
    Details,
    Explanation,
    JournalRow,
    RecalcResult,
    Refusals,
    SetResult,
    Status,
    TrashResult,
)
from tests.core.clients import Console
from tests.core.engines import embedded, measured
from tests.core.worlds import JOHN, SmallWorld

RECORDED = Path(__file__).parents[2] / "data" / "control-0.1.0"
ORDERS, EVENTS = (RECORDED / "orders").read_bytes(), (RECORDED / "events").read_bytes()
ANSWERS: dict[int, Any] = {
    2: Details, 3: Status, 4: Refusals, 5: list[SetResult], 6: list[SetResult], 7: list[RecalcResult],
    8: list[TrashResult], 9: list[JournalRow], 10: Explanation,
}  # fmt: skip


def test_all_orders_are_known() -> None:
    found = list(OrderReader().feed(ORDERS))
    assert not [one for one in found if isinstance(one, Refused)]
    assert isinstance(found[0], Hello)
    assert found[0].version == VERSION
    assert len([one for one in found if isinstance(one, Request)]) == 12
    assert {Subscribe, Watch, SetLimit, Reload} <= set(map(type, found))


def test_all_events_can_be_read() -> None:
    found = list(EventReader().feed(EVENTS))
    assert {Welcome, Snapshot, Delta, Head, Decisions, Progress, Reply} == set(map(type, found))
    assert isinstance(found[0], Welcome)
    assert (found[0].engine, found[0].build) == ("0.1.0", "")


@pytest.mark.parametrize(("number", "kind"), ANSWERS.items())
def test_all_answers_can_be_read(number: int, kind: Any) -> None:
    found = EventReader().feed(EVENTS)
    (answer,) = (one for one in found if isinstance(one, Reply) and one.id == number)
    assert msgspec.msgpack.decode(answer.result, type=kind)


def test_an_engine_carries_out_all_of_them(small_world: SmallWorld) -> None:
    """In a world with the account that they are about."""
    name = (RECORDED / "account").read_text()
    if name != JOHN:
        small_world.add_mailbox(name, [1000])
    with embedded(small_world) as engine:
        measured(engine)
        first = next(OrderReader().feed(ORDERS))
        assert isinstance(first, Hello)
        with Console(small_world.control_socket, hello=first) as client:
            client.welcome()
            client.socket.sendall(ORDERS[len(_frame(ORDERS)) :])
            for number, kind in ANSWERS.items():
                client.answer(number, kind)
            client.wait_for(Head)
            assert not [one for one in client.events if isinstance(one, Failed)]


def _frame(data: bytes) -> bytes:
    return data[: 4 + int.from_bytes(data[:4], "big")]


def test_the_greeting_names_the_build(small_world: SmallWorld) -> None:
    with embedded(small_world), Console(small_world.control_socket) as client:
        welcome = client.welcome()
    assert welcome.build == build()
    assert welcome.build.startswith(f"{version()}+")
    assert not welcome.build.endswith("unknown")


def test_builds_differ_in_their_code(tmp_path: Path) -> None:
    """One byte is enough; where the files are is not."""
    for place in ("one", "two", "three"):
        (tmp_path / place / "core").mkdir(parents=True)
        (tmp_path / place / "core" / "a.py").write_text("1")
    (tmp_path / "three" / "core" / "a.py").write_text("2")
    one, two, three = (digest(tmp_path / place) for place in ("one", "two", "three"))
    assert one == two != three
