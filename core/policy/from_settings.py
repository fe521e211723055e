"""The rules of the policy server, from section [policy] of the settings."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from ..base.exempt import Exempt
from ..base.helper_calls import Helper
from ..mailboxes.driver import Driver
from ..mailboxes.ledger import Ledger
from ..settings.config import Config
from .answering import Enforcer
from .decision import Rules, VerdictActions
from .log import DecisionLog
from .mail_log import MailLog
from .metrics import Metrics
from .server import PolicyServer


def make_rules(config: Config) -> Rules:
    """The settings as the enforcer takes them."""
    policy = config.settings.policy
    actions = VerdictActions(
        accept=policy.success,
        over_quota=policy.overquota,
        too_large=policy.toolarge or policy.overquota,
        unknown=policy.nouser,
        trouble=policy.trouble,
        unreadable=policy.unreadable,
    )
    return Rules(
        actions=actions,
        grace=policy.grace_rule,
        delimiters=policy.recipient_delimiter,
        exempt=Exempt(policy.exempt),
        shadow=policy.mode == "shadow",
        aliases=policy.aliases,
        compare_with=policy.compare_address,
        reserve_seconds=policy.reserve_seconds,
        largest=config.found.quota.largest if config.found.quota is not None else 0,
    )


class PolicyParts(NamedTuple):
    """What answers Postfix, what is counted and kept of the answers, and the refusals that the mail log has."""

    metrics: Metrics
    decisions: DecisionLog
    enforcer: Enforcer
    mail_log: MailLog
    server: PolicyServer


def make_policy(
    config: Callable[[], Config], ledger: Ledger, driver: Driver, *, read_mail_log: bool, helper: Helper | None = None
) -> PolicyParts:
    """The policy server, which listens nowhere yet. ``config`` gives the settings in force. Made on the loop.

    ``helper`` is the one that works in the mailboxes, if this process does not.
    """
    metrics, decisions = Metrics(time.time()), DecisionLog()
    enforcer = Enforcer(ledger, driver, make_rules(config()), metrics, decisions)
    if helper is not None:
        enforcer.lookup.work_by(helper)
    mail_log = MailLog(config, enforcer.router.mailboxes, off=not read_mail_log)
    return PolicyParts(metrics, decisions, enforcer, mail_log, PolicyServer(enforcer.ask, metrics))
