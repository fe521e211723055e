"""Settings files for tests."""

from __future__ import annotations

from pathlib import Path

from mailquota.core.settings.config import Config, DiscoveredSettings, load

FOUND = DiscoveredSettings(
    values={
        "accounts": {
            "database": "mysql://mailserver@127.0.0.1/mailserver",
            "password_file": "/etc/postfix/mysql-virtual-mailbox-maps.cf",
        },
        "policy": {"grace": "10M", "listen": ["unix:/srv/spool/private/mailquota"]},
    },
    origins={"policy.grace": "doveconf quota grace"},
    trash_names=("Trash",),
)


def loaded(tmp_path: Path, text: str, found: DiscoveredSettings = DiscoveredSettings()) -> Config:  # noqa: B008  frozen
    """Write a settings file and load it."""
    file = tmp_path / "mailquota.toml"
    file.write_text(text)
    return load(file, {}, found)


DOCUMENTED = r"""
[accounts]                       # who has a mailbox, and how much may it hold
database = "mysql://mailserver@a:3306,b:3307/mailserver"
password_file = "/etc/mailquota/password"
write_password_file = ""
schema = "ispmail"
users_query = ""
aliases_query = ""
set_query = ""
change_query = ""
maps = ["hash:/etc/postfix/virtual"]
refresh = "5s"
write_database = "mysql://mailadmin@127.0.0.1/mailserver"
[mailstore]
path = "/var/vmail/{domain}/{user}/Maildir"
driver = "auto"
doveadm = "chroot /srv/mail doveadm -c '/etc/dovecot/my dovecot.conf'"
doveadm_password_file = ""
helper = "/run/mailquota-helper/helper.sock"
engine_user = "mailquota"
verify = "2d"
trash = ["\\Trash", "Trash", "Deleted Items", "Deleted Messages", "Papierkorb", "Corbeille"]
[policy]
listen = ["unix:/var/spool/postfix/private/mailquota", "inet:127.0.0.1:12345", "inet:[::1]:12345"]
socket_user = "postfix"
socket_mode = "0660"
mode = "enforce"
overquota = "452 4.2.2 Mailbox is full and cannot receive any more emails"
toolarge = ""
success = "DUNNO"
nouser = "DUNNO"
trouble = "DUNNO"
unreadable = ""
grace = "10%"
recipient_delimiter = "+"
aliases = true
exempt = ["postmaster@*"]
reserve = "30s"
compare_with = "inet:127.0.0.1:12340"
[warnings]
thresholds = [80, "50M"]
from = "postmaster@example.org"
delivery = "auto"
remind_every = "7d"
below = true
copy_to = ["admin@example.org"]
max_per_minute = 60
quiet_hours = "22:00-07:00"
language = "en"
templates = "/etc/mailquota/templates"
[warnings.languages]
"example.de" = "de"
"jean@Example.de" = "fr"
[state]
database = "sqlite:////var/lib/mailquota/state.db"
keep_history = "400d"
recordings = "1G"
keep_recordings = "30d"
recordings_folder = "/srv/recordings"
[control]
socket = "/run/mailquota/control.sock"
group = "mailquota"
read_only_group = ""
[metrics]
listen = "127.0.0.1:9100"

[console]
theme = "contrast"
ascii = true
mouse = false
"""

CUSTOM = """[accounts]
schema = "custom"
users_query = "SELECT a, l, 1 FROM u"
set_query = "UPDATE u SET l = %(limit)s WHERE a = %(address)s"
"""
