"""The settings file: where it is looked for, whose values count, and what each mistake of form says."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest

from mailquota.core.base.errors import SettingsError
from mailquota.core.base.units import Grace
from mailquota.core.settings import config as config_module
from mailquota.core.settings.config import DiscoveredSettings, load
from mailquota.core.settings.declared import Settings
from tests.core.settings_files import DOCUMENTED, FOUND, loaded


@pytest.fixture(autouse=True)
def no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of the machine that runs the tests must not count."""
    monkeypatch.setattr(config_module, "DEFAULT_PATH", tmp_path / "etc" / "mailquota.toml")


def test_defaults() -> None:
    """Without any file, every key has the documented default and says so."""
    config = load(None, {})
    assert config.settings == Settings()
    assert config.path is None
    assert set(config.origin.values()) == {"default"}
    assert config.settings.policy.overquota == "452 4.2.2 Mailbox is full and cannot receive any more emails"
    assert config.settings.accounts.refresh_seconds == 5
    assert config.settings.policy.grace_rule == Grace(percent=10)
    assert config.settings.policy.socket_mode_bits == 0o660
    assert config.settings.warnings.thresholds == (80, 95)
    assert config.settings.state.url.path == "/var/lib/mailquota/state.db"


def test_every_key_of_the_documentation(tmp_path: Path) -> None:
    """All keys are taken, none is missing, and the values can be used as what they mean."""
    config = loaded(tmp_path, DOCUMENTED)
    assert set(config.origin.values()) == {f"file {tmp_path / 'mailquota.toml'}"}
    accounts, policy, warnings = config.settings.accounts, config.settings.policy, config.settings.warnings
    assert accounts.url.hosts == (("a", 3306), ("b", 3307))
    assert accounts.write_url.user == "mailadmin"
    assert [str(address) for address in policy.listen_addresses] == list(policy.listen)
    assert policy.listen_addresses[2].host == "::1"
    assert str(policy.compare_address) == "inet:127.0.0.1:12340"
    assert policy.reserve_seconds == 30
    assert warnings.from_ == "postmaster@example.org"
    assert warnings.quiet_span == (time(22), time(7))
    assert warnings.remind_seconds == 7 * 86400
    assert warnings.language_of("john@Example.DE") == "de"
    assert warnings.language_of("john@example.org") == "en"
    assert warnings.language_of("Jean@example.de") == "fr"
    assert config.settings.metrics.address == ("127.0.0.1", 9100)
    assert config.remarks == ()


def test_first_of_option_variable_and_etc(tmp_path: Path) -> None:
    """``--config`` wins over MAILQUOTA_CONFIG, that over /etc; an empty variable is none."""
    files = {name: tmp_path / f"{name}.toml" for name in ("option", "variable")}
    files["etc"] = config_module.DEFAULT_PATH
    files["etc"].parent.mkdir()
    for name, file in files.items():
        file.write_text(f'[control]\ngroup = "{name}"\n')
    environ = {"MAILQUOTA_CONFIG": str(files["variable"])}
    assert load(files["option"], environ).settings.control.group == "option"
    assert load(None, environ).settings.control.group == "variable"
    assert load(None, {"MAILQUOTA_CONFIG": ""}).settings.control.group == "etc"


@pytest.mark.parametrize("by_option", [True, False], ids=["option", "variable"])
def test_a_named_file_must_be_there(tmp_path: Path, by_option: bool) -> None:
    """Only the file in /etc may be missing."""
    file = tmp_path / "gone.toml"
    with pytest.raises(SettingsError, match=r"gone\.toml: can't be read: No such file"):
        load(file if by_option else None, {} if by_option else {"MAILQUOTA_CONFIG": str(file)})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[policy]\nmode = \n", "line 2: "),
        (b"[policy]\nmode = 'enforce'\nmode = 'shadow'\n", "line 3: "),
        (b'[policy]\nsuccess = "DUNNO \xff"\n', "line 2: found a byte that is not UTF-8"),
        (b'[policy]\nmode = "', "last line: "),
        (b"x = " + b"[" * 100_000, "expected TOML"),
    ],
    ids=["no value", "twice", "latin-1", "cut off", "endless brackets"],
)
def test_no_toml(tmp_path: Path, content: bytes, message: str) -> None:
    """What is no TOML is named by file and line."""
    file = tmp_path / "mailquota.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load(file, {})
    assert str(caught.value).startswith(f"{file}: ")
    assert message in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """What can't be read at all is named, too."""
    with pytest.raises(SettingsError, match="can't be read: Is a directory"):
        load(tmp_path, {})


MISTAKES = {
    '[polcy]\ngrace = "1%"': "unknown section [polcy]; did you mean policy?",
    '[policy]\ngrase = "1%"': "unknown key policy.grase; did you mean grace?",
    '[policy]\nkeep_history = "1d"': "unknown key policy.keep_history; it belongs into [state]",
    'refresh = "5s"': "unknown key refresh outside a section; it belongs into [accounts]",
    "policy = 3": "policy: found the number 3, expected a table",
    '[policy]\nmode = "enforced"': "policy.mode: found 'enforced', expected enforce or shadow (did you mean enforce?)",
    '[policy]\naliases = "yes"': 'policy.aliases: found the text "yes", expected true or false',
    "[accounts]\nrefresh = 5": 'accounts.refresh: found the number 5, expected a text in quotes, like "5s"',
    '[policy]\nlisten = "unix:/run/x"': 'policy.listen: found the text "unix:/run/x", expected a list in [ ]',
    "[policy]\nexempt = [true]": "policy.exempt[0]: found true, expected a text in quotes",
    "[policy]\nsocket_mode = 0o660": "policy.socket_mode: found the number 432, expected a text in quotes",
    "[warnings]\nthresholds = [80.5]": "warnings.thresholds[0]: found the number 80.5, expected a whole number",
    '[warnings]\nmax_per_minute = "60"': 'warnings.max_per_minute: found the text "60", expected a whole number',
    '[warnings.languages]\n"a.de" = 1': "warnings.languages[...]: found a whole number, expected a text",
    "[warnings]\nfrom = 2026-01-01": "warnings.from: found date, expected a text in quotes",
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.items(), ids=repr)
def test_unknown_names_and_wrong_types(tmp_path: Path, text: str, message: str) -> None:
    """The error names file and key, what was found and what is expected."""
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'mailquota.toml'}: {message}")


def test_what_is_found_fills_only_missing_sections(tmp_path: Path) -> None:
    """A section of the file stands alone; its missing keys have their defaults. Each value knows its origin."""
    config = loaded(tmp_path, '[policy]\nmode = "shadow"\n', FOUND)
    assert config.settings.policy.grace == "10%"
    assert config.origin["policy.grace"] == "default"
    assert config.settings.accounts.database == "mysql://mailserver@127.0.0.1/mailserver"
    assert config.origin["accounts.database"] == "found: on this server"
    assert config.settings.accounts.write_url == config.settings.accounts.url
    config = loaded(tmp_path, "", FOUND)
    assert config.settings.policy.grace_rule == Grace(size=10 * 1024**2)
    assert config.origin["policy.grace"] == "found: doveconf quota grace"
    assert config.found.trash_names == ("Trash",)


def test_the_server_is_asked_only_if_needed(tmp_path: Path) -> None:
    """With all three sections in the file nobody starts postconf; else Dovecot is found by mailstore.doveadm."""
    asked = []

    def find(doveadm: str) -> DiscoveredSettings:
        asked.append(doveadm)
        return FOUND

    file = tmp_path / "mailquota.toml"
    file.write_text('[accounts]\n[mailstore]\ndoveadm = "doveadm -c /etc/x"\n')
    assert load(file, {}, find).settings.policy.grace == "10M"
    file.write_text("[accounts]\n[mailstore]\n[policy]\n")
    load(file, {}, find)
    assert asked == ["doveadm -c /etc/x"]
