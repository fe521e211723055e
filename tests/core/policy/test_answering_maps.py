"""Requests whose way has to be asked for: maps that answer, are slow, dead, or change their mind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mailquota.core.base.model import Alias
from mailquota.core.policy import map_answers
from mailquota.core.policy.aliases import AliasMap
from mailquota.core.policy.map_answers import MapAnswers, NotKnownError
from mailquota.core.servers.postfix.postmap import MapAnswer, MapAsker
from mailquota.core.servers.postfix.rewriting import Lookup, RewritingMaps
from tests.core.enforcing import FITS, FULL, Desk, Open
from tests.core.enforcing import desk as desk  # noqa: PLC0414 - a fixture
from tests.core.loops import until
from tests.mailserver.fixture import require_servers
from tests.mailserver.process import SEARCH_PATH
from tests.mailserver.socketmap import Socketmap


@pytest.fixture
def socketmap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Socketmap]:
    """A map server, asked through the real postmap."""
    require_servers("postmap", root=False)
    monkeypatch.setenv("PATH", SEARCH_PATH)
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\nmaillog_file = /dev/stdout\n")
    os.utime(tmp_path / "main.cf", (0, 0))
    monkeypatch.setenv("MAIL_CONFIG", str(tmp_path))
    with closing(Socketmap()) as server:
        yield server


def furnish(table: Desk, *names: str) -> None:
    for name, used in (("half", 1000), ("full", 5000)):
        table.add(name, used)
        table.measure(name)
    lookups = tuple(Lookup(name, name, parts=False) for name in names)
    table.enforcer.router.set_rewriting(RewritingMaps(virtual=lookups, delimiters="+", origin="example.org"))


def test_answers(desk: Open, socketmap: Socketmap) -> None:
    socketmap.rows = {"info@example.org": "full@example.org", "full@example.org": "half@example.org"}

    async def work(table: Desk) -> None:
        furnish(table, socketmap.name)
        client = await table.connect()
        await table.enforcer.explain("info@example.org", 0)  # the first one waits for the start of postmap
        for _ in range(3):
            assert await client.ask("info@example.org") == FITS
            assert await client.ask("half@example.org") == FITS
        asked = socketmap.asked
        found = await table.enforcer.explain("info@example.org", 0)
        assert [(target.address, target.via, target.maps) for target in found.targets] == [
            ("half@example.org", ["info@example.org", "full@example.org"], [socketmap.name] * 2)
        ]
        assert socketmap.asked == asked  # remembered

    desk(work)


def test_a_slow_map_is_not_waited_for(desk: Open, socketmap: Socketmap) -> None:
    """The recipient is judged by what is known, and by the map once that has answered."""
    socketmap.rows, socketmap.delay = {"full@example.org": "half@example.org"}, 0.5

    async def work(table: Desk) -> None:
        furnish(table, socketmap.name)
        client = await table.connect()
        answers = table.enforcer.router.answers
        assert await client.ask("full@example.org") == FULL
        assert answers.late == 1
        socketmap.delay = 0.0
        await until(lambda: _known(answers, socketmap.name, "full@example.org"))
        assert (await table.enforcer.explain("full@example.org", 0)).targets[0].address == "half@example.org"
        assert await client.ask("full@example.org") == FITS
        assert answers.late == 1

    desk(work)


def _known(answers: MapAnswers, name: str, key: str) -> bool:
    try:
        answers.get(name, key, late=True)
    except NotKnownError:
        return False
    return True


@pytest.mark.parametrize("name", ["socketmap:unix:/nowhere/at/all:rows", "nosuchtype:x", "texthash:/nowhere/at/all"])
def test_a_dead_map(desk: Open, socketmap: Socketmap, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """As if there were none; it is told once."""

    async def work(table: Desk) -> None:
        furnish(table, name)
        table.enforcer.router.set_aliases(AliasMap([Alias("info@example.org", "full@example.org")]))
        client = await table.connect()
        for _ in range(3):
            assert await client.ask("full@example.org") == FULL
            assert await client.ask("info@example.org") == FULL
            assert await client.ask("half@example.org") == FITS
        await until(lambda: table.enforcer.router.answers.problem)
        assert name in table.enforcer.router.answers.problem

    desk(work)
    assert len([record for record in caplog.records if "can't be asked" in record.message]) == 1
    assert socketmap.asked == 0


def test_no_postmap(desk: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("mailquota.core.base.programs._MORE_PLACES", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))

    async def work(table: Desk) -> None:
        furnish(table, "hash:/etc/postfix/virtual")
        client = await table.connect()
        assert [await client.ask(f"{name}@example.org") for name in ("full", "half")] == [FULL, FITS]
        await until(lambda: "not installed" in table.enforcer.router.answers.problem)

    desk(work)


def test_a_map_that_loops(desk: Open, socketmap: Socketmap) -> None:
    """Each name leads on to a longer one: nobody waits for its end."""

    async def work(table: Desk) -> None:
        furnish(table, "regexp:/dev/null")
        lookup = Lookup("inline", "inline", parts=False)
        table.enforcer.router.set_rewriting(RewritingMaps(virtual=(lookup,), delimiters="+", origin="example.org"))
        monkey = table.enforcer.router.answers
        monkey._askers["inline"] = _Growing("inline", lambda found: monkey._post("inline", found))
        client = await table.connect()
        assert await client.ask("full@example.org") in {FULL, FITS}
        assert await client.ask("half@example.org") == FITS

    desk(work)
    assert socketmap.asked == 0


class _Growing(MapAsker):
    def ask(self, key: str) -> bool:
        self._answered([MapAnswer(key, f"x{key}")])
        return True


def test_remembered_answers_are_bounded_and_renewed(desk: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    changed: list[float] = []

    async def work(_table: Desk) -> None:
        answers = MapAnswers(lambda: changed.append(now[0]), lambda: now[0])
        monkeypatch.setattr(map_answers, "_MOST", 10)
        for number in range(100):
            answers._take("hash:/x", [MapAnswer(f"k{number}", "v")])
        assert len(answers._known["hash:/x"]) == 10
        assert answers._bytes["hash:/x"] == 10 * len("k99v")
        assert answers.get("hash:/x", "k99") == "v"
        now[0] += map_answers.FRESH
        with pytest.raises(NotKnownError) as raised:
            answers.get("hash:/x", "k99")
        assert raised.value.keys == {("hash:/x", "k99")}
        assert answers.get("hash:/x", "k99", late=True) == "v"
        answers._take("hash:/x", [MapAnswer("k99", None, "away")])
        assert answers.get("hash:/x", "k99", late=True) == "v"  # a fault takes no answer away
        assert not changed
        answers._take("hash:/x", [MapAnswer("k99", "w")])
        assert (answers.get("hash:/x", "k99"), changed) == ("w", [now[0]])
        now[0] += map_answers.KEPT
        with pytest.raises(NotKnownError):
            answers.get("hash:/x", "k99", late=True)
        answers.close()

    desk(work)


def test_others_do_not_wait(desk: Open, socketmap: Socketmap, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a recipient waits for a silent map, one that is known gets its answer."""
    monkeypatch.setattr("mailquota.core.policy.answering.MAP_PATIENCE", 10_000.0)
    socketmap.silent = True

    async def work(table: Desk) -> None:
        furnish(table, socketmap.name)
        answers = table.enforcer.router.answers
        answers._take(socketmap.name, [MapAnswer("half@example.org", None)])
        client, other = await table.connect(), await table.connect()
        asking = asyncio.create_task(client.ask("full@example.org"))
        await until(lambda: socketmap.asked)
        assert await other.ask("half@example.org") == FITS
        assert not asking.done()
        answers._take(socketmap.name, [MapAnswer("full@example.org", "half@example.org")])
        answers._take(socketmap.name, [MapAnswer("half@example.org", None)])
        assert await asking == FITS

    desk(work)


def test_copies_that_are_lost(desk: Open, socketmap: Socketmap) -> None:
    """explain names full mailboxes that Postfix sends a copy to."""

    async def work(table: Desk) -> None:
        furnish(table)
        table.enforcer.router.set_rewriting(RewritingMaps(always_bcc="full@example.org", delimiters="+"))
        found = await table.enforcer.explain("half@example.org", 0)
        assert (found.verdict, found.lost_copies) == ("accept", ["full@example.org"])
        assert "a copy to full@example.org" in found.why
        table.enforcer.router.set_rewriting(RewritingMaps(always_bcc="half@example.org", delimiters="+"))
        assert (await table.enforcer.explain("half@example.org", 0)).lost_copies == []

    desk(work)
    assert not socketmap.asked
