"""``mailquota replay``: shows in the console what an engine recorded."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from ..base.errors import MailquotaError, UsageError
from ..base.times import SINCE_FORMS, local_time, parse_since
from .options import Common, Replay, command
from .output import is_terminal

if TYPE_CHECKING:
    from ..recordings.reading import Recording


@command("replay")
@click.argument("file", metavar="[FILE]", required=False)
@click.option("--since", metavar="DATE", help=f"Begin there: {SINCE_FORMS}. Without FILE: what this server recorded.")
def replay(common: Common, file: str | None, since: str | None) -> int:
    """Show in the console what happened: accounts, decisions, warnings and changes, as they were.

    The engine records it (settings [state], recordings). A FILE of the folder of recordings may also come from another
    server. Nothing can be changed in a replay. Keys: p holds it or lets it go on, . and , step 10 seconds, ) and ( ten
    minutes, } and { play faster and slower, @ jumps to a time, ? has all.
    """
    if file is None and since is None:
        raise UsageError("give a FILE, or --since DATE; see mailquota replay --help")
    start = None if since is None else parse_since(since, time.time())
    if not (is_terminal(sys.stdout) and is_terminal(sys.stdin)):
        raise UsageError("a replay needs a terminal on standard input and output")
    recording = _of_this_server(common, start) if file is None and start is not None else _of_file(file or "", start)
    try:
        return common.console(common, None, Replay(recording, 0.0 if start is None else recording.place_of(start)))
    finally:
        recording.close()


def _of_file(path: str, since: float | None) -> Recording:
    from ..recordings.reading import open_file

    return _reaching(open_file(path), since)


def _of_this_server(common: Common, since: float) -> Recording:
    from ..recordings.from_settings import folder_path
    from ..recordings.reading import open_folder

    state = common.load().settings.state
    path = folder_path(state)
    if path is None:
        raise MailquotaError(
            "nothing is recorded here: the state database is on a server, and state.recordings_folder is not set"
        )
    try:
        return _reaching(open_folder(path, since, time.time()), since)
    except FileNotFoundError as error:
        why = "recordings are switched off (state.recordings)" if not _is_wanted(state.recordings) else ""
        raise MailquotaError(f"{path}: {why or 'nothing is recorded there yet'}") from error


def _is_wanted(recordings: str) -> bool:
    from ..base.units import parse_size

    return parse_size(recordings) > 0


def _reaching(recording: Recording, since: float | None) -> Recording:
    """The recording, if it has something of that time or later. Raises MailquotaError."""
    last = recording.time_at(recording.length)
    if since is not None and since > last:
        recording.close()
        raise MailquotaError(f"nothing is recorded since {local_time(since)}; the last is from {local_time(last)}")
    return recording


COMMANDS = {"replay": replay}
