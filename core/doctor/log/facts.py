"""The events of the mail log about quota, counted.

A fault that was fixed must not be reported until its last line is a day old. So an event is *fresh* only if nothing
that may have fixed it was changed after it. For Dovecot's own errors that is Dovecot's configuration, or a warning
script; for all others Postfix's configuration and the sockets, too. For a file that could not be opened it is that
file; for a mail whose file name has a wrong size, that no file has this name any more.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable

import msgspec

from ...servers.mail_log.lines import Kind, LogEvent
from ...servers.mail_log.source import LogRead

GROUPS = 20

_DOVECOTS_OWN: frozenset[Kind] = frozenset({"out-of-memory", "quota-error", "warning-error"})
_FILE = re.compile(r"(?:open|execvp)\((/[^()\s]+)\) failed")
_WRONG_NAME = re.compile(r"read\((/.*)\) failed: Cached message size")


class EventGroup(msgspec.Struct, frozen=True):
    """The events about one subject: their number, the number of fresh ones, and the newest fresh one, or the newest."""

    newest: LogEvent
    count: int
    fresh: int


class Tally(msgspec.Struct, frozen=True):
    """The events of one kind, in ``groups`` by subject: at most GROUPS, those with most fresh events first."""

    count: int = 0
    fresh: int = 0
    groups: tuple[EventGroup, ...] = ()


class LogFacts(msgspec.Struct, frozen=True, kw_only=True):
    """``fault`` is the reason why no log could be read, empty where one could; ``unread`` why a part of it could not.

    ``absent``: there is no log at all, so root could not read one either. ``sources`` were read from ``now`` back to
    ``since`` (seconds since the epoch): a day, or less where it is not ``complete``. ``accounts`` are the addresses in
    events that the accounts database has, ``maildirsizes`` the paths of this file in their mailboxes.
    """

    fault: str = "not read"
    absent: bool = False
    unread: str = ""
    sources: tuple[str, ...] = ()
    now: float = 0.0
    since: float = 0.0
    complete: bool = True
    tallies: dict[Kind, Tally] = {}
    accounts: frozenset[str] = frozenset()
    maildirsizes: frozenset[str] = frozenset()

    def tally(self, kind: Kind) -> Tally:
        """The events of a kind."""
        return self.tallies.get(kind, Tally())


class LastChanges(msgspec.Struct, frozen=True):
    """When the configurations were last changed, in seconds since the epoch; 0 where not known."""

    postfix: float = 0.0
    dovecot: float = 0.0

    def mends(self, kind: Kind) -> float:
        """The last change that may have fixed events of this kind."""
        return self.dovecot if kind in _DOVECOTS_OWN else max(self.postfix, self.dovecot)


def last_change(paths: Iterable[str]) -> float:
    """When the contents, owner or mode of any of these files were last changed; 0 where none can be examined."""
    times = [0.0]
    for path in paths:
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            continue
        times.append(max(found.st_mtime, found.st_ctime))
    return max(times)


def add_up(read: LogRead, now: float, changes: LastChanges) -> LogFacts:
    """Count the events that were read."""
    if not read.sources:
        return LogFacts(fault=read.fault or "there is no mail log", now=now)
    by_kind: dict[Kind, list[LogEvent]] = defaultdict(list)
    for event in read.events:
        by_kind[event.kind].append(event)
    files: dict[str, float] = {}
    return LogFacts(
        fault="",
        unread=read.fault,
        sources=tuple(read.sources),
        now=now,
        since=read.since,
        complete=read.complete,
        tallies={kind: _tally(events, changes.mends(kind), files) for kind, events in by_kind.items()},
    )


def _tally(events: list[LogEvent], mended_at: float, files: dict[str, float]) -> Tally:
    by_subject: dict[tuple[str, str], list[LogEvent]] = defaultdict(list)
    for event in events:
        by_subject[event.subject, _file(event)].append(event)
    groups = []
    for some in by_subject.values():
        # Times in the log are whole seconds: an event in the second of the change counts as after it.
        fresh = [event for event in some if event.at >= int(max(mended_at, _mended_at(event, files)))]
        groups.append(EventGroup(newest=(fresh or some)[0], count=len(some), fresh=len(fresh)))
    groups.sort(key=lambda group: (group.fresh, group.count, group.newest.at), reverse=True)
    all_fresh = sum(group.fresh for group in groups)
    return Tally(count=len(events), fresh=all_fresh, groups=tuple(groups[:GROUPS]))


def _mended_at(event: LogEvent, files: dict[str, float]) -> float:
    """When the file that an event names was changed, 0 without one. ``files`` caches the times by path."""
    wrong = _WRONG_NAME.search(event.text) if event.kind == "quota-error" else None
    path = wrong[1] if wrong else _file(event)
    if path and path not in files:
        files[path] = _renamed_at(path, event.at) if wrong else last_change([path])
    return files.get(path, 0.0)


def _renamed_at(path: str, logged_at: float) -> float:
    """Just after the event, where no file has this name any more; else 0.

    Only the part before the colon counts, as flags follow it, which change.
    """
    folder, _, name = path.rpartition("/")
    unique = name.partition(":")[0]
    try:
        names = [each for part in ("new", "cur") for each in os.listdir(f"{folder}/../{part}")]
    except (OSError, ValueError):
        return 0.0
    return 0.0 if any(each.partition(":")[0] == unique for each in names) else logged_at + 1


def _file(event: LogEvent) -> str:
    """The path of the file that Dovecot could not open or run; empty without one."""
    found = _FILE.search(event.text) if event.kind in _DOVECOTS_OWN else None
    return found[1] if found else ""
