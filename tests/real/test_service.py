"""``mailquota install`` and ``uninstall`` beside a real systemd and a real Postfix, on a throwaway machine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.core.worlds import FULL, JOHN, SmallWorld, fill
from tests.mailserver.fixture import require_servers, temporary_folder
from tests.mailserver.process import wait_until
from tests.mailserver.systemd import MAILQUOTA, Machine, machine

pytestmark = pytest.mark.server

_WORLD = "/var/mail-world"
_SETTINGS = "/etc/mailquota/mailquota.toml"
_RCPT = """
import smtplib, sys
with smtplib.SMTP("127.0.0.1", 25, "client.example.net") as smtp:
    smtp.ehlo_or_helo_if_needed()
    smtp.mail("somebody@example.net")
    code, text = smtp.rcpt(sys.argv[1])
    print(code, text.decode())
"""


@pytest.fixture
def host() -> Iterator[Machine]:
    """Postfix, a user vmail who owns the mailboxes of the small world, settings that lead there, and no service yet."""
    require_servers("postfix", "postconf")
    with machine() as new:
        new.must("groupadd", "--gid", "5000", "vmail")
        new.must("useradd", "--gid", "5000", "--uid", "5000", "--no-create-home", "--home-dir", _WORLD, "vmail")
        _make_world(new)
        new.must("postconf", "-X", "smtpd_recipient_restrictions")
        new.must(
            "postconf", "-e", "virtual_mailbox_domains = example.org, example.com", "virtual_mailbox_maps = static:x",
            "virtual_transport = discard:", "mynetworks = 127.0.0.2", "inet_interfaces = loopback-only",
        )  # fmt: skip
        new.must("systemctl", "start", "postfix@-.service")
        yield new


def _make_world(new: Machine) -> None:
    with temporary_folder() as folder:
        world = SmallWorld(folder)
        fill(world)
        world.settings |= {"policy": {}, "control": {}, "state": {}}
        world.write_settings()
        new.path(_SETTINGS).parent.mkdir()
        new.path(_SETTINGS).write_text(world.config.read_text().replace(str(folder), _WORLD))
        shutil.copytree(folder, new.path(_WORLD))
    new.must("chown", "-R", "vmail:vmail", _WORLD)


def answer(host: Machine, to: str) -> str:
    """What Postfix says to a recipient."""
    return host.must("/opt/python/bin/python3", "-c", _RCPT, to).strip()


def apply(host: Machine, *words: str) -> subprocess.CompletedProcess[str]:
    """It must succeed."""
    done = host.mailquota(*words, "--apply", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr + host.journal()
    return done


def test_installed_postfix_asks_and_uninstalled_no_more(host: Machine) -> None:
    before = host.path("/etc/postfix/main.cf").read_text()
    assert answer(host, FULL).startswith("250 ")
    apply(host, "install")
    assert answer(host, FULL).startswith("452 4.2.2 ")
    assert answer(host, JOHN).startswith("250 ")
    assert apply(host, "install").stdout == ""
    apply(host, "uninstall")
    assert answer(host, FULL).startswith("250 ")
    assert host.path("/etc/postfix/main.cf").read_text() == before
    print(MAILQUOTA, wait_until)
