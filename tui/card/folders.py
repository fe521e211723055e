"""The folders of a mailbox as a tree, the largest first. Pure; sizes in bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mailquota.core.base.units import format_size
from mailquota.core.control.results import Folder
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.format import Line, Run
from mailquota.tui.draw.grid import Look

JUNK = frozenset({"junk", "spam", "junk e-mail", "junk-e-mail", "bulk mail"})
NAME, SIZE, SHARE, MESSAGES = 34, 9, 6, 18  # cells, at most
BAR = 12


@dataclass
class Node:
    """A folder with all below it: ``bytes`` and ``messages`` are of both."""

    name: str
    bytes: int = 0
    messages: int = 0
    trash: bool = False
    below: dict[str, Node] = field(default_factory=dict)


def tree(folders: Iterable[Folder]) -> Node:
    """The whole mailbox. Names are cut at ``/`` where one has it, else at Maildir++'s dot."""
    listed = list(folders)
    cut = "/" if any("/" in folder.name for folder in listed) else "."
    root = Node("")
    for folder in listed:
        path = [root]
        for part in folder.name.split(cut):
            path.append(path[-1].below.setdefault(part, Node(part or cut)))
        for node in path:
            node.bytes += folder.bytes
            node.messages += folder.messages
        path[-1].trash = folder.trash
    return root


def junk(folders: Iterable[Folder]) -> int:
    """What lies in folders for junk, by their usual names, and below them."""
    return sum(folder.bytes for folder in folders if JUNK & set(folder.name.lower().replace("/", ".").split(".")))


def lines(folders: Iterable[Folder], width: int, look: Look) -> Iterator[Line]:
    """One line a folder, with its share of the mailbox."""
    root = tree(folders)
    rows = list(_walk(root, look))
    longest = max((fmt.width_of([(before + name, "")]) for before, name, _node in rows), default=0)
    room = max(8, min(longest, NAME, width - SIZE - SHARE - 3))
    counts = width >= room + SIZE + SHARE + MESSAGES + 3
    bar = BAR if width >= room + SIZE + SHARE + MESSAGES + BAR + 5 else 0
    for before, name, node in rows:
        share = 100 * node.bytes / root.bytes if root.bytes else 0.0
        line: list[Run] = [
            (f" {before}", "faint"),
            (fmt.fit(name, max(1, room - len(before)), look.glyphs), "plain"),
            (f" {format_size(node.bytes):>{SIZE}}", "plain"),
            (f"{'< 1 %' if 0 < share < 1 else fmt.percent_text(share, look.glyphs):>{SHARE}}", "quiet"),
        ]
        if bar:
            line += [("  ", "plain"), *fmt.meter(share, "ok", bar, look.glyphs)]
        if counts:
            line.append((f"{fmt.plural(node.messages, 'message'):>{MESSAGES}}", "quiet"))
        yield tuple(line)


def _walk(node: Node, look: Look, before: str = "", depth: int = 0) -> Iterator[tuple[str, str, Node]]:
    """Every folder with its name and what is drawn before it; one that counts as Trash says so."""
    between, last, beside = look.glyphs.branches
    children = sorted(node.below.values(), key=lambda child: (-child.bytes, child.name))
    for child in children:
        end = child is children[-1]
        name = fmt.literal(child.name, look.glyphs)
        if child.trash and not node.trash and name != "Trash":
            name += " (Trash)"
        yield (before + (last if end else between) if depth else ""), name, child
        yield from _walk(child, look, before + ("  " if end else beside) if depth else "", depth + 1)
