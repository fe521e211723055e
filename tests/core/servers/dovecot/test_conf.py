"""What is told from doveconf's output: grace, answers, the place of Maildirs, Trash; of Dovecot 2.3 and 2.4."""

from __future__ import annotations

import pytest

from mailquota.core.servers.dovecot.conf import config_file, dovecot_release, dovecot_tool, path_template, trash_names
from mailquota.core.settings.discover import ask_dovecot
from tests.core.recorded_server import Server

GRACES = {
    "# 2.3.19\nplugin {\n  quota_grace = 5%%\n}\n": "5%",
    "# 2.3.19\nplugin {\n  quota_grace = 50 M\n}\n": "50M",
    "# 2.3.19\nplugin {\n  quota = count:User quota\n}\n": None,
    "# 2.4.1\nquota_storage_grace = 1 M\nquota x {\n}\n": "1M",
    '# 2.4.1\nquota_storage_grace = 1 M\nquota "User quota" {\n  storage_grace = 2K\n}\n': "2K",
    '# 2.4.1\nquota "User quota" {\n}\n': "10M",
    "# 2.4.1\nmail_driver = maildir\n": None,
}


@pytest.mark.parametrize(("text", "grace"), GRACES.items(), ids=repr)
def test_grace(text: str, grace: str | None) -> None:
    """A share in 2.3, a size in 2.4, inside the block first, by default 10 MiB in 2.4 and nothing to tell in 2.3."""
    assert Server(text).discover().get("policy.grace") == grace


def test_variables_in_answers() -> None:
    """%{error} is a text that is known; anything else depends on the user and is left alone."""
    text = "# 2.4.1\nquota_exceeded_message = Full up\nquota_status_overquota = 554 5.2.2 %{error}\n"
    assert Server(text).discover()["policy.overquota"] == "554 5.2.2 Full up"
    assert "policy.overquota" not in Server(text.replace("error", "user")).discover()
    old = "# 2.3.19\nplugin {\n  quota_status_toolarge = 552 5.2.3 over 100%% of the quota\n}\n"
    assert Server(old).discover()["policy.toolarge"] == "552 5.2.3 over 100% of the quota"


SQL_USERDB = "userdb {\n  args = /sql\n  driver = sql\n}\n"
LOCATIONS = {
    "# 2.3.19\nmail_location = maildir:/srv/%d/%n/Maildir:INDEX=/x/%u\n": "/srv/{domain}/{user}/Maildir",
    "# 2.3.19\nmail_location = maildir:/srv/%Lu/\n": "/srv/{user}@{domain}",
    "# 2.3.19\nmail_location = maildir:/srv/%{domain}/%{username}\n": "/srv/{domain}/{user}",
    "# 2.3.19\nmail_location = maildir:~/Maildir\nmail_home = /srv/%d/%n\n": "/srv/{domain}/{user}/Maildir",
    "# 2.3.19\nmail_location = maildir:~/Maildir\nuserdb {\n  args = uid=vmail home=/srv/%d/%n\n"
    "  driver = static\n}\n": ("/srv/{domain}/{user}/Maildir"),
    "# 2.3.19\nmail_location = maildir:~\nuserdb {\n  driver = passwd-file\n  override_fields = home=/srv/%u\n}\n": (
        "/srv/{user}@{domain}"
    ),
    "# 2.3.19\nmail_location = maildir:~/Maildir\n": None,
    "# 2.3.19\nmail_location = mdbox:/srv/%d/%n\n": None,
    "# 2.3.19\nmail_location = maildir:/srv/%1n/%n\n": None,
    "# 2.3.19\nmail_location = maildir:/srv/%d\n": None,
    "# 2.3.19\nmail_location = maildir:relative/%n\n": None,
    "# 2.3.19\nmail_location = maildir:/srv/{user}/%n\n": None,
    "# 2.4.1\nmail_driver = maildir\nmail_path = /srv/%{user | domain | lower}/%{user|username}\n": (
        "/srv/{domain}/{user}"
    ),
    "# 2.4.1\nmail_driver = maildir\nmail_path = ~\nmail_home = /srv/%{user}\n": "/srv/{user}@{domain}",
    "# 2.4.1\nmail_driver = maildir\nmail_path = /srv/%{user | sha1}\n": None,
    "# 2.4.1\nmail_driver = maildir\nmail_path = /srv/%n\n": None,
    "# 2.4.1\nmail_driver = sdbox\nmail_path = /srv/%{user}\n": None,
    "# 2.4.1\nmail_driver = maildir\nmail_path = ~/Maildir\nuserdb static {\n  fields {\n"
    "    home = /srv/%{user}\n  }\n}\n": ("/srv/{user}@{domain}/Maildir"),
    "# 2.4.1\nmail_driver = maildir\nmail_path = ~/Maildir\nmail_home = /x/%{user}\nuserdb sql {\n"
    "  query = SELECT '/srv/%{user | domain}/%{user | username}' AS home FROM u WHERE a = '%{user}'\n}\n": (
        "/srv/{domain}/{user}/Maildir"
    ),
    "# 2.4.1\nmail_driver = maildir\nmail_path = ~/Maildir\nmail_home = /x/%{user}\nuserdb sql {\n"
    "  query = SELECT home, quota FROM u WHERE a = '%{user}'\n}\n": None,
}


@pytest.mark.parametrize(("text", "path"), LOCATIONS.items(), ids=repr)
def test_where_maildirs_lie(text: str, path: str | None) -> None:
    """One template for all users, or nothing: what differs by user is not guessed."""
    assert Server(text).discover().get("mailstore.path") == path


QUERIES = {
    "SELECT '/srv/%d/%n' AS home, 'maildir:/mail/%u' AS mail FROM u": "/mail/{user}@{domain}",
    "SELECT '/srv/%d/%n' as `home`, 5000 AS uid FROM u": "/srv/{domain}/{user}/Maildir",
    "SELECT concat('/srv/', maildir) AS home FROM u": None,
    "SELECT * FROM u": None,
    "SELECT concat('maildir:/srv/', path) AS mail FROM u": None,
    "SELECT quota FROM home": "/home/{user}/Maildir",
}


@pytest.mark.parametrize(("query", "path"), QUERIES.items(), ids=repr)
def test_fields_of_the_user_query(query: str, path: str | None) -> None:
    """A constant counts more than the global setting; a column makes the place unknown."""
    text = "# 2.3.19\nmail_location = maildir:~/Maildir\nmail_home = /home/%n\n" + SQL_USERDB
    assert Server(text, files={"/sql": f"user_query = {query}\n"}).discover().get("mailstore.path") == path


NAMESPACES = r"""namespace inbox {
  mailbox Trash {
    special_use = \Trash
  }
  mailbox "Deleted \"Items\"" {
    special_use = "\\Trash \\Archive"
  }
  mailbox Sent {
    special_use = \Sent
  }
  prefix = INBOX.
}
namespace shared {
  mailbox Wastebasket {
    special_use = \Trash
  }
  type = shared
}
"""


def test_trash_names() -> None:
    """Of private namespaces, quoted in either version's way."""
    assert trash_names(NAMESPACES) == ["Trash", 'Deleted "Items"']
    assert ask_dovecot("auto", Server(NAMESPACES).run).trash_names == ("Trash", 'Deleted "Items"')
    assert ask_dovecot("auto", Server().run).trash_names == ()


TOOLS = {
    "auto": ["doveconf"],
    "off": ["doveconf"],
    "http://127.0.0.1:8080": ["doveconf"],
    "doveadm": ["doveconf"],
    "doveadm -c /etc/x.conf": ["doveconf", "-c", "/etc/x.conf"],
    "/opt/bin/doveadm -v -c'/my dir/x.conf'": ["/opt/bin/doveconf", "-c", "/my dir/x.conf"],
    "chroot /srv doveadm -c /etc/x.conf": ["chroot", "/srv", "doveconf", "-c", "/etc/x.conf"],
    "/usr/local/bin/wrapper -c /etc/x.conf": ["doveconf", "-c", "/etc/x.conf"],
    "doveadm -c": ["doveconf"],
    "doveadm 'open": ["doveconf"],
}


@pytest.mark.parametrize(("setting", "command"), TOOLS.items(), ids=repr)
def test_the_same_dovecot_for_every_tool(setting: str, command: list[str]) -> None:
    """What leads to doveadm leads to doveconf; a broken setting is told by its own check."""
    assert dovecot_tool(setting, "doveconf") == command
    server = Server()
    server.discover(setting)
    assert server.asked[-1] == [*command, "-n"]


def test_percent_signs_in_paths() -> None:
    """A doubled one is a percent sign, a lone one nothing we know."""
    assert path_template("/srv/%%/%n", modern=False) == "/srv/%/{user}"
    assert path_template("/srv/%n%", modern=False) is None


@pytest.mark.parametrize(
    ("text", "release", "file"),
    [
        ("# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf\n", (2, 3, 19), "/etc/dovecot/dovecot.conf"),
        ("# 2.4.1-4 (7d8c0e5759): /srv/my mail/d.conf\nx = 1\n", (2, 4, 1), "/srv/my mail/d.conf"),
        ("# 2.4 (x): /d.conf", (2, 4, 0), "/d.conf"),
        ("2.3.19.1 (9b53102964)\n", (0, 0, 0), ""),
        ("# OS: Linux\n", (0, 0, 0), ""),
        ("", (0, 0, 0), ""),
    ],
)
def test_the_first_line(text: str, release: tuple[int, int, int], file: str) -> None:
    assert dovecot_release(text) == release
    assert config_file(text) == file
