"""The docs say what the program has."""

from __future__ import annotations

from pathlib import Path

from tests.settings_page import page

ROOT = Path(__file__).parent.parent


def test_settings_page_is_of_this_version() -> None:
    """docs/settings.md is what the declarations give."""
    assert (ROOT / "docs" / "settings.md").read_text() == page()


def test_every_picture_of_the_readme_is_there() -> None:
    """No broken image."""
    readme = (ROOT / "README.md").read_text()
    names = [part.partition(")")[0] for part in readme.split("](")[1:]]
    assert not [name for name in names if not name.startswith("http") and not (ROOT / name).exists()]
