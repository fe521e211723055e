"""The built wheel, installed by itself: what a clone has beside it must not be needed."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
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
        if (ROOT / name).is_symlink():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).symlink_to((ROOT / name).readlink())
        elif (ROOT / name).is_file() and not name.startswith(("tests/", "screenshots/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_it_has_every_data_file(wheel: Path) -> None:
    """Style sheets, SQL and the templates of mails are in it."""
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        f"mailquota/{path.relative_to(ROOT)}" for folder in ("core", "tui") for path in (ROOT / folder).rglob("*.*")
        if path.suffix in {".tcss", ".sql", ".txt", ".html"}
    }  # fmt: skip
    assert wanted
    assert wanted <= names


def test_it_has_one_package(wheel: Path) -> None:
    """And what wheels have beside it: it can share an environment with any other."""
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith((".data", ".dist-info"))} == {"mailquota"}


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel installed into a folder of its own; what it depends on is that of these tests."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True)
    return target


def test_the_manual_page_and_the_completions_are_installed(site: Path) -> None:
    """Below the prefix, where man and the shells look for them."""
    places = {
        "man/man1/mailquota.1",
        "bash-completion/completions/mailquota",
        "zsh/site-functions/_mailquota",
        "fish/vendor_completions.d/mailquota.fish",
        "doc/mailquota/docs/checks.md",
    }
    assert not {place for place in places if not (site / "share" / place).is_file()}


@pytest.fixture
def installed(site: Path, tmp_path: Path) -> Callable[..., str]:
    """What a command prints, run away from the checkout. It must succeed."""

    def run(*command: str) -> str:
        env = {**os.environ, "PYTHONPATH": str(site), "MAILQUOTA_CONFIG": "/nonexistent"}
        done = subprocess.run(
            command, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_it_is_the_installed_package_that_runs(site: Path, installed: Callable[..., str]) -> None:
    """And not the checkout; it has the SQL of the state database, which a demo does not touch."""
    where = installed(sys.executable, "-P", "-c", "from mailquota import core, tui; print(core.__file__, tui.__file__)")
    assert where.split() == [f"{site}/mailquota/{name}/__init__.py" for name in ("core", "tui")]
    program = (
        "from mailquota.core.history.connection import migrations\n"
        "print(len(migrations('sqlite')), len(migrations('mysql')))"
    )
    numbers = installed(sys.executable, "-P", "-c", program).split()
    assert [int(number) > 0 for number in numbers] == [True, True]
    version = installed(f"{site}/bin/mailquota", "--version")
    assert version.startswith("mailquota ")
    assert installed(sys.executable, "-P", "-m", "mailquota", "--version") == version


def test_installed_its_demo_prints_a_table(site: Path, installed: Callable[..., str]) -> None:
    """Without a terminal it is printed once: five accounts, each in a line. Accounts and state are made by its SQL."""
    lines = installed(f"{site}/bin/mailquota", "--demo", "--accounts", "5").splitlines()
    assert len(lines) == 6
    assert all("@" in line for line in lines[1:])


def test_installed_its_console_opens(site: Path, installed: Callable[..., str]) -> None:
    """With the styles of its screens and dialogs."""
    program = ROOT / "tests" / "headless_console.py"
    screen, dialog, told = installed(sys.executable, "-P", str(program)).split("\f")
    assert "john@example.org" in screen
    assert "DEMO" in screen
    assert "Edit limit" in dialog
    assert told.splitlines() == [f"{site}/mailquota/tui/app.py", "the dialog is in the middle"]
