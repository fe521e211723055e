"""The mail log for the doctor and the engine: where it is by the settings of Postfix and Dovecot, and what it tells."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from core import outside
from core.config import Config
from core.control.results import DecisionRow
from core.doctor.facts_log import Changes, LogFacts, add_up, last_change
from core.doctor.log_lines import LogEvent
from core.doctor.log_source import MAIL_LOGS, LogFiles, LogRead, last_day, read_log
from core.dovecot_conf import Block, config_file, dovecot_tool, parse_doveconf
from core.log_reader import read_apart
from core.postfix_maps import parse_map_file
from core.text import visible
from core.threads import in_thread

log = logging.getLogger(__name__)

_DOVECOT_LOGS = ("log_path", "info_log_path")
_DOVECOT_CONFIG = "/etc/dovecot/dovecot.conf"
_REFRESH = 60.0  # seconds between two readings for the engine
_RECIPIENTS = 500  # whose events the engine keeps, those with the newest
_EACH = 50  # events of one recipient
_SAME = 2.0  # seconds between our answer and its line in the log, which has whole seconds


def log_facts(config: Config, run: outside.Run = outside.run, now: float | None = None) -> LogFacts:
    """What the log of the last day says, for the doctor. Blocks for a second at most; nothing is an error."""
    now = time.time() if now is None else now
    postfix, dovecot, file = _ask_postfix(run), *_ask_dovecot(config, run)
    changes = Changes(
        last_change([*_files_of(postfix.get("config_directory", "")), *_sockets(config)]),
        last_change([*_files_of(str(Path(file).parent)), *_scripts(dovecot)]),
    )
    return add_up(read_log(_log_files(postfix, dovecot), last_day(now)), now, changes)


def _log_files(postfix: dict[str, str], dovecot: Block) -> LogFiles:
    own = postfix.get("maillog_file", "")
    logs = (dovecot.values.get(name, "") for name in _DOVECOT_LOGS)
    return LogFiles((own,) if own.startswith("/") else MAIL_LOGS, tuple(path for path in logs if path.startswith("/")))


def find_log(config: Config, run: outside.Run = outside.run) -> LogFiles:
    """Where the two write on this server."""
    return _log_files(_ask_postfix(run), _ask_dovecot(config, run)[0])


def _ask_postfix(run: outside.Run) -> dict[str, str]:
    return parse_map_file(run(["postconf", "maillog_file", "config_directory"]).out)


def _ask_dovecot(config: Config, run: outside.Run) -> tuple[Block, str]:
    """The settings, and the file that they begin in, which the first line names."""
    text = run([*dovecot_tool(config.settings.mailstore.doveadm, "doveconf"), "-n"]).out
    return parse_doveconf(text), config_file(text) or _DOVECOT_CONFIG


def _files_of(folder: str) -> list[str]:
    """The files of a configuration: includes nearly always lie in its folder or in conf.d."""
    if not folder:
        return []
    return [str(path) for pattern in ("*.c*f*", "*.ext", "conf.d/*") for path in Path(folder).glob(pattern)]


def _sockets(config: Config) -> list[str]:
    return [one.path for one in config.settings.policy.listen_addresses if one.path]


def _scripts(dovecot: Block) -> list[str]:
    """Scripts that services run, such as that for warnings."""
    commands = [service.values.get("executable", "").split() for service in dovecot.of_kind("service")]
    return [word for words in commands if words[:1] == ["script"] for word in words if word.startswith("/")]


class MailLog:
    """Refusals that others know of: of the time before this engine, by other services, at the mailstore.

    Used on the engine's loop; ``leads_to`` gives the mailboxes of a recipient as typed. The log is read when somebody
    asks, by a process of its own, once a minute at most; ``off`` never. That it can't be read is told once.
    """

    def __init__(self, config: Callable[[], Config], leads_to: Callable[[str], Iterable[str]], *, off: bool) -> None:
        self._config = config
        self._leads_to = leads_to
        self._off = off
        self._reading = asyncio.Lock()
        self._due = float("-inf")  # loop time
        self._events: dict[str, list[LogEvent]] = {}
        self._told = ""

    async def refusals(self, address: str, known: list[DecisionRow], most: int) -> list[DecisionRow]:
        """The newest ``most`` of one mailbox, newest first; ``known`` are the newest of the engine, at most as many."""
        if not self._off:
            async with self._reading:
                await self._follow()
        found = [
            _row(event, address)
            for recipient, events in self._events.items()
            if address in self._leads_to(recipient)
            for event in events
        ]
        new = [row for row in found if not any(_is_same(row, ours) for ours in known)]
        return sorted([*known, *new], key=lambda row: -row.at)[:most]

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._due:
            return
        config = self._config()
        read = await in_thread(lambda: read_apart(find_log(config)))
        self._due = loop.time() + _REFRESH
        self._events = _by_recipient(read)
        if read.fault and read.fault != self._told:
            log.info("refusals by others are not shown: %s", read.fault)
        self._told = read.fault or self._told


def _by_recipient(read: LogRead) -> dict[str, list[LogEvent]]:
    found: dict[str, list[LogEvent]] = {}
    for event in read.events:
        recipient = event.subject.lower()
        if recipient not in found and len(found) >= _RECIPIENTS:
            continue
        events = found.setdefault(recipient, [])
        if len(events) < _EACH:
            events.append(event)
    return found


def _row(event: LogEvent, address: str) -> DecisionRow:
    verdict = "bounced" if event.kind == "bounced" else "too_large" if event.text[4:9].endswith(".3") else "over_quota"
    recipient = event.alias or event.subject
    return DecisionRow(event.at, verdict, recipient, address, event.sender, event.client, 0, 0, origin="log")


def _is_same(row: DecisionRow, ours: DecisionRow) -> bool:
    """Whether a line of the log tells of an answer of ours; one of shadow mode was not given."""
    return (
        not ours.shadow
        and row.verdict != "bounced"
        and abs(row.at - ours.at) <= _SAME
        and row.recipient.lower() == visible(ours.recipient).lower()
        and row.sender.lower() == visible(ours.sender).lower()
    )
