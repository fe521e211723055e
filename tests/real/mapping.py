"""Random maps of Postfix, of many types and in random orders, with the rows of generated tables spread over them."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.mailserver.process import SEARCH_PATH
from tests.mailserver.server import MailServer
from tests.mailserver.socketmap import Socketmap

FILES = ("texthash", "hash", "btree")
KINDS = (*FILES, "regexp", "pipemap", "unionmap", "socketmap", "aliases", "mailboxes")
Rows = dict[str, list[str]]


class Maps:
    """The maps of one round. ``order`` are virtual_alias_maps."""

    def __init__(self, server: MailServer, folder: Path, socketmap: Socketmap, dice: random.Random) -> None:
        self._server = server
        self._folder = folder
        self._socketmap = socketmap
        self._dice = dice
        self.kinds = dice.sample(KINDS, dice.randint(1, 5))
        if dice.random() < 0.6 and "mailboxes" not in self.kinds:
            self.kinds.append("mailboxes")
        if not {"mailboxes"} - set(self.kinds) and len(self.kinds) == 1:
            self.kinds.append("aliases")
        self._rows: dict[str, Rows] = {kind: {} for kind in self.kinds}
        self.canonical: Rows = {}

    def spread(self, rows: Iterable[tuple[str, str]]) -> None:
        """All rows of one source go to the same map; some sources have a row in canonical_maps as well."""
        by_source: Rows = {}
        for source, destination in rows:
            by_source.setdefault(source, []).append(destination)
        kinds = [kind for kind in self.kinds if kind != "mailboxes"]
        for source, destinations in by_source.items():
            kind = self._dice.choice(kinds)
            one_only = kind in {"regexp", "pipemap", "unionmap"} and "@" in source[:1]
            target = self._rows[kind].setdefault(source.lower(), [])
            target += destinations[:1] if one_only else destinations
            if self._dice.random() < 0.1 and not destinations[0].startswith("@"):
                self.canonical[source.lower()] = destinations[:1]

    def write(self) -> None:
        """The files, and Postfix's settings."""
        self._folder.mkdir(exist_ok=True)
        names = [self._write(kind, rows) for kind, rows in self._rows.items()]
        self._server.add_aliases(
            (source, to) for source, found in self._rows.get("aliases", {}).items() for to in found
        )
        self._server.postfix.settings = {
            "virtual_alias_maps": ", ".join(names),
            "canonical_maps": self._file("texthash", "canonical", self.canonical) if self.canonical else "",
            "canonical_classes": "envelope_recipient",
        }

    def _write(self, kind: str, rows: Rows) -> str:
        config = self._server.postfix.config
        if kind in {"aliases", "mailboxes"}:
            name = "mysql-virtual-alias-maps" if kind == "aliases" else "mysql-email2email"
            return f"{self._dice.choice(('', 'proxy:'))}mysql:{config}/{name}.cf"
        if kind == "socketmap":
            self._socketmap.rows = {source: ", ".join(found) for source, found in rows.items()}
            return self._socketmap.name
        if kind == "regexp":
            lines = [f"/^{_escaped(source)}$/ {', '.join(found)}" for source, found in rows.items()]
            return self._text("regexp", "regexp", lines)
        if kind == "pipemap":  # the second leads each to itself
            first = self._file("texthash", "pipe", rows)
            texts = {", ".join(found): [", ".join(found)] for found in rows.values()}
            return f"pipemap:{{{first},{self._text('regexp', 'through', ['/^(.*)$/ $1'] if texts else ['/^$/ x'])}}}"
        if kind == "unionmap":
            half = {source: found[:1] for source, found in rows.items()}
            rest = {source: found[1:] for source, found in rows.items() if found[1:]}
            return f"unionmap:{{{self._file('texthash', 'half', half)},{self._file('texthash', 'rest', rest)}}}"
        return self._file(kind, kind, rows)

    def _file(self, kind: str, name: str, rows: Rows) -> str:
        lines = [f"{_key(source)} {', '.join(found)}" for source, found in rows.items()]
        return self._text(kind, name, lines or ["nobody@nowhere.invalid nobody@nowhere.invalid"])

    def _text(self, kind: str, name: str, lines: Sequence[str]) -> str:
        file = self._folder / name
        file.write_text("\n".join([*lines, ""]))
        os.utime(file, (0, 0))
        if kind in {"hash", "btree"}:
            config = str(self._server.postfix.config)
            environment = {"PATH": SEARCH_PATH, "MAIL_CONFIG": config}
            subprocess.run(["postmap", f"{kind}:{file}"], check=True, env=environment)
        return f"{kind}:{file}"


def _key(source: str) -> str:
    return source


def _escaped(source: str) -> str:
    text = "".join(f"\\{char}" if char in ".+" else char for char in source)
    return f"[^@]*{text}" if source.startswith("@") else text
