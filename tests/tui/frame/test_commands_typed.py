"""The command line behind ``:``: names, arguments, completion, history. What changes something asks first."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from mailquota.core.control.messages import EmptyTrash, SetLimit, Undo, Warn
from mailquota.tui.desk.modes import MODES
from mailquota.tui.frame.palette import OPENING, commands_of
from tests.core.commands.command_line import CommandLine
from tests.core.worlds import FULL, JOHN, SmallWorld
from tests.tui import past, world
from tests.tui.journal.test_screen import entry, with_journal
from tests.tui.real_terminal import Terminal
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE


async def line(stage: Stage, text: str, *keys: str) -> None:
    """Type a command."""
    await stage.press("colon")
    await stage.paste(text)
    await stage.press(*(keys or ("enter",)))


def orders(stage: Stage, *kinds: type) -> list[object]:
    """What was sent to be done."""
    return [order for order in stage.engine.orders if isinstance(order, kinds) and not getattr(order, "dry_run", False)]


def test_each_name_is_one_action_of_the_screen() -> None:
    """On every screen; those of the shell's commands are the same, and the palette has all of them."""

    async def scene(stage: Stage) -> None:
        for key in [*(mode.key for mode in MODES), "enter"]:
            await stage.press(*(["1"] if key == "enter" else []), key)
            screen = stage.app.screen
            names = [command.name for command in commands_of(screen)]
            assert len(names) == len(set(names)), screen
            assert {"help", "quit", "theme", "pace", "command"} <= set(names)
            titles = {str(each.title) for each in stage.app.get_system_commands(screen)}
            enabled = [each for each in commands_of(screen) if each.enabled and each.action not in OPENING]
            assert {each.binding.description for each in enabled} <= titles
        await stage.press("escape")
        known = {command.name for command in commands_of(stage.app.screen)}
        assert {"set", "recalc", "empty-trash", "warn", "undo", "export", "sort", "filter", "columns"} <= known
        assert {mode.name for mode in MODES} - {"accounts"} <= known

    play(scene, rows=FIVE, examine=past.findings)


def test_set_opens_its_dialog_filled_in() -> None:
    """Nothing is set before Enter is pressed there."""

    async def scene(stage: Stage) -> None:
        await line(stage, 'set +20M until 2w "ticket 4711"')
        await stage.sees("Edit limit ─", "+20M", "2w", "ticket 4711", "120 MiB", "then it goes back")
        assert orders(stage, SetLimit) == []
        await stage.press("enter")
        await stage.sees("The limit of a@example.org is now 120 MiB")
        sent = orders(stage, SetLimit)[0]
        assert isinstance(sent, SetLimit)
        assert (sent.size, sent.reason, bool(sent.until)) == ("+20M", "ticket 4711", True)
        await line(stage, "set C@example.net d@example.net 1G --until 'friday 18:00' --reason=x")
        await stage.sees("2 marked accounts", "18:00", "1 GiB")
        await stage.press("escape")
        await line(stage, "set 1G until friday 18:00 a b c")
        await stage.sees("18:00", "a b c")
        await stage.press("escape")
        await stage.press("space", "space")
        await line(stage, "set x2")
        await stage.sees("2 marked accounts", "x2")

    play(scene, rows=FIVE)


def test_the_other_dialogs_are_filled_in_too() -> None:
    """And ask as they do by key."""

    async def scene(stage: Stage) -> None:
        await line(stage, "empty-trash b@example.org older-than 30d")
        await stage.sees("Empty Trash ─", "b@example.org", "30d", "$ mailquota empty-trash --older-than 30d")
        await stage.press("escape")
        await line(stage, "warn 80 c@example.net")
        await stage.sees("Warn ─", "c@example.net", "$ mailquota warn 80 c@example.net")
        await stage.press("escape")
        await line(stage, "warn below")
        await stage.sees("Warn ─", "$ mailquota warn below a@example.org")
        await stage.press("escape")
        await line(stage, "undo 1")
        await stage.sees("Undo ─", "50 MiB → 100 MiB", "$ mailquota undo 1")
        await stage.press("escape")
        await line(stage, "export json clipboard")
        await stage.sees("Export ─", "[JSON]", "[clipboard]")
        await stage.press("escape")
        await line(stage, "export csv ~/full.csv")
        await stage.sees("Export ─", "[CSV]", "[file]", "~/full.csv")
        await stage.press("escape")
        assert orders(stage, EmptyTrash, Warn, Undo) == []
        await line(stage, "recalc d@example.net")
        await stage.sees("Recalculate ─", "d@example.net")

    play(scene, rows=FIVE, prepare=with_journal(entry(1)))


def test_what_the_screen_shows() -> None:
    """Sort, filter, columns, theme, pace, other screens."""

    async def scene(stage: Stage) -> None:
        await line(stage, "sort -used")
        await stage.sees("Used ▲")
        await line(stage, "sort full-in")
        await stage.sees("Full in▲")
        await line(stage, "filter near @example.org")
        await stage.sees("/ near @example.org", "2 of 5")
        assert stage.app.desk.memory.kept.filters == ("near @example.org",)
        await line(stage, "columns used limit")
        await stage.loses("Usage")
        await line(stage, "columns usual")
        await stage.sees("Usage")
        await line(stage, "theme light")
        await stage.sees("Theme: light")
        await line(stage, "pace 5")
        await stage.sees("every 5 s")
        await line(stage, "pace live")
        await stage.loses("every 5 s")
        await line(stage, "jour")
        await stage.sees("─ Journal ")
        await line(stage, "filter limit")
        await stage.sees("Journal / limit")
        await line(stage, "sort account")
        await stage.sees("by Account, not by time")
        await line(stage, "help")
        await stage.sees("Help  Journal")
        await stage.press("escape")
        await line(stage, "q")
        await stage.sees("Keep enforcing")

    play(scene, rows=FIVE, prepare=with_journal(entry(1)))


WRONG = {
    "sett": "there is no command sett here",
    "c": "c may be card, clear-filter, columns, copy",
    "set": None,
    "set 5Q": "'5Q' is not a limit",
    "set 5G until never": "'never'",
    "set 5G until": "until needs a word behind it",
    "set nobody@example.org 5G": "no such account: nobody@example.org",
    "set a@example.org": "a size is missing",
    "set 5G --force": "there is no option --force here",
    'set 5G "half': "a quote has no end",
    "empty-trash older-than 30": "'30' is not an age",
    "empty-trash all": "what all means here is not known",
    "warn full": "full is no threshold",
    "undo that": "the number of an entry of the journal; not that",
    "sort size": "there is no column size; there are account, usage",
    "columns size": "there is no column size",
    "filter waits>3": "'waits>3' compares nothing known",
    "theme pink": "there is no theme pink; there are dark",
    "pace 3": "the pace is live, or seconds: 2, 5, 10, 30; not 3",
    "export pdf": "export takes a form (csv, json, text, command)",
    "help me": "help takes nothing behind it",
    "unmark": "unmark can't be used now",
}


@pytest.mark.parametrize("text", [text for text, words in WRONG.items() if words])
def test_what_is_wrong_is_said(text: str) -> None:
    """In the line, which stays open; Esc leaves, and nothing was done or remembered."""

    async def scene(stage: Stage) -> None:
        await line(stage, text)
        await stage.sees(str(WRONG[text])[:60], f" : {text}")
        await stage.press("escape")
        await stage.loses(f" : {text}")
        assert len(stage.app.screen_stack) == 1
        assert stage.app.desk.memory.kept.past == {}
        assert orders(stage, SetLimit, EmptyTrash, Warn, Undo) == []

    play(scene, rows=FIVE)


def test_a_long_sentence_wraps() -> None:
    """So that its end is there on 80 columns."""

    async def scene(stage: Stage) -> None:
        await line(stage, "set 5Q")
        await stage.sees("'5Q' is not a limit; accepted: 5G", "used*1.2")

    play(scene, rows=FIVE, size=(80, 24))


def test_who_may_only_look_is_told_at_once() -> None:
    async def scene(stage: Stage) -> None:
        await line(stage, "set 5G")
        await stage.sees("Read-only: this console was started with --read-only", " : set 5G")

    play(scene, rows=FIVE, read_only=True)


def test_tab_completes() -> None:
    """The only match at once; else as far as all agree, then one after the other; Shift+Tab goes back."""

    async def scene(stage: Stage) -> None:
        await line(stage, "the", "tab")
        await stage.sees(" : theme ", "dark", "blue-orange")
        await stage.press("tab")
        await stage.sees(" : theme dark")
        await stage.press("tab", "shift+tab", "shift+tab")
        await stage.sees(" : theme terminal")
        await stage.press("enter")
        await stage.sees("Theme: terminal")
        await line(stage, "", "tab")
        await stage.sees("more", "card", "columns")
        await stage.press("escape")
        await line(stage, "set a", "tab")
        await stage.sees(" : set a@example.org ", " set [ADDRESS...] SIZE [until DATE] [REASON]")
        await stage.paste("5G u")
        await stage.press("tab")
        await stage.sees(" : set a@example.org 5G until ")
        await stage.paste("tom")
        await stage.press("tab", "enter")
        await stage.sees("Edit limit ─", "tomorrow")
        await stage.press("escape")
        await line(stage, "sort f", "tab")
        await stage.sees(" : sort full-in ")
        await stage.press("escape")
        await line(stage, "nothing ", "tab")
        await stage.sees(" : nothing ")
        await stage.press("escape")
        await line(stage, "export js", "tab", "tab", "tab")
        await stage.sees(" : export json clipboard")

    play(scene, rows=FIVE)


def test_commands_of_before_come_back_by_up() -> None:
    """Those that were done; on every screen the same."""

    async def scene(stage: Stage) -> None:
        await line(stage, "sort used")
        await line(stage, "filter net")
        await line(stage, "wrong", "enter", "escape")
        await stage.press("3", "colon", "up")
        await stage.sees(" : filter net")
        await stage.press("up", "up")
        await stage.sees(" : sort used")
        await stage.press("down", "down")
        await stage.loses(" : filter net")
        await stage.press("enter")
        await stage.loses(" : ")
        assert stage.app.desk.memory.kept.past["commands"] == ("filter net", "sort used")

    play(scene, rows=FIVE)


def test_it_is_not_there_over_a_dialog_and_a_colon_can_be_typed() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("slash", "colon")
        await stage.sees("/ :")
        await stage.press("escape", "e", "tab", "colon")
        await stage.sees("Edit limit ─")
        assert len(stage.app.screen_stack) == 2

    play(scene, rows=FIVE)


@pytest.mark.parametrize("size", [(80, 24), (60, 10), (200, 50)])
def test_it_fits(size: tuple[int, int]) -> None:
    """The field is the last line, the matches are above it, and the table stays in sight."""

    async def scene(stage: Stage) -> None:
        await line(stage, "", "tab")
        lines = stage.text().splitlines()
        assert len(lines) == size[1]
        assert lines[-1].startswith(" : ")
        assert "more" in stage.text()
        assert "a@example.org" in stage.text()

    play(scene, rows=FIVE, size=size)


def test_many_accounts_cost_no_more_than_some() -> None:
    """Of those that begin so, the first are offered."""

    async def scene(stage: Stage) -> None:
        await line(stage, "set john", "tab")
        await stage.sees("more", " : set john")

    play(scene, rows=list(world.accounts(3000)))


def test_on_a_real_terminal(small_world: SmallWorld, tmp_path: Path) -> None:
    """Tab, a dialog filled in, a command of the last run by Up."""
    env = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": ""}
    words = ("--config", str(small_world.config))
    with CommandLine(small_world).engine():
        with Terminal(*words, env=env) as terminal:
            terminal.wait_for(JOHN, FULL)
            terminal.type(f":se\t{JOHN} 30k until 2w ticket 4711\r")
            terminal.wait_for("Edit limit", "ticket 4711", "then it goes back")
            terminal.type("\r")
            terminal.wait_for("is now 30 KiB")
            assert small_world.limit_of(JOHN) == 30 * 1024
            terminal.type(":journal\r")
            terminal.wait_for("ticket 4711")
            terminal.type(":quit\r")
            assert terminal.wait() == 0
        kept = tomllib.loads((tmp_path / ".config" / "mailquota" / "console.toml").read_text())
        assert kept["past"]["commands"] == ["quit", "journal", f"set {JOHN} 30k until 2w ticket 4711"]
        with Terminal(*words, env=env) as terminal:
            terminal.wait_for(JOHN, FULL)
            terminal.type(":\x1b[A\x1b[A\r")
            terminal.wait_for("Journal", "ticket 4711")
            terminal.type(":q\r")
            assert terminal.wait() == 0


def test_tab_where_nothing_matches() -> None:
    """What was typed stays, however often; an address that is in no account is such a word, too."""

    async def scene(stage: Stage) -> None:
        for text in ("zzz", "set zzz", "help x", "undo "):
            await line(stage, text, "tab", "tab", "shift+tab", "shift+tab")
            await stage.sees(f": {text}")
            await stage.press("escape")

    play(scene, rows=FIVE)
