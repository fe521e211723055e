"""Checks of this machine and of mailquota itself. Pure."""

from __future__ import annotations

from core.doctor.model import Check

HOST_CHECKS: tuple[Check, ...] = ()
