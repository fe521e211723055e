"""Which Dovecot this machine has, and with it which tests can run here.

Dovecot 2.3 (Debian 12) and 2.4 (Debian 13) can't be installed side by side. So a test that needs one of them is left
out where the other one is; `tests/run` runs those tests on the other Debian, which it makes in a folder. Most tests
take either. A test says what it needs by `pytest.mark.dovecot("2.4")`, or by asking for the server of a recipe.
"""

from __future__ import annotations

import functools
import subprocess
from typing import Literal, cast

import pytest

from tests.mailserver.process import find_program
from tests.mailserver.recipes import Recipe

Series = Literal["2.3", "2.4"]

RECIPES: dict[Series, tuple[Recipe, ...]] = {"2.3": ("bullseye", "bookworm", "postfixadmin"), "2.4": ("trixie",)}


@functools.cache
def dovecot_series() -> Series | None:
    """That of the installed Dovecot; None where there is none, or another one."""
    dovecot = find_program("dovecot")
    if dovecot is None:
        return None
    said = subprocess.run([dovecot, "--version"], capture_output=True, text=True, check=False).stdout
    series = ".".join(said.split(".")[:2])
    return series if series in RECIPES else None


def recipes_here() -> tuple[Recipe, ...]:
    """The recipes that this machine's Dovecot can follow. All of them where there is none, so that they are missed."""
    series = dovecot_series()
    return RECIPES[series] if series else tuple(recipe for recipes in RECIPES.values() for recipe in recipes)


def ispmail_recipe() -> Recipe:
    """The ISPmail guide for this Debian."""
    return "trixie" if dovecot_series() == "2.4" else "bookworm"


def _wanted(item: pytest.Item) -> Series | None:
    """What a test needs; None if it takes either."""
    marker = item.get_closest_marker("dovecot")
    if marker:
        return cast("Series", marker.args[0])
    asked_for = set(getattr(item, "fixturenames", ()))
    return next((series for series, recipes in RECIPES.items() if asked_for & set(recipes)), None)


def is_for_the_other(item: pytest.Item) -> bool:
    """Whether a test needs the Dovecot that this machine does not have. Without any Dovecot no test does."""
    here = dovecot_series()
    return here is not None and _wanted(item) not in {None, here}
