"""docs/keys.md, made from the bindings of the running console: ``python -m tests.keys_page > docs/keys.md``."""

from __future__ import annotations

from textual.binding import Binding

from mailquota.tui.desk.modes import MODES
from mailquota.tui.draw.glyphs import UNICODE
from mailquota.tui.frame.help import keys_of, typed_of
from mailquota.tui.frame.replaying import REPLAY_KEYS
from mailquota.tui.widgets.foot import key_name
from tests.tui import past
from tests.tui.stage import Stage, play

INTRO = """# Keys

`?` shows the keys of the screen one is at, `Ctrl+P` every action by name. The foot of the screen has those that are
wanted most.

Keys that act on accounts act on the marked ones, else on the one under the cursor. Nothing that destroys is done on one
key: a dialog says what will happen, and *Cancel* has the focus. In dialogs `Tab` and the arrows go to the next part,
`Enter` takes what has the focus, `Esc` leaves. `Esc` never quits.

`Esc` while an order is carried out says that it is sent and can't be called back; its result is told also after the
dialog was closed. `Ctrl+L` paints the screen anew if another program wrote on it. `Ctrl+Z` suspends the console; one
with an engine of its own offers to leave it in the background instead, as nobody else would answer Postfix.

Copying (`y`) uses tmux's buffer in tmux, and else the terminal's clipboard (OSC 52). It says so if neither can be
reached. `Y` shows the same text on a plain screen, where the terminal's own mouse can select it. `M`, and the option
`--no-mouse`, leave the mouse to the terminal everywhere. `--ascii` is for fonts without block signs.

A dialog that changes something shows the command that does the same, quoted for a shell. It is shortened on the screen;
`Ctrl+Y` copies all of it. `L` shows the commands of this console, each with its time and what became of it.

In the list of an edit of several limits, and in that of an undo, `x` leaves the account under the cursor out, or takes
it in again.

`x` exports what a table shows: the marked rows, else all that the filter shows, in their order, with their columns or
with all that is known. As CSV (no cell of it is run as a formula), JSON, text, or as the command that prints the same.
To a file that only you may read, to the clipboard, or to a plain screen. A file that is there is replaced only by a
second `Enter`, and only if it is your own; a link is neither followed nor replaced. In CSV and JSON sizes are bytes and
times are UTC, with the keys that the commands have.

`Enter` leads down: from a domain to its accounts, from an account to its card, from there to a folder. The title says
the way: `Domains › example.org › john@example.org › Trash`. `Esc` leads one step back, to the line that one left, with
the filter and the order of before. A filter that was typed within a domain is a step of its own. On a card the arrows
choose the folder that `Enter` opens, and scroll where no further folder is in view; so does a click, and a double click
opens it.

`:` takes an action by its name, with arguments: `:set +2G until friday "ticket 4711"`, `:export csv ~/full.csv`,
`:journal`. The names are those of the shell's commands, and else those of the palette; the beginning of one is enough
where no other begins so. `Tab` completes, and lists what can be typed; `Up` brings back the commands of before, also of
earlier runs. What changes something opens its dialog with these values in it, for the marked accounts, for the one
under the cursor, or for those that are named.

Each screen remembers its last filters (`Up` in the filter line) and those that were kept under a letter (`F` and the
letter; `'` and the letter brings one back), also in later runs.

Every table sorts: by `<` `>`, by a click on a title, by `o` and a name; the same title again, or `I`, turns it round.
Decisions, Warnings and Journal come by time; the title says so if they are sorted otherwise.

With `--read-only`, and for members of `control.read_only_group`, the keys that change something
are dim and say why they can't be used. So do they while the engine is lost, and those that edit limits where the
database account may only read.

This page is made from the program's own bindings.

## Habits from other programs

| habit | known from | here |
|---|---|---|
| a command with arguments, completed | vim, k9s (`:`), VisiData (`Space`) | `:`, `Tab` |
| filter as one types | k9s, lazygit (`/`), htop (`F4`), btop (`f`) | `/`, `F4` |
| next and previous match | vim, less, VisiData (`n` `N`) | `n` `N`; with a filter each line is a match |
| regular expressions, one or another | k9s, VisiData | `/regex/`, `over\\|near`, on Accounts |
| what was typed before | VisiData (`Up`) | `Up` behind `/` and `:`, in later runs too |
| half pages, both ends | vim, less | `Ctrl+D` `Ctrl+U`, `g` `G` |
| sort by the next column, by a menu | htop (`F6`, `>`), btop (arrows) | `<` `>`, `F6`; `o` has the menu |
| sort the other way round | htop (`I`), btop (`r`) | `I` |
| tag lines | htop (`Space`), VisiData (`s`) | `Space`; `v`, or Shift and an arrow, for a range; `*` all, `u` none |
| undo | lazygit (`z`), VisiData (`U`) | `U`; in the Journal also the undo of an undo |
| hold the screen still | htop (`Z`) | `p` |
| draw less often | btop (`+` `-`) | `+` `-` |
| help, quit | htop (`F1`, `F10`) | `?` or `F1`, `q` or `F10` |
| paint anew, suspend | vim, less (`Ctrl+L`, `Ctrl+Z`) | the same |
"""
SHARED = ("Moving", "Everywhere")
REPLAY = """
## In a replay

Nothing can be changed there. [Recordings and replay](replay.md) has more.

| key | does |
|---|---|
"""


def page() -> str:
    """The whole page."""
    found: dict[str, list[tuple[str, str]]] = {}
    typed: dict[str, str] = {}

    async def collect(stage: Stage) -> None:
        for mode in MODES:
            await stage.press(mode.key)
            typed.update((form, words) for form, words in typed_of(stage.app.screen) if form not in typed)
            for name, keys in keys_of(stage.app.screen, UNICODE).items():
                known = found.setdefault(name, [])
                known += [entry for entry in keys if entry not in known]
        await stage.press("1", "enter")
        found["Card"] = keys_of(stage.app.screen, UNICODE)["Card"]
        await stage.sees(UNICODE.chosen)
        await stage.press("enter")
        found["Folder"] = keys_of(stage.app.screen, UNICODE)["Folder"]

    play(collect, examine=past.findings)
    found["Everywhere"].sort(key=lambda entry: entry[0] if entry[0].isdigit() else "~")
    names = [name for name in found if name not in SHARED]
    keys = "".join(_section(name, found[name]) for name in (*names, *SHARED))
    rows = "".join(
        f"| `:{form}` | {words} |\n".replace(" | ", " \\| ", form.count(" | ")) for form, words in sorted(typed.items())
    )
    return f"{INTRO}{keys}\n## Commands with arguments\n\n| command | does |\n|---|---|\n{rows}{REPLAY}{_replay()}"


def _replay() -> str:
    """The keys that only a replay has."""
    bindings = [each for each in REPLAY_KEYS if isinstance(each, Binding)]
    return "".join(f"| {_code(key_name(each, UNICODE))} | {each.tooltip} |\n" for each in bindings)


def _section(name: str, keys: list[tuple[str, str]]) -> str:
    rows = "".join(f"| {_code(key)} | {words} |\n" for key, words in keys)
    return f"\n## {name}\n\n| key | does |\n|---|---|\n{rows}"


def _code(keys: str) -> str:
    return " ".join(f"`{key}`" for key in keys.split())


if __name__ == "__main__":
    print(page(), end="")
