"""A Dovecot whose settings are broken on purpose, judged by the doctor, and mended by the doctor's own words."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mailquota.core.doctor.dovecot.checks import DOVECOT_CHECKS
from mailquota.core.doctor.dovecot.probe import gather
from mailquota.core.doctor.examine import judge
from mailquota.core.doctor.model import Facts, Finding
from mailquota.core.doctor.postfix.facts import PostfixFacts
from mailquota.core.settings.config import Config, load
from tests.mailserver.process import exchange
from tests.real.beside import wait_until

Change = Callable[[str], str]


@dataclass(frozen=True)
class Case:
    """``check`` says ``state`` and ``cause`` after ``change`` of Dovecot's file, or ``query`` of its SQL file."""

    check: str
    cause: str
    change: Change = str
    query: Change = str
    state: str = "fail"
    script: str = ""  # the text of a warning script, empty where there is none
    mode: int = 0o755  # its rights
    index: int = 0  # bytes in the list of messages of a mailbox

    def __str__(self) -> str:
        return f"{self.check}: {self.cause}"


def adding(*lines: str) -> Change:
    """Lines at the end."""
    return lambda text: "\n".join([text, *lines, ""])


def replacing(old: str, new: str) -> Change:
    """One text for another, which has to be there."""

    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return change


@dataclass
class Patient:
    """A running Dovecot; ``postfix`` is what is known of its Postfix."""

    config: Config
    accounts: dict[str, int | None]
    doveadm: Sequence[str]
    postfix: PostfixFacts = field(default_factory=PostfixFacts)

    def findings(self) -> dict[str, Finding]:
        """What all checks of Dovecot say now."""
        facts = Facts(config=self.config, dovecot=gather(self.config, self.accounts), postfix=self.postfix)
        return {finding.check: finding for finding in judge(facts, DOVECOT_CHECKS)}

    def finding(self, check: str) -> Finding:
        """What one says, once Dovecot has started its services anew."""
        last: list[Finding] = []

        def judged() -> bool:
            found = self.findings()
            last[:] = [found[check]]
            return "connect(" not in found["dovecot-answers"].found

        wait_until(judged, f"Dovecot answers: {check}")
        return last[0]

    def mend(self, finding: Finding) -> None:
        """Do literally what the finding says."""
        command = ["sh", "-e", "-c", finding.fix]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert not done.returncode, (finding.fix, done.stderr)

    def reload(self) -> None:
        """Let Dovecot read its settings again."""
        subprocess.run([*self.doveadm, "reload"], capture_output=True, timeout=60, check=True)

    @contextmanager
    def changed(self, *changes: tuple[Path, Change]) -> Iterator[None]:
        """Files changed for the length of a ``with`` block, and after it as they were."""
        before = {path: path.read_text() for path, _ in changes}
        for path, change in changes:
            exchange(path, change(before[path]))
        self.reload()
        try:
            yield
        finally:
            for path, text in before.items():
                exchange(path, text)
            self.reload()

    def assert_mended(self, case: Case) -> None:
        """The case is told with its cause, and what the finding says turns the check green."""
        broken = self.finding(case.check)
        assert broken.state == case.state, broken
        assert case.cause in broken.found, broken
        self.mend(broken)
        wait_until(lambda: self.finding(case.check).state == "ok", f"{case}: {self.finding(case.check)} {broken.fix}")


def settings(path: Path, mailstore: str, doveadm: Sequence[str], grace: str) -> Config:
    """Ours, for a private Dovecot."""
    path.write_text(
        f'[mailstore]\npath = "{mailstore}"\ndoveadm = "{shlex.join(doveadm)}"\n[policy]\ngrace = "{grace}"\n'
    )
    return load(path, {})
