"""What Dovecot's settings have that makes its usage another one than mailquota's: the likely cause of a difference."""

from __future__ import annotations

from ..base import programs as outside
from ..servers.dovecot.conf import Block, dovecot_tool, dovecot_version, parse_doveconf, plugin_values
from .witness_rules import NO_HINTS, Hints

_COMPRESSING = {"zlib": "zlib", "mail_compress": "mail_compress", "mail_crypt": "mail_crypt"}
_PLAIN = {"", "maildir++"}
_MODERN = (2, 4)


def find_hints(doveadm: str) -> Hints:
    """Ask doveconf; ``doveadm`` is the setting. No hints where it does not answer. Blocks."""
    done = outside.run([*dovecot_tool(doveadm, "doveconf"), "-n"])
    return NO_HINTS if done.fault else hints_of(done.out)


def hints_of(text: str) -> Hints:
    """Read the output of ``doveconf -n``."""
    conf = parse_doveconf(text)
    return Hints(elsewhere=tuple(_elsewhere(conf, dovecot_version(text))), sizes=tuple(_sizes(conf)))


def _elsewhere(conf: Block, version: tuple[int, int]) -> list[str]:
    key = "location" if version < _MODERN else "mail_path"
    own = [block for block in conf.of_kind("namespace") if block.values.get("type", "private") == "private"]
    found = [
        f"the namespace {block.name or block.values.get('prefix', '')} has a location of its own"
        for block in own
        if block.values.get(key)
    ]
    location = conf.values.get("mail_location", "").split(":")[2:]
    options = [option for option in location if not option.upper().startswith(("INDEX=", "VOLATILEDIR="))]
    if options:
        found.append(f"mail_location has the option {options[0]}")
    layout = conf.values.get("mailbox_list_layout", "")
    if layout.lower() not in _PLAIN:
        found.append(f"mailbox_list_layout is {layout}")
    return found


def _sizes(conf: Block) -> list[str]:
    words = set(conf.values.get("mail_plugins", "").split())
    for block in conf.blocks:
        words |= set(block.values.get("mail_plugins", "").split())
        if block.kind == "mail_plugins":
            words |= {name for name, value in block.values.items() if value == "yes"}
    save = plugin_values(conf).get("zlib_save", "")
    names = [name for word, name in _COMPRESSING.items() if word in words]
    return [
        f"the plugin {name}{f' ({save})' if save and name == 'zlib' else ''} changes mail as it is stored, so that"
        " its files have other sizes than its messages"
        for name in names
    ]
