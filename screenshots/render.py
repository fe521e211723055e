"""Pictures of a running console: SVG as the README shows them, PNG to look at."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from textual.app import App


def save(app: App[Any], name: str, folder: Path, *, png: bool = False) -> Path:
    """Write ``name``.svg into ``folder``, and ``name``.png beside it where rsvg-convert and a font are installed."""
    picture = folder / f"{name}.svg"
    picture.write_text(app.export_screenshot(title="mailquota"), encoding="utf-8")
    if png:
        subprocess.run(["rsvg-convert", "-o", str(picture.with_suffix(".png")), str(picture)], check=True)
    return picture
