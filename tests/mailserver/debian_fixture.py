"""pytest fixtures with the server in Debian's places; each recipe starts when a session first asks for it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.mailserver.debian import DebianServer
from tests.mailserver.fixture import cannot_run, require_servers
from tests.mailserver.namespace import Namespace
from tests.mailserver.process import ServerFailedError, find_program
from tests.mailserver.recipes import Recipe
from tests.mailserver.series import is_for_the_other, ispmail_recipe, recipes_here
from tests.truth.scale import LONG


@contextmanager
def debian_server(recipe: Recipe) -> Iterator[DebianServer]:
    """One that runs, by the rules of `require_servers`."""
    require_servers(*DebianServer.programs)
    try:
        with Namespace():
            pass
    except ServerFailedError as error:  # a container may forbid mounts even to root
        cannot_run(str(error))
    with DebianServer(recipe) as server:
        yield server


@pytest.fixture(scope="session")
def bullseye() -> Iterator[DebianServer]:
    """Dovecot 2.3, quota driver maildir."""
    with debian_server("bullseye") as server:
        yield server


@pytest.fixture(scope="session")
def bookworm() -> Iterator[DebianServer]:
    """Dovecot 2.3, quota driver count."""
    with debian_server("bookworm") as server:
        yield server


@pytest.fixture(scope="session")
def trixie() -> Iterator[DebianServer]:
    """Dovecot 2.4."""
    with debian_server("trixie") as server:
        yield server


@pytest.fixture(scope="session")
def postfixadmin() -> Iterator[DebianServer]:
    """Dovecot 2.3 and PostfixAdmin's tables."""
    with debian_server("postfixadmin") as server:
        yield server


@pytest.fixture(scope="session")
def ispmail(request: pytest.FixtureRequest) -> DebianServer:
    """As the ISPmail guide for this Debian has it, bookworm or trixie."""
    server: DebianServer = request.getfixturevalue(ispmail_recipe())
    return server


@pytest.fixture(params=recipes_here())
def debian(request: pytest.FixtureRequest) -> DebianServer:
    """Each of them in turn that this machine's Dovecot can follow."""
    server: DebianServer = request.getfixturevalue(request.param)
    return server


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs the other Dovecot (tests/run runs it on the other Debian), and what takes too long."""
    left_out = {item for item in items if is_for_the_other(item) or (not LONG and item.get_closest_marker("long"))}
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]


def pytest_report_header() -> str:
    """What the tests run against."""
    questions = {
        "Dovecot ": ["dovecot", "--version"],
        "Postfix ": ["postconf", "-hd", "mail_version"],
        "MariaDB ": ["mariadbd", "--version"],
    }
    return "against " + ", ".join(f"{name}{_version(command)}" for name, command in questions.items())


def _version(command: list[str]) -> str:
    """The first number with a dot in what a program says of itself."""
    program = find_program(command[0])
    if program is None:
        return f"no {command[0]}"
    said = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False).stdout
    found = re.search(r"[0-9]+\.[0-9][0-9.]*", said)
    return found[0] if found else f"{command[0]} of no known version"
