"""``mailquota doctor``: checks all that mailquota needs on this server."""

from __future__ import annotations

import shutil
import sys
import textwrap

import click

from ..base.text import visible
from ..doctor.model import ORDER, Finding, State
from ..doctor.report import WORDS, sections, summary
from ..settings.config import UntrustedSettingsError
from .logs import log_nowhere
from .options import JSON, Common, command
from .output import is_terminal, wants_colour, write_json

_COLOURS: dict[State, str] = {"fail": "red", "warn": "yellow", "skip": "cyan", "ok": "green"}
_INDENT, _NAME, _PART = 6, 29, 7  # columns


@command("doctor")
@JSON
def doctor(common: Common, as_json: bool) -> int:
    """Check this server: what is wrong, why it matters, and the lines that fix it.

    Nothing is changed. Run it as root: without, it says what it could not check. The exit code is 1 if a check failed.

    The pages that it names are in share/doc/mailquota below the folder of the installation, such as /opt/mailquota.
    """
    from ..doctor.examine import examine, without_settings

    log_nowhere()  # a check reports what would be logged meanwhile
    try:
        findings = examine(common.load())
    except UntrustedSettingsError as error:
        findings = without_settings(str(error), error.fix)
    if as_json:
        write_json(findings)
    else:
        _write(common, findings)
    return int(any(finding.state == "fail" for finding in findings))


def _write(common: Common, findings: list[Finding]) -> None:
    """Print the findings, the worst last, where a terminal shows them at the end."""
    colours = wants_colour(common, sys.stdout)
    width = shutil.get_terminal_size().columns if is_terminal(sys.stdout) else None
    for same in _grouped(sorted(findings, key=lambda one: ORDER.index(one.state), reverse=True)):
        needs_action = same[0].state in {"fail", "warn"} or same[0].fix
        lines = _full(same[0], width) if needs_action else _short(same, width)
        click.echo("\n".join(lines), color=colours)
    click.echo(f"\n{summary(findings)}")


def _grouped(findings: list[Finding]) -> list[list[Finding]]:
    """Findings that are printed together: checks that were skipped for the same reason."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for one in findings:
        alone = one.state != "skip" or one.fix
        groups.setdefault((one.state, one.found, one.check if alone else ""), []).append(one)
    return list(groups.values())


def _short(same: list[Finding], width: int | None) -> list[str]:
    """Findings that need no action, as one line, or more where it is too long."""
    names, found = ", ".join(one.check for one in same), visible(" ".join(same[0].found.split()))
    if len(same) > 1:
        lines = [*_wrapped(names, width, _INDENT), *_wrapped(found, width, _INDENT)]
    else:
        first, *more = _wrapped(found, width, _INDENT + _NAME + 2)
        lines = [f"{names:<{_NAME}}  {first}", *(" " * (_NAME + 2) + line for line in more)]
    return [f"{_state(same[0]) if not number else ' ' * _INDENT}{line}" for number, line in enumerate(lines)]


def _full(finding: Finding, width: int | None) -> list[str]:
    """A blank line, and all of a finding. Text is wrapped; lines of a fix stay as they are, to be pasted."""
    lines = [f"{_state(finding)}{click.style(finding.check, bold=True)}"]
    for name, texts in sections(finding):
        indent = f"{'':{_INDENT}}{name:<{_PART}}"
        for text in texts:
            for line in [visible(text)] if name == "fix" else _wrapped(visible(text), width, _INDENT + _PART):
                lines.append(f"{indent}{line}".rstrip())
                indent = " " * len(indent)
    return ["", *lines]


def _state(finding: Finding) -> str:
    return click.style(f"{WORDS[finding.state]:<{_INDENT}}", fg=_COLOURS[finding.state])


def _wrapped(text: str, width: int | None, indent: int) -> list[str]:
    """The text as lines of ``width`` without ``indent``; as one line where ``width`` is None."""
    if width is None:
        return [text]
    return textwrap.wrap(text, max(20, width - indent), break_long_words=False, break_on_hyphens=False) or [""]


COMMANDS = {"doctor": doctor}
