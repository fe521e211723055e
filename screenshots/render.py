"""Pictures of a running console: SVG as the README shows them, PNG to look at."""

from __future__ import annotations

import html
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from textual.app import App

_FONT_FACE = re.compile(r"@font-face\s*{[^}]*}\s*")
_TEXT = re.compile(r'<text ([^>]*?)x="([\d.]+)"([^>]*?)textLength="([\d.]+)"([^>]*)>([^<]*)</text>')
_SIZE = 19.825  # pixels; Textual says 20, where a letter of Fira Code is 12.31 wide, and a cell 12.2
_WORDS = re.compile("[^\xa0]+(?:\xa0[^\xa0]+)*")  # up to a gap of two blanks


def save(app: App[Any], name: str, folder: Path, *, png: bool = False) -> Path:
    """Write ``name``.svg into ``folder``, and ``name``.png beside it where rsvg-convert and a font are installed."""
    picture = folder / f"{name}.svg"
    picture.write_text(portable(app.export_screenshot(title="mailquota")), encoding="utf-8")
    if png:
        subprocess.run(["rsvg-convert", "-o", str(picture.with_suffix(".png")), str(picture)], check=True)
    return picture


def portable(svg: str) -> str:
    """No font from elsewhere, no ligatures, and each word at its own place.

    librsvg drops blanks before a text and does not know textLength: with another font's width words would drift, and
    long runs of blocks would end too early. At this size a letter of Fira Code is exactly as wide as a cell.
    """
    svg = _FONT_FACE.sub("", svg).replace("Fira Code, monospace", '"Fira Code", "DejaVu Sans Mono", monospace')
    svg = svg.replace("font-size: 20px", f"font-size: {_SIZE}px")
    return _TEXT.sub(lambda match: "".join(_parts(match)), svg).replace(
        "font-family: Fira Code", "font-variant-ligatures: none; font-family: Fira Code"
    )


def _parts(match: re.Match[str]) -> Iterator[str]:
    before, x, between, length, after, escaped = match.groups()
    text = html.unescape(escaped)
    cell = float(length) / len(text)
    for words in _WORDS.finditer(text):
        place = f'x="{float(x) + words.start() * cell:.1f}"{between}textLength="{len(words[0]) * cell:.1f}"'
        shown = html.escape(words[0]).replace("\xa0", "&#160;")
        yield f"<text {before}{place}{after}>{shown}</text>"
