"""The accounts summed by domain. Pure; sizes in bytes.

Theory of operation. ``_counted`` holds each account as it was last counted. A row that comes is first taken off the
sums as it was then and put back as it is now, so a change costs the same however many accounts there are. The first
count of everything goes in slices, and what changes meanwhile is counted when it comes: a row that is counted twice
changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter

from mailquota.core.base.model import AccountRow, Level, level_of, percent_of
from mailquota.core.base.units import format_count, format_size
from mailquota.core.control.results import Status
from mailquota.tui.desk.tiles import Tile, figure
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw import outlook
from mailquota.tui.draw.format import Line, Run
from mailquota.tui.draw.grid import Column, Look, text_cell

SLICE = 2_000  # accounts


@dataclass(slots=True)
class Domain:
    """``used`` is of all accounts, ``held`` of those that ``granted`` is the sum of limits of."""

    name: str
    accounts: int = 0
    used: int = 0
    held: int = 0
    granted: int = 0
    unlimited: int = 0
    over: int = 0
    near: int = 0  # critical ones included
    growth: int = 0  # a day
    growing: int = 0  # accounts whose growth is known

    def count(self, row: AccountRow, sign: int) -> None:
        """Put an account to the sums (1), or take it off (-1)."""
        used, level = row.used_bytes or 0, row.level
        self.accounts += sign
        self.used += sign * used
        if row.limit_bytes is None:
            self.unlimited += sign
        else:
            self.held += sign * used
            self.granted += sign * max(0, row.limit_bytes)
        if level is Level.OVER:
            self.over += sign
        elif level in {Level.NEAR, Level.CRITICAL}:
            self.near += sign
        if row.growth_bytes_per_day is not None:
            self.growth += sign * row.growth_bytes_per_day
            self.growing += sign


class Domains:
    """See the theory of operation above."""

    def __init__(self) -> None:
        self.by_name: dict[str, Domain] = {}
        self.all = Domain("")
        self._counted: dict[str, AccountRow] = {}

    def recount(self, rows: Mapping[str, AccountRow]) -> Iterator[None]:
        """Everything anew; a slice at each step. ``rows`` is what is known, and may change meanwhile."""
        self.by_name, self.all, self._counted = {}, Domain(""), {}
        for number, address in enumerate(list(rows), 1):
            if address in rows:
                self._count(rows[address])
            if number % SLICE == 0:
                yield

    def update(self, rows: Iterable[AccountRow], removed: Iterable[str]) -> None:
        """Rows that changed or came, and addresses that are gone."""
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


def _name(domain: Domain, look: Look) -> Run:
    return fmt.literal(domain.name, look.glyphs), "plain"


def _use(domain: Domain, width: int, look: Look) -> Line:
    percent = percent_of(domain.held, domain.granted)
    if percent is None:
        return ((fmt.fit(look.glyphs.nothing, width, look.glyphs, right=True), "quiet"),)
    style = fmt.look_of(level_of(domain.held, domain.granted))
    text = fmt.fit(fmt.percent_text(percent, look.glyphs), 7, look.glyphs, right=True)
    return (*fmt.meter(percent, style, width - 7, look.glyphs), (text, style))


def _number(field: str, style: str = "plain") -> Callable[[Domain, int, Look], Line]:
    """A number, quiet where there is none."""
    get: Callable[[Domain], int] = attrgetter(field)
    return text_cell(lambda domain, _look: (format_count(get(domain)), style if get(domain) else "quiet"), right=True)


def _used(domain: Domain, _look: Look) -> Run:
    return format_size(domain.used), "plain"


def _granted(domain: Domain, look: Look) -> Run:
    return format_size(domain.granted) if domain.granted else look.glyphs.nothing, "quiet"


def _known_growth(domain: Domain) -> int | None:
    return domain.growth if domain.growing else None


def _growth(domain: Domain, look: Look) -> Run:
    return outlook.growth_text(_known_growth(domain), look.glyphs), "quiet"


def _by_use(domain: Domain) -> float | None:
    return percent_of(domain.held, domain.granted)


def columns(disk: Callable[[], int | None]) -> tuple[Column[Domain], ...]:
    """``disk``: its size in bytes, which what is granted is a share of."""

    def share(domain: Domain) -> float | None:
        return percent_of(domain.granted, disk())

    def shared(domain: Domain, look: Look) -> Run:
        percent = share(domain)
        return fmt.percent_text(percent, look.glyphs), "near" if percent is not None and percent > 100 else "quiet"

    def right(words: Callable[[Domain, Look], Run]) -> Callable[[Domain, int, Look], Line]:
        return text_cell(words, right=True)

    return (
        Column("name", "Domain", 18, 0, text_cell(_name), falling=False, good=26, most=60),
        Column("accounts", "Accounts", 9, 5, _number("accounts"), attrgetter("accounts"), right=True),
        Column("used", "Used", 9, 1, right(_used), attrgetter("used"), right=True),
        Column("granted", "Granted", 9, 2, right(_granted), attrgetter("granted"), right=True),
        Column("use", "Use", 14, 3, _use, _by_use, good=16, most=46),
        Column("disk", "Of disk", 8, 6, right(shared), share, right=True),
        Column("over", "Over", 6, 4, _number("over", "over"), attrgetter("over"), right=True),
        Column("near", "Near", 6, 4, _number("near", "near"), attrgetter("near"), right=True),
        Column("growth", "Per day", 10, 7, right(_growth), _known_growth, right=True),
        Column("unlimited", "Unlimited", 10, 8, _number("unlimited"), attrgetter("unlimited"), right=True),
    )


def totals(found: Domains, status: Status | None, look: Look) -> tuple[Tile, ...]:
    """What the head does not say of all of them."""
    everybody, disk = found.all, status.disk if status is not None else None
    if not everybody.accounts:
        return ()
    tiles = [Tile("domains", 0, figure(format_count(len(found.by_name)), f" domain{'s' * (len(found.by_name) != 1)}"))]
    share = percent_of(everybody.granted, disk.total_bytes) if disk is not None else None
    if share is not None:
        words = (fmt.percent_text(share, look.glyphs), "near" if share > 100 else "plain")
        tiles.append(Tile("promised", 1, (("granted ", "quiet"), words, (" of the disk", "quiet"))))
    if everybody.unlimited:
        tiles.append(Tile("unlimited", 4, figure(format_count(everybody.unlimited), " without a limit")))
    if everybody.growing:
        tiles.append(Tile("growth", 2, figure(outlook.growth_text(everybody.growth, look.glyphs), " a day")))
    if everybody.growth > 0 and disk is not None and disk.free_bytes is not None:
        days = disk.free_bytes / everybody.growth
        full = (outlook.days_text(days, look.glyphs), outlook.urgency(days))
        tiles.append(Tile("full", 3, (("disk full in about ", "quiet"), full)))
    return tuple(tiles)


def detail(domain: Domain | None, width: int, look: Look) -> Line:
    """The domain under the cursor."""
    if domain is None:
        return ()
    facts = [(fmt.plural(domain.accounts, "account"), "quiet")]
    if domain.unlimited:
        facts.append((f"{format_count(domain.unlimited)} without a limit", "quiet"))
    if domain.over:
        facts.append((f"{look.glyphs.levels[Level.OVER]} {format_count(domain.over)} over", "over"))
    if domain.near:
        facts.append((f"{look.glyphs.levels[Level.NEAR]} {format_count(domain.near)} near", "near"))
    if domain.growing:
        facts.append((f"{outlook.growth_text(domain.growth, look.glyphs)} a day", "quiet"))
    return fmt.facts((fmt.literal(domain.name, look.glyphs), "strong"), facts, width, look.glyphs)
