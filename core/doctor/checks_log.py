"""Checks of what the mail log says. Pure."""

from __future__ import annotations

from core.doctor.model import Check

LOG_CHECKS: tuple[Check, ...] = ()
