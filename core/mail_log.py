"""The mail log for the doctor and the engine: where it is by the settings of Postfix and Dovecot, and what it tells."""

from __future__ import annotations

import time
from pathlib import Path

from core import outside
from core.config import Config
from core.doctor.facts_log import Changes, LogFacts, add_up, last_change
from core.doctor.log_source import MAIL_LOGS, LogFiles, last_day, read_log
from core.dovecot_conf import Block, dovecot_tool, parse_doveconf

_DOVECOT_LOGS = ("log_path", "info_log_path")
_DOVECOT_CONFIG = "/etc/dovecot/dovecot.conf"


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
    lines = run(["postconf", "maillog_file", "config_directory"]).out.splitlines()
    return {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)}


def _ask_dovecot(config: Config, run: outside.Run) -> tuple[Block, str]:
    """The settings, and the file that they begin in, which the first line names."""
    text = run([*dovecot_tool(config.settings.mailstore.doveadm, "doveconf"), "-n"]).out
    file = text.partition("\n")[0].rpartition(": ")[2].strip()
    return parse_doveconf(text), file if file.startswith("/") else _DOVECOT_CONFIG


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
