"""The Doctor screen."""

from __future__ import annotations

import threading

import msgspec
import pytest

from mailquota.core.doctor.model import Finding
from mailquota.tui.desk.examining import Examine
from mailquota.tui.doctor.screen import DoctorScreen
from mailquota.tui.draw.format import clock
from tests.tui import past, world
from tests.tui.stage import Scene, Stage, play

FIX = "cat >> /etc/dovecot/local.conf"
EVIL = "\x1b[31mx\x07[red]e[/]"


async def opened(stage: Stage) -> DoctorScreen:
    """The screen, by its key, with its findings."""
    await stage.press("6")
    screen = stage.app.screen
    assert isinstance(screen, DoctorScreen)
    await stage.until(lambda: screen.rows.known, "findings")
    await stage.pilot.pause()
    return screen


def show(scene: Scene, examine: Examine = past.findings, size: tuple[int, int] = (120, 32)) -> None:
    """A console whose doctor finds this."""
    play(scene, examine=examine, size=size)


def test_what_needs_a_person_comes_first_with_its_fix_below() -> None:
    async def scene(stage: Stage) -> None:
        screen = await opened(stage)
        assert [row.state for row in screen.rows.shown][:4] == ["fail", "warn", "skip", "ok"]
        await stage.sees("─ Doctor ", "1 failed", "1 to look at", "1 not judged", "11 ok")
        await stage.sees("quota-plugin-lmtp", "neither counted nor refused", FIX, "doveadm reload")
        await stage.press("down")
        await stage.sees("451: mail waits", "postfix reload")
        await stage.loses(FIX)

    show(scene)


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
def test_every_size_has_table_and_text(size: tuple[int, int]) -> None:
    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.sees("■ FAIL   quota-plugin-lmtp", "─ quota-plugin-lmtp ─", " why ", " fix ", FIX)

    show(scene, size=size)


def test_it_is_examined_again_by_key_and_not_by_itself() -> None:
    runs: list[None] = []

    def examine() -> list[Finding]:
        runs.append(None)
        found = past.findings()
        return found if len(runs) == 1 else [msgspec.structs.replace(each, state="ok") for each in found]

    async def scene(stage: Stage) -> None:
        screen = await opened(stage)
        stage.pass_time(3600)
        await stage.press("1", "6")
        assert len(runs) == 1
        await stage.press("r")
        await stage.until(lambda: screen.rows.shown[0].state == "ok", "the second one")
        await stage.sees("■ 0 failed", "14 ok")
        assert len(runs) == 2

    show(scene, examine)


def test_the_screen_stays_alive_while_it_is_examined() -> None:
    go = threading.Event()

    def examine() -> list[Finding]:
        assert go.wait(10)
        return past.findings()

    async def scene(stage: Stage) -> None:
        await stage.press("6")
        await stage.sees("Examining the server")
        await stage.press("1")
        await stage.sees("─ Accounts ")
        go.set()
        await opened(stage)
        go.clear()
        await stage.sees(f"Examined at {clock(world.NOW)}")
        await stage.press("r")
        await stage.sees("Examining the server", FIX)
        stage.pass_time(7)
        go.set()
        await stage.loses("Examining the server")
        await stage.sees(f"Examined at {clock(world.NOW + 7)}")

    show(scene, examine)


def test_the_fix_is_copied_as_it_is_pasted_and_the_finding_for_a_ticket() -> None:
    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.press("y")
        assert stage.app.clipboard.startswith(FIX)
        assert stage.app.clipboard.endswith("}\nEOF\ndoveadm reload")
        await stage.press("Y")
        await stage.sees("FAIL quota-plugin-lmtp", "y Copy", "Esc Back")
        await stage.press("y")
        await stage.sees("sent to the terminal's clipboard")
        assert stage.app.clipboard.startswith("FAIL quota-plugin-lmtp\n  found protocol lmtp")
        await stage.press("escape", "end", "y")
        assert stage.app.clipboard.startswith("ok state-database")

    show(scene)


def test_enter_goes_to_the_text_and_escape_back() -> None:
    async def scene(stage: Stage) -> None:
        screen = await opened(stage)
        await stage.press("enter")
        assert screen.focused is not screen.table
        await stage.press("escape")
        assert screen.focused is screen.table
        await stage.press("escape")
        await stage.sees("─ Accounts ")

    show(scene)


def test_another_finding_is_read_from_its_beginning() -> None:
    long = "\n".join(f"line {number}" for number in range(50))
    found = [Finding("one", "fail", "first", "why", long, ""), Finding("two", "fail", "second", "why", long, "")]

    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.press("enter")
        await stage.sees("Esc Back")
        await stage.press("end")
        await stage.sees("line 49")
        await stage.press("escape", "down")
        await stage.sees("─ two ─", "found  second", "line 0")
        await stage.loses("Esc Back")

    show(scene, lambda: found)


def test_a_tall_terminal_has_more_room_for_the_table() -> None:
    async def scene(stage: Stage) -> None:
        screen = await opened(stage)
        assert screen.query_one("#finding").size.height < screen.table.size.height / 1.5

    show(scene, size=(200, 50))


def test_a_filter_finds_states_and_words() -> None:
    async def scene(stage: Stage) -> None:
        screen = await opened(stage)
        await stage.press("slash")
        await stage.paste("lmtp !warn")
        await stage.press("enter")
        assert [row.check for row in screen.rows.shown] == ["quota-plugin-lmtp"]

    show(scene)


def test_texts_from_outside_are_shown_literally() -> None:
    async def scene(stage: Stage) -> None:
        await opened(stage)
        await stage.sees("␛[31mx␇[red]e[/]")
        assert "\x1b" not in stage.text()

    show(scene, lambda: [Finding("x", "fail", EVIL, EVIL, EVIL, "")])


def test_a_server_without_findings_says_so() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("6")
        await stage.sees("No checks.")
        await stage.press("y", "Y", "enter", "r")
        await stage.sees("─ Doctor ")

    show(scene, list)


def test_faults_are_told_on_the_first_screen_without_being_asked_for() -> None:
    async def scene(stage: Stage) -> None:
        await stage.sees("─ Accounts ", "6 Doctor ■ 1 ─")
        await opened(stage)
        await stage.loses("Doctor ■ 1")

    show(scene)


def test_a_healthy_server_is_not_worth_a_word() -> None:
    looked = threading.Event()

    def examine() -> list[Finding]:
        looked.set()
        return [finding for finding in past.findings() if finding.state != "fail"]

    async def scene(stage: Stage) -> None:
        await stage.until(looked.is_set, "examined")
        await stage.pilot.pause()
        assert "6 Doctor ─" in stage.text()

    show(scene, examine)


def test_a_doctor_that_fails_harms_nobody() -> None:
    def examine() -> list[Finding]:
        raise RuntimeError("no facts")

    async def scene(stage: Stage) -> None:
        await stage.press("6")
        await stage.sees("The doctor failed: no facts")
        await stage.press("1")
        await stage.sees("─ Accounts ")

    show(scene, examine)


def test_what_nobody_can_judge_here_stands_last() -> None:
    """As in a demo, which has neither Postfix nor Dovecot."""
    hopeless = Finding("postfix-settings", "skip", "a demo has none", "why", "", "")

    async def scene(stage: Stage) -> None:
        screen = await opened(stage)
        assert [row.state for row in screen.rows.shown][:4] == ["fail", "warn", "skip", "ok"]
        assert screen.rows.shown[-1] == hopeless

    show(scene, lambda: [hopeless, *past.findings()])
