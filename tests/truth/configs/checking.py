"""One configuration from start to verdict, and many of them."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from tests.mailserver.fixture import temporary_folder
from tests.mailserver.mariadb import MariaDB
from tests.truth.configs.judging import Result, is_silent, judge
from tests.truth.configs.model import Configuration
from tests.truth.configs.ours import Ours
from tests.truth.configs.server import Configured, started


@dataclass
class Checked:
    """``refused``: Dovecot does not take these settings, so there is nothing to compare."""

    configuration: Configuration
    results: list[Result] = field(default_factory=list)
    refused: str = ""
    failures: list[str] = field(default_factory=list)

    @property
    def silent(self) -> list[Result]:
        return [result for result in self.results if is_silent([result])]

    def __str__(self) -> str:
        lines = [f"SILENT {result.sort}: {result.text}" for result in self.silent]
        return "\n".join([*lines, f"again: {self.configuration.again}", str(self.configuration)])


class Checker:
    """A database and our process, for one configuration after the other."""

    def __init__(self, folder: Path, database: MariaDB, ours: Ours) -> None:
        self._folder = folder
        self._database = database
        self._ours = ours

    def check(self, configuration: Configuration) -> Checked:
        """Start its Dovecot, have both sides say what they know, and stop it."""
        folder = self._folder / "c"
        shutil.rmtree(folder, ignore_errors=True)
        server = Configured(folder, configuration, self._database)
        checked = Checked(configuration)
        try:
            if not started(server):
                checked.refused = server.log.read_text(errors="replace")[-500:] or "it did not start"
                return checked
            server.settle()
            checked.failures = server.failures
            checked.results = self._compared(server, doctor=False)
            if checked.silent:
                checked.results = self._compared(server, doctor=True)
        finally:
            server.stop()
        return checked

    def _compared(self, server: Configured, *, doctor: bool) -> list[Result]:
        """Ours first, because it writes nothing, while Dovecot repairs what it is asked about."""
        answer = self._ours.ask(server.folder, doctor=doctor)
        assert "fault" not in answer, answer["fault"]
        verdicts = server.verdicts((recipient, size) for recipient, size, *_ in answer.get("verdicts", ()))
        return judge(server.configuration, answer, server.figures(), verdicts)


@contextmanager
def checkers(number: int = 2) -> Iterator[list[Checker]]:
    """So many, which can work side by side."""
    with ExitStack() as stack:
        yield [stack.enter_context(_checker()) for _ in range(number)]


@contextmanager
def _checker() -> Iterator[Checker]:
    with temporary_folder() as folder, MariaDB(folder / "mariadb") as database, Ours() as ours:
        database.sql("ALTER TABLE virtual_users MODIFY quota bigint NULL")
        yield Checker(folder, database, ours)


def check_all(at_hand: list[Checker], configurations: Iterable[Configuration]) -> list[Checked]:
    """Each of them, in their order."""
    free: SimpleQueue[Checker] = SimpleQueue()
    for one in at_hand:
        free.put(one)

    def check(configuration: Configuration) -> Checked:
        one = free.get()
        try:
            return one.check(configuration)
        finally:
            free.put(one)

    with ThreadPoolExecutor(len(at_hand)) as side_by_side:
        return list(side_by_side.map(check, configurations))


def outcomes(done: Iterable[Checked]) -> Counter[str]:
    """How often there was which."""
    return Counter(result.outcome for checked in done for result in checked.results)
