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
# A room imports only rooms above it in this list; those in one line do not import each other.
ROOMS = (
    ("base",),
    ("servers", "control"),
    ("settings",),
    ("accounts",),
    ("mailboxes",),
    ("history", "policy", "recordings"),
    ("changes", "alerts", "doctor", "demo"),
    ("engine", "helper"),
    ("commands",),
)
# The same in the console; the folders of screens do not import each other.
CONSOLE = (
    ("draw",),
    ("desk",),
    ("widgets",),
    ("frame",),
    ("decisions", "domains", "warnings", "journal", "doctor"),
    ("acts",),
    ("card",),
    ("accounts",),
    ("app",),
    ("command",),
)
# What screens may know of core: words, the control protocol, and what a doctor's finding is.
KNOWN_TO_SCREENS = ("core.base.", "core.control.", "core.doctor.model", "core.doctor.report")
# What the command may know beside that: it starts things.
KNOWN_TO_COMMAND = ("core.engine.", "core.commands.", "core.demo.", "core.doctor.examine", "core.recordings.player",
                    "core.settings.config", "core.settings.declared")  # fmt: skip
AT_THE_TOP = {"core": {"__init__.py"}, "tui": {"__init__.py", "app.py", "command.py"}}
LONGEST_FILE = {"core": 400, "tui": 400, "tests": 500}  # a list of cases may be longer than what they are about
LONGEST_FUNCTION = 40
MEDIAN_FUNCTION = 10  # lines that half of all functions, and nine in ten, stay under
NINTH_DECILE_FUNCTION = 30


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    """As Python imports it, without the package's own name."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path, known: frozenset[str]) -> Iterator[str]:
    """Our own modules that a module imports: anywhere in it, also for the types alone."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name for alias in node.names if (name := alias.name.removeprefix("mailquota.")) in known)
        elif isinstance(node, ast.ImportFrom):
            module = _full_name(node, path).removeprefix("mailquota.")
            full = (f"{module}.{alias.name}" for alias in node.names)
            yield from (name if name in known else module for name in full if {name, module} & known)


def _full_name(node: ast.ImportFrom, path: Path) -> str:
    """Of the module that is imported from, for a relative import too."""
    if not node.level:
        return node.module or ""
    folder = path.relative_to(ROOT).parts[: -node.level]
    return ".".join((*folder, *filter(None, [node.module])))


def arrows() -> dict[str, set[str]]:
    """Each module of core and tui with those that it imports."""
    paths = [*modules("core"), *modules("tui")]
    known = frozenset(map(name_of, paths))
    return {name_of(path): set(imports(path, known)) for path in paths}


def test_arrows_are_read() -> None:
    """In every form that an import has here; without them the rules below would hold whatever the code does."""
    found = arrows()
    assert {"core.policy.decision", "core.mailboxes.ledger"} <= found["core.policy.answering"]
    assert {"core.base.errors", "tui.acts.proposal", "tui.desk.desk"} <= found["tui.acts.edit_limit"]
    assert all(wanted for module, wanted in found.items() if module.endswith((".from_settings", ".screen")))


def test_an_import_shows_the_room() -> None:
    """Relative within ``core`` and within ``tui``, absolute from one to the other."""
    paths = [*modules("core"), *modules("tui")]
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in paths for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith(f"mailquota.{path.relative_to(ROOT).parts[0]}.")
    ]  # fmt: skip
    assert not found


def room_of(module: str, top: str) -> str:
    """The folder below ``top`` that a module is in, or the name of a module that lies there itself."""
    first, *rest = module.split(".")
    return rest[0] if first == top and rest else ""


def upward(found: dict[str, set[str]], top: str, order: tuple[tuple[str, ...], ...]) -> list[str]:
    """Arrows between two rooms below ``top`` of which the second does not lie below the first."""
    floor = {room: number for number, rooms in enumerate(order) for room in rooms}
    wrong = []
    for module, wanted in found.items():
        for other in wanted:
            one, two = room_of(module, top), room_of(other, top)
            if one and two and one != two and floor[one] <= floor[two]:
                wrong.append(f"{module} imports {other}")
    return sorted(wrong)


@pytest.mark.parametrize(("top", "order"), [("core", ROOMS), ("tui", CONSOLE)])
def test_a_room_knows_only_the_rooms_below(top: str, order: tuple[tuple[str, ...], ...]) -> None:
    """Its own modules, and those of rooms that are further down in the house."""
    assert not upward(arrows(), top, order)


def test_an_arrow_upward_is_seen() -> None:
    """Between neighbours, too."""
    found = {"core.base.text": {"core.base.units", "core.settings.config"}, "core.policy.log": {"core.history.journal"}}
    assert upward(found, "core", ROOMS) == [
        "core.base.text imports core.settings.config", "core.policy.log imports core.history.journal"
    ]  # fmt: skip


def circles(found: dict[str, set[str]]) -> list[str]:
    """Modules that lead back to themselves."""
    reached = {module: set(wanted) for module, wanted in found.items()}
    for middle in found:
        for wanted in reached.values():
            wanted.update(reached[middle] if middle in wanted else ())
    return sorted(module for module, wanted in reached.items() if module in wanted)


def test_no_circles() -> None:
    """No module needs itself by a detour; folders with code in their __init__ would count as well."""
    assert not circles(arrows())


def test_a_circle_is_seen() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["b", "c"]


@pytest.mark.parametrize("top", AT_THE_TOP)
def test_everything_has_a_room(top: str) -> None:
    """Nothing lies beside the rooms."""
    assert {path.name for path in (ROOT / top).glob("*.py")} == AT_THE_TOP[top]


def strangers(found: dict[str, set[str]]) -> list[str]:
    """What the console imports of core and may not know."""
    wrong = []
    for module, wanted in found.items():
        known = KNOWN_TO_SCREENS + (KNOWN_TO_COMMAND if module == "tui.command" else ())
        if module.startswith("tui."):
            of_core = (name for name in wanted if name.startswith("core."))
            wrong += [f"{module} imports {name}" for name in of_core if not name.startswith(known)]
    return sorted(wrong)


def test_the_console_knows_the_protocol_alone() -> None:
    """Only the command that starts things knows the engine."""
    assert not strangers(arrows())


def test_a_stranger_is_seen() -> None:
    found = {
        "tui.app": {"core.engine.engine", "core.base.text"},
        "tui.command": {"core.engine.serve", "core.policy.server"},
    }
    assert strangers(found) == [
        "tui.app imports core.engine.engine", "tui.command imports core.policy.server"
    ]  # fmt: skip


def foreign(module: str, wanted: set[str]) -> list[str]:
    """What a module of base or servers imports of the settings."""
    rooms = module.startswith(("core.base.", "core.servers."))
    return sorted(name for name in wanted if rooms and name.startswith("core.settings"))


def test_base_and_servers_read_no_settings() -> None:
    """What they need of them is handed in."""
    assert not [name for module, wanted in arrows().items() for name in foreign(module, wanted)]
    assert foreign("core.base.text", {"core.settings.config"}) == ["core.settings.config"]


def test_core_never_loads_the_console() -> None:
    """No module of core brings Textual, Rich or tui into the process, directly or by a detour."""
    names = [f"mailquota.{name_of(path)}" for path in modules("core")]
    code = "import importlib, sys\n" + "\n".join(f"importlib.import_module({name!r})" for name in names)
    code += "\nprint([name for name in sys.modules if name.startswith(('textual', 'rich', 'mailquota.tui'))])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


LEDGER = "core/mailboxes/ledger.py"
ENTRY = "core/mailboxes/entry.py"
CHANGES = {"add", "clear", "discard", "pop", "popitem", "remove", "setdefault", "update"}  # methods of dict and set


def ledger_fields() -> set[str]:
    """The attributes that an Entry and the Ledger give themselves."""
    found = set()
    for node in [node for name in (LEDGER, ENTRY) for node in ast.parse((ROOT / name).read_text()).body]:
        if isinstance(node, ast.ClassDef) and node.name in {"Entry", "Ledger"}:
            made = next(each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__")
            found |= {each.attr for each in ast.walk(made) if isinstance(each, ast.Attribute) and is_stored(each)}
    return found


def is_stored(node: ast.Attribute | ast.Subscript) -> bool:
    """Whether it is assigned or deleted."""
    return not isinstance(node.ctx, ast.Load)


def meddling(code: str, fields: set[str]) -> list[int]:
    """The lines where a module changes a field of another object, or an item of it, or uses a private one.

    The code does not tell types, so each object may be an entry or the ledger. What a class sets of itself is its own.
    """
    found = []
    for node in ast.walk(ast.parse(code)):
        target: ast.AST = node
        if isinstance(node, ast.Subscript) and is_stored(node):
            target = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
            target = node.func.value
        elif not isinstance(node, ast.Attribute) or not (is_stored(node) or node.attr.startswith("_")):
            continue
        while isinstance(target, ast.Subscript):
            target = target.value
        if isinstance(target, ast.Attribute) and target.attr in fields:
            of_self = isinstance(target.value, ast.Name) and target.value.id == "self"
            found += [] if of_self else [target.lineno]
    return sorted(set(found))


def test_the_ledger_alone_changes_its_entries() -> None:
    """All others call its methods. Modules of rooms below it can't have an entry."""
    below = [room for rooms in ROOMS[: ROOMS.index(("mailboxes",))] for room in rooms]
    fields, found = ledger_fields(), []
    for path in [*modules("core"), *modules("tui")]:
        name = str(path.relative_to(ROOT))
        if name != LEDGER and room_of(name_of(path), "core") not in below:
            found += [f"{name}:{line}" for line in meddling(path.read_text(), fields)]
    assert not found


MEDDLING = """
entry.limit = 5
self._ledger.entries["a@x"].fresh_until += 1.0
entry.trend, (entry.week, other) = 1, (2, 3)
del ledger.entries["a@x"]
taken, self._ledger._unjudged = self._ledger._unjudged, {}
self.entry.known: int = 3
for entry.limit in range(3): pass
self._ledger._unsampled.update(more)
ledger.entries.pop("a@x")
ledger.generation += 1
print(len(ledger._gone_unsampled))
"""


def test_meddling_with_the_ledger_is_seen() -> None:
    """In each of these lines; not where a field is only read, or a class sets one of its own."""
    fields = ledger_fields()
    assert {"limit", "known", "fresh_until", "held", "entries", "_unjudged", "_unsampled", "edits"} <= fields
    lines = range(2, len(MEDDLING.splitlines()) + 1)
    assert meddling(MEDDLING, fields) == list(lines)
    assert not meddling("self.limit = entry.limit; entry.note_event(); x.name = ledger.entries[entry.address]", fields)


# What changes files by their paths: others_folders.py of base is the one way below folders of other users.
CHANGES_FILES = {
    "os": {"chmod", "chown", "lchown", "link", "makedirs", "mkdir", "mkfifo", "mknod", "remove", "removedirs", "rename",
           "renames", "replace", "rmdir", "setxattr", "symlink", "truncate", "unlink", "utime"},
    "shutil": {"chown", "copy", "copy2", "copyfile", "copymode", "copystat", "copytree", "move", "rmtree"},
    "tempfile": {"NamedTemporaryFile", "TemporaryDirectory", "mkdtemp", "mkstemp"},
    "sqlite3": {"connect"},
}  # fmt: skip
# Methods of Path, with the numbers of arguments that they may have. Those of Folder of the same name have others.
CHANGES_PATHS = {
    "chmod": {1}, "hardlink_to": {1}, "lchmod": {1}, "mkdir": {0, 1}, "rename": {1}, "replace": {1}, "rmdir": {0},
    "symlink_to": {1, 2}, "touch": {0}, "unlink": {0}, "write_bytes": {1}, "write_text": {1},
}  # fmt: skip
NO_PATHS = {"structs", "self"}  # what such a name may be a function or method of instead
WRITING = {"O_WRONLY", "O_RDWR", "O_CREAT", "O_APPEND", "O_TRUNC"}
MAY_CHANGE_FILES = {
    "core/base/others_folders.py": "the one way",
    "core/history/sqlite.py": "the state database, with the rights of the owner of its folder (state_file.py)",
    "core/history/inspection.py": "reads it, in the same way",
    "core/accounts/sqlite.py": "opens a file that exists; makes one only for a throwaway world",
    "core/commands/install/machine.py": "units and settings, in folders of root's",
    "core/demo/build.py": "a throwaway world, in a new folder of this user's alone",
    "core/demo/folder.py": "the same",
    "core/demo/maildir.py": "the same",
    "core/demo/traffic.py": "the same",
    "core/demo/world.py": "the same",
    "core/doctor/dovecot/probe_databases.py": "reads a database of Dovecot's, with mode=ro",
    "core/commands/streams.py": "opens /dev/null",
}


def changes_of_files(code: str) -> list[int]:
    """The lines where a module changes files by their paths, or opens them for writing."""
    nodes = list(ast.walk(ast.parse(code)))
    awaited = [node.value for node in nodes if isinstance(node, ast.Await)]  # no function of a library that blocks
    calls = [node for node in nodes if isinstance(node, ast.Call) and node not in awaited]
    return sorted({call.lineno for call in calls if _changes_files(call)})


def _changes_files(call: ast.Call) -> bool:
    names = {node.attr for node in ast.walk(call) if isinstance(node, ast.Attribute)}
    first = call.args[0] if call.args else None
    on_a_handle = isinstance(first, ast.Name) and first.id == "handle"
    if isinstance(call.func, ast.Name):
        return call.func.id == "open" and not on_a_handle and _is_for_writing(call.args[1:2], call.keywords)
    if not isinstance(call.func, ast.Attribute):
        return False
    name, of = call.func.attr, call.func.value.id if isinstance(call.func.value, ast.Name) else ""
    if of in CHANGES_FILES:
        return name in CHANGES_FILES[of] or (of == "os" and name == "open" and bool(names & WRITING))
    if name == "open" and _is_for_writing(call.args[:1], call.keywords):
        return True
    if name == "replace" and call.keywords:  # of msgspec.structs
        return False
    return len(call.args) in CHANGES_PATHS.get(name, ()) and of not in NO_PATHS


def _is_for_writing(mode: list[ast.expr], keywords: list[ast.keyword]) -> bool:
    given = [*mode, *(each.value for each in keywords if each.arg == "mode")]
    texts = [each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return any(set(text) & set("wax+") and len(text) <= 3 for text in texts)


def test_files_of_others_are_changed_in_one_way() -> None:
    """By handles, with no link followed. A module that needs no such care says why."""
    found = {str(path.relative_to(ROOT)): changes_of_files(path.read_text()) for path in modules("core")}
    assert not {name: lines for name, lines in found.items() if lines and name not in MAY_CHANGE_FILES}
    assert not [name for name in MAY_CHANGE_FILES if not found.get(name)], "these need no leave any more"


CHANGING_FILES = """
os.unlink(path)
os.rename(old, new, src_dir_fd=folder)
os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
os.open(path, flags=os.O_RDWR)
open(path, "w")
open(path, mode="ab")
path.open("r+")
Path(path).write_text("x")
path.unlink()
path.unlink(missing_ok=True)
path.parent.mkdir(parents=True)
path.rename(other)
path.replace(other)
shutil.rmtree(path)
tempfile.mkstemp()
sqlite3.connect(path)
os.chmod(f"{folder}/x", 0o600)
path.chmod(0o600)
path.touch()
"""
NOT_CHANGING_FILES = """
os.open(path, os.O_RDONLY | os.O_DIRECTORY)
open(path)
open(path, "rb")
open(handle, "wb")
path.open()
place.unlink(name)
place.rename(old, new)
place.open(name, os.O_WRONLY | os.O_CREAT)
os.fchmod(handle, 0o600)
text.replace("w", "a")
msgspec.structs.replace(row, used=1)
self.touch(entry)
async def f(): await accounts.replace(sync)
"""


def test_a_change_of_files_is_seen() -> None:
    """In each of these lines; not where a file is read, or its handle is used."""
    assert changes_of_files(CHANGING_FILES) == list(range(2, len(CHANGING_FILES.splitlines()) + 1))
    assert not changes_of_files(NOT_CHANGING_FILES)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


@pytest.mark.parametrize("folder", LONGEST_FILE)
def test_pieces_stay_small(folder: str) -> None:
    """A file has at most 400 lines, one of tests 500; a function 40."""
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
