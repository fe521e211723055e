"""What can be typed behind ``:``: the actions of the keys, by name. The palette is made of the same list.

A binding with a tooltip is a command. Its name is the ``id`` of the binding, which is the name of the shell's command
where there is one; else its description. A method ``typed_`` and that name, beside the action itself, reads arguments
and returns what is then to be done; it is declared with ``takes``. An action without one takes no arguments.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen

from mailquota.core.base.errors import UsageError

MOST = 200  # matches; one types more letters then
F = TypeVar("F", bound=Callable[..., Any])
Doing = Callable[[], object]  # what a command does; the result may be awaitable


class Choice(NamedTuple):
    """A word that can be typed, and what it means or is called elsewhere."""

    word: str
    about: str = ""


Choices = Callable[[Any, Sequence[str]], Iterable[Choice]]


def _no_choices(_node: Any, _words: Sequence[str]) -> Iterable[Choice]:
    return ()


class Arguments(NamedTuple):
    """``form`` is how they are shown; ``choices`` gives what the word after some others can be.

    ``listed``: the palette has an entry for each choice of the first word. ``about`` says what it does with arguments,
    where that differs from what the key does.
    """

    form: str
    choices: Choices = _no_choices
    listed: bool = False
    about: str = ""


def takes(form: str, choices: Choices = _no_choices, *, listed: bool = False, about: str = "") -> Callable[[F], F]:
    """Declare the arguments of a ``typed_`` method."""

    def declare(method: F) -> F:
        method.__dict__["arguments"] = Arguments(form, choices, listed, about)
        return method

    return declare


@dataclass(frozen=True)
class Command:
    """An action of ``node`` by its name; ``enabled`` as the key is."""

    name: str
    binding: Binding
    node: DOMNode
    enabled: bool

    @property
    def action(self) -> str:
        """The name of the action, without its parameters."""
        return self.binding.action.rpartition(".")[2].partition("(")[0]

    @property
    def arguments(self) -> Arguments:
        """What it takes; nothing for most."""
        found = getattr(self._reader, "arguments", None)
        return found if isinstance(found, Arguments) else Arguments("")

    @property
    def about(self) -> str:
        """What it does."""
        return self.arguments.about or self.binding.tooltip

    @property
    def _reader(self) -> Callable[[str], Doing] | None:
        return getattr(self.node, f"typed_{self.name.replace('-', '_')}", None)

    def read(self, rest: str) -> Doing:
        """What it does with these arguments. Raises UsageError where they are wrong."""
        if self._reader is not None and rest:
            return self._reader(rest)
        if rest:
            raise UsageError(f"{self.name} takes nothing behind it")
        return self.run

    @property
    def run(self) -> Doing:
        """What the key does."""
        return partial(self.node.app.run_action, self.binding.action, self.node)

    def choices(self, words: Sequence[str]) -> Iterator[Choice]:
        """What the word after these can be."""
        yield from self.arguments.choices(self.node, words)


def commands_of(screen: Screen[Any], moving: type[DOMNode]) -> list[Command]:
    """The commands of a screen and of what has its focus; not those that only move in a table (``moving``)."""
    found: dict[str, Command] = {}
    for node, binding, enabled, _tooltip in screen.active_bindings.values():
        moves = isinstance(node, moving) and not binding.show
        name = name_of(binding)
        if binding.tooltip and name and not moves:
            found.setdefault(binding.action, Command(name, binding, node, enabled))
    return list(found.values())


def name_of(binding: Binding) -> str:
    """The name of the command."""
    return binding.id or slug(binding.description)


def slug(title: str) -> str:
    """A title as one word: ``full-in`` for ``Full in``."""
    return "-".join(title.lower().split())


def find(commands: Sequence[Command], name: str) -> Command:
    """The command of this name, or of the one name that begins so. Raises UsageError."""
    exact = [command for command in commands if command.name == name]
    begun = exact or [command for command in commands if command.name.startswith(name)]
    if len(begun) == 1:
        if not begun[0].enabled:
            raise UsageError(f"{begun[0].name} can't be used now")
        return begun[0]
    if begun:
        raise UsageError(f"{name} may be {', '.join(sorted(command.name for command in begun))}")
    raise UsageError(f"there is no command {name} here; Tab lists them all")


def read(commands: Sequence[Command], text: str, why_not: Callable[[str], str]) -> Doing:
    """What a line means. Raises UsageError where it means nothing, or its action can't be used now."""
    name, _, rest = text.strip().partition(" ")
    command = find(commands, name)
    if reason := why_not(command.action):
        raise UsageError(reason)
    return command.read(rest.strip())


def words_of(rest: str) -> list[str]:
    """The words of a line as a shell has them. Raises UsageError for a quote without an end."""
    try:
        return shlex.split(rest)
    except ValueError:
        raise UsageError("a quote has no end") from None


def matches(commands: Sequence[Command], text: str) -> list[Choice]:
    """What the last word of a line that is being typed can be."""
    start, last = cut(text)
    if not start.strip():
        return [
            Choice(command.name, f"{command.arguments.form}  {command.about}".strip())
            for command in sorted(commands, key=lambda command: command.name)
            if command.name.startswith(last) and command.enabled
        ]
    name, *words = start.split()
    try:
        command = find(commands, name)
    except UsageError:
        return []
    low = last.lower()
    found = (choice for choice in command.choices(words) if choice.word.lower().startswith(low))
    return list(islice(found, MOST))


def cut(text: str) -> tuple[str, str]:
    """The line up to its last word, and that word, which is empty after a blank."""
    text = text.lstrip()
    at = len(text) - len(text.rpartition(" ")[2])
    return text[:at], text[at:]
