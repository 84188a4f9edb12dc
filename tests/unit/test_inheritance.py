"""`template`: a section that starts from another one's, and says what differs."""

from __future__ import annotations

import pytest

from bakery import schema
from bakery.errors import ConfigError
from tests.support.recorded import baked, made

PROMPT = "PROMPT:\n  teacher:\n    messages: [{role: system, content: x}]\n"

TWO = f"""{PROMPT}TARGET:
  - name: calm
    template: lively
    temperature: 0
    extra_kwargs: {{top_k: 5}}
  - name: lively
    generators:
      - type: hardcoded
        questions: [Who?, Why?]
    max_tokens: 7
    extra_kwargs: {{top_p: 0.5}}
"""


@pytest.fixture
def repo(tmp_path):
    repo = made(tmp_path / "model")
    for name in ("one", "two"):
        baked(repo, name)
    return repo


def plan(repo, text):
    (repo.root / "input.yml").write_text(text, encoding="utf-8")
    return repo.plan("worktree")


def test_a_target_starts_from_another_of_its_file_key_by_key():
    calm, lively = schema.load(TWO).targets
    assert calm.generators == lively.generators
    assert (calm.max_tokens, calm.temperature, lively.temperature) == (7, 0, None)
    assert (calm.extra_kwargs.top_p, calm.extra_kwargs.top_k) == (0.5, 5)


def test_a_list_of_this_file_replaces_the_one_below():
    text = TWO.replace("temperature: 0", "generators: [{type: persona, numq: 3}]")
    calm, lively = schema.load(text).targets
    assert [g.type for g in calm.generators] == ["persona"]
    assert [g.type for g in lively.generators] == ["hardcoded"]


def test_the_default_template_changes_nothing():
    assert schema.load(TWO + "    template: default\n").targets[1].max_tokens == 7


def test_a_target_starts_from_one_of_an_earlier_bake(repo):
    made = plan(repo, f"{PROMPT}TARGET:\n  name: new\n  template: one_target\n  max_tokens: 9\n")
    (target,) = made.targets
    assert target.base_name == "new"
    assert target.rollout.sampling.max_tokens == 9
    assert target.stim.generators[0]["questions"] == ["Who are you?", "Why?"]


@pytest.mark.parametrize("full", [False, True])
def test_a_bake_starts_from_an_earlier_one_and_its_targets(repo, full):
    first = repo.bakes()[0]
    made = plan(repo, f"BAKE:\n  template: {first.name if full else 'one'}\n  epochs: 7\n")
    assert [share.name for share in made.bake.shares] == [first.data["targets"][0]["name"]]
    assert made.bake.training.epochs == 7
    assert made.bake_name.startswith("one_")


def test_a_bake_of_own_targets_takes_only_settings_from_its_template(repo):
    made = plan(repo, f"{TWO}BAKE:\n  name: new\n  template: one\n")
    assert [share.name[:4] for share in made.bake.shares] == ["calm", "live"]


def test_what_a_template_started_from_comes_along(repo):
    first = plan(repo, "BAKE:\n  name: again\n  template: one\n  epochs: 7\n")
    text = (repo.root / "input.yml").read_text(encoding="utf-8")
    known = schema.Sections({}, {"one": {"seed": 5, "name": "one"}})
    assert schema.written(text, known) == (
        {},
        {"name": "again", "template": "one", "seed": 5, "epochs": 7},
    )
    assert first.bake.training.epochs == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "BAKE:\n  template: oen\n",
            r"(?m)^input\.yml:2:13: .*no bake 'oen': did you mean `one`\?$",
        ),
        (f"{PROMPT}TARGET:\n  template: zz\n", r"^input\.yml:5:13: .*no target 'zz': known: one_t"),
        (TWO.replace("max_tokens: 7", "template: calm"), r":6:15: .*'lively' starts from itself"),
    ],
)
def test_a_template_that_is_not_there_is_refused_with_what_is(repo, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        plan(repo, text)
    assert "is required" not in caught.value.message


def test_without_earlier_bakes_nothing_can_be_started_from():
    with pytest.raises(ConfigError, match="none to start from yet"):
        schema.load("BAKE:\n  template: one\n")
