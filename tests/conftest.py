"""Fixtures for all tests."""

pytest_plugins = ["tests.mailserver.fixture"]
