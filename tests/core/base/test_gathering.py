"""Lists of work in a lane: each item has a result, whatever becomes of it."""

from __future__ import annotations

import threading

from mailquota.core.base.gathering import GatheringLane
from tests.core.loops import run

NONE = -1  # the result of an item that has none


def gathered(*lists: list[str], hangs: threading.Event | None = None) -> list[dict[str, int]]:
    """The lengths of names; "bad" fails, "slow" hangs until ``hangs`` is set."""

    def work(name: str) -> int:
        if name == "bad":
            raise OSError(5, "Input/output error")
        if name == "slow" and hangs is not None:
            hangs.wait(20)
        return len(name)

    async def scene() -> list[dict[str, int]]:
        lane = GatheringLane("lengths", work, NONE, key=lambda name: name, place=lambda _name: "", patience=0.1)
        try:
            return [await lane.gather(names) for names in lists]
        finally:
            lane.close()

    return run(scene())


def test_each_list_has_its_own_results() -> None:
    assert gathered(["a", "bb"], ["ccc"], []) == [{"a": 1, "bb": 2}, {"ccc": 3}, {}]


def test_an_item_that_fails_or_hangs_holds_up_no_other() -> None:
    """Nor the next list, in which the one that hangs is not begun."""
    go_on = threading.Event()
    try:
        first, second = gathered(["a", "slow", "bad", "bb"], ["slow", "ccc"], hangs=go_on)
    finally:
        go_on.set()
    assert first == {"a": 1, "slow": NONE, "bad": NONE, "bb": 2}
    assert second == {"slow": NONE, "ccc": 3}
