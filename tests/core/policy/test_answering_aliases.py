"""Requests for addresses that lead elsewhere, and for mailboxes that others are writing to, over real sockets."""

from __future__ import annotations

import math

import pytest

from mailquota.core.base.model import Alias
from mailquota.core.policy.aliases import AliasMap
from tests.core.enforcing import FITS, FULL, LARGE, NOBODY, TROUBLE, Desk, Open
from tests.core.enforcing import desk as desk  # noqa: PLC0414 - a fixture
from tests.core.policy.clients import request

ALIASES = {
    "info": ["full"],
    "both": ["full", "half"],
    "all-full": ["full", "over"],
    "away": ["full", "me@elsewhere.example"],
    "chain": ["info"],
    "loop": ["loop2"],
    "loop2": ["loop"],
    "typo": ["nobody"],
    "half-typo": ["nobody", "full"],
    "list": ["free", "full"],
    "vip": ["postmaster"],
    "abuse": ["full"],
}


def furnish(table: Desk) -> None:
    table.add("half", 1000)
    table.add("full", 5000)
    table.add("over", 6000)
    table.add("free", 1, None)
    table.add("postmaster", 6000)
    full = "@example.org"
    table.enforcer.router.set_aliases(
        AliasMap(Alias(one + full, to if "@" in to else to + full) for one, ends in ALIASES.items() for to in ends)
    )


# recipient, size, answer, mailboxes, who misses it
ROWS: list[tuple[str, int, str, str, list[str]]] = [
    ("info", 0, FULL, "full@example.org", []),
    ("Info+x", 0, FULL, "full@example.org", []),
    ("both", 0, FITS, "full@example.org, half@example.org", ["full@example.org"]),
    ("both", 4501, FULL, "full@example.org, half@example.org", []),
    ("both", 5001, LARGE, "full@example.org, half@example.org", []),
    ("all-full", 0, FULL, "full@example.org, over@example.org", []),
    ("away", 0, FITS, "full@example.org", []),
    ("chain", 0, FULL, "full@example.org", []),
    ("loop", 0, FITS, "", []),
    ("typo", 0, NOBODY, "", []),
    ("half-typo", 0, FITS, "full@example.org", []),
    ("list", 10**9, FITS, "free@example.org, full@example.org", ["full@example.org"]),
    ("vip", 0, FITS, "postmaster@example.org", []),
]


def test_answers(desk: Open) -> None:
    """A mail is refused only if no mailbox can take it; mailboxes that miss an accepted mail are recorded."""

    async def work(table: Desk) -> None:
        furnish(table)
        for name in ("full", "over", "half", "free", "postmaster"):
            table.measure(name)
        client = await table.connect()
        for recipient, size, answer, mailboxes, missed in ROWS * 2:
            assert await client.ask(f"{recipient}@example.org", size) == answer, recipient
            (row,), _ = table.decisions.since(table.decisions.count - 1, 1)
            assert (row.mailbox, row.missed) == (mailboxes, missed), recipient
        table.change(aliases=False)
        assert [await client.ask(f"{name}@example.org") for name in ("info", "full", "loop")] == [NOBODY, FULL, NOBODY]
        assert await client.ask("me@elsewhere.example") == NOBODY

    desk(work)


def test_fresh_figures_need_no_look(desk: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also behind aliases, and of several mailboxes; the answers are the same as with one."""
    wanted = [row for row in ROWS if row[0] != "vip"]

    async def work(table: Desk) -> None:
        furnish(table)
        client = await table.connect()
        for recipient, size, *_ in wanted:
            await client.ask(f"{recipient}@example.org", size)
        looked = {entry.address for entry in table.enforcer.asked if entry.limit is not None}
        assert len(looked) > 2
        for name in ("full", "over", "half"):
            table.measure(name)
            table.entry(name).fresh_until = math.inf
        monkeypatch.setattr(table.enforcer.lookup, "start", None)  # would be a fault, and so trouble
        monkeypatch.setattr(table.enforcer.lookup.watch, "drain", lambda: None)
        for recipient, size, answer, mailboxes, missed in wanted:
            assert await client.ask(f"{recipient}@example.org", size) == answer, recipient
            (row,), _ = table.decisions.since(table.decisions.count - 1, 1)
            assert (row.mailbox, row.missed) == (mailboxes, missed), recipient
        assert table.metrics.trouble == 0

    desk(work)


def test_a_changed_table_holds_at_once(desk: Open) -> None:
    async def work(table: Desk) -> None:
        furnish(table)
        client = await table.connect()
        assert [await client.ask("half@example.org") for _ in range(2)] == [FITS, FITS]
        table.enforcer.router.set_aliases(AliasMap([Alias("half@example.org", "full@example.org")]))
        assert await client.ask("half@example.org") == FULL
        table.enforcer.router.set_aliases(AliasMap([]))
        assert [await client.ask("half@example.org"), await client.ask("info@example.org")] == [FITS, NOBODY]

    desk(work)


def test_one_of_several_that_cannot_be_measured(desk: Open) -> None:
    """Trouble unless another mailbox takes the mail."""

    async def work(table: Desk) -> None:
        furnish(table)
        box = table.boxes["half"]
        box.file.unlink()
        box.file.mkdir()
        client = await table.connect()
        assert await client.ask("both@example.org") == TROUBLE
        box.file.rmdir()
        box.file.write_text("5000S\n1000 1\n")
        assert await client.ask("both@example.org") == FITS

    desk(work)


def test_explained(desk: Open) -> None:
    """Each destination with its path, and the reason."""

    async def work(table: Desk) -> None:
        furnish(table)
        found = await table.enforcer.explain("chain@example.org", 10)
        (target,) = found.targets
        assert (target.address, target.kind, target.fits) == ("full@example.org", "mailbox", False)
        assert target.via == ["chain@example.org", "info@example.org"]
        assert (found.verdict, found.action) == ("over_quota", FULL)
        for recipient, verdict, kinds, words in (
            ("both", "accept", ["mailbox", "mailbox"], "full@example.org will miss it"),
            ("all-full", "over_quota", ["mailbox", "mailbox"], "none of them can take"),
            ("away", "accept", ["external", "mailbox"], "me@elsewhere.example is no mailbox here"),
            ("loop", "accept", ["loop"], "form a loop"),
            ("typo", "unknown", ["unknown"], "There is no account"),
            ("vip", "accept", ["mailbox"], "exempt"),
            ("postmaster", "accept", ["mailbox"], "exempt"),
        ):
            found = await table.enforcer.explain(f"{recipient}@example.org", 10)
            assert (found.verdict, sorted(target.kind for target in found.targets)) == (verdict, kinds), recipient
            assert words in found.why, recipient
        assert (table.metrics.requests, table.decisions.count) == (0, 0)

    desk(work)


def rcpt(name: str, size: int, mail: str = "", state: str = "RCPT") -> bytes:
    return request(f"{name}@example.org", size, state, **({"instance": mail} if mail else {}))


def test_parallel_senders_share_the_free_space(desk: Open) -> None:
    """What was accepted counts until it arrives; what was only explained does not."""

    async def work(table: Desk) -> None:
        box = table.add("john", 0, 5000)
        table.change(reserve_seconds=30.0)
        client = await table.connect()

        async def ask(size: int, mail: str = "", state: str = "RCPT") -> str:
            client.send(rcpt("john", size, mail, state))
            return await client.answer()

        for asked in (b"", rcpt("john", 2000, "m0")):
            assert (await table.enforcer.explain("john@example.org", 2000, asked)).verdict == "accept"
        assert [await ask(2000, f"m{number}") for number in range(4)] == [FITS, FITS, FULL, FULL]
        assert await ask(2000, "m1") == FITS  # the same mail again
        assert await ask(2000, "m1", "END-OF-MESSAGE") == FITS
        assert await ask(4000, "m1", "END-OF-MESSAGE") == FULL
        found = await table.enforcer.explain("john@example.org", 2000)
        assert found.verdict == "over_quota"
        assert "3.9 KiB (4,000 bytes) of accepted mails" in found.why
        box.deliver(1990)
        assert await ask(1500, "m5") == FITS
        assert await ask(0, "m7") == FULL
        table.change(reserve_seconds=0.0)
        assert await ask(3510, "m8") == FITS
        assert await ask(3511, "m9") == FULL

    desk(work)


def test_what_is_reserved_ends(desk: Open) -> None:
    """After its time, without any delivery; a request without a size reserves nothing, and a refused one neither."""

    async def work(table: Desk) -> None:
        table.add("john", 0, 5000)
        table.change(reserve_seconds=1e-9)
        client = await table.connect()
        assert [await client.ask("john@example.org", 4000) for _ in range(3)] == [FITS] * 3
        table.change(reserve_seconds=30.0)
        assert [await client.ask("john@example.org") for _ in range(9)] == [FITS] * 9
        assert await client.ask("john@example.org", 9000) == LARGE
        assert await client.ask("john@example.org", 5000) == FITS

    desk(work)


def test_reserved_through_an_alias(desk: Open) -> None:
    """The size is reserved in the mailboxes that accept the mail."""

    async def work(table: Desk) -> None:
        table.add("john", 0, 5000)
        table.add("jane", 5000, 5000)
        table.change(reserve_seconds=30.0)
        table.enforcer.router.set_aliases(
            AliasMap([Alias("team@example.org", "john@example.org"), Alias("team@example.org", "jane@example.org")])
        )
        assert [await table.ask("team", 3000), await table.ask("john", 3000), await table.ask("team", 3000)] == [
            FITS, FULL, FULL,
        ]  # fmt: skip

    desk(work)
