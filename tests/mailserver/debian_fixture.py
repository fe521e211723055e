"""pytest fixtures with the server in Debian's places; each recipe starts when a session first asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.mailserver.debian import DebianServer
from tests.mailserver.fixture import cannot_run, require_servers
from tests.mailserver.namespace import Namespace
from tests.mailserver.process import ServerFailedError
from tests.mailserver.recipes import Recipe
from tests.mailserver.series import dovecot_series, recipes_here


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
    """The ISPmail guide for this Debian: bookworm, or trixie where Dovecot 2.4 is installed."""
    server: DebianServer = request.getfixturevalue("trixie" if dovecot_series() == "2.4" else "bookworm")
    return server


@pytest.fixture(params=recipes_here())
def debian(request: pytest.FixtureRequest) -> DebianServer:
    """Each of them in turn that this machine's Dovecot can follow."""
    server: DebianServer = request.getfixturevalue(request.param)
    return server
