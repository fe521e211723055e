"""How an engine is started: the choices of the command line, beside the settings file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..settings.config import Config


@dataclass(frozen=True)
class Options:
    """``load`` reads the settings again and raises SettingsError; ``arguments`` of mailquota start the same engine.

    ``demo``: on a throwaway world, which is not handed over. ``embedded``: in the process of a console.
    """

    load: Callable[[], Config]
    arguments: tuple[str, ...] = ("--serve",)
    demo: bool = False
    embedded: bool = False
