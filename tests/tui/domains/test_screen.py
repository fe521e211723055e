"""The Domains screen: sums that follow every change, sorted, filtered, and the way to the accounts."""

from __future__ import annotations

import time
from dataclasses import asdict

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailquota.core.base.model import AccountRow
from mailquota.core.control.results import DiskState
from mailquota.tui.card.screen import CardScreen
from mailquota.tui.domains import rows as domains
from mailquota.tui.domains.rows import Domain, Domains
from mailquota.tui.domains.screen import DomainsScreen
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.glyphs import UNICODE
from mailquota.tui.draw.grid import Context
from tests.tui import past, world
from tests.tui.fake_engine import FakeEngine
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE, GIB, MIB

CONTEXT = Context(world.NOW, UNICODE)
SIZES = st.one_of(st.none(), st.integers(0, 200))
EVIL = "\x1b[31mx\x07.[red]e[/]"


def counted(rows: list[AccountRow]) -> Domains:
    """All of them."""
    found = Domains()
    for _slice in found.recount({row.address: row for row in rows}):
        pass
    return found


@st.composite
def row(draw: st.DrawFn) -> AccountRow:
    """Few addresses in few domains."""
    address = f"u{draw(st.integers(0, 9))}@{draw(st.sampled_from(['a', 'b', 'B', 'c']))}"
    return AccountRow(address, draw(SIZES) or None, draw(SIZES), growth_bytes_per_day=draw(SIZES))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.lists(row(), max_size=6), st.lists(st.sampled_from(["u1@a", "u2@b", "x@y"])))))
def test_changes_give_the_same_sums_as_counting_everything(changes: list[tuple[list[AccountRow], list[str]]]) -> None:
    """Rows that come, change, go, and come again."""
    rows: dict[str, AccountRow] = {}
    found = Domains()
    for changed, removed in changes:
        for address in removed:
            rows.pop(address, None)
        rows.update({each.address: each for each in changed})
        found.update(changed, removed)
        fresh = counted(list(rows.values()))
        assert {name: asdict(each) for name, each in found.by_name.items()} == {
            name: asdict(each) for name, each in fresh.by_name.items()
        }
        assert asdict(found.all) == asdict(fresh.all)


def test_what_changes_during_the_first_count_is_counted_once() -> None:
    """Before its turn or after it, and also where it went away."""
    rows = {each.address: each for each in past.accounts(6000)}
    found = Domains()
    count = found.recount(rows)
    next(count)
    first, *_others, gone, last = rows
    changed = [msgspec.structs.replace(rows[address], used_bytes=GIB) for address in (first, last)]
    rows.update({each.address: each for each in changed})
    del rows[gone]
    found.update(changed, [gone])
    for _slice in count:
        pass
    assert asdict(found.all) == asdict(counted(list(rows.values())).all)


def test_a_hundred_thousand_accounts_cost_a_change_nothing() -> None:
    """A thousand changes in less than a hundredth of a full count; no pass over everything hides in them."""
    rows = [AccountRow(f"u{number}@d{number % 1000}.example", GIB, number * 1000) for number in range(100_000)]
    started = time.perf_counter()
    found = counted(rows)
    whole = time.perf_counter() - started
    started = time.perf_counter()
    for each in rows[:100]:
        found.update([msgspec.structs.replace(each, used_bytes=1)], ())
    assert time.perf_counter() - started < whole / 10
    assert len(found.by_name) == 1000


def texts(domain: Domain, disk: int | None, width: int = 199) -> str:
    """The cells of a domain."""
    columns = domains.columns(lambda: disk)
    return " ".join("".join(text for text, _look in column.cell(domain, 14, CONTEXT)) for column in columns if width)


def test_accounts_without_a_limit_are_counted_apart() -> None:
    """Their use is used, but no share of what is granted."""
    found = counted([AccountRow("a@x", 100 * GIB, 50 * GIB), AccountRow("b@x", None, 70 * GIB)]).by_name["x"]
    assert (found.used, found.used_of_granted, found.granted, found.unlimited) == (120 * GIB, 50 * GIB, 100 * GIB, 1)
    text = texts(found, 50 * GIB)
    for words in ("120 GiB", "100 GiB", "50 %", "200 %"):
        assert words in text


def test_what_is_not_known_is_shown_as_unknown() -> None:
    """No growth before there is a history, no share of a disk that can't be looked at."""
    found = counted([AccountRow("a@x", None, None)]).by_name["x"]
    assert texts(found, None).count(UNICODE.nothing) == 4


@pytest.mark.parametrize("rows", [60, FIVE])
def test_the_screen_and_the_way_to_the_accounts(rows: list[AccountRow] | int) -> None:
    """Enter shows the accounts of the domain."""

    async def scene(stage: Stage) -> None:
        await stage.press("2")
        await stage.sees("─ Domains ", "example.net", "example.org", "Used ▼", "of the disk")
        await stage.press("enter")
        await stage.sees("─ Domains › example.net ─")
        assert {address.partition("@")[2] for address in stage.order} == {"example.net"}
        await stage.press("escape")
        await stage.sees("─ Domains ─", "of the disk")
        await stage.press("1")
        await stage.sees("─ Accounts ─")

    play(scene, rows=rows)


def test_sums_follow_the_accounts() -> None:
    """Also those that changed while another screen was looked at; a domain without accounts is gone."""

    async def scene(stage: Stage) -> None:
        await stage.press("2")
        await stage.sees("630 MiB")
        stage.engine.change(AccountRow("c@example.net", 100 * MIB, 80 * MIB))
        await stage.sees("640 MiB")
        await stage.press("1")
        await stage.sees("─ Accounts ")
        stage.engine.change(AccountRow("new@example.com", GIB, 17 * MIB), removed=("a@example.org", "b@example.org"))
        await stage.sees("new@example.com")
        await stage.press("2")
        await stage.sees("example.com", "17 MiB", "2 domains")
        assert not any(line.startswith(" example.org ") for line in stage.lines())

    play(scene, rows=FIVE)


def test_a_new_snapshot_is_counted_anew() -> None:
    """After a reconnect."""

    async def scene(stage: Stage) -> None:
        await stage.press("2")
        await stage.sees("630 MiB")
        stage.engine.rows = {"x@other.example": AccountRow("x@other.example", GIB, 11 * MIB)}
        stage.engine.drop()
        await stage.sees("other.example", "11 MiB")
        await stage.loses("example.net")

    play(scene, rows=FIVE, embedded=False)


def test_sorting_and_filtering() -> None:
    """By keys and by clicks; what is not known is last either way."""

    async def scene(stage: Stage) -> None:
        await stage.press("2")
        await stage.sees("Used ▼")
        screen = stage.app.screen
        assert isinstance(screen, DomainsScreen)

        def order() -> list[str]:
            return [domain.name for domain in screen.table.rows.shown]

        assert order() == ["example.net", "example.org"]
        await stage.press("I")
        await stage.sees("Used ▲")
        assert order() == ["example.org", "example.net"]
        await stage.press("less_than_sign", "less_than_sign")
        await stage.sees("Domain ▲")
        assert order() == ["example.net", "example.org"]
        await stage.press("slash")
        await stage.paste("org")
        await stage.press("enter")
        await stage.sees("Domains / org", "1 of 2")
        assert order() == ["example.org"]
        await stage.press("slash", "ctrl+u")
        await stage.paste("nowhere")
        await stage.sees("nothing matches ‘nowhere’ · Esc shows all")
        await stage.press("escape", "escape")
        await stage.sees("─ Accounts ")

    play(scene, rows=FIVE)


def test_totals_of_all() -> None:
    """Over-commit, growth, and when the disk is full."""
    rows = [
        AccountRow("a@x", 300 * GIB, 80 * GIB, growth_bytes_per_day=GIB),
        AccountRow("b@y", None, 10 * GIB, growth_bytes_per_day=-100 * MIB),
    ]

    status = world.status(rows, disk=DiskState("/var/vmail", 10 * GIB, 100 * GIB, 90.0))
    tiles = domains.totals(counted(rows), status, CONTEXT)
    assert {"".join(text for text, _look in tile.line) for tile in tiles} == {
        "2 domains",
        "granted 300 % of the disk",
        "1 without a limit",
        "+924 MiB a day",
        "disk full in about 11 days",
    }


def test_loading_empty_and_nobody_there() -> None:
    """Its other faces."""

    def silent(engine: FakeEngine) -> None:
        engine.snapshots = False

    def away(engine: FakeEngine) -> None:
        engine.away = "no engine answers"

    async def loading(stage: Stage) -> None:
        await stage.press("2")
        await stage.sees("─ Domains ", "Loading")

    async def empty(stage: Stage) -> None:
        await stage.sees("No accounts.")
        await stage.press("2", "enter", "I", "j")
        await stage.sees("─ Domains ", "No accounts.")

    async def gone(stage: Stage) -> None:
        await stage.press("2")
        await stage.sees("─ Domains ", "No engine.", "no engine answers")

    play(loading, rows=FIVE, prepare=silent, loaded=False)
    play(empty, rows=[], loaded=False)
    play(gone, rows=FIVE, prepare=away, loaded=False, embedded=False)


@pytest.mark.parametrize("size", [(80, 24), (120, 32), (200, 50), (40, 10), (20, 5), (1, 1)])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_every_size_shows_something_and_nothing_breaks(size: tuple[int, int], ascii_only: bool) -> None:
    """The screen has exactly the terminal's cells."""

    async def scene(stage: Stage) -> None:
        await stage.press("2")
        await stage.pilot.pause(0.1)
        for keys in ((), ("j",), ("slash", "e"), ("enter",)):
            await stage.press(*keys)
            lines = stage.lines()
            assert len(lines) == size[1]
            assert {fmt.width_of([(line, "")]) for line in lines} == {size[0]}
            assert not ascii_only or stage.text().isascii()
        if size[0] >= 40:
            await stage.sees("example.net", "Used")

    play(scene, size=size, ascii_only=ascii_only)


def test_text_from_outside_is_shown_literally() -> None:
    """And is no words of a filter where it would be several."""

    async def scene(stage: Stage) -> None:
        await stage.press("2")
        await stage.sees("␛[31mx␇.[red]e[/]")
        await stage.press("enter")
        await stage.sees("─ Domains › ")
        assert "\x1b" not in stage.text()

    play(scene, rows=[AccountRow(f"a@{EVIL}", MIB, MIB), AccountRow("a@b over >x", MIB, MIB - 1)])


def test_help_and_palette_know_the_screen() -> None:
    """Its keys and what the columns say."""

    async def scene(stage: Stage) -> None:
        await stage.press("2")
        await stage.sees("─ Domains ")
        titles = {command.title for command in stage.app.get_system_commands(stage.app.screen)}
        assert {"Sort", "Invert", "Filter", "Accounts", "Journal", "Help", "Quit"} <= titles
        assert not {"Edit limit", "Domains"} & titles
        await stage.press("question_mark")
        await stage.sees("show the accounts of the domain", "what is granted as a share of the whole disk")

    play(scene, rows=FIVE, size=(120, 50))


def test_esc_leads_back_to_the_same_line() -> None:
    """From the accounts of a domain; a filter that was there before is there again."""

    async def scene(stage: Stage) -> None:
        await stage.press("slash")
        await stage.paste("john")
        await stage.press("enter", "2")
        await stage.sees("of the disk")
        await stage.press("j", "j")
        screen = stage.app.screen
        assert isinstance(screen, DomainsScreen)
        domain = screen.table.row
        assert domain is not None
        await stage.press("enter")
        await stage.sees(f"─ Domains › {domain.name} ─")
        await stage.press("j", "enter")
        await stage.until(lambda: isinstance(stage.app.screen, CardScreen), "card")
        await stage.press("escape")
        await stage.sees(f"─ Domains › {domain.name} ─")
        await stage.press("escape")
        await stage.until(lambda: stage.app.screen is screen, "domains")
        assert (screen.table.row, screen.table.index) == (domain, 2)
        await stage.press("1")
        await stage.sees("Accounts / john")
        await stage.press("escape")
        await stage.loses("/ john")
        assert stage.app.current_mode == "accounts"

    play(scene)
