"""Settings of Dovecot that move, name or count mail otherwise than the recipe: figures and answers are Dovecot's."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
from collections.abc import Iterator

import pytest

from tests.mailserver.dovecot import VMAIL_UID
from tests.mailserver.fixture import require_mailserver, temporary_folder
from tests.mailserver.server import MailServer
from tests.real.beside import Mailquota, wait_until, write_settings
from tests.real.other_settings import (
    Beside,
    Change,
    adding,
    beside,
    found,
    remarks,
    replacing,
    running,
    save,
)

pytestmark = pytest.mark.server

LIMIT = 1_000_000
OLD = pytest.mark.dovecot("2.3")
NEW = pytest.mark.dovecot("2.4")
MESSAGE = b"From: a@example.net\nTo: b@example.org\nSubject: x\n\n" + b"0123456789abcdef\n" * 12_000


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    """A mail server whose Dovecot counts, for this module alone, as its settings are changed."""
    require_mailserver()
    with temporary_folder() as folder, MailServer(folder, driver="count") as started:
        yield started


BY_MAILDIR = ("count:User quota\n  quota_vsizes = yes", "maildir:User quota")
BY_MAILDIR_24 = ("driver = count", "driver = maildir")
FIELDS = "  fields {\n    namespace/inbox/mailbox/Trash/quota_ignore = yes\n  }\n"
WITH_ZLIB = (
    ("mail_plugins = quota\n", "mail_plugins = quota zlib\n"),
    ("mail_plugins = quota imap_quota", "mail_plugins = quota zlib imap_quota"),
)
BY_NAME = ("mail_location = maildir:~/Maildir", "mail_location = maildir:{}/%d/%n/Maildir")
CONTROL = ("maildir:~/Maildir", "maildir:~/Maildir:CONTROL={}/%d/%n/control")
LISTENER = "service dict {\n  unix_listener dict {\n    mode = 0666\n  }\n}\n"


ARCHIVE = "namespace archive {\n  prefix = Archive/\n  separator = /\n  location = maildir:~/Archive\n}"
ARCHIVE_24 = "namespace archive {\n  prefix = Archive/\n  separator = /\n  mail_path = ~/Archive\n}"
SLASHES = ("  inbox = yes\n", "  inbox = yes\n  separator = /\n")


@pytest.mark.parametrize(
    "conf", [pytest.param(ARCHIVE, marks=OLD), pytest.param(ARCHIVE_24, marks=NEW)], ids=["2.3", "2.4"]
)
def test_a_namespace_of_its_own(server: MailServer, conf: str) -> None:
    """What is in the archive counts: 20 % without it, 80 % with it."""
    john = "john@example.org"
    with beside(server, lambda text: adding(conf)(replacing(SLASHES)(text))) as box:
        server.add_user(john, LIMIT)
        save(server, john, "Archive/2023", "Archive/2024", "Archive/2025", "INBOX")
        assert "namespace archive has" in remarks(server)
        with running(box):
            row = box.shows(john)
            assert (row["messages"], row["source"]) == (4, "doveadm")
            assert row["percent"] > 80
            assert box.answers_as_dovecot(john, 1, 100_000, 400_000)[-1].startswith("452")


RULE = (" FROM virtual_users", ", {} AS quota_rule2 FROM virtual_users")


@OLD
@pytest.mark.parametrize(
    ("rule", "source"), [("'Trash:ignore'", "scan"), ("concat('Trash', ':ignore')", "doveadm")], ids=["same", "differs"]
)
def test_rules_of_single_users(server: MailServer, rule: str, source: str) -> None:
    """Trash does not count: mail is accepted that fits without it. A rule that all have needs no Dovecot."""
    john = "john@example.org"
    with beside(server, sql=replacing((RULE[0], RULE[1].format(rule)))) as box:
        server.add_user(john, LIMIT)
        save(server, john, "Trash", "Trash", "Trash", "INBOX", "INBOX")
        with running(box):
            row = box.shows(john)
            assert (row["messages"], row["source"]) == (2, source)
            assert 40 < row["percent"] < 42
            assert box.answers_as_dovecot(john, 1, 300_000, 800_000)[:2] == ["DUNNO", "DUNNO"]


IGNORED = {
    "for all": (replacing(("  mailbox Trash {\n", "  mailbox Trash {\n    quota_ignore = yes\n")), "scan"),
    "for users": (
        replacing(("  iterate_query", f"{FIELDS}  iterate_query")),
        "doveadm",
    ),
}


@NEW
@pytest.mark.parametrize("kind", IGNORED)
def test_folders_that_do_not_count(server: MailServer, kind: str) -> None:
    john = "john@example.org"
    conf, source = IGNORED[kind]
    with beside(server, conf) as box:
        server.add_user(john, LIMIT)
        save(server, john, "Trash", "Trash", "Trash", "INBOX", "INBOX")
        with running(box):
            row = box.shows(john)
            assert row["source"] == source
            box.answers_as_dovecot(john, 1, 300_000, 800_000)


def fs_layout(server: MailServer) -> tuple[Change, Change]:
    """2.3: in the user database; 2.4: in the namespace with INBOX."""
    mail = f"'maildir:{server.mail_folder}/%d/%n/Maildir:LAYOUT=fs' AS mail"
    return (
        replacing(("  inbox = yes\n", "  inbox = yes\n  mailbox_list_layout = fs\n  separator = /\n")),
        replacing((" FROM virtual_users", f", {mail} FROM virtual_users")),
    )


@OLD
def test_another_layout_by_the_user_database(server: MailServer) -> None:
    _, sql = fs_layout(server)
    with beside(server, replacing(SLASHES), sql) as box:
        another_layout(box)


@NEW
def test_another_layout_of_the_namespace(server: MailServer) -> None:
    conf, _ = fs_layout(server)
    with beside(server, conf) as box:
        another_layout(box)


def another_layout(box: Beside) -> None:
    """Folders are no .Folder: all count, the card has Trash, and it is the one that is emptied."""
    john, server = "john@example.org", box.server
    server.add_user(john, LIMIT)
    save(server, john, "Work/2020", "Trash", "INBOX")
    assert "fs" in remarks(server)
    with running(box):
        row = box.shows(john)
        assert (row["messages"], row["source"]) == (3, "doveadm")
        box.answers_as_dovecot(john, 1, 300_000, 700_000)
        card = box.mailquota.json("show", john)
        assert card["trash_messages"] == 1
        assert {folder["name"]: folder["messages"] for folder in card["folders"]}["Work/2020"] == 1
        (emptied,) = box.mailquota.json("empty-trash", john, "--yes")
        assert (emptied["messages"], emptied["folders"]) == (1, ["Trash"])
        assert box.shows(john)["messages"] == 2


UTF8 = [
    pytest.param(replacing(("maildir:~/Maildir", "maildir:~/Maildir:UTF-8")), marks=OLD, id="2.3"),
    pytest.param(adding("mailbox_list_utf8 = yes"), marks=NEW, id="2.4"),
]


@pytest.mark.parametrize("conf", UTF8)
def test_names_of_folders_in_utf8(server: MailServer, conf: Change) -> None:
    john = "john@example.org"
    with beside(server, conf) as box:
        server.add_user(john, LIMIT)
        save(server, john, "Été", "INBOX")
        assert (server.maildir(john) / ".Été").is_dir()
        with running(box):
            assert box.shows(john)["messages"] == 2
            box.answers_as_dovecot(john, 1, 500_000, 800_000)
            assert {folder["name"] for folder in box.mailquota.json("show", john)["folders"]} >= {"INBOX", "Été"}


INBOXES = [
    pytest.param(replacing(("maildir:~/Maildir", "maildir:~/Maildir:INBOX=~/Inbox")), marks=OLD, id="2.3"),
    pytest.param(adding("mail_inbox_path = ~/Inbox"), marks=NEW, id="2.4"),
]


@pytest.mark.parametrize("conf", INBOXES)
def test_inbox_elsewhere(server: MailServer, conf: Change) -> None:
    john = "john@example.org"
    with beside(server, conf) as box:
        server.add_user(john, LIMIT)
        save(server, john, "Sent", "INBOX", "INBOX")
        assert "INBOX is in another folder" in remarks(server)
        with running(box):
            assert box.shows(john)["messages"] == 3
            box.answers_as_dovecot(john, 1, 350_000, 800_000)


CONTROLS = [
    pytest.param(
        replacing(CONTROL, BY_MAILDIR),
        marks=OLD,
        id="2.3",
    ),
    pytest.param(
        lambda text: adding("mail_control_path = {}/%{user | domain}/%{user | username}/control")(
            replacing(BY_MAILDIR_24)(text)
        ),
        marks=NEW,
        id="2.4",
    ),
]


@pytest.mark.parametrize("conf", CONTROLS)
def test_a_record_elsewhere(server: MailServer, conf: Change) -> None:
    """maildirsize is in the folder for control files: what is recorded there counts, however wrong it is."""
    john = "john@example.org"
    with beside(server, lambda text: conf(text).replace("{}", str(server.mail_folder))) as box:
        server.add_user(john, LIMIT)
        save(server, john, "INBOX", "INBOX")
        record = server.maildir(john).parent / "control/maildirsize"
        with record.open("a") as file:
            file.write("300000 1\n")
        assert "maildirsize is in another folder" in remarks(server)
        with running(box):
            assert box.shows(john)["messages"] == 3
            box.answers_as_dovecot(john, 1, 300_000, 500_000)


PACKED = [
    pytest.param(replacing(*WITH_ZLIB), marks=OLD, id="2.3"),
    pytest.param(replacing(("  quota = yes\n", "  quota = yes\n  mail_compress = yes\n")), marks=NEW, id="2.4"),
]


@pytest.mark.parametrize("conf", PACKED)
def test_compressed_mail(server: MailServer, conf: Change) -> None:
    """Old mail was compressed without a W= in its name: its size is that of the message, not of the file."""
    john = "john@example.org"
    with beside(server, conf) as box:
        server.add_user(john, LIMIT)
        save(server, john, "INBOX")
        for number in (1, 2):
            path = server.maildir(john) / f"cur/160000000{number}.M1P1.host,S={len(MESSAGE)}:2,S"
            path.write_bytes(gzip.compress(MESSAGE))
            os.chown(path, VMAIL_UID, VMAIL_UID)
        with running(box):
            row = box.shows(john)
            assert (row["messages"], row["source"]) == (3, "doveadm")
            assert row["used_bytes"] > 3 * 200_000
            box.answers_as_dovecot(john, 1, 300_000, 500_000)
            (done,) = box.mailquota.json("recalc", john)
            assert abs(done["before_bytes"] - done["after_bytes"]) < 1024  # Dovecot tells KiB
            assert done["after_bytes"] > 3 * 200_000


SPELLED = [
    pytest.param(replacing(BY_NAME), "count", marks=OLD, id="2.3 count"),
    pytest.param(
        replacing(BY_NAME, BY_MAILDIR),
        "maildir",
        marks=OLD,
        id="2.3 maildir",
    ),
    pytest.param(str, "count", marks=NEW, id="2.4 count"),
    pytest.param(replacing(BY_MAILDIR_24), "maildir", marks=NEW, id="2.4 maildir"),
]


HOME_24 = "%{user | domain}/%{user | username}"
SPELLED += [
    pytest.param(
        replacing(("  iterate_query", f"  fields {{\n    home = {{}}/{HOME_24}\n  }}\n  iterate_query")),
        "count",
        marks=NEW,
        id="2.4 fields",
    ),
]


@pytest.mark.parametrize(("conf", "driver"), SPELLED)
def test_the_spelling_of_the_row(server: MailServer, conf: Change, driver: str) -> None:
    """The Maildir has the capitals of the row, and is measured there by the fast driver."""
    frank, other = "frank.miller@example.org", "jane@example.org"
    with beside(server, lambda text: conf(text).replace("{}", str(server.mail_folder))) as box:
        server.add_users([("Frank.Miller@Example.org", LIMIT), (other, LIMIT)])
        save(server, frank, "Trash", "INBOX")
        save(server, other, "INBOX")
        assert (server.mail_folder / "Example.org/Frank.Miller/Maildir").is_dir()
        discovered = found(server)
        assert discovered.values["mailstore"]["path"] == server.mailstore
        assert discovered.users is not None
        assert discovered.users.as_in_row
        with running(box):
            row = box.shows(frank)
            assert (row["messages"], row["source"]) == (2, "scan" if driver == "count" else "maildirsize")
            assert box.shows(other)["messages"] == 1
            box.answers_as_dovecot("Frank.Miller@Example.ORG", 1, 500_000, 700_000)
            wait_until(lambda: box.row(frank)["verified_at"] is not None, "Dovecot was asked about this name, too")
            assert box.row(frank)["witness_bytes"] is None
            assert box.mailquota.json("show", frank)["trash_messages"] == 1
            server.sql("UPDATE virtual_users SET email = %s WHERE email = %s", frank, frank)  # another mailbox, empty
            wait_until(lambda: box.row(frank)["messages"] == 0, "the new spelling counts")
            box.answers_as_dovecot(frank, 1, 900_000)


IN_QUERY_24 = ("email AS user,", f"email AS user, '{{}}/{HOME_24}' AS home,")
IN_QUERY = [
    pytest.param(str, marks=OLD, id="2.3"),
    pytest.param(replacing(IN_QUERY_24), marks=NEW, id="2.4"),
]


@pytest.mark.parametrize("conf", IN_QUERY)
def test_the_spelling_of_the_query(server: MailServer, conf: Change) -> None:
    """Where the query gives the home its name is in lower case, whatever the row has."""
    frank = "frank.miller@example.org"
    with beside(server, lambda text: conf(text).replace("{}", str(server.mail_folder))) as box:
        server.add_user("Frank.Miller@Example.org", LIMIT)
        save(server, frank, "INBOX")
        assert server.maildir(frank).is_dir()
        with running(box):
            assert box.shows(frank)["messages"] == 1
            box.answers_as_dovecot(frank, 1, 900_000)


def test_characters_of_names(server: MailServer) -> None:
    """Where Dovecot takes more characters, these accounts are as any other. A path is never left."""
    names = ["o'brien@example.org", "a&b+c@example.org"]
    characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567890.-_@'&+"
    with beside(server, adding(f'auth_username_chars = "{characters}"\nrecipient_delimiter = ~')) as box:
        settings = box.mailquota.settings
        settings.write_text(settings.read_text().replace("[policy]\n", '[policy]\nrecipient_delimiter = "~"\n'))
        server.add_users([(name, LIMIT) for name in [*names, "../x@example.org", "e=f@example.org"]])
        for name in names:
            save(server, name, "INBOX", "INBOX")
        with running(box):
            for name in names:
                assert box.shows(name)["messages"] == 2
                box.answers_as_dovecot(name, 1, 650_000, 900_000)
            for name in ("../x@example.org", "e=f@example.org"):
                row = box.row(name)
                assert row["used_bytes"] is None
                assert "takes no such user name" in row["why"]


def test_all_characters(server: MailServer) -> None:
    """With an empty setting Dovecot takes every name, in any alphabet. 2.3 delivers no mail to them."""
    name = "jürgen@example.org"
    with beside(server, adding("auth_username_chars =")) as box:
        server.sql("ALTER DATABASE mailserver CHARACTER SET utf8mb4")
        server.add_users([(name, LIMIT), ("x/y@example.org", LIMIT)])
        server.run_doveadm("mailbox", "create", "-u", name, "Trash")
        folder = server.maildir(name) / "new"
        folder.mkdir(exist_ok=True)
        os.chown(folder, VMAIL_UID, VMAIL_UID)
        path = folder / f"1600000000.M1P1.host,S={len(MESSAGE)}"
        path.write_bytes(MESSAGE)
        os.chown(path, VMAIL_UID, VMAIL_UID)
        server.run_doveadm("quota", "recalc", "-u", name)
        with running(box):
            assert box.shows(name)["messages"] == 1
            box.answers_as_dovecot(name, 1, 900_000)
            assert box.row("x/y@example.org")["used_bytes"] is None


DICT = """
dict {{
  usage = mysql:{folder}/dovecot-dict-sql.conf.ext
}}
"""
DICT_MAP = """connect = host=127.0.0.1 port={port} dbname={database} user=mailadmin password={password}
map {{
  pattern = priv/quota/storage
  table = mail_usage
  username_field = email
  value_field = used
}}
map {{
  pattern = priv/quota/messages
  table = mail_usage
  username_field = email
  value_field = mails
}}
"""


@OLD
@pytest.mark.parametrize("source", ["sql", "doveadm"])
def test_a_dict_with_a_table_of_another_name(server: MailServer, source: str) -> None:
    """Its map file names table and columns. With a map of something else Dovecot is asked."""
    john, folder, database = "john@example.org", server.dovecot.folder, server.mariadb
    server.sql("CREATE TABLE mail_usage (email varchar(100) PRIMARY KEY, used bigint DEFAULT 0, mails int DEFAULT 0)")
    text = DICT_MAP.format(port=database.port, database=database.database, password=database.password)
    if source == "doveadm":
        server.sql("CREATE TABLE more_usage (email varchar(100) PRIMARY KEY, mails int DEFAULT 0)")
        text = "more_usage".join(text.rsplit("mail_usage", 1))
    (folder / "dovecot-dict-sql.conf.ext").write_text(text)
    change = replacing(("quota = count:User quota\n  quota_vsizes = yes", "quota = dict:User quota::proxy::usage"))
    with beside(server, lambda text: DICT.format(folder=folder) + LISTENER + change(text)) as box:
        try:
            server.add_user(john, LIMIT)
            save(server, john, "INBOX", "INBOX")
            with running(box):
                row = box.shows(john)
                assert (row["messages"], row["source"]) == (2, source)
                box.answers_as_dovecot(john, 1, 650_000, 900_000)
        finally:
            server.sql("DROP TABLE IF EXISTS mail_usage, more_usage")


def test_a_driver_that_dovecot_changes(server: MailServer) -> None:
    """After a reload figures follow: maildirsize is left behind, and Dovecot counts."""
    john, dovecot = "john@example.org", server.dovecot
    as_maildir = (
        replacing(BY_MAILDIR_24) if "dovecot_config_version" in dovecot.config.read_text() else replacing(BY_MAILDIR)
    )
    with temporary_folder() as folder:
        box = Beside(server, Mailquota(write_settings(server, folder, more='reserve = "0s"'), server))
        with contextlib.ExitStack() as stack:
            stack.enter_context(dovecot.changed(as_maildir))
            server.clear()
            server.add_user(john, LIMIT)
            save(server, john, "INBOX")
            stack.enter_context(running(box))
            assert box.shows(john)["source"] == "maildirsize"
            with dovecot.changed(str):
                for _ in range(3):
                    assert server.deliver_lmtp(john, 200_000)[0] == 250
                box.mailquota.run("reload")
                row = box.shows(john)
                assert (row["messages"], row["source"]) == (4, "scan")
                box.answers_as_dovecot(john, 1, 250_000, 400_000)
    server.clear()


def test_the_driver_is_told(server: MailServer) -> None:
    """``config`` says what "auto" stands for, and why."""
    packed = adding("protocol pop3 {\n  mail_plugins = quota mail_crypt\n}")
    with beside(server, packed) as box:
        listing = json.loads(box.mailquota.run("config", "--json").stdout)
        origin = next(row["origin"] for row in listing if row["key"] == "mailstore.driver")
        assert "here: doveadm, as the plugin mail_crypt may have packed or encrypted mail" in origin
