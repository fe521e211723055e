"""The doctor at work: facts of all sides are gathered side by side, then judged.

It runs with the rights of whoever asks, in the process of the command or of the console, not in the engine: who mends a
server is root, while the engine is not, and it has to be asked about from outside. It changes nothing.
"""

from __future__ import annotations

import os

from core.config import Config
from core.doctor.checks import judge
from core.doctor.facts import Facts
from core.doctor.facts_host import HostFacts
from core.doctor.model import Finding


def examine(config: Config, *, demo: bool = False) -> list[Finding]:
    """What each check says of this server. Blocks for some seconds at most; nothing is an error.

    A ``demo`` is a world of its own, which has no Postfix and no Dovecot.
    """
    return judge(_gather(config, demo=demo))


def _gather(config: Config, *, demo: bool) -> Facts:  # noqa: ARG001
    return Facts(config=config, host=HostFacts(is_root=os.geteuid() == 0))
