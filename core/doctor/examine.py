"""The doctor at work: facts of all sides are gathered side by side, then judged.

It runs with the rights of whoever asks, in the process of the command or of the console, not in the engine: who mends a
server is root, while the engine is not, and it has to be asked about from outside. It changes nothing.

The accounts come first, as Dovecot is asked about some of them; all sides wait for programs, so each has a thread. A
side whose gathering fails is left out: its checks say that it could not be asked, and why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from mailquota.core.base.threads import within
from mailquota.core.base.version import version
from mailquota.core.doctor.checks import judge
from mailquota.core.doctor.dovecot import probe as probe_dovecot
from mailquota.core.doctor.dovecot.facts import DovecotFacts
from mailquota.core.doctor.facts import Facts
from mailquota.core.doctor.host import probe as probe_host
from mailquota.core.doctor.host import probe_own
from mailquota.core.doctor.host.facts import HostFacts
from mailquota.core.doctor.log.facts import LogFacts
from mailquota.core.doctor.log.probe import log_facts
from mailquota.core.doctor.model import Finding
from mailquota.core.doctor.postfix import probe as probe_postfix
from mailquota.core.doctor.postfix.facts import PostfixFacts
from mailquota.core.settings.config import Config

log = logging.getLogger(__name__)

T = TypeVar("T")
_PATIENCE = 12.0  # seconds for a side; each of its programs has less
_DEMO = "a demo has none"


def examine(config: Config) -> list[Finding]:
    """What each check says of this server. Blocks for some seconds at most; nothing is an error.

    A demo is a world of its own, which has no Postfix, no Dovecot and no mail log.
    """
    with ThreadPoolExecutor(thread_name_prefix="mailquota-doctor") as pool:
        return judge(_gather(config, pool))


def _gather(config: Config, pool: ThreadPoolExecutor) -> Facts:
    accounts, engine = pool.submit(probe_own.accounts, config), probe_own.engine(config)
    postfix = pool.submit(
        _either, partial(probe_postfix.gather, config), lambda why: PostfixFacts(fault=why), away=engine.demo
    )
    mail = pool.submit(
        _either, partial(log_facts, config), lambda why: LogFacts(fault=why, absent=True), away=engine.demo
    )
    known = accounts.result()
    in_use = {address: limit for address, limit in known.limits.items() if address not in known.disabled}
    dovecot = pool.submit(
        _either, partial(probe_dovecot.gather, config, in_use), lambda why: DovecotFacts(fault=why), away=engine.demo
    )
    host = _either(partial(_host, config, known, engine), lambda why: HostFacts(fault=why), away=False)
    return Facts(config=config, host=host, postfix=postfix.result(), dovecot=dovecot.result(), log=mail.result())


def _host(config: Config, known: probe_own.Accounts, engine: probe_own.Running) -> HostFacts:
    used = engine.status.used_bytes if engine.status is not None else None
    state = probe_own.state(config, engine.status)
    return probe_host.gather(
        config, known.limits, used, engine=engine.facts, state=state, database=known.facts, version=version()
    )


def _either(gather: Callable[[], T], otherwise: Callable[[str], T], *, away: bool) -> T:
    """What was gathered, or what stands for a side that is not there or could not be looked at."""
    if away:
        return otherwise(_DEMO)
    try:
        return within(_PATIENCE, gather)
    except TimeoutError as error:  # a file system that hangs, as below a mailbox
        return otherwise(error.strerror or str(error))
    except Exception as error:  # an outer edge: a server that nobody foresaw must not silence the other sides
        log.exception("the doctor could not gather facts")
        return otherwise(f"{type(error).__name__}: {error}")
