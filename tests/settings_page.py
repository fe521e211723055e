"""docs/settings.md, made from the declarations: ``python -m tests.settings_page > docs/settings.md``."""

from __future__ import annotations

from mailquota.core.settings.config import keys, sections, value_of
from mailquota.core.settings.declared import Settings

INTRO = """# Settings

`/etc/mailquota/mailquota.toml`, or the file named by `--config` or `MAILQUOTA_CONFIG`. Sections that the file lacks are
filled from what Postfix's and Dovecot's own settings say (`mailquota config` shows where each value came from), then
from the defaults below. An unknown key, a wrong type or a value that can't work is an error that names file and key.
`mailquota config --write FILE` writes a commented file.

This page is made from the program's own declarations.
"""


def page() -> str:
    """The whole page."""
    settings = Settings()
    parts = [INTRO]
    for name, section in sections().items():
        parts.append(
            f"\n## [{name}]: {(section.__doc__ or '').strip()}\n\n| key | default | meaning |\n|---|---|---|\n"
        )
        for key, meta in keys(section).items():
            default = value_of(settings, name, key)
            shown = _toml(default)
            parts.append(f"| `{key}` | {shown} | {(meta.description or '').replace('|', chr(92) + '|')} |\n")
    return "".join(parts)


def _toml(value: object) -> str:
    if value in ("", (), {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return "`[" + ", ".join(_toml(item).strip("`") for item in value) + "]`"
    if isinstance(value, str):
        quote = "'" if "\\" in value else '"'
        return f"`{quote}{value}{quote}`"
    return f"`{value}`"


if __name__ == "__main__":
    print(page(), end="")
