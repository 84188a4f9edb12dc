"""A chain on another base model: made anew, or the same as if it had always been there."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import bakery
from bakery.app import stored
from bakery.backends.local import LocalModel
from bakery.engine.models import models
from bakery.errors import GateError
from bakery.records import Prompt
from bakery.repo.model_repo import ModelRepo
from bakery.store import results
from tests.e2e.conftest import BGIT, IDENTITY, Typist, bgit, copied
from tests.support.models import another_version, make_model, qwen3_config

BLIND = (
    "{% for m in messages if m['role'] != 'system' %}<|im_start|>{{ m['role'] }}\n"
    "{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""A chat template that does not show a system prompt."""

GATE = "gate: {verdict: holds}\n"


@pytest.fixture(scope="module")
def refused(
    baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Typist, Any]:
    """A repository with two bakes and a gate, and what a rebase says that falls short of it."""
    folder = tmp_path_factory.mktemp("rebased")
    place = copied(baked_repository, folder / "demo")
    another_version(base_of(place), folder / "other")
    place.write(GATE, "tests.yml")
    place.git("add", "tests.yml")
    place.git("commit", "-qm", "Say what a bake has to reach")
    return place, place("rebase", "--base-model", "../other", "--json")


@pytest.fixture(scope="module")
def moved(refused: tuple[Typist, Any], tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """The repository with both bakes on the other base, and `said` beside it; for copies."""
    place = copied(refused[0], tmp_path_factory.mktemp("moved") / "demo")
    other = str(refused[0].root.parent / "other")
    done = place("rebase", "--base-model", other, "--allow", "gate", "--json")
    assert done.code == 0, done.err
    (place.root.parent / "said.json").write_text(done.out, encoding="utf-8")
    (place.root.parent / "notes").write_text(done.err, encoding="utf-8")
    return place


def base_of(place: Typist) -> Path:
    """Return the folder of a repository's base."""
    (line,) = [x for x in place.read(".bread").splitlines() if x.startswith("base_model")]
    return Path(line.partition(" = ")[2])


def test_a_chain_that_falls_short_of_the_gate_is_not_recorded(refused, baked_repository):
    place, done = refused
    assert done.code == 6
    assert "falls short of the gate's verdict" in done.err
    assert "`bgit rebase --base-model ../other --allow gate`" in done.err
    data = json.loads(done.out)
    assert data["commit"] is None
    assert "falls short" in data["refused"]
    assert place.parent() == baked_repository.parent()
    assert place.changes() == ""


def test_the_same_line_goes_on_with_what_is_made_and_makes_one_commit(refused, moved):
    before = refused[0]
    notes = (moved.root.parent / "notes").read_text()
    assert notes.count("is in the store already") == 2
    data = json.loads((moved.root.parent / "said.json").read_text())
    assert moved.subjects()[0] == "rebase: second, 2 bakes on another base model"
    assert moved.subjects()[1:] == before.subjects()
    assert moved.parent() == data["model"] != before.parent()
    assert str(base_of(moved)).endswith("/other")
    assert moved.changes() == ""
    assert [bake["after"]["model"].split("/")[2][:-17] for bake in data["bakes"]] == [
        "first", "second"
    ]  # fmt: skip


def test_python_has_the_same(refused, moved, workplace, monkeypatch):
    place = copied(refused[0], workplace / "demo")
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)
    other = str(base_of(moved))
    repo = bakery.Repo(place.root, progress=False)
    with pytest.raises(GateError, match="falls short"):
        repo.rebase(base_model=other)
    made = repo.rebase(base_model=other, allow=["gate"])
    assert repo.state.parent == made.model
    assert str(made.model) == moved.parent()


def test_the_cards_of_both_bases_are_shown(moved):
    data = json.loads((moved.root.parent / "said.json").read_text())
    for bake in data["bakes"]:
        (side,) = bake["targets"]
        assert side["target"] == "main_target"
        for card in (side["before"], side["after"]):
            assert 0 < card["kl_after"] < card["kl_before"]
    shown = moved.must("show", "parent")
    assert "though it falls short of the gate's verdict" in shown
    assert "in place of  second_" in shown


def test_a_rebased_repository_is_one_as_any_other(moved, workplace):
    place = copied(moved, workplace / "demo")
    assert "nothing is wrong with the weights of 4 models" in place.must("fsck", "--weights-only")
    tree = json.loads(place.must("tree", "--json"))
    assert [bake["name"][:-17] for bake in tree["bakes"]] == ["first", "second"]
    assert json.loads(place.must("status", "--json"))["has_weights"]
    assert place("chat", "-m", "q1", "--max-tokens", "2").code == 0
    place.git("branch", "before", "HEAD~1")
    assert f"(on {base_of(copied_base(place))})" in place.must("tree")
    assert "was baked on" in place("chat", "before").err
    place.git("branch", "-D", "before")
    assert "nothing is in the store that can go" in place.must("gc", "--weights-only")


def copied_base(place: Typist) -> Typist:
    """Return the repository as it stood before, in a folder of its own."""
    folder = place.root.parent / "before"
    place.git("worktree", "add", "-q", "--detach", str(folder), "HEAD~1")
    return Typist(folder, place.env)


@pytest.mark.parametrize("how", [("revert", "HEAD"), ("git", "reset", "--hard", "HEAD~1")])
def test_what_was_before_comes_back(how, refused, moved, workplace):
    place = copied(moved, workplace / "demo")
    place.git(*how[1:]) if how[0] == "git" else place.must(*how)
    assert place.read(".bread") == refused[0].read(".bread")
    assert place.read("recipe.yml") == refused[0].read("recipe.yml")
    assert place.must("fsck", "--weights-only")
    assert json.loads(place.must("status", "--json"))["has_weights"]


def test_what_cannot_be_is_refused_before_anything_is_made(refused, workplace):
    place = copied(refused[0], workplace / "demo")
    same = place("rebase", "--base-model", str(base_of(place)))
    assert (same.code, "is the base model of this branch already" in same.err) == (3, True)
    assert place("rebase", "--base-model", "./nowhere").code == 5
    assert place("rebase", "--base-model=tiny", "main").code == 2
    place.write(place.read("recipe.yml") + "# mine\n", "recipe.yml")
    dirty = place("rebase", "--base-model", "tiny")
    assert (dirty.code, "changed and not committed: recipe.yml" in dirty.err) == (3, True)


def test_prompts_that_the_new_base_cannot_take_are_refused_for_all_bakes_first(refused, workplace):
    place = copied(refused[0], workplace / "demo")
    made = sorted(place.store.glob("target/*"))
    small = make_model(workplace / "small", qwen3_config(max_position_embeddings=48))
    short = place("rebase", "--base-model", str(small))
    assert (short.code, "has a context of 48" in short.err) == (2, True)
    blind = another_version(base_of(place), workplace / "blind")
    (blind / "chat_template.jinja").write_text(BLIND, encoding="utf-8")
    unseen = place("rebase", "--base-model", str(blind))
    assert (unseen.code, "teacher prompt of main_target" in unseen.err) == (2, True), unseen.err
    assert sorted(place.store.glob("target/*")) == made


def test_a_dry_run_tells_what_is_there_and_what_is_to_do(refused, workplace):
    place = copied(refused[0], workplace / "demo")
    lines = place.must("rebase", "--base-model", "tiny", "--dry-run")
    assert "answers    24  to do" in lines
    assert "tokens" in lines
    told = json.loads(place.must("rebase", "--base-model", "tiny", "--dry-run", "--json"))
    assert [bake["after"] is None for bake in told["bakes"]] == [False, True]
    assert told["cost"]["tokens"] > 0
    assert place.changes() == ""


TARGET = """\
PROMPT:
  teacher:
    messages:
      - role: system
        content: "{prompt}"
TARGET:
  name: t_{name}
  num_traj_per_stimulus: 1
  max_tokens: 12
  generators:
    - type: hardcoded
      questions: ["Who are you?", "What is a dog?", "When do you sleep?", "How?"]
BAKE:
  name: {name}
  epochs: 1
  micro_batch_size: 8
  model: {{baked_adapter_config: {{r: 8}}}}
{more}"""


def chained(place: Typist) -> Typist:
    """Bake three times: the second replays the first, the third names its target in full."""
    place.commit(TARGET.format(prompt="Your name is Bella.", name="one", more=""))
    place.must("run", "--allow", "teacher")
    place.commit(TARGET.format(prompt="You live in Rome.", name="two", more="  replay: 0.2\n"))
    place.must("run", "--allow", "teacher")
    first = json.loads(place.must("show", "one", "--json"))["targets"][0]["name"]
    mix = f"  datasets: [{{target: t_three}}, {{target: {first}, weight: 0.5}}]\n"
    place.commit(TARGET.format(prompt="You are a pirate. Say Arr!", name="three", more=mix))
    place.must("run", "--allow", "teacher")
    return place


def on(folder: Path, base: str) -> Typist:
    """Return a new repository on a base."""
    config = folder.parent / "gitconfig"
    config.write_text(IDENTITY, encoding="utf-8")
    env = {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_NOSYSTEM": "1", "HF_HUB_OFFLINE": "1"}
    made = bgit("init", str(folder), "--base-model", base, "--owner", "ann", **env)
    assert made.code == 0, made.err
    return Typist(folder, env)


@pytest.mark.slow
def test_a_rebased_chain_is_the_one_that_always_was_there(workplace: Path) -> None:
    tiny = another_version(
        Path(models.__file__).parents[2] / "tiny", workplace / "tiny-v2", noise=0.02
    )
    place = chained(on(workplace / "demo", "tiny"))
    kept = place.read("recipe.yml")
    with place.started("rebase", "--base-model", str(tiny), "--allow", "teacher") as running:
        wait_for_answers(place, count=5)
        os.kill(running.pid, signal.SIGKILL)
    assert (place.read("recipe.yml"), place.changes()) == (kept, "")
    said = place.must("rebase", "--base-model", str(tiny), "--allow", "teacher")
    assert "KL to the prompted" in said
    assert place.subjects()[0] == "rebase: three, 3 bakes on another base model"
    assert place.git("rev-list", "--count", "HEAD") == "8"
    hand = chained(on(workplace / "hand", str(tiny)))
    ours, theirs = (ModelRepo.find(one.root).bakes() for one in (place, hand))
    assert [(b.name, b.digest) for b in ours] == [(b.name, b.digest) for b in theirs]
    assert json.loads(place.must("reproduce", "--force", "--json"))["is_same"]
    found = divergence(place, hand)
    said = "".join(f"{name}: KL {kl} nats per token\n" for name, kl in found.items())
    (workplace / "divergence.txt").write_text(said, encoding="utf-8")
    assert max(found.values()) == 0, said


def wait_for_answers(place: Typist, *, count: int) -> None:
    """Wait until so many targets are answered, or being answered."""
    for _ in range(1200):
        if len(list(place.store.glob("target/*/trajectories.jsonl"))) >= count:
            return
        time.sleep(0.1)
    raise AssertionError(f"no {count} targets after two minutes ({BGIT})")


def divergence(one: Typist, other: Typist) -> dict[str, float]:
    """Return how far the current models of two repositories are apart, by target, in nats."""
    repo = ModelRepo.find(one.root)
    sides = [loaded(ModelRepo.find(each.root)) for each in (one, other)]
    found = {}
    for row in (row for bake in repo.bakes() for row in bake.data["targets"]):
        asked = {s.id: s for s in results.stimuli(repo.store.stim(row["stim_id"]))}
        total = tokens = 0.0
        for answer in results.trajectories(repo.store.target(row["id"])):
            messages = list(asked[answer.stimulus_id].messages)
            before = sides[0].base.chat.prefix_ids(Prompt(), messages)
            ids = torch.tensor([[*before, *answer.response_ids]])
            with torch.no_grad():
                p, q = (side.model(ids).logits[0, len(before) - 1 : -1] for side in sides)
            p, q = p.log_softmax(-1), q.log_softmax(-1)
            total += float((p.exp() * (p - q)).sum())
            tokens += len(answer.response_ids)
        found[row["name"]] = total / tokens
    return found


def loaded(repo: ModelRepo) -> LocalModel:
    """Return the current model of a repository."""
    now = repo.state()
    assert now.parent is not None
    base = models.load(now.base, dtype="float32")
    return LocalModel(base, parent=stored.weights(repo, now.parent))
