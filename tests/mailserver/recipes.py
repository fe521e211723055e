"""What the tutorials edit on a fresh Debian: in Dovecot's and Postfix's own files, at their places.

A recipe is a way of editing. What the package says is changed where the tutorial changes it, so a package that says
something else makes a test fail at once, not later and for no visible reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from tests.mailserver.mariadb import DATABASE_PASSWORD
from tests.mailserver.namespace import Namespace
from tests.mailserver.process import ServerFailedError

Recipe = Literal["bullseye", "bookworm", "trixie", "postfixadmin"]

TEMPLATES = Path(__file__).parent / "templates"
CERTIFICATE = "/etc/letsencrypt/live/mail.example.org"
_LOGIN = f"user = {{user}}\npassword = {DATABASE_PASSWORD}\nhosts = {{host}}\ndbname = {{database}}\n"
# Each edition puts a word of its own before these; what Postfix calls the kind of map stays mysql.
_ISPMAIL_MAPS = {
    "virtual-mailbox-domains": "SELECT 1 FROM virtual_domains WHERE name='%s'",
    "virtual-mailbox-maps": "SELECT 1 FROM virtual_users WHERE email='%s'",
    "virtual-alias-maps": "SELECT destination FROM virtual_aliases WHERE source='%s'",
    "email2email": "SELECT email FROM virtual_users WHERE email='%s'",
}
_POSTFIXADMIN_MAPS = {
    "sql/mysql_virtual_domains_maps": "SELECT domain FROM domain WHERE domain='%s' AND active = '1'",
    "sql/mysql_virtual_mailbox_maps": "SELECT maildir FROM mailbox WHERE username='%s' AND active = '1'",
    "sql/mysql_virtual_alias_maps": "SELECT goto FROM alias WHERE address='%s' AND active = '1'",
}
_ISPMAIL_POSTFIX = [
    "virtual_mailbox_domains=mysql:{maps}-virtual-mailbox-domains.cf",
    "virtual_mailbox_maps=mysql:{maps}-virtual-mailbox-maps.cf",
    "virtual_alias_maps=mysql:{maps}-virtual-alias-maps.cf,mysql:{maps}-email2email.cf",
]
_POSTFIXADMIN_POSTFIX = [
    "virtual_mailbox_domains=proxy:mysql:/etc/postfix/sql/mysql_virtual_domains_maps.cf",
    "virtual_mailbox_maps=proxy:mysql:/etc/postfix/sql/mysql_virtual_mailbox_maps.cf",
    "virtual_alias_maps=proxy:mysql:/etc/postfix/sql/mysql_virtual_alias_maps.cf",
    "virtual_mailbox_base=/var/vmail",
]
_COMMON_POSTFIX = [
    "virtual_transport=lmtp:unix:private/dovecot-lmtp",
    "smtpd_recipient_restrictions=reject_unauth_destination, check_policy_service unix:private/quota-status",
    "smtpd_tls_security_level=may",
    "smtpd_tls_auth_only=yes",
    f"smtpd_tls_cert_file={CERTIFICATE}/fullchain.pem",
    f"smtpd_tls_key_file={CERTIFICATE}/privkey.pem",
    # Debian leaves this to its syslog daemon, which is not here.
    "maillog_file=/var/log/mail.log",
    # A test's session is too short for the pauses that annoy spammers.
    "smtpd_error_sleep_time=0",
]
_SASL = ["smtpd_sasl_type=dovecot", "smtpd_sasl_path=private/auth", "smtpd_sasl_auth_enable=yes"]
_SUBMISSION = [
    "smtpd_tls_security_level=encrypt",
    "smtpd_sasl_auth_enable=yes",
    "smtpd_recipient_restrictions=permit_sasl_authenticated,reject",
    "smtpd_relay_restrictions=permit_sasl_authenticated,reject",
]
# Debian 13's edition lets users log in at their own two ports alone, and send as nobody else.
_TRIXIE_USERS = [
    "smtpd_sasl_type=dovecot",
    "smtpd_sasl_path=private/dovecot-auth",
    "smtpd_sasl_auth_enable=yes",
    "smtpd_recipient_restrictions=permit_sasl_authenticated,reject",
    "smtpd_sender_restrictions=reject_sender_login_mismatch,permit_sasl_authenticated,reject",
]
_TRIXIE_PORTS = {
    "submission": ["smtpd_tls_security_level=encrypt", *_TRIXIE_USERS],
    "submissions": ["smtpd_tls_wrappermode=yes", *_TRIXIE_USERS],
}
_ISPMAIL_SQL = f"""
driver = mysql
connect = host=127.0.0.1 dbname=mailserver user=mailserver password={DATABASE_PASSWORD}
user_query = SELECT email as user, \\
  concat('*:bytes=', quota) AS quota_rule, \\
  '/var/vmail/%d/%n' AS home, \\
  5000 AS uid, 5000 AS gid \\
  FROM virtual_users WHERE email='%u'
password_query = SELECT password FROM virtual_users WHERE email='%u'
iterate_query = SELECT email AS user FROM virtual_users
"""
_POSTFIXADMIN_SQL = f"""
driver = mysql
connect = host=localhost dbname=postfix user=postfix password={DATABASE_PASSWORD}
password_query = SELECT username AS user, password FROM mailbox WHERE username = '%u' AND active = '1'
user_query = SELECT '/var/vmail/%d/%n' AS home, 5000 AS uid, 5000 AS gid, \\
  CONCAT('*:bytes=', quota) AS quota_rule FROM mailbox WHERE username = '%u' AND active = '1'
iterate_query = SELECT username AS user FROM mailbox WHERE active = '1'
"""
_QUOTA = """
plugin {
  quota = %s
  quota_status_success = DUNNO
  quota_status_nouser = DUNNO
  quota_status_overquota = "452 4.2.2 Mailbox is full and cannot receive any more emails"
}
service quota-status {
  executable = /usr/lib/dovecot/quota-status -p postfix
  unix_listener /var/spool/postfix/private/quota-status {
    user = postfix
  }
}
plugin {
  quota_warning = storage=95%%%% quota-warning 95 %%u
  quota_warning2 = storage=80%%%% quota-warning 80 %%u
}
service quota-warning {
  executable = script /usr/local/bin/quota-warning.sh
  unix_listener quota-warning {
    user = vmail
    group = vmail
    mode = 0660
  }
}
"""
_BACKENDS = {"maildir": "maildir:User quota", "count": "count:User quota\n  quota_vsizes = yes"}
_SOCKETS = """
service auth {
  unix_listener /var/spool/postfix/private/auth {
    mode = 0660
    user = postfix
    group = postfix
  }
}
service lmtp {
  unix_listener /var/spool/postfix/private/dovecot-lmtp {
    group = postfix
    mode = 0600
    user = postfix
  }
}
"""


def write_dovecot(inside: Namespace, recipe: Recipe) -> None:
    """Dovecot's packaged files, edited, and the script that its warnings run."""
    if recipe == "trixie":
        _write_dovecot_24(inside)
    else:
        _write_dovecot_23(inside, recipe)
    inside.write(warning_script_path(recipe), warning_script(recipe), 0o755)


def _write_dovecot_23(inside: Namespace, recipe: Recipe) -> None:
    mail_location = "maildir:/var/vmail/%d/%n" if recipe == "postfixadmin" else "maildir:~/Maildir"
    backend = "count" if recipe == "bookworm" else "maildir"
    sql = _POSTFIXADMIN_SQL if recipe == "postfixadmin" else _ISPMAIL_SQL
    edit(inside, "10-auth.conf", {
        "\nauth_mechanisms = plain\n": "\nauth_mechanisms = plain login\n",
        "\n!include auth-system.conf.ext": "\n#!include auth-system.conf.ext",
        "\n#!include auth-sql.conf.ext": "\n!include auth-sql.conf.ext",
    })  # fmt: skip
    edit(inside, "10-mail.conf", {
        "\nmail_location = mbox:~/mail:INBOX=/var/mail/%u\n": f"\nmail_location = {mail_location}\n",
        "\n#mail_plugins = \n": "\nmail_plugins = quota\n",
    })  # fmt: skip
    edit(inside, "10-ssl.conf", {
        "\nssl = yes\n": "\nssl = required\n",
        "\nssl_cert = </etc/dovecot/private/dovecot.pem\n": f"\nssl_cert = <{CERTIFICATE}/fullchain.pem\n",
        "\nssl_key = </etc/dovecot/private/dovecot.key\n": f"\nssl_key = <{CERTIFICATE}/privkey.pem\n",
    })  # fmt: skip
    edit(inside, "10-logging.conf", {"\n#log_path = syslog\n": "\nlog_path = /var/log/dovecot.log\n"})
    edit(inside, "20-imap.conf", {"  #mail_plugins = $mail_plugins": "  mail_plugins = $mail_plugins imap_quota"})
    edit(inside, "15-lda.conf", {"\n#postmaster_address =": "\npostmaster_address = postmaster@example.org"})
    _append(inside, "conf.d/10-master.conf", _SOCKETS)
    _append(inside, "conf.d/90-quota.conf", _QUOTA % _BACKENDS[backend])
    _append(inside, "dovecot-sql.conf.ext", sql)
    inside.path("/etc/dovecot/dovecot-sql.conf.ext").chmod(0o600)


def _write_dovecot_24(inside: Namespace) -> None:
    edit(inside, "10-auth.conf", {
        "\n!include auth-system.conf.ext": "\n#!include auth-system.conf.ext",
        "\n#!include auth-sql.conf.ext": "\n!include auth-sql.conf.ext",
    })  # fmt: skip
    edit(inside, "10-logging.conf", {"\n#log_path = syslog\n": "\nlog_path = /var/log/dovecot.log\n"})
    for file in (TEMPLATES / "trixie").glob("99-*"):
        inside.write(f"/etc/dovecot/conf.d/{file.name}", file.read_text())
    sql = (TEMPLATES / "trixie/auth-sql.conf.ext").read_text()
    inside.write("/etc/dovecot/conf.d/auth-sql.conf.ext", sql, 0o600)


def edit(inside: Namespace, name: str, changes: Mapping[str, str]) -> None:
    """Replace texts in a file of conf.d, each once. Raises ServerFailedError where one is not there."""
    file = inside.path(f"/etc/dovecot/conf.d/{name}")
    text = file.read_text()
    for old, new in changes.items():
        if old not in text:
            raise ServerFailedError(f"{file} of the package does not have {old!r}")
        text = text.replace(old, new, 1)
    file.write_text(text)


def _append(inside: Namespace, name: str, text: str) -> None:
    with inside.path(f"/etc/dovecot/{name}").open("a") as file:
        file.write(text)


def write_postfix(inside: Namespace, recipe: Recipe) -> None:
    """Debian's main.cf and master.cf, and the tutorial's maps and postconf commands."""
    write_new_postfix(inside)
    main_cf, maps, login = _tables(recipe)
    for name, query in maps.items():
        inside.write(f"/etc/postfix/{name}.cf", f"{login}query = {query}\n", 0o640, "root:postfix")
    inside.check(["postconf", "-e", *main_cf, *_COMMON_POSTFIX])
    for service, options in (_TRIXIE_PORTS if recipe == "trixie" else {"submission": _SUBMISSION}).items():
        inside.check(["postconf", "-M", f"{service}/inet={service} inet n - y - - smtpd"])
        own = [f"syslog_name=postfix/{service}", *options]
        inside.check(["postconf", "-P", *(f"{service}/inet/{option}" for option in own)])


def write_new_postfix(inside: Namespace) -> None:
    """Debian's main.cf and master.cf, whatever the host has in its own."""
    inside.write("/etc/postfix/main.cf", (TEMPLATES / "debian-main.cf").read_text())
    inside.write("/etc/mailname", "mail.example.org\n")
    inside.check(["cp", "/usr/share/postfix/master.cf.dist", "/etc/postfix/master.cf"])


def _tables(recipe: Recipe) -> tuple[list[str], dict[str, str], str]:
    """Settings of main.cf, queries by the name of their map, and the login of all maps."""
    if recipe == "postfixadmin":
        login = _LOGIN.format(user="postfix", host="localhost", database="postfix")
        return [*_POSTFIXADMIN_POSTFIX, *_SASL], _POSTFIXADMIN_MAPS, login
    word = "mariadb" if recipe == "trixie" else "mysql"
    own = [setting.format(maps=f"/etc/postfix/{word}") for setting in _ISPMAIL_POSTFIX]
    own += ["smtpd_sender_login_maps=mysql:/etc/postfix/mariadb-email2email.cf"] if recipe == "trixie" else _SASL
    maps = {f"{word}-{name}": query for name, query in _ISPMAIL_MAPS.items()}
    return own, maps, _LOGIN.format(user="mailserver", host="127.0.0.1", database="mailserver")


def warning_script_path(recipe: Recipe) -> str:
    """Where its Dovecot has the script that `warning_script` gives."""
    return "/usr/local/bin/ispmail-quota-warning.sh" if recipe == "trixie" else "/usr/local/bin/quota-warning.sh"


def warning_script(recipe: Recipe) -> str:
    """The tutorial's; how Dovecot is told to let the warning into a full mailbox differs."""
    text = (TEMPLATES / "quota-warning.sh").read_text()
    if recipe == "trixie":
        return text
    backend = "count" if recipe == "bookworm" else "maildir"
    return text.replace("quota_enforce=no", f'"plugin/quota={backend}:User quota:noenforcing"')
