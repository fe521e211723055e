"""What the terminal can do, and what happens when it goes away.

A terminal that is gone (ssh connection lost, window closed) shows in three ways: SIGHUP, an error when writing, and a
hang-up that poll(2) reports. The error would end Textual's writer thread; its queue would then fill up and block the
loop. So output goes through ``Output``, which ignores the error and reports it once.
"""

from __future__ import annotations

import contextlib
import locale
import os
import select
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TextIO

_PLAIN_TERMS = ("vt", "dumb", "ansi", "linux", "cons", "sun")  # no Unicode blocks in their fonts
_COLOURLESS_TERMS = ("vt", "dumb")


def wants_ascii(environ: Mapping[str, str], codeset: str) -> bool:
    """Whether to draw with ASCII signs. ``codeset`` is that of the locale, as nl_langinfo(CODESET) returns it.

    Python turns the C locale into UTF-8 by itself (PEP 538), so a C locale in the environment is looked at by its name.
    """
    if environ.get("TERM", "").startswith(_PLAIN_TERMS):
        return True
    asked = environ.get("LC_ALL") or environ.get("LANG", "")
    return asked in {"C", "POSIX"} or "UTF8" not in codeset.upper().replace("-", "")


def wants_no_color(environ: Mapping[str, str]) -> bool:
    """Whether NO_COLOR is set and not empty (no-color.org), or the terminal has no colours."""
    return bool(environ.get("NO_COLOR")) or environ.get("TERM", "").startswith(_COLOURLESS_TERMS)


def codeset() -> str:
    """The character set of the locale, as nl_langinfo(CODESET) returns it."""
    return locale.nl_langinfo(locale.CODESET)


def hung_up(descriptor: int) -> bool:
    """Whether the other end of a terminal or pipe is gone, by poll(2)."""
    poller = select.poll()
    try:
        poller.register(descriptor, 0)  # POLLHUP and POLLERR need not be asked for
        return bool(poller.poll(0))
    except (OSError, ValueError):
        return True


def stdin_hung_up() -> bool:
    """Whether the terminal of standard input is gone."""
    stdin = sys.__stdin__
    return stdin is None or stdin.closed or hung_up(stdin.fileno())


class Output:
    """The output of Textual's driver, without errors: unknown characters become ``?``, a lost terminal is reported
    once."""

    def __init__(self, file: TextIO, lost: Callable[[], object]) -> None:
        self._file = file
        self._lost = lost  # called in the writer thread
        self._gone = False

    def write(self, text: str) -> int:
        """Write to the terminal; called in Textual's writer thread."""
        coding = self._file.encoding or "utf-8"
        self._guarded(lambda: self._file.write(text.encode(coding, "replace").decode(coding)))
        return len(text)

    def flush(self) -> None:
        """Flush; called in Textual's writer thread."""
        self._guarded(self._file.flush)

    def fileno(self) -> int:
        return self._file.fileno()

    def isatty(self) -> bool:
        return self._file.isatty()

    def _guarded(self, act: Callable[[], object]) -> None:
        if self._gone:
            return
        try:
            act()
        except OSError:
            self._gone = True
            self._lost()


@contextlib.contextmanager
def environment(name: str, value: str | None) -> Iterator[None]:
    """Set an environment variable, or remove it with None, for the time of a ``with`` block."""
    before = os.environ.get(name)
    _set(name, value)
    try:
        yield
    finally:
        _set(name, before)


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
