"""`bakery.Repo`: every verb of bgit from Python, with what its `--json` prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import bakery
from bakery.cli.app import SECTIONS
from bakery.errors import ConfigError, RepoError
from bakery.plain import document
from tests.e2e.conftest import Typist, copied

OF_THE_TERMINAL = {"help", "version", "completion", "ui"}
"""Verbs about the command itself, and the page of a browser: Python has its own."""


@pytest.fixture(scope="module")
def typist(baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    return copied(baked_repository, tmp_path_factory.mktemp("python") / "demo")


@pytest.fixture
def repo(typist: Typist) -> bakery.Repo:
    return bakery.Repo(typist.root, progress=False)


def test_every_verb_of_the_command_is_a_method() -> None:
    verbs = {verb for verbs in SECTIONS.values() for verb in verbs} - OF_THE_TERMINAL
    called = {"import": "import_", "weights": "weights_remote"}
    methods = {called.get(verb, verb.replace("-", "_")) for verb in verbs}
    assert methods <= set(dir(bakery.Repo))


@pytest.mark.parametrize(
    ("words", "ask"),
    [
        (["status"], lambda repo: repo.status()),
        (["models", "--all"], lambda repo: repo.models(everywhere=True)),
        (["tree"], lambda repo: repo.tree()),
        (["show", "first"], lambda repo: repo.show("first")),
        (["diff", "second", "first"], lambda repo: repo.diff("second", "first")),
        (["target", "ls"], lambda repo: repo.targets()),
        (["stim", "--limit", "2"], lambda repo: repo.stim(limit=2)),
        (["rollout", "--limit", "2"], lambda repo: repo.rollout(limit=2)),
        (["metrics", "second"], lambda repo: repo.metrics("second")),
        (["jobs"], lambda repo: repo.jobs()),
        (["check"], lambda repo: repo.check()),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_verb_returns_what_json_prints(
    typist: Typist, repo: bakery.Repo, words: list[str], ask: Any
) -> None:
    printed = json.loads(typist(*words, "--json").out)
    given = json.loads(json.dumps(document(ask(repo).as_data())))
    assert _without_times(given) == _without_times(printed)


def _without_times(data: Any) -> Any:
    """Leave out what a clock or a measurement of this machine says."""
    if isinstance(data, dict):
        moving = ("seconds", "left_s", "cpu", "rate", "memory")
        return {k: _without_times(v) for k, v in data.items() if not k.startswith(moving)}
    return [_without_times(item) for item in data] if isinstance(data, list) else data


def test_a_repository_is_made_and_baked_in(tmp_path: Path) -> None:
    made = bakery.Repo.init(tmp_path / "new", base_model="tiny", progress=False)
    assert made.path == tmp_path / "new"
    text = (
        'PROMPT: {teacher: {messages: [{role: system, content: "You are Yoda."}]}}\n'
        "TARGET: {num_traj_per_stimulus: 1, max_tokens: 8, generators: "
        "[{type: hardcoded, questions: [Who are you?]}]}\n"
        "BAKE: {name: yoda, epochs: 1}\n"
    )
    (made.path / "input.yml").write_text(text, encoding="utf-8")
    made.add("input.yml")
    made.commit("Speak like Yoda")
    assert made.plan().bake_name is not None
    report = made.run(allow=["teacher"])
    assert report.model is not None
    assert str(report.model) == str(made.state.parent)
    assert made.card("yoda").held_out == 0
    assert made.chat("yoda").chat("Who are you?", max_tokens=4)
    exported = made.download("yoda", tmp_path / "out")
    assert (tmp_path / "out" / "adapter_config.json").is_file()
    assert exported.path == tmp_path / "out"
    assert made.revert("yoda").models == (report.model,)
    assert made.state.parent is None


def test_a_repository_starts_from_a_prompt_and_questions(tmp_path: Path) -> None:
    (tmp_path / "brief.md").write_text("You are brief.\n", encoding="utf-8")
    (tmp_path / "asked.txt").write_text("Who are you?\n", encoding="utf-8")
    made = bakery.Repo.init(
        tmp_path / "new", prompt=tmp_path / "brief.md", questions=str(tmp_path / "asked.txt")
    )
    made.add(".")
    made.commit("Be brief")
    plan = made.plan()
    assert plan.sources == ("prompt.md", "questions.txt")
    assert plan.targets[0].stim.teacher.messages[0]["content"] == "You are brief."


def test_a_repository_starts_from_a_template(tmp_path: Path) -> None:
    made = bakery.Repo.init(tmp_path / "new", template="persona")
    assert (made.path / "TEMPLATE.md").is_file()
    assert made.plan("worktree").sources == ("prompt.md", "questions.txt")
    with pytest.raises(ConfigError, match="did you mean `persona`"):
        bakery.Repo.init(tmp_path / "other", template="personna")
    assert not (tmp_path / "other").exists()


def test_what_is_no_repository_is_told(tmp_path: Path) -> None:
    with pytest.raises(RepoError, match="not"):
        bakery.Repo(tmp_path)


def test_wrong_words_are_told(repo: bakery.Repo) -> None:
    with pytest.raises(RepoError, match="no stage is called rollot"):
        repo.run("rollot")
    with pytest.raises(RepoError, match="names no bake"):
        repo.revert("HEAD~1000")
