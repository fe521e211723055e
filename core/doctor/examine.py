"""Runs the doctor: gathers facts about Postfix, Dovecot, the host and the mail log, and has all checks judge them.

It runs in the process of the command or of the console, with the rights of its user, and not in the engine: an
administrator who fixes a server is root, the engine is not, and an engine that is down could not be examined by itself.
It changes nothing.

The accounts are read first, because Dovecot is asked about some of them. All gathering waits for programs, so each part
has a thread. Where a part fails, its checks say that it could not be asked, and why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from ..base.threads import within
from ..base.version import version
from ..settings.config import Config
from .dovecot import probe as probe_dovecot
from .dovecot.checks import DOVECOT_CHECKS
from .dovecot.facts import DovecotFacts
from .host import probe as probe_host
from .host import probe_mailquota
from .host.checks import HOST_CHECKS
from .host.facts import HostFacts
from .log.checks import LOG_CHECKS
from .log.facts import LogFacts
from .log.probe import log_facts, with_known
from .model import Check, Facts, Finding, Outcome, fail, skip
from .postfix import probe as probe_postfix
from .postfix import probe_rewriting
from .postfix.checks import POSTFIX_CHECKS
from .postfix.facts import PostfixFacts, RewritingFacts

log = logging.getLogger(__name__)

T = TypeVar("T")
CHECKS: tuple[Check, ...] = (*POSTFIX_CHECKS, *DOVECOT_CHECKS, *HOST_CHECKS, *LOG_CHECKS)  # as they are shown
DOCS = "docs/checks.md"
_PATIENCE = 12.0  # seconds for a part; each of its programs has less
_DEMO = "a demo has none"


def examine(config: Config) -> list[Finding]:
    """The findings of all checks on this server. Blocks for some seconds; raises nothing.

    A demo has no Postfix, no Dovecot and no mail log, so none is asked.
    """
    with ThreadPoolExecutor(thread_name_prefix="mailquota-doctor") as pool:
        return judge(_gather(config, pool))


def without_settings(text: str, fix: str) -> list[Finding]:
    """The findings where root does not use the settings, as others may change them: nothing else is examined."""
    refused, others = fail(text, fix), skip("root does not use the settings, which name what is to be examined")
    return [_finding(check, refused if check.name == "settings-file" else others) for check in CHECKS]


def judge(facts: Facts, checks: tuple[Check, ...] = CHECKS) -> list[Finding]:
    """The finding of each check, in order. A check that raises an error becomes a finding with state ``skip``."""
    return [_finding(check, _outcome(check, facts)) for check in checks]


def _outcome(check: Check, facts: Facts) -> Outcome:
    try:
        return check.judge(facts)
    except Exception as error:  # outer edge of a single check: the others still have to be heard
        log.exception("check %s failed", check.name)
        return skip(f"this check failed with an internal error: {type(error).__name__}: {error}")


def _finding(check: Check, outcome: Outcome) -> Finding:
    return Finding(
        check=check.name,
        state=outcome.state,
        found=outcome.found,
        why=outcome.why or check.why,
        fix=outcome.fix,
        docs=f"{DOCS}#{check.name}",
    )


def _gather(config: Config, pool: ThreadPoolExecutor) -> Facts:
    accounts, engine = pool.submit(probe_mailquota.accounts, config), probe_mailquota.engine(config)
    postfix = pool.submit(
        _either, partial(probe_postfix.gather, config), lambda why: PostfixFacts(fault=why), away=engine.demo
    )
    mail = pool.submit(
        _either, partial(log_facts, config), lambda why: LogFacts(fault=why, absent=True), away=engine.demo
    )
    known = accounts.result()
    in_use = {address: limit for address, limit in known.limits.items() if address not in known.disabled}
    dovecot = pool.submit(
        _either,
        partial(probe_dovecot.gather, config, in_use, spelled=known.spelled),
        lambda why: DovecotFacts(fault=why),
        away=engine.demo,
    )
    problem = engine.status.maps_problem if engine.status is not None else ""
    rewriting = pool.submit(
        _either,
        partial(probe_rewriting.gather, config, known.found, problem),
        lambda why: RewritingFacts(fault=why),
        away=engine.demo,
    )
    host = _either(partial(_host, config, known, engine), lambda why: HostFacts(fault=why), away=False)
    return Facts(
        config=config,
        host=host,
        postfix=postfix.result(),
        rewriting=rewriting.result(),
        dovecot=dovecot.result(),
        log=with_known(mail.result(), config, known.limits, known.spelled),
    )


def _host(config: Config, known: probe_mailquota.AccountsAnswer, engine: probe_mailquota.EngineAnswer) -> HostFacts:
    used = engine.status.used_bytes if engine.status is not None else None
    state = probe_mailquota.state(config, engine.status)
    return probe_host.gather(
        config,
        known.limits,
        used,
        engine=engine.facts,
        state=state,
        database=known.facts,
        version=version(),
        spelled=known.spelled,
    )


def _either(gather: Callable[[], T], otherwise: Callable[[str], T], *, away: bool) -> T:
    """The facts of one part, or ``otherwise(reason)`` where it is ``away`` or gathering fails or takes too long."""
    if away:
        return otherwise(_DEMO)
    try:
        return within(_PATIENCE, gather)
    except TimeoutError as error:  # a file system that hangs, as under a mailbox
        return otherwise(error.strerror or str(error))
    except Exception as error:  # an outer edge: a fault in one part must not cost the findings of the others
        log.exception("the doctor could not gather facts")
        return otherwise(f"{type(error).__name__}: {error}")
