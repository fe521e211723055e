"""Facts about Postfix, and about the policy service as Postfix reaches it."""

from __future__ import annotations

from typing import Literal

import msgspec

from ..paths import PathFacts, UserFacts

RECIPIENT = "smtpd_recipient_restrictions"
RELAY = "smtpd_relay_restrictions"
# Other restriction lists that may have a check of mailquota, with the protocol state of Postfix's requests there.
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
    """A service of master.cf that runs smtpd. ``service`` is like ``smtp/inet``; ``overrides`` are its options -o."""

    service: str
    chroot: bool
    overrides: dict[str, str] = {}

    @property
    def port(self) -> str:
        """Number or name of the port; ``smtpd`` for the service that postscreen passes connections to."""
        return self.service.rpartition("/")[0].rpartition(":")[2]


class ProbeAnswer(msgspec.Struct, frozen=True):
    """The result of a harmless request to a policy service: ``text`` is the answer, or the error."""

    result: Answer = "not asked"
    text: str = ""


class SocketFacts(msgspec.Struct, frozen=True):
    """An address of ``policy.listen``. ``folders`` are those above its file, from / on; inet has neither."""

    address: str
    file: PathFacts | None = None
    folders: tuple[PathFacts, ...] = ()
    probe: ProbeAnswer = ProbeAnswer()


class PolicyReach(msgspec.Struct, frozen=True, kw_only=True):
    """A connection to a policy service as user ``mail_owner``, from the queue directory, if ``jailed`` in its chroot.

    ``result`` is ``answer`` where it was made, and ``not asked`` where it could not be tried; ``text`` is the error.
    """

    service: str
    jailed: bool
    result: Answer = "not asked"
    text: str = ""


class MapFacts(msgspec.Struct, frozen=True):
    """A map that rewrites recipients. ``fault``: why postmap can't ask it.

    ``rows`` are the rows in memory that answer for it, empty where it is asked. ``differs`` are keys about which
    Postfix says something else than those rows; ``checked`` is how many were compared.
    """

    name: str
    rows: str = ""
    fault: str = ""
    differs: tuple[str, ...] = ()
    checked: int = 0


class LedElsewhere(msgspec.Struct, frozen=True):
    """A mailbox, and the addresses that its mail goes to, or goes to as well."""

    mailbox: str
    others: tuple[str, ...]


class RewritingFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Where mail goes by Postfix's maps. ``fault``: why that is not known; empty where it is.

    ``unreached`` are mailboxes whose mail a catch-all takes, ``never_refused`` those beside which mail also goes to an
    address that is no mailbox. ``looked_at`` is how many mailboxes were looked at. ``copies``: always_bcc and the maps
    of recipient_bcc_maps. ``problem`` is what the engine says.
    """

    fault: str = "not asked"
    maps: tuple[MapFacts, ...] = ()
    copies: tuple[str, ...] = ()
    unfollowed: tuple[str, ...] = ()
    unreached: tuple[LedElsewhere, ...] = ()
    never_refused: tuple[LedElsewhere, ...] = ()
    looked_at: int = 0
    problem: str = ""


class PostfixFacts(msgspec.Struct, frozen=True, kw_only=True):
    """``fault`` is the reason why Postfix could not be asked, empty where it could.

    ``values`` are PARAMETERS and the restriction classes, expanded by postconf; parameters that this version does not
    know are missing. ``master_fault`` is the reason why master.cf could not be read. ``absent`` are policy services in
    lists for recipients whose socket does not exist, or at whose port of this machine nothing listens. ``running`` is
    None where only root could find out. ``reaches`` are connections as Postfix's user, which only root can try.
    """

    fault: str = "not asked"
    values: dict[str, str] = {}
    master_fault: str = ""
    smtpds: tuple[Smtpd, ...] = ()
    owner: UserFacts | None = None
    sockets: tuple[SocketFacts, ...] = ()
    absent: tuple[str, ...] = ()
    running: bool | None = None
    reaches: tuple[PolicyReach, ...] = ()

    @property
    def version(self) -> tuple[int, int]:
        """Major and minor version; (0, 0) where it is not known."""
        parts = [part for part in self.values.get("mail_version", "").replace("-", ".").split(".") if part.isdigit()]
        return (int(parts[0]), int(parts[1])) if len(parts) > 1 else (0, 0)

    @property
    def queue_directory(self) -> str:
        """The queue directory, which is the root directory of a chrooted smtpd."""
        return self.values.get("queue_directory", "")

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of restriction classes (smtpd_restriction_classes)."""
        return tuple(self.values.get("smtpd_restriction_classes", "").replace(",", " ").split())
