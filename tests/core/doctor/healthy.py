"""Facts of a server on which everything is as it should be, for tests to break one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from mailquota.core.control.results import WitnessStatus
from mailquota.core.doctor.examine import CHECKS
from mailquota.core.doctor.host.facts import (
    DatabaseFacts,
    DiskFacts,
    EngineFacts,
    HostFacts,
    LimitFacts,
    MaildirFacts,
    StateFacts,
)
from mailquota.core.doctor.model import Facts, Outcome
from mailquota.core.doctor.paths import PathFacts, UserFacts
from mailquota.core.doctor.postfix.facts import (
    RECIPIENT,
    RELAY,
    MapFacts,
    PostfixFacts,
    ProbeAnswer,
    RewritingFacts,
    Smtpd,
    SocketFacts,
)
from mailquota.core.settings.config import Config
from mailquota.core.settings.declared import Settings

SOCKET = "/var/spool/postfix/private/mailquota"
CHECK = "check_policy_service { unix:private/mailquota, timeout=10s, default_action=DUNNO }"
BARE = "check_policy_service unix:private/mailquota"
QUOTA_STATUS = "check_policy_service unix:private/quota-status"
POSTFIX = UserFacts("postfix", 101, (105,))
GIB = 2**30

VALUES = {
    RECIPIENT: f"reject_unauth_destination, {CHECK}",
    RELAY: "permit_mynetworks permit_sasl_authenticated defer_unauth_destination",
    "compatibility_level": "3.6",
    "mail_owner": "postfix",
    "mail_version": "3.7.11",
    "mynetworks": "127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128",
    "queue_directory": "/var/spool/postfix",
    "recipient_delimiter": "+",
    "smtpd_delay_reject": "yes",
    "smtpd_policy_service_default_action": "451 4.3.5 Server configuration problem",
    "smtpd_policy_service_timeout": "100s",
    "smtpd_sasl_auth_enable": "no",
    "virtual_alias_maps": "mysql:/etc/postfix/mysql-virtual-alias-maps.cf",
}
_USERS = "permit_sasl_authenticated,reject"
SUBMISSION = Smtpd(
    "submission/inet",
    chroot=True,
    overrides={"smtpd_sasl_auth_enable": "yes", RELAY: _USERS, RECIPIENT: _USERS},
)


def config(*, path: Path | None = None, origin: dict[str, str] | None = None, **sections: dict[str, Any]) -> Config:
    """Settings with some keys of their sections changed."""
    values = {name: msgspec.structs.replace(getattr(Settings(), name), **changes) for name, changes in sections.items()}
    return Config(Settings(**values), origin or {}, path)


def folder(path: str, mode: int = 0o755, uid: int = 0, gid: int = 0, owner: str = "root") -> PathFacts:
    return PathFacts(path, "folder", mode, uid, gid, owner, owner)


def socket(
    *, mode: int = 0o660, uid: int = 101, gid: int = 105, owner: str = "postfix", acl: bool = False
) -> PathFacts:
    return PathFacts(SOCKET, "socket", mode, uid, gid, owner, owner, acl)


FOLDERS = (
    folder("/"),
    folder("/var"),
    folder("/var/spool"),
    folder("/var/spool/postfix"),
    folder("/var/spool/postfix/private", 0o700, 101, owner="postfix"),
)


def postfix(main: str | None = None, *, values: dict[str, str] | None = None, **changes: Any) -> PostfixFacts:
    """``main`` is the list of recipients."""
    ours = SocketFacts(f"unix:{SOCKET}", socket(), FOLDERS, ProbeAnswer("answer", "action=DUNNO\n\n"))
    healthy = PostfixFacts(
        fault="",
        values=VALUES | ({} if main is None else {RECIPIENT: main}) | (values or {}),
        smtpds=(Smtpd("smtp/inet", chroot=True), SUBMISSION),
        owner=POSTFIX,
        sockets=(ours,),
        running=True,
    )
    return msgspec.structs.replace(healthy, **changes)


MAILDIR = PathFacts("/var/vmail/example.org/john/Maildir", "folder", 0o700, 5000, 5000, "vmail", "vmail")
HOST = HostFacts(
    is_root=True,
    user=UserFacts("root", 0, (0,)),
    now=1_800_000_000.0,
    clock_synchronized=True,
    version="1.2.3",
    systemd=True,
    installed=True,
    disks=(DiskFacts("/var/vmail", 100 * GIB, 50 * GIB, 1000, 900),),
    limits=LimitFacts(10, 0, 10 * GIB, 5 * GIB),
    mailstore=folder("/var/vmail"),
    maildirs=(MaildirFacts("john@example.org", MAILDIR),),
    files={
        "settings": PathFacts("/etc/mailquota/mailquota.toml", "file", 0o640, 0, 0, "root", "root"),
        "control folder": folder("/run/mailquota"),
        "state folder": folder("/var/lib/mailquota"),
        "state.database": PathFacts("/var/lib/mailquota/state.db", "file", 0o640, 5000, 5000, "vmail", "vmail"),
    },
    engine=EngineFacts(
        known=True, running=True, version="1.2.3", mode="enforce", listen=(f"unix:{SOCKET}",),
        witness=WitnessStatus("agrees", 3, 0, 5.0),
    ),
    state=StateFacts(known=True, schema=3, schema_known=3, newest=1_799_999_000.0, size=4096),
    database=DatabaseFacts(
        known=True, may_write=True, writer="mysql://mailadmin@127.0.0.1/mailserver",
        table="virtual_users", column="quota", column_type="bigint(20)", column_max=2**63 - 1,
    ),
)  # fmt: skip


def host(**changes: Any) -> HostFacts:
    return msgspec.structs.replace(HOST, **changes)


WAYS = RewritingFacts(
    fault="", maps=(MapFacts("mysql:/etc/postfix/mysql-virtual-alias-maps.cf", "aliases", checked=3),), looked_at=2
)


def facts(
    postfix_facts: PostfixFacts | None = None,
    *,
    host: HostFacts = HOST,
    config_: Config | None = None,
    rewriting: RewritingFacts = WAYS,
) -> Facts:
    return Facts(config=config_ or config(), postfix=postfix_facts or postfix(), host=host, rewriting=rewriting)


def outcome(check: str, of: Facts) -> Outcome:
    """What one check says."""
    (found,) = [one for one in CHECKS if one.name == check]
    return found.judge(of)
