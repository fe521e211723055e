"""A real Postfix to break, a policy service behind its socket, and the doctor whose fixes are run."""

from __future__ import annotations

import os
import re
import shutil
import smtplib
import socketserver
import subprocess
import threading
from pathlib import Path

from mailquota.core.base.programs import ProgramResult
from mailquota.core.base.programs import run as run_outside
from mailquota.core.doctor.examine import judge
from mailquota.core.doctor.host.facts import EngineFacts, HostFacts
from mailquota.core.doctor.model import Facts, Finding
from mailquota.core.doctor.postfix import probe as probe_postfix
from mailquota.core.doctor.postfix.checks import POSTFIX_CHECKS
from mailquota.core.doctor.postfix.facts import PostfixFacts
from mailquota.core.doctor.postfix.rewriting import REWRITING_CHECKS
from mailquota.core.settings.config import Config, load
from tests.mailserver.mail import CLIENT, SENDER
from tests.mailserver.mariadb import MariaDB
from tests.mailserver.ports import HOST
from tests.mailserver.postfix import Postfix
from tests.mailserver.process import SEARCH_PATH

RECIPIENT = "john@example.org"
REFUSAL = "452 4.2.2 Mailbox is full"
# Where mail goes needs accounts: test_maps.py has these checks.
CHECKS = tuple(check for check in POSTFIX_CHECKS if check not in REWRITING_CHECKS)
_STATIC = {
    "virtual_mailbox_domains": "example.org",
    "virtual_mailbox_maps": "static:yes",
    "virtual_alias_maps": "",
}
# Stands in for commands that would change this machine; what they were asked is noted for the test to do.
_STAND_IN = '#!/bin/sh\necho "$0 $*" >> "${0%/*}/asked"\n'
# Postfix naps until the last edit of its settings is more than a second old.
_POSTFIX = '#!/bin/sh\ntouch -d @0 "$MAIL_CONFIG"/*.cf\nexec /usr/sbin/postfix "$@"\n'


class StaticPostfix(Postfix):
    """One that needs no database: everybody at example.org has a mailbox, and every mailbox is full."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, MariaDB(folder / "never-started"))

    def prepare(self) -> None:
        super().prepare()
        main = self.config / "main.cf"
        text = main.read_text()
        for name, value in _STATIC.items():
            text = re.sub(rf"^{name} = .*$", f"{name} = {value}", text, flags=re.MULTILINE)
        main.write_text(text)
        os.utime(main, (0, 0))

    @property
    def service(self) -> str:
        """Its smtpd in master.cf."""
        return f"{HOST}:{self.smtp_port}/inet"

    def rcpt(self) -> tuple[int, str]:
        """What a client is told about a recipient."""
        with smtplib.SMTP(HOST, self.smtp_port, local_hostname=CLIENT) as smtp:
            smtp.helo()
            smtp.mail(SENDER)
            code, text = smtp.rcpt(RECIPIENT)
            return code, text.decode()

    def shell(self, script: str, stand_ins: Path) -> str:
        """Run a script as root would paste it, on this instance; its output. Raises CalledProcessError."""
        environment = {**os.environ, "MAIL_CONFIG": str(self.config), "PATH": f"{stand_ins}:{SEARCH_PATH}"}
        done = subprocess.run(["sh", "-e", "-c", script], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{script}\n{done.stderr}"
        return done.stdout


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        service = self.server.service  # type: ignore[attr-defined]  # set by Service.start
        request = b""
        for line in self.rfile:
            request += line
            if line == b"\n":
                self.wfile.write(service.answer(request))
                request = b""


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False  # smtpd keeps its connections


class Service:
    """A policy service at a path. ``texts`` are what it says to states; silence is the empty text."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.texts = {"CONNECT": "action=DUNNO\n\n", "RCPT": f"action={REFUSAL}\n\n"}
        self._server: _Server | None = None

    def answer(self, request: bytes) -> bytes:
        state = re.search(rb"^protocol_state=(.*)$", request, re.MULTILINE)
        return self.texts.get(state[1].decode() if state else "", "").encode()

    def start(self) -> None:
        self._server = _Server(str(self.path), _Handler)
        self._server.service = self  # type: ignore[attr-defined]
        shutil.chown(self.path, "postfix")
        self.path.chmod(0o660)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self, *, stale: bool = False) -> None:
        """``stale`` leaves the file of its socket behind."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        if not stale and self.path.is_socket():
            self.path.unlink()

    def restart(self) -> None:
        self.stop()
        self.start()


class Doctored:
    """Postfix, service, settings, and what the doctor says about them."""

    def __init__(self, postfix: StaticPostfix, folder: Path) -> None:
        self.postfix = postfix
        self.service = Service(postfix.sockets / "mailquota")
        self.settings = folder / "mailquota.toml"
        self.stand_ins = folder / "bin"
        self.stand_ins.mkdir()
        for name, script in {"systemctl": _STAND_IN, "mailquota": _STAND_IN, "postfix": _POSTFIX}.items():
            (self.stand_ins / name).write_text(script)
            (self.stand_ins / name).chmod(0o755)
        self.settings.write_text(f'[policy]\nlisten = ["unix:{self.service.path}"]\n')

    def run(self, script: str) -> None:
        """A script on this Postfix; where it has systemd start mailquota anew, that is done."""
        self.postfix.shell(script, self.stand_ins)
        asked = self.stand_ins / "asked"
        if asked.exists():
            if re.search("systemctl (restart|start) mailquota", asked.read_text()):
                self.service.restart()
            asked.unlink()

    def _ask(self, argv: object) -> ProgramResult:
        return run_outside(["env", f"MAIL_CONFIG={self.postfix.config}", *argv])  # type: ignore[misc]

    @property
    def config(self) -> Config:
        """The settings as they are now."""
        return load(self.settings, {})

    def facts(self) -> PostfixFacts:
        """Gathered now."""
        return probe_postfix.gather(self.config, self._ask)

    def findings(self) -> dict[str, Finding]:
        """All checks of Postfix, where mailquota is a service, and runs."""
        running = EngineFacts(known=True, running=True, mode="enforce")
        host = HostFacts(systemd=True, installed=True, engine=running)
        found = judge(Facts(config=self.config, postfix=self.facts(), host=host), CHECKS)
        return {finding.check: finding for finding in found}

    def reply(self) -> str:
        """What a client is told about a recipient, without the words that Postfix adds; "" while nobody answers."""
        try:
            code, text = self.postfix.rcpt()
        except (OSError, smtplib.SMTPException):  # it reads its new settings just now
            return ""
        return f"{code} {text.split(' ', 1)[0]} {text.rpartition(': ')[2]}"
