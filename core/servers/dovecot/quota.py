"""How Dovecot keeps quota, by the output of ``doveconf -n`` of 2.3 and 2.4. Pure.

2.3 has ``plugin { quota = BACKEND:NAME:…  quota_rule2 = FOLDER:… }``, 2.4 a block ``quota NAME { driver = … }``, whose
default is ``count``, and ``quota_ignore`` in the block of a mailbox. What user databases and other files of Dovecot say
is not in that output: core/servers/dovecot/followed.py adds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from .conf import Block, dovecot_version, parse_doveconf, plugin_values
from .folder_names import FolderRule
from .inbox_limits import largest_mail
from .namespaces import main_namespace, setting_of

_MAILDIR = {"", "auto", "maildir"}  # formats that may be Maildir; where none is set Dovecot detects it
_DICT_OPTIONS = {"noenforcing", "ignoreunlimited", "hidden", "no-unset"}
SQL_DICTS = ("mysql:", "sqlite:")
_MODERN = (2, 4)
_NOT_IN_OPTION = frozenset("/=")  # characters of a quota's name that an option -o can't have


class DictTable(msgspec.Struct, frozen=True):
    """The table of Dovecot's dict quota, and its columns. ``url`` is its database, without a password."""

    url: str
    name: str
    address: str
    used: str
    messages: str


class QuotaFacts(msgspec.Struct, frozen=True):
    """``backend`` is empty where Dovecot keeps no quota or could not be asked; ``dict_uri`` is set for backend dict.

    ``plain``: folders are stored in the Maildir as ``.Folder``, Dovecot's default layout (Maildir++). ``version`` is
    (0, 0) where it is not known. ``roots`` are all quotas, as pairs: of 2.3 the setting and its text, of 2.4 the name
    and "". ``prefix`` and ``separator`` are those of the namespace with INBOX. ``table`` is where backend dict keeps
    the usage, None where that is not known. ``doubts`` are the reasons why only driver ``doveadm`` can be right.
    ``largest`` is the size in bytes of the largest mail that Dovecot takes, 0 for any.
    """

    backend: str = ""
    mail_format: str = ""
    dict_uri: str = ""
    rules: tuple[FolderRule, ...] = ()
    plain: bool = True
    version: tuple[int, int] = (0, 0)
    roots: tuple[tuple[str, str], ...] = ()
    prefix: str = ""
    separator: str = "."
    table: DictTable | None = None
    doubts: tuple[str, ...] = ()
    largest: int = 0


def quota_facts(text: str, rules: Mapping[str, str] | None = None) -> QuotaFacts:
    """Read the output of ``doveconf -n``; nothing in it is an error.

    ``rules`` are settings ``quota_rule2`` and so on that all users have from their database (2.3).
    """
    conf, version = parse_doveconf(text), dovecot_version(text)
    modern = version >= _MODERN
    facts = _modern(conf) if modern else _old(conf, rules or {})
    main = main_namespace(conf, modern=modern)
    return msgspec.structs.replace(
        facts,
        version=version,
        prefix=setting_of(main, "prefix"),
        separator=setting_of(main, "separator") or ".",
        largest=largest_mail(conf, modern=modern),
    )


def may_be_maildir(facts: QuotaFacts) -> bool:
    """Whether Dovecot may store mail as Maildir, so that it sees mail that is put into one."""
    return facts.mail_format in _MAILDIR


def unenforced(facts: QuotaFacts) -> list[str]:
    """Settings, each for an option ``-o`` of Dovecot's tools, that let a full mailbox take one more mail.

    The mail is still counted. 2.3 and 2.4 have different settings, and each ignores those of the other.
    """
    if facts.version < _MODERN:
        return [f"plugin/{name}={_noenforcing(root)}" for name, root in facts.roots]
    # A setting inside a quota block wins over the one outside it.
    named = [f"quota/{name}/quota_enforce=no" for name, _ in facts.roots if not _NOT_IN_OPTION.intersection(name)]
    return ["quota_enforce=no", *named] if facts.roots else []


def _noenforcing(root: str) -> str:
    """Add an option to ``BACKEND:NAME:OPTION:…``; backend dict has a user name before its options."""
    words = root.split(":")
    fixed = 3 if words[0] == "dict" else 2
    words += [""] * (fixed - len(words))
    return ":".join([*words[:fixed], "noenforcing", *words[fixed:]])


def choose_driver(facts: QuotaFacts, *, doveadm: bool) -> str:
    """The driver that ``auto`` stands for: the one that gives the usage that Dovecot itself counts.

    ``doveadm``: whether it can be run. It is needed where the other drivers can't follow Dovecot's settings
    (``doubts``). Where Dovecot's quota is not known the driver is ``maildir``, which counts the files where there is no
    maildirsize.
    """
    if doveadm and (not facts.plain or (facts.backend and facts.doubts)):
        return "doveadm"
    if facts.backend == "count" and (facts.mail_format in _MAILDIR or not doveadm):
        return "count"
    if facts.backend == "dict" and facts.dict_uri.startswith(SQL_DICTS):
        return "sql"
    return "maildir" if facts.backend in {"", "maildir"} or not doveadm else "doveadm"


def _old(conf: Block, rules: Mapping[str, str]) -> QuotaFacts:
    plugin = {**plugin_values(conf), **rules}
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
    """The settings quota, quota2 and so on, up to the first that is missing: Dovecot stops there, too."""
    number, name = 1, "quota"
    while name in plugin:
        yield name, plugin[name]
        number += 1
        name = f"quota{number}"


def _dict_uri(conf: Block, root: str) -> str:
    """The URI in ``NAME:USER:OPTION:…:URI``; for ``proxy::NAME`` that of the entry NAME in the block dict."""
    words = root.split(":")[2:]
    while words and (words[0] in _DICT_OPTIONS or words[0].startswith("ns=")):
        del words[0]
    uri = ":".join(words)
    if uri.startswith("proxy:"):
        name = uri.rpartition(":")[2]
        return next((block.values[name] for block in conf.of_kind("dict") if name in block.values), "")
    return uri


def _old_rules(plugin: dict[str, str]) -> tuple[FolderRule, ...]:
    """The settings quota_rule, quota_rule2 and so on, up to the first that is missing, but not quota_rule itself.

    That one may be missing where user databases give it, as the limit of each user. A second rule for a mask replaces
    the first one.
    """
    rules: dict[str, FolderRule] = {}
    number, name = 1, "quota_rule"
    while name in plugin or number == 1:
        mask, _, limits = plugin.get(name, "*").replace("%%", "%").partition(":")
        if mask not in {"*", "?"}:  # the masks of the limit itself
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
