"""``mailquota doctor``: this server against the whole recipe."""

from __future__ import annotations

import shutil
import sys
import textwrap

import click

from mailquota.core.base.text import visible
from mailquota.core.commands.logs import log_nowhere
from mailquota.core.commands.options import JSON, Common, command
from mailquota.core.commands.output import is_terminal, wants_colour, write_json
from mailquota.core.doctor.model import ORDER, Finding, State
from mailquota.core.doctor.report import WORDS, sections, summary

_COLOURS: dict[State, str] = {"fail": "red", "warn": "yellow", "skip": "cyan", "ok": "green"}
_INDENT, _NAME, _PART = 6, 29, 7  # columns


@command("doctor")
@JSON
def doctor(common: Common, as_json: bool) -> int:
    """Check this server against the whole recipe: what is wrong, why it matters, and the lines that mend it.

    Nothing is changed. Run it as root: without, it says what it could not see. It ends with 1 if anything failed.

    The pages that it names lie below share/doc/mailquota of where mailquota is installed, as in /opt/mailquota.
    """
    from mailquota.core.doctor.examine import examine

    log_nowhere()  # what would be logged on the way is found, and told, by a check
    findings = examine(common.load())
    if as_json:
        write_json(findings)
    else:
        _write(common, findings)
    return int(any(finding.state == "fail" for finding in findings))


def _write(common: Common, findings: list[Finding]) -> None:
    """What is worst stands last: there a terminal leaves it, whatever has scrolled away."""
    colours = wants_colour(common, sys.stdout)
    width = shutil.get_terminal_size().columns if is_terminal(sys.stdout) else None
    for same in _grouped(sorted(findings, key=lambda one: ORDER.index(one.state), reverse=True)):
        needs_somebody = same[0].state in {"fail", "warn"} or same[0].fix
        lines = _full(same[0], width) if needs_somebody else _short(same, width)
        click.echo("\n".join(lines), color=colours)
    click.echo(f"\n{summary(findings)}")


def _grouped(findings: list[Finding]) -> list[list[Finding]]:
    """What many checks lack for the same reason is said once."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for one in findings:
        alone = one.state != "skip" or one.fix
        groups.setdefault((one.state, one.found, one.check if alone else ""), []).append(one)
    return list(groups.values())


def _short(same: list[Finding], width: int | None) -> list[str]:
    """What needs nobody takes a line, or as many as it fills."""
    names, found = ", ".join(one.check for one in same), visible(" ".join(same[0].found.split()))
    if len(same) > 1:
        lines = [*_wrapped(names, width, _INDENT), *_wrapped(found, width, _INDENT)]
    else:
        first, *more = _wrapped(found, width, _INDENT + _NAME + 2)
        lines = [f"{names:<{_NAME}}  {first}", *(" " * (_NAME + 2) + line for line in more)]
    return [f"{_state(same[0]) if not number else ' ' * _INDENT}{line}" for number, line in enumerate(lines)]


def _full(finding: Finding, width: int | None) -> list[str]:
    """A blank line, and all that is known. Only what is read is wrapped: what is pasted stays as it is."""
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
    """Lines for what is left of a terminal; where there is none, the text as it is."""
    if width is None:
        return [text]
    return textwrap.wrap(text, max(20, width - indent), break_long_words=False, break_on_hyphens=False) or [""]


COMMANDS = {"doctor": doctor}
