"""The themes: dark, light, and one that uses only the terminal's own colours.

Every style that text can have is a variable here, so that the style sheets name meanings and never colours. There is
one accent colour; amber and red only mark what needs attention; what is normal is dim.
"""

from __future__ import annotations

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

THEMES = (DARK, LIGHT, PLAIN)


def styles() -> list[str | PurePath]:
    """All style sheets, read at the start: reading one when a dialog opens would delay its key by a tenth of a
    second."""
    here = Path(__file__).parents[1]
    return [here / "app.tcss", *sorted(here.glob("*/*.tcss"))]


def after(name: str) -> str:
    """The name of the theme that follows."""
    names = [theme.name for theme in THEMES]
    return names[(names.index(name) + 1) % len(names)]
