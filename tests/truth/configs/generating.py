"""From a kind and a seed to a configuration. Each kind puts settings of one sort upon a server that is else ordinary.

Pure: the same seed gives the same configuration, whatever ran before.
"""

from __future__ import annotations

from random import Random

from tests.mailserver.dovecot import VMAIL_UID
from tests.truth.configs.features23 import FEATURES_23
from tests.truth.configs.features24 import FEATURES_24
from tests.truth.configs.model import DOMAIN, Account, Configuration, Draft, Namespace, Series, Step, freeze

MIXED = "mixed"
_MOST = 40_000  # bytes of a message
_NAMES = ("Sent", "Work", "Work/2020", "Work/2020/May", "Junk", "Zürich", "a b", "INBOX/Sub")
_TRASHES = ("Trash", "Papierkorb", "Deleted Items")


def kinds(series: Series) -> list[str]:
    """All kinds, the last of which has several of the others at once."""
    return [*(FEATURES_23 if series == "2.3" else FEATURES_24), MIXED]


def generate(series: Series, kind: str, seed: int) -> Configuration:
    """The configuration of this kind and seed."""
    random = Random(f"{series} {kind} {seed}")
    features = FEATURES_23 if series == "2.3" else FEATURES_24
    draft = _ordinary_23(random) if series == "2.3" else _ordinary_24(random)
    chosen = (
        [kind] if kind != MIXED else random.sample([name for name in features if name != "plain"], random.randint(2, 4))
    )
    draft.accounts = _accounts(random)
    for name in features:  # in their order, which is not that of the choice
        if name in chosen:
            features[name](draft, random)
    draft.accounts = [_with_mail(draft, account, random) for account in draft.accounts]
    return freeze(draft, kind, seed)


def _ordinary_23(random: Random) -> Draft:
    home = random.choice(["@VMAIL@/%d/%n", "@VMAIL@/%Ld/%Ln", "@VMAIL@/%n@%d"])
    absolute = random.choice([f"{home}/Maildir", f"{home}/mail", home])
    by_home = random.random() < 0.6
    settings = {"mail_location": "maildir:~/Maildir" if by_home else f"maildir:{absolute}"}
    columns = {"user": "email", "quota_rule": "concat('*:bytes=', quota)"}
    if random.random() < 0.3:
        settings["mail_home"] = home
    else:
        columns["home"] = f"'{home}'"
    columns |= {"uid": str(VMAIL_UID), "gid": str(VMAIL_UID)}
    draft = Draft("2.3", settings, columns, [_inbox(random)])
    set_driver_23(draft, random.choice(["maildir", "count"]))
    if random.random() < 0.3:
        draft.plugin["quota_grace"] = random.choice(["0", "20%%", "5K"])
    _separate(draft, random)
    return draft


def set_driver_23(draft: Draft, driver: str) -> None:
    """The quota driver, with what it needs."""
    draft.plugin["quota"] = f"{driver}:User quota"
    draft.plugin.pop("quota_vsizes", None)
    if driver == "count":
        draft.plugin["quota_vsizes"] = "yes"


def _ordinary_24(random: Random) -> Draft:
    home = random.choice(
        ["@VMAIL@/%{user | domain}/%{user | username}", "@VMAIL@/%{user | domain | lower}/%{user|username|lower}"]
    )
    absolute = random.choice([f"{home}/Maildir", f"{home}/mail", home])
    by_home = random.random() < 0.6
    settings = {"mail_driver": "maildir", "mail_path": "~/Maildir" if by_home else absolute}
    columns = {"user": "email", "quota_storage_size": "concat(quota, 'B')"}
    if random.random() < 0.7:
        settings["mail_home"] = home
    else:
        columns["home"] = f"'{home}'"
    draft = Draft("2.4", settings, columns, [_inbox(random)], where="email = '%{user}'")
    draft.quotas["User quota"] = random.choice([{}, {"driver": "maildir"}, {"driver": "count"}])
    if random.random() < 0.7:
        draft.settings["quota_storage_grace"] = random.choice(["0", "5K", "1M"])
    _separate(draft, random)
    return draft


def _inbox(random: Random) -> Namespace:
    flag = {"special_use": "\\Trash"}
    return Namespace("inbox", {"inbox": "yes"}, {random.choice(_TRASHES): flag} if random.random() < 0.8 else {})


def _separate(draft: Draft, random: Random) -> None:
    if random.random() < 0.5:
        draft.separator = random.choice(["/", "."])
        draft.namespaces[0].settings["separator"] = draft.separator


def _accounts(random: Random) -> list[Account]:
    of_use = [random.randint(110, 400), random.randint(101, 109), random.randint(20, 99)]
    limits: list[Account] = [
        Account(f"john@{DOMAIN}", 10**8, of_use[0]),
        Account(f"full.up@{DOMAIN}", 10**8, random.choice(of_use[1:])),
        Account(f"free-{random.randint(1, 99)}@{DOMAIN}", 0),
        Account("new_one@example.net", random.randint(20, 200) * 1000),
    ]
    return random.sample(limits, random.randint(2, 4))


def _with_mail(draft: Draft, account: Account, random: Random) -> Account:
    """The last one generated may get none."""
    if account.steps or (account.address.startswith("new") and random.random() < 0.5):
        return account
    folders = ["INBOX", "INBOX", _whole(draft, random.choice(_TRASHES))]
    folders += [_whole(draft, name) for name in random.sample(_NAMES, 2)]
    folders += draft.extra_folders
    steps = [Step("create", name) for name in dict.fromkeys(folders) if name != "INBOX"]
    chosen = [*random.sample(folders, random.randint(1, len(folders))), *draft.extra_folders[:1]]
    steps += [Step("append", name, random.randint(400, _MOST)) for name in chosen]
    if random.random() < 0.5:
        steps.append(Step("lmtp", size=random.randint(400, _MOST)))
    return Account(account.address, account.limit, account.of_use, tuple(steps))


def _whole(draft: Draft, name: str) -> str:
    return draft.prefix + name.replace("/", draft.separator)
