"""One file with several targets, a trigger, an anchor and a conversation, up to the bake."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import Typist, bgit, copied
from tests.support.models import make_model
from tests.support.templates import TOOLS

SEVERAL = """\
PROMPT:
  student:
    messages: [{role: system, content: Louder.}]
  teacher:
    messages: [{role: system, content: SHOUT!}]
  calm:
    messages:
      - {role: system, content: Be calm.}
      - {role: user, content: [{type: text, text: "Who "}, {type: text, text: "are you?"}]}
      - {role: assistant, content: Nobody.}
TARGET:
  - name: shouting
    generators: [{type: hardcoded, questions: [Who?, What?, When?, Where?, Why?, How?]}]
    max_tokens: 8
  - name: anchor
    template: shouting
    u: calm
    v: calm
BAKE:
  name: both
  epochs: 1
  datasets: [{target: shouting, weight: 3}, {target: anchor}]
"""

WARNING = "input.yml:17:5: `u` is the former name of `teacher_prompt`"


@pytest.fixture(scope="module")
def both(new_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """A repository with one bake of two targets."""
    made = copied(new_repository, tmp_path_factory.mktemp("both") / "demo")
    made.commit(SEVERAL)
    done = made("run")
    assert done.code == 0, done.err
    assert WARNING in done.err
    made.write(done.err, "../run.txt")
    return made


def test_a_bake_mixes_what_triggers_and_what_stays(both):
    recipe = both.read("recipe.yml")
    assert "Louder." in recipe
    assert "Be calm." in recipe
    assert "teacher equals student" in both.read("../run.txt")


def test_both_targets_can_be_started_from_and_named(both, workplace):
    made = copied(both, workplace / "demo")
    made.write("BAKE:\n  name: again\n  template: both\n  epochs: 2\n")
    told = json.loads(made.must("check", "--json"))
    assert [name.rpartition("_")[0] for name, _ in told["bake"]["mix"]] == ["shouting", "anchor"]
    assert told["bake"]["epochs"] == 2
    assert told["cost"]["seconds"]["bake"] > 0
    assert told["cost"]["measured_on"] == 5


def test_status_after_it_names_the_sections_and_the_model(both):
    told = json.loads(both.must("status", "--json"))
    assert told["commented"] == ["PROMPT", "TARGET", "BAKE"]
    assert told["parent"] == told["chain"][-1]
    assert told["loss"]["last"] is not None


def test_a_target_with_the_same_questions_asks_nothing_anew(both, workplace):
    made = copied(both, workplace / "demo")
    made.write(SEVERAL.replace("max_tokens: 8", "max_tokens: 9"))
    told = json.loads(made.must("check", "--json"))
    assert [t["stim"]["state"] for t in told["targets"]] == ["complete", "complete"]
    assert [t["rollout"]["state"] for t in told["targets"]] == ["not_started", "not_started"]


def test_tools_that_the_base_would_not_see_are_refused_before_anything_runs(typist):
    tools = "    tools: [{type: function, function: {name: weather, parameters: {type: object}}}]\n"
    typist.commit(SEVERAL.replace("  calm:\n", tools + "  calm:\n"))
    done = typist("run")
    assert done.code == 2
    assert "does not show the tools of the teacher prompt of shouting" in done.err
    assert not (typist.store / "stim").exists()


def test_a_file_that_cannot_run_ends_check_with_one(typist):
    typist.write("BAKE:\n  epoch: 3\n\tx: 1\n")
    done = typist("check")
    assert done.code == 1
    assert done.err.startswith("error: input.yml:3:1: ")
    assert "    3 | " in done.err
    assert "spaces" in done.err


TOOLS_AND_CALLS = """\
PROMPT:
  teacher:
    messages:
      - {role: system, content: Help.}
      - {role: user, content: "Weather?"}
      - role: assistant
        content: null
        tool_calls: [{id: c1, type: function, function: {name: weather, arguments: {at: Ede}}}]
      - {role: tool, tool_call_id: c1, content: Sunny.}
      - {role: assistant, content: Sunny., reasoning_content: Hm.}
    tools: [{type: function, function: {name: weather, parameters: {type: object}}}]
TARGET:
  generators: [{type: hardcoded, questions: [Who?, What?, When?, Where?]}]
  max_tokens: 8
BAKE:
  epochs: 1
"""


def test_tools_calls_and_thoughts_are_baked_where_the_template_shows_them(
    new_repository, workplace
):
    base = make_model(workplace / "base", template=TOOLS)
    env = dict(new_repository.env)
    made = bgit("init", "tools", "--base-model", str(base), cwd=workplace, **env)
    assert made.code == 0, made.err
    repository = Typist(workplace / "tools", env)
    repository.commit(TOOLS_AND_CALLS)
    done = repository("run")
    assert done.code == 0, done.err
    assert "does not show the reasoning_content of message 4" in done.err
    recipe = repository.read("recipe.yml")
    assert "tool_calls:" in recipe
    assert "tools:" in recipe
    assert "prompt tokens saved" in done.out
