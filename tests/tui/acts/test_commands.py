"""The command line behind each dialog: it is read as the order that the dialog sends; and the log of them."""

from __future__ import annotations

import shlex
import subprocess
import sys

import click
import msgspec
import pytest

from mailquota.core.base.model import AccountRow
from mailquota.core.base.times import parse_until, until_text
from mailquota.core.base.units import parse_age
from mailquota.core.commands.limits import COMMANDS as LIMITS
from mailquota.core.commands.recalc import COMMANDS as RECALC
from mailquota.core.commands.trash import COMMANDS as TRASH
from mailquota.core.commands.warn import COMMANDS as WARN
from mailquota.core.control.messages import EmptyTrash, Recalc, SetLimit, Undo, Warn
from tests.tui import past, world
from tests.tui.fake_engine import FakeEngine
from tests.tui.real_terminal import Terminal
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE, MIB

COMMANDS = {**LIMITS, **RECALC, **TRASH, **WARN}
ODD = [
    AccountRow("--yes@example.org", 100 * MIB, 90 * MIB, trash_bytes=9, trash_messages=4),
    AccountRow("o'brien $(id)@example.org", 100 * MIB, 80 * MIB, trash_bytes=9, trash_messages=4),
]


def logged(stage: Stage) -> list[str]:
    """The commands in the log, without the comments."""
    return [line for line in stage.app.desk.commands.text().splitlines() if not line.startswith("#")]


def read(line: str) -> dict[str, object]:
    """What the command takes from its line, as a shell passes it on."""
    program, name, *words = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True, text=True
    ).stdout.split("\0")[:-1]
    assert program == "mailquota"
    context: click.Context = COMMANDS[name].make_context(name, words, resilient_parsing=False, obj=None)
    return context.params


def order(stage: Stage, kind: type) -> object:
    """The last order of this kind."""
    return [each for each in stage.engine.orders if isinstance(each, kind)][-1]


def test_set() -> None:
    """With the date and the reason; for several accounts, whatever their names."""

    async def scene(stage: Stage) -> None:
        await stage.press("asterisk", "e")
        await stage.paste("-10M")
        await stage.sees("$ mailquota set -- --yes@example.org", "-10M  ^y copies")
        await stage.press("tab")
        await stage.paste("2w")
        await stage.press("tab")
        await stage.paste("it's --big")
        await stage.press("enter")
        await stage.sees("The limits of 2 accounts are set")
        sent = order(stage, SetLimit)
        assert isinstance(sent, SetLimit)
        params = read(logged(stage)[0])
        assert params["words"] == (*sent.addresses, "-10M")
        assert params["reason"] == sent.reason == "it's --big"
        assert until_text(parse_until(str(params["until"]), world.NOW)) == sent.until

    rows = [AccountRow(row.address, 100 * MIB, MIB) for row in ODD]
    play(scene, rows=rows)


def test_a_test_of_a_warning() -> None:
    """With the address that it goes to, whatever the names are."""

    async def scene(stage: Stage) -> None:
        stage.engine.warnings = [past.warnings(world.NOW)[0]]
        stage.engine.warnings[0] = msgspec.structs.replace(stage.engine.warnings[0], address=ODD[0].address, mark="95%")
        await stage.press("4")
        await stage.sees("--yes@example.org")
        await stage.press("s")
        await stage.paste("-me@example.org")
        await stage.sees("$ mailquota warn --test-to=-me@example.org -- 95 --yes@exa")
        await stage.press("enter")
        await stage.sees("Test to -me@example.org")
        params = read(logged(stage)[0])
        assert (params["percent"], params["address"]) == ("95", ODD[0].address)
        assert params["test_to"] == "-me@example.org"

    play(scene, rows=ODD)


def test_empty_trash() -> None:
    """With the age."""

    async def scene(stage: Stage) -> None:
        await stage.press("asterisk", "t")
        await stage.sees("$ mailquota empty-trash -- --yes@example.org")
        stage.app.screen.query_one("#age").focus()
        await stage.paste("30d")
        await stage.sees("--older-than 30d")
        await stage.until(lambda: not stage.app.screen.query_one("#empty").disabled, "counts")
        stage.app.screen.query_one("#empty").focus()
        await stage.press("enter")
        await stage.sees("removed from Trash")
        sent = order(stage, EmptyTrash)
        assert isinstance(sent, EmptyTrash)
        params = read(logged(stage)[0])
        assert params["addresses"] == tuple(sent.addresses)
        assert parse_age(str(params["older_than"])) == sent.older_than

    play(scene, rows=ODD)


def test_recalc_and_warn() -> None:
    """A warning is one command for each account; without a threshold it is the one of now."""

    async def scene(stage: Stage) -> None:
        await stage.press("asterisk", "r")
        await stage.sees("2 recounted")
        await stage.press("enter", "w")
        await stage.sees("$ mailquota warn -- now --yes@example.org")
        await stage.press("enter")
        await stage.sees("--yes@example.org")
        await stage.until(lambda: len(logged(stage)) == 3, "is logged")
        recount, *warned = logged(stage)
        sent = order(stage, Recalc)
        assert isinstance(sent, Recalc)
        assert read(recount)["addresses"] == tuple(sent.addresses)
        assert [read(line)["address"] for line in warned] == [row.address for row in ODD]
        assert {read(line)["percent"] for line in warned} == {"now"}
        assert isinstance(order(stage, Warn), Warn)

    play(scene, rows=ODD)


def test_undo() -> None:
    """Of one entry by its number."""

    async def scene(stage: Stage) -> None:
        await stage.press("e")
        await stage.paste("200M")
        await stage.press("enter")
        await stage.sees("is now 200 MiB")
        await stage.press("U")
        await stage.sees("$ mailquota undo 1")
        await stage.press("enter")
        await stage.sees("is 100 MiB again")
        sent = order(stage, Undo)
        assert isinstance(sent, Undo)
        assert read(logged(stage)[1])["entry"] == sent.entry == 1

    play(scene, rows=FIVE)


def test_the_log() -> None:
    """Each command with its time and what became of it; it can be copied. Before that the key says that it is empty."""

    async def scene(stage: Stage) -> None:
        await stage.press("L")
        await stage.sees("Nothing was changed in this console yet")
        await stage.press("e")
        await stage.paste("1G")
        await stage.press("enter")
        await stage.sees("the accounts database is read-only")
        await stage.press("escape", "j", "e")
        stage.engine.failing.clear()
        await stage.paste("2G")
        await stage.press("enter")
        await stage.sees("is now 2 GiB")
        await stage.press("L")
        await stage.sees("not done: the accounts database is read-only", "mailquota set a@example.org 1G")
        await stage.sees("The limit of b@example.org is now 2 GiB, it was 100 MiB", "mailquota set b@example.org 2G")
        await stage.press("y")
        await stage.sees("The commands: ")
        await stage.press("escape")
        await stage.sees("b@example.org")

    def prepare(engine: FakeEngine) -> None:
        engine.failing[SetLimit] = "the accounts database is read-only"

    play(scene, rows=FIVE, prepare=prepare)


def test_the_whole_command_is_copied_from_the_dialog() -> None:
    """Also while a field has the keys; of thousands of accounts all are in it, and the log has them too."""

    async def scene(stage: Stage) -> None:
        await stage.press("asterisk", "e")
        await stage.paste("+1G")
        await stage.sees("(2,999 more) +1G")
        copied = stage.app.screen.to_copy()  # type: ignore[attr-defined]
        assert sum("@" in word for word in shlex.split(copied.text)) == 3000
        await stage.press("ctrl+y")
        await stage.sees("The command: ")

    play(scene, rows=3000)


@pytest.mark.parametrize("size", [(80, 24), (40, 10)])
def test_it_never_pushes_keys_out(size: tuple[int, int]) -> None:
    """On a low terminal it is left out."""

    async def scene(stage: Stage) -> None:
        await stage.press("e")
        await stage.paste("200M")
        await stage.sees("Apply", "45 % ok")
        assert ("$ mailquota set a@" in stage.text()) == (size[1] > 16)

    play(scene, rows=FIVE, size=size)


def test_in_a_real_terminal() -> None:
    """Ctrl+Y is a key there, and no signal; the command goes to the terminal's clipboard."""
    fake = (sys.executable, "-m", "tests.tui.fake_engine", "--accounts", "60", "--idle", "--attached")
    with Terminal(command=fake) as terminal:
        terminal.wait_for("john@example.org")
        terminal.type("e")
        terminal.wait_for("New limit")
        terminal.type("9G")
        terminal.wait_for("$ mailquota set john@example.org 9G")
        terminal.type("\x19")
        terminal.wait_for("The command: sent to the terminal's clipboard")
        assert "\x1b]52;" in terminal.seen
        terminal.type("\r")
        terminal.wait_for("is now 9 GiB")
        terminal.type("L")
        terminal.wait_for("# ", "mailquota set john@example.org 9G")
        terminal.type("\x1bq")
        assert terminal.wait() == 0
