"""All that the checks look at, gathered beforehand. Frozen, and free of passwords."""

from __future__ import annotations

import msgspec

from core.config import Config
from core.doctor.facts_dovecot import DovecotFacts
from core.doctor.facts_host import HostFacts
from core.doctor.facts_log import LogFacts
from core.doctor.facts_postfix import PostfixFacts


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """``config`` are our own settings as they are in force."""

    config: Config
    dovecot: DovecotFacts = DovecotFacts()
    postfix: PostfixFacts = PostfixFacts()
    host: HostFacts = HostFacts()
    log: LogFacts = LogFacts()
