"""What is read from Postfix and Dovecot, with outputs recorded from both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailquota.core.servers.postfix.maps import (
    database_maps,
    database_url,
    main_cf_map,
    main_cf_password,
    parse_map_file,
)
from mailquota.core.settings.config import load
from mailquota.core.settings.discover import discover
from mailquota.core.settings.passwords import read_password
from mailquota.core.settings.text import dump
from tests.core.recorded_server import Server

DATA = Path(__file__).parents[2] / "data"
MAP = """# as in the tutorial
user = mailserver
password = ChangeMe
hosts = 127.0.0.1
dbname = mailserver
query = SELECT 1 FROM virtual_users WHERE email='%s'
"""
SQL_CONF = r"""driver = mysql
connect = host=127.0.0.1 dbname=mailserver user=mailserver password=ChangeMe
#user_query = SELECT '/old/%d' AS home
user_query = SELECT email AS user, \
  concat('*:bytes=', quota) AS quota_rule, \
  '/var/vmail/%d/%n' AS home, \
  5000 AS uid, 5000 AS gid FROM virtual_users WHERE email='%u'
"""


def recorded(name: str) -> str:
    """The text of a recorded output."""
    return (DATA / name).read_text()


BOOKWORM = Server(
    recorded("dovecot-2.3/doveconf-n.ispmail-bookworm.txt"),
    recorded("postfix/postconf-3.7.txt"),
    {"/etc/postfix/mysql-virtual-mailbox-maps.cf": MAP, "/etc/dovecot/dovecot-sql.conf.ext": SQL_CONF},
)
TRIXIE = Server(
    recorded("dovecot-2.4/doveconf-n.ispmail-trixie.txt"),
    recorded("postfix/postconf-3.10.txt"),
    {"/etc/postfix/mariadb-virtual-mailbox-maps.cf": MAP},
)
ISPMAIL: dict[str, object] = {
    "accounts.database": "mysql://mailserver@127.0.0.1/mailserver",
    "accounts.schema": "ispmail",
    "mailstore.path": "/var/vmail/{domain}/{user}/Maildir",
    "policy.listen": ["unix:/var/spool/postfix/private/mailquota"],
    "policy.overquota": "452 4.2.2 Mailbox is full and cannot receive any more emails",
    "policy.success": "DUNNO",
    "policy.nouser": "DUNNO",
}


def test_ispmail_on_dovecot_23() -> None:
    """Everything that the tutorial's server says; the home is in the SQL file."""
    password_file = {"accounts.password_file": "/etc/postfix/mysql-virtual-mailbox-maps.cf"}
    assert BOOKWORM.discover() == ISPMAIL | password_file


def test_ispmail_on_dovecot_24() -> None:
    """The same server in the newer language, as its edition of the tutorial has it: the grace is a size."""
    more = {"accounts.password_file": "/etc/postfix/mariadb-virtual-mailbox-maps.cf", "policy.grace": "50M"}
    assert TRIXIE.discover() == ISPMAIL | more


@pytest.mark.parametrize("server", [BOOKWORM, TRIXIE], ids=["2.3", "2.4"])
def test_settings_of_a_server_without_a_file(server: Server, tmp_path: Path) -> None:
    """They load, each names its source, and the password is nowhere in the written file."""
    found = discover("auto", server.run, server.read)
    missing = {"MAILQUOTA_CONFIG": str(tmp_path / "mailquota.toml")}
    (tmp_path / "mailquota.toml").write_text("")
    config = load(None, missing, found)
    assert config.origin["policy.listen"] == "found: postconf queue_directory"
    assert config.origin["policy.overquota"] == "found: doveconf quota_status_overquota"
    assert config.origin["accounts.database"].startswith("found: /etc/postfix/")
    assert config.found.trash_names == ("Trash",)
    assert "ChangeMe" not in dump(config, mask=False)


def test_the_password_is_read_where_it_was_found(tmp_path: Path) -> None:
    """The found settings are enough to log in."""
    file = tmp_path / "map.cf"
    file.write_text(MAP)
    found = discover("auto", Server(postconf=f"virtual_mailbox_maps = proxy:mysql:{file}").run)
    config_file = tmp_path / "mailquota.toml"
    config_file.write_text("")
    assert read_password(load(config_file, {}, found), "database", {}).text == "ChangeMe"


def test_a_server_with_nothing() -> None:
    """Nothing is found, nothing is raised."""
    found = Server().found()
    assert (found.values, found.trash_names) == ({}, ())
    assert "accounts.database: postconf is not installed" in found.faults
    assert "mailstore.path: doveconf is not installed" in found.faults


@pytest.mark.parametrize(
    "text", ["", "}\n}\n}\n", "namespace {\n{\n", "\x00= \n= =\n{ {", "# 2.4.1\nquota x {"], ids=repr
)
def test_output_that_means_nothing(text: str) -> None:
    """Broken output says nothing, or little, and raises nothing."""
    assert set(Server(text, text).discover()) <= {"policy.grace", "mailstore.driver"}


def test_files_that_may_not_be_read() -> None:
    """A map that only Postfix may read leaves the section alone, a missing SQL file the path; both are named."""
    server = Server(BOOKWORM.doveconf, BOOKWORM.postconf)
    found = server.discover()
    assert not [key for key in found if key.startswith(("accounts.", "mailstore."))]
    assert found["policy.listen"] == ISPMAIL["policy.listen"]
    gone = "can't be read: No such file or directory"
    assert server.found().faults == (
        f"accounts.database: /etc/postfix/mysql-virtual-mailbox-maps.cf {gone}",
        f"accounts.database: /etc/dovecot/dovecot-sql.conf.ext {gone}",
        f"mailstore.path: /etc/dovecot/dovecot-sql.conf.ext {gone}",
    )


def test_what_would_not_do_as_a_setting_is_not_found() -> None:
    """Dovecot's own OK is none of ours; a delimiter or a folder that is nonsense neither."""
    text = recorded("dovecot-2.4/doveconf-n.maildir-driver.txt")
    text = text.replace("quota_status_success = DUNNO", "quota_status_success = OK")
    found = Server(text, f"queue_directory = /{'x' * 120}\nrecipient_delimiter = @\n").discover()
    assert not {"policy.success", "policy.listen", "policy.recipient_delimiter"} & found.keys()
    assert found["policy.nouser"] == "DUNNO"


def test_the_delimiter_is_dovecots() -> None:
    """Postfix's counts only where there is no Dovecot."""
    postconf = "recipient_delimiter = -\n"
    assert Server(None, postconf).discover()["policy.recipient_delimiter"] == "-"
    assert "policy.recipient_delimiter" not in Server("# 2.3.19.1\n", postconf).discover()
    assert Server("# 2.3.19\nrecipient_delimiter = _", postconf).discover()["policy.recipient_delimiter"] == "_"
    assert Server(None, "recipient_delimiter =\n").discover()["policy.recipient_delimiter"] == ""


@pytest.mark.parametrize(
    ("field", "grace", "largest", "told"),
    [
        ("'0' AS quota_grace", "0", 0, ()),
        ("'5 M' AS quota_grace, '20K' AS quota_max_mail_size", "5M", 20 * 1024, ()),
        ("grace AS quota_grace", None, 0, ("quota_grace",)),
        ("most AS quota_max_mail_size", None, 0, ("quota_max_mail_size",)),
    ],
)
def test_what_decides_may_stand_in_the_user_query(
    field: str, grace: str | None, largest: int, told: tuple[str, ...]
) -> None:
    """It counts where it is the same for all; one that differs by user is told, and the settings' own counts."""
    sql = SQL_CONF.replace("SELECT email AS user", f"SELECT email AS user, {field}")
    server = Server(BOOKWORM.doveconf, BOOKWORM.postconf, {**BOOKWORM.files, "/etc/dovecot/dovecot-sql.conf.ext": sql})
    found = server.found()
    assert server.discover().get("policy.grace") == grace
    assert found.quota is not None
    assert found.quota.largest == largest
    words = (
        "of user_query in /etc/dovecot/dovecot-sql.conf.ext: it differs by user, and the one of all users is followed"
    )
    assert found.faults == tuple(f"policy: {name} {words}" for name in told)


SOCKET = "%2Frun%2Fmysqld%2Fmysqld.sock"
MAPS = {
    "user = u\ndbname = d\n": f"mysql://u@{SOCKET},localhost/d",
    "user = u@x\ndbname = my db\nhosts = a b:3307, inet:c:1\n": "mysql://u%40x@a,b:3307,c:1/my%20db",
    "user = u\ndbname = d\nhosts = unix:/run/mysqld/mysqld.sock\n": f"mysql://u@{SOCKET}/d",
    "user = u\ndbname = d\nhosts = localhost:3307\n": f"mysql://u@{SOCKET},localhost:3307/d",
    "user = u\ndbname = d\nhosts = unix:localhost\n": f"mysql://u@{SOCKET},localhost/d",
    "user = u\ndbname = d\nhosts = [::1]:3307\n": "mysql://u@[::1]:3307/d",
    "user = u\ndbname = d\nhosts = a\n  b\n# c\n": "mysql://u@a,b/d",
    "user = u\n": None,
    "dbname = d\n": None,
    "user = u\ndbname = d\nhosts = {bad}\n": None,
    "user = u\ndbname = d\nhosts = unix:\n": None,
}


@pytest.mark.parametrize(("text", "url"), MAPS.items(), ids=repr)
def test_databases_of_postfix_maps(text: str, url: str | None) -> None:
    """Hosts in their order, sockets and ports as the settings write them; localhost is the socket first."""
    assert database_url("mysql", parse_map_file(text)) == url


def test_the_first_usable_map_counts() -> None:
    """Other kinds of maps are passed over."""
    value = "hash:/etc/postfix/vmailbox, proxy:mysql:/etc/a.cf mysql:/etc/b.cf unionmap:{sqlite:/c,inline:{a=b}}"
    assert database_maps(value) == [("mysql", "/etc/a.cf"), ("mysql", "/etc/b.cf"), ("sqlite", "/c")]
    server = Server(None, f"virtual_mailbox_maps = {value}\n", {"/etc/b.cf": MAP.replace("virtual_users", "mailbox")})
    assert server.discover()["accounts.password_file"] == "/etc/b.cf"
    assert server.discover()["accounts.schema"] == "postfixadmin"


MAIN_CF = """dbhost = 127.0.0.1
login = mailserver
aliases_user = other
aliases_dbname = mailserver
aliases_password = wrong
mailboxes_hosts = ${dbhost}:3307
mailboxes_user = $login
mailboxes_password = $begin$$b
begin = Change Me
mailboxes_dbname = mailserver
mailboxes_query = SELECT 1 FROM virtual_users WHERE email='%s'
"""


@pytest.mark.parametrize("prefix", ["", "proxy:"])
def test_a_map_whose_settings_stand_in_main_cf(prefix: str) -> None:
    """With what $ stands for there; the password is neither asked for nor kept."""
    postconf = f"virtual_mailbox_maps = {prefix}mysql:mailboxes\nconfig_directory = /srv/postfix\n"
    server = Server(None, postconf, {"/srv/postfix/main.cf": MAIN_CF})
    found = server.found()
    assert found.values["accounts"] == {
        "database": "mysql://mailserver@127.0.0.1:3307/mailserver",
        "password_file": "/srv/postfix/main.cf",
        "schema": "ispmail",
    }
    names = "mailboxes_hosts, mailboxes_user, mailboxes_dbname"
    assert found.origins["accounts.database"] == f"/srv/postfix/main.cf {names}"
    assert found.origins["accounts.password_file"] == "/srv/postfix/main.cf mailboxes_password"
    assert "Change" not in repr(found)
    assert not [word for argv in server.asked for word in argv if "mailboxes" in word]


def test_the_password_of_a_map_in_main_cf() -> None:
    """Of the map with this user and database; as long as the file may be, and in whatever circle it goes."""
    assert main_cf_password(MAIN_CF, "mailserver", "mailserver") == "Change Me$b"
    assert main_cf_password(MAIN_CF, "other", "mailserver") == "wrong"
    assert main_cf_password(MAIN_CF, "mailserver", "elsewhere") is None
    left_to_options = "vm_option_file = /etc/my.cnf\nvm_dbname = mailserver\nvm_password = here"
    assert main_cf_password(left_to_options, "bob", "mailserver") == "here"
    assert main_cf_map("a_user = $b\nb = $c\nc = ${b}(x)$(nowhere)", "a") == {"user": "${b}(x)$(nowhere)"}


OPTIONS = """# of the administrator
[client]
user = "mailserver"
password = ChangeMe
port=3307
host = db.example.org
!includedir /etc/mysql/conf.d
[local]
host=localhost
socket = '/run/other.sock'
"""
OPTION_MAPS = {
    "": "mysql://mailserver@db.example.org:3307/d",
    "option_group = local\n": "mysql://mailserver@%2Frun%2Fother.sock/d",
    "option_group = none\nuser = u\n": "mysql://u@db.example.org:3307/d",
    "hosts = 127.0.0.1\n": "mysql://mailserver@127.0.0.1/d",
}


@pytest.mark.parametrize(("text", "url"), OPTION_MAPS.items(), ids=repr)
def test_maps_that_leave_things_to_an_option_file(text: str, url: str) -> None:
    """Host or socket, and user; not the password, which Postfix does not take from there either."""
    files = {"/a.cf": f"option_file = /my.cnf\ndbname = d\n{text}", "/my.cnf": OPTIONS}
    found = Server(None, "virtual_mailbox_maps = mysql:/a.cf\n", files).found()
    assert found.values["accounts"] == {"database": url}
    assert "ChangeMe" not in repr(found)


def test_an_option_file_that_is_closed_is_named() -> None:
    files = {"/a.cf": "option_file = /my.cnf\ndbname = d\nuser = u\n"}
    found = Server(None, "virtual_mailbox_maps = mysql:/a.cf\n", files).found()
    assert "accounts.database: /my.cnf can't be read: No such file or directory" in found.faults
