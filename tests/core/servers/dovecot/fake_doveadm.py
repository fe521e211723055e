"""A doveadm that answers as a test tells it, and notes how it was called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


class FakeDoveadm:
    """A program on PATH that notes its words and answers as it was told, the first fitting pattern first."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        self.program = folder / "doveadm"
        self._log = folder / "log"
        self._cases = ""
        self._folder = folder
        patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        self._write()

    def answer(self, pattern: str, *, out: bytes = b"", error: bytes = b"", code: int = 0) -> None:
        """What to say to words that fit a shell pattern."""
        number = self._cases.count("exit")
        said, complained = self._folder / f"out{number}", self._folder / f"error{number}"
        said.write_bytes(out)
        complained.write_bytes(error)
        self._cases += f"{pattern}) cat {said}; cat {complained} >&2; exit {code};;\n"
        self._write()

    def _write(self) -> None:
        self.program.write_text(
            f'#!/bin/sh\nprintf "%s|" "$@" >>{self._log}\necho >>{self._log}\ncase "$*" in\n{self._cases}esac\n'
        )
        self.program.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        """The words of each call, with a stroke after each word."""
        return self._log.read_text().splitlines() if self._log.exists() else []
