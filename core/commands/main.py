"""The root of the command line, and its outer edge: every error becomes one line and an exit code."""

from __future__ import annotations

import importlib
import io
import logging
import os
import signal
import sys
from collections.abc import Callable

import click

from core.commands.options import Command, Common, Group
from core.commands.output import complain, is_terminal
from core.errors import MailquotaError

log = logging.getLogger(__name__)

_INTERRUPTED = 130  # as shells have it
_COMMANDS = {  # name → module; the Command in it is looked up by name
    "list": "accounts",
    "show": "show",
    "set": "limits",
    "recalc": "recalc",
    "empty-trash": "trash",
    "explain": "explain",
    "journal": "journal",
    "config": "config",
    "status": "status",
    "reload": "status",
}


class _Root(Group):
    """Loads the module of a command when it is asked for."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """In the order of the documentation."""
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """None for an unknown name."""
        module = _COMMANDS.get(name)
        if module is None:
            return None
        commands: dict[str, Command] = importlib.import_module(f"core.commands.{module}").COMMANDS
        return commands[name]


@click.command("mailquota", cls=_Root, invoke_without_command=True, subcommand_metavar="[COMMAND [ARGS]...]")
@click.option("--serve", is_flag=True, help="Run the engine without a screen: policy server, measuring, control socket.")
@click.option("--demo", is_flag=True, help="A throwaway world to look at; with --serve, prints its settings file.")
@click.option("--accounts", type=click.IntRange(1, 1_000_000), metavar="N", help="With --demo: how many accounts.")
@click.pass_context
def root(ctx: click.Context, serve: bool, demo: bool, accounts: int | None) -> int | None:
    """Mail quotas: who is how full, and a policy server that keeps Postfix from accepting what does not fit.

    Without a command it opens the console: attached to the engine that runs on this server, or else with an engine of
    its own. Without a terminal on standard output it prints the table of accounts once.

    Exit codes: 0 done, 1 refused or failed and nothing changed, 2 wrong usage or settings, 3 partly done, 4 no such
    account, 5 a needed service is not reachable.
    """
    common: Common = ctx.obj
    if ctx.invoked_subcommand is not None:
        if serve or demo or accounts is not None:
            raise click.UsageError("--serve, --demo and --accounts go without a command")
        return None
    if accounts is not None and not demo:
        raise click.UsageError("--accounts belongs to --demo")
    return _start(common, serve=serve, demo=demo, accounts=accounts)


def _start(common: Common, *, serve: bool, demo: bool, accounts: int | None) -> int:
    if serve:
        from core.commands.serving import serve as run_engine

        return run_engine(common)
    if is_terminal(sys.stdout) and is_terminal(sys.stdin):
        return common.console(common, accounts)
    from core.commands.accounts import print_table

    return print_table(common)


def run(arguments: list[str], console: Callable[[Common, int | None], int]) -> int:
    """Carry out a command line; its exit code. ``console`` opens the screen."""
    _prepare_streams()
    try:
        code = root.main(arguments, prog_name="mailquota", standalone_mode=False, obj=Common(console))
        sys.stdout.flush()
    except BrokenPipeError:
        _die_of_broken_pipe()
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.UsageError as error:
        complain(_usage_text(error))
        return error.exit_code
    except MailquotaError as error:
        complain(str(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        complain("interrupted")
        return _INTERRUPTED
    except OSError as error:
        complain(f"{error.filename or 'standard output'}: {error.strerror or error}")
        return 1
    except Exception as error:  # the outermost edge: people get a line, not a traceback
        log.debug("a command failed", exc_info=True)
        complain(f"internal error: {type(error).__name__}: {error}")
        return 1
    return code if isinstance(code, int) else 0


def _usage_text(error: click.UsageError) -> str:
    text = " ".join(error.format_message().split()).rstrip(".")
    path = error.ctx.command_path if error.ctx is not None else "mailquota"
    return f"{text[:1].lower()}{text[1:]}; see {path} --help"


def _prepare_streams() -> None:
    """No text may fail to be printed for want of a letter, and logging of libraries is for the log of the engine."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _die_of_broken_pipe() -> None:
    """Whoever read us has enough: end as every other tool does."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still buffered must not fail once more at exit
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
