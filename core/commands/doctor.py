"""``mailquota doctor``: this server against the whole recipe."""

from __future__ import annotations

import sys

import click

from core.commands.options import JSON, Common, command
from core.commands.output import wants_colour, write_json
from core.doctor.model import Finding, State
from core.doctor.report import WORDS, sections, summary, worst_first
from core.text import visible

_COLOURS: dict[State, str] = {"fail": "red", "warn": "yellow", "skip": "cyan", "ok": "green"}
_INDENT = 6


@command("doctor")
@JSON
def doctor(common: Common, as_json: bool) -> int:
    """Check this server against the whole recipe: what is wrong, why it matters, and the lines that mend it.

    Nothing is changed. Run it as root: without, it says what it could not see. It ends with 1 if anything failed.
    """
    from core.examination import examine

    findings = examine(common.load())
    if as_json:
        write_json(findings)
    else:
        _write(common, findings)
    return int(any(finding.state == "fail" for finding in findings))


def _write(common: Common, findings: list[Finding]) -> None:
    colours = wants_colour(common, sys.stdout)
    for finding in worst_first(findings):
        click.echo("\n".join(_lines(finding)), color=colours)
    click.echo(f"\n{summary(findings)}")


def _lines(finding: Finding) -> list[str]:
    """One that is as it should be takes a line; the others all that is known, and a blank line."""
    state = click.style(f"{WORDS[finding.state]:<{_INDENT}}", fg=_COLOURS[finding.state])
    if finding.state == "ok":
        return [f"{state}{finding.check:<24}  {visible(finding.found)}"]
    lines = [f"{state}{click.style(finding.check, bold=True)}"]
    for name, texts in sections(finding):
        lines += [
            f"{'':{_INDENT}}{name if not number else '':<7}{visible(line)}".rstrip()
            for number, line in enumerate(texts)
        ]
    return [*lines, ""]


COMMANDS = {"doctor": doctor}
