"""What the console remembers between two runs: what was changed by key. Kept in a file of this user's.

Theory of operation. ``kept`` is what was remembered at the start and changed since. A change is also noted in
``_changes``; ``write`` reads the file again, puts only those changes into it, and exchanges the file. So two consoles
at once keep what each of them changed. A lock on the folder makes them take turns; nobody else can hold it, as the
folder is this user's alone. What the file has beyond that stays.

The file is never opened through a link. A folder on the way that belongs to another user, a file that can't be read,
a disk that is full or read-only: then nothing is remembered, and ``told`` says why, once. The console goes on.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import stat
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mailquota.core.base.others_folders import Folder, opened
from mailquota.core.base.text import visible
from mailquota.core.base.threads import within

from .kept import Kept, merged, read, together, written

FILE = "console.toml"
LONGEST = 1024 * 1024  # bytes
SECONDS = 1.0  # that a folder which hangs is waited for, at the start and at the end
_TURN = 0.02
_FOREIGN = "the folder, or one on its way, belongs to another user"


def folder_of_this_user(environ: Mapping[str, str], user: int) -> str:
    """Where this user's settings are: $XDG_CONFIG_HOME, else ~/.config.

    With sudo these may be of the one who called it: what belongs to another user is not used, and then it is the home
    that the system has for this user. So root has root's memory, whoever called it, and leaves nothing in other homes.
    """
    named = environ.get("XDG_CONFIG_HOME", "")
    home = environ.get("HOME", "")
    for base in (named, f"{home}/.config" if home else ""):
        if base.startswith("/") and _owner(base) == user:
            return f"{base.rstrip('/')}/mailquota"
    try:
        return f"{pwd.getpwuid(user).pw_dir}/.config/mailquota"
    except KeyError:
        raise OSError(errno.ENOENT, "this user has no home") from None


def _owner(path: str) -> int:
    """The owner of what is there, or of the nearest folder above it."""
    while True:
        with contextlib.suppress(OSError):
            return os.stat(path).st_uid
        if path in {"", "/"}:
            return -1
        path = os.path.dirname(path)


class Memory:
    """Without a folder nothing is kept. ``told`` is why nothing is remembered, or what was left out; else empty."""

    def __init__(self, folder: str = "") -> None:
        self.kept = Kept()
        self.told = ""
        self._folder = folder
        self._changes: dict[str, Any] = {}
        self._noting, self._writing = threading.Lock(), threading.Lock()

    @classmethod
    def of_this_user(cls) -> Memory:
        """The memory of the user that this process runs as, read; a folder that hangs is given up."""
        memory = cls()

        def load() -> Memory:
            found = cls(folder_of_this_user(os.environ, os.geteuid()))
            found.load()
            return found

        try:
            return within(SECONDS, load)
        except OSError as error:  # also when that takes too long
            memory.told = f"nothing is remembered: {_reason(error)}"
            return memory

    @property
    def _named(self) -> str:
        """The path of the file for a message, as short as a shell takes it."""
        home = os.environ.get("HOME", "").rstrip("/")
        path = f"{self._folder}/{FILE}"
        return visible(f"~{path.removeprefix(home)}" if home and path.startswith(f"{home}/") else path)

    def load(self) -> None:
        """Read the file, if there is one."""
        try:
            with opened(self._folder) as folder:
                _check(folder)
                self.kept, faults = read(_content(folder))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            self._give_up(error)
            return
        if faults:
            self.told = f"{self._named}: {'; '.join(faults)}"

    def _give_up(self, error: Exception) -> None:
        self.told = f"nothing is remembered: {self._named}: {_reason(error)}"
        self._folder = ""

    # ---- changes

    @property
    def pending(self) -> bool:
        """Whether something has to be written."""
        return bool(self._changes) and bool(self._folder)

    def keep(self, **changes: Any) -> None:
        """Remember these fields of Kept. ``filters`` come before the others; None in ``saved`` forgets a letter's."""
        self.kept = merged(self.kept, changes)
        with self._noting:
            self._changes = together(self._changes, changes)

    def write(self) -> None:
        """Put what was changed into the file. Blocking; called in a thread."""
        with self._writing:
            with self._noting:
                changes, self._changes = self._changes, {}
            if not changes or not self._folder:
                return
            try:
                _check_way(self._folder)
                with opened(self._folder, make=0o700) as folder:
                    _check(folder)
                    with _turn(folder):
                        _exchange(folder, lambda content: written(content, changes))
            except (OSError, ValueError) as error:
                self._give_up(error)

    def finish(self) -> None:
        """Write what is left, as the console ends; a folder that hangs is given up."""
        with contextlib.suppress(TimeoutError):
            within(SECONDS, self.write)


def _reason(error: Exception) -> str:
    if isinstance(error, tomllib.TOMLDecodeError):
        return f"{error}; mend or remove it"
    return visible(error.strerror or str(error)) if isinstance(error, OSError) else f"{error}; mend or remove it"


def _check(folder: Folder) -> None:
    """The folder has to be this user's; root works below no folder of another user."""
    if folder.status.st_uid != os.geteuid() or _leads_root_away(folder):
        raise PermissionError(errno.EPERM, _FOREIGN)


def _check_way(path: str) -> None:
    """Before folders are made: root makes none below one of another user."""
    while True:
        try:
            with opened(path) as folder:
                if _leads_root_away(folder):
                    raise PermissionError(errno.EPERM, _FOREIGN)
                return
        except FileNotFoundError:
            path = os.path.dirname(path)


def _leads_root_away(folder: Folder) -> bool:
    return folder.outsider is not None and os.geteuid() == 0


def _content(folder: Folder) -> str:
    """The text of the file. Raises FileNotFoundError, OSError, and ValueError for what is no text."""
    try:
        handle = folder.open(FILE, os.O_RDONLY)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link, which is not followed") from None
        raise
    with open(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no file")
        if found.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "it belongs to another user")
        data = file.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise ValueError(f"it has more than {LONGEST // 1024} KiB")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


@contextlib.contextmanager
def _turn(folder: Folder) -> Iterator[None]:
    """Alone in the folder, as far as other consoles of this user go; after a second without it."""
    handle = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder.handle)
    try:
        for _ in range(round(SECONDS / _TURN)):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:  # held, or a file system without locks
                time.sleep(_TURN)
        yield
    finally:
        os.close(handle)


def _exchange(folder: Folder, change: Callable[[str], str]) -> None:
    """Replace the file by what ``change`` makes of it; at each moment there is the old one or the new one, whole."""
    try:
        before = _content(folder)
    except FileNotFoundError:
        before = ""
    after = change(before)
    if after == before:
        return
    new = f".{FILE}.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        folder.unlink(new)  # of a console that was killed
    handle = folder.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(after)
            file.flush()
            os.fsync(handle)
        folder.rename(new, FILE)
    except BaseException:
        with contextlib.suppress(OSError):
            folder.unlink(new)
        raise
