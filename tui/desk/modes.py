"""The screens that have a number key, as data for bindings, title rules and the palette."""

from __future__ import annotations

from typing import NamedTuple


class Mode(NamedTuple):
    """A screen, and the ``key`` that shows it from everywhere."""

    key: str
    name: str
    title: str
    about: str


MODES = (
    Mode("1", "accounts", "Accounts", "the accounts"),
    Mode("2", "domains", "Domains", "sums of the accounts by domain, and what is granted against the disk"),
    Mode("3", "decisions", "Decisions", "what Postfix asks, and the answers"),
    Mode("4", "warnings", "Warnings", "who was warned when about what, and who is due"),
    Mode("5", "journal", "Journal", "who changed what, and what became of temporary limits"),
    Mode("6", "doctor", "Doctor", "what is wrong on this server, and the lines that mend it"),
)
NAMES = {mode.name: mode.title for mode in MODES}
