"""Export of what a table shows: to a file, the clipboard, a plain screen; as CSV, JSON, text or a command."""

from __future__ import annotations

import csv
import io
import json
import random
import shlex
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mailquota.core.base.filters import parse_filter
from mailquota.core.commands.columns import check_sort_key, sort_by, worst_first
from mailquota.tui.accounts.exported import list_command
from mailquota.tui.app import MailquotaApp
from mailquota.tui.desk.account_columns import COLUMNS
from mailquota.tui.desk.account_list import AccountList, View
from mailquota.tui.desk.modes import MODES
from mailquota.tui.frame.export import Export
from tests.tui import past, world
from tests.tui.fake_engine import FakeEngine
from tests.tui.stage import Stage, play


async def export(stage: Stage, path: Path, *keys: str) -> None:
    """To this file; ``keys`` choose the form."""
    await stage.press("x", *keys)
    field = stage.app.screen.query_one("#path")
    field.value = str(path)  # type: ignore[attr-defined]
    await stage.press("enter")
    await stage.until(lambda: path.exists() and not isinstance(stage.app.screen, Export), "is written")


def test_what_is_seen_goes_into_a_private_file(tmp_path: Path) -> None:
    """Filter, order and columns of the screen; sizes in bytes."""

    async def scene(stage: Stage) -> None:
        await stage.press("slash", *"near", "enter")
        await stage.until(lambda: len(stage.order) < 60, "filters")
        await export(stage, tmp_path / "a.csv")
        rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
        assert [row["address"] for row in rows] == stage.order
        account = stage.home.pane.accounts.rows[rows[0]["address"]]
        assert rows[0]["used_bytes"] == str(account.used_bytes)
        assert "measured_at" not in rows[0]  # it has no room in 120 columns
        assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == 0o600

    play(scene)


def test_marked_accounts_alone_also_those_that_are_not_shown(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("space", "space")
        marked = stage.order[:2]
        await stage.press("slash", *"zzzz", "enter")
        await stage.press("x")
        await stage.sees("2 marked accounts")
        await stage.press("escape")
        await export(stage, tmp_path / "a.json", "right", "down", "right")
        rows = json.loads((tmp_path / "a.json").read_text())
        assert sorted(row["address"] for row in rows) == sorted(marked)
        assert rows[0]["enabled"] is True  # all that is known

    play(scene)


def test_a_file_that_is_there_is_replaced_only_by_a_second_enter(tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("old")

    async def scene(stage: Stage) -> None:
        await stage.press("x")
        stage.app.screen.query_one("#path").value = str(tmp_path / "there.csv")  # type: ignore[attr-defined]
        await stage.press("enter")
        await stage.sees("is there already")
        assert (tmp_path / "there.csv").read_text() == "old"
        await stage.press("enter")
        await stage.sees("written to")
        assert (tmp_path / "there.csv").read_text() != "old"

    play(scene)


def test_a_link_and_a_folder_that_is_missing_are_told(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "victim")

    async def scene(stage: Stage) -> None:
        await stage.press("x")
        field: Any = stage.app.screen.query_one("#path")
        field.value = str(tmp_path / "link")
        await stage.press("enter")
        await stage.sees("is there already")
        await stage.press("enter")
        await stage.sees("Not written: a link")
        field.value = str(tmp_path / "no" / "where")
        await stage.press("enter")
        await stage.sees("Not written: No such file")
        assert (tmp_path / "victim").read_text() == "precious"

    play(scene)


def test_every_screen_with_a_table_exports_it(tmp_path: Path) -> None:
    """In each form; what a foreigner wrote is no formula and moves nothing."""

    def prepare(engine: FakeEngine) -> None:
        engine.journal, engine.warnings = past.journal(world.NOW), past.warnings(world.NOW)
        rng, rows = random.Random(1), list(engine.rows.values())
        engine.backlog = [world.decision(rng, rows, world.NOW - number) for number in range(30, 0, -1)]
        engine.backlog[3] = msgspec.structs.replace(engine.backlog[3], sender="=HYPERLINK(1)\x1b[31m")

    async def scene(stage: Stage) -> None:
        for mode in MODES:
            await stage.press(mode.key)
            await stage.until(lambda: stage.app.screen.sheet().rows, "has rows")  # type: ignore[attr-defined]
            rows = stage.app.screen.sheet().rows  # type: ignore[attr-defined]
            for keys, ending in (((), "csv"), (("right",), "json"), (("right", "right"), "txt")):
                await export(stage, tmp_path / f"{mode.name}.{ending}", *keys)
            assert len(json.loads((tmp_path / f"{mode.name}.json").read_text())) == len(rows)
            assert len(list(csv.reader(io.StringIO((tmp_path / f"{mode.name}.csv").read_text())))) == len(rows) + 1
            assert (tmp_path / f"{mode.name}.txt").read_text().count("\n") == len(rows) + 1
        told = (tmp_path / "decisions.csv").read_text()
        assert "'=HYPERLINK(1)" in told
        assert ",=HYPERLINK" not in told
        assert "\x1b" not in (tmp_path / "decisions.txt").read_text()

    play(scene, prepare=prepare, examine=past.findings, size=(200, 50))


def test_y_shows_what_was_exported_to_the_clipboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once; and the screen that is the target is the same."""
    copied: list[str] = []
    monkeypatch.setattr(MailquotaApp, "copy_to_clipboard", lambda _app, text: copied.append(text))

    async def scene(stage: Stage) -> None:
        await stage.press("x", "right", "right", "down", "right", "enter")
        await stage.sees("60 accounts as text", "sent to the terminal")
        assert copied[0].startswith("Account")
        await stage.press("Y")
        await stage.sees("Account  ", "%")
        assert "Accounts" not in stage.lines()[0]
        await stage.press("escape", "x", "down", "down", "right", "right", "enter")
        await stage.sees("address,level,percent")

    play(scene)


def test_the_command_gives_the_same_accounts_in_the_same_order() -> None:
    """The words of the filter are quoted for a shell; each order that has a key is that of the command."""
    accounts = AccountList()
    accounts.replace(world.accounts(60), world.NOW)
    for column in COLUMNS:
        for inverted in (False, True):
            accounts.wanted = View(column, inverted, parse_filter("!zzz >1%"))
            for _slice in accounts.arrange(world.NOW):
                pass
            line = list_command(accounts.view)
            if not line or column.key == "level":  # of equal level, the command knows another order of those left over
                continue
            words = shlex.split(line)
            keys = [word.removeprefix("--sort=") for word in words if word.startswith("--sort=")]
            assert words[-2:] == ["!zzz", ">1%"]
            rows = parse_filter("!zzz >1%").select(world.accounts(60), world.NOW)
            if keys:
                check_sort_key(keys[0])
            listed = sort_by(rows, keys[0]) if keys else worst_first(rows)
            value = column.sort or (lambda row: row.address)
            assert [value(row) for row in listed] == [value(accounts.rows[each]) for each in accounts.order], line


def test_a_long_export_is_left_while_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are answered meanwhile; then no file is made."""
    monkeypatch.setattr("mailquota.tui.frame.export.PAUSE_SECONDS", 0.1)

    async def scene(stage: Stage) -> None:
        await stage.press("x")
        stage.app.screen.query_one("#path").value = str(tmp_path / "all.csv")  # type: ignore[attr-defined]
        await stage.press("enter")
        await stage.sees("of 20,000")
        await stage.press("escape", "down")
        assert stage.app.screen is stage.home
        assert not (tmp_path / "all.csv").exists()

    play(scene, rows=20_000)
