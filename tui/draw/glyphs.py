"""The signs that the console draws with: a Unicode set, and an ASCII set for terminals without Unicode. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from mailquota.core.base.model import Level


@dataclass(frozen=True)
class Glyphs:
    """One sign per meaning, each a single cell wide, so that both sets give the same lay-out."""

    ascii_only: bool
    levels: dict[Level, str]
    fill: str  # cells of a bar, from empty to full; thin, so that bars in neighbouring rows stay apart
    caps: tuple[str, str]  # around a bar
    limit: str  # in a bar, where 100 % is
    crossed: str  # the same in a bar that is over
    beyond: str  # at the end of a bar that would go on
    disabled: str  # in the place of the level
    more: tuple[str, str]  # columns to the left, to the right
    mark: str
    rule: str
    dot: str  # between two facts of a line
    nothing: str
    differs: str  # before a usage that differs from Dovecot's, or from the last recount
    ellipsis: str
    arrow: str
    step: str  # between two steps of a trail
    chosen: str  # before the line that a key acts on
    becomes: str  # between the recipient and the mailbox it resolves to
    down: str
    up: str
    thumb: str  # of the scrollbar
    track: str
    enter: str
    span: str  # between the ends of a range
    steps: str  # of a sparkline, from low to high
    steps_of_plot: str  # the tops of columns of the plot, whose lower cells are full
    notch: str  # the line of the limit in a column that goes over it, to be seen without colours
    dots: str  # of a dotted line, from low to high in a cell
    states: dict[str, str]  # of a warning
    branches: tuple[str, str, str]  # of a tree: a folder, the last one, beside a folder that goes on


UNICODE = Glyphs(
    ascii_only=False,
    levels={
        Level.OVER: "■",
        Level.CRITICAL: "▲",
        Level.NEAR: "△",
        Level.OK: "●",
        Level.UNLIMITED: "∞",
        Level.UNKNOWN: "?",
    },
    fill="─╸━",
    caps=("", ""),
    limit="│",
    crossed="┿",
    beyond="▸",
    disabled="○",
    more=("‹", "›"),  # noqa: RUF001  as in a book
    mark="✓",
    rule="─",
    dot="·",
    nothing="–",  # noqa: RUF001  the dash of an empty cell
    differs="≠",
    ellipsis="…",
    arrow="→",
    step="›",
    chosen="▸",
    becomes="⇒",
    down="▼",
    up="▲",
    thumb="┃",
    track="│",
    enter="⏎",
    span="–",  # noqa: RUF001  as typeset
    steps="▁▂▃▄▅▆▇▇",  # never full, so that rows below each other stay apart
    steps_of_plot="▁▂▃▄▅▆▇█",
    notch="▇",
    dots="▁─▔",
    states={"sent": "✓", "queued": "○", "failed": "✗", "dropped": "–"},  # noqa: RUF001  the dash of an empty cell
    branches=("├ ", "└ ", "│ "),
)

ASCII = Glyphs(
    ascii_only=True,
    levels={
        Level.OVER: "#",
        Level.CRITICAL: "A",
        Level.NEAR: "^",
        Level.OK: "o",
        Level.UNLIMITED: "~",
        Level.UNKNOWN: "?",
    },
    fill="-#",
    caps=("[", "]"),
    limit="]",
    crossed="]",
    beyond=">",
    disabled="x",
    more=("<", ">"),
    mark="*",
    rule="-",
    dot="|",
    nothing="-",
    differs="!",
    ellipsis="~",
    arrow=">",
    step=">",
    chosen=">",
    becomes="=",
    down="v",
    up="^",
    thumb="#",
    track="|",
    enter="Enter",
    span="-",
    steps="_.-:=+*#",
    steps_of_plot="____::##",
    notch="=",
    dots=".-'",
    states={"sent": "+", "queued": "o", "failed": "x", "dropped": "-"},
    branches=("|-", "`-", "| "),
)
