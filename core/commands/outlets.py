"""Standard output and error of a command: that nobody reads them is no failure of what was done.

Dovecot closes the socket that it gives a script as standard output, ``head`` its pipe, and a terminal hangs up. What is
written there then goes nowhere. A disk without room is another matter: whoever sent figures into a file misses them. So
that is kept as ``fault``, and told when the work is done.
"""

from __future__ import annotations

import errno
import io
import os
import select
import stat
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_NOBODY = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.EBADF, errno.EIO})
_STANDARD = 3  # descriptors


class Outlet(io.RawIOBase):
    """A standard stream that takes everything. ``fault`` is the first error that was no missing reader.

    A non-blocking stream, as whoever started us may have made it, is waited for where it ``waits``: figures have to
    arrive, while a log must not hold up an engine.
    """

    def __init__(self, raw: io.FileIO, *, waits: bool) -> None:
        self._raw = raw
        self._waits = waits
        self.fault: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """What can't be written is taken, too."""
        try:
            while (written := self._raw.write(data)) is None and self._waits:
                select.select([], [self._raw], [])
        except OSError as error:
            written = None
            if not self._is_for_nobody(error):
                self.fault = self.fault or error
        return memoryview(data).nbytes if written is None else written

    def _is_for_nobody(self, error: OSError) -> bool:
        """EIO is a terminal that hung up, or a broken disk."""
        broken = error.errno == errno.EIO and stat.S_ISREG(os.fstat(self.fileno()).st_mode)
        return error.errno in _NOBODY and not broken

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """Of the stream below."""
        return self._raw.fileno()

    def isatty(self) -> bool:
        """Of the stream below."""
        return self._raw.isatty()


def prepare_streams() -> Outlet | None:
    """Make the standard streams such, and no text fail for want of a letter. The outlet of standard output, if any."""
    _fill_closed()
    sys.stderr, _ = _around(sys.stderr, waits=False)
    sys.stdout, outlet = _around(sys.stdout, waits=True)
    return outlet


def _fill_closed() -> None:
    """A database that got the number of a closed standard stream would be written to by programs that we start."""
    while (handle := os.open(os.devnull, os.O_RDWR)) < _STANDARD:
        os.set_inheritable(handle, True)
    os.close(handle)


def _around(stream: TextIO, *, waits: bool) -> tuple[TextIO, Outlet | None]:
    """The same stream around an outlet; what is no file, or was closed (None), stays as it is."""
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # with PYTHONUNBUFFERED there is no buffer
    if not isinstance(raw, io.FileIO):
        return stream, None
    outlet = Outlet(raw, waits=waits)
    text = io.TextIOWrapper(
        io.BufferedWriter(outlet), stream.encoding, "backslashreplace", line_buffering=bool(stream.line_buffering)
    )
    return text, outlet
