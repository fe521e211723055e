"""The built wheel, installed by itself: what a clone has beside it must not be needed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what git tracks, so that nothing left over in the checkout gets in."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "screenshots/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_it_has_every_data_file(wheel: Path) -> None:
    """Style sheets and SQL are in it."""
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(path.relative_to(ROOT)) for folder in ("core", "tui") for path in (ROOT / folder).rglob("*.*")
        if path.suffix in {".tcss", ".sql"}
    }  # fmt: skip
    assert wanted
    assert wanted <= names


def test_installed_it_starts(wheel: Path, tmp_path: Path) -> None:
    """The command of the installed package runs away from the checkout, and finds its data files."""
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True)
    program = (
        f"import sys; sys.path.insert(0, {str(target)!r})\n"
        "import core, tui.command\n"
        f"assert core.__file__.startswith({str(target)!r}), core.__file__\n"
        "from core.history.database import migrations; assert migrations()\n"
        "sys.argv = ['mailquota', '--version']; tui.command.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "mailquota" in done.stdout
