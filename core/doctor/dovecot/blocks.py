"""A limit inside a quota block of Dovecot 2.4: where it is, and how to take it out of there. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from mailquota.core.base.text import visible
from mailquota.core.doctor.dovecot.common import append, is_modern
from mailquota.core.doctor.dovecot.facts import DovecotFacts
from mailquota.core.doctor.model import Outcome, fail, ok

# For perl -p, which every Debian has: $in is how many blocks deep a line is, counted from the quota block on. As
# Dovecot reads them: a block opens with { at the end of a line that is no KEY = VALUE, and closes at the start of one.
_COMMENT_OUT = r"""
if (/^\s*\}/) { $in-- if $in }
elsif (/^\s*[^\s#!=]+\s*=/) { s/^(\s*(quota_)?storage_size\b)/#$1/ if $in == 1 }
elsif (/^\s*[^#!].*\{\s*(#.*)?$/) { $in++ if $in || /^\s*quota\s/ }
$in = 0 if eof;
"""


def in_block(facts: DovecotFacts) -> Outcome:
    """Whether there is one."""
    if not is_modern(facts):
        return ok("Dovecot 2.3 has no quota blocks")
    name, key, text = next(_sizes_in_blocks(facts), ("", "", ""))
    if not key:
        return ok("no limit stands inside a quota block")
    found = f'quota "{visible(name)}" has {key} = {visible(text)} inside'
    return fail(found, out_of_block(facts))


def _sizes_in_blocks(facts: DovecotFacts) -> Iterator[tuple[str, str, str]]:
    """Name of the block, setting and value."""
    for block in facts.conf.of_kind("quota"):
        for name, text in block.values.items():
            if name.removeprefix("quota_") == "storage_size":
                yield block.name, name, text


def out_of_block(facts: DovecotFacts) -> str:
    """Take it out of the block; in its place outside it counts for those whom the user database gives no limit.

    All files of the settings are edited, as doveconf does not say which one a line comes from.
    """
    folder = shlex.quote(facts.config_file.rpartition("/")[0] or "/")
    edit = f"find {folder} -maxdepth 3 -name '*.conf*' -type f -exec perl -i -pe '{_COMMENT_OUT}' {{}} +"
    outside = facts.conf.values.get("quota_storage_size") or next(_sizes_in_blocks(facts))[2]
    return f"{edit}\n{append(facts, f'quota_storage_size = {outside}')}"
