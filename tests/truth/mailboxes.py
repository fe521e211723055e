"""Generated mailboxes: what lies in the folders, and what the maildirsize file says of it.

The figures are drawn around the limit, because that is where answers change. Messages take no room on the disk: their
size is in the name, or the file has a hole.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from tests.mailserver.dovecot import VMAIL_UID

MINUTE = 60.0
# None near the 15 minutes after which an over-limit claim is not believed any more: the two are asked at two times.
AGES = (0.0, 10 * MINUTE, 20 * MINUTE, 48 * 60 * MINUTE)
BIG = 10**12 - 1  # bytes of a message: a longer number in a name is no size to us, though it is one to Dovecot


@dataclass(frozen=True)
class Mailbox:
    """``messages`` are folder (``""`` is INBOX), ``new`` or ``cur``, and size in bytes. ``file`` is maildirsize.

    ``form`` says what lies in its place: a file, a directory, a link to nothing, or nothing. ``exists`` is false where
    nothing was ever delivered.
    """

    limit: int
    messages: tuple[tuple[str, str, int], ...]
    file: bytes
    form: str
    age: float
    exists: bool
    named: bool  # whether the names of the messages tell their size, which is the virtual one, too

    @property
    def held(self) -> int:
        """Bytes in all folders."""
        return sum(size for _, _, size in self.messages)


def limits() -> st.SearchStrategy[int]:
    """Bytes; 0 is unlimited."""
    return st.one_of(
        st.integers(1, 10_000), st.integers(1, 10_000), st.integers(10_000, 5_000_000), st.integers(1, 30),
        st.integers(1, BIG * 9 // 10), st.sampled_from([0, 0, 0, 0, 1, 1024, 2**31 - 1, 2**31, 2**32, 2**53 + 1]),
    )  # fmt: skip


def uses(limit: int) -> st.SearchStrategy[int]:
    """Bytes, mostly near the limit or the part of it that the grace is."""
    near = [max(0, limit + step) for step in (-1, 0, 1)]
    return st.one_of(
        st.integers(0, max(1, limit)),
        st.sampled_from(near),
        st.integers(max(0, limit * 9 // 10), limit + limit // 8 + 2),
    )


@st.composite
def mailboxes(draw: st.DrawFn) -> Mailbox:
    """One that Dovecot may have left, or a crash, a backup, a hand, or another program."""
    limit = draw(limits())
    held = min(draw(uses(limit)), BIG) if limit else draw(st.integers(0, 100_000))
    messages = tuple(_spread(draw, held))
    form = draw(st.sampled_from(["file"] * 12 + ["missing"] * 4 + ["directory", "dangling"]))
    file = draw(_files(limit, held, len(messages))) if form == "file" else b""
    age = draw(st.sampled_from(AGES))
    return Mailbox(limit, messages, file, form, age, draw(st.integers(0, 11)) < 11, draw(st.booleans()))


def _spread(draw: st.DrawFn, held: int) -> list[tuple[str, str, int]]:
    """Over some messages, a share of them in Trash and below it."""
    places = st.sampled_from(["", "", "", ".Trash", ".Trash.Old", ".Sent"])
    messages = []
    for _ in range(draw(st.integers(0, 3))):
        size = draw(st.integers(0, held))
        messages.append((draw(places), draw(st.sampled_from(["new", "cur"])), size))
        held -= size
    return [*messages, (draw(places), "cur", held)] if held or draw(st.booleans()) else messages


def _files(limit: int, held: int, count: int) -> st.SearchStrategy[bytes]:
    header = st.sampled_from([b"%dS" % limit] * 10 + [
        b"%dS,0C" % limit, b"0C,%dS" % limit, b"%dS,5X" % limit, b"%dS,9C" % limit, b"%ds" % limit,
        b"%dS" % (limit + 1),
        b"0S", b"", b"S", b"%d" % limit, b" %dS" % limit, b"%dS\r" % limit, b"%dS,%dS" % (limit, limit + 1), b"5C",
    ])  # fmt: skip
    whole = st.builds(_body, st.one_of(st.just(held), uses(limit)), st.just(count), st.integers(1, 4))
    odd = st.lists(_lines(), max_size=4).map(b"".join)
    body = st.one_of(whole, whole, whole, odd, st.builds(lambda a, b: a + b, whole, odd), st.just(b"1 1\n" * 1300))
    text = st.builds(lambda head, rest: head + b"\n" + rest, header, body)
    cut = st.builds(lambda data, end: data[: max(0, len(data) - end)], text, st.integers(0, 6))
    return st.one_of(text, text, text, cut, st.binary(max_size=40))


def _body(total: int, count: int, lines: int) -> bytes:
    """The sum in so many lines, as deliveries and removals leave it."""
    parts = [total + 700, *[-100] * (lines - 2), -700 + 100 * (lines - 2)] if lines > 1 else [total]
    counts = [count + lines - 1, *[-1] * (lines - 1)]
    return b"".join(b"%d %d\n" % pair for pair in zip(parts, counts, strict=True))


def _lines() -> st.SearchStrategy[bytes]:
    number = st.integers(-10_000, 10_000)
    pair = st.builds(
        lambda a, b, gap: b"%d%b%d\n" % (a, gap, b), number, number, st.sampled_from([b" ", b"\t", b"   "])
    )
    return st.one_of(pair, pair, st.sampled_from([
        b"\n", b"x y\n", b"12\n", b"12.5 1\n", b" 12 1\n", b"12 1 9\n", b"+12 +1\n", b"12-1\n", b"12 1\r\n", b"12 x\n",
        b"0x10 1\n", b"12 1", b"1 2147483648\n", b"1 4294967297\n", b"9223372036854775807 1\n",
        b"99999999999999999999 1\n", b"12,1\n",
    ]))  # fmt: skip


def lay_out(mailbox: Mailbox, maildir: Path) -> None:
    """Put it on disk, as its owner would have it."""
    home = maildir.parent
    home.mkdir(parents=True)
    os.chown(home, VMAIL_UID, VMAIL_UID)
    if not mailbox.exists:
        return
    for folder in sorted({"", *(folder for folder, _, _ in mailbox.messages)}):
        for part in ("", "cur", "new", "tmp"):
            path = maildir / folder / part
            path.mkdir(exist_ok=True)
            os.chown(path, VMAIL_UID, VMAIL_UID)
    for number, (folder, part, size) in enumerate(mailbox.messages):
        _put_message(maildir / folder / part, number, size, named=mailbox.named)
    _put_file(mailbox, maildir / "maildirsize")


def _put_message(directory: Path, number: int, size: int, *, named: bool) -> None:
    flags = ":2,S" if directory.name == "cur" else ""
    path = directory / f"170000000{number}.M{number}P1.mail{f',S={size},W={size}' if named else ''}{flags}"
    path.touch()
    if not named:
        os.truncate(path, size)
    os.chown(path, VMAIL_UID, VMAIL_UID)


def _put_file(mailbox: Mailbox, path: Path) -> None:
    if mailbox.form == "missing":
        return
    if mailbox.form == "directory":
        path.mkdir()
    elif mailbox.form == "dangling":
        path.symlink_to("/nonexistent/maildirsize")
        return
    else:
        path.write_bytes(mailbox.file)
    os.chown(path, VMAIL_UID, VMAIL_UID)
    then = time.time() - mailbox.age
    os.utime(path, (then, then))
