"""Generated maps of Postfix: which there are, of which types, in which order, with the rows of an alias table in them.

Many of them are tried on one Postfix. Each has a smtpd, a cleanup and a trivial-rewrite of its own there, with its
settings given by ``-o``; to mailquota the same settings are a main.cf of their own. All mail is thrown away, and the
log says to whom it would have gone.
"""

from __future__ import annotations

import os
import re
import shutil
import smtplib
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.mailserver.mail import SENDER, build_message, connect, greets
from tests.mailserver.mariadb import MariaDB
from tests.mailserver.postfix import Postfix
from tests.mailserver.process import SEARCH_PATH, wait_until
from tests.real.aliasing import Table

_FILES = ("texthash", "hash", "btree")
_SECONDS = 60.0
_QUERIES = {
    "mailboxes": "SELECT 1 FROM virtual_users WHERE email='%s'",
    "aliases": "SELECT destination FROM virtual_aliases WHERE source='%s'",
    "email2email": "SELECT email FROM virtual_users WHERE email='%s'",
}
Rows = dict[str, list[str]]
LOOP = "a loop"


@dataclass(frozen=True)
class Mapping:
    """``order`` are virtual_alias_maps; each row of the table is in the map of its place in ``places``."""

    seed: int
    table: Table
    order: tuple[str, ...]
    places: tuple[int, ...]  # by source, in order of first appearance: which map without those of SQL's own
    canonical: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        rows = "\n".join(f"  {source} -> {', '.join(to)}" for source, to in _by_source(self.table.rows).items())
        maps = f"virtual_alias_maps {self.order}, places {self.places}, canonical {self.canonical}"
        return f"{maps}\n{rows}\n  users {self.table.users}"


def generate_mapping(kind: str, table: Table, seed: int) -> Mapping:
    """``sql``: only maps in SQL, with and without that of the mailboxes; ``types``: others too; ``canonical``, too."""
    random = Random(f"{kind} {seed}")
    pool = (
        ["aliases", "proxy aliases"]
        if kind == "sql"
        else [*_FILES, "regexp", "inline", "pipemap", "unionmap", "aliases"]
    )
    order = random.sample(pool, 1 if kind == "sql" else random.randint(1, 3))
    if random.random() < (0.5 if kind == "sql" else 0.7):
        order.insert(random.randint(0, len(order)), "email2email")
    sources = _by_source(table.rows)
    places = tuple(random.randrange(len(order)) for _ in sources)
    canonical: tuple[tuple[str, str], ...] = ()
    if kind == "canonical":
        names = random.sample(table.asked, 2)
        canonical = tuple((name.lower(), random.choice(table.users)) for name in names)
    return Mapping(seed, table, tuple(order), places, canonical)


def _by_source(rows: Iterable[tuple[str, str]]) -> Rows:
    found: Rows = {}
    for source, destination in rows:
        found.setdefault(source.lower(), []).append(destination)
    return found


class Laid:
    """A mapping in a folder: ``settings`` for Postfix, and a main.cf for mailquota."""

    def __init__(self, mapping: Mapping, folder: Path, database: MariaDB, queue: Path) -> None:
        self.mapping = mapping
        self.folder = folder
        self._database = database
        self._config = folder / "postfix"
        self._config.mkdir(parents=True)
        for name, query in _QUERIES.items():
            self._write(f"{name}.cf", self._login() + f"query = {query}\n", 0o640)
        rows, self.sql_rows = self._spread()
        names = [self._map(place, kind, rows[place]) for place, kind in enumerate(mapping.order)]
        canonical = {source: [to] for source, to in mapping.canonical}
        self.settings = {
            "virtual_alias_maps": ", ".join(names),
            "recipient_canonical_maps": self._file("texthash", "canonical", canonical) if canonical else "",
            "virtual_mailbox_maps": f"mysql:{self._config}/mailboxes.cf",
            "virtual_mailbox_domains": ", ".join(sorted({user.partition("@")[2] for user in mapping.table.users})),
        }
        lines = [f"{name} = {value}" for name, value in self.settings.items()]
        main = [f"queue_directory = {queue}", "compatibility_level = 3.6", "recipient_delimiter = +", *lines]
        self._write("main.cf", "\n".join([*main, "alias_maps =", "virtual_alias_expansion_limit = 100", ""]))
        for file in self._config.iterdir():
            os.utime(file, (0, 0))

    def _login(self) -> str:
        base = self._database
        login = f"user = {base.reader}\npassword = {base.password}\ndbname = {base.database}\n"
        return f"{login}hosts = inet:{base.host}:{base.port}\n"

    def _write(self, name: str, text: str, mode: int = 0o644) -> Path:
        path = self._config / name
        path.write_text(text)
        path.chmod(mode)
        shutil.chown(path, "root", "postfix")
        return path

    def _spread(self) -> tuple[list[Rows], list[tuple[str, str]]]:
        """The rows of each map, and those for the table in SQL. email2email has none, so the next one gets them."""
        order = self.mapping.order
        able = [place for place, kind in enumerate(order) if kind != "email2email"]
        found: list[Rows] = [{} for _ in order]
        for (source, to), place in zip(_by_source(self.mapping.table.rows).items(), self.mapping.places, strict=True):
            found[able[place % len(able)]][source] = to
        in_sql = [(s, d) for place in able if "aliases" in order[place] for s, to in found[place].items() for d in to]
        return found, in_sql

    def _map(self, place: int, kind: str, rows: Rows) -> str:
        name = f"map{place}"
        if kind in {"aliases", "email2email", "proxy aliases"}:
            proxy, _, table = kind.rpartition(" ")
            return f"{'proxy:' if proxy else ''}mysql:{self._config}/{table}.cf"
        if kind == "regexp":
            lines = [
                f"/^{re.escape(key) if key[0] != '@' else '[^@]*' + re.escape(key)}$/ {', '.join(to)}"
                for key, to in rows.items()
            ]
            return f"regexp:{self._write(name, _text(lines))}"
        if kind == "inline":
            inner = " ".join(f"{{{key} = {', '.join(to)}}}" for key, to in rows.items())
            return f"inline:{{{inner or '{nobody@nowhere.invalid = x@nowhere.invalid}'}}}"
        if kind == "pipemap":
            through = self._write(f"{name}b", "/^(.*)$/ $1\n")
            return f"pipemap:{{{self._file('texthash', name, rows)}, regexp:{through}}}"
        if kind == "unionmap":
            rest = {key: to[1:] for key, to in rows.items() if to[1:]}
            first = {key: to[:1] for key, to in rows.items()}
            return f"unionmap:{{{self._file('texthash', name, first)}, {self._file('texthash', name + 'b', rest)}}}"
        return self._file(kind, name, rows)

    def _file(self, kind: str, name: str, rows: Rows) -> str:
        path = self._write(name, _text(f"{key} {', '.join(to)}" for key, to in rows.items()))
        if kind in {"hash", "btree"}:
            environment = {"PATH": SEARCH_PATH, "MAIL_CONFIG": "/etc/postfix"}
            subprocess.run(["postmap", f"{kind}:{path}"], check=True, env=environment, capture_output=True)
        return f"{kind}:{path}"


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines) or "nobody@nowhere.invalid x@nowhere.invalid\n"


class ManyPostfix(Postfix):
    """One Postfix for all of them."""

    def __init__(self, folder: Path, database: MariaDB) -> None:
        super().__init__(folder, database)
        self.laid: Sequence[Laid] = ()

    def prepare(self) -> None:
        super().prepare()
        maps = ", ".join(one.settings["virtual_alias_maps"] for one in self.laid)
        proxied = ["proxy:unix:passwd.byname", *(word for word in maps.split(", ") if word.startswith("proxy:"))]
        own = {
            "virtual_alias_maps": "", "virtual_mailbox_maps": "", "virtual_mailbox_domains": "", "mydestination": "",
            "default_transport": "discard:thrown away", "smtpd_recipient_restrictions": "permit_mynetworks, reject",
            "smtpd_relay_restrictions": "permit_mynetworks, reject", "smtpd_reject_unlisted_recipient": "no",
            "proxy_read_maps": " ".join(dict.fromkeys(proxied)),
            "local_recipient_maps": "",
        }  # fmt: skip
        main = self.config / "main.cf"  # a setting that stands there twice keeps Postfix from writing its log
        lines = [line for line in main.read_text().splitlines() if line.partition(" ")[0] not in own]
        main.write_text("\n".join([*lines, *(f"{name} = {value}" for name, value in own.items()), ""]))
        with (self.config / "master.cf").open("a") as master:
            for number, one in enumerate(self.laid):
                options = "".join(f"  -o {{ {name} = {value} }}\n" for name, value in one.settings.items())
                options += f"  -o rewrite_service_name=rewrite{number}\n"
                to_cleanup = f"  -o cleanup_service_name=cleanup{number}\n"
                master.write(f"smtpd{number} unix n - n - - smtpd\n{options}{to_cleanup}")
                master.write(f"cleanup{number} unix n - n - 0 cleanup\n{options}")
                master.write(f"rewrite{number} unix - - n - - trivial-rewrite\n{options}")
        for file in self.config.iterdir():
            os.utime(file, (0, 0))

    def is_ready(self) -> bool:
        return super().is_ready() and (not self.laid or greets(self._place(len(self.laid) - 1)))

    def _place(self, number: int) -> Path:
        return self.queue / f"public/smtpd{number}"

    def ends(self, number: int, recipients: Sequence[str]) -> list[str | frozenset[str]]:
        """For each recipient the addresses that its mail would go to, or why it is not taken."""
        replies = [self._send(number, recipient) for recipient in recipients]
        ids = [match[1] if (match := re.search(r"queued as (\w+)", text)) else None for text in replies]
        wanted = {name for name in ids if name}
        assert wait_until(lambda: wanted <= set(re.findall(r": (\w+): removed\n", self.said())), _SECONDS)
        reached = defaultdict(set)
        for name, address in re.findall(r": (\w+): to=<([^>]*)>", self.said()):
            reached[name].add(address.lower())
        return [
            frozenset(reached[name]) if name else text for name, text in zip(ids, map(_refusal, replies), strict=True)
        ]

    def said(self) -> str:
        """The log."""
        return self.log.read_text(errors="replace")

    def _send(self, number: int, recipient: str) -> str:
        client = smtplib.SMTP(local_hostname="client.example.net")
        client.sock = connect(self._place(number))
        client.getreply()
        client.ehlo()
        client.mail(SENDER)
        code, text = client.rcpt(recipient)
        if code == 250:
            code, text = client.data(build_message(recipient))
        client.close()
        return f"{code} {text.decode()}"


def _refusal(reply: str) -> str:
    return LOOP if "Alias expansion error" in reply else reply
