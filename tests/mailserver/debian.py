"""The tutorial's server with every file in Debian's place and on the standard ports, in a namespace of its own.

`DebianServer("bullseye")` has Dovecot 2.3 with quota driver maildir, "bookworm" the same with count, "postfixadmin"
2.3 with PostfixAdmin's tables, "trixie" Dovecot 2.4: each where that Dovecot is installed. There mailquota has nothing
but what the server's files say. Python and its packages are those of the tests; /usr/local/bin/mailquota starts them.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

import pymysql
from pymysql.cursors import DictCursor

from tests.mailserver.mail import SENDER, build_message, greets, send_lmtp, send_smtp
from tests.mailserver.mariadb import MAIL_PASSWORD, MariaDB, hash_password
from tests.mailserver.namespace import Inside, Namespace
from tests.mailserver.ports import HOST
from tests.mailserver.process import START_SECONDS, ServerFailedError, wait_until
from tests.mailserver.recipes import Recipe, write_dovecot, write_postfix
from tests.mailserver.series import dovecot_series

Service = Literal["mariadb", "dovecot", "postfix"]

PRIVATE = "/var/spool/postfix/private"
MARIADB_SOCKET = "/run/mysqld/mysqld.sock"
SMTP_PORT = 25

_REPOSITORY = Path(__file__).parents[2]
_LIMIT_OF_WAITING = 20.0
_OWN_SETTINGS = ("--no-defaults", "--datadir=/var/lib/mysql")  # this machine's MariaDB may have others
_FRESH = """
set -e
# What a host has of its own is not there: only what the packages bring.
for folder in /var/lib/mysql /var/lib/postfix /var/spool/postfix /var/lib/dovecot /var/log /var/mail /var/vmail \\
        /var/lib/mailquota; do
    mkdir -p $folder
    mount -t tmpfs -o mode=0755 tmpfs $folder
done
cd /etc
rm -rf mailquota letsencrypt dovecot mailname
mkdir -p dovecot/private letsencrypt/live/mail.example.org old
for file in postfix/dynamicmaps.cf* postfix/makedefs.out postfix/post-install postfix/postfix-files* \\
        postfix/postfix-script; do
    [ ! -e $file ] || mv $file old/
done
rm -rf postfix
mv old postfix
cp -r /usr/share/dovecot/dovecot.conf /usr/share/dovecot/conf.d dovecot/
chmod 0700 dovecot/private
for file in dovecot-sql.conf.ext dovecot-dict-sql.conf.ext; do
    [ ! -e /usr/share/dovecot/$file ] || install -m 0640 -g dovecot /usr/share/dovecot/$file dovecot/
done
echo mail.example.org > mailname
echo 'postmaster: root' > aliases
grep -v '^vmail:' passwd > passwd.new || true
grep -v '^vmail:' group > group.new || true
echo 'vmail:x:5000:5000::/var/vmail:/usr/sbin/nologin' >> passwd.new
echo 'vmail:x:5000:' >> group.new
mv passwd.new passwd; mv group.new group
chmod 0644 passwd group
chown vmail:vmail /var/vmail
chmod 0770 /var/vmail
install -d -o mysql -g mysql -m 0700 /var/lib/mysql
install -d -o mysql -g mysql /run/mysqld
install -d -o postfix -g postfix /var/lib/postfix
install -m 0666 /dev/null /var/log/dovecot.log
mkdir -p /run/lock
ln -sfn /run /var/run
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=mail.example.org \\
    -keyout letsencrypt/live/mail.example.org/privkey.pem -out letsencrypt/live/mail.example.org/fullchain.pem
# Dovecot's package makes one too, which its files name.
cp letsencrypt/live/mail.example.org/privkey.pem dovecot/private/dovecot.key
cp letsencrypt/live/mail.example.org/fullchain.pem dovecot/private/dovecot.pem
"""


class DebianServer:
    """MariaDB, Dovecot and Postfix as a mail administrator's Debian has them. Needs root.

    `inside` is where all this is, a plain namespace where none is given.
    """

    programs = (*Namespace.programs, *MariaDB.programs, "dovecot", "doveadm", "postfix", "openssl")

    def __init__(self, recipe: Recipe, inside: Namespace | None = None) -> None:
        self.recipe: Recipe = recipe
        self.inside = inside or Namespace()
        self.run = self.inside.run
        self.check = self.inside.check
        self.popen = self.inside.popen
        self.path = self.inside.path
        self.write = self.inside.write
        self.network = self.inside.network
        self.mariadb = _PostfixAdminDatabase(self.inside) if recipe == "postfixadmin" else _Database(self.inside)
        self.sql = self.mariadb.sql
        self.add_user = self.mariadb.add_user
        self.add_users = self.mariadb.add_users
        self.add_alias = self.mariadb.add_alias
        self.set_quota = self.mariadb.set_quota

    def start_all(self) -> None:
        """Build everything and start the three. Raises ServerFailedError, and leaves nothing behind."""
        self.inside.start()
        try:
            self.check(["sh", "-c", _FRESH])
            self.mariadb.launch()
            self._write()
            self.start("postfix")
            self.start("dovecot")
            self.mariadb.wait_ready()
        except BaseException:
            self.stop_all()
            raise

    def _write(self) -> None:
        # Where other users may go too: a Python in root's home is closed to them.
        places = {"python": sys.base_prefix, "packages": sysconfig.get_path("purelib"), "product": _REPOSITORY}
        for name, place in places.items():
            there = self.inside.place_of(str(place))
            self.check(["sh", "-c", f'mkdir /mnt/{name} && mount --bind "$1" /mnt/{name}', "sh", there])
        python = f"/mnt/python/bin/python{sys.version_info.major}.{sys.version_info.minor}"
        places_of = "LD_LIBRARY_PATH=/mnt/python/lib PYTHONPATH=/mnt/product/packaging:/mnt/packages"
        command = f'#!/bin/sh\n{places_of} exec {python} -m mailquota "$@"\n'
        self.write("/usr/local/bin/mailquota", command, 0o755)
        write_postfix(self.inside, self.recipe)
        write_dovecot(self.inside, self.recipe)

    def stop_all(self) -> None:
        """End everything; nothing remains."""
        self.inside.stop()
        self.mariadb.forget()

    def start(self, service: Service) -> None:
        """Start one that is stopped, and wait until it serves. Raises ServerFailedError with its log."""
        if service == "mariadb":
            self.mariadb.start()
            return
        # Not through pipes: what goes on running would keep them open.
        # Debian 13's fills its jail by itself, and asks systemd to start it where that seems to run.
        postfix = "INVOCATION_ID=tests postfix start"
        if dovecot_series() == "2.3":
            postfix = f"/usr/lib/postfix/configure-instance.sh - && {postfix}"
        start = {"postfix": postfix, "dovecot": "dovecot"}[service]
        log = f"/var/log/{service}-start.log"
        done = self.run(["sh", "-c", f"{{ {start}; }} > {log} 2>&1 < /dev/null"])
        if done.returncode or not wait_until(lambda: self._serves(service), START_SECONDS):
            raise ServerFailedError(f"{service} did not start: {self.path(log).read_text()}\n{self._log()}")

    def _serves(self, service: Service) -> bool:
        if service == "dovecot":
            return greets(self.path(f"{PRIVATE}/dovecot-lmtp"))
        with self.network():
            return greets((HOST, SMTP_PORT))

    def _log(self) -> str:
        files = [self.path("/var/log/mail.log"), self.path("/var/log/dovecot.log")]
        return "\n".join(file.read_text(errors="replace")[-4000:] for file in files if file.exists())

    def stop(self, service: Service) -> None:
        """Stop one that runs."""
        if service == "mariadb":
            self.mariadb.stop()
        else:
            self.check(["postfix", "stop"] if service == "postfix" else ["doveadm", "stop"])

    def restart(self, service: Service) -> None:
        """Stop and start."""
        self.stop(service)
        self.start(service)

    @contextmanager
    def kept(self, *folders: str) -> Iterator[None]:
        """Folders (default: those of Dovecot and Postfix) whose files are put back at the end of a `with` block.

        Both servers are asked to read them again; sockets that changed need a restart.
        """
        folders = folders or ("/etc/dovecot", "/etc/postfix")
        archive = self.check(["mktemp", "/run/kept.XXXXXX"]).strip()  # one of its own: they may be nested
        self.check(["tar", "-cpf", archive, *folders])
        try:
            yield
        finally:
            self.check(["find", *folders, "-mindepth", "1", "-delete"])
            self.check(["tar", "-xpf", archive, "-C", "/"])
            for reload in (["postfix", "reload"], ["doveadm", "reload"]):
                self.run(reload)

    def mailquota(self, *words: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run mailquota, with no settings but those that the server has."""
        return self.run(["mailquota", *words], user)

    def send_mail(
        self,
        to: str,
        *,
        size: int | None = None,
        body: str = "Hello.\r\n",
        from_: str = SENDER,
        announce_size: bool = False,
    ) -> tuple[int, str]:
        """Over SMTP, as a stranger or local program would; see Postfix.send_mail."""
        with self.network():
            return send_smtp(SMTP_PORT, build_message(to, from_, size, body), to, from_, announce_size)

    def deliver_lmtp(self, to: str, size: int | None = None, body: str = "Hello.\r\n") -> tuple[int, str]:
        """Hand a message to Dovecot past Postfix."""
        return send_lmtp(self.path(f"{PRIVATE}/dovecot-lmtp"), build_message(to, SENDER, size, body), to, SENDER)

    def quota(self, user: str) -> tuple[int, int]:
        """(KiB rounded up, messages) of one user, by `doveadm quota get`."""
        table = self.check(["doveadm", "-f", "tab", "quota", "get", "-u", user]).splitlines()[1:]
        values = {columns[1]: int(columns[2]) for columns in (line.split("\t") for line in table)}
        return values["STORAGE"], values["MESSAGE"]

    def wait_queue_empty(self) -> None:
        """Wait until every accepted message was delivered, bounced or put off."""
        queues = [self.path(f"/var/spool/postfix/{name}") for name in ("maildrop", "incoming", "active")]

        def is_empty() -> bool:
            return not any(file.is_file() for queue in queues for file in queue.rglob("*"))

        if not wait_until(lambda: is_empty() and is_empty(), _LIMIT_OF_WAITING):
            raise ServerFailedError(f"mail is still under way\n{self._log()}")

    def __enter__(self) -> Self:
        self.start_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()


class _Database(MariaDB):
    """At 127.0.0.1:3306 inside, with ISPmail's tables. Its settings are its own, and durability is off."""

    port = 3306

    def __init__(self, inside: Namespace) -> None:
        super().__init__(Path("/var/lib/mysql"))
        self.port = 3306
        self._inside = inside
        self._server: Inside | None = None

    def launch(self) -> None:
        quick = [
            "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=OFF", "--innodb-log-file-size=16M",
            "--tmpdir=/run/mysqld",  # /tmp is that of all others, too
        ]  # fmt: skip
        if not self._inside.path("/var/lib/mysql/mysql").exists():
            self._inside.check([
                "mariadb-install-db", *_OWN_SETTINGS, "--user=mysql", "--auth-root-authentication-method=normal",
                "--skip-test-db", *quick,
            ])  # fmt: skip
        self._socket = self._inside.path(MARIADB_SOCKET)
        self.log = self._inside.path("/var/log/mariadb.log")
        options = [*_OWN_SETTINGS, "--user=mysql", f"--socket={MARIADB_SOCKET}", "--bind-address=127.0.0.1", *quick]
        script = 'exec mariadbd "$@" > /var/log/mariadb.log 2>&1'
        devnull = subprocess.DEVNULL
        self._server = self._inside.popen(["sh", "-c", script, "sh", *options], stdout=devnull, stderr=devnull)

    @property
    def running(self) -> bool:
        return self._server is not None and self._server.poll() is None

    def stop(self) -> None:
        server, self._server = self._server, None
        if server:
            server.terminate()
            server.wait(START_SECONDS)

    def forget(self) -> None:
        """Collect the server that the namespace's end took along."""
        server, self._server = self._server, None
        if server:
            server.wait(START_SECONDS)

    def connect(self, user: str | None = None) -> pymysql.Connection[DictCursor]:
        with self._inside.network():
            return super().connect(user)


class _PostfixAdminDatabase(_Database):
    """The same with PostfixAdmin's tables, and its one account, which comes by the socket."""

    database = "postfix"
    reader = "postfix"
    writer = "postfix"
    schema = "postfixadmin.sql"

    def add_domain(self, domain: str) -> int:
        self.sql("INSERT IGNORE INTO domain (domain) VALUES (%s)", domain)
        return 0

    def add_users(self, users: Iterable[tuple[str, int]], password: str = MAIL_PASSWORD) -> None:
        for email, quota in users:
            name, _, domain = email.rpartition("@")
            self.add_domain(domain)
            self.sql(
                "INSERT INTO mailbox (username, password, maildir, quota, local_part, domain)"
                " VALUES (%s, %s, %s, %s, %s, %s)",
                email, hash_password(password), f"{domain}/{name}/", quota, name, domain,
            )  # fmt: skip
            self.add_alias(email, email)

    def add_aliases(self, aliases: Iterable[tuple[str, Any]]) -> None:
        for source, destination in aliases:
            domain = source.rpartition("@")[2]
            self.add_domain(domain)
            self.sql("REPLACE INTO alias (address, goto, domain) VALUES (%s, %s, %s)", source, destination, domain)

    def set_quota(self, email: str, quota: int) -> None:
        self.sql("UPDATE mailbox SET quota = %s WHERE username = %s", quota, email)

    def clear(self) -> None:
        for table in ("mailbox", "alias", "domain"):
            self.sql(f"DELETE FROM {table}")
