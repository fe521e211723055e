"""What of Dovecot's settings the fast drivers do not know how to follow, as reasons in an administrator's words. Pure.

The drivers ``maildir`` and ``count`` read Maildirs themselves, and that is only right where they read what Dovecot
counts, as Dovecot counts it. So each setting that moves mail, names folders otherwise, or takes some of it out of the
quota has to be one that they follow. For any other there is a reason here, and then Dovecot itself is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .conf import Block, plugin_values
from .namespaces import main_namespace, others, setting_of
from .user_fields import EVERYTHING, UserDatabase, UserField, starts_with

ASKED = "Dovecot itself is asked for the usage"

# ---- 2.3: the options after the path in mail_location. Those that change nothing of what counts:
_SAME_OPTIONS = {
    "INDEX", "INDEXPVT", "INDEXCACHE", "LISTINDEX", "SUBSCRIPTIONS", "VOLATILEDIR", "ALT", "ALTNOCHECK", "NO-NOSELECT",
}  # fmt: skip
_OPTIONS = {
    "LAYOUT": "folders are not stored as .Folder in the Maildir",
    "INBOX": "INBOX is in another folder",
    "UTF-8": "names of folders are stored in UTF-8",
    "DIRNAME": "mail is in folders of another name",
    "FULLDIRNAME": "mail is in folders of another name",
    "MAILBOXDIR": "folders are in another folder",
    "BROKENCHAR": "folders with broken names count, too",
    "ITERINDEX": "folders are listed by their indexes",
}
# ---- 2.4: settings for the same, which may stand in a namespace, too, and be fields of a user
_LAYOUT = {
    "mailbox_list_layout": ("maildir++", "folders are not stored as .Folder in the Maildir"),
    "mailbox_list_utf8": ("no", "names of folders are stored in UTF-8"),
    "mailbox_directory_name": ("", "mail is in folders of another name"),
    "mailbox_root_directory_name": ("", "folders are in another folder"),
    "mailbox_list_iter_from_index_dir": ("no", "folders are listed by their indexes"),
    "mailbox_list_visible_escape_char": ("", "folders with broken names count, too"),
    "mailbox_list_storage_escape_char": ("", "names of folders are stored otherwise"),
    "maildir_broken_filename_sizes": ("no", "sizes in the names of files are not believed"),
}
_PLACES = {"mail_location", "mail_path", "mail_driver", "mail_inbox_path", "mail_control_path", "mail_home"}
_RECORD = {"mail_control_path", "CONTROL"}  # move maildirsize alone
_PACKING = re.compile(r"\b(zlib|mail_compress|mail_crypt)\b")
# ---- fields of users: those of these names change nothing that is counted. Others that begin as settings of mail do.
_RULE = re.compile(r"quota_rule[0-9]*")
_FIELD_OF_MAIL = re.compile(r"mail|quota|namespace|plugin/|zlib|layout|mailbox|\*")
_HARMLESS_FIELD = re.compile(
    r"mail_(?:uid|gid|log\w*|debug|max_\w+|replica|privileged_group|access_groups|index_(?:private_)?path|cache_path"
    r"|volatile_path)|(?:quota/[^/]+/)?quota[0-9]*_(?:grace|warning\w*|exceeded_message|status\w*|over_\w+|max_mail_size"
    r"|mail_size|storage\w*|message\w*|mailbox_message_count|enforce)|quota_(?:bytes|messages)"
)
_LOWER_FORMATS = {"%Lu", "%Ln@%Ld", "%{user|lower}", "%{user|username|lower}@%{user|domain|lower}"}
_IGNORED = ("ignore", "quota_ignore")
_NOT_EVERYBODY = ("protocol", "local", "remote", "local_name", "mailbox")


def doubts(conf: Block, databases: list[UserDatabase], location: str, *, modern: bool, backend: str) -> Iterator[str]:
    """The reasons. ``location`` is the text that is in force for INBOX (2.3), ``backend`` Dovecot's quota driver."""
    yield from _namespaces(conf, modern=modern)
    if backend == "dirsize":
        yield "quota = dirsize counts no messages, so their number is 0"
    yield from _layout(conf, backend) if modern else _options(location, backend)
    yield from _fields(conf, databases, modern=modern, backend=backend)
    yield from _not_for_everybody(conf)
    yield from _names(conf)
    yield from _counted_otherwise(conf, modern=modern, backend=backend)


def _namespaces(conf: Block, *, modern: bool) -> Iterator[str]:
    names = ("mail_path", "mail_driver", "mail_inbox_path", *_LAYOUT) if modern else ("location",)
    for block in others(conf, modern=modern):
        own = next(((name, setting_of(block, name)) for name in names if setting_of(block, name)), None)
        if own is not None:
            yield f"namespace {block.name or 'without a name'} has {own[0]} = {own[1]}: mail in it counts, too"
        elif setting_of(block, "alias_for"):
            yield f"namespace {block.name or 'without a name'} is an alias for another one"
    for block in conf.of_kind("namespace"):
        if next(block.of_kind("quota"), None) or setting_of(block, "quota_ignore") == "yes":
            yield f"namespace {block.name} has a quota of its own"


def _options(location: str, backend: str) -> Iterator[str]:
    """2.3. A colon in a value is doubled, which is no option that is known."""
    kind, _, rest = location.partition(":")
    if kind not in {"", "auto", "maildir"}:
        yield f"mail is stored as {kind}, not as Maildir"
        return
    for option in rest.split(":")[1:]:
        name, _, value = option.partition("=")
        same = name in _SAME_OPTIONS or (name == "LAYOUT" and value.lower() == "maildir++")
        if name in _RECORD:
            same = backend != "maildir"
        if not same:
            yield f"mail_location has {option}: {_OPTIONS.get(name, _record_or_unknown(name))}"


def _record_or_unknown(name: str) -> str:
    return "maildirsize is in another folder" if name in _RECORD else "mailquota does not know this option"


def _layout(conf: Block, backend: str) -> Iterator[str]:
    """2.4, for the namespace with INBOX."""
    main = main_namespace(conf, modern=True)
    for place in (conf, main):
        for name, (plain, why) in _LAYOUT.items():
            if setting_of(place, name).lower() not in {"", plain}:
                yield f"{name} = {setting_of(place, name)}: {why}"
        if backend == "maildir" and setting_of(place, "mail_control_path"):
            yield f"mail_control_path = {setting_of(place, 'mail_control_path')}: maildirsize is in another folder"
    path = setting_of(main, "mail_path") or conf.values.get("mail_path", "")
    inbox = setting_of(main, "mail_inbox_path") or conf.values.get("mail_inbox_path", "")
    if inbox not in {"", "."} and inbox.rstrip("/") != path.rstrip("/"):
        yield f"mail_inbox_path = {inbox}: INBOX is in another folder"


def _fields(conf: Block, databases: list[UserDatabase], *, modern: bool, backend: str) -> Iterator[str]:
    for database in databases:
        for field in database.fields.values():
            if field.name == EVERYTHING:
                yield f"{field.origin} gives fields that mailquota can't tell; name each of them in the query"
            elif why := _of_field(conf, field, modern=modern, backend=backend, alone=len(databases) == 1):
                yield f"{field.origin}: {why}"


def _of_field(conf: Block, field: UserField, *, modern: bool, backend: str, alone: bool) -> str:
    """Why a field of single users is not followed; "" where it is, or changes nothing that counts."""
    name = field.name.removeprefix("plugin/")
    if _RULE.fullmatch(name) and not modern:
        return _of_rule(field, alone=alone)
    if name in {"mail", "mail_location", "mail_path", "mail_driver"} and field.value is not None:
        return ""  # core/servers/dovecot/mail_location.py follows it
    if modern and name == "mail_inbox_path" and field.value is not None:
        path = conf.values.get("mail_path", "")
        return "" if field.value.rstrip("/") == path.rstrip("/") else "INBOX is in another folder"
    if name == "mail_control_path" and backend != "maildir":
        return ""
    if not _FIELD_OF_MAIL.match(name) or _HARMLESS_FIELD.fullmatch(name):
        return ""
    return "single users may have their mail, or count it, in a way of their own"


def _of_rule(field: UserField, *, alone: bool) -> str:
    first = field.name.removeprefix("plugin/") == "quota_rule"
    text = starts_with(field.text) if field.text else field.value or ""
    if first and text.startswith(("*:", "?:")):
        return ""
    if field.value is not None and alone:
        return ""  # the same rule for all: core/servers/dovecot/quota.py takes it with the others
    return "the rule may be one for folders, and differ by user"


def _not_for_everybody(conf: Block) -> Iterator[str]:
    """Settings that hold for a protocol, a network or a folder alone."""
    for block in conf.blocks:
        inner = [block, *block.of_kind("plugin")] if block.kind in _NOT_EVERYBODY else []
        for name in (name for one in inner for name in one.values):
            if name in _PLACES or name in _LAYOUT or name in {"quota", "quota_driver"} or _RULE.fullmatch(name):
                yield f"{block.kind} {block.name} has a {name} of its own"


def _names(conf: Block) -> Iterator[str]:
    text = conf.values.get("auth_username_format")
    if text is not None and re.sub(r"\s", "", text) not in _LOWER_FORMATS:
        yield f"auth_username_format = {text}: users are not looked up by their whole address in lower case"
    if conf.values.get("auth_username_translation"):
        yield "auth_username_translation changes characters in names of users"


def _counted_otherwise(conf: Block, *, modern: bool, backend: str) -> Iterator[str]:
    if not modern and conf.values.get("maildir_broken_filename_sizes") == "yes":
        yield f"maildir_broken_filename_sizes = yes: {_LAYOUT['maildir_broken_filename_sizes'][1]}"
    if backend == "count" and (plugin := _packing(conf)):
        yield f"the plugin {plugin} may have packed or encrypted mail: the size of a file is not that of its message"
    root = plugin_values(conf).get("quota", "") if not modern else ""
    limited = next((word for word in root.split(":")[2:] if word.startswith("ns=")), "")
    ignored = any(block.values.get(name) == "yes" for block in conf.of_kind("quota") for name in _IGNORED)
    if ignored:
        yield "quota_ignore = yes in a quota block: mail is taken out of that quota"
    if limited:
        yield f"quota = {root}: only the namespace {limited[3:] or 'without a prefix'} counts"


def _packing(conf: Block) -> str:
    """The plugin that stores mail in another form, wherever it is loaded; "" without one."""
    for place in (conf, *conf.blocks):
        if place.kind == "mail_plugins":
            names = " ".join(name for name, switch in place.values.items() if switch == "yes")
        else:
            inner = (
                name for block in place.of_kind("mail_plugins") for name in block.values if block.values[name] == "yes"
            )
            names = " ".join([place.values.get("mail_plugins", ""), *inner])
        match = _PACKING.search(names)
        if match is not None:
            return match[1]
    return ""
