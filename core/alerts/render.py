"""Renders templates in Jinja2's sandbox. Imported only when a mail is made, as Jinja2 takes 11 MB.

The built-in templates are rendered in this process. Own templates of an administrator are rendered by the same code in
a child process (core/alerts/own_templates.py): the sandbox does not limit their time and memory.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import jinja2
from jinja2.loaders import split_template_path
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ..base.trusted import UntrustedError, read_trusted
from .formats import filters

BUILT_IN = Path(__file__).parent / "templates"
LONGEST = 1_000_000  # characters of the rendered text, bytes of the template's file
_LONGEST_REASON = 300


class UnusableError(Exception):
    """A template that can't be read, or whose text is too long; names the file."""


def render(
    names: Sequence[str], language: str, variables: dict[str, Any], folder: Path | None = None
) -> dict[str, str]:
    """The text of each of these templates, by name. The built-in one is taken where ``folder`` has none."""
    environment = _environment(language, folder)
    return {name: _output(environment.get_template(name), variables) for name in names}


@cache
def _environment(language: str, folder: Path | None) -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.FunctionLoader(partial(_load, folder)),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(filters(language))
    environment.globals["language"] = language
    return environment


def _load(folder: Path | None, name: str) -> tuple[str, str, None] | None:
    """Text and path of a template. ``split_template_path`` refuses a name with ``..`` in it."""
    for root in (folder, BUILT_IN):
        path = root and root.joinpath(*split_template_path(name))
        if path and os.path.lexists(path):
            return _read(path, own=root is not BUILT_IN), str(path), None
    return None


def _read(path: Path, *, own: bool) -> str:
    """Own templates are read as the settings are: root takes none that others may change."""
    try:
        data = read_trusted(str(path), LONGEST + 1) if own else path.read_bytes()
    except UntrustedError as error:
        raise UnusableError(f"{path}: root does not use it: {error}") from None
    except OSError as error:
        raise UnusableError(f"{path}: {error.strerror}") from None
    if len(data) > LONGEST:
        raise UnusableError(f"{path}: has more than {LONGEST:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnusableError(f"{path}, line {line}: is not UTF-8") from None


def _output(template: jinja2.Template, variables: dict[str, Any]) -> str:
    pieces, length = [], 0
    for piece in template.generate(variables):
        length += len(piece)
        if length > LONGEST:
            raise UnusableError(f"{template.filename}: gives more than {LONGEST:,} characters")
        pieces.append(piece)
    return "".join(pieces)


def reason(error: Exception, begun: Path) -> str:
    """File, line and fault of an error in a template; ``begun`` is named where the error does not tell the file."""
    if isinstance(error, UnusableError):
        return str(error)
    if isinstance(error, jinja2.TemplateSyntaxError):
        location, fault = f"{error.filename}, line {error.lineno}", error.message or "can't be read"
    else:
        location, fault = _location(error) or str(begun), _fault(error)
    return f"{location}: {fault}"[:_LONGEST_REASON]


def _fault(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "needs too much memory"
    if isinstance(error, jinja2.TemplateNotFound):
        return f"there is no template {error.name}"
    if isinstance(error, SyntaxError):  # in the code that Jinja2 makes; its line number is not one of the template
        return error.msg
    return str(error) or type(error).__name__


def _location(error: Exception) -> str:
    """File and line of the innermost template in a traceback, where Jinja2 puts the files of templates; "" for none."""
    location, step = "", error.__traceback__
    while step is not None:
        name = step.tb_frame.f_code.co_filename
        if os.path.isabs(name) and not name.endswith(".py"):
            location = f"{name}, line {step.tb_lineno}"
        step = step.tb_next
    return location
