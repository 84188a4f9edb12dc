"""Every verb gives a typed object, and its `as_data` is the JSON that the command prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bakery.app import check, jobs
from bakery.app.adopt import adopt
from bakery.app.import_ import Imported
from bakery.app.reproduced import Again, Compared, Reproduced
from bakery.app.revert import revert
from bakery.records import Stimulus, Trajectory, append_rows
from bakery.repo.look import diff, metrics, models, questions, show, status, target
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.store import results
from tests.support import recorded

CARD = {"held_out", "tokens", "kl_before", "kl_after", "prompt_tokens_saved"}


@pytest.fixture
def repo(workplace: Path) -> ModelRepo:
    repo = recorded.made(workplace / "yoda")
    recorded.baked(repo, "one")
    recorded.baked(repo, "two")
    return repo


LOOKS: dict[str, tuple[Callable[[ModelRepo], Any], list[str]]] = {
    "status": (
        status.status,
        ["repository", "root", "branch", "base", "parent", "former_parent", "parent_problem",
         "has_weights", "chain", "is_configured", "problem", "draft_problem", "targets", "bake",
         "stages", "changes", "pending", "warnings", "commented", "jobs", "fetchable", "latest",
         "unrecorded", "refused", "waiting", "card", "joined", "loss", "seconds", "allowed", "gate",
         "store", "store_bytes"],
    ),
    "tree": (ModelRepo.lineage, ["base", "current", "branches", "bakes", "problems", "former"]),
    "models": (
        lambda repo: models.models(repo, limit=1),
        ["name", "model", "is_base", "is_current", "revision", "digest"],
    ),
    "target": (
        lambda repo: target.find(repo, "one_target"),
        ["name", "id", "stim_id", "teacher", "student", "stimuli", "trajectories", "writers",
         "digests", "bakes", "is_configured", "has_questions", "has_answers", "generators",
         "sampling"],
    ),
    "diff": (
        lambda repo: diff.diff(repo, ["one", "two"]),
        ["schema", "old", "new", "added", "removed", "prompts", "settings", "results"],
    ),
    "check": (
        check.check,
        ["valid", "source", "repository", "base", "parent", "is_empty", "targets", "bake", "cost",
         "warnings"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("verb", LOOKS)
def test_what_a_look_finds_has_the_keys_that_json_prints(repo: ModelRepo, verb: str) -> None:
    look, keys = LOOKS[verb]
    data = read_again(look(repo).as_data())
    assert list(data[0] if isinstance(data, list) else data) == keys


def test_a_model_is_its_full_name_and_says_what_its_card_does(repo: ModelRepo) -> None:
    last = read_again(models.models(repo, limit=1).as_data())[-1]
    assert last["model"] == str(repo.bakes()[-1].model)
    assert last["models"] == [last["model"]]
    assert (last["kl"], last["is_current"]) == (0.045678, True)
    assert set(last["card"]) >= CARD


def test_a_shown_bake_holds_its_whole_block(repo: ModelRepo) -> None:
    bake = repo.bakes()[0]
    data = read_again(show.describe(repo, bake).as_data())
    assert list(data)[:12] == [
        "name", "id", "model", "chain", "lost_parent", "commit", "date", "branches", "tags",
        "is_current", "weights", "bake_name",
    ]  # fmt: skip
    assert data["card"] == read_again(bake.data["card"])


def test_a_file_that_cannot_run_says_its_problems(repo: ModelRepo, tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("TARGET: 3\n", encoding="utf-8")
    found = check.check(repo, tmp_path / "bad.yml")
    data = read_again(found.as_data())
    assert list(data) == ["valid", "source", "problems", "hint"]
    assert data["valid"] is False
    assert found.error is not None


def test_a_page_of_questions_and_answers_says_how_many_there_are(tmp_path: Path) -> None:
    asked = [Stimulus(t, ({"role": "user", "content": t},), "hardcoded", "x", 0) for t in "abc"]
    append_rows(tmp_path / results.STIMULI, asked)
    answers = [Trajectory(t, 0, (1, 2), t.upper(), "stop", "base") for t in "abc"]
    append_rows(tmp_path / results.TRAJECTORIES, answers)
    folders = questions.Folders("t_1", tmp_path, tmp_path)
    data = read_again(questions.questions(folders, limit=1, offset=1).as_data())
    assert list(data) == ["target", "complete", "count", "offset", "generators", "stimuli"]
    assert (data["count"], [row["id"] for row in data["stimuli"]]) == (3, ["b"])
    data = read_again(questions.answers(folders, limit=2).as_data())
    assert list(data) == [
        "target", "complete", "count", "tokens", "finish", "models", "offset", "answers"
    ]  # fmt: skip
    assert (data["tokens"], data["finish"], len(data["answers"])) == (6, {"stop": 3}, 2)


def test_metrics_are_one_bake_or_a_list(repo: ModelRepo) -> None:
    first, second = repo.bakes()
    for bake in (first, second):
        row = json.dumps({"step": 1, "loss": 0.5}) + "\n"
        (repo.store.bake(bake.id) / results.METRICS).write_text(row, encoding="utf-8")
    one = read_again(metrics.metrics(repo, ["one"]).as_data())
    assert list(one) == ["bake", "metrics", "series"]
    both = read_again(metrics.metrics(repo, ["one", "two"]).as_data())
    assert [each["bake"] for each in both] == [first.name, second.name]


def test_no_job_is_an_empty_list(repo: ModelRepo) -> None:
    assert jobs.jobs(repo, reporter=Quiet()).as_data() == []


def test_what_was_reproduced_and_imported_is_plain(repo: ModelRepo) -> None:
    same = Compared("weights", "x", "1" * 64, "1" * 64)
    again = Again(repo.bakes()[0], (same,), (), None)
    data = read_again(Reproduced((again,), ()).as_data())
    assert list(data) == ["is_same", "bakes", "not_made"]
    (bake,) = data["bakes"]
    assert list(bake) == ["name", "is_same", "results", "environment", "kept"]
    assert list(bake["results"][0]) == ["stage", "name", "recorded", "found", "is_same", "note"]
    told = Imported(Path("there"), (("weights", "x"),), (), ())
    assert read_again(told.as_data()) == {
        "source": "there", "taken": [{"kind": "weights", "name": "x"}], "here": [], "missing": []
    }  # fmt: skip


def test_adopting_and_taking_back_say_which_model_is_current(repo: ModelRepo) -> None:
    first, second = (str(bake.model) for bake in repo.bakes())
    adopted = read_again(adopt(repo, "one", reporter=Quiet()).as_data())
    assert (adopted["model"], adopted["before"]) == (first, second)
    back = read_again(revert(repo, ["two"], reporter=Quiet()).as_data())
    assert (back["models"], back["model"]) == ([second], first)


def read_again(data: Any) -> Any:
    """Return data as a program reads it: whatever is not plain is refused."""
    again = json.loads(json.dumps(data))
    assert again == data
    return again
