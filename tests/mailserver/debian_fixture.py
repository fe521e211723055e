"""pytest fixtures with the server in Debian's places; each recipe starts when a session first asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.mailserver.debian import DebianServer
from tests.mailserver.fixture import cannot_run, require_servers
from tests.mailserver.namespace import Namespace
from tests.mailserver.process import ServerFailedError
from tests.mailserver.recipes import Recipe
from tests.mailserver.trixie import trixie_folder
from tests.truth.scale import LONG

RECIPES: tuple[Recipe, ...] = ("bullseye", "bookworm", "trixie", "postfixadmin")


@contextmanager
def debian_server(recipe: Recipe) -> Iterator[DebianServer]:
    """One that runs, by the rules of `require_servers`."""
    require_servers(*DebianServer.programs)
    try:
        with Namespace():
            pass
    except ServerFailedError as error:  # a container may forbid mounts even to root
        cannot_run(str(error))
    with ExitStack() as stack:
        folder = stack.enter_context(trixie_folder(may_make=LONG, mysql=True)) if recipe == "trixie" else None
        yield stack.enter_context(DebianServer(recipe, folder))


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


@pytest.fixture(params=RECIPES)
def debian(request: pytest.FixtureRequest) -> DebianServer:
    """Each of them in turn."""
    server: DebianServer = request.getfixturevalue(request.param)
    return server
