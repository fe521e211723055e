"""Reads the output of ``doveconf -n`` of Dovecot 2.3 and 2.4: its blocks, and settings that mailquota needs. Pure.

``doveconf -h NAME`` prints an empty line for a setting that does not exist, so only ``-n`` shows whether one is set.
Settings inside a ``quota`` block win over those outside it. Dovecot 2.3 keeps quota settings in ``plugin { }``, where a
percent sign is written ``%%``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

_VALUE = re.compile(r"([\w./-]+)\s*=\s*(.*)")
_BLOCK = re.compile(r"([\w./-]+)(?:\s+(.*?))?\s*\{")
_VERSION = re.compile(r"^# ([0-9]+)\.([0-9]+)(?:\.([0-9]+))?")
_FILE = re.compile(r"^# [^:\n]*: (/[^\n]*)")
_SHORT = re.compile(r"%(?:\{([^}]*)\}|L?([und])|(%)|(.?))", re.DOTALL)
_OLD_NAMES = {"u": "{user}@{domain}", "n": "{user}", "d": "{domain}"}
_OLD_LONG_NAMES = {"user": "u", "username": "n", "domain": "d"}
_SIZE = re.compile(r"([0-9]{1,20})\s*([bkmgt]?)(?:i?b)?", re.IGNORECASE)
_POWERS = {"": 0, "B": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_DEFAULT_ERROR = "Quota exceeded (mailbox for user is full)"


@dataclass(slots=True)
class Block:
    """A block ``kind name { }`` with its settings and inner blocks; the whole output is a block without a kind."""

    kind: str = ""
    name: str = ""
    values: dict[str, str] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)

    def of_kind(self, kind: str) -> Iterator[Block]:
        """The blocks of a kind directly inside this one."""
        return (block for block in self.blocks if block.kind == kind)


def parse_doveconf(text: str) -> Block:
    """The output as a tree of blocks. Lines that are no setting and no block are skipped; nothing is an error."""
    stack = [Block()]
    for raw in text.splitlines():
        line = raw.strip()
        if line == "}":
            stack[1:] = stack[1:-1]
        elif match := _VALUE.fullmatch(line):
            stack[-1].values[match[1]] = _unquoted(match[2])
        elif match := _BLOCK.fullmatch(line):
            block = Block(match[1], _unquoted(match[2] or ""))
            stack[-1].blocks.append(block)
            stack.append(block)
    return stack[0]


def driver_of(block: Block) -> str:
    """The driver of a user or password database. In 2.4 the block's name is the driver unless it sets another one."""
    return block.values.get("driver") or block.values.get(f"{block.kind}_driver") or block.name


def is_whole(text: str) -> bool:
    """Whether every block is closed; an output that was cut off leaves one open."""
    lines = [line.strip() for line in text.splitlines()]
    opened = sum(1 for line in lines if _BLOCK.fullmatch(line) and not _VALUE.fullmatch(line))
    return opened <= lines.count("}")


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def dovecot_version(text: str) -> tuple[int, int]:
    """Major and minor version in the first line of doveconf's output; (0, 0) where it has none."""
    return dovecot_release(text)[:2]


def dovecot_release(text: str) -> tuple[int, int, int]:
    """The version with its third number, 0 where that is missing; (0, 0, 0) without any version."""
    match = _VERSION.match(text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else (0, 0, 0)


def config_file(text: str) -> str:
    """The path of Dovecot's main file, which doveconf prints in its first line; empty where it is missing."""
    match = _FILE.match(text)
    return match[1].strip() if match else ""


def trash_names(doveconf_text: str) -> list[str]:
    """The mailboxes with ``special_use = \\Trash`` in private namespaces, without the namespace's prefix."""
    names = []
    for namespace in parse_doveconf(doveconf_text).of_kind("namespace"):
        if namespace.values.get("type", "private") != "private":
            continue
        for mailbox in namespace.of_kind("mailbox"):
            flags = mailbox.values.get("special_use") or mailbox.values.get("mailbox_special_use", "")
            if "\\trash" in flags.lower().split():
                names.append(mailbox.name)
    return list(dict.fromkeys(names))


def size_of(text: str) -> int | None:
    """A size of the settings in bytes, 0 for ``unlimited``; None for any other text."""
    if text.strip().lower() == "unlimited":
        return 0
    match = _SIZE.fullmatch(text.strip())
    return int(match[1]) * 1024 ** _POWERS[match[2].upper()] if match else None


def quota_grace(text: str) -> str | None:
    """Dovecot's grace, in the form of the setting ``policy.grace``; None where Dovecot has no quota."""
    conf = parse_doveconf(text)
    if dovecot_version(text) < (2, 4):
        grace = plugin_values(conf).get("quota_grace", "").replace("%%", "%")
        return grace.replace(" ", "") or None
    quotas = list(conf.of_kind("quota"))
    for values in (*(quota.values for quota in quotas), conf.values):
        grace = values.get("quota_storage_grace") or values.get("storage_grace", "")
        if grace:
            return grace.replace(" ", "")
    return "10M" if quotas else None  # the default of 2.4; that of 2.3 is 10% of the limit


def status_answers(text: str) -> dict[str, str]:
    """The answers of quota-status that are set, by the names of the settings in [policy]: success, nouser …"""
    conf = parse_doveconf(text)
    modern = dovecot_version(text) >= (2, 4)
    values = conf.values if modern else plugin_values(conf)
    error = conf.values.get("quota_exceeded_message") or _DEFAULT_ERROR
    answers = {}
    for name in ("success", "nouser", "overquota", "toolarge"):
        answer = values.get(f"quota_status_{name}", "")
        plain = answer.replace("%{error}", error) if modern else answer.replace("%%", "%")
        if plain and "%{" not in plain:  # an answer with another variable differs by user
            answers[name] = plain
    return answers


def plugin_values(conf: Block) -> dict[str, str]:
    """The settings in 2.3's blocks ``plugin``."""
    return {name: value for block in conf.of_kind("plugin") for name, value in block.values.items()}


def path_template(text: str, *, modern: bool) -> str | None:
    """A path with Dovecot's variables as ``{user}`` and ``{domain}``; None where it has any other variable.

    Filters that make a name lower case are dropped: mailquota has all addresses in lower case.
    """
    unknown = "{" in _SHORT.sub("", text)

    def translate(match: re.Match[str]) -> str:
        nonlocal unknown
        expression, short, percent, _ = match.groups()
        if percent:
            return "%"
        found = None if short is None else (None if modern else _OLD_NAMES[short])
        if expression is not None:
            found = _pipeline(expression) if modern else _OLD_NAMES.get(_OLD_LONG_NAMES.get(expression.strip(), ""))
        unknown = unknown or found is None
        return found or ""

    result = _SHORT.sub(translate, text)
    return None if unknown else result


def _pipeline(expression: str) -> str | None:
    """A variable of 2.4 with filters, ``user | domain | lower``, in the form of path_template."""
    name, *filters = (part.strip() for part in expression.split("|"))
    if name != "user" or not {"username", "domain", "lower"}.issuperset(filters):
        return None
    parts = [part for part in filters if part != "lower"]
    if not parts:
        return "{user}@{domain}"
    return {"username": "{user}", "domain": "{domain}"}[parts[0]] if len(parts) == 1 else None


def dovecot_tool(doveadm: str, tool: str) -> list[str]:
    """The command line of another tool of Dovecot (doveconf, dovecot-lda), by the setting ``mailstore.doveadm``.

    It takes over from that setting what stands before doveadm (chroot, sudo), doveadm's folder, and its option ``-c``.
    """
    words = [] if doveadm in {"auto", "off"} or doveadm.startswith(("http:", "https:")) else _split(doveadm)
    at = next((place for place, word in enumerate(words) if PurePosixPath(word).name == "doveadm"), None)
    if at is None:
        return [tool, *_config_option(words)]
    beside = str(PurePosixPath(words[at]).parent / tool) if "/" in words[at] else tool
    return [*words[:at], beside, *_config_option(words[at + 1 :])]


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # an open quote; the setting's own check refuses it
        return []


def _config_option(words: list[str]) -> list[str]:
    for place, word in enumerate(words):
        if word.startswith("-c"):
            file = word[2:] or "".join(words[place + 1 : place + 2])
            return ["-c", file] if file else []
    return []
