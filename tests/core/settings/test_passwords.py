"""Where passwords are read, and what a file of them must be like."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailquota.core.base.errors import SettingsError
from mailquota.core.settings.config import DEFAULT_ORIGIN, Config
from mailquota.core.settings.declared import Accounts, Settings
from mailquota.core.settings.passwords import password_files, read_password
from tests.core.settings_files import loaded
from tests.mailserver.fixture import temporary_folder


def test_password_of_a_file(tmp_path: Path) -> None:
    """Without its line end; a file that everybody may read is told."""
    file = tmp_path / "password"
    file.write_text(" s3cret \r\n")
    file.chmod(0o640)
    config = loaded(tmp_path, f'[accounts]\npassword_file = "{file}"\n')
    password = read_password(config, "database", {})
    assert (password.text, password.origin, password.warning) == (" s3cret ", str(file), "")
    assert "s3cret" not in repr(password)
    assert read_password(config, "write_database", {}) == password
    file.chmod(0o644)
    assert "readable by everybody" in read_password(config, "database", {}).warning


def test_password_of_a_postfix_map(tmp_path: Path) -> None:
    """What discovery found is read where it lies."""
    file = tmp_path / "mysql-virtual-mailbox-maps.cf"
    file.write_text("# the database\nuser = mailserver\npassword = Change Me=1 \nhosts = 127.0.0.1\n")
    config = loaded(tmp_path, f'[accounts]\npassword_file = "{file}"\n')
    assert read_password(config, "database", {}).text == "Change Me=1"


def test_password_of_the_url_wins(tmp_path: Path) -> None:
    """It is the nearest one; the writing account has its own."""
    file = tmp_path / "write"
    file.write_text("other\n")
    config = loaded(
        tmp_path,
        '[accounts]\ndatabase = "mysql://u:p%40w@h/d"\nwrite_database = "mysql://w@h/d"\n'
        f'write_password_file = "{file}"\n',
    )
    assert read_password(config, "database", {}).text == "p@w"
    assert read_password(config, "write_database", {}).text == "other"


def test_password_of_systemds_credentials(tmp_path: Path) -> None:
    """By name in the setting, or where no file is set."""
    for name, text in (("password", "one"), ("write_password", "two"), ("doveadm_password", "three")):
        (tmp_path / name).write_text(text)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    config = loaded(tmp_path, '[accounts]\npassword_file = ""\nwrite_database = "mysql://w@h/d"\n')
    assert read_password(config, "database", environ).text == "one"
    assert read_password(config, "write_database", environ).text == "two"
    assert read_password(config, "doveadm", environ).text == "three"
    assert read_password(config, "database", {}).text == ""
    config = loaded(tmp_path, '[accounts]\npassword_file = "$CREDENTIALS_DIRECTORY/write_password"\n')
    assert read_password(config, "database", environ).text == "two"
    with pytest.raises(SettingsError, match="CREDENTIALS_DIRECTORY is not set"):
        read_password(config, "database", {})


def test_only_the_default_file_may_be_missing(tmp_path: Path) -> None:
    """Then the credentials count; a file that is there counts more than they."""
    file = tmp_path / "etc-password"
    settings = Settings(accounts=Accounts(password_file=str(file)))
    config = Config(settings, {"accounts.password_file": DEFAULT_ORIGIN})
    (tmp_path / "password").write_text("credential")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert read_password(config, "database", environ).text == "credential"
    assert "none" in read_password(config, "database", {}).origin
    file.write_text("file")
    assert read_password(config, "database", environ).text == "file"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "can't be read: No such file"),
        (b"", "found no password"),
        (b"\n", "found no password"),
        (b"\xff\xfe", "not UTF-8"),
        (b"two\nlines\n", "expected one line, a Postfix map or main.cf, or Dovecot's settings"),
        (b"x" * 70_000, "found no password"),
    ],
    ids=["missing", "empty", "newline", "latin-1", "lines", "huge"],
)
def test_password_files_that_will_not_do(tmp_path: Path, content: bytes | None, message: str) -> None:
    """The error names key and file."""
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    config = loaded(tmp_path, f'[accounts]\npassword_file = "{file}"\n')
    with pytest.raises(SettingsError, match=rf"accounts\.password_file: {file}.*{message}"):
        read_password(config, "database", {})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_the_credentials_of_another_users_service_are_none_of_ours() -> None:
    """Its environment may reach us, as by sudo or su; its folder is closed to us."""
    with temporary_folder() as folder:
        (folder / "credentials").mkdir(mode=0o700)
        (folder / "credentials" / "password").write_text("of the credential")
        (folder / "password").write_text("of the file\n")
        config = loaded(folder, f'[accounts]\npassword_file = "{folder}/password"\n')
        os.seteuid(65534)
        try:
            found = read_password(config, "database", {"CREDENTIALS_DIRECTORY": f"{folder}/credentials"})
        finally:
            os.seteuid(0)
        assert found.text == "of the file"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("mode", [0o600, 0o604])
def test_a_file_of_roots_is_read_by_systemd_for_us(mode: int) -> None:
    """The settings name one file, for root and for the service: who may read it does, else the credential counts."""
    with temporary_folder() as folder:
        (folder / "password").write_text("of the file\n")
        (folder / "password").chmod(mode)
        (folder / "credentials").mkdir()
        (folder / "credentials" / "password").write_text("user = x\npassword = of the credential\n")
        config = loaded(folder, f'[accounts]\npassword_file = "{folder}/password"\n')
        environ = {"CREDENTIALS_DIRECTORY": f"{folder}/credentials"}
        os.setegid(65534)
        os.seteuid(65534)
        try:
            found = read_password(config, "database", environ)
            closed = mode == 0o600
            assert found.text == ("of the credential" if closed else "of the file")
            if closed:
                with pytest.raises(SettingsError, match="Permission denied") as caught:
                    read_password(config, "database", {})
                lines = caught.value.advice
                assert "install -D -o nobody -m 0400 /dev/null /etc/mailquota/password" in lines
                assert lines[-2:] == ("[accounts]", 'password_file = "/etc/mailquota/password"')
        finally:
            os.seteuid(0)
            os.setegid(0)


def test_password_files_by_the_names_of_their_credentials(tmp_path: Path) -> None:
    """A password in the URL needs none; neither does a file that systemd provides already."""
    text = """[accounts]
database = "mysql://a@127.0.0.1/m"
password_file = "/etc/map.cf"
write_database = "mysql://b:secret@127.0.0.1/m"
write_password_file = "/etc/w"
[mailstore]
doveadm_password_file = "/etc/d"
"""
    assert password_files(loaded(tmp_path, text)) == {"password": "/etc/map.cf", "doveadm_password": "/etc/d"}
    credential = '[accounts]\npassword_file = "$CREDENTIALS_DIRECTORY/password"\n'
    assert password_files(loaded(tmp_path, credential)) == {}


def test_a_password_in_main_cf_is_that_of_the_map_with_this_login(tmp_path: Path) -> None:
    """Which everybody may read, as main.cf is: closing it would do harm."""
    main_cf = tmp_path / "main.cf"
    main_cf.write_text("a_user = u\na_dbname = d\na_password = one\nb_user = w\nb_dbname = d\nb_password = $$two\n")
    main_cf.chmod(0o644)
    text = f"""[accounts]
database = "mysql://u@h/d"
password_file = "{main_cf}"
write_database = "mysql://w@h/d"
write_password_file = "{main_cf}"
"""
    config = loaded(tmp_path, text)
    found = read_password(config, "database", {})
    assert (found.text, read_password(config, "write_database", {}).text) == ("one", "$two")
    assert found.warning == f"{main_cf} is readable by everybody; move its password into a map of its own"
    with pytest.raises(SettingsError, match="found lines without a password"):
        read_password(loaded(tmp_path, text.replace("u@h/d", "x@h/d")), "database", {})
