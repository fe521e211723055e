"""The signs a screen is drawn with: a Unicode set, and an ASCII one for terminals without. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from core.model import Level


@dataclass(frozen=True)
class Glyphs:
    """One sign per meaning. Every one is a single cell wide, so that both sets give the same lay-out."""

    ascii_only: bool
    levels: dict[Level, str]
    fill: str  # a cell of a bar, from empty to full: thin, so that the bars of a table do not grow into one
    caps: tuple[str, str]  # around a bar
    mark: str
    rule: str
    dot: str  # between two facts of a line
    nothing: str
    differs: str  # a figure that a recount does not agree with
    ellipsis: str
    arrow: str
    becomes: str  # between the recipient and the mailbox that its mail ends in
    down: str
    up: str
    thumb: str  # of the scrollbar
    track: str
    enter: str


UNICODE = Glyphs(
    ascii_only=False,
    levels={
        Level.OVER: "■",
        Level.CRITICAL: "▲",
        Level.NEAR: "▲",
        Level.OK: "●",
        Level.UNLIMITED: "∞",
        Level.UNKNOWN: "?",
    },
    fill="─╸━",
    caps=("", ""),
    mark="✓",
    rule="─",
    dot="·",
    nothing="–",  # noqa: RUF001  the dash of an empty cell
    differs="≠",
    ellipsis="…",
    arrow="→",
    becomes="⇒",
    down="▼",
    up="▲",
    thumb="┃",
    track="│",
    enter="⏎",
)

ASCII = Glyphs(
    ascii_only=True,
    levels={
        Level.OVER: "#",
        Level.CRITICAL: "^",
        Level.NEAR: "^",
        Level.OK: "o",
        Level.UNLIMITED: "~",
        Level.UNKNOWN: "?",
    },
    fill="-#",
    caps=("[", "]"),
    mark="*",
    rule="-",
    dot="|",
    nothing="-",
    differs="!",
    ellipsis="~",
    arrow=">",
    becomes="=",
    down="v",
    up="^",
    thumb="#",
    track="|",
    enter="Enter",
)
