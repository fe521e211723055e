"""Where mail ends: by the real Postfix with generated maps, and as mailquota says that has to find the maps itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mailquota.core.policy.recipient import without_detail
from tests.mailserver.fixture import temporary_folder
from tests.mailserver.mariadb import MariaDB
from tests.real.aliasing import Table
from tests.truth.configs.generating import generate
from tests.truth.configs.judging import EQUAL, SILENT, TOLD, Result
from tests.truth.configs.maps import LOOP, Laid, ManyPostfix, Mapping, generate_mapping
from tests.truth.configs.model import Series
from tests.truth.configs.ours import Answer, Ours
from tests.truth.configs.server import Configured

MAP_KINDS = ("sql", "types", "canonical")
_TROUBLE = "451 4.3.0"  # Postfix itself can't take the mail, so nothing is to be compared
Ends = frozenset[str] | str
_CHECKS = {"aliases-followed", "postfix-way", "mailboxes-reached", "catch-all", "never-refused"}


def mappings(kind: str, tables: Sequence[Table], seed: int) -> list[Mapping]:
    """One for each table; the tables have domains of their own after it."""
    return [generate_mapping(kind, table.named(number), seed + number) for number, table in enumerate(tables)]


@contextmanager
def map_checker() -> Iterator[Callable[[Series, Sequence[Mapping]], list[Result]]]:
    """``compare_mappings`` with a database and our process."""
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        database = stack.enter_context(MariaDB(folder / "mariadb"))
        ours = stack.enter_context(Ours())
        yield lambda series, chosen: compare_mappings(series, chosen, folder, database, ours)


def compare_mappings(
    series: Series, mappings: Sequence[Mapping], folder: Path, database: MariaDB, ours: Ours
) -> list[Result]:
    """One result for each recipient that a table asks about."""
    postfix = ManyPostfix(folder / "p", database)
    postfix.laid = [Laid(one, folder / f"m{number}", database, postfix.queue) for number, one in enumerate(mappings)]
    results: list[Result] = []
    dovecot = generate(series, "plain", 0)
    with postfix:
        for number, laid in enumerate(postfix.laid):
            mapping = laid.mapping
            database.clear()
            database.add_users((user, 10**6) for user in mapping.table.users)
            database.add_aliases(laid.sql_rows)
            server = Configured(laid.folder / "d", dovecot, database)
            server.prepare()
            (laid.folder / "etc").symlink_to(server.etc)
            answer = ours.ask(laid.folder, recipients=mapping.table.asked, witness=False)
            theirs = postfix.ends(number, mapping.table.asked)
            found = _compared(mapping, answer, theirs)
            if any(one.outcome == SILENT for one in found):
                asked = mapping.table.asked
                found = _compared(mapping, ours.ask(laid.folder, doctor=True, recipients=asked, witness=False), theirs)
            results += found
    return results


def _compared(mapping: Mapping, ours: Answer, theirs: Sequence[Ends]) -> list[Result]:
    assert "fault" not in ours, ours["fault"]
    if ours.get("error"):
        return [Result("way", TOLD, ours["error"])]
    users = set(mapping.table.users)
    mine = {recipient: _ends(targets) for recipient, _, _, _, targets in ours["verdicts"]}
    return [
        _result(ours, mine[recipient], _without_details(end, users), f"{recipient}, {mapping}", users)
        for recipient, end in zip(mapping.table.asked, theirs, strict=True)
        if not str(end).startswith(_TROUBLE)
    ]


def _ends(targets: list[list[str]]) -> Ends:
    if any(kind == "loop" for kind, _ in targets):
        return LOOP
    return frozenset(address for _, address in targets)


def _without_details(ends: Ends, users: set[str]) -> Ends:
    """A mailbox has none."""
    if isinstance(ends, str):
        return ends
    bare = ((without_detail(address, "+"), address) for address in ends)
    return frozenset(plain if plain in users else address for plain, address in bare)


def _result(ours: Answer, mine: Ends, theirs: Ends, what: str, users: set[str]) -> Result:
    """Where Postfix itself refuses aliases that grow for ever, it is enough that no mailbox decides."""
    text = f"ours {_shown(mine)}, Postfix {_shown(theirs)}: {what}"
    if mine == theirs or (theirs == LOOP and not users.intersection(mine)):
        return Result("way", EQUAL, text)
    told = [f"{check}: {found}" for check, state, found in ours.get("findings", ())
            if check in _CHECKS and state in {"warn", "fail"}]  # fmt: skip
    told += [remark for remark in ours["remarks"] if "alias" in remark or "map" in remark]
    return Result("way", TOLD if told else SILENT, text + "".join(told[:1]))


def _shown(ends: Ends) -> str:
    return ends if isinstance(ends, str) else ", ".join(sorted(ends)[:12])
