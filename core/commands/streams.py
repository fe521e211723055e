"""The standard streams of a command: that their reader is gone is no error, that a file can't be written is one.

Dovecot closes the socket that it gives a script as standard output, ``head`` closes its pipe, and a terminal hangs up.
What is written there then is dropped, and the command goes on. A full file system is another case: the output in the
file would be incomplete. That error is kept in ``fault``, and reported when the command has done its work.
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

_NO_READER = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.EBADF, errno.EIO})
_STANDARD = 3  # descriptors


class TolerantStream(io.RawIOBase):
    """A standard stream whose writes never fail. ``fault`` is the first error but that of a missing reader.

    A stream that another program made non-blocking is waited for with ``waits``: output has to be complete, while a log
    must not block an engine.
    """

    def __init__(self, raw: io.FileIO, *, waits: bool) -> None:
        self._raw = raw
        self._waits = waits
        self.fault: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """Write; data that can't be written is dropped. The number of bytes taken."""
        try:
            while (written := self._raw.write(data)) is None and self._waits:
                select.select([], [self._raw], [])
        except OSError as error:
            written = None
            if not self._has_no_reader(error):
                self.fault = self.fault or error
        return memoryview(data).nbytes if written is None else written

    def _has_no_reader(self, error: OSError) -> bool:
        """Whether the reader is gone. EIO is a terminal that hung up, or, from a regular file, a broken disk."""
        broken = error.errno == errno.EIO and stat.S_ISREG(os.fstat(self.fileno()).st_mode)
        return error.errno in _NO_READER and not broken

    def writable(self) -> bool:
        """True, as io.RawIOBase wants it."""
        return True

    def fileno(self) -> int:
        """The descriptor of the stream below."""
        return self._raw.fileno()

    def isatty(self) -> bool:
        """Whether the stream below is a terminal."""
        return self._raw.isatty()


def prepare_streams() -> TolerantStream | None:
    """Make the standard streams tolerant; characters that the encoding lacks are written as escapes.

    Returns the stream of standard output, None where that is no file, as in tests.
    """
    _fill_closed()
    sys.stderr, _ = _around(sys.stderr, waits=False)
    sys.stdout, tolerant = _around(sys.stdout, waits=True)
    return tolerant


def _fill_closed() -> None:
    """Open /dev/null for each closed standard stream. A database could get that number, and programs that mailquota
    starts would write into it."""
    while (handle := os.open(os.devnull, os.O_RDWR)) < _STANDARD:
        os.set_inheritable(handle, True)
    os.close(handle)


def _around(stream: TextIO, *, waits: bool) -> tuple[TextIO, TolerantStream | None]:
    """The stream around a TolerantStream; what is no file, or was closed (None), stays as it is."""
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # with PYTHONUNBUFFERED there is no buffer
    if not isinstance(raw, io.FileIO):
        return stream, None
    tolerant = TolerantStream(raw, waits=waits)
    text = io.TextIOWrapper(
        io.BufferedWriter(tolerant), stream.encoding, "backslashreplace", line_buffering=bool(stream.line_buffering)
    )
    return text, tolerant
