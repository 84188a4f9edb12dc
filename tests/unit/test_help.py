"""`bgit help` and `bgit version`: ours for what is ours, git's for what is git's."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest

from bakery import __version__
from bakery.cli import manual
from bakery.cli.app import bgit, names
from tests.support.commands import typed, typed_here

ROOT = click.Context(bgit)


@pytest.mark.parametrize("name", names())
def test_every_command_has_a_page_with_examples_it_understands(name):
    command = bgit.get_command(ROOT, name)
    assert command is not None
    text = manual.page(name, command)
    assert text.startswith(f"NAME\n    bgit {name} - ")
    assert max(map(len, text.splitlines())) <= 80
    lines = manual.written(name)["EXAMPLES"].splitlines()
    examples = [line[2:] for line in lines if line.startswith("$ ")]
    assert examples
    for example in examples:
        check(example)


def check(example: str) -> None:
    """Refuse an example whose options its command does not have."""
    words = shlex.split(example.replace("<(", "").rstrip(")"), comments=True)
    at = words.index("bgit")
    if (name := words[at + 1]) not in names():
        raise AssertionError(example)
    own = [w for w in words[at + 2 :] if w.startswith("-")]
    command = bgit.get_command(ROOT, name)
    assert command is not None
    known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
    gits = {"--cached", "--build-options", "--all", "-r", "--strict", "--connectivity-only"}
    gits |= {"--no-dangling", "--prune=now", "--rebase", "-n", "-u"}
    valued = {word for word in own if word.partition("=")[0] in known}
    assert [word for word in own if word not in known | gits | valued] == []


def test_no_page_is_of_a_command_that_is_gone():
    pages = {path.stem for path in (Path(manual.__file__).parent / "pages").iterdir()}
    assert pages == set(names())


@pytest.mark.parametrize("name", names())
def test_a_page_names_only_pages_that_there_are(name):
    assert set(manual.written(name)["SEE ALSO"].split()) <= set(names()) - {name}


def test_help_of_a_command_is_its_page(workplace):
    done = typed_here("help", "run")
    assert done.exit_code == 0
    assert "SYNOPSIS" in done.output
    assert "    $ bgit run stim rollout\n" in done.output
    assert "--detach" in done.output


def test_help_alone_is_the_overview(workplace):
    assert typed_here("help").output == typed_here("--help").output


@pytest.mark.parametrize("verb", ["status", "run"])
def test_the_short_help_leads_to_the_long_one(verb):
    assert f"`bgit help {verb}` has examples." in typed_here(verb, "--help").output


def test_help_of_a_verb_of_git_s_is_git_s(workplace):
    ours, gits = typed("help", "-g"), typed("help", "--guides")
    assert ours.returncode == 0
    assert ours.stdout == gits.stdout
    assert "everyday" in ours.stdout


def test_help_of_a_misspelt_verb_names_the_nearest(workplace):
    done = typed("help", "rnu")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no verb 'rnu'" in done.stderr
    assert "did you mean `run`?" in done.stderr
    assert "did you mean `rebase`?" in typed("help", "rebsae").stderr


def test_version_names_both(workplace):
    first, second = typed("version").stdout.splitlines()
    assert first == f"bgit {__version__}"
    assert second.startswith("git version ")


def test_version_with_options_is_git_s(workplace):
    assert "sizeof-long" in typed("version", "--build-options").stdout


def test_a_list_of_a_page_keeps_its_lines():
    page = manual.page("merge", bgit.get_command(click.Context(bgit), "merge"))
    lines = page.splitlines()
    assert "    WAYS" in lines
    assert any(line.startswith("    svd      the nearest") for line in lines)
