"""Small habits of every text that people read: how foreign text is quoted, and what an empty cell holds. Pure."""

NOTHING = "–"  # noqa: RUF001  the dash of an empty cell


def shown(text: str, most: int = 60) -> str:
    """Text from outside for a message: quoted, control characters visible, never endless."""
    return repr(text if len(text) <= most else text[:most] + "…")


def visible(text: str) -> str:
    """Text from outside on a screen or in a log: what does not print (escapes, newlines, bidi marks) as its code."""
    return text if text.isprintable() else "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
