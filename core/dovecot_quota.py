"""How Dovecot keeps quota, by what ``doveconf -n`` prints, of 2.3 and 2.4. Pure.

2.3 has ``plugin { quota = BACKEND:NAME:…  quota_rule2 = FOLDER:… }``, 2.4 a block ``quota NAME { driver = … }``, whose
default is ``count``, and ``quota_ignore`` in the block of a mailbox. Rules that a user database gives to single users
can't be seen here.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from core.dovecot_conf import Block, dovecot_version, parse_doveconf, plugin_values
from core.usage.rules import FolderRule

_MAILDIR = {"", "auto", "maildir"}  # formats that may be Maildir; Dovecot finds out by itself where nothing is set
_DICT_OPTIONS = {"noenforcing", "ignoreunlimited", "hidden", "no-unset"}
_SQL_DICTS = ("mysql:", "sqlite:")


class QuotaFacts(msgspec.Struct, frozen=True):
    """``backend`` is empty where Dovecot keeps no quota, or can't be asked; ``dict_uri`` is that of backend dict.

    ``plain``: folders lie in the Maildir as ``.Folder``, which is Dovecot's default for it (Maildir++). ``unlimited``
    are the options that switch quota off for one call of a Dovecot tool.
    """

    backend: str = ""
    mail_format: str = ""
    dict_uri: str = ""
    rules: tuple[FolderRule, ...] = ()
    plain: bool = True
    unlimited: tuple[str, ...] = ()


def quota_facts(text: str) -> QuotaFacts:
    """What can be told; nothing in the text is an error."""
    conf = parse_doveconf(text)
    return _modern(conf) if dovecot_version(text) >= (2, 4) else _old(conf)


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
    return QuotaFacts(backend, mail_format, dict_uri, _old_rules(plugin), plain, tuple(_not_enforced(plugin)))


def _not_enforced(plugin: dict[str, str]) -> Iterator[str]:
    """Each root with ``noenforcing`` after its name (dict: after its user, too)."""
    number, name = 1, "quota"
    while plugin.get(name):
        words = plugin[name].split(":")
        place = 3 if words[0] == "dict" else 2
        words += [""] * (place - len(words))
        yield f"plugin/{name}={':'.join([*words[:place], 'noenforcing', *words[place:]])}"
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
    roots = [block.values for block in conf.of_kind("quota")]
    plain = conf.values.get("mailbox_list_layout", "maildir++") == "maildir++"
    if not roots:
        return QuotaFacts("", mail_format, plain=plain)
    backend = roots[0].get("quota_driver") or roots[0].get("driver") or conf.values.get("quota_driver", "count")
    return QuotaFacts(backend, mail_format, "", tuple(_modern_rules(conf)), plain, ("quota_enforce=no",))


def _modern_rules(conf: Block) -> list[FolderRule]:
    places = [conf, *(n for n in conf.of_kind("namespace") if n.values.get("type", "private") == "private")]
    boxes = [box for place in places for box in place.of_kind("mailbox")]
    return [FolderRule(box.name, True) for box in boxes if box.values.get("quota_ignore") == "yes"]
