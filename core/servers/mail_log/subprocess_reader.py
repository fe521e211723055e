"""Reads the mail log in a separate process, for the engine: parsing 30,000 lines would delay its answers to Postfix.

A thread would not do, as Python runs one thread at a time. The process gets the paths of the log files as JSON on its
command line, and prints the newest refusals as JSON.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec

from ...base import programs
from .source import LogFiles, LogRead, last_day, read_log

_MOST = 1000  # events; some 300 bytes each and 4 KB at most, well below programs.MOST_PRINTED
_ROOT = str(Path(__file__).parents[4])
_PROGRAM = f"import sys; sys.path.append(sys.argv[1]); from {__name__} import main; main(sys.argv[2])"


def read_apart(files: LogFiles) -> LogRead:
    """Refusals and bounces of the last day. Blocks for about a second; a failure is in ``fault`` of the result."""
    arguments = msgspec.json.encode(files).decode()
    # -P: no module of the working directory is imported in place of one of Python's own
    done = programs.run([sys.executable, "-P", "-c", _PROGRAM, _ROOT, arguments])
    if done.fault:
        return LogRead(time.time(), fault=f"the mail log: {done.fault}")
    try:
        return msgspec.json.decode(done.out, type=LogRead)
    except msgspec.DecodeError as error:
        return LogRead(time.time(), fault=f"the mail log: the output of its reader can't be read: {error}")


def main(arguments: str) -> None:
    """What the separate process runs: read the log files named in JSON, print the newest events as JSON."""
    read = read_log(msgspec.json.decode(arguments, type=LogFiles), last_day(time.time()))
    read.events = [event for event in read.events if event.kind in {"refused", "bounced"}][:_MOST]
    sys.stdout.buffer.write(msgspec.json.encode(read))
