"""What the private mail server's helpers promise, without any server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mailserver.fixture import REQUIRE, require_servers, temporary_folder
from tests.mailserver.mail import build_message
from tests.mailserver.process import ServerFailedError
from tests.mailserver.server import LONGEST_FOLDER, check_folder


@pytest.mark.parametrize("size", [300, 377, 378, 379, 5000, 100_000])
def test_message_has_the_size_asked_for(size: int) -> None:
    message = build_message("john@example.org", size=size)
    assert len(message) == size
    assert message.endswith(b"\r\n")
    assert max(map(len, message.splitlines())) <= 78


def test_message_smaller_than_its_header_is_an_error() -> None:
    with pytest.raises(ValueError, match="no room"):
        build_message("john@example.org", size=50)


def test_missing_program_skips_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRE, raising=False)
    with pytest.raises(pytest.skip.Exception, match="real-server test: not installed: no-such-program"):
        require_servers("sh", "no-such-program", root=False)


def test_missing_program_fails_where_servers_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRE, "1")
    with pytest.raises(pytest.fail.Exception, match="real-server test"):
        require_servers("no-such-program", root=False)


def test_closed_folder_is_refused() -> None:
    """The servers' users could not enter it, and their own messages would not say so."""
    with temporary_folder() as folder:
        folder.chmod(0o700)
        with pytest.raises(ServerFailedError, match=r"chmod o\+x"):
            check_folder(folder)


def test_folder_too_long_for_sockets_is_refused() -> None:
    with pytest.raises(ServerFailedError, match="too long"):
        check_folder(Path("/" + "x" * LONGEST_FOLDER))
