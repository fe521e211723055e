"""The folder of a throwaway world: made, limited in size, and removed at the end.

It is removed by one ``rm`` in a session of its own, so that neither a second Ctrl-C nor the end of this process leaves
half of it. A world of tens of thousands may take longer than an exit should: then ``rm`` goes on alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from ..base.errors import MailquotaError

_SOCKET_PATH_MOST = 100  # bytes; the kernel takes 107
_REMOVE_SECONDS = 3.5  # an engine has to end within 5
_SPARSE_BYTES = 1 << 20
_PREFIX = "mailquota-"
_RANDOM = "12345678"  # as long as what mkdtemp puts behind the prefix


@contextlib.contextmanager
def temporary_folder(longest_name: str) -> Iterator[Path]:
    """A new folder that only this user can enter, removed at the end, but for SIGKILL. Raises MailquotaError.

    A socket of ``longest_name`` in it can be reached. In the main thread SIGTERM and SIGHUP raise SystemExit meanwhile,
    unless they are handled already.
    """
    with _signals_as_exceptions():
        folder = _make(longest_name)
        try:
            yield folder
        finally:
            _remove(folder)


def _make(longest_name: str) -> Path:
    places = [Path(place).resolve() for place in (tempfile.gettempdir(), "/tmp", "/var/tmp")]  # noqa: S108 - mkdtemp
    for place in places:
        path = place / f"{_PREFIX}{_RANDOM}" / longest_name
        if len(os.fsencode(path)) < _SOCKET_PATH_MOST and os.access(place, os.W_OK):
            return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    names = ", ".join(map(str, places))
    raise MailquotaError(f"there is no folder for a demo: none of {names} can be written and has a short path")


def _remove(folder: Path) -> None:
    try:
        child = subprocess.Popen(
            ["rm", "-rf", "--", str(folder)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        return
    with contextlib.suppress(subprocess.TimeoutExpired):
        if child.wait(_REMOVE_SECONDS):  # something was written meanwhile
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """SIGTERM and SIGHUP raise SystemExit in this block, unless they have handlers already."""
    numbers = []
    if threading.current_thread() is threading.main_thread():
        numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, _leave)
    try:
        yield
    finally:
        for number in numbers:
            if signal.getsignal(number) is _leave:
                signal.signal(number, signal.SIG_DFL)


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


class SpaceLimit:
    """Half of the space and of the inodes that are free at the start: a demo takes no more.

    File systems without a fixed number of inodes report 0 of them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        found = os.statvfs(folder)
        self._least = (found.f_favail // 2, found.f_bavail // 2)

    def left(self) -> bool:
        """Whether the demo may take more."""
        found = os.statvfs(self._folder)
        return found.f_bavail > self._least[1] and (found.f_files == 0 or found.f_favail > self._least[0])


def check_sparse(folder: Path) -> None:
    """Raises MailquotaError where sparse files take space: a demo shows hundreds of gigabytes and has none."""
    path = folder / "sparse"
    with path.open("wb") as file:
        file.truncate(_SPARSE_BYTES)
        blocks = os.fstat(file.fileno()).st_blocks
    path.unlink()
    if blocks * 512 >= _SPARSE_BYTES // 2:
        raise MailquotaError(f"the file system of {folder} has no sparse files; set TMPDIR to a folder on another one")
