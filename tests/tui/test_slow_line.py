"""A line of 11.5 kB/s: nothing piles up on it, so that a key is answered."""

from __future__ import annotations

import sys

import pytest

from tests.tui.real_terminal import Terminal

FAKE = (sys.executable, "-m", "tests.tui.fake_engine", "--accounts", "300", "--attached")
ASKED, ANSWER = b"\x1b[5n", b"\x1b[0n"


@pytest.mark.parametrize("keys", [b"", b"\r", b"3"], ids=["accounts", "card", "decisions"])
def test_nothing_is_sent_while_a_frame_is_on_its_way(keys: bytes) -> None:
    """A terminal that answers late, as behind a slow line, gets one frame, and after its answer the newest one."""
    with Terminal(command=FAKE) as terminal:
        terminal.wait_for("john@example.org")
        terminal.send(keys)
        terminal.send(ANSWER)  # from now on answers are waited for
        assert terminal.frames_until_quiet(ASKED) == 1
        terminal.send(b"?")  # no frame before the answer
        assert terminal.frames_until_quiet(ASKED) == 0
        terminal.send(ANSWER)
        terminal.wait_for("Help  ", "Esc Back")
        terminal.send(ANSWER + b"\x1b")
        terminal.wait_for("Quit")
        terminal.send(ANSWER + b"q")
        assert terminal.wait() == 0
