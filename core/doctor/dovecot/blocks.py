"""Finds a limit inside a quota block of Dovecot 2.4, and gives the commands that move it out. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from ...base.text import visible
from ..model import Outcome, fail, ok
from .common import append, is_modern
from .facts import DovecotFacts

# A program for perl -p, which every Debian has. $in is the depth of a line in blocks, counted from the quota block.
# As Dovecot parses them, a block opens with { at the end of a line that is no KEY = VALUE, and closes with } at the
# start of a line.
_COMMENT_OUT = r"""
if (/^\s*\}/) { $in-- if $in }
elsif (/^\s*[^\s#!=]+\s*=/) { s/^(\s*(quota_)?storage_size\b)/#$1/ if $in == 1 }
elsif (/^\s*[^#!].*\{\s*(#.*)?$/) { $in++ if $in || /^\s*quota\s/ }
$in = 0 if eof;
"""


def in_block(facts: DovecotFacts) -> Outcome:
    """The outcome of quota-limit-in-block."""
    if not is_modern(facts):
        return ok("Dovecot 2.3 has no quota blocks")
    name, key, text = next(_sizes_in_blocks(facts), ("", "", ""))
    if not key:
        return ok("no quota block has a limit inside")
    found = f'quota "{visible(name)}" has {key} = {visible(text)} inside'
    return fail(found, out_of_block(facts))


def _sizes_in_blocks(facts: DovecotFacts) -> Iterator[tuple[str, str, str]]:
    """For each limit inside a quota block: name of the block, setting and value."""
    for block in facts.conf.of_kind("quota"):
        for name, text in block.values.items():
            if name.removeprefix("quota_") == "storage_size":
                yield block.name, name, text


def out_of_block(facts: DovecotFacts) -> str:
    """Commands that move the limit out of the block: there it applies to users without one in the user database.

    All files of Dovecot's settings are edited, as doveconf does not print which one has the line.
    """
    folder = shlex.quote(facts.config_file.rpartition("/")[0] or "/")
    edit = f"find {folder} -maxdepth 3 -name '*.conf*' -type f -exec perl -i -pe '{_COMMENT_OUT}' {{}} +"
    outside = facts.conf.values.get("quota_storage_size") or next(_sizes_in_blocks(facts))[2]
    return f"{edit}\n{append(facts, f'quota_storage_size = {outside}')}"
