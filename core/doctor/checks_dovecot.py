"""Checks of Dovecot. Pure."""

from __future__ import annotations

from core.doctor.model import Check

DOVECOT_CHECKS: tuple[Check, ...] = ()
