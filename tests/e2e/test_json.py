"""What `--json` prints, command by command: a document alone on stdout, which says its schema."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import bakery
from bakery.cli.app import bgit, names
from tests.e2e.conftest import Typist, copied
from tests.support.commands import typed_here

ROOT = click.Context(bgit)
SOURCE = Path(bakery.__file__).parent

LINES = [
    "bisect --weights --question q1 --regex . --max-tokens 2",
    "blame --weights --max-tokens 2 q1",
    "chat -m q1 -m q2 --max-tokens 2",
    "chat -m q1 --each --max-tokens 2",
    "check",
    "diff first second",
    "diff --weights first second",
    "download -o ../weights",
    "eval --only leakage --limit 1",
    "fetch",
    "fsck --weights-only",
    "fsck --remote",
    "gc --dry-run",
    "gc --remote",
    "import ../source",
    "init ../new --base-model tiny",
    "jobs",
    "metrics",
    "metrics first second",
    "metrics --watch",
    "models",
    "pull --weights-only",
    "push --weights-only",
    "rebase --base-model tiny --dry-run",
    "report",
    "reproduce --dry-run first",
    "rollout",
    "rollout --count",
    "run",
    "run --dry-run",
    "show parent",
    "show base",
    "status",
    "stim",
    "target",
    "test",
    "tree",
    "weights remote",
]
"""A line of each command that has --json, in a repository with two bakes."""

FOUND_WANTING = ("bisect", "test")
"""Commands whose answer may be 1 here: there is a document nonetheless."""

TESTS = "tests:\n  - question: q1 what?\n    max_tokens: 99\n"


@pytest.fixture(scope="module")
def place(baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """A repository with two bakes, tests, and an input.yml as the first was configured."""
    place = copied(baked_repository, tmp_path_factory.mktemp("json") / "demo")
    copied(baked_repository, place.root.parent / "source")
    place.must("weights", "remote", str(place.root.parent / "remote"))
    place.write(TESTS, "tests.yml")
    place.git("add", "tests.yml")
    place.git("commit", "-q", "-m", "Say what to test")
    return place


@pytest.fixture
def here(place: Typist, monkeypatch: pytest.MonkeyPatch) -> Typist:
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(place.root)
    return place


def with_json() -> set[str]:
    """Return the commands that have --json."""
    found = ((name, bgit.get_command(ROOT, name)) for name in names())
    return {
        name
        for name, command in found
        if command and any("--json" in p.opts for p in command.params)
    }


@pytest.mark.parametrize("line", LINES)
def test_a_document_says_its_schema(here: Typist, line: str) -> None:
    words = line.split()
    done = typed_here(*words, "--json")
    assert done.exit_code in ((0, 1) if words[0] in FOUND_WANTING else (0,)), done.output
    seen = list(documents(done.stdout))
    assert seen or words[0] == "jobs"
    assert [one.get("schema") for one in seen] == [1] * len(seen)


def test_every_command_is_tried() -> None:
    # They need a server (test_serve, test_ui, test_verify, test_publish), or change the branch
    # (test_joined).
    elsewhere = {"serve", "ui", "verify", "publish", "merge", "cherry-pick", "revert"}
    assert {line.split()[0] for line in LINES} | elsewhere == with_json()


def test_a_door_prints_json_in_one_place_alone() -> None:
    """What goes round it would say no schema; what is left are cells of tables and files."""
    places = {
        path.relative_to(SOURCE).as_posix()
        for room in ("cli", "ui")
        for path in (SOURCE / room).rglob("*.py")
        if _dumps(path)
    }
    others = {"ui/questions.py", "ui/report/prompts.py", "ui/slash.py", "ui/target.py"}
    assert places - others == {"ui/console.py"}


def documents(text: str) -> Iterator[dict[str, object]]:
    """Read one document, the entries of a list, or one document a line."""
    try:
        whole = json.loads(text)
    except ValueError:
        whole = [json.loads(line) for line in text.splitlines()]
    yield from whole if isinstance(whole, list) else [whole]


def _dumps(path: Path) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.Attribute) and node.attr == "dumps" for node in ast.walk(tree))
