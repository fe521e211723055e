"""Where Postfix's maps lead mail: what is gathered of it, and what is said."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from mailquota.core.accounts.store import Accounts
from mailquota.core.base.model import Account, Alias
from mailquota.core.base.programs import ProgramResult
from mailquota.core.doctor.postfix.facts import LedElsewhere, MapFacts, RewritingFacts
from mailquota.core.doctor.postfix.probe_rewriting import gather
from mailquota.core.servers.postfix.postmap import MapError
from tests.core.doctor.healthy import WAYS, config, facts, outcome

JOHN, JANE = "john@example.org", "jane@example.org"
ALIAS_MAP, OWN_MAP, HASH = "mysql:/a.cf", "mysql:/own.cf", "hash:/etc/postfix/virtual"
CONFIG = config(accounts={"maps": (HASH,)})

CASES: list[tuple[str, dict[str, object], str, str]] = [
    ("aliases-followed", {}, "ok", "agrees with the accounts database about 3 keys"),
    ("aliases-followed", {"maps": (MapFacts(HASH),)}, "ok", f"asked through postmap: {HASH}"),
    ("aliases-followed", {"maps": (MapFacts(HASH, fault="no such file"),)}, "warn", "can't be asked: no such file"),
    ("aliases-followed", {"maps": (MapFacts(ALIAS_MAP, "aliases", "closed"),)}, "ok", "could not be asked"),
    ("aliases-followed", {"maps": (MapFacts(ALIAS_MAP, "aliases", differs=(JOHN,), checked=9),)}, "warn", "1 of 9"),
    ("aliases-followed", {"unfollowed": ("masquerade_domains",)}, "warn", "masquerade_domains"),
    ("aliases-followed", {"problem": "hash:/x: gone"}, "warn", "the engine says: hash:/x: gone"),
    ("aliases-followed", {"copies": ("always_bcc = all@example.org",)}, "ok", "always_bcc = all@example.org"),
    ("aliases-followed", {"fault": "postconf is not installed"}, "ok", "postconf is not installed"),
    ("aliases-followed", {"fault": "not asked"}, "skip", "not known"),
    ("mailboxes-reached", {}, "ok", "the 2 mailboxes"),
    ("mailboxes-reached", {"unreached": (LedElsewhere(JOHN, (JANE,)),)}, "warn", f"{JOHN} → {JANE}"),
    ("mailboxes-reached", {"fault": "no"}, "skip", "no"),
    ("mailboxes-refusable", {}, "ok", "can be refused"),
    ("mailboxes-refusable", {"never_refused": (LedElsewhere(JOHN, ("x@a.example",)),)}, "warn", "address elsewhere"),
    (
        "mailboxes-refusable",
        {"never_refused": (LedElsewhere(JOHN, ("john#example.org@autoreply.example.org",)),)},
        "warn",
        "1 with a vacation address",
    ),
    ("mailboxes-refusable", {"fault": "no"}, "skip", "no"),
]


@pytest.mark.parametrize(("check", "changes", "state", "words"), CASES)
def test_what_is_said(check: str, changes: dict[str, object], state: str, words: str) -> None:
    found = outcome(check, facts(rewriting=msgspec.structs.replace(WAYS, **changes)))
    assert (found.state, words in found.found) == (state, True), found


class Maps:
    """Answers of maps. One that is not among them is closed."""

    def __init__(self, **rows: dict[str, str]) -> None:
        self.rows = {HASH: rows["hash"]} if "hash" in rows else {}

    def ask(self, name: str, keys: Sequence[str], _patience: float) -> list[str | None]:
        if name not in self.rows:
            raise MapError("closed")
        return [self.rows[name].get(key) for key in keys]


def no_postconf(_argv: Sequence[str]) -> ProgramResult:
    return ProgramResult(fault="postconf is not installed")


def rewriting(accounts: Accounts, maps: Maps) -> RewritingFacts:
    return gather(CONFIG, accounts, run=no_postconf, ask=maps.ask)


BOTH = [Account(JOHN, 1000), Account(JANE, 1000)]


def test_a_mailbox_behind_a_catch_all_is_found() -> None:
    found = rewriting(Accounts(BOTH, []), Maps(hash={"@example.org": JANE, JANE: JANE}))
    assert (found.unreached, found.never_refused, found.looked_at) == ((LedElsewhere(JOHN, (JANE,)),), (), 2)
    found = rewriting(Accounts(BOTH, []), Maps(hash={"@example.org": JANE, JANE: JANE, JOHN: JOHN}))
    assert found.unreached == ()
    found = rewriting(Accounts(BOTH, []), Maps(hash={JOHN: JANE}))  # an alias of his own: he wants it so
    assert found.unreached == ()


def test_a_mailbox_beside_an_address_elsewhere_is_found() -> None:
    found = rewriting(Accounts(BOTH, []), Maps(hash={JOHN: f"{JOHN}, me@elsewhere.example", JANE: f"{JANE},{JOHN}"}))
    others = ("me@elsewhere.example",)
    assert found.never_refused == (LedElsewhere(JANE, others), LedElsewhere(JOHN, others))
    unlimited = Accounts([Account(JOHN, None)], [])
    assert rewriting(unlimited, Maps(hash={JOHN: f"{JOHN}, me@elsewhere.example"})).never_refused == ()


def test_a_closed_map_is_told() -> None:
    found = rewriting(Accounts(BOTH, [Alias("info@example.org", JOHN)]), Maps())
    assert found.maps == (MapFacts(HASH, fault="closed"),)
    assert (found.unreached, found.never_refused, found.looked_at) == ((), (), 0)


def test_another_postfix_is_not_asked() -> None:
    found = gather(config(), Accounts(BOTH, []), run=no_postconf, ask=Maps().ask)
    assert "not the one that asks mailquota" in found.fault
    assert "could not be read" in gather(config(), None, run=no_postconf).fault
