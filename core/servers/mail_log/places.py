"""Where Postfix and Dovecot of this server write their log, by their own settings."""

from __future__ import annotations

from mailquota.core.base import programs
from mailquota.core.servers.dovecot.conf import Block, config_file, dovecot_tool, parse_doveconf
from mailquota.core.servers.mail_log.source import MAIL_LOGS, LogFiles
from mailquota.core.servers.postfix.maps import parse_map_file

_DOVECOT_LOGS = ("log_path", "info_log_path")


_DOVECOT_CONFIG = "/etc/dovecot/dovecot.conf"


def log_files(postfix: dict[str, str], dovecot: Block) -> LogFiles:
    """The files that their settings name."""
    own = postfix.get("maillog_file", "")
    logs = (dovecot.values.get(name, "") for name in _DOVECOT_LOGS)
    return LogFiles((own,) if own.startswith("/") else MAIL_LOGS, tuple(path for path in logs if path.startswith("/")))


def find_log(doveadm: str, run: programs.Run = programs.run) -> LogFiles:
    """Where the two write on this server. ``doveadm`` is the setting of that name."""
    return log_files(ask_postfix(run), ask_dovecot(doveadm, run)[0])


def ask_postfix(run: programs.Run) -> dict[str, str]:
    """Its own log file, and where its settings are."""
    return parse_map_file(run(["postconf", "maillog_file", "config_directory"]).out)


def ask_dovecot(doveadm: str, run: programs.Run) -> tuple[Block, str]:
    """The settings, and the file that they begin in, which the first line names."""
    text = run([*dovecot_tool(doveadm, "doveconf"), "-n"]).out
    return parse_doveconf(text), config_file(text) or _DOVECOT_CONFIG
