"""What can't be found is asked for, with lines to copy; it is never guessed."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from mailquota.core.settings import config as config_module
from mailquota.core.settings.config import Config, DiscoveredSettings, load
from mailquota.core.settings.missing import MissingSettingError, missing, require

FOUND = DiscoveredSettings(
    {"policy": {"grace": "5%"}},
    {"policy.grace": "doveconf quota_grace"},
    faults=(
        "accounts.database: /etc/postfix/a.cf can't be read: Permission denied (run mailquota as root)",
        "accounts.database: doveconf is not installed",
        "mailstore.path: doveconf is not installed",
        "policy.listen: postconf is not installed",
    ),
)


def loaded(tmp_path: Path, text: str) -> Config:
    """With the settings of a file on a server where little can be found."""
    file = tmp_path / "mailquota.toml"
    file.write_text(text)
    return load(file, {}, FOUND)


def test_the_error_names_what_is_missing_and_why(tmp_path: Path) -> None:
    """Each reason once, and lines that are right as they are."""
    config = loaded(tmp_path, "")
    with pytest.raises(MissingSettingError) as caught:
        require(config)
    text = str(caught.value)
    assert "accounts.database: /etc/postfix/a.cf can't be read: Permission denied (run mailquota as root)" in text
    assert "accounts.database and mailstore.path: doveconf is not installed" in text
    assert "policy" not in text
    assert str(tmp_path / "mailquota.toml") in caught.value.advice[0]
    example = "\n".join(caught.value.advice[1:])
    assert tomllib.loads(example)["accounts"]["schema"] == "ispmail"
    assert missing(loaded(tmp_path, example)) == []


def test_a_section_in_the_file_is_complete(tmp_path: Path) -> None:
    """Its defaults count; what was not found there matters no more, and is no remark."""
    config = loaded(tmp_path, "[accounts]\n[policy]\n")
    assert config.remarks == ("mailstore.path: doveconf is not installed",)
    require(config, "accounts")
    with pytest.raises(MissingSettingError, match=r"mailstore\.path"):
        require(config, "mailstore")


def test_nothing_is_missing_where_nothing_was_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults are defaults."""
    monkeypatch.setattr(config_module, "DEFAULT_PATH", tmp_path / "mailquota.toml")
    require(load(None, {}))
