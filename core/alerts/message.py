"""The mails that are sent: to the owner of a mailbox, to administrators as a copy, and to them about many at once.

facts (of an account) → variables (of the templates) → texts (in a language) → mime (bytes to be stored or sent).
A mail is made of any facts and any templates of the administrator; only an address that a header can't have is
refused. Blocking, as templates are files; called in a thread. Jinja2 and the email package are imported late, to save
the memory of an engine that sends no mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from .facts import MailFacts
from .formats import tag
from .texts import texts_for
from .variables import digest_variables, warning_variables

TEMPLATE_SECONDS = 1.0  # of CPU time, for an administrator's own templates


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a mail, and which templates it is made with.

    ``at`` is in seconds since the epoch, ``templates`` a folder of own templates or None, ``seconds`` the CPU time that
    those may take.
    """

    sender: str
    to: str
    at: float
    message_id: str
    language: str
    templates: Path | None = None
    seconds: float = TEMPLATE_SECONDS


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A finished mail. ``message`` is all of it, with LF as the end of lines; the other fields are for a preview.

    ``html`` is empty where own templates have text alone. ``remark`` says which template or language is not used, and
    why.
    """

    message: bytes
    subject: str
    text: str
    html: str
    language: str
    remark: str | None


def compose(facts: MailFacts, letter: Letter) -> Mail:
    """The mail to a mailbox owner. Raises UsageError where a header can't have an address or the Message-ID."""
    return _about_one(facts, letter, copy=False)


def compose_copy(facts: MailFacts, letter: Letter) -> Mail:
    """The same mail to an administrator, whose subject says that it is a copy. Raises UsageError as ``compose``."""
    return _about_one(facts, letter, copy=True)


def compose_digest(accounts: Sequence[MailFacts], letter: Letter) -> Mail:
    """One mail to an administrator about many accounts, in any order. Raises UsageError as ``compose``."""
    variables = digest_variables(accounts, postmaster=letter.sender, at=letter.at)
    return _mail("digest", variables, letter, "")


def _about_one(facts: MailFacts, letter: Letter, *, copy: bool) -> Mail:
    variables = warning_variables(facts, postmaster=letter.sender, at=letter.at, copy=copy)
    # The mailbox may have filled up again since "room again" became due: then the mail says what is so now.
    kind = "below" if facts.threshold == "below" and not facts.full else "warning"
    return _mail(kind, variables, letter, tag(letter.language, test=facts.test, copy=copy))


def _mail(kind: str, variables: dict[str, Any], letter: Letter, prefix: str) -> Mail:
    from . import mime

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
