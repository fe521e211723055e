"""What a check is, and what it says.

A check is one question about the server, answered by one pure function of gathered facts. Its answer has a state:

- ``ok``: it is as it should be, or does not concern this server;
- ``warn``: mail flows, but something will surprise somebody;
- ``fail``: mail is lost, refused, or accepted against the limits, or a figure is wrong;
- ``skip``: it can't be judged, and ``found`` says what is missing for it (rights, a program, a version we know).

``fix`` is text that root may paste into a shell as it is: commands, or lines put into a file by a here-document; what
can't be a command is a comment (#). It is empty where there is nothing to mend. A check never guesses: what facts do
not show is ``skip``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from mailquota.core.doctor.facts import Facts

State = Literal["ok", "warn", "fail", "skip"]

ORDER: tuple[State, ...] = ("fail", "warn", "skip", "ok")


class Outcome(msgspec.Struct, frozen=True):
    """What one check found. ``why`` replaces that of the check where this finding matters for a reason of its own."""

    state: State
    found: str
    fix: str = ""
    why: str = ""


class Check(msgspec.Struct, frozen=True):
    """``name`` is the one in JSON and the heading in the documentation; ``why`` says what goes wrong otherwise."""

    name: str
    why: str
    judge: Callable[[Facts], Outcome]


class Finding(msgspec.Struct, frozen=True):
    """A check and its outcome, as people and programs get it. ``docs`` is where the documentation explains it."""

    check: str
    state: State
    found: str
    why: str
    fix: str
    docs: str


def ok(found: str) -> Outcome:
    """As it should be."""
    return Outcome("ok", found)


def warn(found: str, fix: str = "", why: str = "") -> Outcome:
    """Mail flows, but something will surprise somebody."""
    return Outcome("warn", found, fix, why)


def fail(found: str, fix: str = "", why: str = "") -> Outcome:
    """Mail or figures go wrong."""
    return Outcome("fail", found, fix, why)


def skip(found: str, fix: str = "") -> Outcome:
    """Can't be judged."""
    return Outcome("skip", found, fix)


def together(outcomes: Iterable[Outcome], otherwise: Outcome) -> Outcome:
    """All that is wrong in one outcome, with the worst state; ``otherwise`` where nothing is."""
    bad = sorted((one for one in outcomes if one.state != "ok"), key=lambda one: ORDER.index(one.state))
    if not bad:
        return otherwise
    fixes = list(dict.fromkeys(one.fix for one in bad if one.fix))
    return Outcome(bad[0].state, "; ".join(one.found for one in bad), "\n".join(fixes), bad[0].why)
