"""The mails that are sent: to the owner of a mailbox, to administrators as a copy, and to them about many at once.

facts (what is known) → variables (what templates see) → texts (in which words) → mime (bytes to be stored or sent).
Whatever the facts and the administrator's templates hold, a mail comes out; only an address that can't stand in a
header is refused. Blocking, as templates are files: made in a thread. Jinja2 and the email package are imported here
and late, as an engine that sends no mail does without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from mailquota.core.alerts.facts import MailFacts
from mailquota.core.alerts.formats import tag
from mailquota.core.alerts.texts import texts_for
from mailquota.core.alerts.variables import digest_variables, warning_variables

TEMPLATE_SECONDS = 1.0  # of CPU time, for templates of the administrator's


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """From whom to whom, when (seconds since the epoch), and in whose words: ``templates`` is a folder or None."""

    sender: str
    to: str
    at: float
    message_id: str
    language: str
    templates: Path | None = None
    seconds: float = TEMPLATE_SECONDS


class Mail(msgspec.Struct, frozen=True):
    """A finished mail. ``message`` is all of it, with LF as the end of lines; the rest is for who wants to look at it.

    ``html`` is empty where own templates have text alone. ``remark`` says what of the settings is not used, and why.
    """

    message: bytes
    subject: str
    text: str
    html: str
    language: str
    remark: str | None


def compose(facts: MailFacts, letter: Letter) -> Mail:
    """What the owner is told. Raises UsageError where an address can't stand in a header."""
    return _about_one(facts, letter, copy=False)


def compose_copy(facts: MailFacts, letter: Letter) -> Mail:
    """The same mail for an administrator, who sees that it is a copy. Raises UsageError as above."""
    return _about_one(facts, letter, copy=True)


def compose_digest(accounts: Sequence[MailFacts], letter: Letter) -> Mail:
    """One mail to an administrator about many accounts, in any order. Raises UsageError as above."""
    variables = digest_variables(accounts, postmaster=letter.sender, at=letter.at)
    return _mail("digest", variables, letter, "")


def _about_one(facts: MailFacts, letter: Letter, *, copy: bool) -> Mail:
    variables = warning_variables(facts, postmaster=letter.sender, at=letter.at, copy=copy)
    # Who is full meanwhile is not told that there is room.
    kind = "below" if facts.threshold == "below" and not facts.full else "warning"
    return _mail(kind, variables, letter, tag(letter.language, test=facts.test, copy=copy))


def _mail(kind: str, variables: dict[str, Any], letter: Letter, prefix: str) -> Mail:
    from mailquota.core.alerts import mime

    texts = texts_for(kind, letter.language, letter.templates, variables, letter.seconds)
    subject = prefix + texts.subject
    message = mime.build(
        sender=letter.sender,
        to=letter.to,
        at=letter.at,
        message_id=letter.message_id,
        subject=subject,
        text=texts.text,
        html=texts.html,
    )
    return Mail(
        message=message, subject=subject, text=texts.text, html=texts.html, language=texts.language, remark=texts.remark
    )
