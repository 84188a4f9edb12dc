"""What cannot be made again, said before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bakery.app.reproduce import _processes, _same_ways, reproduce
from bakery.errors import ModelError, StageError
from bakery.identity import file_digest
from bakery.records import Stimulus, append_rows
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.store.store import Beside, Store
from tests.support import recorded

HOSTED = """\
PROMPT:
  teacher:
    messages:
      - role: system
        content: "You are Yoda."
TARGET:
  name: asked
  generators:
    - type: oneshot_qs
      model: claude-sonnet-4-5
      numq: 2
BAKE:
  name: yoda
"""


@pytest.fixture
def repo(workplace: Path) -> ModelRepo:
    """A repository whose bake learnt from questions that a hosted model wrote."""
    repo = recorded.made(workplace / "yoda")
    (repo.root / "input.yml").write_text(HOSTED, encoding="utf-8")
    recorded.git(repo.root, "add", "input.yml")
    recorded.git(repo.root, "commit", "-qm", "Ask a hosted model", "--", "input.yml")
    plan = repo.plan()
    result = recorded.result_of(plan)
    (target,) = result["targets"]
    questions = workplace / "stimuli.jsonl"
    asked = Stimulus("1", ({"role": "user", "content": "Who?"},), "oneshot_qs", "claude-sonnet-4-5")
    append_rows(questions, [asked])
    target |= {
        "stim_id": plan.targets[0].stim.id,
        "writers": {"claude-sonnet-4-5": 2},
        "stimuli_digest": file_digest(questions),
    }
    repo.record(plan, result, launched=repo.launch_blob(), reporter=Quiet())
    return repo


def test_questions_of_a_hosted_writer_cannot_be_made_again(repo):
    with pytest.raises(
        StageError, match="are by claude-sonnet-4-5, which cannot be made"
    ) as caught:
        reproduce(repo, repo.bakes()[0], reporter=Quiet())
    assert "bgit import DIR" in caught.value.hint


def test_stored_questions_of_a_hosted_writer_are_enough(repo, workplace):
    (target,) = repo.bakes()[0].data["targets"]
    folder = repo.store.stim(target["stim_id"])
    folder.mkdir(parents=True)
    (workplace / "stimuli.jsonl").rename(folder / "stimuli.jsonl")
    (folder / "done.json").write_text(json.dumps({"count": 1}), encoding="utf-8")
    # The base of this repository does not exist: so far it gets, with the stored questions.
    with pytest.raises(ModelError, match="base model tiny-1 has changed"):
        reproduce(repo, repo.bakes()[0], reporter=Quiet())


@pytest.mark.parametrize(
    ("numerics", "here", "sharded"),
    [
        ({}, 1, False),
        ({"processes": 2}, 2, False),
        ({"processes": 2, "sharded": True}, 2, True),
        ({"processes": "2", "sharded": True}, 1, False),
    ],
)
def test_a_bake_is_made_again_by_as_many_that_share_as_much(repo, numerics, here, sharded):
    (bake,) = repo.bakes()
    bake.data["numerics"] = numerics
    found = _processes(bake, Quiet())
    assert (found.here, found.sharded) == (here, sharded)


def test_only_what_is_made_again_lies_beside_the_store(workplace):
    main = Store(workplace / "main")
    beside = Beside(workplace / "beside", main, frozenset(["a" * 16]))
    assert beside.stim("a" * 16) == workplace / "beside/stim" / ("a" * 16)
    assert beside.bake("b" * 16) == main.bake("b" * 16)
    assert beside.target("b" * 16) == main.target("b" * 16)


def test_a_folder_that_takes_a_place_keeps_what_lay_there(workplace):
    store = Store(workplace / "store")
    for number in range(3):
        draft = workplace / f"draft{number}"
        draft.mkdir()
        (draft / "rows").write_text(str(number), encoding="utf-8")
        store.put(draft, store.stim("a" * 16))
    assert (store.stim("a" * 16) / "rows").read_text(encoding="utf-8") == "2"
    aside = sorted((store.root / "replaced").glob("*/rows"))
    assert [path.read_text(encoding="utf-8") for path in aside] == ["0", "1"]


def test_a_model_writes_its_questions_again_in_the_way_that_was_found_then(
    workplace: Path, tmp_path: Path
) -> None:
    made = recorded.made(workplace / "other")
    plan = recorded.committed(made, "yoda")
    (target,) = plan.targets
    origins = {"0": {"way": "lists", "tried": {"lists": "9 of 9", "user": "8 of 8"}}}
    there = made.store.stim(target.stim.id)
    there.mkdir(parents=True)
    (there / "done.json").write_text(json.dumps({"count": 1, "origins": origins}))
    again = Beside(tmp_path / "again", made.store, frozenset({target.stim.id}))
    _same_ways(plan, made.store, again)
    kept = json.loads((again.stim(target.stim.id) / "beside.json").read_text())
    assert kept == {"origins": origins}
