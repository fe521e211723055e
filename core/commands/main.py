"""The command line: finds the command, and turns every error into one line and an exit code."""

from __future__ import annotations

import importlib
import logging
import sys

import click

from ..base.errors import MailquotaError
from .options import Command, Common, Console, Group, store
from .output import advise, complain, is_terminal
from .streams import prepare_streams

log = logging.getLogger(__name__)

_FAILED, _INTERRUPTED = 1, 130  # the latter as shells have it
_COMMANDS = {  # name → module; the Command in it is looked up by name
    "list": "accounts",
    "show": "show",
    "set": "limits",
    "recalc": "recalc",
    "empty-trash": "trash",
    "explain": "explain",
    "warn": "warn",
    "undo": "limits",
    "journal": "journal",
    "replay": "replay",
    "doctor": "doctor",
    "check": "check",
    "config": "config",
    "install": "install.command",
    "uninstall": "install.command",
    "status": "status",
    "reload": "status",
}


class _Root(Group):
    """The commands; the module of each is imported only when it is needed."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """The names of all commands, in the order of the documentation."""
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """The command of this name, None where there is none."""
        module = _COMMANDS.get(name)
        if module is None:
            return None
        commands: dict[str, Command] = importlib.import_module(f"mailquota.core.commands.{module}").COMMANDS
        return commands[name]


@click.command("mailquota", cls=_Root, invoke_without_command=True, subcommand_metavar="[COMMAND [ARGS]...]")
@click.option(
    "--serve", is_flag=True, help="Run the engine without a screen: policy server, measuring, control socket."
)
@click.option(
    "--helper",
    is_flag=True,
    help="Run the helper that works in mailboxes for an engine with a user of its own (mailstore.helper).",
)
@click.option("--demo", is_flag=True, help="A throwaway world to look at; with --serve, prints its settings file.")
@click.option("--accounts", type=int, metavar="N", help="With --demo: how many accounts.")
@click.option(
    "--ascii",
    is_flag=True,
    expose_value=False,
    callback=store,
    help="Draw the console with ASCII signs, for fonts without others.",
)
@click.option(
    "--no-mouse",
    is_flag=True,
    expose_value=False,
    callback=store,
    help="Leave the mouse to the terminal, to select text; in the console the key M does.",
)
@click.pass_context
def root(ctx: click.Context, serve: bool, helper: bool, demo: bool, accounts: int | None) -> int | None:
    """Mail quotas: the usage of each mailbox, and a policy server that has Postfix refuse mail that does not fit.

    Without a command it opens the console, on the engine that runs on this server, or else with an engine of its own.
    Without a terminal on standard input and output it prints the table of accounts once.

    Exit codes: 0 done, 1 not done (you said no, or an error), 2 wrong usage or settings, 3 partly done, 4 no such
    account, 5 a needed service is not reachable. check has its own.
    """
    common: Common = ctx.obj
    if ctx.invoked_subcommand is not None:
        if serve or helper or demo or accounts is not None or common.ascii or common.no_mouse:
            raise click.UsageError("--serve, --helper, --demo, --accounts, --ascii and --no-mouse go without a command")
        return None
    if accounts is not None and not demo:
        raise click.UsageError("--accounts belongs to --demo")
    if helper:
        if serve or demo:
            raise click.UsageError("--helper goes without --serve and --demo")
        from . import helping

        return helping.help_engine(common)
    return _start(common, serve=serve, demo=_demo_size(accounts) if demo else None)


def _demo_size(accounts: int | None) -> int:
    from ..demo.world import ACCOUNTS, check_count

    size = ACCOUNTS if accounts is None else accounts
    check_count(size)
    return size


def _start(common: Common, *, serve: bool, demo: int | None) -> int:
    if serve:
        from . import serving

        return serving.serve(common) if demo is None else serving.serve_demo(common, demo)
    if is_terminal(sys.stdout) and is_terminal(sys.stdin):
        return common.console(common, demo)
    from . import accounts

    return accounts.print_table(common) if demo is None else accounts.print_demo_table(common, demo)


def run(arguments: list[str], console: Console) -> int:
    """Run a command line; returns its exit code. ``console`` opens the screen."""
    stdout = prepare_streams()
    common = Common(console)
    code = _run(arguments, common)
    if stdout is None or stdout.fault is None:
        return code
    complain(f"standard output: {stdout.fault.strerror}")
    return code if common.acts else code or _FAILED  # for a command that acts 1 would say that nothing was changed


def _run(arguments: list[str], common: Common) -> int:
    try:
        return _invoke(arguments, common)
    except MailquotaError as error:
        code = _failed(str(error), error.exit_code)
        advise(error.advice)
        return code
    except KeyboardInterrupt:
        return _failed("interrupted", _INTERRUPTED)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _failed(f"{place}{error.strerror or error}", _FAILED)
    except Exception as error:  # the outermost edge: a line on stderr instead of a traceback
        log.debug("a command failed", exc_info=True)
        return _failed(f"internal error: {type(error).__name__}: {error}", _FAILED)


def _invoke(arguments: list[str], common: Common) -> int:
    try:
        code = root.main(arguments, prog_name="mailquota", standalone_mode=False, obj=common)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.UsageError as error:
        return _failed(_usage_text(error), error.exit_code)
    except click.Abort:
        raise KeyboardInterrupt from None
    return code if isinstance(code, int) else 0


def _failed(why: str, code: int) -> int:
    complain(why)
    return code


def _usage_text(error: click.UsageError) -> str:
    text = " ".join(error.format_message().split()).rstrip(".")
    path = error.ctx.command_path if error.ctx is not None else "mailquota"
    return f"{text[:1].lower()}{text[1:]}; see {path} --help"
