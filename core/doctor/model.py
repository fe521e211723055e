"""What the doctor's checks are given (facts), what a check is, and what it finds.

A check is one question about the server, answered by one pure function of the facts. Its outcome has a state:

- ``ok``: as it should be, or of no concern on this server;
- ``warn``: mail flows, but something does not work as users or administrators expect;
- ``fail``: mail is lost, refused, or accepted against the limits, or usage is counted wrongly;
- ``skip``: not judged; ``found`` says what is missing for it (rights, a program, a version that mailquota knows).

``fix`` is text that root may paste into a shell as it is: commands, or lines that a here-document puts into a file.
Where no command would do, it is a comment (#). It is empty where nothing needs fixing. A check never guesses: what the
facts do not show is ``skip``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from ..settings.config import Config
from .dovecot.facts import DovecotFacts
from .host.facts import HostFacts
from .log.facts import LogFacts
from .postfix.facts import PostfixFacts, RewritingFacts

State = Literal["ok", "warn", "fail", "skip"]

ORDER: tuple[State, ...] = ("fail", "warn", "skip", "ok")


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that the checks judge by, gathered beforehand and free of passwords.

    ``config`` are mailquota's settings, as the doctor loaded them.
    """

    config: Config
    dovecot: DovecotFacts = DovecotFacts()
    postfix: PostfixFacts = PostfixFacts()
    rewriting: RewritingFacts = RewritingFacts()
    host: HostFacts = HostFacts()
    log: LogFacts = LogFacts()


class Outcome(msgspec.Struct, frozen=True):
    """What one check found. ``why``, unless empty, replaces the check's own text on why it matters."""

    state: State
    found: str
    fix: str = ""
    why: str = ""


class Check(msgspec.Struct, frozen=True):
    """One question. ``name`` stands in JSON and as a heading in docs/checks.md; ``why`` says why it matters."""

    name: str
    why: str
    judge: Callable[[Facts], Outcome]


class Finding(msgspec.Struct, frozen=True):
    """A check with its outcome, as the command, its JSON and the console show it. ``docs`` is a page and heading."""

    check: str
    state: State
    found: str
    why: str
    fix: str
    docs: str


def ok(found: str) -> Outcome:
    """An outcome: as it should be, or of no concern on this server."""
    return Outcome("ok", found)


def warn(found: str, fix: str = "", why: str = "") -> Outcome:
    """An outcome: mail flows, but something does not work as expected."""
    return Outcome("warn", found, fix, why)


def fail(found: str, fix: str = "", why: str = "") -> Outcome:
    """An outcome: mail or usage goes wrong."""
    return Outcome("fail", found, fix, why)


def skip(found: str, fix: str = "") -> Outcome:
    """An outcome: not judged. ``fix`` says what would let the doctor judge it, as to run the doctor as root."""
    return Outcome("skip", found, fix)


def together(outcomes: Iterable[Outcome], otherwise: Outcome) -> Outcome:
    """One outcome of several: all that is not ok, with the worst state; ``otherwise`` where all are ok."""
    bad = sorted((one for one in outcomes if one.state != "ok"), key=lambda one: ORDER.index(one.state))
    if not bad:
        return otherwise
    fixes = list(dict.fromkeys(one.fix for one in bad if one.fix))
    return Outcome(bad[0].state, "; ".join(one.found for one in bad), "\n".join(fixes), bad[0].why)
