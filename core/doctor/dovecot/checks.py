"""All checks of Dovecot, in the order in which they are shown. Pure."""

from __future__ import annotations

from mailquota.core.doctor.dovecot.basic import BASIC_CHECKS
from mailquota.core.doctor.dovecot.limits import LIMIT_CHECKS
from mailquota.core.doctor.dovecot.mail import MAIL_CHECKS
from mailquota.core.doctor.dovecot.status import STATUS_CHECKS
from mailquota.core.doctor.dovecot.warning import WARNING_CHECKS
from mailquota.core.doctor.model import Check

DOVECOT_CHECKS: tuple[Check, ...] = (
    *BASIC_CHECKS,
    *LIMIT_CHECKS,
    *MAIL_CHECKS,
    *STATUS_CHECKS,
    *WARNING_CHECKS,
)
