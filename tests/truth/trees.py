"""Generated Maildirs: folders and names that clients, other programs, backups and hands leave."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from tests.mailserver.dovecot import VMAIL_UID

TRASH = ("Trash", "Papierkorb", "Deleted Items", "Elementos &AOk-liminados")
TRASH_READABLE = ("Trash", "Papierkorb", "Deleted Items", "Elementos éliminados")
# Modified UTF-7 of RFC 3501, right and wrong; names that no mail client makes, and files that are no folders. Not
# among them: a name of two dots and more, for each of which Dovecot 2.3 counts INBOX once more; and one that is not
# UTF-8, because Dovecot renames that when it lists it.
FOLDERS = [
    *(f".{name}" for name in TRASH), ".Trash.Old", ".Trash.2024.May", ".Papierkorb.x", ".Sent", ".Archive.2024",
    ".trash", ".TRASH", ".Trashcan", ".Trash-old", ".Deleted Items.deep.down", ".INBOX", ".inbox", ".INBOX.Trash",
    ".inbox.x", ".INBOX.x", ".Entw&APw-rfe",
    ".&AOQ-&ZeVnLIqe-", ".R&-D", ".&", ".&bad", ".b&AOQ", ".a b", ".a*b", ".100%", ".a/b", ".x.", ".x..y", "plain",
    "Trash", ".dovecot", ".subscriptions", ".\u00e4", ".a\x01b", '.quote"d', ".back\\slash", ".~home", ".#x",
]  # fmt: skip
# With its driver count Dovecot has to open folders, and refuses names with an empty part, a slash, or ~ at the start.
ORDERLY = [name for name in FOLDERS if name not in {".x.", ".x..y", ".a/b", ".~home"}]
PARTS = ("cur", "new", "tmp")
FLAGS = ["", ":2,", ":2,S", ":2,FRST", ":2,Sab", ":1,x", ":2,S,X", ":", "!2,S", ":2,S:2,T"]
LIMIT = 10**9


@dataclass(frozen=True)
class Message:
    """One directory entry; ``size`` in bytes on disk. ``kind`` is file, crlf, hole, directory, link or dangling."""

    folder: str
    part: str
    name: str
    size: int
    kind: str


@dataclass(frozen=True)
class Tree:
    """A Maildir; ``folders`` are there with these of their three directories. ``file`` is maildirsize, if any."""

    folders: tuple[tuple[str, tuple[str, ...]], ...]
    messages: tuple[Message, ...]
    file: bytes | None


def _names() -> st.SearchStrategy[str]:
    size = st.integers(0, 99_999).map(str)
    told = st.one_of(
        size.map(lambda s: f",S={s}"), size.map(lambda s: f",S={s},W={int(s) + 40}"), size.map(lambda s: f",W={s}"),
        size.map(lambda s: f",W={s},S={s}"), size.map(lambda s: f",S={s},S=5"), size.map(lambda s: f",S={s}x"),
        size.map(lambda s: f",s={s}"), size.map(lambda s: f",S= {s}"), size.map(lambda s: f",S=-{s}"),
        size.map(lambda s: f"S={s}"), size.map(lambda s: f",S=x,S={s}"), size.map(lambda s: f",S={s},X"),
        st.sampled_from(["", "", "", ",S=", ",S=,S=7", ",,S=8", ",S=9,", ",S=007", ",S=+5", ",S=12 "]),
    )  # fmt: skip
    usual = st.builds("170{0:07d}.M1P{0}.mail{1}{2}".format, st.integers(0, 10**7 - 1), told, st.sampled_from(FLAGS))
    odd = st.sampled_from([
        ".hidden", ".hidden,S=9", "..two", "..two,S=8", "dovecot.index", "dovecot-uidlist", "x~", "#x#", "core", " ",
        "-", "new\nline,S=3", "\udcff,S=4", "\u00e4", "tab\t", "a:2,S,S=6", "1:2,S=7", "x.lock", ".nfs0001", "...",
        ".:2,S",
    ])  # fmt: skip
    return st.one_of(usual, usual, usual, usual, odd)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """INBOX is whole, unless something took a part of it."""
    named = draw(st.lists(st.sampled_from(FOLDERS), unique=True, max_size=6))
    whole = st.just(PARTS)
    parts = st.one_of(whole, whole, whole, st.lists(st.sampled_from(PARTS), unique=True).map(tuple))
    folders = (("", PARTS), *((name, draw(parts)) for name in named))
    places = [(folder, part) for folder, parts in folders for part in parts]
    entries = {}
    for _ in range(draw(st.integers(0, 12))):
        folder, part = draw(st.sampled_from(places))
        entries[folder, part, draw(_names())] = (draw(st.integers(0, 9000)), draw(_kinds()))
    messages = (Message(*place, *what) for place, what in entries.items())
    return Tree(tuple(folders), tuple(messages), draw(_files()))


@st.composite
def orderly_trees(draw: st.DrawFn) -> Tree:
    """What Dovecot opens without an error: its driver count opens files whose names do not tell the virtual size."""
    named = draw(st.lists(st.sampled_from(ORDERLY), unique=True, max_size=6))
    places = [(folder, part) for folder in ("", *named) for part in PARTS]
    messages = []
    for number in range(draw(st.integers(0, 12))):
        size, virtual = draw(st.integers(0, 9000)), draw(st.integers(0, 99_999))
        told = draw(st.sampled_from(["", f",S={size}", f",S={size},W={virtual}", f",W={virtual}", ",X=3"]))
        folder, part = draw(st.sampled_from(places))
        name = f"170{number:07d}.M1P{number}.mail{told}{draw(st.sampled_from(FLAGS[:5]))}"
        kind = draw(st.sampled_from(["file", "file", "crlf", "hole"]))
        messages.append(Message(folder, part, draw(st.sampled_from([name] * 9 + [f".{name}"])), size, kind))
    return Tree((("", PARTS), *((folder, PARTS) for folder in named)), tuple(messages), draw(_files()))


def _kinds() -> st.SearchStrategy[str]:
    return st.sampled_from(["file"] * 12 + ["hole", "link", "dangling", "directory"])


def _files() -> st.SearchStrategy[bytes | None]:
    """None: it is not there. A broken one is counted over, a believed one is what it says."""
    broken = st.sampled_from([b"", b"x\n", b"%dS\n-5 -1\n" % LIMIT, b"7S\n9 1\n", b"%dS\n1 1\n2 x\n" % LIMIT, b"\0\0"])
    lines = st.lists(st.tuples(st.integers(0, 99_999), st.integers(0, 9)), min_size=1, max_size=4)
    believed = lines.map(lambda pairs: b"%dS\n" % LIMIT + b"".join(b"%d %d\n" % pair for pair in pairs))
    return st.one_of(st.none(), st.none(), st.none(), broken, broken, believed)


def plant(tree: Tree, maildir: Path) -> None:
    """Put it on disk."""
    for path in (maildir.parent, maildir):
        path.mkdir(parents=True)
        os.chown(path, VMAIL_UID, VMAIL_UID)
    for folder, parts in tree.folders:
        for part in ("", *parts):
            path = maildir / folder / part
            path.mkdir(exist_ok=True, parents=True)
            os.chown(path, VMAIL_UID, VMAIL_UID)
    for message in tree.messages:
        _plant(message, maildir / message.folder / message.part / message.name)
    if tree.file is not None:
        (maildir / "maildirsize").write_bytes(tree.file)
        os.chown(maildir / "maildirsize", VMAIL_UID, VMAIL_UID)
    for path in maildir.rglob("*"):  # settled: a change within the second of a count can't be told by its time
        if path.is_dir() and not path.is_symlink():
            os.utime(path, (10**9, 10**9))
    os.utime(maildir, (10**9, 10**9))


def _plant(message: Message, path: Path) -> None:
    match message.kind:
        case "directory":
            path.mkdir()
        case "link":
            path.symlink_to("..")
        case "dangling":
            path.symlink_to("/nonexistent")
        case kind:
            line = {"hole": b"", "crlf": b"x" * 69 + b"\r\n"}.get(kind, b"x" * 70 + b"\n")
            path.write_bytes(line * (message.size // 71 + 1))
            os.truncate(path, message.size)
    os.chown(path, VMAIL_UID, VMAIL_UID, follow_symlinks=False)
