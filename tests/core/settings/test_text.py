"""The settings as text: the file of ``config --write`` and the listing of ``config``."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailquota.core.settings.config import keys, load, sections
from mailquota.core.settings.text import dump, listing
from tests.core.settings_files import CUSTOM, DOCUMENTED, FOUND, loaded


@pytest.mark.parametrize("text", ["", DOCUMENTED, CUSTOM], ids=["found", "all keys", "custom"])
def test_the_written_file_loads_to_the_same(tmp_path: Path, text: str) -> None:
    """``config --write`` loses nothing, explains each key, and puts what was found into the file."""
    config = loaded(tmp_path, text, FOUND)
    written = dump(config)
    assert loaded(tmp_path, written).settings == config.settings
    for name, section in sections().items():
        for key, meta in keys(section).items():
            assert f"\n{key} = " in written or f"\n[{name}.{key}]" in written
            assert f"# {meta.description}" in written


def test_the_written_file_names_where_a_found_password_is(tmp_path: Path) -> None:
    """The password itself is not in it, the file that has it is."""
    written = dump(loaded(tmp_path, "", FOUND))
    assert 'password_file = "/etc/postfix/mysql-virtual-mailbox-maps.cf"' in written
    assert "the password is read from that file and not written here" in written


def test_a_url_password_is_written_only_when_asked(tmp_path: Path) -> None:
    """Masked, the file says where it was; unmasked, it loads to the same."""
    config = loaded(tmp_path, '[accounts]\ndatabase = "mysql://u:hush@h/d"\n')
    assert f"its password is in the URL of {tmp_path / 'mailquota.toml'}" in dump(config)
    assert loaded(tmp_path, dump(config, mask=False)).settings == config.settings


def test_values_survive_writing_whatever_they_hold(tmp_path: Path) -> None:
    """Quotes, backslashes, newlines, DEL."""
    text = CUSTOM.replace("SELECT a, l, 1", 'SELECT \\"a\\\\\\", \\n\\t l, \\u007f\\u0001')
    config = loaded(tmp_path, text)
    assert config.settings.accounts.users_query == 'SELECT "a\\", \n\t l, \x7f\x01 FROM u'
    assert loaded(tmp_path, dump(config)).settings == config.settings


def test_a_file_name_cannot_end_a_comment(tmp_path: Path) -> None:
    """A newline in the name of the loaded file is no newline in the written one."""
    folder = tmp_path / "a\ngroup = 'evil'\nb"
    folder.mkdir()
    file = folder / "mailquota.toml"
    file.write_text('[accounts]\ndatabase = "mysql://u:hush@h/d"\n')
    assert loaded(tmp_path, dump(load(file, {}))).settings.accounts.database == "mysql://u@h:3306/d"


def test_listing(tmp_path: Path) -> None:
    """Each key once, with its value, and where it came from."""
    rows = {key: (value, origin) for key, value, origin in listing(loaded(tmp_path, "[policy]\naliases = false\n"))}
    assert rows["policy.aliases"] == (False, f"file {tmp_path / 'mailquota.toml'}")
    assert rows["warnings.thresholds"] == ((80, 95), "default")
    assert rows["warnings.from"] == ("postmaster@example.org", "default")
    assert len(rows) == sum(len(keys(section)) for section in sections().values())
