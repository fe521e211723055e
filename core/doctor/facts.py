"""All that the checks look at, gathered beforehand. Frozen, and free of passwords."""

from __future__ import annotations

import msgspec

from mailquota.core.doctor.dovecot.facts import DovecotFacts
from mailquota.core.doctor.host.facts import HostFacts
from mailquota.core.doctor.log.facts import LogFacts
from mailquota.core.doctor.postfix.facts import PostfixFacts
from mailquota.core.settings.config import Config


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """``config`` are our own settings as they are in force."""

    config: Config
    dovecot: DovecotFacts = DovecotFacts()
    postfix: PostfixFacts = PostfixFacts()
    host: HostFacts = HostFacts()
    log: LogFacts = LogFacts()
