"""The rules of the house, held by reading the code itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SUBJECTS = ("accounts", "usage", "policy", "history")
FREE = {"model", "units", "errors", "config", "settings", "endpoints", "text", "times", "checks", "answers"}
LONGEST_FILE = 300
LONGEST_FUNCTION = 40


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_core_never_loads_the_console() -> None:
    """No module of core brings Textual, Rich or tui into the process, directly or by a detour."""
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules("core")]
    code = "import importlib, sys\n" + "\n".join(
        f"importlib.import_module({name.removesuffix('.__init__')!r})" for name in names
    )
    code += "\nprint([name for name in sys.modules if name.split('.')[0] in {'textual', 'rich', 'tui'}])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_subject_knows_no_other(subject: str) -> None:
    """Subjects are combined in the engine's modules, never by each other."""
    found = {
        f"{path.name} imports {name}"
        for path in modules(f"core/{subject}")
        for name in imports(path)
        if name.startswith("core.") and name.split(".")[1] not in FREE | {subject}
    }
    assert not found


def test_the_console_knows_no_engine() -> None:
    """Screens speak the control protocol; only the command that starts things knows the engine."""
    inside = {"engine", "enforcer", "ledger", "poller", "actions", "accounts", "usage", "policy", "orders", "sync"}
    found = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules("tui")
        if path.name != "command.py"
        for name in imports(path)
        if name.startswith("core.") and name.split(".")[1] in inside
    }
    assert not found


@pytest.mark.parametrize("folder", ["core", "tui"])
def test_pieces_stay_small(folder: str) -> None:
    """A file has at most 300 lines, a function 40."""
    found = []
    for path in modules(folder):
        text = path.read_text()
        if text.count("\n") > LONGEST_FILE:
            found.append(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {length} lines")
    assert not found


def test_broad_excepts_are_outer_edges() -> None:
    """``except Exception`` stands only where its comment names the edge."""
    found = []
    for path in [*modules("core"), *modules("tui")]:
        lines = path.read_text().splitlines()
        found += [
            f"{path.relative_to(ROOT)}:{number}"
            for number, line in enumerate(lines, 1)
            if line.strip().startswith(("except Exception", "except BaseException", "except:")) and "#" not in line
        ]
    assert not [place for place in found if not _reraises(place)]


def _reraises(place: str) -> bool:
    """A handler that cleans up and raises on is no broad except."""
    name, number = place.rsplit(":", 1)
    tree = ast.parse((ROOT / name).read_text())
    handlers = [n for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler) and n.lineno == int(number)]
    return any(isinstance(handler.body[-1], ast.Raise) for handler in handlers)
