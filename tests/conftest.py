"""Fixtures for all tests."""

from hypothesis import settings

pytest_plugins = ["tests.mailserver.fixture", "tests.core.worlds", "tests.core.enforcing"]

# A deadline would measure the machine, not the code.
settings.register_profile("mailquota", deadline=None)
settings.load_profile("mailquota")
