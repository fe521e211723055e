"""The file systems of the mailboxes, remembered over a restart in a small file of the engine's.

It is a file, and not in the state database, because it is about this machine alone, while several engines may share a
database; and because it is needed before the first answer, when a database on another machine, or on the mail disk, may
be away. Without the file everything is found out anew, so a lost or damaged one does no harm.
"""

from __future__ import annotations

import logging
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress

from ..base.others_folders import Folder, opened
from ..settings.config import Config
from .file_systems import FileSystem, Memory, decode, encode

log = logging.getLogger(__name__)

NAME = "mailstore.json"
_FOLDER = "/var/lib/mailquota"
_MOST_BYTES = 16 * 1024 * 1024


class MailstoreMemory:
    """The file at ``path`` ("" for none); ``template`` is ``mailstore.path``, of which alone it is a memory."""

    def __init__(self, path: str, template: str) -> None:
        self.path = path
        self._template = template
        self._kept: list[FileSystem] | None = None
        self._fault = ""

    @classmethod
    def of(cls, config: Config, environ: Mapping[str, str] = os.environ) -> MailstoreMemory:
        """Beside the state database where that is a file, else in systemd's folder for the service's state."""
        url = config.settings.state.url
        given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
        folder = os.path.dirname(url.path) if url.kind == "sqlite" else given or _FOLDER
        return cls(f"{folder}/{NAME}", config.settings.mailstore.path)

    def read(self) -> list[FileSystem]:
        """What was remembered; nothing where there is no such file, or it can't be read."""
        folder, name = os.path.split(self.path)
        try:
            with opened(folder) as place:
                handle = place.open(name, os.O_RDONLY)
            with open(handle, "rb") as file:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise OSError
                self._kept = decode(file.read(_MOST_BYTES), self._template)
        except OSError:
            self._kept = []
        return self._kept

    def write(self, known: list[FileSystem]) -> None:
        """Remember these, if they differ from what the file has. An error is logged once and changes nothing."""
        if known == self._kept or not self.path:
            return
        folder, name = os.path.split(self.path)
        data = encode(Memory(self._template, known))
        try:
            with opened(folder) as place, place.as_outsider():
                _replace(place, name, data)
        except OSError as error:
            if self._fault != str(error):
                self._fault = str(error)
                log.warning("the mailstore's file systems can't be remembered over a restart: %s", error)
        else:
            self._kept, self._fault = known, ""


def _replace(place: Folder, name: str, data: bytes) -> None:
    temporary = f"{name}.{secrets.token_hex(8)}.new"
    handle = place.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        place.rename(temporary, name)
    except OSError:
        with suppress(OSError):
            place.unlink(temporary)
        raise
