"""The rules of the policy server, from section [policy] of the settings."""

from __future__ import annotations

from mailquota.core.base.exempt import Exempt
from mailquota.core.policy.decision import Rules, VerdictActions
from mailquota.core.settings.config import Config


def make_rules(config: Config) -> Rules:
    """The settings as the enforcer takes them."""
    policy = config.settings.policy
    actions = VerdictActions(
        accept=policy.success,
        over_quota=policy.overquota,
        too_large=policy.toolarge or policy.overquota,
        unknown=policy.nouser,
        trouble=policy.trouble,
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
    )
