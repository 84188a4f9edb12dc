"""An empty argument is a variable that a script never set: nothing is taken in its place."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from bakery.app import blame, meaning
from bakery.cli.app import bgit, names
from bakery.cli.said import Place
from bakery.errors import ConfigError, RepoError
from bakery.reporting import Quiet
from tests.support import recorded
from tests.support.commands import typed_here


@pytest.mark.parametrize(
    "words",
    [
        ("eval", ""),
        ("eval", "yoda", "--neutral", ""),
        ("eval", "yoda", "--ifeval", " "),
        ("eval", "yoda", "--against", ""),
        ("chat", "", "-m", "Who?"),
        ("chat", "yoda", "-m", ""),
        ("blame", "--weights", ""),
        ("blame", "--weights", "Who?", ""),
        ("bisect", "--weights", "--question", "", "--contains", "Zed"),
        ("bisect", "--weights", "--question", "Who?", "--contains", ""),
        ("report", "--out", ""),
        ("test", "--file", ""),
        ("import", ""),
    ],
)
def test_what_is_empty_is_refused(workplace: Path, words: tuple[str, ...]) -> None:
    done = typed_here(*words)
    assert done.exit_code == 2
    assert any(told in done.output for told in ("is empty", "is not empty", "nothing is said"))


def test_no_path_of_ours_is_taken_as_it_comes() -> None:
    for name in names():
        command = bgit.get_command(click.Context(bgit), name)
        paths = [one for one in command.params if isinstance(one.type, click.Path)]
        assert all(isinstance(one.type, Place) for one in paths), name


def test_an_empty_name_means_no_model(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = recorded.made(workplace / "yoda")
    monkeypatch.chdir(made.root)
    recorded.baked(made, "pirate")
    with pytest.raises(RepoError, match="there is no model ''"):
        made.find_model("")
    with pytest.raises(ConfigError, match="the name of a model is empty"):
        meaning.find(made, "")
    with pytest.raises(ConfigError, match="a question is empty"):
        blame.blame(made, "pirate", ["Who?", " "], reporter=Quiet())
