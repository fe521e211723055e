"""Files of a machine are written without taking over what a link leads to."""

from __future__ import annotations

from pathlib import Path

from mailquota.core.commands.install.machine import Machine


def test_a_masked_unit_does_not_become_writable_for_all(tmp_path: Path) -> None:
    unit = tmp_path / "etc/mailquota.service"
    unit.parent.mkdir()
    unit.symlink_to("/dev/null")
    Machine(tmp_path).write("/etc/mailquota.service", "[Unit]\n", 0o644)
    assert (unit.is_symlink(), unit.read_text(), unit.stat().st_mode & 0o7777) == (False, "[Unit]\n", 0o644)


def test_an_existing_file_gives_its_mode(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o600)
    Machine(tmp_path).write("/file", "text\n", 0o644)
    assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o600
