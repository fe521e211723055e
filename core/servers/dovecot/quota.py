"""How Dovecot keeps quota, by what ``doveconf -n`` prints, of 2.3 and 2.4. Pure.

2.3 has ``plugin { quota = BACKEND:NAME:…  quota_rule2 = FOLDER:… }``, 2.4 a block ``quota NAME { driver = … }``, whose
default is ``count``, and ``quota_ignore`` in the block of a mailbox. Rules that a user database gives to single users
can't be seen here.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from mailquota.core.servers.dovecot.conf import Block, dovecot_version, parse_doveconf, plugin_values
from mailquota.core.servers.dovecot.folder_names import FolderRule

_MAILDIR = {"", "auto", "maildir"}  # formats that may be Maildir; Dovecot finds out by itself where nothing is set
_DICT_OPTIONS = {"noenforcing", "ignoreunlimited", "hidden", "no-unset"}
_SQL_DICTS = ("mysql:", "sqlite:")
_MODERN = (2, 4)
_UNSPEAKABLE = frozenset("/=")  # of a quota's name in an option -o


class QuotaFacts(msgspec.Struct, frozen=True):
    """``backend`` is empty where Dovecot keeps no quota, or can't be asked; ``dict_uri`` is that of backend dict.

    ``plain``: folders lie in the Maildir as ``.Folder``, which is Dovecot's default for it (Maildir++).
    ``version`` is (0, 0) where Dovecot said nothing. ``roots`` are all quotas: of 2.3 setting and text, of 2.4 name and
    nothing.
    """

    backend: str = ""
    mail_format: str = ""
    dict_uri: str = ""
    rules: tuple[FolderRule, ...] = ()
    plain: bool = True
    version: tuple[int, int] = (0, 0)
    roots: tuple[tuple[str, str], ...] = ()


def quota_facts(text: str) -> QuotaFacts:
    """What can be told; nothing in the text is an error."""
    conf, version = parse_doveconf(text), dovecot_version(text)
    facts = _modern(conf) if version >= _MODERN else _old(conf)
    return msgspec.structs.replace(facts, version=version)


def may_be_maildir(facts: QuotaFacts) -> bool:
    """Whether what is put into a Maildir may be seen by Dovecot."""
    return facts.mail_format in _MAILDIR


def unenforced(facts: QuotaFacts) -> list[str]:
    """The settings, each for an option ``-o`` of Dovecot's tools, with which a full mailbox takes one more mail.

    The mail is counted all the same. 2.4 takes no word of what 2.3 understands, nor the other way round.
    """
    if facts.version < _MODERN:
        return [f"plugin/{name}={_noenforcing(root)}" for name, root in facts.roots]
    # A quota block that says itself what it enforces is stronger than the setting outside it.
    named = [f"quota/{name}/quota_enforce=no" for name, _ in facts.roots if not _UNSPEAKABLE.intersection(name)]
    return ["quota_enforce=no", *named] if facts.roots else []


def _noenforcing(root: str) -> str:
    """``BACKEND:NAME:OPTION:…``, where dict has a user name before its options."""
    words = root.split(":")
    fixed = 3 if words[0] == "dict" else 2
    words += [""] * (fixed - len(words))
    return ":".join([*words[:fixed], "noenforcing", *words[fixed:]])


def choose_driver(facts: QuotaFacts, *, doveadm: bool) -> str:
    """The driver that ``auto`` stands for: the one whose figures are Dovecot's.

    ``doveadm``: whether there is one. It alone knows folders that lie elsewhere. Where nothing can be known it is
    ``maildir``, which counts the folders where there is no maildirsize.
    """
    if not facts.plain and doveadm:
        return "doveadm"
    if facts.backend == "count" and (facts.mail_format in _MAILDIR or not doveadm):
        return "count"
    if facts.backend == "dict" and facts.dict_uri.startswith(_SQL_DICTS):
        return "sql"
    return "maildir" if facts.backend in {"", "maildir"} or not doveadm else "doveadm"


def _old(conf: Block) -> QuotaFacts:
    plugin = plugin_values(conf)
    backend, _, rest = plugin.get("quota", "").partition(":")
    mail_format, *options = conf.values.get("mail_location", "").split(":")
    plain = all(option.lower() == "layout=maildir++" for option in options if option.upper().startswith("LAYOUT="))
    dict_uri = _dict_uri(conf, rest) if backend == "dict" else ""
    return QuotaFacts(
        backend=backend,
        mail_format=mail_format,
        dict_uri=dict_uri,
        rules=_old_rules(plugin),
        plain=plain,
        roots=tuple(_old_roots(plugin)),
    )


def _old_roots(plugin: dict[str, str]) -> Iterator[tuple[str, str]]:
    """quota, quota2 and so on, up to the first gap."""
    number, name = 1, "quota"
    while name in plugin:
        yield name, plugin[name]
        number += 1
        name = f"quota{number}"


def _dict_uri(conf: Block, root: str) -> str:
    """``NAME:USER:OPTION:…:URI``. A URI ``proxy::NAME`` leads to an entry of the block dict."""
    words = root.split(":")[2:]
    while words and (words[0] in _DICT_OPTIONS or words[0].startswith("ns=")):
        del words[0]
    uri = ":".join(words)
    if uri.startswith("proxy:"):
        name = uri.rpartition(":")[2]
        return next((block.values[name] for block in conf.of_kind("dict") if name in block.values), "")
    return uri


def _old_rules(plugin: dict[str, str]) -> tuple[FolderRule, ...]:
    """quota_rule, quota_rule2 and so on, up to the first gap; a second rule for a mask replaces the first one.

    The first one is missing where user databases give it: it is then the limit of each user.
    """
    rules: dict[str, FolderRule] = {}
    number, name = 1, "quota_rule"
    while name in plugin or number == 1:
        mask, _, limits = plugin.get(name, "*").replace("%%", "%").partition(":")
        if mask not in {"*", "?"}:  # those are the rule for everything
            rules[mask] = FolderRule(mask, "ignore" in limits.split(":"))
        number += 1
        name = f"quota_rule{number}"
    return tuple(rules.values())


def _modern(conf: Block) -> QuotaFacts:
    mail_format = conf.values.get("mail_driver", "")
    blocks = list(conf.of_kind("quota"))
    plain = conf.values.get("mailbox_list_layout", "maildir++") == "maildir++"
    if not blocks:
        return QuotaFacts(mail_format=mail_format, plain=plain)
    first = blocks[0].values
    backend = first.get("quota_driver") or first.get("driver") or conf.values.get("quota_driver", "count")
    roots = tuple((block.name, "") for block in blocks)
    return QuotaFacts(
        backend=backend, mail_format=mail_format, rules=tuple(_modern_rules(conf)), plain=plain, roots=roots
    )


def _modern_rules(conf: Block) -> list[FolderRule]:
    places = [conf, *(n for n in conf.of_kind("namespace") if n.values.get("type", "private") == "private")]
    boxes = [box for place in places for box in place.of_kind("mailbox")]
    return [FolderRule(box.name, True) for box in boxes if box.values.get("quota_ignore") == "yes"]
