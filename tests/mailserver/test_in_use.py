"""The tests pass on a mail server in use, and leave it as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.mailserver.debian import DebianServer
from tests.mailserver.fixture import private_namespace, require_servers
from tests.mailserver.in_use import IN_USE, InUse, changes, server_in_use

pytestmark = [
    pytest.mark.server,
    pytest.mark.timeout(900),
    pytest.mark.skipif(IN_USE in os.environ, reason="they run on one already"),
]

# Those that look at their machine, or start servers; all of them: python -m tests.mailserver.in_use tests
LOOKING = (
    "tests/core/alerts/test_words.py",
    "tests/core/commands/install/test_command.py",
    "tests/core/commands/test_others.py",
    "tests/core/commands/test_undo.py",
    "tests/core/demo/test_world.py",
    "tests/core/doctor/host/test_probe.py",
    "tests/core/commands/install",
    "tests/core/policy/test_real_quota_status.py",
    "tests/core/doctor/test_examine.py",
    "tests/core/base/test_programs.py",
    "tests/core/settings/test_passwords.py",
)


@pytest.fixture(scope="module")
def machine() -> Iterator[InUse]:
    require_servers(*DebianServer.programs)
    with private_namespace():  # the test is skipped where that can't be
        pass
    with server_in_use() as running:
        yield running


def test_they_pass_and_leave_it_as_it_was(machine: InUse) -> None:
    before = machine.look()
    assert machine.pytest("-q", *LOOKING) == 0
    assert not changes(before, machine.look())


def test_what_is_not_as_it_was_is_noticed(machine: InUse) -> None:
    """Files, the database, the mail and the processes."""
    before = machine.look()
    script = """
        rm -r /etc/mailquota/templates/en
        chmod 0600 /etc/mailquota/mailquota.toml
        echo '# more' >> /etc/aliases
        setsid sleep 600 &
    """
    machine.server.set_quota("free@example.org", 0)
    machine.server.check(["sh", "-c", f"{{ {script} }} > /dev/null 2>&1 < /dev/null"])
    machine.server.set_quota("john@example.org", 7)
    machine.server.deliver_lmtp("free@example.org")
    noticed = [line.partition(":")[0] for line in changes(before, machine.look())]
    mail = [name for name in noticed if name.startswith("/var/vmail/example.org/free/")]
    assert mail
    assert [name for name in noticed if name not in mail] == [
        "/etc/aliases", "/etc/mailquota/mailquota.toml", "/etc/mailquota/templates", "/etc/mailquota/templates/en",
        "/etc/mailquota/templates/en/subject.txt", "processes", "the database",
    ]  # fmt: skip
