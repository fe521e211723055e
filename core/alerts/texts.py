"""Chooses the texts of a mail: the administrator's own or the built-in ones, and the language.

A folder of own templates has one folder for each language, with any of these files (here for a mail of the kind
``warning``):

    warning.txt    replaces the text; its first line is "Subject: …"
    warning.html   replaces the HTML; without it, and with an own warning.txt, the mail is text alone
    words.txt      replaces the words of the built-in templates, or adds a language to them

For the language ``de-AT`` the folders de-AT, de and en are searched in this order. A template that can't be used is
named in ``remark``, and the built-in text takes its place: a mail is made in any case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ..base.errors import UsageError
from ..base.text import shown, visible
from ..settings import checks
from .formats import ENGLISH, LANGUAGES, base
from .own_templates import TemplateError, render_own

_WORDS = "words.txt"
_LONGEST_SUBJECT = 200
_NO_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # all controls but tabs and ends of lines


class Texts(msgspec.Struct, frozen=True, kw_only=True):
    """The texts of a mail; ``html`` may be empty. ``remark``: which template or language is not used, and why."""

    subject: str
    text: str
    html: str
    language: str
    remark: str | None = None


def texts_for(kind: str, language: str, templates: Path | None, variables: dict[str, Any], seconds: float) -> Texts:
    """The texts of a mail of this kind: ``warning``, ``below`` or ``digest``.

    Own templates may take ``seconds`` of CPU time.
    """
    remarks = []
    for code in _codes(language):
        try:
            texts = _own(kind, code, templates, variables, seconds) if templates else None
        except TemplateError as error:
            texts = None
            remarks.append(f"{error}; not used")
        if texts is None and code in LANGUAGES:
            texts = _built_in(kind, code, variables)
        if texts is not None:
            break
    else:  # never: English is built in
        raise AssertionError(language)
    if base(texts.language) != base(language):
        remarks.append(f"there are no texts in the language {shown(language)}, so it is {texts.language}")
    return msgspec.structs.replace(texts, remark="; ".join(remarks) or None)


def _codes(language: str) -> Iterator[str]:
    """The folders to search. A text that is no language is not used as the name of a folder."""
    try:
        checks.language(language)
    except UsageError:
        yield ENGLISH
        return
    yield from dict.fromkeys((language, base(language), ENGLISH))


def _built_in(kind: str, code: str, variables: dict[str, Any]) -> Texts:
    from .render import render  # late: Jinja2

    outputs = render([f"{kind}.txt", f"{kind}.html"], code, variables)
    return _texts(code, outputs[f"{kind}.txt"], outputs[f"{kind}.html"])


def _own(kind: str, code: str, templates: Path, variables: dict[str, Any], seconds: float) -> Texts | None:
    """The texts of own templates; None where there are none for this kind and language. Raises TemplateError."""
    folder = templates / code
    text, html, words = (_is_there(folder / name) for name in (f"{kind}.txt", f"{kind}.html", _WORDS))
    if not (text or html or words):
        return None
    names = [f"{code}/{kind}.txt" if text else f"{kind}.txt"]
    if html or not text:
        names.append(f"{code}/{kind}.html" if html else f"{kind}.html")
    outputs = [*render_own(templates, names, code, variables, seconds).values(), ""]
    try:
        return _texts(code, outputs[0], outputs[1])
    except ValueError as error:
        raise TemplateError(f"{templates / names[0]}, line 1: {error}") from None


def _is_there(path: Path) -> bool:
    """Whether a path exists. A link without its target does: it is reported as a fault, not ignored."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise TemplateError(f"{path}: {error.strerror}") from None
    return True


def _texts(code: str, text: str, html: str) -> Texts:
    """Cut the subject off a rendered text. Raises ValueError where there is none."""
    first, _, rest = text.lstrip().partition("\n")
    name, _, subject = first.partition(":")
    if name.strip().lower() != "subject" or not subject.strip():
        raise ValueError('expected "Subject: …"')
    return Texts(subject=_one_line(subject), text=_clean(rest).strip("\n") + "\n", html=_clean(html), language=code)


def _one_line(subject: str) -> str:
    line = visible(" ".join(subject.split()))
    return line if len(line) <= _LONGEST_SUBJECT else line[:_LONGEST_SUBJECT] + "…"


def _clean(text: str) -> str:
    return _NO_TEXT.sub(lambda found: visible(found[0]), text.replace("\r\n", "\n"))
