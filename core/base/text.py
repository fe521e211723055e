"""How foreign text is shown in messages, and what an empty cell holds. Pure."""

NOTHING = "–"  # noqa: RUF001  the dash of an empty cell


def shown(text: str, most: int = 60) -> str:
    """Foreign text for a message: in quotes, with control characters as escapes, cut after ``most`` characters."""
    return repr(text if len(text) <= most else text[:most] + "…")


def visible(text: str) -> str:
    """Foreign text for a screen or log: characters that do not print (ESC, newline, bidi marks) become escapes."""
    return text if text.isprintable() else "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def printable_json(json: str) -> str:
    """The same document, with escapes for what does not print: a terminal may take CSI (U+009B) as ESC and [."""
    return "".join(char if char.isprintable() or char == "\n" else _escape(char) for char in json)


def _escape(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
