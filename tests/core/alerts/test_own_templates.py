"""An administrator's own templates: used where possible, reported where not; a mail is made in any case."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mailquota.core.alerts import own_templates as own_module
from mailquota.core.alerts.message import Mail, compose, compose_copy, compose_digest
from tests.core.alerts.letters import facts, letter, own, parsed

PLAIN = "Subject: {{ address }}: {{ percent }} %\n\n{{ used|size }} of {{ limit|size }}, {{ messages|number }}\n"


def mail_with(templates: Path, language: str = "en", seconds: float = 1.0) -> Mail:
    return compose(facts(), letter(language, templates=templates, seconds=seconds))


def words(mail: Mail) -> tuple[str, ...]:
    return mail.subject, mail.text, mail.html, mail.language


def test_an_own_text_is_all_that_is_sent(tmp_path: Path) -> None:
    """Without an own HTML part there is none: the built-in one would say something else."""
    mail = mail_with(own(tmp_path, en__warning_txt=PLAIN))
    assert (mail.subject, mail.text) == ("john@example.org: 96 %", "4.8 GiB of 5 GiB, 18,201\n")
    assert (mail.html, mail.remark) == ("", None)
    read = parsed(mail.message)
    assert read.get_content_type() == "text/plain"
    assert read.get_content() == mail.text


def test_the_example_of_the_docs(tmp_path: Path) -> None:
    """docs/warnings.md shows one that works."""
    page = (Path(__file__).parents[3] / "docs" / "warnings.md").read_text()
    example = page.partition("```\nSubject: ")[2].partition("```")[0]
    mail = mail_with(own(tmp_path, de__warning_txt=f"Subject: {example}"), "de")
    assert mail.remark is None
    assert mail.subject == "Ihr Postfach ist zu 96 % voll"
    assert "noch 190 MiB frei.\nIm Papierkorb liegen 2,1 GiB.\n2,1 GiB in Trash\n1,9 GiB in INBOX\n" in mail.text


def test_text_and_html_of_ones_own(tmp_path: Path) -> None:
    """What comes from outside is escaped for HTML."""
    html = "<p>{{ folders[0].name }} & {{ '<b>' }}</p>"
    mail = mail_with(own(tmp_path, de__warning_txt=PLAIN, de__warning_html=html), "de")
    assert mail.text == "4,8 GiB of 5 GiB, 18.201\n"
    assert mail.html == "<p>Trash & &lt;b&gt;</p>"
    assert (mail.language, mail.remark) == ("de", None)


def test_own_html_beside_the_built_in_text(tmp_path: Path) -> None:
    mail = mail_with(own(tmp_path, en__warning_html="<p>{{ percent }}</p>"))
    assert mail.html == "<p>96</p>"
    assert mail.subject == "Your mailbox john@example.org is 96 % full"


def test_a_built_in_layout_can_be_copied_and_changed(tmp_path: Path) -> None:
    """What it includes and extends is there."""
    built_in = Path(own_module.__file__).parent / "templates"
    files = {f"en__warning_{end}": (built_in / f"warning.{end}").read_text() for end in ("txt", "html")}
    mail = mail_with(own(tmp_path, **files))
    assert words(mail) == words(compose(facts(), letter()))
    assert mail.remark is None


def test_a_language_of_ones_own_is_one_file(tmp_path: Path) -> None:
    """words.txt of the built-in templates; all kinds of mail use it."""
    english = Path(own_module.__file__).parent / "templates" / "en" / "words.txt"
    words = english.read_text().replace("Hello,", "Buongiorno,")
    folder = own(tmp_path, it__words_txt=words)
    for mail in (mail_with(folder, "it"), compose_digest([facts()], letter("it", templates=folder))):
        assert mail.text.startswith("Buongiorno,\n")
        assert "Buongiorno," in mail.html
        assert (mail.language, mail.remark) == ("it", None)


def test_files_can_share_others(tmp_path: Path) -> None:
    """Names are those within the folder."""
    folder = own(tmp_path, en__warning_txt=PLAIN + "{% include 'foot.txt' %}", foot_txt="The postmaster\n")
    assert mail_with(folder).text.endswith("The postmaster\n")


def test_own_templates_know_tests_and_copies(tmp_path: Path) -> None:
    """The subject is marked whether they look at it or not."""
    folder = own(tmp_path, en__warning_txt="Subject: x\n\n{{ test }} {{ copy }}")
    mail = compose_copy(facts(test=True), letter(templates=folder))
    assert (mail.subject, mail.text) == ("[Test, Copy] x", "True True\n")


@pytest.mark.parametrize("language", ["it", "../de", "", "deutsch"])
def test_an_unknown_language_is_english(tmp_path: Path, language: str) -> None:
    """It is named in the remark, and can't lead to other folders."""
    own(tmp_path, de__warning_txt="Subject: wrong\n\nwrong\n")
    (tmp_path / "templates").mkdir()
    mail = mail_with(tmp_path / "templates", language)
    assert mail.language == "en"
    assert mail.remark == f"there are no texts in the language {language!r}, so it is en"
    assert mail.subject == "Your mailbox john@example.org is 96 % full"


def test_a_region_has_its_own_texts_or_those_of_its_language(tmp_path: Path) -> None:
    folder = own(tmp_path, de__warning_txt="Subject: de\n\nde\n")
    assert mail_with(folder, "de-AT").subject == "de"
    own(folder, **{"de-AT__warning_txt": "Subject: at\n\nat\n"})
    assert mail_with(folder, "de-AT").subject == "at"


def test_a_missing_folder_is_none(tmp_path: Path) -> None:
    """The setting names one by default."""
    assert mail_with(tmp_path / "none").remark is None
    assert mail_with(tmp_path).remark is None


BAD = {
    "{% if %}": "line 3: Expected an expression",
    "\n{{ used|size }} {{ typo }}": "line 4: 'typo' is undefined",
    "{{ used|sice }}": "line 3: No filter named 'sice'",
    "{{ 1 / 0 }}": "line 3: division by zero",
    "{{ ''.__class__.__mro__ }}": "line 3: access to attribute '__class__' of 'str' object is unsafe",
    "{{ folders.append(1) }}": "line 3: ",
    "{% include '../../etc/passwd' %}": "line 3: there is no template ../../etc/passwd",
    "{% include 'none.txt' %}": "line 3: there is no template none.txt",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}": "line 3: maximum recursion depth",
    "{{ " + "(" * 50_000 + " }}": "maximum recursion depth",
    "{% for a in b %}" * 30 + "{% endfor %}" * 30: "too many statically nested blocks",
    "{{ range(10 ** 9) }}": "line 3: Range too big",
    "{{ 'a' * 10 ** 10 }}": "line 3: needs too much memory",
    "{{ '%9999999999d'|format(1) }}": "line 3: needs too much memory",
    "{% set n = namespace(x='a') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}": "line 3: ",
    "{% for i in range(9999) %}{{ 'x' * 9999 }}{% endfor %}": "gives more than 1,000,000 characters",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}": "line 3: takes more than 0.2 s",
    "{% for a in range(99999) %}{{ range(99999)|sum }}{% endfor %}": "line 3: takes more than 0.2 s",
}


@pytest.mark.parametrize(("body", "fault"), BAD.items(), ids=lambda text: text[:30])
def test_a_bad_template_is_named_and_the_built_in_one_used(tmp_path: Path, body: str, fault: str) -> None:
    """By file, line and fault, and whatever it wants of the machine it does not get."""
    folder = own(tmp_path, en__warning_txt=f"Subject: x\n\n{body}\n")
    mail = mail_with(folder, seconds=0.2)
    assert mail.remark
    assert mail.remark.startswith(f"{folder}/en/warning.txt")
    assert fault in mail.remark
    assert mail.remark.endswith("; not used")
    assert words(mail) == words(compose(facts(), letter()))


def test_what_no_timer_interrupts_is_killed(tmp_path: Path) -> None:
    """A power that takes a year, in one step of the interpreter."""
    mail = mail_with(own(tmp_path, en__warning_txt="Subject: x\n\n{{ 7 ** (10 ** 8) }}"), seconds=0.1)
    assert mail.remark == f"{tmp_path}/en/warning.txt: takes more than 0.1 s; not used"


def test_the_line_is_that_of_the_file_with_the_fault(tmp_path: Path) -> None:
    folder = own(tmp_path, en__warning_txt=PLAIN + "{% include 'foot.txt' %}", foot_txt="\n{{ typo }}\n")
    assert mail_with(folder).remark == f"{folder}/foot.txt, line 2: 'typo' is undefined; not used"


@pytest.mark.parametrize("text", ["", "Hello", "Subject:\n\nHello", "\n\nTo: x\n"])
def test_a_text_must_have_its_subject(tmp_path: Path, text: str) -> None:
    mail = mail_with(own(tmp_path, en__warning_txt=text))
    assert mail.remark == f'{tmp_path}/en/warning.txt, line 1: expected "Subject: …"; not used'


def test_a_subject_is_one_line_without_controls(tmp_path: Path) -> None:
    """Whatever a template makes of it."""
    text = "Subject: a{{ '\\r\\x1b\\ud800' }}b" + "c" * 300 + "\nBcc: eve@example.com\n\nt{{ '\\x00\\ud800' }}"
    mail = mail_with(own(tmp_path, en__warning_txt=text))
    assert mail.remark is None
    assert mail.subject == "a \\x1b\\ud800b" + "c" * 187 + "…"
    assert mail.text == "Bcc: eve@example.com\n\nt\\x00\\ud800\n"
    assert parsed(mail.message)["Bcc"] is None


def not_utf8(path: Path) -> str:
    path.write_bytes(b"Subject: x\n\n\xe4\n")
    return ", line 3: is not UTF-8"


def a_folder(path: Path) -> str:
    path.mkdir()
    return ": Is a directory"


def a_fifo(path: Path) -> str:
    os.mkfifo(path)
    return ": is not a file"


def a_loop(path: Path) -> str:
    path.symlink_to(path)
    return ": Too many levels of symbolic links"


def a_dangling_link(path: Path) -> str:
    path.symlink_to("/nonexistent")
    return ": No such file or directory"


def endless(path: Path) -> str:
    path.symlink_to("/dev/zero")
    return ": is not a file"


def huge(path: Path) -> str:
    path.write_bytes(b"x" * 1_000_001)
    return ": has more than 1,000,000 bytes"


@pytest.mark.parametrize("spoil", [not_utf8, a_folder, a_fifo, a_loop, a_dangling_link, endless, huge])
def test_a_file_that_is_none(tmp_path: Path, spoil: object) -> None:
    (tmp_path / "en").mkdir()
    assert callable(spoil)
    fault = spoil(tmp_path / "en" / "warning.txt")
    assert mail_with(tmp_path).remark == f"{tmp_path}/en/warning.txt{fault}; not used"


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    """A file, a loop, or not to be entered."""
    file, loop = tmp_path / "file", tmp_path / "loop"
    file.write_text("")
    loop.symlink_to(loop)
    assert mail_with(file).remark == f"{file}/en/warning.txt: Not a directory; not used"
    assert mail_with(loop).remark == f"{loop}/en/warning.txt: Too many levels of symbolic links; not used"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_folder_without_rights_is_named(tmp_path: Path) -> None:
    """Root may read everything; the user of a service may not."""
    code = (
        "import os, sys; from pathlib import Path; sys.path.insert(0, os.getcwd())\n"
        "from tests.core.alerts.test_own_templates import mail_with\n"
        "mail_with(Path('/nonexistent'))  # loads what the other user may have no access to\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "print(mail_with(Path('/proc/1/root')).remark)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "/proc/1/root/en/warning.txt: Permission denied; not used\n"


def test_where_no_process_can_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    mail = mail_with(own(tmp_path, en__warning_txt=PLAIN))
    assert mail.remark == f"{tmp_path}: the templates can't be tried: No such file or directory; not used"


def test_where_the_process_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remark has what it wrote to standard error."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho 'no room' >&2; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    mail = mail_with(own(tmp_path, en__warning_txt=PLAIN))
    assert mail.remark == f"{tmp_path}/en/warning.txt: failed: no room; not used"


def test_where_the_process_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a share that is away, say."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(own_module, "START_SECONDS", 0.1)
    mail = mail_with(own(tmp_path, en__warning_txt=PLAIN), seconds=0.1)
    assert mail.remark == f"{tmp_path}: the templates were not done within 0.2 s; not used"


def test_it_needs_no_environment(tmp_path: Path) -> None:
    """Dovecot starts programs without PATH."""
    own(tmp_path, en__warning_txt=PLAIN)
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from pathlib import Path; from tests.core.alerts.test_own_templates import mail_with\n"
        f"mail = mail_with(Path({str(tmp_path)!r})); print(mail.remark, mail.subject)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env={}, capture_output=True, text=True, check=True)
    assert done.stdout == "None john@example.org: 96 %\n"
