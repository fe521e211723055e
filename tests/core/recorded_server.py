"""Servers of recorded answers, for what is discovered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from core.discover import discover


@dataclass
class Server:
    """A server of recorded answers; what is missing is a program or a file that is not there."""

    doveconf: str | None = None
    postconf: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)

    def run(self, argv: Sequence[str]) -> str | None:
        """What the program prints."""
        self.asked.append(list(argv))
        return self.postconf if argv[0] == "postconf" else self.doveconf

    def read(self, path: str) -> str | None:
        """What is in the file."""
        return self.files.get(path)

    def discover(self, doveadm: str = "auto") -> dict[str, object]:
        """What is found, as "section.key" → value."""
        found = discover(doveadm, self.run, self.read)
        return {f"{name}.{key}": value for name, table in found.values.items() for key, value in table.items()}
