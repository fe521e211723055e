"""The rules of the house, held by reading the code itself."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SUBJECTS = ("accounts", "usage", "policy", "history", "alerts", "doctor", "install")
FREE = {"model", "units", "errors", "config", "settings", "endpoints", "text", "times", "checks", "answers"} | {
    "doveadm_said",
    "mysql_hosts",
    "outside",
    "refusals",
    "restarts",
    "dovecot_conf",
    "dovecot_quota",
    "dovecot_sql",
    "postfix_maps",
    "postfix_restrictions",
    "sql_queries",
}
LONGEST_FILE = {"core": 300, "tui": 300, "tests": 500}  # a list of cases may be longer than what they are about
LONGEST_FUNCTION = 40
MEDIAN_FUNCTION = 10  # lines that half of all functions, and nine in ten, stay under
NINTH_DECILE_FUNCTION = 30


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


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


@pytest.mark.parametrize("folder", LONGEST_FILE)
def test_pieces_stay_small(folder: str) -> None:
    """A file has at most 300 lines, one of tests 500; a function 40."""
    found = []
    for path in modules(folder):
        lines = path.read_text().count("\n")
        if lines > LONGEST_FILE[folder]:
            found.append(f"{path.relative_to(ROOT)}: {lines} lines")
        found += [
            f"{path.relative_to(ROOT)}:{function.lineno} {function.name}: {length(function)} lines"
            for function in functions(path)
            if length(function) > LONGEST_FUNCTION
        ]
    assert not found


@pytest.mark.parametrize("folder", LONGEST_FILE)
def test_most_functions_are_short(folder: str) -> None:
    """Half of them have under 10 lines, nine in ten under 30."""
    lengths = [length(function) for path in modules(folder) for function in functions(path)]
    assert statistics.median(lengths) < MEDIAN_FUNCTION
    assert statistics.quantiles(lengths, n=10)[8] < NINTH_DECILE_FUNCTION


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
