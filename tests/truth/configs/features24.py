"""What configurations of Dovecot 2.4 may have, by kind."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.truth.configs.model import DOMAIN, Account, Draft, Namespace, Step

Feature = Callable[[Draft, Random], None]
_HOME = "@VMAIL@/%{user | domain}/%{user | username}"


def _plain(draft: Draft, random: Random) -> None:
    """Nothing more."""


def _namespaces(draft: Draft, random: Random) -> None:
    """A prefix of INBOX, another separator, a namespace with a place of its own, folders of everybody."""
    which = random.randint(0, 3)
    separator = draft.namespaces[0].settings.setdefault("separator", draft.separator)
    if which in {0, 3}:
        draft.prefix = "INBOX" + separator
        draft.namespaces[0].settings["prefix"] = draft.prefix
    if which in {1, 3}:
        more = random.choice([{}, {"list": "children"}, {"hidden": "yes", "list": "no"}, {"mailbox_list_layout": "fs"}])
        settings = {"prefix": f"Archive{separator}", "separator": separator, "mail_path": "~/archive", **more}
        draft.namespaces.append(Namespace("archive", settings))
        draft.extra_folders += [f"Archive{separator}Old", f"Archive{separator}2019"]
    if which == 2:
        settings = {"type": "public", "prefix": f"Public{separator}", "separator": separator,
                    "mail_path": "@VMAIL@/public", "subscriptions": "no"}  # fmt: skip
        draft.namespaces.append(Namespace("public", settings))
        draft.extra_folders.append(f"Public{separator}News")


def _options(draft: Draft, random: Random) -> None:
    """Settings of where parts of a mailbox are."""
    pool = [
        {"mailbox_list_layout": "fs"}, {"mail_inbox_path": "~/Inbox"}, {"mail_control_path": "~/control"},
        {"mail_index_path": "~/index"}, {"mailbox_list_utf8": "yes"},
        {"mailbox_list_layout": "fs", "mailbox_directory_name": "mAildir"},
        {"mail_volatile_path": "/tmp/%{user}"}, {"mailbox_subscriptions_filename": "subs"},
    ]  # fmt: skip
    for one in random.sample(pool, random.randint(1, 2)):
        draft.settings |= one
    if draft.settings.get("mailbox_list_layout") == "fs":
        draft.settings["mail_path"] = "~/mail"
        draft.settings.setdefault("mail_home", _HOME)
        draft.separator = "/"
        draft.namespaces[0].settings["separator"] = "/"
    where = draft.namespaces[0].settings if random.random() < 0.3 else None
    if where is not None:
        for name in ("mail_inbox_path", "mailbox_list_layout", "mailbox_list_utf8"):
            if name in draft.settings:
                where[name] = draft.settings.pop(name)


def _mail_column(draft: Draft, random: Random) -> None:
    """The user query gives the path, for all in the same form or for each another one."""
    name, value = random.choice([
        ("mail_path", "'@VMAIL@/elsewhere/%{user | domain}/%{user | username}'"),
        ("mail_path", "'~/Mail'"),
        ("mail_path", "concat('@VMAIL@/', substring_index(email, '@', -1), '/', substring_index(email, '@', 1), '/M')"),
        ("mail_path", "if(email like 'j%%', '~/Other', '~/Maildir')"),
        ("mailbox_list_layout", "'fs'"),
        ("mail_inbox_path", "'~/In'"),
        ("mail", "'maildir:~/Old'"),
    ])  # fmt: skip
    draft.columns[name] = value.replace("j%%", "j%")
    if name == "mailbox_list_layout":
        draft.separator = draft.namespaces[0].settings["separator"] = "/"
        draft.settings["mail_path"] = "~/mail"


def _home_column(draft: Draft, random: Random) -> None:
    """Homes that are not the same path for all, or come from elsewhere."""
    draft.settings["mail_path"] = "~/Maildir"
    draft.columns.pop("home", None)
    draft.settings.pop("mail_home", None)
    which = random.randint(0, 4)
    if which == 0:
        draft.columns["home"] = "concat('@VMAIL@/', md5(email))"
    elif which == 1:
        draft.settings["mail_home"] = random.choice([
            "@VMAIL@/%{user | username | substr(0, 1)}/%{user}", "@VMAIL@/%{user | md5 | hexlify}/%{user}",
        ])  # fmt: skip
    elif which == 2:
        draft.prefetched = f"fields {{\nhome = {_HOME}/x\n}}"
    elif which == 3:
        draft.columns["home"] = "'@VMAIL@/y/%{user}'"
        draft.settings["mail_home"] = _HOME
    else:
        draft.columns["home"] = "if(email like 'j%', '@VMAIL@/one/john', concat('@VMAIL@/two/', email))"


def _rules(draft: Draft, random: Random) -> None:
    """Settings of single folders; some are INBOX's."""
    pool = [
        {"quota_ignore": "yes"}, {"quota_storage_extra": "50000"}, {"quota_storage_percentage": "120"},
        {"quota_storage_percentage": "50"}, {"quota_ignore": "yes"},
    ]  # fmt: skip
    for name in random.sample(["Trash", "Papierkorb", "Work", "INBOX", "Sent", "Work*"], random.randint(1, 3)):
        place = draft.namespaces[0]
        place.mailboxes.setdefault(name, {}).update(random.choice(pool))


def _user_rules(draft: Draft, random: Random) -> None:
    """Settings of quota and folders from the user query."""
    name, value = random.choice([
        ("quota_storage_percentage", "'50'"), ("quota_storage_extra", "'30K'"),
        ("`namespace/inbox/mailbox/Trash/quota_ignore`", "'yes'"),
        ("quota_storage_percentage", "if(email like 'j%', '200', '100')"),
        ("quota_storage_extra", "concat(quota, 'B')"), ("quota_ignore", "if(email like 'f%', 'yes', 'no')"),
    ])  # fmt: skip
    if "Trash" in name:
        draft.namespaces[0].mailboxes.setdefault("Trash", {"auto": "create"})
    draft.columns[name] = value


def _defaults(draft: Draft, random: Random) -> None:
    """Limits that come from Dovecot's settings, where the database has none or against it."""
    which = random.randint(0, 3)
    draft.accounts.append(Account(f"nolimit@{DOMAIN}", None))
    if which == 0:
        draft.settings["quota_storage_size"] = "80K"
    elif which == 1:
        draft.quotas.setdefault("User quota", {})["storage_size"] = "80K"
    elif which == 2:
        draft.settings["quota_storage_size"] = "100000B"
        draft.columns.pop("quota_storage_size", None)
    else:
        draft.columns["quota_rule"] = "concat('*:bytes=', quota)"
        draft.columns.pop("quota_storage_size", None)


def _messages(draft: Draft, random: Random) -> None:
    """Limits of the number of messages."""
    number = random.randint(1, 6)
    which = random.randint(0, 2)
    if which == 0:
        draft.columns["quota_message_count"] = random.choice([f"'{number}'", f"if(email like 'j%', '2', '{number}')"])
    elif which == 1:
        draft.settings["quota_message_count"] = str(number)
    else:
        draft.quotas.setdefault("User quota", {})["message_count"] = str(number)


def _drivers(draft: Draft, random: Random) -> None:
    """Options of a quota, several quotas, none, and a change of drivers that left a file behind."""
    which = random.randint(0, 5)
    if which == 0:
        draft.quotas.setdefault("User quota", {}).update({"enforce": "no"})
    elif which == 1:
        draft.quotas.setdefault("User quota", {}).update({"ignore_unlimited": "yes"})
    elif which == 2:
        draft.quotas["Second"] = {"storage_size": "60000B"}
    elif which == 3:
        draft.quotas["User quota"] = {"driver": "count"}
        draft.stale = True
    elif which == 4:
        draft.settings["quota_driver"] = "maildir"
        draft.quotas["User quota"] = {}
    else:
        draft.quotas.clear()


def _names(draft: Draft, random: Random) -> None:
    """Spelling and characters of names."""
    which = random.randint(0, 3)
    draft.accounts = draft.accounts[:2]
    if which == 0:
        draft.settings["auth_username_format"] = random.choice(["%{user}", "%{user | lower}"])
        draft.accounts.append(Account("Frank.Miller@Example.org", 10**8, 150))
    elif which == 1:
        draft.settings["auth_username_chars"] = (
            '"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567890.-_@\'&+"'
        )
        name = random.choice(["o'brien", "a&b", "x+y"])
        draft.accounts.append(Account(f"{name}@{DOMAIN}", 10**8, 150))
    elif which == 2:
        draft.settings["recipient_delimiter"] = "-"
        draft.accounts.append(Account(f"dash-ed@{DOMAIN}", 10**8, 150))
    else:
        draft.columns.pop("user", None)
        draft.accounts.append(Account(f"UPPER@{DOMAIN}", 10**8, 150))


def _compressed(draft: Draft, random: Random) -> None:
    """Bytes on disk are not those of the mail."""
    draft.plugins.append("mail_compress")
    draft.settings["mail_compress_write_method"] = random.choice(["gz", "bz2", "zstd"])


def _formats(draft: Draft, random: Random) -> None:
    """Mailboxes that are no Maildir."""
    form = random.choice(["sdbox", "mdbox", "mbox"])
    draft.settings |= {"mail_driver": form, "mail_path": f"~/{form}", "mail_home": _HOME}
    draft.quotas["User quota"] = {}
    if form == "mbox":
        draft.settings["mail_inbox_path"] = "~/inbox"
    draft.separator = "/"
    draft.namespaces[0].settings["separator"] = "/"


def _graces(draft: Draft, random: Random) -> None:
    """How far a mail may go beyond the limit, and how large any mail may be."""
    draft.settings.pop("quota_storage_grace", None)
    which = random.randint(0, 3)
    if which == 0:
        draft.settings["quota_storage_grace"] = random.choice(["0", "3K", "1M", "7B"])
    elif which == 1:
        draft.quotas.setdefault("User quota", {})["storage_grace"] = random.choice(["0", "3K"])
    elif which == 2:
        draft.columns["quota_storage_grace"] = random.choice(["'0'", "if(email like 'j%', '30K', '0')"])
    if random.random() < 0.5:
        draft.settings["quota_mail_size"] = random.choice(["5000B", "20K", "1M", "unlimited"])


def _limits(draft: Draft, random: Random) -> None:
    """Other units and odd numbers."""
    draft.columns["quota_storage_size"] = random.choice([
        "quota", "concat(quota div 1024, 'K')", "concat(quota, 'K')", "concat(quota div 2, 'B')",
        "concat(if(quota = 0, 5000, quota), 'B')", "concat(quota + 1000, 'B')",
    ])  # fmt: skip
    odd = random.choice([-1, -5000, 1, 2**62, 2**63 - 1])
    draft.accounts.append(Account(f"odd@{DOMAIN}", odd, steps=(Step("append", "INBOX", 2000),)))


FEATURES_24: dict[str, Feature] = {
    "plain": _plain,
    "formats": _formats,
    "options": _options,
    "namespaces": _namespaces,
    "home column": _home_column,
    "mail column": _mail_column,
    "drivers": _drivers,
    "rules": _rules,
    "user rules": _user_rules,
    "limits": _limits,
    "messages": _messages,
    "defaults": _defaults,
    "names": _names,
    "compressed": _compressed,
    "graces": _graces,
}
