"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import surroundings
from tests.leftovers import new_mark, none_left

surroundings.settle()

pytest_plugins = [
    "tests.mailserver.fixture",
    "tests.mailserver.debian_fixture",
    "tests.core.mailboxes.boxes",
    "tests.core.worlds",
    "tests.core.enforcing",
    "tests.core.histories",
    "tests.core.state_databases",
]

# A deadline would measure the machine, not the code.
settings.register_profile("mailquota", deadline=None)
settings.load_profile("mailquota")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture is made."""
    surroundings.show_servers(shown=item.get_closest_marker("server") is not None)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note each test that failed for ``tests/run``, which repeats it alone unless it failed at its end."""
    if report.failed and (noted := os.environ.get("MAILQUOTA_FAILED_TESTS")):
        with Path(noted).open("a") as file:
            file.write(f"{'final' if report.when == 'teardown' else 'repeatable'} {report.nodeid}\n")


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Set up first, so looked at last. Its failure shows as an error of the last test, and names the one to blame."""
    with none_left(new_mark()):
        yield
