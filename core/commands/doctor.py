"""``mailquota doctor``: this server against the whole recipe."""

from __future__ import annotations

import shutil
import sys
import textwrap

import click

from core.commands.logs import log_nowhere
from core.commands.options import JSON, Common, command
from core.commands.output import is_terminal, wants_colour, write_json
from core.doctor.model import Finding, State
from core.doctor.report import WORDS, sections, summary, worst_first
from core.text import visible

_COLOURS: dict[State, str] = {"fail": "red", "warn": "yellow", "skip": "cyan", "ok": "green"}
_INDENT, _NAME = 6, 29


@command("doctor")
@JSON
def doctor(common: Common, as_json: bool) -> int:
    """Check this server against the whole recipe: what is wrong, why it matters, and the lines that mend it.

    Nothing is changed. Run it as root: without, it says what it could not see. It ends with 1 if anything failed.
    """
    from core.examination import examine

    log_nowhere()  # what would be logged on the way is found, and told, by a check
    findings = examine(common.load())
    if as_json:
        write_json(findings)
    else:
        _write(common, findings)
    return int(any(finding.state == "fail" for finding in findings))


def _write(common: Common, findings: list[Finding]) -> None:
    colours = wants_colour(common, sys.stdout)
    width = shutil.get_terminal_size().columns if is_terminal(sys.stdout) else None
    for finding in worst_first(findings):
        lines = _full(finding, width) if finding.state in {"fail", "warn"} or finding.fix else [_short(finding)]
        click.echo("\n".join(lines), color=colours)
    click.echo(f"\n{summary(findings)}")


def _short(finding: Finding) -> str:
    """What needs nobody takes a line."""
    return f"{_state(finding)}{finding.check:<{_NAME}}  {visible(' '.join(finding.found.split()))}"


def _full(finding: Finding, width: int | None) -> list[str]:
    """All that is known, and a blank line. Only what is read is wrapped: what is pasted stays as it is."""
    lines = [f"{_state(finding)}{click.style(finding.check, bold=True)}"]
    for name, texts in sections(finding):
        indent = f"{'':{_INDENT}}{name:<7}"
        for text in texts:
            for line in [visible(text)] if name == "fix" else _wrapped(visible(text), width):
                lines.append(f"{indent}{line}".rstrip())
                indent = " " * len(indent)
    return [*lines, ""]


def _state(finding: Finding) -> str:
    return click.style(f"{WORDS[finding.state]:<{_INDENT}}", fg=_COLOURS[finding.state])


def _wrapped(text: str, width: int | None) -> list[str]:
    room = max(20, (width or 0) - _INDENT - 7)
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) if width else [text]


COMMANDS = {"doctor": doctor}
