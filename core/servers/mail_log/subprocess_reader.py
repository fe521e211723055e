"""Reads the mail log in a process of its own, for the engine: taking 30,000 lines apart would hold up its answers.

The process gets the places of the log as JSON on its command line, and prints the newest refusals as JSON.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec

from mailquota.core.base import programs
from mailquota.core.servers.mail_log.source import LogFiles, LogRead, last_day, read_log

_MOST = 1000  # events; some 300 bytes each, at worst 4 KB, and outside.LONGEST holds them all
_ROOT = str(Path(__file__).parents[4])
_PROGRAM = f"import sys; sys.path.append(sys.argv[1]); from {__name__} import main; main(sys.argv[2])"


def read_apart(files: LogFiles) -> LogRead:
    """Refusals and bounces of the last day. Blocks for a second or so; that it failed is the fault."""
    asked = msgspec.json.encode(files).decode()
    said = programs.run([sys.executable, "-P", "-c", _PROGRAM, _ROOT, asked])  # -P: nothing of the current folder
    if said.fault:
        return LogRead(time.time(), fault=f"the mail log: {said.fault}")
    try:
        return msgspec.json.decode(said.out, type=LogRead)
    except msgspec.DecodeError as error:
        return LogRead(time.time(), fault=f"the mail log: what its reader printed can't be read: {error}")


def main(asked: str) -> None:
    """In the process."""
    read = read_log(msgspec.json.decode(asked, type=LogFiles), last_day(time.time()))
    read.events = [event for event in read.events if event.kind in {"refused", "bounced"}][:_MOST]
    sys.stdout.buffer.write(msgspec.json.encode(read))
