"""What keys do, over a real engine: the same whether it is embedded or attached."""

from __future__ import annotations

from tests.core.clients import ask, until
from tests.core.worlds import ANNA, FULL, JOHN, OVERQUOTA, TRASH
from tests.tui.places import Place
from tests.tui.stage import Driven


async def go_to(console: Driven, address: str) -> None:
    """Filter until only one account is left, which is measured."""
    await console.press("slash")
    await console.paste(address.partition("@")[0])
    await console.press("enter")
    await console.until(lambda: console.order == [address], f"only {address}")
    await console.until(lambda: console.row.used_bytes is not None, "is measured")


def test_an_edited_limit_is_in_the_database_and_enforced(place: Place) -> None:
    """From a full mailbox to one that takes mail."""

    async def scene(console: Driven) -> None:
        await go_to(console, FULL)
        assert ask(place.world.policy_socket, FULL) == OVERQUOTA
        await console.press("e")
        await console.sees("Edit limit")
        await console.paste("20000")
        await console.press("enter")
        await console.sees(f"The limit of {FULL} is now")
        assert place.world.limit_of(FULL) == 20000
        assert ask(place.world.policy_socket, FULL) == "DUNNO"
        await console.until(lambda: console.row.limit_bytes == 20000, "the table follows")

    place.play(scene)


def test_trash_is_emptied_by_key(place: Place) -> None:
    """Its three mails of 1,000 bytes are gone, the others are not."""
    trash, inbox = (place.world.maildir(TRASH) / folder / "cur" for folder in (".Trash", ""))

    async def scene(console: Driven) -> None:
        await go_to(console, TRASH)
        await console.press("t")
        await console.sees("Empty Trash", "Messages    3,")
        assert len(list(trash.iterdir())) == 3
        await console.press("left", "enter")
        await console.sees(f"{TRASH}: 3 messages (", "removed from Trash")
        assert (list(trash.iterdir()), len(list(inbox.iterdir()))) == ([], 3)
        await console.until(lambda: console.row.used_bytes == 6000, "the table follows")

    place.play(scene)


def test_recalculating_by_key_mends_the_figure(place: Place) -> None:
    """A maildirsize that claims too much."""
    (place.world.maildir(JOHN) / "maildirsize").write_text("10000S\n4500 5\n")

    async def scene(console: Driven) -> None:
        await go_to(console, JOHN)
        await console.until(lambda: console.row.used_bytes == 4500, "believes the file")
        await console.press("r")
        await console.sees("500 B less than recorded", "1 of 1")
        await console.press("enter")
        await console.until(lambda: console.row.used_bytes == 4000, "the table follows")

    place.play(scene)


def test_what_happens_elsewhere_comes_on_the_screen(place: Place) -> None:
    """A delivery, another's edit, an answer."""

    async def scene(console: Driven) -> None:
        await go_to(console, JOHN)
        place.world.deliver(JOHN, 3000)
        await console.until(lambda: console.row.used_bytes == 7000, "the delivery")
        place.world.set_limit(JOHN, 14_000)
        await console.until(lambda: console.row.limit_bytes == 14_000, "the edit")
        assert ask(place.world.policy_socket, FULL) == OVERQUOTA
        await console.sees(f"→ {FULL}")

    place.play(scene)


def test_who_may_only_look_has_no_keys_that_change(place: Place) -> None:
    """Nor does the engine take such an order from there."""

    async def scene(console: Driven) -> None:
        await go_to(console, ANNA)
        await console.sees("READ-ONLY")
        await console.press("e", "r", "t")
        assert len(console.app.screen_stack) == 1
        welcome = console.app.desk.session.welcome
        assert welcome is not None
        assert not welcome.may_change

    place.play(scene, read_only=True)


def test_q_asks_only_where_the_engine_would_end(place: Place) -> None:
    """An attached console leaves its engine; Stop ends an embedded one and removes its sockets."""

    async def scene(console: Driven) -> None:
        await console.press("q")
        if not place.attached:
            await console.sees("Keep enforcing in the background", "Stop")
            await console.press("down", "enter")
        await console.until(lambda: not console.app.is_running, "leaves")

    place.play(scene)
    if place.attached:
        assert ask(place.world.policy_socket, FULL) == OVERQUOTA
    else:
        until(lambda: not place.world.policy_socket.exists(), "the sockets are gone")
