"""Findings as text, the same for the command and for the clipboard of the console. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from .model import ORDER, Finding, State

WORDS: dict[State, str] = {"fail": "FAIL", "warn": "WARN", "skip": "SKIP", "ok": "ok"}
SUMS: dict[State, str] = {"fail": "failed", "warn": "to look at", "skip": "not judged", "ok": "ok"}


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Findings by state, those that need work first; within a state in the order of the checks.

    Last are skipped checks without a fix, which also root could not have judged.
    """
    return sorted(findings, key=lambda one: (one.state == "skip" and not one.fix, ORDER.index(one.state)))


def summary(findings: Iterable[Finding]) -> str:
    """The number of findings by state: ``2 failed, 1 to look at, 37 ok``."""
    states = [finding.state for finding in findings]
    return ", ".join(f"{states.count(state)} {SUMS[state]}" for state in ORDER if state in states) or "no checks"


def sections(finding: Finding) -> list[tuple[str, list[str]]]:
    """The parts of a finding (found, why, fix, more) with their lines; parts without text are left out."""
    parts = [("found", finding.found), ("why", finding.why), ("fix", finding.fix), ("more", finding.docs)]
    if finding.state == "ok":
        parts = [("found", finding.found), ("more", finding.docs)]
    return [(name, text.splitlines()) for name, text in parts if text]


def text(finding: Finding) -> str:
    """A finding as plain text, as for a ticket: state, name of the check, and all parts."""
    lines = [f"{WORDS[finding.state]} {finding.check}"]
    for name, texts in sections(finding):
        lines += [f"  {name if not number else '':<6}{line}".rstrip() for number, line in enumerate(texts)]
    return "\n".join(lines)
