"""How the bytes of a terminal are cut into keys, sequences, pastes and mouse reports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual.message import Message

from mailquota.tui.frame.driver import Sequences
from mailquota.tui.frame.keyboard import Cutter, Kind, Token


def _said(tokens: list[Token]) -> list[str]:
    """Text as it is, other tokens by their names."""
    return [token.text if token.kind in {Kind.TEXT, Kind.SEQUENCE} else token.kind.name for token in tokens]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"\xfca", ["a"], id="Latin 1"),
        pytest.param(b"\xe4\xf6j", ["j"], id="Latin 1, the start of a longer character"),
        pytest.param("jü€".encode(), ["jü€"], id="UTF-8"),
        pytest.param(b"\xed\xa0\x80j", ["j"], id="half a character of UTF-16"),
        pytest.param(b"\x1b[M#\xff\xffj", ["OLD_MOUSE", "j"], id="X10 mouse beyond column 95"),
        pytest.param(
            b"\x1b[M\x1b\x1b[j", ["OLD_MOUSE", "j"], id="X10 mouse whose bytes look like the start of a sequence"
        ),
        pytest.param(b"\x1bj", ["ESCAPE", "j"], id="Esc and j"),
        pytest.param(b"\x1b\r", ["ESCAPE", "\r"], id="Esc and Enter"),
        pytest.param(b"\x1b5", ["ESCAPE", "5"], id="Esc and 5"),
        pytest.param(b"\x1bOe", ["ESCAPE", "Oe"], id="Esc and O"),
        pytest.param(b"\x1b\xc3\xbc", ["ESCAPE", "ü"], id="Esc and ü"),
        pytest.param(b"\x1b\x1b[A", ["ESCAPE", "\x1b[A"], id="Esc and Up"),
        pytest.param(b"\x1b\x1b\x1bq", ["ESCAPE", "ESCAPE", "ESCAPE", "q"], id="Esc thrice and q"),
        pytest.param(b"j\x1b[1;5Cj", ["j", "\x1b[1;5C", "j"], id="Ctrl and Right between keys"),
        pytest.param(b"\x1bOA\x1b[[A", ["\x1bOA", "\x1b[[A"], id="arrow of keypad mode, F1 of the Linux console"),
        pytest.param(b"\x1b]11;rgb:0/0/0\x07j", ["j"], id="an answer about colours"),
        pytest.param(b"\x1bP1+r5463\x1b\\j", ["j"], id="an answer about capabilities"),
        pytest.param(b"\x1b[200~a\x1b[Ab\x1b[201~j", ["PASTE", "j"], id="a paste with a sequence in it"),
    ],
)
def test_bytes(data: bytes, expected: list[str]) -> None:
    """In one packet, and byte by byte: the tokens are the same, but that an Esc alone waits for what follows."""
    assert _said(Cutter().feed(data)) == expected
    cutter, found = Cutter(), list[str]()
    for byte in data:
        found += _said(cutter.feed(bytes([byte])))
    assert "".join(found) == "".join(expected)
    assert cutter.waiting is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x1b", ["ESCAPE"]),
        (b"\x1b[", ["ESCAPE", "["]),
        (b"\x1bO", ["ESCAPE", "O"]),
        (b"\x1b[1;5", []),
        (b"\x1b[M#", []),
        (b"\x1b]11;rgb:0", []),
        (b"\x1b[200~half", ["PASTE"]),
    ],
)
def test_what_never_is_completed(data: bytes, expected: list[str]) -> None:
    """An Esc, alone or with one sign, is a key after a moment; a part of a sequence is left out."""
    cutter = Cutter()
    assert _said(cutter.feed(data)) == []
    assert cutter.waiting is not None
    assert _said(cutter.expire()) == expected
    assert _said(cutter.feed(b"j")) == ["j"]


def test_a_paste_is_one_text() -> None:
    """Also over several packets, with its end cut in two; nothing in it is a key."""
    cutter = Cutter()
    assert cutter.feed(b"\x1b[200~a\x1bq\xff") == []
    assert cutter.feed(b"b\x1b[20") == []
    assert cutter.feed(b"1~j") == [Token(Kind.PASTE, "a\x1bqb"), Token(Kind.TEXT, "j")]


def _keys(messages: list[Message]) -> list[str]:
    return [message.key for message in messages if isinstance(message, events.Key)]


@pytest.mark.parametrize(
    "odd",
    ["\x1b[999z", "\x1b[1114112;1u", "\x1b[97;1:3u", "\x1b[48;0;0;0;0t", "\x1b[?9;9$y", "\x1b[<0;1;", "\x1b[>0;276;0c"],
)
def test_an_odd_sequence_takes_nothing_with_it(odd: str) -> None:
    """It is unknown, or holds a number that is none: nothing is typed, and the next key is read."""
    sequences = Sequences()
    assert _keys(sequences.read(odd)) == []
    assert _keys(sequences.read("\x1b[A")) == ["up"]
    assert _keys(sequences.read("j")) == ["j"]


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_no_bytes_end_it(packets: list[bytes]) -> None:
    """Whatever comes, the keys after it are read once what is incomplete was given up."""
    cutter, sequences = Cutter(), Sequences()
    for packet in packets:
        for token in cutter.feed(packet):
            if token.kind is Kind.SEQUENCE:
                sequences.read(token.text)
    while cutter.waiting is not None:
        cutter.expire()
    assert _said(cutter.feed(b"\x1b[Aj")) == ["\x1b[A", "j"]
    assert _keys(sequences.read("\x1b[A")) == ["up"]
