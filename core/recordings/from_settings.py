"""Where recordings are, and what they may take, by the settings [state]."""

from __future__ import annotations

import os

from ..base.units import parse_duration, parse_size
from ..settings.declared import State
from .writing import Limits

_NAME = "recordings"  # of the folder beside the state database


def folder_path(state: State) -> str | None:
    """The folder of the recordings; None where the settings name none, and the state database is on a server."""
    database = state.url.path
    return state.recordings_folder or (os.path.join(os.path.dirname(database), _NAME) if database else None)


def limits_of(state: State) -> Limits:
    """What all recordings may take."""
    return Limits(parse_size(state.recordings), parse_duration(state.keep_recordings))
