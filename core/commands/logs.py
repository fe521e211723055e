"""Where log lines go: stderr (the journal's form where the journal reads it), syslog, a file, or a command's user.

What is logged may hold text from outside, so nothing unprintable leaves the formatter and a record stays on its lines.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import sys

from mailquota.core.base.text import visible

_SYSLOG = "/dev/log"
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class _Lines(logging.Formatter):
    """The message and, each on a line of its own, what belongs to an exception; ``head`` goes before each line."""

    def head(self, record: logging.LogRecord) -> str:
        return f"{record.levelname} "

    def format(self, record: logging.LogRecord) -> str:
        lines = [visible(record.getMessage())]
        if record.exc_info:
            lines += map(visible, self.formatException(record.exc_info).splitlines())
        head = self.head(record)
        return "\n".join(head + line for line in lines)


class _Journal(_Lines):
    """sd-daemon(3): the priority of a line is a number in angle brackets before it."""

    def head(self, record: logging.LogRecord) -> str:
        return f"<{_PRIORITIES.get(record.levelno, 6)}>"


class _Bare(_Lines):
    """For syslog, which has head and priority of its own."""

    def head(self, record: logging.LogRecord) -> str:  # noqa: ARG002
        return ""


class _Stamped(_Lines):
    """For a file, where nobody else writes down when it was."""

    def head(self, record: logging.LogRecord) -> str:
        return f"{self.formatTime(record)} {record.levelname} "


class _File(logging.FileHandler):
    """Made at the first line. A file that can't be made is no reason for the engine to stumble."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            super().emit(record)


class _ToUser(logging.Handler):
    """Warnings of the engine that a command makes for itself, as the command's own; not those of its answers."""

    def emit(self, record: logging.LogRecord) -> None:
        from mailquota.core.commands.output import complain

        if not hasattr(record, "told"):
            complain(record.getMessage())


def log_to_stderr() -> None:
    """Of a service."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Journal() if read_by_journal() else _Stamped() if _is_file() else _Lines())
    _use(handler, logging.INFO)


def log_detached(control_socket: str | None) -> None:
    """Of an engine without a stderr of its own: syslog, or where there is none a file beside the control socket.

    Before the settings say where that is, there is syslog or nothing.
    """
    handler: logging.Handler
    if not os.path.exists(_SYSLOG):
        handler = _File(f"{control_socket}.log" if control_socket else os.devnull, delay=True)
        handler.setFormatter(_Stamped())
    else:
        from logging.handlers import SysLogHandler

        handler = SysLogHandler(_SYSLOG, SysLogHandler.LOG_MAIL)
        handler.ident = f"mailquota[{os.getpid()}]: "
        handler.setFormatter(_Bare())
    _use(handler, logging.INFO)


def log_to_user() -> None:
    """Of a command."""
    _use(_ToUser(), logging.WARNING)


def log_nowhere() -> None:
    """Where a line would only spoil the screen."""
    _use(logging.NullHandler(), logging.CRITICAL)


def read_by_journal() -> bool:
    """Whether our stderr is the stream that systemd made for it (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _is_file() -> bool:
    """Whether our stderr is a file, as where it is started without systemd."""
    try:
        return stat.S_ISREG(os.fstat(sys.stderr.fileno()).st_mode)
    except (OSError, ValueError, AttributeError):
        return False


def nobody_reads() -> bool:
    """Whether our stderr leads nowhere."""
    try:
        return os.path.samestat(os.fstat(sys.stderr.fileno()), os.stat(os.devnull))
    except (OSError, ValueError, AttributeError):
        return True


def _use(handler: logging.Handler, level: int) -> None:
    """Nothing else than this handler; where it can't write, that is no reason to fail."""
    logging.raiseExceptions = False
    logger = logging.getLogger()
    logger.handlers[:] = [handler]
    logger.setLevel(level)
