"""Pictures of a running console: SVG as the README shows them, PNG to look at."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from textual.app import App

_FONT_FACE = re.compile(r"@font-face\s*{[^}]*}\s*")
_CELL = 12.2  # width of a character in Textual's SVG
_INDENTED = re.compile(r'<text ([^>]*?)x="([\d.]+)"([^>]*?)textLength="([\d.]+)"([^>]*)>((?:&#160;)+)([^<]*)</text>')


def save(app: App[Any], name: str, folder: Path, *, png: bool = False) -> Path:
    """Write ``name``.svg into ``folder``, and ``name``.png beside it where rsvg-convert and a font are installed."""
    picture = folder / f"{name}.svg"
    picture.write_text(portable(app.export_screenshot(title="mailquota")), encoding="utf-8")
    if png:
        subprocess.run(["rsvg-convert", "-o", str(picture.with_suffix(".png")), str(picture)], check=True)
    return picture


def portable(svg: str) -> str:
    """Blanks before a text become its position, because librsvg drops them; no ligatures, no font from elsewhere."""
    svg = _FONT_FACE.sub("", svg).replace("Fira Code, monospace", '"Fira Code", "DejaVu Sans Mono", monospace')
    return _INDENTED.sub(_moved, svg).replace(
        "font-family: Fira Code", "font-variant-ligatures: none; font-family: Fira Code"
    )


def _moved(match: re.Match[str]) -> str:
    blanks = match[6].count(";")
    x, length = float(match[2]) + blanks * _CELL, float(match[4]) - blanks * _CELL
    return f'<text {match[1]}x="{x:.1f}"{match[3]}textLength="{length:.1f}"{match[5]}>{match[7]}</text>'
