"""The accounts summed by domain. Pure; sizes in bytes.

Theory of operation. ``_counted`` has each account as it was last counted. A row that comes is first subtracted as it
was then and added as it is now, so a change costs the same however many accounts there are. The first count of all
accounts goes in slices, and rows that change meanwhile are counted at once: counting a row twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from mailquota.core.base.model import AccountRow, Level, level_of, percent_of
from mailquota.core.base.units import format_count, format_size
from mailquota.core.control.results import Status

from ..desk.tiles import Tile, figure
from ..draw import format as fmt
from ..draw import outlook
from ..draw.format import Line, Run
from ..draw.grid import Column, Context, text_cell

SLICE = 2_000  # accounts


@dataclass(slots=True)
class Domain:
    """Sums over a domain's accounts. ``used_of_granted`` and ``granted`` leave out those without a limit."""

    name: str
    accounts: int = 0
    used: int = 0
    used_of_granted: int = 0
    granted: int = 0
    unlimited: int = 0
    over: int = 0
    near: int = 0  # critical ones included
    growth: int = 0  # bytes a day
    growing: int = 0  # accounts whose growth is known

    def count(self, row: AccountRow, sign: int) -> None:
        """Add an account to the sums (1), or subtract it (-1)."""
        used, level = row.used_bytes or 0, row.level
        self.accounts += sign
        self.used += sign * used
        if row.limit_bytes is None:
            self.unlimited += sign
        else:
            self.used_of_granted += sign * used
            self.granted += sign * max(0, row.limit_bytes)
        if level is Level.OVER:
            self.over += sign
        elif level in {Level.NEAR, Level.CRITICAL}:
            self.near += sign
        if row.growth_bytes_per_day is not None:
            self.growth += sign * row.growth_bytes_per_day
            self.growing += sign


class Domains:
    """The sums of each domain and of all accounts."""

    def __init__(self) -> None:
        self.by_name: dict[str, Domain] = {}
        self.all = Domain("")
        self._counted: dict[str, AccountRow] = {}

    def recount(self, rows: Mapping[str, AccountRow]) -> Iterator[None]:
        """Count all accounts anew, one slice a step. ``rows`` may change between the steps."""
        self.by_name, self.all, self._counted = {}, Domain(""), {}
        for number, address in enumerate(list(rows), 1):
            if address in rows:
                self._count(rows[address])
            if number % SLICE == 0:
                yield

    def update(self, rows: Iterable[AccountRow], removed: Iterable[str]) -> None:
        """Count rows that changed or are new, and subtract removed addresses."""
        for address in removed:
            self._forget(address)
        for row in rows:
            self._count(row)

    def _count(self, row: AccountRow) -> None:
        self._forget(row.address)
        self._counted[row.address] = row
        name = row.domain.lower()
        domain = self.by_name.get(name)
        if domain is None:
            domain = self.by_name[name] = Domain(name)
        domain.count(row, 1)
        self.all.count(row, 1)

    def _forget(self, address: str) -> None:
        row = self._counted.pop(address, None)
        if row is None:
            return
        domain = self.by_name[row.domain.lower()]
        domain.count(row, -1)
        self.all.count(row, -1)
        if not domain.accounts:
            del self.by_name[domain.name]


# ---- the table


def _name(domain: Domain, context: Context) -> Run:
    return fmt.literal(domain.name, context.glyphs), "plain"


def _use(domain: Domain, width: int, context: Context) -> Line:
    percent = percent_of(domain.used_of_granted, domain.granted)
    if percent is None:
        return ((fmt.fit(context.glyphs.nothing, width, context.glyphs, right=True), "quiet"),)
    style = fmt.look_of(level_of(domain.used_of_granted, domain.granted))
    text = fmt.fit(fmt.percent_text(percent, context.glyphs), 7, context.glyphs, right=True)
    return (*fmt.meter(percent, style, width - 7, context.glyphs), (text, style))


def _count_column(field: str, title: str, *, width: int, priority: int, style: str = "plain") -> Column[Domain]:
    """A column with a number of accounts, quiet where it is 0."""
    get: Callable[[Domain], int] = attrgetter(field)

    def number(domain: Domain, _context: Context) -> Run:
        return format_count(get(domain)), style if get(domain) else "quiet"

    return Column(field, title, width, priority, cell=text_cell(number, right=True), sort=get, right=True)


def _used(domain: Domain, _context: Context) -> Run:
    return format_size(domain.used), "plain"


def _granted(domain: Domain, context: Context) -> Run:
    return format_size(domain.granted) if domain.granted else context.glyphs.nothing, "quiet"


def _known_growth(domain: Domain) -> int | None:
    return domain.growth if domain.growing else None


def _growth(domain: Domain, context: Context) -> Run:
    return outlook.growth_text(_known_growth(domain), context.glyphs), "quiet"


def _by_use(domain: Domain) -> float | None:
    return percent_of(domain.used_of_granted, domain.granted)


def columns(disk: Callable[[], int | None]) -> tuple[Column[Domain], ...]:
    """The columns of the table. ``disk`` gives the size of the file system in bytes, or None."""

    def share(domain: Domain) -> float | None:
        return percent_of(domain.granted, disk())

    def shared(domain: Domain, context: Context) -> Run:
        percent = share(domain)
        return fmt.percent_text(percent, context.glyphs), "near" if percent is not None and percent > 100 else "quiet"

    def right(words: Callable[[Domain, Context], Run]) -> Callable[[Domain, int, Context], Line]:
        return text_cell(words, right=True)

    return (
        Column(
            "name",
            "Domain",
            width=18,
            priority=0,
            cell=text_cell(_name),
            sort=attrgetter("name"),
            falling=False,
            good=26,
            most=60,
        ),
        _count_column("accounts", "Accounts", width=9, priority=5),
        Column("used", "Used", width=9, priority=1, cell=right(_used), sort=attrgetter("used"), right=True),
        Column("granted", "Granted", width=9, priority=2, cell=right(_granted), sort=attrgetter("granted"), right=True),
        Column("use", "Usage", width=14, priority=3, cell=_use, sort=_by_use, good=16, most=46),
        Column("disk", "Of disk", width=8, priority=6, cell=right(shared), sort=share, right=True),
        _count_column("over", "Over", width=6, priority=4, style="over"),
        _count_column("near", "Near", width=6, priority=4, style="near"),
        Column("growth", "Per day", width=10, priority=7, cell=right(_growth), sort=_known_growth, right=True),
        _count_column("unlimited", "Unlimited", width=10, priority=8),
    )


KEYS = {  # column → keys of its values
    "name": ("domain",), "used": ("used_bytes",), "granted": ("granted_bytes",), "use": ("percent",),
    "disk": ("percent_of_disk",), "growth": ("growth_bytes_per_day",),
}  # fmt: skip


def record(domain: Domain, disk: int | None) -> dict[str, Any]:
    """A domain as it is exported; ``disk`` is the size of the file system in bytes, None if not known."""
    percent, share = _by_use(domain), percent_of(domain.granted, disk)
    return {
        "domain": domain.name, "accounts": domain.accounts, "used_bytes": domain.used, "granted_bytes": domain.granted,
        "percent": percent, "percent_of_disk": share, "over": domain.over, "near": domain.near,
        "growth_bytes_per_day": _known_growth(domain), "unlimited": domain.unlimited,
    }  # fmt: skip


def totals(found: Domains, status: Status | None, context: Context) -> tuple[Tile, ...]:
    """Sums over all domains that the head does not show."""
    everybody, disk = found.all, status.disk if status is not None else None
    if not everybody.accounts:
        return ()
    tiles = [Tile("domains", 0, figure(format_count(len(found.by_name)), f" domain{'s' * (len(found.by_name) != 1)}"))]
    share = percent_of(everybody.granted, disk.total_bytes) if disk is not None else None
    if share is not None:
        words = (fmt.percent_text(share, context.glyphs), "near" if share > 100 else "plain")
        tiles.append(Tile("promised", 1, (("granted ", "quiet"), words, (" of the disk", "quiet"))))
    if everybody.unlimited:
        tiles.append(Tile("unlimited", 4, figure(format_count(everybody.unlimited), " without a limit")))
    if everybody.growing:
        tiles.append(Tile("growth", 2, figure(outlook.growth_text(everybody.growth, context.glyphs), " a day")))
    if everybody.growth > 0 and disk is not None and disk.free_bytes is not None:
        days = disk.free_bytes / everybody.growth
        full = (outlook.days_text(days, context.glyphs), outlook.urgency(days))
        tiles.append(Tile("full", 3, (("disk full in about ", "quiet"), full)))
    return tuple(tiles)


def detail(domain: Domain | None, width: int, context: Context) -> Line:
    """The line about the domain under the cursor."""
    if domain is None:
        return ()
    facts = [(fmt.plural(domain.accounts, "account"), "quiet")]
    if domain.unlimited:
        facts.append((f"{format_count(domain.unlimited)} without a limit", "quiet"))
    if domain.over:
        facts.append((f"{context.glyphs.levels[Level.OVER]} {format_count(domain.over)} over", "over"))
    if domain.near:
        facts.append((f"{context.glyphs.levels[Level.NEAR]} {format_count(domain.near)} near", "near"))
    if domain.growing:
        facts.append((f"{outlook.growth_text(domain.growth, context.glyphs)} a day", "quiet"))
    return fmt.facts((fmt.literal(domain.name, context.glyphs), "strong"), facts, width, context.glyphs)
