"""From the settings to deliveries: which of Dovecot's programs are called, with which settings of Dovecot's."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailquota.core.alerts.deliver import Deliverer
from mailquota.core.alerts.from_settings import make_deliverer
from mailquota.core.base.errors import DeliveryError
from mailquota.core.servers.dovecot.quota import QuotaFacts
from mailquota.core.settings.config import Config, DiscoveredSettings
from tests.core.worlds import JOHN, SmallWorld

MAIL = b"Subject: x\nMessage-ID: <1@example.org>\n\nhello\n"
OLD = "# 2.3.19.1 (9b53102964): x\nplugin {\n  quota = count:User quota\n}\n"
OLD_OPTION = "plugin/quota=count:User quota:noenforcing"
MODERN = '# 2.4.1-4 (7d8c0e5759): x\nquota "User quota" {\n}\n'


class Dovecot:
    """Dovecot's programs as scripts: each writes down how it was called, and ends as it should."""

    def __init__(self, world: SmallWorld, doveconf: str = OLD) -> None:
        self.world = world
        self.folder = world.folder / "dovecot"
        self._calls = world.folder / "calls"
        (self.folder / "libexec").mkdir(parents=True)
        (self.folder / "conf").write_text(doveconf)
        asked = f'case "$*" in *libexec_dir) echo {self.folder}/libexec;; *) cat {self.folder}/conf;; esac'
        self._write("doveconf", asked)
        self.ends("dovecot-lda", 0)
        self.ends("doveadm", 0)

    def ends(self, name: str, code: int) -> None:
        """This program ends with this exit code."""
        folder = "libexec/" if name == "dovecot-lda" else ""
        noted = f'printf "%s\\n" {name} "$@" >> {self._calls}; echo >> {self._calls}'
        self._write(f"{folder}{name}", f"{noted}; exit {code}")

    def _write(self, name: str, text: str) -> None:
        program = self.folder / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)

    def calls(self) -> list[list[str]]:
        """The arguments of each call."""
        text = self._calls.read_text() if self._calls.exists() else ""
        return [call.split("\n") for call in text.split("\n\n")[:-1]]

    def deliverer(self, delivery: str = "auto", doveadm: str | None = None) -> Deliverer:
        """By these settings; ``doveadm`` is these programs unless given."""
        command = f"{self.folder}/doveadm -c /etc/x.conf" if doveadm is None else doveadm
        self.world.settings["mailstore"]["doveadm"] = command
        self.world.settings["warnings"] = {"delivery": delivery}
        self.world.write_settings()
        return make_deliverer(self.world.load())

    def stored(self) -> int:
        """Mails that mailquota stored in the mailbox itself."""
        return len(list(self.world.maildir(JOHN).glob("new/*Q*")))


@pytest.fixture
def dovecot(small_world: SmallWorld) -> Dovecot:
    return Dovecot(small_world)


LDA = ["dovecot-lda", "-c", "/etc/x.conf", "-d", JOHN, "-e", "-o", OLD_OPTION]
SAVE = ["doveadm", "-c", "/etc/x.conf", "-o", OLD_OPTION, "save", "-u", JOHN, "-m", "INBOX"]


@pytest.mark.parametrize(
    ("delivery", "method", "calls"),
    [
        ("auto", "dovecot-lda", [LDA]),
        ("dovecot-lda", "dovecot-lda", [LDA]),
        ("doveadm", "doveadm", [SAVE]),
        ("maildir", "maildir", []),
    ],
)
def test_methods(dovecot: Dovecot, delivery: str, method: str, calls: list[list[str]]) -> None:
    assert dovecot.deliverer(delivery).deliver(JOHN, MAIL) == method
    assert (dovecot.calls(), dovecot.stored()) == (calls, 0 if calls else 1)


def test_settings_of_dovecot_2_4(small_world: SmallWorld) -> None:
    dovecot = Dovecot(small_world, MODERN)
    dovecot.deliverer().deliver(JOHN, MAIL)
    assert dovecot.calls()[0][-4:] == ["-o", "quota_enforce=no", "-o", "quota/User quota/quota_enforce=no"]


def test_auto_goes_down_to_our_own(dovecot: Dovecot) -> None:
    """Neither of Dovecot's programs knows the user."""
    dovecot.ends("dovecot-lda", 67)
    dovecot.ends("doveadm", 67)
    assert dovecot.deliverer().deliver(JOHN, MAIL) == "maildir"
    assert (dovecot.calls(), dovecot.stored()) == ([LDA, SAVE], 1)


def test_auto_stops_where_it_is_not_known_whether_the_mail_was_stored(dovecot: Dovecot) -> None:
    """dovecot-lda failed, and doveadm does not answer when it is asked about the mail."""
    dovecot.ends("dovecot-lda", 75)
    dovecot.ends("doveadm", 75)
    with pytest.raises(DeliveryError, match="dovecot-lda: exit code 75") as caught:
        dovecot.deliverer().deliver(JOHN, MAIL)
    assert caught.value.temporary
    assert [words[0] for words in dovecot.calls()] == ["dovecot-lda", "doveadm"]
    assert "search" in dovecot.calls()[1]
    assert dovecot.stored() == 0


def test_one_that_was_asked_for_is_the_only_one(dovecot: Dovecot) -> None:
    dovecot.ends("doveadm", 67)
    with pytest.raises(DeliveryError, match="doveadm: no such user"):
        dovecot.deliverer("doveadm").deliver(JOHN, MAIL)
    assert (dovecot.calls(), dovecot.stored()) == ([SAVE], 0)


@pytest.mark.parametrize("doveadm", ["off", "http://127.0.0.1:9"])
def test_a_dovecot_that_is_to_be_left_alone(dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch, doveadm: str) -> None:
    """It is on the PATH; but mailquota delivers itself, and finds the mail again."""
    monkeypatch.setenv("PATH", f"{dovecot.folder}:/usr/bin:/bin")
    deliverer = dovecot.deliverer(doveadm=doveadm)
    assert deliverer.deliver(JOHN, MAIL) == "maildir"
    assert (dovecot.calls(), dovecot.stored()) == ([], 1)
    assert deliverer.was_delivered(JOHN, "<1@example.org>") is True
    assert deliverer.was_delivered(JOHN, "<2@example.org>") is False


def test_a_dovecot_that_says_nothing(small_world: SmallWorld) -> None:
    """Without its quota settings it is not known which options let a mail into a full mailbox."""
    dovecot = Dovecot(small_world, "")
    assert dovecot.deliverer().deliver(JOHN, MAIL) == "maildir"
    assert dovecot.calls() == []


def test_mailboxes_that_are_no_maildirs(small_world: SmallWorld) -> None:
    """A Maildir that is left from before is nothing that anybody reads."""
    dovecot = Dovecot(small_world, OLD + "mail_location = mdbox:~/mdbox\n")
    dovecot.ends("dovecot-lda", 67)
    dovecot.ends("doveadm", 67)
    with pytest.raises(DeliveryError, match="no such user"):
        dovecot.deliverer().deliver(JOHN, MAIL)
    assert dovecot.stored() == 0


def test_what_was_found_at_the_start_is_not_asked_again(dovecot: Dovecot) -> None:
    found = DiscoveredSettings(quota=QuotaFacts("maildir", version=(2, 3), roots=(("quota", "maildir:x"),)))
    dovecot.deliverer()
    config = Config(dovecot.world.load().settings, {}, found=found)
    make_deliverer(config).deliver(JOHN, MAIL)
    assert dovecot.calls()[0][-1] == "plugin/quota=maildir:x:noenforcing"


@pytest.mark.parametrize("address", ["*@example.org", "../x@example.org", "o'brien@example.org", "-d"])
def test_what_is_no_user_of_dovecot(dovecot: Dovecot, address: str) -> None:
    """A wildcard would be many users, a path another mailbox; neither is given to a program."""
    deliverer = dovecot.deliverer()
    with pytest.raises(DeliveryError, match="Dovecot takes no such user name") as caught:
        deliverer.deliver(address, MAIL)
    assert not caught.value.temporary
    assert deliverer.was_delivered(address, "<1@example.org>") is None
    assert dovecot.calls() == []


def test_a_doveadm_in_disguise(dovecot: Dovecot) -> None:
    """A wrapper of the administrator's is called as it is."""
    wrapper: Path = dovecot.folder / "wrapper"
    (dovecot.folder / "doveadm").rename(wrapper)
    dovecot.deliverer("doveadm", f"{wrapper} -c /etc/x.conf").deliver(JOHN, MAIL)
    assert dovecot.calls()[0][1:3] == ["-c", "/etc/x.conf"]


def test_sendmail_finds_nothing_out(dovecot: Dovecot) -> None:
    """What it took may still be on its way."""
    assert dovecot.deliverer("sendmail").was_delivered(JOHN, "<1@example.org>") is None
