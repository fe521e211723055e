"""Cuts what the terminal sends into keys, escape sequences, pastes and mouse reports. No I/O and no clock.

Theory of operation. Textual decodes the bytes strictly and reads an Esc together with what follows it, so that one byte
that is not UTF-8 ends the console, and an Esc that came in one packet with the next key is lost together with that key.
Here the bytes are cut first, and Textual's parser gets only complete sequences, one at a time:

- A byte that is not UTF-8 is left out; what stands beside it counts.
- ``ESC [ M`` and three bytes is an X10 mouse report, whose bytes beyond column 95 are no UTF-8. Nothing asked for it,
  so the terminal has forgotten its mouse mode.
- An Esc before anything that begins no sequence is the key Esc, and what follows it is the next key.
- The text of a paste is one token; in it nothing is a key.

What may be the beginning of a sequence waits for the rest: ``waiting`` says for how long. ``expire`` gives it up then.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

KEY_SECONDS = 0.1  # an Esc, alone or before one sign that may begin a sequence: likely a key
REST_SECONDS = 1.0  # a sequence that has begun for certain, on a slow line
PASTE_SECONDS = 3.0  # a paste, whose end may be lost
LONGEST = 256  # bytes of a sequence
LONGEST_REPLY = 65_536  # bytes of an answer of the terminal, as with its clipboard; it is left out
LONGEST_PASTE = 1 << 20  # bytes; what is beyond is left out

_ESC = 0x1B
_PASTE, _PASTE_END = b"\x1b[200~", b"\x1b[201~"
_X10 = re.compile(rb"\x1b\[M(...)", re.DOTALL)
_CSI = re.compile(rb"\x1b\[(?:\[[A-E]|[0-?]*[ -/]*[@-Z\\-~])")  # ``ESC [ [ A`` is F1 of the Linux console
_CSI_BEGUN = re.compile(rb"\x1b\[(?:\[|[0-?]*[ -/]*)\Z")
_CSI_BODY = re.compile(rb"\x1b\[[0-?]*[ -/]*")
_SS3 = re.compile(rb"\x1bO[A-DFHMP-Sj-y]")
_REPLY_BEGUN = re.compile(rb"\x1b(?:\][0-9]|P[0-9>!]|_G)")  # an answer of the terminal; Esc and such a key is no answer
_REPLY = re.compile(rb"\x1b[\]P_].*?(?:\x07|\x1b\\)", re.DOTALL)


class Kind(Enum):
    """What a token is."""

    TEXT = "characters, each of them a key"
    ESCAPE = "the key Esc"
    SEQUENCE = "a complete escape sequence"
    PASTE = "text that was pasted"
    OLD_MOUSE = "a mouse report in a form that nothing asked for"


class Token(NamedTuple):
    """``text`` is empty for a kind that says all."""

    kind: Kind
    text: str = ""


class Cutter:
    """Feed it bytes; what is incomplete stays until the rest comes, or ``expire`` is called."""

    def __init__(self) -> None:
        self._held = b""
        self._pasted: bytes | None = None  # None outside of a paste
        self._decode = getincrementaldecoder("utf-8")("ignore").decode

    @property
    def waiting(self) -> float | None:
        """Seconds without a byte after which ``expire`` is due; None if nothing is waited for."""
        if self._pasted is not None:
            return PASTE_SECONDS
        if not self._held:
            return None
        return KEY_SECONDS if len(self._held) <= 2 else REST_SECONDS

    def feed(self, data: bytes) -> list[Token]:
        """The tokens that are complete now."""
        self._held += data
        return list(self._cut())

    def expire(self) -> list[Token]:
        """The rest did not come: an Esc is that key, a paste ends; a sequence that was cut is left out."""
        held, self._held = self._held, b""
        if self._pasted is not None:
            self._keep(held)
            return [self._end_paste()]
        if not held or len(held) > 2:
            return []
        return [Token(Kind.ESCAPE), *self._text(held[1:])]

    def _cut(self) -> Iterator[Token]:
        while self._held:
            if self._pasted is not None:
                if not self._take_paste():
                    return
                yield self._end_paste()
            elif self._held[0] != _ESC:
                text, esc, rest = self._held.partition(b"\x1b")
                self._held = esc + rest
                yield from self._text(text)
            else:
                token = self._escape()
                if token is None:
                    return
                if token.kind is not Kind.TEXT:
                    yield token

    def _escape(self) -> Token | None:
        """Take what begins with an Esc; None if it is not complete. A token of TEXT stands for what is left out."""
        held = self._held
        if held.startswith(_PASTE):
            self._pasted = b""
            return self._dropped(len(_PASTE))
        if held.startswith(b"\x1b[M"):
            return self._taken(_X10.match(held), Kind.OLD_MOUSE)
        if found := _CSI.match(held) or _SS3.match(held):
            return self._taken(found, Kind.SEQUENCE)
        if _REPLY_BEGUN.match(held):
            return self._reply()
        return None if self._may_go_on() else self._broken()

    def _may_go_on(self) -> bool:
        """Whether more bytes could make a sequence of what is held."""
        if self._held in {b"\x1b", b"\x1bO", b"\x1b]", b"\x1bP", b"\x1b_"}:
            return True
        return _CSI_BEGUN.match(self._held) is not None and len(self._held) <= LONGEST

    def _broken(self) -> Token:
        """No sequence: the key Esc, and keys after it. What has begun as one for certain is left out."""
        found = _CSI_BODY.match(self._held)
        if found is not None and found.end() > len(b"\x1b["):
            return self._dropped(found.end())
        self._drop(1)
        return Token(Kind.ESCAPE)

    def _reply(self) -> Token | None:
        found = _REPLY.match(self._held)
        if found:
            return self._dropped(found.end())
        return None if len(self._held) <= LONGEST_REPLY else self._dropped(len(self._held))

    def _taken(self, found: re.Match[bytes] | None, kind: Kind) -> Token | None:
        if found is None:
            return None
        self._drop(found.end())
        return Token(kind, found.group().decode("ascii") if kind is Kind.SEQUENCE else "")

    def _dropped(self, count: int) -> Token:
        self._drop(count)
        return Token(Kind.TEXT)

    def _drop(self, count: int) -> None:
        self._held = self._held[count:]

    def _text(self, data: bytes) -> Iterator[Token]:
        text = self._decode(data)
        if text:
            yield Token(Kind.TEXT, text)

    # ---- pastes

    def _take_paste(self) -> bool:
        """Take pasted text; whether its end was among it. What may be the start of the end is kept."""
        text, end, rest = self._held.partition(_PASTE_END)
        if not end:
            keep = next((n for n in range(len(_PASTE_END) - 1, 0, -1) if text.endswith(_PASTE_END[:n])), 0)
            text, rest = text[: len(text) - keep], text[len(text) - keep :]
        self._held = rest
        self._keep(text)
        return bool(end)

    def _keep(self, text: bytes) -> None:
        assert self._pasted is not None
        self._pasted += text[: max(0, LONGEST_PASTE - len(self._pasted))]

    def _end_paste(self) -> Token:
        pasted, self._pasted = self._pasted or b"", None
        return Token(Kind.PASTE, pasted.decode("utf-8", "ignore").replace("\x00", ""))
