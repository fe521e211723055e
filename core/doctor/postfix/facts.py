"""What is known of Postfix, and of the policy service as Postfix sees it."""

from __future__ import annotations

from typing import Literal

import msgspec

from mailquota.core.doctor.paths import PathFacts, UserFacts

RECIPIENT = "smtpd_recipient_restrictions"
RELAY = "smtpd_relay_restrictions"
# Restriction lists where a check may stand that does not decide about recipients there, and what Postfix asks with.
OTHER_LISTS = {
    "smtpd_client_restrictions": "CONNECT",
    "smtpd_helo_restrictions": "HELO",
    "smtpd_sender_restrictions": "MAIL",
    "smtpd_data_restrictions": "DATA",
    "smtpd_end_of_data_restrictions": "END-OF-MESSAGE",
    "smtpd_etrn_restrictions": "ETRN",
}
PARAMETERS = (
    RECIPIENT,
    RELAY,
    *OTHER_LISTS,
    "compatibility_level",
    "daemon_directory",
    "mail_owner",
    "mail_version",
    "message_size_limit",
    "mynetworks",
    "queue_directory",
    "recipient_delimiter",
    "smtpd_delay_reject",
    "smtpd_policy_service_default_action",
    "smtpd_policy_service_timeout",
    "smtpd_restriction_classes",
    "smtpd_sasl_auth_enable",
    "virtual_alias_maps",
)

Answer = Literal["answer", "missing", "refused", "denied", "silent", "closed", "not asked"]


class Smtpd(msgspec.Struct, frozen=True):
    """A line of master.cf that runs smtpd. ``service`` is ``smtp/inet``; ``overrides`` are its -o options."""

    service: str
    chroot: bool
    overrides: dict[str, str] = {}

    @property
    def port(self) -> str:
        """Number or name of the port; ``smtpd`` of a service that postscreen hands connections to."""
        return self.service.rpartition("/")[0].rpartition(":")[2]


class ProbeAnswer(msgspec.Struct, frozen=True):
    """How a harmless request was met: ``text`` is what came, or the error in words."""

    result: Answer = "not asked"
    text: str = ""


class SocketFacts(msgspec.Struct, frozen=True):
    """An address of ``policy.listen``. ``folders`` lead to its file, from / on; both are unknown for inet."""

    address: str
    file: PathFacts | None = None
    folders: tuple[PathFacts, ...] = ()
    probe: ProbeAnswer = ProbeAnswer()


class PostfixFacts(msgspec.Struct, frozen=True, kw_only=True):
    """``fault`` says why Postfix could not be asked; empty where it could.

    ``values`` are PARAMETERS and the restriction classes as postconf expands them; what this version does not know is
    missing. ``master_fault`` says why master.cf is unknown. ``absent`` are policy services that recipients are asked
    about whose sockets do not exist, or whose ports of this machine nobody listens at, as they stand in the list.
    ``running`` is None where only root could tell.
    """

    fault: str = "not asked"
    values: dict[str, str] = {}
    master_fault: str = ""
    smtpds: tuple[Smtpd, ...] = ()
    owner: UserFacts | None = None
    sockets: tuple[SocketFacts, ...] = ()
    absent: tuple[str, ...] = ()
    running: bool | None = None

    @property
    def version(self) -> tuple[int, int]:
        """Major and minor; (0, 0) where the text is none."""
        parts = [part for part in self.values.get("mail_version", "").replace("-", ".").split(".") if part.isdigit()]
        return (int(parts[0]), int(parts[1])) if len(parts) > 1 else (0, 0)

    @property
    def queue_directory(self) -> str:
        """Where smtpd works, and all it sees when chrooted."""
        return self.values.get("queue_directory", "")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of restriction lists of the administrator's own."""
        return tuple(self.values.get("smtpd_restriction_classes", "").replace(",", " ").split())
