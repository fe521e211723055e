"""What configurations of Dovecot 2.3 may have, by kind."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.truth.configs.model import DOMAIN, Account, Draft, Namespace, Step

Feature = Callable[[Draft, Random], None]
_HOME = "@VMAIL@/%d/%n"


def _plain(draft: Draft, random: Random) -> None:
    """Nothing more."""


def _namespaces(draft: Draft, random: Random) -> None:
    """A prefix of INBOX, another separator, a namespace with a location of its own, folders of everybody."""
    which = random.randint(0, 3)
    if which in {0, 3}:
        draft.separator = random.choice(["/", "."])
        draft.prefix = "INBOX" + draft.separator
        draft.namespaces[0].settings |= {"prefix": draft.prefix, "separator": draft.separator}
    if which in {1, 3}:
        separator = draft.namespaces[0].settings.setdefault("separator", draft.separator)
        location = random.choice(["maildir:~/archive", "maildir:@VMAIL@/archive/%d/%n", "maildir:~/archive:LAYOUT=fs"])
        more = random.choice([{}, {"list": "children"}, {"hidden": "yes", "list": "no"}, {"subscriptions": "no"}])
        settings = {"prefix": f"Archive{separator}", "separator": separator, "location": location, **more}
        draft.namespaces.append(Namespace("archive", settings))
        draft.extra_folders += [f"Archive{separator}Old", f"Archive{separator}2019"]
    if which == 2:
        separator = draft.namespaces[0].settings.setdefault("separator", draft.separator)
        settings = {"type": "public", "prefix": f"Public{separator}", "separator": separator,
                    "location": "maildir:@VMAIL@/public:INDEXPVT=~/public", "subscriptions": "no"}  # fmt: skip
        draft.namespaces.append(Namespace("public", settings))
        draft.extra_folders.append(f"Public{separator}News")


def _options(draft: Draft, random: Random) -> None:
    """Options of the location."""
    chosen = random.sample([
        "LAYOUT=fs", "INBOX=~/Inbox", "CONTROL=~/control", "INDEX=~/index", "UTF-8", "DIRNAME=mAildir",
        "LAYOUT=maildir++", "INDEX=MEMORY", "VOLATILEDIR=/tmp/%u", "SUBSCRIPTIONS=subs",
    ], random.randint(1, 2))  # fmt: skip
    if "DIRNAME=mAildir" in chosen and "LAYOUT=fs" not in chosen:
        chosen.append("LAYOUT=fs")
    if "LAYOUT=fs" in chosen:
        chosen = [one for one in chosen if one != "LAYOUT=maildir++"]
        draft.settings["mail_location"] = (
            "maildir:~/mail" if "mail_home" in draft.settings or "home" in draft.columns else ""
        )
        draft.separator = "/"
        draft.namespaces[0].settings["separator"] = "/"
    draft.settings["mail_location"] = ":".join([draft.settings["mail_location"], *chosen])


def _mail_column(draft: Draft, random: Random) -> None:
    """The user query gives the location, for all in the same form or for each another one."""
    draft.columns["mail"] = random.choice([
        "'maildir:@VMAIL@/elsewhere/%d/%n'",
        "'maildir:~/Mail'",
        "concat('maildir:@VMAIL@/', substring_index(email, '@', -1), '/', substring_index(email, '@', 1), '/Maildir')",
        "if(email like 'j%%', 'maildir:~/Other', 'maildir:~/Maildir')",
        "'maildir:@VMAIL@/%d/%n/Maildir:LAYOUT=fs'",
        "'maildir:~/Maildir:INBOX=~/In'",
    ])  # fmt: skip


def _home_column(draft: Draft, random: Random) -> None:
    """Homes that are not the same path for all, or come from elsewhere."""
    draft.settings["mail_location"] = "maildir:~/Maildir"
    draft.columns.pop("home", None)
    draft.settings.pop("mail_home", None)
    which = random.randint(0, 4)
    if which == 0:
        draft.columns["home"] = "concat('@VMAIL@/', md5(email))"
    elif which == 1:
        draft.settings["mail_home"] = random.choice(["@VMAIL@/%1n/%n@%d", "@VMAIL@/%2.256Nn/%n", "@VMAIL@/%Hu/%u"])
    elif which == 2:
        draft.prefetched = f"default_fields = home={_HOME}/x"
    elif which == 3:
        draft.columns["home"] = f"'{_HOME}'"
        draft.prefetched = f"override_fields = home={_HOME}/y"
    else:
        draft.columns["home"] = f"if(email like 'j%%', '@VMAIL@/one/%n', '{_HOME}')"


def _rules(draft: Draft, random: Random) -> None:
    """Rules for folders, of all users; some meet INBOX."""
    pool = [
        "Trash:ignore", "Trash:storage=+10%%", "Trash:bytes=+50000", "Work*:ignore", "INBOX:storage=+20%%",
        "IN*:bytes=+9000", "Sent:messages=+5", "Junk:storage=+1M", "*ork*:ignore", "Papierkorb:ignore", "INBOX:ignore",
        "INBOX:bytes=-5000",
    ]  # fmt: skip
    for number, rule in enumerate(random.sample(pool, random.randint(1, 3)), 2):
        draft.plugin[f"quota_rule{number}"] = rule


def _user_rules(draft: Draft, random: Random) -> None:
    """The same from the user query, as constants or by user."""
    pool = [
        "'Trash:ignore'", "'Trash:storage=+10%%'", "'Work*:ignore'", "'INBOX:bytes=+9000'", "'INBOX:ignore'",
        "if(email like 'j%%', 'Trash:ignore', 'Junk:ignore')", "concat('Trash:bytes=+', quota)",
        "if(email like 'f%%', 'INBOX:ignore', 'Nothing:ignore')",
    ]  # fmt: skip
    for number, rule in enumerate(random.sample(pool, random.randint(1, 2)), 2):
        draft.columns[f"quota_rule{number}"] = rule


def _defaults(draft: Draft, random: Random) -> None:
    """Limits that come from Dovecot's settings where the database has none."""
    draft.plugin["quota_rule"] = random.choice(
        ["*:storage=80K", "*:bytes=100000", "?:storage=80K", "*:storage=1M:messages=4"]
    )
    which = random.randint(0, 2)
    if which == 0:
        draft.columns["quota_rule"] = "if(quota is null, null, concat('*:bytes=', quota))"
    elif which == 1:
        draft.columns.pop("quota_rule", None)
    draft.accounts.append(Account(f"nolimit@{DOMAIN}", None))


def _messages(draft: Draft, random: Random) -> None:
    """Limits of the number of messages."""
    which = random.randint(0, 2)
    number = random.randint(1, 6)
    if which == 0:
        draft.columns["quota_rule"] = f"concat('*:bytes=', quota, ':messages={number}')"
    elif which == 1:
        draft.plugin["quota_rule"] = f"*:messages={number}"
        draft.columns.pop("quota_rule", None)
    else:
        draft.columns["quota_rule"] = f"concat('*:messages=', if(email like 'j%%', 2, {number}), ':bytes=', quota)"


def _drivers(draft: Draft, random: Random) -> None:
    """Other drivers, their options, several quotas, and a change of drivers that left a file behind."""
    which = random.randint(0, 6)
    draft.plugin.pop("quota_vsizes", None)
    vsizes = {"quota_vsizes": "yes"}
    if which == 0:
        draft.plugin["quota"] = "dict:User quota::file:%h/dict-quota"
    elif which == 1:
        draft.plugin["quota"] = "dirsize:User quota"
    elif which == 2:
        draft.plugin |= {"quota": random.choice(["maildir", "count"]) + ":User quota:noenforcing", **vsizes}
    elif which == 3:
        draft.plugin |= {"quota": random.choice(["maildir", "count"]) + ":User quota:ignoreunlimited", **vsizes}
    elif which == 4:
        draft.plugin |= {
            "quota": "count:User quota",
            "quota2": "count:Second",
            "quota2_rule": "*:bytes=60000",
            **vsizes,
        }
    elif which == 5:
        draft.plugin |= {"quota": "count:User quota", **vsizes}
        draft.stale = True
    else:
        draft.plugin.pop("quota")
        draft.plugins = []


def _names(draft: Draft, random: Random) -> None:
    """Spelling and characters of names."""
    which = random.randint(0, 4)
    draft.accounts = draft.accounts[:2]
    if which == 0:
        draft.settings["auth_username_format"] = random.choice(["%u", "%Lu"])
        draft.accounts.append(Account("Frank.Miller@Example.org", 10**8, 150))
    elif which == 1:
        draft.settings["auth_username_chars"] = (
            '"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567890.-_@\'&+%"'
        )
        name = random.choice(["o'brien", "a&b", "x+y"])
        draft.accounts.append(Account(f"{name}@{DOMAIN}", 10**8, 150))
    elif which == 2:
        draft.settings["auth_username_chars"] = ""
        draft.settings["recipient_delimiter"] = "-"
        draft.accounts.append(Account(f"müller@{DOMAIN}", 10**8, 150))
        draft.accounts.append(Account(f"a b@{DOMAIN}", 10**8, 50))
    elif which == 3:
        draft.settings["auth_username_translation"] = '"#@"'
        draft.accounts.append(Account(f"has#hash@{DOMAIN}", 10**8, 150))
    else:
        draft.columns.pop("user", None)
        draft.accounts.append(Account(f"UPPER@{DOMAIN}", 10**8, 150))


def _compressed(draft: Draft, random: Random) -> None:
    """Bytes on disk are not those of the mail."""
    draft.plugins.append("zlib")
    draft.plugin |= {"zlib_save": random.choice(["gz", "bz2", "zstd"])}


def _formats(draft: Draft, random: Random) -> None:
    """Mailboxes that are no Maildir."""
    draft.settings["mail_location"] = random.choice(["sdbox:~/sdbox", "mdbox:~/mdbox", "mbox:~/mail:INBOX=~/inbox"])
    draft.separator = "/"
    draft.namespaces[0].settings["separator"] = "/"
    draft.plugin |= {"quota": "count:User quota", "quota_vsizes": "yes"}


def _graces(draft: Draft, random: Random) -> None:
    """How far a mail may go beyond the limit, and how large any mail may be."""
    draft.plugin["quota_grace"] = random.choice(["0", "50%%", "3K", "1M", "10 K", "7B"])
    if random.random() < 0.6:
        draft.plugin["quota_max_mail_size"] = random.choice(["5000", "20K", "1M", "100M"])
    if random.random() < 0.3:
        draft.columns["quota_grace"] = random.choice(["'0'", "if(email like 'j%%', '30K', '10%%')"])


def _limits(draft: Draft, random: Random) -> None:
    """Other units and odd numbers."""
    draft.columns["quota_rule"] = random.choice([
        "concat('*:storage=', quota)", "concat('*:storage=', quota div 1024)", "concat('*:storage=', quota, 'B')",
        "concat('*:bytes=', quota div 2)", "concat('*:bytes=', if(quota = 0, 5000, quota))",
        "concat('*:bytes=', quota + 1000)",
    ])  # fmt: skip
    odd = random.choice([-1, -5000, 1, 2**62, 2**63 - 1])
    draft.accounts.append(Account(f"odd@{DOMAIN}", odd, steps=(Step("append", "INBOX", 2000),)))


FEATURES_23: dict[str, Feature] = {
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
