"""Facts and letters for tests, and mails read back."""

from __future__ import annotations

from collections.abc import Iterator
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec

from mailquota.core.alerts.facts import FolderShare, MailFacts
from mailquota.core.alerts.message import Letter
from mailquota.core.base.model import Forecast, Trend

MIB, GIB = 1 << 20, 1 << 30
AT = 1_795_000_000.0  # 2026-11-18 11:06:40 UTC
FACTS = MailFacts(
    address="john@example.org",
    threshold="95%",
    used_bytes=4930 * MIB,
    limit_bytes=5120 * MIB,
    messages=18201,
    trash_bytes=2150 * MIB,
    trash_messages=3120,
    folders=(FolderShare("Trash", 3120, 2150 * MIB, is_trash=True), FolderShare("INBOX", 12000, 1945 * MIB)),
    growth=Trend(45 * MIB, 20 * MIB, 80 * MIB),
    forecast=Forecast(12.2, 9.4, 19.1),
)
LETTER = Letter(
    sender="postmaster@example.org", to="john@example.org", at=AT, message_id="<1.a@example.org>", language="en"
)


def facts(**changes: Any) -> MailFacts:
    """Those of John's mailbox at 96 %, changed."""
    return msgspec.structs.replace(FACTS, **changes)


def letter(language: str = "en", **changes: Any) -> Letter:
    """One to John, changed."""
    return msgspec.structs.replace(LETTER, language=language, **changes)


def parsed(message: bytes) -> EmailMessage:
    """As another program reads it."""
    return BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(message)


def own(tmp_path: Path, **files: str) -> Path:
    """A folder of templates: ``en__warning_txt`` is en/warning.txt."""
    for key, text in files.items():
        path = tmp_path / (key.replace("__", "/").replace("_", "."))
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


class Tags(HTMLParser):
    """The tags of a page, that all are closed, and what is attributes of the outside world."""

    VOID = frozenset({"meta"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An opened tag."""
        self.seen.add(tag)
        self.loads += [f"{name}={value}" for name, value in _from_outside(attrs)]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Tags close in the order in which they were opened."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """What is read."""
        self.text += data


def _from_outside(attrs: list[tuple[str, str | None]]) -> Iterator[tuple[str, str | None]]:
    for name, value in attrs:
        if name in {"src", "href", "background"} or name.startswith("on") or "url(" in (value or ""):
            yield name, value
