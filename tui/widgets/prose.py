"""Text that wraps: explanations, questions, errors. It is never markup."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from .painted import LOOKS


class Prose(Static):
    """Hidden while its text is empty."""

    def __init__(self, text: str = "", look: str = "quiet", *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(Content(text), id=id, classes=look, markup=False)
        self.display = bool(text)

    def say(self, text: str, look: str = "quiet") -> None:
        """Show this text instead."""
        self.remove_class(*LOOKS)
        self.add_class(look)
        self.update(Content(text))
        self.display = bool(text)
