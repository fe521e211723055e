"""What the fast drivers can't follow is told, and what they can is not: by settings of both versions."""

from __future__ import annotations

import pytest

from mailquota.core.servers.dovecot.folder_names import FolderRule
from mailquota.core.servers.dovecot.followed import DovecotSettings, dovecot_settings
from mailquota.core.servers.dovecot.quota import DictTable, choose_driver
from mailquota.core.servers.dovecot.user_fields import selected
from tests.core.recorded_server import Server

DICT = "/etc/dovecot/dovecot-dict-sql.conf.ext"


INBOX = "namespace inbox {\n  inbox = yes\n}\n"


def old(top: str = "", *, backend: str = "count", fields: str = "", more: str = "", home: bool = True) -> str:
    """2.3 with an SQL user database, whose query is in the file /sql."""
    mail = "" if "mail_location" in top else "mail_location = maildir:~/Maildir\n"
    return (
        f"# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf\n{mail}{top}\n"
        f"plugin {{\n  quota = {backend}:User quota\n{more}\n}}\n"
        f"userdb {{\n  args = /sql\n  driver = sql\n{fields}\n}}\n"
    )


def new(top: str = "", *, driver: str = "count", fields: str = "", query: str = "email AS user") -> str:
    """2.4 with an SQL user database."""
    return (
        "# 2.4.1-4 (7d8c0e5759): /etc/dovecot/dovecot.conf\nmail_driver = maildir\n"
        f"mail_home = /srv/%{{user}}\nmail_path = ~/Maildir\n{top}\n"
        f'quota "User quota" {{\n  driver = {driver}\n}}\n'
        f"userdb sql {{\n  query = SELECT {query} FROM virtual_users WHERE email = '%{{user}}'\n{fields}\n}}\n"
    )


def said(text: str, query: str = "email AS user, '/srv/%d/%n' AS home", **files: str) -> DovecotSettings:
    known = {"/sql": f"user_query = SELECT {query} FROM virtual_users WHERE email='%u'\n", **files}
    return dovecot_settings(text, Server(files=known).read)


PLAIN = [
    old(),
    old("mail_location = maildir:~/Maildir:INDEX=/var/index/%u:CONTROL=/var/control/%u:SUBSCRIPTIONS=subs"),
    old("mail_location = maildir:~/Maildir:LAYOUT=Maildir++:NO-NOSELECT:VOLATILEDIR=/tmp/%u"),
    old("mail_location = maildir:~/Maildir:INDEX=MEMORY", backend="maildir"),
    old("mail_plugins = quota zlib", backend="maildir"),
    old("auth_username_format = %Lu"),
    old("namespace inbox {\n  inbox = yes\n  location =\n  prefix = INBOX.\n}\nnamespace old {\n  prefix =\n}"),
    old(INBOX + "namespace public {\n  location = maildir:/srv/public\n  type = public\n}"),
    old(INBOX + "namespace shared {\n  location = maildir:%%h/Maildir\n  type = shared\n}"),
    old(INBOX + "namespace all {\n  location = virtual:~/virtual\n}"),
    old(INBOX + "namespace archive {\n  disabled = yes\n  location = maildir:~/Archive\n}"),
    old("protocol imap {\n  mail_plugins = quota imap_quota\n}"),
    old(
        more="  quota_rule = *:storage=1G\n  quota_rule2 = Trash:storage=+10%%\n  quota_warning = storage=95%% x 95 %u"
    ),
    new(),
    new("mail_inbox_path = ~/Maildir/\nmail_index_path = /var/index/%{user}\nmail_control_path = /var/control/%{user}"),
    new("mailbox_list_layout = maildir++\nmailbox_list_utf8 = no"),
    new("mail_plugins {\n  quota = yes\n  mail_compress = yes\n}", driver="maildir"),
    new("namespace inbox {\n  inbox = yes\n  mailbox Junk {\n    quota_ignore = yes\n  }\n}"),
    new("protocol lmtp {\n  auth_username_format =\n}"),
    new(query="email AS user, concat(quota, 'B') AS quota_storage_size, 5000 AS uid, 10 AS quota_message_count"),
    new(fields="  fields {\n    home = /srv/%{user}\n    quota_storage_grace = 10M\n  }"),
]


@pytest.mark.parametrize("text", PLAIN)
def test_nothing_to_doubt(text: str) -> None:
    """What changes nothing of what counts keeps the fast driver."""
    found = said(text).quota
    assert found.doubts == ()
    assert choose_driver(found, doveadm=True) == found.backend


DOUBTED = {
    # every option after the path
    old("mail_location = maildir:~/Maildir:LAYOUT=fs"): "has LAYOUT=fs: folders are not stored as .Folder",
    old("mail_location = maildir:~/Maildir:LAYOUT=index"): "mail_location has LAYOUT=index",
    old("mail_location = maildir:~/Maildir:INBOX=~/Inbox"): "INBOX is in another folder",
    old("mail_location = maildir:~/Maildir:UTF-8"): "mail_location has UTF-8: names of folders are stored in UTF-8",
    old("mail_location = maildir:~/Maildir:DIRNAME=mBoX"): "mail is in folders of another name",
    old("mail_location = maildir:~/Maildir:FULLDIRNAME=mBoX"): "mail is in folders of another name",
    old("mail_location = maildir:~/Maildir:MAILBOXDIR=boxes"): "folders are in another folder",
    old("mail_location = maildir:~/Maildir:BROKENCHAR=~"): "folders with broken names count, too",
    old("mail_location = maildir:~/Maildir:INDEX=/i:ITERINDEX"): "folders are listed by their indexes",
    old("mail_location = maildir:~/Maildir:NEWEST=1"): "mailquota does not know this option",
    old("mail_location = maildir:~/Maildir:CONTROL=/c/%u", backend="maildir"): "maildirsize is in another folder",
    old("mail_location = mdbox:~/mdbox"): "mail is stored as mdbox, not as Maildir",
    # namespaces
    old(INBOX + "namespace archive {\n  location = maildir:~/Archive\n  prefix = Archive/\n}"): (
        "namespace archive has location = maildir:~/Archive: mail in it counts, too"
    ),
    old(INBOX + "namespace {\n  location = mdbox:~/expunged\n}"): "namespace without a name has location = mdbox",
    old(INBOX + "namespace more {\n  alias_for = INBOX.\n}\n"): "namespace more is an alias",
    # other ways to count
    old("maildir_broken_filename_sizes = yes"): "sizes in the names of files are not believed",
    old("mail_plugins = quota zlib"): "the plugin zlib may have packed or encrypted mail",
    old("protocol imap {\n  mail_plugins = quota mail_crypt\n}"): "the plugin mail_crypt",
    old(more="  quota = count:User quota:ns=INBOX."): "only the namespace INBOX. counts",
    # for some alone
    old("protocol lda {\n  mail_location = maildir:~/Other\n}"): "protocol lda has a mail_location of its own",
    old("protocol imap {\n  plugin {\n    quota_rule3 = Sent:ignore\n  }\n}"): "imap has a quota_rule3 of its own",
    # names
    old("auth_username_format = %Ln"): "users are not looked up by their whole address in lower case",
    old("auth_username_format = %u"): "auth_username_format = %u",
    old("auth_username_translation = #@"): "auth_username_translation changes characters",
    # fields of user databases
    old(fields="  override_fields = mail=mdbox:~/mdbox"): "mail is stored as mdbox",
    old(fields="  override_fields = mail=maildir:~/Maildir:LAYOUT=fs"): "LAYOUT=fs",
    old(fields="  default_fields = mail_plugins=quota"): "mail_plugins of userdb sql: single users",
    # 2.4
    new(INBOX + "namespace archive {\n  mail_path = ~/Archive\n}"): (
        "namespace archive has mail_path = ~/Archive"
    ),
    new(INBOX + "namespace archive {\n  mail_driver = mdbox\n}"): "has mail_driver = mdbox",
    new("namespace inbox {\n  inbox = yes\n  mailbox_list_layout = fs\n}"): "mailbox_list_layout = fs: folders",
    new("namespace a {\n  quota other {\n  }\n  inbox = yes\n}"): "namespace a has a quota of its own",
    new("mailbox_list_layout = fs"): "mailbox_list_layout = fs: folders are not stored as .Folder",
    new("mailbox_list_utf8 = yes"): "mailbox_list_utf8 = yes: names of folders are stored in UTF-8",
    new("mailbox_directory_name = mBoX"): "mail is in folders of another name",
    new("mailbox_root_directory_name = boxes"): "folders are in another folder",
    new("mail_inbox_path = ~/Inbox"): "mail_inbox_path = ~/Inbox: INBOX is in another folder",
    new("mail_control_path = /c/%{user}", driver="maildir"): "maildirsize is in another folder",
    new("maildir_broken_filename_sizes = yes"): "sizes in the names of files are not believed",
    new("mail_plugins {\n  mail_compress = yes\n}"): "the plugin mail_compress",
    new("mail_plugins = quota mail_crypt"): "the plugin mail_crypt",
    new("protocol imap {\n  mail_plugins {\n    mail_compress = yes\n  }\n}"): "the plugin mail_compress",
    new("protocol imap {\n  mail_path = ~/Other\n}"): "protocol imap has a mail_path of its own",
    new("auth_username_format = %{user | username}"): "users are not looked up by their whole address",
    new(query="email AS user, mail_path"): "mail_path of userdb sql: single users",
    new(query="email AS user, 'yes' AS quota_ignore"): "quota_ignore of userdb sql",
    new(query="email AS user, 'x' AS `namespace/inbox/mail_path`"): "namespace/inbox/mail_path of userdb sql",
    new(query="*"): "userdb sql gives fields that mailquota can't tell",
    new(fields="  fields {\n    mail_inbox_path = ~/Inbox\n  }"): "INBOX is in another folder",
    new('quota "User quota" {\n  quota_ignore = yes\n}'): "mail is taken out of that quota",
}  # fmt: skip


@pytest.mark.parametrize(("text", "why"), DOUBTED.items())
def test_every_doubt(text: str, why: str) -> None:
    """Each has its reason, and leads to Dovecot where it can be asked."""
    found = said(text).quota
    assert why in "; ".join(found.doubts)
    assert choose_driver(found, doveadm=True) == "doveadm"


RULES = {
    "email AS user, concat('*:bytes=', quota) AS quota_rule": "",
    "email AS user, '*:bytes=' || quota AS quota_rule": "",
    "email AS user, CONCAT('?:storage=', quota, 'M') AS quota_rule": "",
    "email AS user, 'Trash:ignore' AS quota_rule2": "",
    "email AS user, quota_rule": "quota_rule of user_query in /sql: the rule may be one for folders",
    "email AS user, concat('Trash:', more) AS quota_rule": "the rule may be one for folders",
    "email AS user, concat('*:bytes=', quota) AS quota_rule, rule AS quota_rule2": "quota_rule2 of user_query in /sql",
    "email AS user, concat('maildir:/srv/', path) AS mail": "mail of user_query in /sql: single users",
    "email AS user, quota": "quota of user_query in /sql: single users",
    "*": "user_query in /sql gives fields that mailquota can't tell",
    "email AS user, IF(a, 1, 2)": "gives fields that mailquota can't tell",
}


@pytest.mark.parametrize(("query", "why"), RULES.items())
def test_fields_of_single_users(query: str, why: str) -> None:
    found = said(old(), query)
    assert bool(found.quota.doubts) == bool(why)
    assert why in "; ".join(found.quota.doubts)


def test_a_rule_that_all_users_have() -> None:
    """A constant of the query wins over the rule of the settings, and is followed as that would be."""
    text = old(more="  quota_rule2 = Sent:ignore\n  quota_rule3 = Junk:ignore")
    found = said(text, "email AS user, 'Trash:ignore' AS quota_rule2")
    assert found.quota.rules == (FolderRule("Trash", True), FolderRule("Junk", True))


def test_other_user_databases() -> None:
    """Nothing is known of what LDAP gives; a passwd-file is read; where one is in SQL, the accounts are there."""
    ldap = "# 2.3.19\nmail_location = maildir:/srv/%u\nplugin {\n  quota = count:x\n}\nuserdb {\n  driver = ldap\n}\n"
    assert "userdb ldap gives fields" in said(ldap).quota.doubts[0]
    file = ldap.replace("driver = ldap", "driver = passwd-file\n  args = username_format=%u /users")
    users = (
        "a@x:{PLAIN}x::::::userdb_quota_rule=*:bytes=5\nb@x:x:1:1::/home/b::userdb_mail=mbox:~/m\n#c:::::::userdb_x\n"
    )
    assert [why.partition(":")[0] for why in said(file, **{"/users": users}).quota.doubts] == [
        "quota_rule of userdb passwd-file",
        "mail of userdb passwd-file",
    ]
    assert not said(file, **{"/users": "a@x:{PLAIN}x::::::\n"}).quota.doubts
    assert not said(file).quota.doubts
    assert not said(old() + "userdb {\n  driver = ldap\n}\n").quota.doubts


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("SELECT a, t.b, `c` FROM t", {"a": "a", "b": "t.b", "c": "`c`"}),
        ("select concat(a, ',', b) AS x, 'it''s, from' y from t", {"x": "concat(a, ',', b)", "y": "'it''s, from'"}),
        ("SELECT (SELECT m FROM n) AS p, 5 AS uid FROM t", {"p": "(SELECT m FROM n)", "uid": "5"}),
        ("SELECT 'a' AS 'quota/User quota/quota_storage_size'", {"quota/User quota/quota_storage_size": "'a'"}),
        ("SELECT * FROM t", None),
        ("SELECT t.*, 1 AS x FROM t", None),
        ("CALL lookup('%u')", None),
        ("WITH x AS (SELECT 1) SELECT * FROM x", None),
        ("", None),
    ],
)  # fmt: skip
def test_what_a_query_gives(query: str, fields: dict[str, str] | None) -> None:
    assert selected(query) == fields


def test_names_of_users() -> None:
    """The row's spelling counts where Dovecot's settings have the path, not where the query has it."""
    assert said("").users is None
    usual = said(old()).users
    assert usual is not None
    assert ("'" in usual.characters, "Z" in usual.characters, usual.as_in_row) == (False, True, False)
    wide = said(old("auth_username_chars = abc'&+\nmail_location = maildir:/srv/%d/%n")).users
    assert wide is not None
    assert (wide.characters, wide.as_in_row) == ("abc'&+", True)
    empty = said(old("auth_username_chars ="), "LOWER(email) AS user").users
    assert empty is not None
    assert (empty.characters, empty.as_in_row) == ("", False)
    rows = {
        "'/srv/%d/%n' AS home, 1 AS uid": False,
        "email AS user, 1 AS uid": True,
        "concat(local, '@', domain) AS user": True,
        "'%u' AS user": False,
        "username, domain": True,
        "lower(email) AS user": False,
    }
    for query, expected in rows.items():
        users = said(old("mail_location = maildir:/srv/%d/%n"), query).users
        assert users is not None
        assert users.as_in_row is expected, query
    modern = said(new()).users
    assert modern is not None
    assert modern.as_in_row


MAP = """connect = host=127.0.0.1 dbname=mailserver user=mailserver password=secret
map {
  pattern = priv/quota/storage
  table = mail_usage
  username_field = email
  value_field = used
}
map {
  pattern = priv/quota/messages
  table = mail_usage
  username_field = email
  value_field = mails
}
"""


def test_the_table_of_a_dict() -> None:
    """Its map names table and columns; where it does not, Dovecot is asked."""
    text = old(f"dict {{\n  quota = mysql:{DICT}\n}}", backend="dict").replace(
        "dict:User quota", "dict:User quota::proxy::quota"
    )
    found = said(text, **{DICT: MAP}).quota
    url = "mysql://mailserver@127.0.0.1/mailserver"
    assert found.table == DictTable(url, "mail_usage", "email", "used", "mails")
    assert (found.doubts, choose_driver(found, doveadm=True)) == ((), "sql")
    for odd in (
        MAP.replace("mail_usage", "other", 1),
        MAP.replace("value_field = used", "value_field = used; DROP TABLE x"),
        MAP.partition("map {\n  pattern = priv/quota/messages")[0],
        MAP.replace("priv/", "shared/"),
        "",
    ):
        found = said(text, **{DICT: odd}).quota
        assert found.table is None
        assert choose_driver(found, doveadm=True) == "doveadm"
    shared = said(text.replace("quota::proxy", "quota:%d:proxy"), **{DICT: MAP}).quota
    assert "users share the usage of %d" in shared.doubts[0]
    unread = said(text).quota
    assert (unread.table, unread.doubts, choose_driver(unread, doveadm=True)) == (None, (), "sql")


def test_remarks_of_the_discovery() -> None:
    """An administrator reads why Dovecot is asked."""
    server = Server(
        old("mail_plugins = quota zlib"), files={"/sql": "user_query = SELECT '/srv/%d/%n' AS home FROM x\n"}
    )
    remark = next(fault for fault in server.found().faults if "zlib" in fault)
    assert remark.startswith("mailstore: the plugin zlib may have packed")
    assert remark.endswith("Dovecot itself is asked for the usage")
