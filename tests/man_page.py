"""docs/mailquota.1 and the files in completion/, made from the declarations of the commands.

``python -m tests.man_page`` writes them all.
"""

from __future__ import annotations

import re
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from mailquota.core.commands.main import root

ROOT = Path(__file__).parent.parent
COMPLETIONS = {"bash": "mailquota", "zsh": "_mailquota", "fish": "mailquota.fish"}  # shell → name of its file

_SHARED = {"config", "read_only", "no_color", "version", "help"}

_BEGIN = """\
.\\" Made from the program's own declarations: python -m tests.man_page
.TH MAILQUOTA 1
.SH NAME
mailquota \\- mail quotas: who is how full, and a policy server for Postfix
.SH SYNOPSIS
.B mailquota
.RI [ options ]
.br
.B mailquota
.I command
.RI [ options ]
.RI [ arguments ]
"""

_END = """\
.SH FILES
.TP
.I /etc/mailquota/mailquota.toml
Settings; what it lacks is read from Postfix's and Dovecot's own.
.TP
.I /etc/mailquota/installed.json
What \\fBmailquota install\\fR wrote, and the value of Postfix's that was there before.
.TP
.I /var/lib/mailquota/state.db
History, journal, warnings already sent.
.TP
.I /run/mailquota/control.sock
Where console and commands reach the engine.
.TP
.I /var/spool/postfix/private/mailquota
Where Postfix asks.
.SH ENVIRONMENT
.TP
.B MAILQUOTA_CONFIG
The settings file, where \\fB\\-\\-config\\fR names none.
.TP
.B NO_COLOR
No colours.
.SH SIGNALS
An engine reads its settings again on SIGHUP, and ends on SIGTERM after it has answered what it was asked.
.SH SEE ALSO
.BR doveadm (1),
.BR postconf (5),
.BR systemd.socket (5)
"""


def page() -> str:
    """The manual page, in man(7)."""
    context = root.make_context("mailquota", [], resilient_parsing=True)
    parts = [_BEGIN, ".SH DESCRIPTION\n", _paragraphs(root.help or ""), ".SH OPTIONS\n", _options(root, context)]
    shared = [param for param in root.params if param.name in _SHARED]
    parts += [".SS For every command, before or after its name\n", _records(shared, context), ".SH COMMANDS\n"]
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert command is not None
        parts.append(_command(command, click.Context(command, context, name)))
    return "".join([*parts, _END])


def _command(command: click.Command, context: click.Context) -> str:
    usage = " ".join(command.collect_usage_pieces(context))
    return f".SS mailquota {_escaped(context.info_name or '')} {_escaped(usage)}\n" + (
        _paragraphs(command.help or "") + _options(command, context)
    )


def _options(command: click.Command, context: click.Context) -> str:
    return _records([param for param in command.params if param.name not in _SHARED], context)


def _records(params: list[click.Parameter], context: click.Context) -> str:
    options = [param for param in params if isinstance(param, click.Option)]
    records = [record for param in options if (record := param.get_help_record(context)) is not None]
    return "".join(f".TP\n.B {_escaped(name)}\n{_escaped(text)}\n" for name, text in records)


def _paragraphs(text: str) -> str:
    joined = [" ".join(part.split()) for part in text.split("\n\n")]
    return ".PP\n".join(f"{_escaped(part)}\n" for part in joined)


def _escaped(text: str) -> str:
    """Nothing in it is a request or an escape of roff; a minus is one that can be copied."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("'", "\\(aq")
    return re.sub(r"^\.", "\\&.", escaped)


def completion(shell: str) -> str:
    """The file that a shell reads."""
    kind = get_completion_class(shell)
    assert kind is not None
    return kind(root, {}, "mailquota", "_MAILQUOTA_COMPLETE").source().strip() + "\n"


def files() -> dict[str, str]:
    """All that is made, by path below the checkout."""
    made = {f"completion/{name}": completion(shell) for shell, name in COMPLETIONS.items()}
    return {"docs/mailquota.1": page(), **made}


if __name__ == "__main__":
    for path, text in files().items():
        (ROOT / path).write_text(text)
