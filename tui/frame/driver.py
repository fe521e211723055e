"""Textual's driver for this console: no byte ends it, it can be suspended, and a mouse that can be switched off.

Output goes to stdout through ``terminal.Output``, so that stderr can go to a file. Input is cut by ``keyboard.Cutter``.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from textual import events
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from . import terminal
from .keyboard import Cutter, Kind, Token

MOUSE_SECONDS = 1.0  # the mouse mode is asked for again at most so often: each movement may be such a report
_LOOK_SECONDS = 0.1  # until the thread looks whether the console ends
_CHUNK = 4096
_LAST_ANSWER_SECONDS = 1.0
_ARE_YOU_WELL, _WELL = "\x1b[5n", "\x1b[0n"  # the Device Status Report of ECMA-48
# The characters of ASCII, no scroll region, no style; the other screen, no cursor, focus, no wrapping, pastes marked.
_SET_UP = "\x1b(B\x0f\x1b[r\x1b[?6l\x1b[m\x1b[?1049h\x1b[?25l\x1b[?1004h\x1b[?7l\x1b[?2004h"


class Sequences(XTermParser):
    """Textual's parser, which gets one complete sequence at a time, and never stays in the middle of one."""

    def read(self, sequence: str) -> list[Message]:
        """What a sequence means; nothing for one that is unknown or can't be read."""
        try:
            found = list(self.feed(sequence))
        except (ValueError, ArithmeticError, LookupError):  # the numbers in a sequence may be anything
            found = []
        else:
            if self._awaiting.timeout is None:
                return found
        # An unknown sequence would be taken for the beginning of the next one.
        self._tokens.clear()
        self._timeout_time = None
        self._gen = self.parse(self._tokens.append)
        self._awaiting = next(self._gen)
        return found


class ConsoleDriver(LinuxDriver):
    """``app`` has ``leaving``, ``suspend_console``, ``repaint``, ``frame_waits`` and ``look_again_at_frame``."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        file = sys.__stdout__ or self._file
        self._file: Any = terminal.Output(file, lambda: self._loop.call_soon_threadsafe(app.leaving.terminal_lost))
        self._console = app
        self._sequences = Sequences()
        self._mouse_asked = float("-inf")
        self._answers = False  # the terminal has answered a question before
        self._asked_at: float | None = None  # when a question was sent that is not answered yet
        self._answered = threading.Event()

    # ---- input; in a thread of its own

    def run_input_thread(self) -> None:
        """Read keys until the console ends."""
        cutter, heard = Cutter(), time.monotonic()
        while not self.exit_event.is_set():
            waiting = cutter.waiting
            left = _LOOK_SECONDS if waiting is None else heard + waiting - time.monotonic()
            ready = select.select([self.fileno], [], [], max(0.0, min(left, _LOOK_SECONDS)))[0]
            if ready:
                data = self._read()
                heard = time.monotonic()
                self._take(cutter.feed(data))
            elif waiting is not None and time.monotonic() - heard >= waiting:
                self._take(cutter.expire())

    def _read(self) -> bytes:
        try:
            data = os.read(self.fileno, _CHUNK)
        except OSError:
            data = b""
        if not data:  # the terminal is gone; the app notices it by itself
            self.exit_event.wait(_LOOK_SECONDS)
        return data

    def _take(self, tokens: list[Token]) -> None:
        for token in tokens:
            for message in self._messages(token):
                self.process_message(message)

    def _messages(self, token: Token) -> Iterator[Message]:
        if token.kind is Kind.OLD_MOUSE:
            self._ask_for_mouse()
        elif token.kind is Kind.ESCAPE:
            yield events.Key("escape", "\x1b")
        elif token.kind is Kind.PASTE:
            yield events.Paste(token.text)
        elif token.text == _WELL:
            self._answers, self._asked_at = True, None
            self._answered.set()
            if self._console.frame_waits:
                self._tell(self._console.look_again_at_frame)
        elif token.kind is Kind.SEQUENCE:
            yield from (message for message in self._sequences.read(token.text) if self._is_sane(message))
        else:
            for sign in token.text:
                yield from self._sequences.read(sign)

    def _is_sane(self, message: Message) -> bool:
        """Whether a message can be used: no size that nothing fits into, or was not asked for, and no half characters.

        The numbers come from the terminal.
        """
        if isinstance(message, events.Resize):
            return self._in_band_window_resize and min(message.size) > 0
        if isinstance(message, events.Key):
            return not any(0xD800 <= ord(sign) <= 0xDFFF for sign in message.character or "")
        return True

    def _ask_for_mouse(self) -> None:
        """Another program, or a reset, has taken the mouse mode away."""
        now = time.monotonic()
        if now - self._mouse_asked >= MOUSE_SECONDS:
            self._mouse_asked = now
            self._enable_mouse_support()

    # ---- whether what was sent has arrived

    def ask_for_answer(self) -> None:
        """Ask the terminal for an answer, which comes when it has drawn what was sent before."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            self._answered.clear()
            self.write(_ARE_YOU_WELL)

    def owes_answer(self, seconds: float) -> bool:
        """Whether an answer is to be waited for; not where the terminal never gave one, nor for longer than this."""
        asked = self._asked_at
        if asked is None or not self._answers:
            return False
        if time.monotonic() - asked > seconds:
            self._answers = False
            return False
        return True

    def stop_application_mode(self) -> None:
        """Give the terminal back; an answer that is on its way would be read by the shell."""
        if self._asked_at is not None and self._answers:
            self._answered.wait(_LAST_ANSWER_SECONDS)
        super().stop_application_mode()
        self._answers, self._asked_at = False, None

    # ---- the mouse

    @property
    def mouse(self) -> bool:
        """Whether the terminal is asked to report the mouse."""
        return self._mouse

    def use_mouse(self, wanted: bool) -> None:
        """Ask the terminal for the mouse, or leave it to select text."""
        if wanted:
            self._mouse = True
            self._enable_mouse_support()
        else:
            self._disable_mouse_support()
            self._mouse = False

    # ---- suspending. In the signal's handler itself a lock of the output may be held by what it has interrupted.

    def _sigtstp_application(self, *_: object) -> None:
        self._tell(self._console.suspend_console)

    def _sigcont_application(self, *_: object) -> None:
        self._tell(self._console.repaint)

    def _tell(self, act: Callable[[], object]) -> None:
        """Have the app do something; as one of its messages, since Textual needs its own context for that."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._console.call_later, act)

    def stop_process(self) -> None:
        """Give the terminal back, stop with all of this job, and take the terminal again when the shell goes on.

        Does not stop where nobody could make it go on: a job that no shell looks after ignores SIGTSTP.
        """
        self.suspend_application_mode()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(0, signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._sigtstp_application)
        self.resume_application_mode()

    def take_terminal(self) -> None:
        """Set the terminal up again: a shell had it while this process was stopped, or another program wrote to it."""
        if self._writer_thread is None or not self._is_foreground():
            return
        try:
            attributes = termios.tcgetattr(self.fileno)
            attributes[3] = self._patch_lflag(attributes[3])
            attributes[0] = self._patch_iflag(attributes[0])
            termios.tcsetattr(self.fileno, termios.TCSANOW, attributes)
        except termios.error:
            return
        self.write(_SET_UP)
        self._enable_mouse_support()
        self.flush()

    def _is_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self.fileno) == os.getpgrp()
        except OSError:
            return False
