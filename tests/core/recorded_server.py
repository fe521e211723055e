"""Servers of recorded answers, for what is discovered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from mailquota.core.base.programs import FileText, ProgramResult
from mailquota.core.settings.config import DiscoveredSettings
from mailquota.core.settings.discover import discover


@dataclass
class Server:
    """A server of recorded answers; what is missing is a program or a file that is not there."""

    doveconf: str | None = None
    postconf: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)

    def run(self, argv: Sequence[str]) -> ProgramResult:
        """What the program prints."""
        self.asked.append(list(argv))
        out = self.postconf if argv[0] == "postconf" else self.doveconf
        return ProgramResult(fault=f"{argv[0]} is not installed") if out is None else ProgramResult(out, code=0)

    def read(self, path: str) -> FileText:
        """What is in the file."""
        text = self.files.get(path)
        return FileText(fault=f"{path} can't be read: No such file or directory") if text is None else FileText(text)

    def listed(self, pattern: str) -> list[str]:
        """The files that fit."""
        return sorted(name for name in self.files if fnmatchcase(name, pattern))

    def found(self, doveadm: str = "auto") -> DiscoveredSettings:
        """What is found, and what is not."""
        return discover(doveadm, self.run, self.read, self.listed)

    def discover(self, doveadm: str = "auto") -> dict[str, object]:
        """What is found, as "section.key" → value."""
        found = self.found(doveadm)
        return {f"{name}.{key}": value for name, table in found.values.items() for key, value in table.items()}
