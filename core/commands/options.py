"""Options that every command takes, before or after its name, and the classes of commands that add them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import click
from click.core import ParameterSource

from ..base.errors import UsageError
from ..base.filters import Filter, parse_filter

if TYPE_CHECKING:
    from ..recordings.reading import Recording
    from ..settings.config import Config, DiscoveredSettings


class Replay(NamedTuple):
    """A recording that is to be shown, from ``place`` on, which is in seconds of the replay."""

    recording: Recording
    place: float


class Console(Protocol):
    """Opens the console. ``demo`` is the number of accounts of a throwaway world, None for this server."""

    def __call__(self, common: Common, demo: int | None, replay: Replay | None = None) -> int:
        """Show the console until the operator leaves it; returns the exit code."""


JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
YES = click.option("--yes", is_flag=True, help="Answer every question with yes.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would happen, change nothing, ask nothing.")
WHERE = click.option("--where", metavar="FILTER", help="The accounts that match, instead of addresses.")


@dataclass
class Common:
    """The options of every command, and those of the console; of an option that is given twice the last one counts.

    ``acts``: the command changes something, so its exit code says whether it did, and not whether it could print.
    """

    console: Console
    config: Path | None = None
    read_only: bool = False
    no_color: bool = False
    ascii: bool = False
    no_mouse: bool = False
    acts: bool = False

    def load(self) -> Config:
        """The settings in force. Raises SettingsError."""
        from ..settings.config import load

        return load(self.config, os.environ, _discover)


def _discover(doveadm: str) -> DiscoveredSettings:
    from ..settings.discover import discover  # late: a file with all sections needs none of it

    return discover(doveadm)


def store(ctx: click.Context, param: click.Parameter, value: object) -> None:
    """Keep the value of an option in Common, under the name of the option."""
    assert param.name is not None
    if ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
        setattr(ctx.find_root().obj, param.name, value)


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from ..base.version import version

        click.echo(f"mailquota {version()}")
        ctx.exit()


def common_options() -> list[click.Parameter]:
    """The options of every command, as new objects: click binds each to one command."""
    return [
        click.Option(
            ["--config"],
            metavar="FILE",
            type=click.Path(path_type=Path),
            expose_value=False,
            callback=store,
            help="Settings file; else MAILQUOTA_CONFIG, else /etc/mailquota/mailquota.toml.",
        ),
        click.Option(["--read-only"], is_flag=True, expose_value=False, callback=store, help="Refuse every change."),
        click.Option(
            ["--no-color"], is_flag=True, expose_value=False, callback=store, help="No colours; as NO_COLOR does."
        ),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the version and exit.",
        ),
    ]


_SHARED = {"config", "read_only", "no_color", "version", "help"}


class _WithCommonOptions(click.Command):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += common_options()
        self.context_settings.setdefault("help_option_names", ["-h", "--help"])

    def _format_own_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, shared in (("Options", False), ("Options for every command", True)):
            params = [param for param in self.get_params(ctx) if (param.name in _SHARED) is shared]
            records = [record for param in params if (record := param.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of the command, then those of every command."""
        self._format_own_options(ctx, formatter)


class Command(_WithCommonOptions):
    """A command. Its function returns the exit code; None is 0. ``acts``: it changes something, but for a dry run."""

    def __init__(self, *args: Any, acts: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._acts = acts

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, after noting in Common whether it acts."""
        ctx.obj.acts = self._acts and ctx.params.get("apply", True) and not ctx.params.get("dry_run")
        return super().invoke(ctx)


class Group(_WithCommonOptions, click.Group):
    """``mailquota`` itself, which has commands."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, then the commands."""
        self._format_own_options(ctx, formatter)
        self.format_commands(ctx, formatter)


_MINUS = "\0"  # stands for the minus of a number while options are parsed: no argument can hold this character


class NumbersCommand(Command):
    """A command to which ``-1G`` is an argument, as no option begins with a digit. ``--yse`` is still a usage error."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse with the minus of numbers hidden."""
        rest = super().parse_args(ctx, [_hide(arg) for arg in args])
        ctx.params = {name: _unhide(value) for name, value in ctx.params.items()}
        return rest


def _hide(arg: str) -> str:
    number = arg[1:].lstrip(" ")[:1]
    return _MINUS + arg[1:] if arg.startswith("-") and (number.isdigit() or number == ".") else arg


def _unhide(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_unhide(item) for item in value)
    return value.replace(_MINUS, "-") if isinstance(value, str) else value


def command(name: str, cls: type[Command] = Command, **attributes: Any) -> Callable[..., Command]:
    """Make a command of the decorated function, which gets Common as its first argument."""

    def decorate(function: Callable[..., int | None]) -> Command:
        return click.command(name, cls=cls, **attributes)(click.pass_obj(function))

    return decorate


def account_names(addresses: tuple[str, ...]) -> list[str]:
    """Typed addresses as the names of accounts: lower case, each once. Bytes that are not UTF-8 match no account."""
    return list(dict.fromkeys(utf8(address).lower() for address in addresses))


def utf8(text: str) -> str:
    """Text from the command line as it can be sent: bytes that are not UTF-8 become replacement characters."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def accounts_where(addresses: tuple[str, ...], where: str | None) -> Filter | None:
    """The filter of --where; None where addresses are given. UsageError for both and for neither.

    Also for an empty filter, which would choose all accounts: an unset variable of a shell gives one.
    """
    one_of(addresses, where is not None, "--where FILTER")
    if where is None:
        return None
    chosen = parse_filter(utf8(where))
    if not chosen.words:
        raise UsageError("--where is empty; to choose all accounts say so: --where @")
    return chosen


def one_of(addresses: tuple[str, ...], other: bool, name: str) -> None:
    """UsageError unless there are either addresses or the ``other`` way to choose accounts."""
    if addresses and other:
        raise UsageError(f"give either addresses or {name}, not both")
    if not addresses and not other:
        raise UsageError(f"give addresses, or {name}")
