"""Checks of Postfix and of the policy service. Pure."""

from __future__ import annotations

from core.doctor.model import Check

POSTFIX_CHECKS: tuple[Check, ...] = ()
