"""The themes: dark, light, for poor sight, for the colour-blind, without colours, and the terminal's own colours.

Every style that text can have is a variable here, so that the style sheets name meanings and never colours. There is
one accent colour; amber and red only mark what needs attention; what is normal is dim.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath

from textual.theme import Theme

DARK = Theme(
    name="dark",
    dark=True,
    primary="#5fb3d4",
    accent="#5fb3d4",
    secondary="#7aa2b8",
    warning="#e3a93d",
    error="#f0625d",
    success="#6cb87a",
    foreground="#d5dde5",
    background="#10151b",
    surface="#161d25",
    panel="#1d2630",
    variables={
        "quiet": "#8593a1",
        "faint": "#33404d",
        "row": "#1f3b4d",
        "row-blurred": "#1b2732",
        "quiet-on-row": "#a3b2c0",
        "over": "#ff7a70",
        "critical": "#ff9d4d",
        "near": "#e3b341",
        "ok": "#8593a1",
        "bar": "#3f8fb0",
        "area": "#2c6178",
        "over-area": "#a04a44",
        "track": "#2c3844",
    },
)

LIGHT = Theme(
    name="light",
    dark=False,
    primary="#0b6a8f",
    accent="#0b6a8f",
    secondary="#3b6478",
    warning="#8a5a00",
    error="#b3261e",
    success="#1f7a3a",
    foreground="#1d2731",
    background="#fafbfc",
    surface="#eef2f5",
    panel="#e3e9ee",
    variables={
        "quiet": "#5a6773",
        "faint": "#bcc7d1",
        "row": "#cfe6f1",
        "row-blurred": "#e4ecf1",
        "quiet-on-row": "#4d5965",
        "over": "#b3261e",
        "critical": "#ad4600",
        "near": "#855800",
        "ok": "#5a6773",
        "bar": "#3d93b8",
        "area": "#9fcbe0",
        "over-area": "#e0938b",
        "track": "#ccd6de",
    },
)

# For NO_COLOR, for terminals of sixteen colours and fewer, and for those who want their terminal's own background.
PLAIN = Theme(
    name="terminal",
    ansi=True,
    dark=True,
    primary="ansi_cyan",
    accent="ansi_cyan",
    secondary="ansi_cyan",
    warning="ansi_yellow",
    error="ansi_red",
    success="ansi_green",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    variables={
        "ansi-background": "ansi_default",
        "block-cursor-background": "ansi_default",
        "block-cursor-foreground": "ansi_default",
        "block-cursor-text-style": "bold underline",
        "ansi-foreground": "ansi_default",
        "quiet": "ansi_default",
        "faint": "ansi_default",
        "row": "ansi_default",
        "row-blurred": "ansi_default",
        "quiet-on-row": "ansi_default",
        "over": "ansi_red",
        "critical": "ansi_yellow",
        "near": "ansi_yellow",
        "ok": "ansi_default",
        "bar": "ansi_cyan",
        "area": "ansi_cyan",
        "over-area": "ansi_red",
        "track": "ansi_default",
    },
)

# For poor sight and bright rooms: every text at least 7 : 1 against what is behind it (WCAG 1.4.6).
CONTRAST = Theme(
    name="contrast",
    dark=True,
    primary="#5cd6ff",
    accent="#5cd6ff",
    secondary="#5cd6ff",
    warning="#ffc84d",
    error="#ff9189",
    success="#7be08c",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#1c1c1c",
    variables={
        "quiet": "#cfcfcf",
        "faint": "#8a8a8a",
        "row": "#00306b",
        "row-blurred": "#333333",
        "quiet-on-row": "#f0f0f0",
        "over": "#ff9189",
        "critical": "#ffb066",
        "near": "#ffe04d",
        "ok": "#cfcfcf",
        "bar": "#5cd6ff",
        "area": "#3aa0c4",
        "over-area": "#d4655d",
        "track": "#6a6a6a",
    },
)

# The colours of Okabe and Ito that stay apart with each kind of colour-blindness: blue is calm, orange needs attention.
BLUE_ORANGE = Theme(
    name="blue-orange",
    dark=True,
    primary="#56b4e9",
    accent="#56b4e9",
    secondary="#7aa2c8",
    warning="#f0c05a",
    error="#ff8a3d",
    success="#56b4e9",
    foreground="#dbe3ea",
    background="#0f141a",
    surface="#151c24",
    panel="#1c2530",
    variables={
        "quiet": "#8b99a8",
        "faint": "#33404d",
        "row": "#123f5e",
        "row-blurred": "#1b2732",
        "quiet-on-row": "#a9b8c6",
        "over": "#ff8a3d",
        "critical": "#f0a84a",
        "near": "#f2d18f",
        "ok": "#8b99a8",
        "bar": "#3a86b8",
        "area": "#2c5f82",
        "over-area": "#a85a22",
        "track": "#2c3844",
    },
)

# Only shades: for screens of paper, and for those whom colours disturb.
MONO = Theme(
    name="mono",
    dark=True,
    primary="#ffffff",
    accent="#ffffff",
    secondary="#c0c0c0",
    warning="#e8e8e8",
    error="#ffffff",
    success="#d0d0d0",
    foreground="#d4d4d4",
    background="#101010",
    surface="#181818",
    panel="#222222",
    variables={
        "quiet": "#8e8e8e",
        "faint": "#3c3c3c",
        "row": "#3a3a3a",
        "row-blurred": "#262626",
        "quiet-on-row": "#bcbcbc",
        "over": "#ffffff",
        "critical": "#f0f0f0",
        "near": "#dcdcdc",
        "ok": "#8e8e8e",
        "bar": "#7a7a7a",
        "area": "#5c5c5c",
        "over-area": "#a8a8a8",
        "track": "#343434",
    },
)

THEMES = (DARK, LIGHT, CONTRAST, BLUE_ORANGE, MONO, PLAIN)
NAMES = tuple(theme.name for theme in THEMES)
_LIGHT_BACKGROUNDS = {"7", "15"}  # white, in the numbers of the terminal's colours


def at_start(wanted: str, environ: Mapping[str, str], *, colours: bool) -> str:
    """The name of the theme to start with; ``colours``: the terminal has more than sixteen.

    ``auto`` is light where the terminal says that its background is (COLORFGBG, as rxvt, Konsole and others set it).
    """
    if not colours:
        return PLAIN.name
    if wanted in NAMES:
        return wanted
    return LIGHT.name if environ.get("COLORFGBG", "").rpartition(";")[2] in _LIGHT_BACKGROUNDS else DARK.name


def styles() -> list[str | PurePath]:
    """All style sheets, read at the start: reading one when a dialog opens would delay its key by a tenth of a
    second."""
    here = Path(__file__).parents[1]
    return [here / "app.tcss", *sorted(here.glob("*/*.tcss"))]


def after(name: str) -> str:
    """The name of the theme that follows."""
    return NAMES[(NAMES.index(name) + 1) % len(NAMES)]
