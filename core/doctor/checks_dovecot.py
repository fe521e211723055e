"""Checks of Dovecot, in the order in which people read them. Pure."""

from __future__ import annotations

from core.doctor.checks_dovecot_basic import BASIC_CHECKS
from core.doctor.model import Check

DOVECOT_CHECKS: tuple[Check, ...] = (*BASIC_CHECKS,)
