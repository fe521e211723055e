"""The machine that mailquota is installed on: its files, below ``root``, and its programs."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from ...base import programs
from ...base.errors import MailquotaError
from ...base.programs import ProgramResult
from ...base.trusted import UntrustedError, distrust
from .model import MANIFEST, Manifest

PATIENCE = 120.0  # seconds; systemctl returns when the service answers, or has failed to


def run_patiently(argv: Sequence[str]) -> ProgramResult:
    """Run a program, for 120 s at most."""
    return programs.run(argv, PATIENCE)


class Machine:
    """Reads and changes files below ``root`` (/, but for tests), and runs programs with ``run``."""

    def __init__(self, root: Path = Path("/"), run: Callable[[Sequence[str]], ProgramResult] = run_patiently) -> None:
        self.root = root
        self.run = run

    def place(self, path: str) -> Path:
        """A path of the machine, below ``root``."""
        return self.root / path.lstrip("/")

    def read(self, path: str) -> str | None:
        """The text of a file; None where there is none. Raises MailquotaError for one that can't be read."""
        try:
            return programs.read_bytes(str(self.place(path)), programs.LONGEST).decode("utf-8", "surrogateescape")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise MailquotaError(f"{path} can't be read: {error.strerror}") from error

    def distrust(self, path: str) -> UntrustedError | None:
        """Why root neither makes nor removes anything there: somebody else may change a folder on the way."""
        if os.geteuid() != 0:
            return None
        return distrust(str(next(folder for folder in self.place(path).parents if folder.exists())))

    def _require_trust(self, path: str) -> None:
        if fault := self.distrust(path):
            raise PermissionError(errno.EPERM, str(fault))

    def write(self, path: str, text: str, mode: int) -> None:
        """Replace a file as a whole; missing folders above it are made. Raises OSError, also for ``distrust``.

        A regular file that is replaced keeps its mode; else it is ``mode``.
        """
        self._require_trust(path)
        target = self.place(path)
        missing = [folder for folder in target.parents if not folder.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        for folder in missing:  # whatever the umask of root's shell is, the service has to enter them
            folder.chmod(0o755)
        with contextlib.suppress(FileNotFoundError):
            before = target.lstat().st_mode  # a masked unit is a link to /dev/null, which all may write
            mode = stat.S_IMODE(before) if stat.S_ISREG(before) else mode
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with open(handle, "wb") as file:
                file.write(text.encode("utf-8", "surrogateescape"))
                os.fchmod(file.fileno(), mode)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise

    def remove(self, path: str, *, folder: bool) -> None:
        """Remove a file, or a folder with all in it; a missing one is no error. Raises OSError as ``write`` does."""
        self._require_trust(path)
        with contextlib.suppress(FileNotFoundError):
            if folder:
                shutil.rmtree(self.place(path))
            else:
                self.place(path).unlink()

    def manifest(self) -> Manifest | None:
        """The manifest of an earlier installation, None without one. MailquotaError where it can't be decoded."""
        text = self.read(MANIFEST)
        if text is None:
            return None
        try:
            return msgspec.json.decode(text, type=Manifest)
        except msgspec.MsgspecError as error:
            raise MailquotaError(f"{MANIFEST}: {error}; remove it to go on without it") from error

    def remember(self, manifest: Manifest) -> None:
        """Write the manifest. Raises OSError."""
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=2).decode()
        self.write(MANIFEST, f"{text}\n", 0o644)
