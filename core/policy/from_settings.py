"""The rules of the policy server, from the settings [policy]."""

from __future__ import annotations

from mailquota.core.base.exempt import Exempt
from mailquota.core.policy.decision import Actions, Rules
from mailquota.core.settings.config import Config


def make_rules(config: Config) -> Rules:
    """The settings ``policy``, ready for use."""
    policy = config.settings.policy
    actions = Actions(
        policy.success, policy.overquota, policy.toolarge or policy.overquota, policy.nouser, policy.trouble
    )
    return Rules(
        actions,
        policy.grace_rule,
        policy.recipient_delimiter,
        Exempt(policy.exempt),
        policy.mode == "shadow",
        aliases=policy.aliases,
        compare_with=policy.compare_address,
        reserve_seconds=policy.reserve_seconds,
    )
