"""The folders of a mailbox as a tree, the largest first. Pure; sizes in bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mailquota.core.base.units import format_size
from mailquota.core.control.results import Folder

from ..draw import format as fmt
from ..draw.format import Line, Run
from ..draw.grid import Context

JUNK = frozenset({"junk", "spam", "junk e-mail", "junk-e-mail", "bulk mail"})
NAME, SIZE, SHARE, MESSAGES = 34, 9, 6, 18  # cells, at most
BAR = 12


@dataclass
class Node:
    """A folder; ``bytes`` and ``messages`` include the folders below it.

    ``whole`` is its whole name; empty for a name that only has folders below it.
    """

    name: str
    whole: str = ""
    bytes: int = 0
    messages: int = 0
    trash: bool = False
    below: dict[str, Node] = field(default_factory=dict)


def tree(folders: Iterable[Folder]) -> Node:
    """The root of all folders. Names are split at ``/`` if one of them has it, else at the dot of Maildir++."""
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
        path[-1].trash, path[-1].whole = folder.trash, folder.name
    return root


def junk(folders: Iterable[Folder]) -> int:
    """The bytes in folders with a usual name for junk, and in those below them."""
    return sum(folder.bytes for folder in folders if JUNK & set(folder.name.lower().replace("/", ".").split(".")))


def names(folders: Iterable[Folder]) -> list[str]:
    """The whole names in the order of ``lines``, each for its line; empty for a line that is no folder itself."""
    return [node.whole for node in _in_order(tree(folders))]


def _in_order(node: Node) -> Iterator[Node]:
    for child in _children(node):
        yield child
        yield from _in_order(child)


def _children(node: Node) -> list[Node]:
    return sorted(node.below.values(), key=lambda child: (-child.bytes, child.name))


def lines(folders: Iterable[Folder], width: int, context: Context, chosen: str = "") -> Iterator[Line]:
    """One line for each folder, with its share of the mailbox. The ``chosen`` one has a sign before it."""
    root = tree(folders)
    rows = list(_walk(root, context))
    longest = max((fmt.width_of([(before + name, "")]) for before, name, _node in rows), default=0)
    room = max(8, min(longest, NAME, width - SIZE - SHARE - 3))
    counts = width >= room + SIZE + SHARE + MESSAGES + 3
    bar = BAR if width >= room + SIZE + SHARE + MESSAGES + BAR + 5 else 0
    for before, name, node in rows:
        share = 100 * node.bytes / root.bytes if root.bytes else 0.0
        here = bool(chosen) and node.whole == chosen
        line: list[Run] = [
            (f"{context.glyphs.chosen if here else ' '}{before}", "key" if here else "faint"),
            (fmt.fit(name, max(1, room - len(before)), context.glyphs), "accent" if here else "plain"),
            (f" {format_size(node.bytes):>{SIZE}}", "plain"),
            (f"{'< 1 %' if 0 < share < 1 else fmt.percent_text(share, context.glyphs):>{SHARE}}", "quiet"),
        ]
        if bar:
            line += [("  ", "plain"), *fmt.meter(share, "ok", bar, context.glyphs)]
        if counts:
            line.append((f"{fmt.plural(node.messages, 'message'):>{MESSAGES}}", "quiet"))
        yield tuple(line)


def _walk(node: Node, context: Context, before: str = "", depth: int = 0) -> Iterator[tuple[str, str, Node]]:
    """Each folder, with its name and the branches of the tree before it. A Trash folder says that it is one."""
    between, last, beside = context.glyphs.branches
    children = _children(node)
    for child in children:
        end = child is children[-1]
        name = fmt.literal(child.name, context.glyphs)
        if child.trash and not node.trash and name != "Trash":
            name += " (Trash)"
        yield (before + (last if end else between) if depth else ""), name, child
        yield from _walk(child, context, before + ("  " if end else beside) if depth else "", depth + 1)
