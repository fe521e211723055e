"""Generated alias tables, and where mail ends by them: as we say, and as Postfix's log has it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hypothesis import strategies as st

from mailquota.core.control.messages import Explain
from mailquota.core.control.results import Explanation, Target
from mailquota.core.policy.recipient import without_detail
from tests.core.clients import Console
from tests.mailserver.process import wait_until
from tests.mailserver.server import MailServer

# Each table has two domains of its own, which are written @c and @e until it is laid out.
_USERS = ("a@c", "b@c", "c@c", "a@e")
_KEPT = ("keep@c", "keep@e")  # only with a mailbox or an alias is a domain ours to us
_NAMES = ("a@c", "b@c", "c@c", "x@c", "y@c", "z@c", "a@e", "x@e")
_TAGGED = ("x+t@c", "a+t@c", "x+q@e", "x+t+u@c")
_MIXED = ("X@C", "A@c", "Y+T@c", "b@C")
_OUTSIDE = "out@outside.invalid"
_CATCHALLS = ("@c", "@e")
_ASKED = (*_NAMES, *_MIXED, *_TAGGED, "nobody@c", "nobody@e", "y+q@c", "zz+q@e", "a+q@c", "x+@c", "x+t+@c", "+t@c")
_SENDERS = 6  # side by side
_SECONDS = 300.0

Rows = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table:
    """Mailboxes, alias rows (source, destination), and recipients to be asked about."""

    users: tuple[str, ...]
    rows: Rows
    asked: tuple[str, ...]

    def named(self, number: int) -> Table:
        """The same with domains that no other table has."""

        def name(address: str) -> str:
            user, _, domain = address.rpartition("@")
            if len(domain) > 1:
                return address
            return f"{user}@{domain}{number}.example"

        rows = tuple((name(source), name(destination)) for source, destination in self.rows)
        return Table(tuple(map(name, self.users)), rows, tuple(map(name, self.asked)))


def _rows() -> st.SearchStrategy[Rows]:
    """Of one source."""
    sources = st.sampled_from([*_NAMES, *_NAMES, *_TAGGED, *_MIXED])
    anywhere = st.sampled_from([*_NAMES, *_NAMES, *_TAGGED, *_MIXED, _OUTSIDE])
    several = st.lists(anywhere, min_size=1, max_size=3)
    alias = st.tuples(sources, several)
    catchall = st.tuples(st.sampled_from(_CATCHALLS), st.one_of(several, st.sampled_from(_CATCHALLS).map(_alone)))
    return st.one_of(alias, alias, alias, catchall).map(lambda one: tuple((one[0], to) for to in one[1]))


def _alone(destination: str) -> list[str]:
    """Postfix takes @domain beside other destinations for a part of them."""
    return [destination]


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Small, so that names meet: chains, copies, loops and catch-alls come by themselves."""
    users = draw(st.lists(st.sampled_from(_USERS), unique=True, min_size=1))
    parts: dict[str, Rows] = {}
    for rows in draw(st.lists(_rows(), min_size=1, max_size=5)):
        parts[rows[0][0].lower()] = rows
    asked = draw(st.lists(st.sampled_from(_ASKED), unique=True, min_size=4, max_size=4))
    return Table((*_KEPT, *users), tuple(row for rows in parts.values() for row in rows), tuple(asked))


Ends = frozenset[tuple[str, str]] | str  # kind and address of each end, or why there is none
LOOP, NOBODY = "a loop", "nobody"


def compare(server: MailServer, console: Console, cases: Sequence[Table]) -> list[str]:
    """A line for each recipient whose mail ends elsewhere than we say."""
    users = {user for table in cases for user in table.users}
    asked = [(table, recipient) for table in cases for recipient in table.asked]
    mine = [_ours(_explain(console, recipient)) for _, recipient in asked]
    theirs = _postfix(server, [recipient for _, recipient in asked], users)
    return [
        f"{recipient} {table!r}\n  ours: {_shown(a)}\n  Postfix: {_shown(b)}"
        for (table, recipient), a, b in zip(asked, mine, theirs, strict=True)
        # A loop of names that grow takes very many questions to maps: it is given up as late, and left to Postfix.
        if a != b and not (b in {NOBODY, LOOP} and not isinstance(a, str) and {kind for kind, _ in a} == {"unknown"})
    ]


def _shown(ends: Ends) -> str:
    return ends if isinstance(ends, str) else f"{len(ends)}: {sorted(ends)[:12]}"


def _explain(console: Console, recipient: str) -> list[Target]:
    explained: Explanation = console.ask(lambda number: Explain(number, recipient, 0), Explanation)
    return explained.targets


def _ours(targets: Sequence[Target]) -> Ends:
    if any(target.kind == "loop" for target in targets):
        return LOOP
    return frozenset((target.kind, target.address) for target in targets)


def _postfix(server: MailServer, recipients: Sequence[str], users: set[str]) -> list[Ends]:
    """By mails that are sent."""
    with ThreadPoolExecutor(_SENDERS) as senders:
        replies = list(senders.map(server.send_mail, recipients))
    ids = [match[1] if (match := re.search(r"queued as (\w+)", text)) else None for _, text in replies]
    reached = _reached(server, {name for name in ids if name})
    return [
        frozenset(_end(address, users) for address in reached[name]) if name else _refused(*reply)
        for name, reply in zip(ids, replies, strict=True)
    ]


def _reached(server: MailServer, ids: set[str]) -> dict[str, set[str]]:
    """Where the mails of these queue ids went to, once all of them are gone."""
    log = server.postfix.log

    def gone() -> bool:
        return ids <= set(re.findall(r": (\w+): removed\n", log.read_text(errors="replace")))

    assert wait_until(gone, _SECONDS), "some mails are still under way"
    found = defaultdict(set)
    for name, address in re.findall(r": (\w+): to=<([^>]*)>", log.read_text(errors="replace")):
        found[name].add(address.lower())
    return found


def _refused(code: int, text: str) -> str:
    if "Alias expansion error" in text:
        return LOOP
    return NOBODY if code == 550 else f"{code} {text}"


def _end(address: str, users: set[str]) -> tuple[str, str]:
    bare = without_detail(address, "+")
    if bare in users:
        return "mailbox", bare
    return ("external" if address.endswith("@outside.invalid") else "unknown"), address
