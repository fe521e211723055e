"""``mailquota --helper``: works in mailboxes for an engine that has a user of its own."""

from __future__ import annotations

import logging
from pathlib import Path

from ..base.errors import MailquotaError, UsageError
from .logs import log_to_stderr, read_by_journal
from .options import Common

log = logging.getLogger(__name__)


def help_engine(common: Common) -> int:
    """Run a helper until SIGTERM or SIGINT; returns the exit code. Raises MailquotaError where it can't start."""
    if common.read_only:
        raise UsageError("--read-only is for the console and the commands, not for a helper")
    log_to_stderr()
    try:
        _run(common)
    except MailquotaError as error:
        if not read_by_journal():
            raise
        for line in (str(error), *filter(None, error.advice)):
            log.error("%s", line)
        return error.exit_code
    return 0


def _run(common: Common) -> None:
    from ..helper import server, supervisor

    config = common.load()
    given = supervisor.descriptors()
    if given is not None:
        server.work(config, *given)
    file = ["--config", str(Path(config.path).absolute())] if config.path is not None else []
    supervisor.supervise(config, ["--helper", *file])
