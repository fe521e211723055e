"""The foot: the keys of the screen, made from its bindings, and how many accounts are marked."""

from __future__ import annotations

from textual import events
from textual.app import ScreenStackError
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import Input

from ..desk.desk import LiveScreen
from ..draw import format as fmt
from ..draw.format import Line, Run
from ..draw.glyphs import Glyphs
from .painted import Painted

PALETTE = "command_palette"
ALWAYS = frozenset({"help", PALETTE, "leave"})  # shown on the right at any width
# Which keys stay where not all fit: first those that act on accounts. LUXURY goes first.
REPLAY = ("replay_pause", "replay_step", "replay_pace", "replay_jump")
DOWN = ("open", "screen.open_folder")  # a step down: from the list to the card, from the card to a folder
WANTED = (*REPLAY, "edit_limit", "empty_trash", "clear_marks", "recalculate", *DOWN, "filter", "mark", "warn", "undo")
LOOKING = (*DOWN, "filter", *REPLAY)  # change nothing, so they come first
LUXURY = (PALETTE, "invert")
SHORTER = {"Recalculate": "Recount"}
ROOMY = 100  # columns; a narrower foot leaves the key of the palette out
GAP = 2
NAMES = {
    "slash": "/",
    "colon": ":",
    "tilde": "~",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "shift+up": "Shift+Up",
    "shift+down": "Shift+Down",
    "asterisk": "*",
    "full_stop": ".",
    "comma": ",",
    "left_parenthesis": "(",
    "right_parenthesis": ")",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
    "at": "@",
    "apostrophe": "'",
    "plus": "+",
    "minus": "-",
    "question_mark": "?",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "escape": "Esc",
}


def key_name(binding: Binding, glyphs: Glyphs) -> str:
    """The name of the key as it is printed on a keyboard."""
    if binding.key_display and (binding.key_display.isascii() or not glyphs.ascii_only):
        return binding.key_display
    key = binding.key.removeprefix("upper_")
    if key.startswith("ctrl+"):
        return "^" + key.removeprefix("ctrl+")
    return NAMES.get(key, key if len(key) == 1 else key.capitalize())


def _looking(binding: Binding) -> int:
    """The place among keys that change nothing; all others come after them."""
    action = binding.action.partition("(")[0]
    return LOOKING.index(action) if action in LOOKING else len(LOOKING)


def is_typed(binding: Binding) -> bool:
    """Whether the key writes a character while an input has the focus."""
    shown = binding.key_display or NAMES.get(binding.key, binding.key)
    return all(len(name) == 1 and name.isascii() for name in shown.split())


def rank(binding: Binding) -> int:
    """The order in which keys are dropped where there is no room: the highest first. Quit, Back and Help stay
    longest."""
    action = binding.action.partition("(")[0]
    if binding.key == "escape" or action in {"help", "leave"}:
        return 0
    if action in WANTED:
        return 1 + WANTED.index(action)
    return 1 + len(WANTED) + (1 + LUXURY.index(action) if action in LUXURY else 0)


class Foot(Painted):
    """One line of keys; a click on one presses it."""

    def __init__(self, glyphs: Glyphs, *, indent: int = 1) -> None:
        super().__init__(id="foot")
        self._glyphs = glyphs
        self._indent = indent
        self._short = False
        self._left: Line = ()
        self._zones: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        """Follow the bindings of the screen."""
        self.screen.bindings_updated_signal.subscribe(self, self._follow)

    def _follow(self, _screen: Screen[object]) -> None:
        self.show(self._left)

    def on_resize(self) -> None:
        """Show as many keys as fit now."""
        self.show(self._left)

    def show(self, left: Line) -> None:
        """Draw the keys, with ``left`` before them."""
        self._left = left
        try:
            active = self.screen.active_bindings
        except ScreenStackError:  # the screen is being taken down
            return
        typing = isinstance(self.screen.focused, Input)
        nodes = list(dict.fromkeys(each.node for each in active.values()))
        # Keys that only look come first, then the screen's own before those of its parts, and the way out last.
        order = sorted(active.values(), key=lambda each: -nodes.index(each.node))
        order.sort(key=lambda each: (each.binding.key == "escape", _looking(each.binding)))
        roomy = self.size.width >= ROOMY
        usable = (each.binding for each in order if each.enabled and each.binding.show)
        shown = (each for each in usable if (roomy or each.action != PALETTE) and not (typing and is_typed(each)))
        self.paint([self._compose_line(left, list({each.action: each for each in shown}.values()))])

    def _compose_line(self, left: Line, bindings: list[Binding]) -> Line:
        self._zones = []
        runs: list[Run] = [(" " * self._indent, "plain"), *left]
        if left:
            runs.append((" " * GAP, "plain"))
        kept = self._fitting(bindings, self.size.width - fmt.width_of(runs) - 1)
        right = [each for each in kept if each.action in ALWAYS]
        for binding in (each for each in kept if each not in right):
            self._add(runs, binding)
        start = self.size.width - self._total(right)
        runs.append((" " * max(0, start - fmt.width_of(runs)), "plain"))
        for binding in right:
            self._add(runs, binding)
        return tuple(runs)

    def _fitting(self, bindings: list[Binding], room: int) -> list[Binding]:
        """The keys with their names; if they don't fit, with short names, the least important left out."""
        self._short = False
        self._short = self._total(bindings) > room
        kept: list[Binding] = []
        for binding in sorted(bindings, key=rank):
            if self._total([*kept, binding]) <= room:
                kept.append(binding)
        return [binding for binding in bindings if binding in kept]

    def _total(self, bindings: list[Binding]) -> int:
        return sum(self._width(binding) + GAP for binding in bindings)

    def _called(self, binding: Binding) -> str:
        """The name of the key; its last word where there is little room: Limit for Edit limit."""
        name = binding.description
        return SHORTER.get(name, name.rpartition(" ")[2].capitalize()) if self._short else name

    def _width(self, binding: Binding) -> int:
        return len(key_name(binding, self._glyphs)) + 1 + len(self._called(binding))

    def _add(self, runs: list[Run], binding: Binding) -> None:
        start = fmt.width_of(runs)
        # A key that can't be used now stays, dim; it says why when it is pressed.
        usable = not (isinstance(self.screen, LiveScreen) and self.screen.desk.why_not(binding.action))
        looks = ("key", "quiet") if usable else ("quiet", "faint")
        runs += [(key_name(binding, self._glyphs), looks[0]), (f" {self._called(binding)}", looks[1])]
        runs.append((" " * GAP, "plain"))
        self._zones.append((start, start + self._width(binding), binding.key))

    def on_click(self, event: events.Click) -> None:
        """Press the key under the mouse."""
        for start, end, key in self._zones:
            if start <= event.x < end:
                self.app.simulate_key(key)
