"""Regular expressions of filters. Pure.

They are RE2's: the time for a text is in proportion to its length, whatever was written. Python's own may take hours.
"""

from __future__ import annotations

from .errors import UsageError
from .text import shown

_MEMORY = 8 * 1024 * 1024  # bytes that an expression may take


class Pattern:
    """A compiled expression; capitals do not matter. Raises UsageError for one that can't be read, or is too large."""

    def __init__(self, text: str) -> None:
        try:
            import re2  # only now: nearly no command has an expression
        except ImportError as error:
            raise UsageError("for regular expressions the Python package google-re2 has to be installed") from error
        options = re2.Options()
        options.case_sensitive, options.log_errors, options.max_mem = False, False, _MEMORY
        try:
            self._search = re2.compile(text.encode(), options).search
        except re2.error as error:
            fault = b"".join(error.args).decode("utf-8", "replace")
            raise UsageError(f"the regular expression {shown(text)} can't be used: {shown(fault)}") from error
        except UnicodeEncodeError as error:
            raise UsageError(f"the regular expression {shown(text)} has a character that no text has") from error

    def found_in(self, text: str) -> bool:
        """Whether it matches somewhere in the text."""
        return self._search(text.encode("utf-8", "replace")) is not None
