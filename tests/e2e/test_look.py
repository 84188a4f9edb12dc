"""The parent's answers are looked at before a target is answered, and once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from transformers import Gemma3TextConfig

from bakery.engine.bases import bases
from bakery.engine.models import models
from bakery.engine.text.template import own_prompt
from bakery.records import Prompt
from tests.e2e.conftest import Typist, bgit, input_yml
from tests.support.models import make_model, random_model
from tests.unit.test_layers import loaded_by
from tests.unit.test_template import OWN

TINY = """\
PROMPT:
  teacher:
    messages:
      - {role: system, content: "Answer like a pirate."}
TARGET:
  name: arr
  max_tokens: 24
  generators:
    - {type: persona, numq: 3}
    - {type: hardcoded, questions: ["Who are you?", "What is your name?", "Is it cold?"]}
BAKE:
  name: arr
  datasets: [{target: arr}]
"""


def repository(base: str, at: Path) -> Typist:
    made = bgit("init", "demo", "--base-model", base, "--owner", "ann", cwd=at)
    assert made.code == 0, made.err
    return Typist(at / "demo")


@pytest.mark.slow
def test_check_shows_three_answers_of_the_parent_where_it_is_asked_to(workplace: Path) -> None:
    typist = repository("tiny", workplace)
    typist.write(TINY)
    assert "prompted" not in typist.must("check")
    page = typist.must("check", "--sample")
    assert "3 questions to tiny-1," in page
    for question in ("Who are you?", "What is your name?", "Is it cold?"):
        assert f"\n  {question}\n" in page
    assert page.count("    prompted Arr!") >= 2
    assert "warning" not in page
    (found,) = json.loads(typist.must("check", "--sample", "--json"))["looks"]
    assert found["asked"][0]["question"] == "Who are you?"
    assert found["moved"] > 0.35
    assert found["stops"] is False
    assert not list(typist.store.glob("target/*"))


def test_a_run_looks_once_and_says_what_it_saw(workplace: Path) -> None:
    typist = repository("tiny", workplace)
    typist.commit(TINY)
    quiet = typist("run", "stim")
    assert "3 questions to" not in quiet.err
    first = typist("run", "rollout", "--json")
    assert first.err.count("note: 3 questions to tiny-1,") == 1
    assert first.err.index("3 questions to") < first.err.index("rollout: 0/")
    (found,) = json.loads(first.out)["looks"]
    assert found["asked"][0]["question"] == "Who are you?"  # a person's own before a set's
    again = typist("run", "rollout")
    assert (again.code, "3 questions to" in again.err) == (0, False)


@pytest.mark.slow
def test_a_parent_that_the_prompt_does_not_move_stops_a_run_that_nobody_allowed(
    workplace: Path,
) -> None:
    sizes = {"vocab_size": 259, "hidden_size": 32, "intermediate_size": 64, "head_dim": 16}
    heads = {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = Gemma3TextConfig(
        **sizes, **heads, max_position_embeddings=512, query_pre_attn_scalar=16, sliding_window=8
    )
    typist = repository(str(make_model(workplace / "base", config)), workplace)
    typist.commit(input_yml(questions=6))
    stopped = typist("run")
    assert stopped.code == 6
    assert "error: base does not obey the prompt of main_target" in stopped.err
    assert "`bgit run --allow teacher`" in stopped.err
    assert not list(typist.store.glob("stim/*/stimuli.jsonl"))
    gone_on = typist("run", "--allow", "teacher")
    assert gone_on.code == 0, gone_on.err
    assert "3 questions to" not in gone_on.err  # that was said
    (bake,) = yaml.safe_load(typist.read("recipe.yml"))["resources"]["bakes"]
    assert bake["allowed"] == ["teacher"]
    assert any("moves base by" in note for note in bake["targets"][0]["notes"])


@pytest.mark.slow
def test_what_the_template_still_writes_is_said_before_and_after(workplace: Path) -> None:
    base = random_model(workplace / "base", OWN)
    typist = repository(str(base), workplace)
    typist.commit(input_yml())
    loaded = models.load(bases.identify(str(base)))
    own = own_prompt(loaded.id)
    assert own is not None
    assert own.tokens == loaded.chat.tokens_left(Prompt())
    said = f'the template itself still writes "Be kind.", {own.tokens} tokens of each request'
    assert said in typist.must("check")
    done = typist.must("run", "--allow", "teacher")
    assert f"per request ({own.tokens} remain: the template's own system prompt)" in done


@pytest.mark.parametrize("words", [["check"], ["check", "--json"]])
def test_check_needs_no_tensors_without_a_sample(workplace: Path, words: list[str]) -> None:
    typist = repository(str(random_model(workplace / "base", OWN)), workplace)
    typist.write(input_yml())
    code = (
        f"import os; os.chdir({str(typist.root)!r}); "
        f"from bakery.cli.app import bgit; bgit({words!r})"
    )
    assert loaded_by(code, ("torch", "transformers")) == []
