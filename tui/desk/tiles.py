"""The text of the head, as tiles: short runs, each with a priority. Pure.

A tile is drawn on its own, so that a number that changes each second sends only its own few characters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mailquota.core.base.model import Level
from mailquota.core.base.times import local_time
from mailquota.core.base.units import format_age, format_count, format_rate, format_size
from mailquota.core.control.results import DatabaseState, Status

from ..draw import format as fmt
from ..draw.format import Line
from ..draw.grid import Context
from .session import Session, State

NEAR_FULL = 90.0  # percent of the file system in use; from here it is amber
FULL = 97.0
DISK_BAR = 12  # cells
REASON = 24  # cells
LOST = 60  # cells


@dataclass(frozen=True)
class Tile:
    """``priority``: the highest is dropped first where there is no room. ``right``: aligned to the right edge."""

    key: str
    priority: int
    line: Line
    right: bool = False


@dataclass(frozen=True)
class ConsoleKind:
    """How this console was started: with the engine in its process, on a demo world, without the right to change.

    ``pace`` says that it does not draw everything at once.
    """

    embedded: bool
    demo: bool
    read_only: bool
    pace: str = ""


def fitting(tiles: Iterable[Tile], width: int, gap: int = 2) -> tuple[Tile, ...]:
    """The tiles that fit beside each other, the less important left out; empty ones take no room."""
    wanted = [tile for tile in tiles if tile.line]
    kept: list[Tile] = []
    room = width + gap
    for tile in sorted(wanted, key=lambda tile: tile.priority):
        need = fmt.width_of(tile.line) + gap
        if need <= room:
            kept.append(tile)
            room -= need
    return tuple(tile for tile in wanted if tile in kept)


def badges(session: Session, kind: ConsoleKind, context: Context) -> Line:
    """The mode of the engine, and what else matters before a key is pressed: demo, attached, read-only, lost."""
    words: list[tuple[str, str]] = []
    welcome = session.welcome
    if session.state is State.LOST:
        words.append((f"LOST {format_age(session.silent)}", "badge-bad"))
    if welcome is not None and welcome.replay:
        words += [("REPLAY", "badge-warn"), (local_time(context.now), "strong")]
    elif welcome is not None:
        words.append(_mode(session))
        if welcome.demo or kind.demo:
            words.append(("DEMO", "badge"))
        if not kind.embedded:
            words.append((f"ATTACHED {fmt.literal(welcome.host, context.glyphs)}", "badge"))
        if kind.read_only or not welcome.may_change:
            words.append(("READ-ONLY", "badge-warn"))
    if kind.pace:
        words.append((kind.pace, "badge-warn" if kind.pace.isupper() else "quiet"))
    line: list[tuple[str, str]] = []
    for word, style in words:
        line += [(" ", "plain")] * bool(line) + [(f" {word} ", style)]
    return tuple(line)


def _mode(session: Session) -> tuple[str, str]:
    """The mode; of a lost engine the last one that is known."""
    word, style = ("SHADOW", "badge-warn") if session.mode == "shadow" else ("ENFORCING", "badge")
    return (f"was {word}", "quiet") if session.state is State.LOST else (word, style)


def first_line(session: Session, kind: ConsoleKind, context: Context) -> tuple[Tile, ...]:
    """The first line of the head: host, mode, and the policy server's rates while the engine is connected."""
    host = session.welcome.host if session.welcome is not None else session.state.value
    name: Line = (("mailquota", "accent"),)
    replay = session.welcome is not None and session.welcome.replay
    if kind.embedded or replay or session.welcome is None:  # else the badge names the host
        name += ((f" {context.glyphs.dot} ", "faint"), (fmt.literal(host, context.glyphs), "plain"))
    tiles = [Tile("name", 1, name), Tile("badges", 0, badges(session, kind, context))]
    if session.status is not None and session.state is not State.LOST:
        tiles += _policy(session.status, context) + _process(session.status)
    if not replay:  # there the badges have the time
        tiles.append(Tile("clock", 9, ((fmt.clock(context.now), "quiet"),), right=True))
    return tuple(tiles)


def _policy(status: Status, context: Context) -> list[Tile]:
    trouble: Line = ((f"{format_count(status.trouble)} trouble", "near"),) if status.trouble else ()
    return [
        Tile("rate", 3, figure(format_rate(status.answers_per_second), "/s"), right=True),
        Tile("refused", 4, figure(format_count(status.refused_last_hour), " refused/h"), right=True),
        Tile("p99", 6, figure(fmt.micros(status.p99_us, context.glyphs), "", "p99 "), right=True),
        Tile("connections", 7, figure(format_count(status.connections), " conn"), right=True),
        Tile("trouble", 5, trouble, right=True),
        *_history(status, context),
        *_mailstore(status, context),
        Tile("recording", 6, (("not recorded", "near"),) if status.recording_problem else (), right=True),
        Tile("database", 2, _database(status.database), right=True),
    ]


def _history(status: Status, context: Context) -> list[Tile]:
    """That no history is kept, with the reason where it fits; nothing while it is kept."""
    if not status.state_problem:
        return []
    reason = fmt.literal(status.state_problem, context.glyphs)
    reason = fmt.fit(reason, min(REASON, fmt.width_of([(reason, "")])), context.glyphs)
    return [
        Tile("history", 2, (("history off", "over"),), right=True),
        Tile("reason", 5, ((reason, "near"),), right=True),
    ]


def _mailstore(status: Status, context: Context) -> list[Tile]:
    """That mailboxes are not where they should be, with the cause where it fits; nothing while they are."""
    if not status.mailstore_problem:
        return []
    reason = fmt.literal(status.mailstore_problem, context.glyphs)
    reason = fmt.fit(reason, min(LOST, fmt.width_of([(reason, "")])), context.glyphs)
    return [
        Tile("mailstore", 2, (("no mailstore", "over"),), right=True),
        Tile("cause", 4, ((reason, "over"),), right=True),
    ]


def figure(value: str, after: str, before: str = "") -> Line:
    """A value with quiet text before and after it."""
    return tuple(run for run in ((before, "quiet"), (value, "plain"), (after, "quiet")) if run[0])


def _database(state: DatabaseState) -> Line:
    if state.state == "ok":
        return (("db ok", "quiet"),)
    old = f" {format_age(state.age_seconds)}" if state.age_seconds is not None else ""
    return ((f"db {state.state}{old}", "near" if state.state == "stale" else "over"),)


def _process(status: Status) -> list[Tile]:
    return [
        Tile("cpu", 8, figure(f"{status.cpu_percent:.0f} %", "", "cpu "), right=True),
        Tile("memory", 10, figure(format_size(status.rss_bytes), "", "mem "), right=True),
    ]


def second_line(session: Session, context: Context) -> tuple[Tile, ...]:
    """The second line of the head: accounts by level, bytes used and granted, the file system."""
    status = session.status
    if status is None:
        return ()
    signs = context.glyphs.levels
    used: Line = (
        (format_size(status.used_bytes), "plain"),
        (" of ", "quiet"),
        (format_size(status.granted_bytes), "plain"),
        (" granted", "quiet"),
    )
    return (
        Tile("accounts", 1, figure(format_count(status.accounts), " account" + "s" * (status.accounts != 1))),
        Tile("over", 0, _level(signs[Level.OVER], status.over, "over", "over")),
        Tile("near", 2, _level(signs[Level.NEAR], status.near, "near", "near")),
        Tile("warnings", 3, _warnings(status)),
        Tile("unmeasured", 6, _unmeasured(status)),
        Tile("used", 4, used),
        Tile("if-full", 7, _if_full(status), right=True),
        Tile("disk", 3, _disk(status, context), right=True),
        Tile("free", 5, _free(status), right=True),
    )


def _level(sign: str, number: int, word: str, style: str) -> Line:
    """The number of accounts of a level; quiet if there are none."""
    return ((f"{sign} {format_count(number)} {word}", style if number else "quiet"),)


def _warnings(status: Status) -> Line:
    failed = status.warnings_failed
    return ((f"{fmt.plural(failed, 'warning')} failed", "near"),) if failed else ()


def _unmeasured(status: Status) -> Line:
    missing = status.accounts - status.measured
    return ((f"{format_count(missing)} not measured yet", "quiet"),) if missing > 0 else ()


def _disk(status: Status, context: Context) -> Line:
    percent = status.disk.percent
    if percent is None:
        return (("disk unknown", "near"),)
    level = "over" if percent >= FULL else "near" if percent >= NEAR_FULL else "ok"
    meter = fmt.meter(percent, level, DISK_BAR, context.glyphs)
    return (("disk ", "quiet"), *meter, (" " + fmt.percent_text(percent, context.glyphs), level))


def _free(status: Status) -> Line:
    free = status.disk.free_bytes
    return () if free is None else figure(format_size(free), " free")


def _if_full(status: Status) -> Line:
    """The bytes that are missing if all mailboxes filled up to their limits, which may promise more than there is."""
    free = status.disk.free_bytes
    if free is None or status.if_full_bytes <= free:
        return ()
    return ((f"{format_size(status.if_full_bytes - free)} short if all were full", "quiet"),)
