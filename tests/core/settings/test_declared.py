"""Every value of the settings is checked when it is read: contents that could not be used later are errors now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mailquota.core.base.endpoints import parse_database_url
from mailquota.core.base.errors import SettingsError, UsageError
from mailquota.core.settings.passwords import database_target
from mailquota.core.settings.text import dump, listing
from tests.core.settings_files import CUSTOM, loaded

BAD_VALUES = {
    "accounts.database": ["", "postgres://u@h/d", "mysql://h/d", "mysql://u@h", "mysql://u@h/d?x=1", "mysql://u@h:0/d"],
    "accounts.write_database": ["mailadmin", "sqlite:///relative.db", "sqlite://", "mysql://u@a,,b/d"],
    "accounts.password_file": ["password", "~/password", "/a\nb"],
    "accounts.refresh": ["", "0s", "1ms", "soon", "-5s"],
    "accounts.set_query": [
        "UPDATE t SET q = %(limit)s",
        "UPDATE t SET q = %(limit)s WHERE a = %(address)s AND b LIKE '%x'",
    ],
    "mailstore.path": [
        "{domain}/{user}",
        "/var/vmail/{domain}",
        "/v/{user}/{home}",
        "/v/{user!r}",
        "/v/{user",
        "/v/../{user}",
    ],
    "mailstore.doveadm": ["", "doveadm -c 'x", "http://", "http://h:x", "http://doveadm:secret@h:8080"],
    "policy.socket_user": ["post fix", "-root"],
    "policy.socket_mode": ["660x", "0o660", "888", "6"],
    "policy.grace": ["", "10%%", "-1M", "much"],
    "policy.recipient_delimiter": ["@", " ", "+ "],
    "policy.reserve": ["", "30x"],
    "policy.compare_with": ["127.0.0.1:12340", "inet:127.0.0.1"],
    "warnings.from": ["postmaster", "", "a@b\nBcc: c@d", "-f@example.org", "A <a@example.org>", "a@b@c"],
    "warnings.remind_every": ["weekly"],
    "warnings.quiet_hours": ["22-7", "22:00-22:00", "25:00-07:00"],
    "warnings.language": ["", "english", "../de"],
    "warnings.templates": ["templates"],
    "state.database": ["postgres://u@h/d", "sqlite:///state.db", "/var/lib/state.db"],
    "state.keep_history": ["0d", "always"],
    "state.recordings": ["", "much", "-1"],
    "state.keep_recordings": ["0d", "always"],
    "state.recordings_folder": ["recordings"],
    "control.socket": ["control.sock", "/run/" + "x" * 103, "/run/dir/"],
    "control.group": ["a b"],
    "metrics.listen": ["9100", ":9100", "localhost", "::1:9100", "h:70000"],
}
BAD_LISTS = {
    "policy.listen": [
        "[]",
        '["unix:run/x"]',
        '["unix:/a/' + "x" * 105 + '"]',
        '["inet:h"]',
        '["inet:h:0"]',
        '["inet:::1:25"]',
        '["/run/x"]',
        '["inet:h:25", "inet:h:25"]',
    ],
    "policy.exempt": ['[""]', '["a b@c"]'],
    "mailstore.trash": ['[""]', '["a\\nb"]'],
    "warnings.thresholds": ["[0]", "[1001]", '["80%"]', '["0"]', '["soon"]'],
    "warnings.copy_to": ['["admin"]'],
    "warnings.max_per_minute": ["0", "-1"],
    "warnings.languages": ['{"a b" = "de"}', '{"@a.de" = "de"}', '{"john@" = "de"}', '{"example.de" = "deutsch"}'],
}
BAD = [
    *((key, '"' + value.replace("\n", "\\n") + '"') for key, values in BAD_VALUES.items() for value in values),
    *((key, value) for key, values in BAD_LISTS.items() for value in values),
]


@pytest.mark.parametrize(("key", "value"), BAD, ids=lambda text: text[:40])
def test_every_value_is_checked_at_once(tmp_path: Path, key: str, value: str) -> None:
    """A value that could not be used later is an error now, which names file and key."""
    section, name = key.split(".")
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, f"[{section}]\n{name} = {value}\n")
    assert str(caught.value).startswith(f"{tmp_path / 'mailquota.toml'}: {key}: ")
    assert "secret" not in str(caught.value)


ANSWERS = ["overquota", "toolarge", "success", "nouser", "trouble"]
BAD_ANSWERS = [
    "OK",
    "ok",
    "OK full",
    "RELAY",
    "PERMIT",
    "permit_mynetworks",
    "452",
    "12",
    " 452 4.2.2 x",
    "452 4.2.2 x ",
    "452 4.2.2 a\\nb",
    "452 4.2.2 a\\u0000",
    "DUNNO\\u001b[0m",
    "250 fine",
    "999 x",
    "4522 x",
    "452\\tx",
    "DISCARD",
    "HOLD",
    "FILTER smtp:x",
    "REDIRECT a@b",
    "PREPEND X: y",
    "Mailbox is full",
    " ",
]
GOOD_ANSWERS = [
    "DUNNO",
    "dunno",
    "DUNNO it fits",
    "452 4.2.2 Mailbox is full: https://example.org/full",
    "552 5.2.2 Voll für heute",
    "REJECT",
    "REJECT Unknown user",
    "DEFER_IF_PERMIT 4.2.2 later",
    "DEFER_IF_REJECT",
    "DEFER",
    "WARN full",
]


@pytest.mark.parametrize("key", ANSWERS)
@pytest.mark.parametrize("text", BAD_ANSWERS, ids=repr)
def test_answers_that_permit_or_lose_mail(tmp_path: Path, key: str, text: str) -> None:
    """Never OK by another name, never mail put aside, never what Postfix does not know."""
    with pytest.raises(SettingsError, match=rf"policy\.{key}: .*accepted: DUNNO"):
        loaded(tmp_path, f'[policy]\n{key} = "{text}"\n')


@pytest.mark.parametrize("text", ["OK", "452", "Relay"])
def test_why_it_is_refused(tmp_path: Path, text: str) -> None:
    """What looks like an answer and permits is told as that."""
    with pytest.raises(SettingsError, match="permits: Postfix would skip every later restriction"):
        loaded(tmp_path, f'[policy]\noverquota = "{text}"\n')


@pytest.mark.parametrize("text", GOOD_ANSWERS, ids=repr)
def test_sane_answers(tmp_path: Path, text: str) -> None:
    """A refusal, a deferral, or no opinion."""
    policy = loaded(tmp_path, "[policy]\n" + "".join(f'{key} = "{text}"\n' for key in ANSWERS)).settings.policy
    assert {policy.overquota, policy.toolarge, policy.success, policy.nouser, policy.trouble} == {text}


@pytest.mark.parametrize("key", ANSWERS)
def test_only_toolarge_may_be_empty(tmp_path: Path, key: str) -> None:
    """An empty action permits; an empty toolarge is the overquota text."""
    text = f'[policy]\n{key} = ""\n'
    if key == "toolarge":
        assert loaded(tmp_path, text).settings.policy.toolarge == ""
    else:
        with pytest.raises(SettingsError, match="permit"):
            loaded(tmp_path, text)


def test_custom_schema_needs_its_queries(tmp_path: Path) -> None:
    """users_query and set_query; the others may be missing."""
    assert loaded(tmp_path, CUSTOM).settings.accounts.schema == "custom"
    for key in ("users_query", "set_query"):
        text = "\n".join(line for line in CUSTOM.splitlines() if not line.startswith(key))
        with pytest.raises(SettingsError, match=rf"accounts\.{key}: found nothing, expected an SQL text"):
            loaded(tmp_path, text)


def test_what_looks_like_a_mistake_is_remarked(tmp_path: Path) -> None:
    """Allowed, and told: queries that nobody uses, an answer that refuses everything."""
    text = CUSTOM.replace('"custom"', '"ispmail"') + '[policy]\nsuccess = "450 4.0.0 no"\n'
    remarks = "\n".join(loaded(tmp_path, text).remarks)
    assert "users_query is not used" in remarks
    assert "policy.success refuses" in remarks


def test_a_password_in_a_url_is_never_shown(tmp_path: Path) -> None:
    """Not in an error, not in a listing, not in what is printed of the settings' views."""
    for url in ("mysql://u:hush@/d", "mysql://u:hu@sh@h:99999/d", "mysql://u:hush@h", "postgres://u:hush@h/d"):
        with pytest.raises(SettingsError) as caught:
            loaded(tmp_path, f'[accounts]\ndatabase = "{url}"\n')
        assert "hush" not in str(caught.value)
        assert "hu@" not in str(caught.value)
        assert "sh@" not in str(caught.value)
    config = loaded(tmp_path, '[accounts]\ndatabase = "mysql://u:hush@h/d"\n')
    assert config.settings.accounts.url.password == "hush"
    shown = [repr(config.settings.accounts.url), str(config.settings.accounts.url), str(listing(config)), dump(config)]
    assert "hush" not in "".join(shown)


URLS = {
    "mysql://u@h/d": ("u", None, (("h", 3306),), "d"),
    "mysql://u%40x:p%2Fw%3A%25@a:1,b/my%20db": ("u@x", "p/w:%", (("a", 1), ("b", 3306)), "my db"),
    "mysql://u:p@ss/w:rd?@h/d": ("u", "p@ss/w:rd?", (("h", 3306),), "d"),
    "mysql://u:@[::1]:3307,[fe80::1]/d": ("u", "", (("::1", 3307), ("fe80::1", 3306)), "d"),
    "mysql://u@%2Frun%2Fmysqld%2Fmysqld.sock/d": ("u", None, (("/run/mysqld/mysqld.sock", 0),), "d"),
}


@pytest.mark.parametrize(("text", "parts"), URLS.items(), ids=repr)
def test_database_urls(tmp_path: Path, text: str, parts: tuple[object, ...]) -> None:
    """Users, passwords and names are percent-decoded; hosts keep their order; the URL can be written back."""
    url = loaded(tmp_path, f'[accounts]\ndatabase = "{text}"\n').settings.accounts.url
    assert (url.user, url.password, url.hosts, url.database) == parts
    again = loaded(tmp_path, f'[accounts]\ndatabase = "{url.without_password()}"\n').settings.accounts.url
    assert again == replace(url, password=None)


def test_ssl_ca_of_a_database_url(tmp_path: Path) -> None:
    """An absolute path, and nothing else after the question mark."""
    url = parse_database_url("mysql://u:p@h/d?ssl_ca=/etc/my%20ca.pem")
    assert (url.password, url.database, url.ssl_ca) == ("p", "d", "/etc/my ca.pem")
    assert url.without_password() == "mysql://u@h:3306/d?ssl_ca=/etc/my%20ca.pem"
    config = loaded(tmp_path, '[accounts]\ndatabase = "mysql://u@h/d?ssl_ca=/ca.pem"\n')
    assert database_target(config, config.settings.accounts.url, "database").ssl_ca == "/ca.pem"
    for wrong in ("?", "?ssl_ca=", "?ssl_ca=ca.pem", "?ssl_mode=off", "?ssl_ca=/a&ssl_mode=off"):
        with pytest.raises(UsageError, match="ssl_ca=/FILE"):
            parse_database_url(f"mysql://u@h/d{wrong}")


def test_sqlite_paths_are_percent_decoded(tmp_path: Path) -> None:
    """A path may hold a blank or a percent sign."""
    url = loaded(tmp_path, '[accounts]\ndatabase = "sqlite:////srv/my%20mail/a%25.db"\n').settings.accounts.url
    assert url.path == "/srv/my mail/a%.db"
    assert str(url) == "sqlite:////srv/my%20mail/a%25.db"
