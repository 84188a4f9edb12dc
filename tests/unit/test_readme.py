"""The documents say what the program does."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bakery import __version__, schema
from bakery.cli.app import SECTIONS, bgit
from tools import document_files, picture

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text_of(path), re.DOTALL)


def bgit_lines() -> list[list[str]]:
    """Return every `bgit …` that a document's shell blocks hold, as words."""
    lines = []
    for path in DOCUMENTS:
        for line in "".join(blocks(path, "sh")).splitlines():
            for part in re.split(r"&&|\|", line.split("   #")[0]):
                words = shlex.split(part, comments=True)
                if words[:1] == ["bgit"]:
                    lines.append(words[1:])
    return lines


def git_verbs() -> set[str]:
    done = subprocess.run(
        ["git", "--list-cmds=builtins"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_every_command_that_is_shown_exists():
    ours = {name for commands in SECTIONS.values() for name in commands}
    shown = {words[0] for words in bgit_lines()}
    assert shown <= ours | git_verbs()
    assert {"init", "add", "commit", "run", "chat"} <= shown


def test_every_option_that_is_shown_exists():
    context = click.Context(bgit)
    for verb, *words in bgit_lines():
        command = bgit.get_command(context, verb)
        if command is None or verb == "revert":
            continue
        known = {option for param in command.params for option in param.opts}
        assert {word for word in words if word.startswith("-")} <= known


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path):
    links = re.findall(r"\]\(([^)#]+)\)", text_of(path))
    missing = [x for x in links if "://" not in x and not (path.parent / x).exists()]
    assert missing == []


def test_the_example_of_the_quickstart_is_valid():
    example = blocks(ROOT / "docs" / "quickstart.md", "yaml")[0]
    assert schema.load(example).bake.name == "yoda_bake"


def test_the_architecture_names_every_room():
    said = text_of(ROOT / "docs" / "architecture.md")
    rooms = {path.parent for path in (ROOT / "src/bakery").rglob("*/__init__.py")}
    names = {path.relative_to(ROOT / "src/bakery").as_posix() for path in rooms} - {"."}
    inner = {name for name in names if name.startswith("repo/")}  # on the line of their own room
    assert {name for name in names - inner if f"`{name}/`" not in said} == set()
    assert {name for name in inner if f"`{name.partition('/')[2]}/`" not in said} == set()


def test_the_catalogue_of_files_is_what_they_say_of_themselves():
    assert text_of(document_files.PAGE) == document_files.page(), "`make docs` writes it anew"


def test_the_catalogue_names_every_module():
    modules = [path for path in (ROOT / "src").rglob("*.py") if path.name != "__init__.py"]
    listed = text_of(document_files.PAGE).count("\n- `")
    assert listed >= len(modules) > 200


def test_the_test_command_of_the_documents_is_the_one_that_ci_runs():
    assert "make test" in text_of(ROOT / "README.md")
    assert text_of(ROOT / ".ci" / "run").strip().splitlines()[-1] == "make test"


@pytest.mark.parametrize(
    ("name", "line"), [item for commands in SECTIONS.values() for item in commands.items()]
)
def test_the_overview_says_what_the_command_says_of_itself(name, line):
    help_text = bgit.get_command(click.Context(bgit), name).help
    assert help_text.split("\n\n")[0].replace("\n", " ").startswith(line.rstrip("."))


@pytest.mark.parametrize("name", [name for commands in SECTIONS.values() for name in commands])
def test_every_command_explains_itself_within_eighty_columns(name):
    done = CliRunner().invoke(bgit, [name, "--help"], prog_name="bgit")
    assert done.exit_code == 0
    assert max(len(line) for line in done.output.splitlines()) <= 80


def test_the_speed_that_the_readme_tells_was_printed_by_the_benchmark():
    (told,) = [t for t in blocks(ROOT / "README.md", "text") if "a whole bake" in t]
    measured = text_of(ROOT / "docs" / "speed.md").splitlines()
    assert [line for line in told.splitlines() if line not in measured] == []


def test_a_picture_shows_commands_and_answers_and_fetches_nothing():
    drawn = picture.drawn([("bgit status", "a line"), ("bgit tree", "└── <one>")])
    assert "bgit&#160;status" in drawn
    assert "&lt;one&gt;" in drawn
    for svg in (drawn, text_of(picture.PICTURE)):
        assert re.findall(r"(?:url|src|href)\W{0,3}https?:", svg) == []


def test_the_changelog_knows_this_version():
    changelog = text_of(ROOT / "CHANGELOG.md")
    assert "## [Unreleased]" in changelog or f"## [{__version__}]" in changelog
