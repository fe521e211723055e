"""A script of Dovecot's that warns beside mailquota."""

from __future__ import annotations

import msgspec
import pytest

from mailquota.core.doctor.dovecot.checks import DOVECOT_CHECKS
from mailquota.core.doctor.dovecot.facts import DovecotFacts
from mailquota.core.doctor.examine import judge
from mailquota.core.doctor.model import Facts, Finding
from mailquota.core.settings.config import Config
from mailquota.core.settings.declared import Warnings
from tests.core.doctor.dovecot.dovecots import BULLSEYE, TRIXIE, TRIXIE_MAILDIR, facts, healthy, our_settings, replacing

OURS = "service quota-warning {\n  executable = script /usr/local/bin/mailquota warn\n  user = vmail\n}\n"


def say(dovecot: DovecotFacts, config: Config | None = None) -> Finding:
    (check,) = [one for one in DOVECOT_CHECKS if one.name == "quota-warning-twice"]
    return judge(Facts(config=config or our_settings(), dovecot=dovecot), (check,))[0]


@pytest.mark.parametrize(("name", "marks"), [(BULLSEYE, "storage=95%, storage=80%"), (TRIXIE, "80%")])
def test_the_recipes_script_and_mailquota_are_one_too_many(name: str, marks: str) -> None:
    """With both ways out: the lines of the first can be pasted, the second is told."""
    dovecot = facts(name)
    finding = say(dovecot)
    assert finding.state == "warn"
    assert f"Dovecot runs {dovecot.scripts[0].path} at " in finding.found
    assert marks in finding.found
    assert finding.found.endswith("and mailquota warns at 80 %, 95 %")
    assert f"cat >> /etc/dovecot/dovecot.conf <<'EOF'\n{OURS}EOF\ndoveadm reload\n# or " in finding.fix
    assert "#   thresholds = []\n" in finding.fix
    assert "(mailquota config --write /etc/mailquota/mailquota.toml makes it)" in finding.fix


@pytest.mark.parametrize("name", [BULLSEYE, TRIXIE])
def test_mailquota_in_its_place_is_what_is_wanted(name: str) -> None:
    """By itself, or called by a script."""
    assert say(facts(name, replacing(facts(name).scripts[0].path, "/opt/mailquota/bin/mailquota warn"))).state == "ok"
    server = healthy(name)
    server.files[facts(name).scripts[0].path] = '#!/bin/sh\nexec "/usr/local/bin/mailquota" warn "$@"\n'
    assert say(server.gather()).state == "ok"


def test_a_path_that_only_resembles_ours_is_the_scripts() -> None:
    server = healthy(BULLSEYE)
    text = "#!/bin/sh\n# as mailquota warn does\ndovecot-lda -d $2 < /etc/mailquota-texts/mailquota.txt\n"
    server.files["/usr/local/bin/quota-warning.sh"] = text
    assert say(server.gather()).state == "warn"


def test_where_one_of_the_two_warns_nobody_is_blamed() -> None:
    assert say(facts(TRIXIE_MAILDIR)).state == "ok"
    ours = our_settings()
    silent = msgspec.structs.replace(ours.settings, warnings=Warnings(thresholds=()))
    assert say(facts(BULLSEYE), msgspec.structs.replace(ours, settings=silent)).state == "ok"


def test_a_script_that_is_closed_to_us_is_not_judged() -> None:
    server = healthy(BULLSEYE)
    del server.files["/usr/local/bin/quota-warning.sh"]
    finding = say(server.gather())
    assert (finding.state, finding.fix) == ("skip", "")
    assert "Permission denied" in finding.found


def test_without_the_owner_of_the_mailboxes_the_docs_have_the_lines() -> None:
    assert "docs/warnings.md" in say(msgspec.structs.replace(facts(BULLSEYE), mail_owner=())).fix
