"""Where the log goes: stderr (with priorities where the systemd journal reads it), syslog, a file, a command's stderr.

A message may have text from outside, so control characters are escaped, and a record makes no lines of its own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import sys
from io import TextIOWrapper

from ..base.others_folders import opened
from ..base.text import visible

_SYSLOG = "/dev/log"
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class _Lines(logging.Formatter):
    """A line for the message and for each line of an exception, each with ``head`` before it."""

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
    """For syslog, which adds time and priority."""

    def head(self, record: logging.LogRecord) -> str:  # noqa: ARG002
        return ""


class _Stamped(_Lines):
    """For a file: with the time."""

    def head(self, record: logging.LogRecord) -> str:
        return f"{self.formatTime(record)} {record.levelname} "


class _File(logging.FileHandler):
    """A file that is made at the first line. Where it can't be made or written, lines are dropped.

    It may be in a folder of another user: a link there is not followed, and nothing is written that he could not write.
    """

    def _open(self) -> TextIOWrapper:
        folder, name = os.path.split(self.baseFilename)
        with opened(folder) as place, place.as_outsider():
            handle = place.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        return open(handle, "a", encoding="utf-8")

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            super().emit(record)


class _ToUser(logging.Handler):
    """Prints warnings of an engine in a command as messages of the command, but for those that its answer has."""

    def emit(self, record: logging.LogRecord) -> None:
        from .output import complain

        if not hasattr(record, "told"):
            complain(record.getMessage())


def log_to_stderr() -> None:
    """Log to stderr, as an engine does that has one."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Journal() if read_by_journal() else _Stamped() if _is_file() else _Lines())
    _use(handler, logging.INFO)


def log_detached(control_socket: str | None) -> None:
    """Log to syslog, as an engine without stderr does, or where there is none to a file beside the control socket.

    ``control_socket`` None: its path is not known yet; without syslog lines are dropped.
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
    """Print warnings on stderr as messages of a command."""
    _use(_ToUser(), logging.WARNING)


def log_nowhere() -> None:
    """Drop the log, as where a line would damage the screen."""
    _use(logging.NullHandler(), logging.CRITICAL)


def read_by_journal() -> bool:
    """Whether stderr is the stream to the journal that systemd made (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _is_file() -> bool:
    """Whether stderr is a regular file, as where an engine is started without systemd."""
    try:
        return stat.S_ISREG(os.fstat(sys.stderr.fileno()).st_mode)
    except (OSError, ValueError, AttributeError):
        return False


def stderr_is_null() -> bool:
    """Whether stderr is /dev/null, or closed."""
    try:
        return os.path.samestat(os.fstat(sys.stderr.fileno()), os.stat(os.devnull))
    except (OSError, ValueError, AttributeError):
        return True


def _use(handler: logging.Handler, level: int) -> None:
    """Make this the only handler. Where it can't write, nothing is raised."""
    logging.raiseExceptions = False
    logger = logging.getLogger()
    logger.handlers[:] = [handler]
    logger.setLevel(level)
