"""Machines to install on: as facts, and as a folder with programs that behave like systemd's and Postfix's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from mailquota.core.base.programs import ProgramResult
from mailquota.core.commands.install.apply import Report, carry_out
from mailquota.core.commands.install.examine import Invocation, examine
from mailquota.core.commands.install.machine import Machine
from mailquota.core.commands.install.model import RESTRICTIONS, SERVICE_UNIT, SOCKET_UNIT, Host, Owner, Plan
from mailquota.core.commands.install.plan import install_plan
from mailquota.core.commands.install.removal import removal_plan
from mailquota.core.servers.postfix.restrictions import our_check
from mailquota.core.settings.config import Config
from mailquota.core.settings.declared import Settings

SETTINGS = "/etc/mailquota/mailquota.toml"
OUR_CHECK = our_check("unix:private/mailquota")
MAILSTORE = {"path": "/vmail/{user}"}
QUEUE = "/var/spool/postfix"


def config(**sections: dict[str, Any]) -> Config:
    """Settings as from a file with these sections."""
    return Config(msgspec.convert(sections, Settings), {})


def host(**facts: Any) -> Host:
    """An ISPmail server with systemd on which nothing is installed yet."""
    usual: dict[str, Any] = {
        "command": ("/usr/local/bin/mailquota",),
        "settings": SETTINGS,
        "places": ("/usr/local/bin/mailquota", SETTINGS, "/var/vmail"),
        "owner": Owner("vmail", "vmail"),
        "users": frozenset({"root", "postfix", "vmail"}),
        "groups": frozenset({"root", "adm", "systemd-journal", "postdrop", "vmail"}),
        "files": {SOCKET_UNIT: None, SERVICE_UNIT: None, SETTINGS: None},
    }
    return Host(**(usual | facts))


class FakeServer:
    """Files in a folder, and programs. ``broken`` is the number of the program or file at which power fails."""

    def __init__(self, root: Path, restrictions: str | None = None) -> None:
        self.root = root
        self.main_cf = restrictions  # as written
        self.asks = restrictions or ""  # as Postfix goes by
        self.loaded: dict[str, str | None] = {}  # units as systemd knows them
        self.running: dict[str, str | None] | None = None  # as they were when they were started
        self.enabled = False
        self.more: dict[str, str] = {}  # other settings of Postfix's; those of master.cf have a slash
        self.by_hand = 0  # the process of an engine that somebody started
        self.settings = config(
            control={"group": ""}, policy={"socket_user": "root"}, mailstore={"path": "/vmail/{user}"}
        )
        for folder in ("run/systemd/system", "vmail", "etc/systemd/system"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        self.budget = 1000

    def units(self) -> dict[str, str | None]:
        """The state of the units by the files on disk."""
        places = {path: self.root / path.lstrip("/") for path in (SOCKET_UNIT, SERVICE_UNIT)}
        return {path: place.read_text() if place.exists() else None for path, place in places.items()}

    def spend(self) -> None:
        """One more thing was done, if it still could be."""
        self.budget -= 1
        if self.budget < 0:
            raise OSError(28, "No space left on device")

    def run(self, argv: Sequence[str]) -> ProgramResult:
        """Run a program of the machine."""
        words = tuple(argv)
        if words[:2] == ("postconf", "-h"):
            return ProgramResult(f"{QUEUE}\n", code=0)
        if words[:2] == ("postconf", "-n"):
            own = {} if self.main_cf is None else {RESTRICTIONS: self.main_cf}
            return ProgramResult(
                _settings(own | {name: text for name, text in self.more.items() if "/" not in name}), code=0
            )
        if words[:2] == ("postconf", "-P"):
            return ProgramResult(_settings({name: text for name, text in self.more.items() if "/" in name}), code=0)
        if "doveconf" in words:
            return ProgramResult("syslog\n", code=0)
        if words[:2] == ("systemctl", "show"):
            return ProgramResult("\n\n".join([self._shown()] * 2), code=0)
        self.spend()
        self._change(words)
        return ProgramResult(code=0)

    def _shown(self) -> str:
        stale = "yes" if self.units() != self.loaded and self.loaded else "no"
        active = "active" if self.running else "inactive"
        return f"ActiveState={active}\nUnitFileState={'enabled' if self.enabled else ''}\nNeedDaemonReload={stale}"

    def _change(self, words: tuple[str, ...]) -> None:
        if words[0] == "systemctl":
            self._systemctl(*words[1:])
        elif words[:2] == ("postconf", "-e"):
            name, _, text = words[2].partition(" = ")
            if name == RESTRICTIONS:
                self.main_cf = text
            else:
                self.more[name] = text
        elif words[:2] == ("postconf", "-X"):
            self.main_cf = None
        elif words == ("postfix", "reload"):
            self.asks = self.main_cf or ""
        elif words[0] == "rmdir":
            folder = self.root / "etc/mailquota"
            if not any(folder.iterdir()):
                folder.rmdir()
        else:
            assert words[0] in {"chgrp", "chmod"}, words

    def _systemctl(self, *words: str) -> None:
        match words:
            case ("daemon-reload",):
                self.loaded = self.units()
            case ("enable", "--now", *_):
                self.enabled, self.loaded = True, self.units()
                self.running = self.running or self.loaded
            case ("restart", "mailquota.service"):
                self.running = self.loaded
            case ("stop", *_):
                self.running = None
            case ("disable", "--now", *_):
                assert OUR_CHECK not in self.asks, "Postfix still asks"
                self.enabled, self.running = False, None
            case _:
                raise AssertionError(words)

    def look(self) -> Host:
        """The state of the machine, by ``examine``."""
        answering = bool(self.running or self.by_hand)
        invocation = Invocation(
            ("/usr/local/bin/mailquota",), (), SETTINGS, "nobody", {}, answering, self.by_hand, ready=answering
        )  # fmt: skip
        return examine(self.settings, self.machine(), invocation)

    def machine(self) -> Machine:
        """The machine, to be changed by a plan."""
        return _Budgeted(self)

    def install_plan(self) -> Plan:
        return install_plan(self.settings, self.look(), "# settings\n")

    def install(self) -> Report:
        return carry_out(self.install_plan(), self.machine(), lambda _: None)

    def removal(self, *, purge: bool = False) -> Plan:
        return removal_plan(self.settings, self.look(), purge=purge)

    def uninstall(self, *, purge: bool = False) -> Report:
        return carry_out(self.removal(purge=purge), self.machine(), lambda _: None)

    def state(self) -> object:
        """Everything that an installation changes."""
        files = {str(path): path.read_text() for path in sorted(self.root.rglob("*")) if path.is_file()}
        return files, self.main_cf, self.asks, self.running, self.enabled


def _settings(values: dict[str, str]) -> str:
    """Settings as postconf prints them."""
    return "".join(f"{name} = {text}\n" for name, text in values.items())


class _Budgeted(Machine):
    def __init__(self, server: FakeServer) -> None:
        super().__init__(server.root, server.run)
        self._server = server

    def write(self, path: str, text: str, mode: int) -> None:
        self._server.spend()
        super().write(path, text, mode)

    def remove(self, path: str, *, folder: bool) -> None:
        self._server.spend()
        super().remove(path, folder=folder)
