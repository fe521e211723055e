"""All checks of Dovecot, in the order in which they are shown. Pure."""

from __future__ import annotations

from ..model import Check
from .basic import BASIC_CHECKS
from .limits import LIMIT_CHECKS
from .mail import MAIL_CHECKS
from .status import STATUS_CHECKS
from .warning import WARNING_CHECKS

DOVECOT_CHECKS: tuple[Check, ...] = (
    *BASIC_CHECKS,
    *LIMIT_CHECKS,
    *MAIL_CHECKS,
    *STATUS_CHECKS,
    *WARNING_CHECKS,
)
