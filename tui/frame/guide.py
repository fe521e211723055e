"""What the help of a screen explains besides its keys: what can be typed, signs and words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mailquota.core.base import filters
from mailquota.core.base.model import Level
from mailquota.core.doctor.model import State

from ..draw import format as fmt
from ..draw.format import VERDICTS, Line
from ..draw.glyphs import Glyphs

LEVELS = {
    Level.OVER: "at its limit or over: new mail is refused",
    Level.CRITICAL: "from 95 % of the limit",
    Level.NEAR: "from 80 % of the limit",
    Level.OK: "below that",
    Level.UNLIMITED: "no limit",
    Level.UNKNOWN: "not measured yet, or not readable",
}

LIMITS = (
    ("5G  512M  5000", "a size, by powers of 1024; without a unit in bytes"),
    ("unlimited  0", "no limit"),
    ("+500M  -1G  +20%", "more or less than now"),
    ("x2", "times what it is now"),
    ("used+1G  used*1.2", "from the present usage"),
)

_ANSWERS = {
    "accept": "there is room for it, or there is no limit",
    "over_quota": "the mailbox is at its limit, or has no room for this mail",
    "too_large": "larger than the whole limit of the mailbox",
    "unknown": "no mailbox of this server: left to Postfix",
    "trouble": "not decided in time: policy.trouble, by default DUNNO",
    "exempt": "never refused, by policy.exempt",
    "other": "a state of SMTP in which nothing is decided",
}

_STATES = {
    "queued": "due; waits for quiet hours to end, for its turn, or for the next try",
    "sent": "delivered into the mailbox, full or not",
    "failed": "given up after several tries; the reason is beside it",
    "dropped": "not sent, as it was no longer true or the account is gone",
}

_KINDS = (
    ("limit", "an edit of a limit; U takes it back if it was not changed since"),
    ("until Fri 4 Dec", "a temporary limit; it goes back by itself, and then says ended"),
    ("undone", "an edit that another entry took back"),
    ("recount", "usage counted again: what was recorded, what was found"),
    ("Trash", "messages removed from Trash"),
    ("warning", "a mail to the owner of a mailbox"),
    ("jump", "usage that changed suddenly"),
    ("start  stop", "of the engine"),
)

_CHECKS: dict[State, tuple[Level, str, str]] = {
    "fail": (Level.OVER, "over", "mail is lost, refused, or accepted against the limits, or a usage is wrong"),
    "warn": (Level.NEAR, "near", "mail flows, but not everything is as it should be"),
    "skip": (Level.UNKNOWN, "quiet", "can't be judged; what is missing for it stands beside it"),
    "ok": (Level.OK, "ok", "as it should be, or no concern of this server"),
}

# Cells of the left column, so that the helps of all screens are aligned.
FORM = 2 + max(len(form) for form, _meaning in (*filters.DOCS, *LIMITS, *_KINDS))


def accounts(glyphs: Glyphs) -> Iterator[Line]:
    """Filter language, limits, levels."""
    yield from section("Filter: words are joined, each must match", filters.DOCS)
    yield from section("Limits", LIMITS)
    yield from heading("Signs")
    for level, meaning in LEVELS.items():
        yield ((f"  {glyphs.levels[level]} {level.value:<{FORM - 2}}", fmt.look_of(level)), (meaning, "quiet"))


def typed(commands: Iterable[tuple[str, str]]) -> Iterator[Line]:
    """The commands that take arguments, each with these and with what it does."""
    yield from section("Commands, typed behind : (Tab completes; all other actions have one too)", commands)


def decisions(forms: Iterable[tuple[str, str]]) -> Iterator[Line]:
    """Filter language and verdicts. ``forms`` is what can be typed into the filter, each with what it finds."""
    yield from section("Filter: words are joined, each must match", forms)
    yield from heading("Verdicts")
    for verdict, meaning in _ANSWERS.items():
        words, look = VERDICTS[verdict]
        yield ((f"  {words:<{FORM}}", look), (meaning, "quiet"))
    words, look = fmt.verdict_words("over_quota", shadow=True)
    yield ((f"  {words:<{FORM}}", look), ("shadow mode: it is only noted, the answer was DUNNO", "quiet"))


def domains(_glyphs: Glyphs) -> Iterator[Line]:
    """The columns of the table."""
    yield from section(
        "Columns",
        (
            ("Granted", "the sum of the limits; accounts without a limit are counted apart"),
            ("Usage", "how much of that is used"),
            ("Of disk", "what is granted as a share of the whole disk; all domains together may grant more"),
            ("Per day", "by how much the usage grew lately"),
        ),
    )


def warnings(glyphs: Glyphs) -> Iterator[Line]:
    """The states of a warning."""
    yield from heading("States")
    for state, meaning in _STATES.items():
        yield ((f"  {glyphs.states[state]} {state:<{FORM - 2}}", "plain"), (meaning, "quiet"))


def journal(_glyphs: Glyphs) -> Iterator[Line]:
    """The kinds of entries."""
    yield from section("Kinds", _KINDS)


def doctor(glyphs: Glyphs) -> Iterator[Line]:
    """The states of a check."""
    yield from heading("States")
    for state, (level, look, meaning) in _CHECKS.items():
        yield ((f"  {glyphs.levels[level]} {state:<{FORM - 2}}", look), (meaning, "quiet"))


def card(glyphs: Glyphs) -> Iterator[Line]:
    """The plot of the card."""
    yield from section("Plot of the usage", _plot(glyphs))


def folder() -> Iterator[Line]:
    """What is told of the messages of a folder."""
    yield from section(
        "A folder",
        (
            ("sizes", "as quota counts them; dates are when the messages were received"),
            ("largest", "by size and date alone: no message is opened, senders and subjects are not told"),
            ("a part of it", "a look ends after 8 s, some million messages"),
        ),
    )


def _plot(glyphs: Glyphs) -> Iterator[tuple[str, str]]:
    yield glyphs.steps_of_plot[3] + glyphs.steps_of_plot[-1], "what was used; each value holds until the next one"
    yield glyphs.steps_of_plot[0] * 3, "the limit of that time; what was over it has another colour"
    yield " ".join(glyphs.dots), "what is expected after today: most likely, and the range that this lies in"
    yield "full in 12 days (9-20)", "at the growth of late; one clean-up or import does not change it"


def section(name: str, entries: Iterable[tuple[str, str]]) -> Iterator[Line]:
    """A heading, and entries below it."""
    yield from heading(name)
    yield from (entry(form, meaning) for form, meaning in entries)


def heading(name: str) -> Iterator[Line]:
    """A heading with a blank line before it."""
    yield ()
    yield ((f" {name}", "title"),)


def entry(form: str, meaning: str) -> Line:
    """A line with what is typed or shown on the left, and its meaning."""
    return ((f"  {form:<{FORM - 2}}  ", "key"), (meaning, "quiet"))
