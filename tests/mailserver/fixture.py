"""pytest fixtures with the private servers; one start serves the whole session."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.mailserver.dovecot import Dovecot
from tests.mailserver.mariadb import MariaDB
from tests.mailserver.namespace import Namespace
from tests.mailserver.postfix import Postfix
from tests.mailserver.process import ServerFailedError, find_program, wait_until
from tests.mailserver.server import MailServer

# Set to 1 where a real-server test that can't run must not pass unnoticed.
REQUIRE = "MAILQUOTA_REQUIRE_SERVERS"


def require_servers(*programs: str, root: bool = True) -> None:
    """Skip the test when it can't have real servers here; fail it instead when REQUIRE is set to 1."""
    missing = [program for program in programs if find_program(program) is None]
    if missing:
        cannot_run(f"not installed: {', '.join(missing)}")
    if root and os.geteuid() != 0:
        cannot_run("needs root, as Dovecot and Postfix change users")


def require_mailserver() -> None:
    """The same for all three servers."""
    require_servers(*MariaDB.programs, *Dovecot.programs, *Postfix.programs)


def cannot_run(why: str) -> NoReturn:
    """Skip the test, or fail it where REQUIRE is set to 1."""
    reason = f"real-server test: {why}"
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{reason} ({REQUIRE}=1)", pytrace=False)
    pytest.skip(reason)


@contextlib.contextmanager
def private_namespace() -> Iterator[Namespace]:
    """One that runs, by the rules of `require_servers`."""
    require_servers(*Namespace.programs)
    inside = Namespace()
    try:
        inside.start()
    except ServerFailedError as error:  # a container may forbid mounts even to root
        cannot_run(str(error))
    try:
        yield inside
    finally:
        inside.stop()


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for servers. pytest's tmp_path won't do: closed to other users, and too long for unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="mailquota-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        # An engine that was given half a second to stop may be closing its state database in a thread still.
        assert wait_until(lambda: _removed(folder), 10), f"{folder} can't be removed"


def _removed(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)
    return not folder.exists()


@pytest.fixture(scope="session")
def mailserver() -> Iterator[MailServer]:
    """MariaDB, Dovecot and Postfix, shared by the session: use addresses of your own, or `clear()`."""
    require_mailserver()
    with temporary_folder() as folder, MailServer(folder) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """Only a MariaDB, not the one of `mailserver`, so that tests may stop it or change its tables."""
    require_servers(*MariaDB.programs, root=False)
    with temporary_folder() as folder, MariaDB(folder / "mariadb") as server:
        yield server
