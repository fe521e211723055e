"""The docs say what the program has."""

from __future__ import annotations

import json
import re
import shlex
from itertools import takewhile
from pathlib import Path
from xml.etree import ElementTree

from mailquota.core.commands.main import root
from mailquota.core.doctor.examine import CHECKS
from mailquota.core.policy.decision import Verdict
from tests import keys_page
from tests.settings_page import page

ROOT = Path(__file__).parent.parent


def test_settings_page_is_of_this_version() -> None:
    """docs/settings.md is what the declarations give."""
    assert (ROOT / "docs" / "settings.md").read_text() == page()


def test_keys_page_is_of_this_version() -> None:
    """docs/keys.md is what the bindings give."""
    assert (ROOT / "docs" / "keys.md").read_text() == keys_page.page()


def test_every_picture_of_the_readme_is_there() -> None:
    """No broken image."""
    readme = (ROOT / "README.md").read_text()
    names = [part.partition(")")[0] for part in readme.split("](")[1:]]
    assert not [name for name in names if not name.startswith("http") and not (ROOT / name).exists()]


def test_letters_of_pictures_are_as_wide_as_their_cells() -> None:
    """Else a program that knows no textLength draws long lines too long, and a plot as if it fell at its end."""
    for picture in (ROOT / "screenshots").glob("*.svg"):
        text = picture.read_text()
        cells = re.findall(r'textLength="([\d.]+)" clip-path="[^"]*line-\d+\)">(\w+)</text>', text)
        size = re.search(r"font-size: ([\d.]+)px;\s+line-height", text)
        assert size, picture
        letter = float(size[1]) * 1200 / 1950  # of Fira Code
        assert {round(float(length) / len(word), 2) for length, word in cells} == {round(letter, 2)}, picture


def test_the_animation_is_small_and_can_be_played() -> None:
    """Half a minute; the times of the asciicast never go back; letters of the SVG are as wide as their cells."""
    folder = ROOT / "screenshots" / "animation"
    assert all(path.stat().st_size < 1_000_000 for path in folder.iterdir())
    header, *events = map(json.loads, (folder / "demo.cast").read_text().splitlines())
    assert (header["version"], header["width"], header["height"]) == (2, 100, 28)
    times = [at for at, _kind, _text in events]
    assert times == sorted(times)
    assert 25 < times[-1] < 45
    picture = (folder / "demo.svg").read_text()
    ElementTree.fromstring(picture)  # noqa: S314 - our own
    letter = float(re.findall(r"font:([\d.]+)px", picture)[0]) * 1200 / 1950  # of Fira Code
    cells = re.findall(r'textLength="([\d.]+)">(\w+)</text>', picture)
    assert {round(float(length) / len(word), 2) for length, word in cells} == {round(letter, 2)}


def test_every_command_and_every_option_is_in_the_docs() -> None:
    """In a code span of the README: each command, each option of any, also those for all, and variables of theirs."""
    text = re.sub(r"```.*?```", "", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    named = set(re.findall(r"[\w-]+", " ".join(re.findall(r"`([^`]+)`", text))))
    context = root.make_context("mailquota", [], resilient_parsing=True)
    commands = [root, *(root.get_command(context, name) for name in root.list_commands(context))]
    ours = set(root.list_commands(context))
    for command in commands:
        assert command is not None
        for param in command.get_params(context):
            ours |= {option for option in param.opts if option.startswith("--")}
            ours |= set(re.findall(r"\b[A-Z]+_[A-Z]+\b", getattr(param, "help", None) or ""))
    assert {"--help", "--version", "--no-color", "NO_COLOR", "MAILQUOTA_CONFIG", "--accounts", "--until"} <= ours
    assert ours - named == set()


def test_every_command_line_in_the_docs_is_one() -> None:
    """In blocks for a shell: the command is there, and has the options."""
    context = root.make_context("mailquota", [], resilient_parsing=True)
    shared = {option for param in root.get_params(context) for option in param.opts}
    lines = [
        line
        for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), flags=re.DOTALL)
        for line in re.findall(r"^ *(?:\S*/)?mailquota +(.*)$", block, re.MULTILINE)
    ]
    assert {"install --apply", "uninstall --apply --purge", "reload --restart"} <= {" ".join(words(x)) for x in lines}
    for line in lines:
        name = next((word for word in words(line) if word[0] != "-"), "")
        command = root.get_command(context, name) if name else root
        assert command is not None, line
        options = shared | {option for param in command.params for option in param.opts}
        assert {word.partition("=")[0] for word in words(line) if word.startswith("--")} <= options, line


def words(line: str) -> list[str]:
    """Of a command, up to what the shell does with what it says."""
    return list(takewhile(lambda word: word not in {"|", "&&", ">", ";"}, shlex.split(line, comments=True)))


def test_every_verdict_is_explained() -> None:
    """docs/decisions.md has a row for each."""
    text = (ROOT / "docs" / "decisions.md").read_text()
    assert [f"`{verdict}`" for verdict in Verdict] == re.findall(r"^\| (`[a-z_]+`) \|", text, re.MULTILINE)


def test_every_check_of_the_doctor_is_explained() -> None:
    """docs/checks.md has a heading for each, in their order, which is where a finding leads."""
    text = (ROOT / "docs" / "checks.md").read_text()
    assert [check.name for check in CHECKS] == re.findall(r"^### (.*)$", text, re.MULTILINE)


def test_every_page_is_reached() -> None:
    """Links between the pages lead somewhere, and each page is linked from the README or another one."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    found = {
        (page.parent / link).resolve()
        for page in pages
        for link in re.findall(r"\]\(((?!http)[^)#]+\.md)", page.read_text())
    }
    assert not [page for page in found if not page.exists()]
    assert {page.resolve() for page in (ROOT / "docs").glob("*.md")} <= found


def test_every_file_that_the_map_of_the_house_names_is_there() -> None:
    """In CONTRIBUTING.md: paths from the top of the checkout, also with ``*``, and names of modules alone."""
    named = re.findall(r"`([\w*./-]+)`", (ROOT / "CONTRIBUTING.md").read_text())
    paths = [name for name in named if name.startswith(("core/", "tui/", "tests/", "packaging/", "docs/"))]
    alone = [name for name in named if name.endswith(".py") and "/" not in name]
    assert len(paths) > 50
    assert not [path for path in paths if not list(ROOT.glob(path.rstrip("/")))]
    assert not [name for name in alone if not list(ROOT.glob(f"[cpt]*/**/{name}"))]


def test_no_page_holds_a_merge_half_done() -> None:
    """Nor does the code; two texts side by side are one too many."""
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").iterdir(), *(ROOT / "completion").iterdir()]
    marks = re.compile(r"^(<{7} .*|={7}|>{7} .*)$", re.MULTILINE)
    assert not [path.name for path in texts if path.is_file() and marks.search(path.read_text())]


def test_every_test_of_the_security_page_is_there() -> None:
    """Each promise names what holds it."""
    text = (ROOT / "SECURITY.md").read_text()
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", text))
    assert len(named) > 10
    assert not [name for name in named if not re.search(r"^def test_", (ROOT / name).read_text(), re.MULTILINE)]
    promises = text.partition("## What it promises")[2].partition("## What it does not")[0]
    assert all("`tests/" in one for one in promises.split("\n- ")[1:])
