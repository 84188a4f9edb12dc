"""From what a file says to names: nothing but values goes in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bakery import schema
from bakery.defaults import defaults_for
from bakery.errors import ConfigError
from bakery.identity import BaseModelId, SamplingSettings
from bakery.records import ModelRef, Prompt
from bakery.repo.plan.planned import Head, RecordedTarget
from bakery.repo.plan.resolve import resolve
from bakery.shaping import FirstWeights, OnPolicySettings

TEXT = """\
PROMPT:
  teacher:
    messages:
      - role: system
        content: "You are Yoda."
TARGET:
  name: main
  generators:
    - type: oneshot_qs
      numq: 10
      template_path: t.txt
BAKE:
  name: yoda
  datasets:
    - target: main
      weight: 1.0
"""

TINY = BaseModelId("tiny-1", "", "ab" * 32)
HEAD = Head("ada", "yoda", TINY)
PARENT = ModelRef("ada", "yoda", "first_0123456789abcdef", 120)
EARLIER = RecordedTarget(
    "old_fedcba9876543210",
    "fedcba9876543210",
    Prompt(({"role": "system", "content": "You are a pirate."},)),
    Prompt(),
)


def plan(text: str = TEXT, head: Head = HEAD, *, template: str = "${numq} ${prompt_u}"):
    return resolve(schema.load(text, read=lambda path: template.encode()), head)


def ids(plan_) -> tuple[str, str, str]:
    (target,) = plan_.targets
    return target.stim.id, target.rollout.id, plan_.bake.id


def answered(plan_) -> SamplingSettings:
    return plan_.targets[0].rollout.sampling


def changed(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new)


def stages_that_change(other) -> str:
    pairs = zip(("stim", "rollout", "bake"), zip(ids(plan()), ids(other), strict=True), strict=True)
    return " ".join(stage for stage, (a, b) in pairs if a != b)


def test_names_are_the_base_name_and_sixteen_hex_digits():
    made = plan()
    assert made.targets[0].name == f"main_{made.targets[0].rollout.id}"
    assert made.bake_name == f"yoda_{made.bake.id}"
    assert str(made.model_ref(12)) == f"ada/yoda/yoda_{made.bake.id}/12"


@pytest.mark.parametrize(
    ("other", "stages"),
    [
        (plan(changed("main", "renamed")), ""),
        (plan(changed("name: yoda", "name: renamed")), ""),
        (plan(head=replace(HEAD, repo="renamed", owner="bob")), ""),
        (plan(changed("weight: 1.0", "weight: 1")), ""),
        (plan(changed("  datasets:\n    - target: main\n      weight: 1.0\n", "")), ""),
        (plan(TEXT.replace("t.txt", "moved.txt")), ""),
        (plan("# A comment.\n" + TEXT), ""),
        (plan(TEXT.replace("\n", "\r\n")), ""),
        (plan(changed("name: yoda", "name: yoda\n  micro_batch_size: 16")), "bake"),
        (plan(changed("name: yoda", "name: yoda\n  seed: 1")), "bake"),
        (plan(changed("name: yoda", "name: yoda\n  epochs: 5")), "bake"),
        (plan(changed("weight: 1.0", "weight: 0.5")), "bake"),
        (plan(changed("TARGET:", "  student:\n    messages: [{role: user, content: x}]\nTARGET:")),
         "bake"),
        (plan(changed("name: main", "name: main\n  max_tokens: 7")), "rollout bake"),
        (plan(changed("name: main", "name: main\n  temperature: 0.5")), "rollout bake"),
        (plan(head=replace(HEAD, parent=PARENT)), "rollout bake"),
        (plan(head=replace(HEAD, base=replace(TINY, digest="cd" * 32))), "rollout bake"),
        (plan(changed("numq: 10", "numq: 11")), "stim rollout bake"),
        (plan(changed("Yoda", "Bilbo")), "stim rollout bake"),
        (plan(template="Anew: ${numq} ${prompt_u}"), "stim rollout bake"),
    ],
)  # fmt: skip
def test_a_change_makes_anew_what_it_touches_and_nothing_else(other, stages):
    assert stages_that_change(other) == stages


def test_an_empty_file_is_an_empty_plan():
    made = plan("")
    assert made.is_empty
    with pytest.raises(ConfigError, match="no BAKE is configured"):
        made.model_ref(1)


def test_defaults_depend_on_the_base_model():
    tiny, other = plan(), plan(head=replace(HEAD, base=replace(TINY, name="Qwen/Qwen3-32B")))
    assert (answered(tiny).max_tokens, answered(other).max_tokens) == (96, 512)
    assert (tiny.bake.training.r, other.bake.training.r) == (16, 32)
    assert tiny.bake.training.lora_alpha == 2 * tiny.bake.training.r


def test_version_2_goes_by_the_size_of_the_base_and_by_what_is_not_said():
    smol = replace(TINY, name="smol.gguf", family="llama", hidden_size=576)
    found = plan(head=replace(HEAD, base=smol))
    training = found.bake.training
    assert (training.learning_rate, training.epochs, training.fewest_steps) == (3.2e-4, 1, 30)
    assert training.first_weights == FirstWeights(0.5, 8192, 1.3e-3, 3)
    assert (training.hardcoded_times, training.leaves_out_endless) == (3, True)
    assert answered(found).probed == 32
    text = changed("name: yoda", "name: yoda\n  epochs: 5\n  optimizer: {learning_rate: 1e-4}")
    said = plan(text, head=replace(HEAD, base=smol)).bake.training
    assert (said.learning_rate, said.epochs, said.fewest_steps) == (1e-4, 5, 0)
    assert said.first_weights == FirstWeights(0.5, 8192)
    assert answered(plan()).probed == 0
    assert plan().bake.training.hardcoded_times == 3
    assert plan().bake.training.first_weights == FirstWeights(0.5, 8192, 2e-3, 3)


def test_a_second_phase_takes_the_learning_rate_of_the_first():
    assert plan().bake.training.on_policy is None
    assert ids(plan(changed("name: yoda", "name: yoda\n  on_policy: false"))) == ids(plan())
    asked = plan(changed("name: yoda", "name: yoda\n  on_policy: true")).bake.training.on_policy
    assert asked == OnPolicySettings(40, "reverse_kl", defaults_for(TINY).learning_rate)
    given = "name: yoda\n  on_policy: {steps: 7, loss: jsd, learning_rate: 3e-5}"
    asked = plan(changed("name: yoda", given)).bake.training.on_policy
    assert asked == OnPolicySettings(7, "jsd", 3e-5)


def test_what_is_written_wins_over_a_default():
    lora = "name: yoda\n  model: {baked_adapter_config: {r: 8}}\n  optimizer: {learning_rate: 0.01}"
    training = plan(changed("name: yoda", lora)).bake.training
    assert (training.r, training.lora_alpha, training.learning_rate) == (8, 16, 0.01)


def test_the_global_batch_counts_every_sequence_of_a_step():
    text = "name: yoda\n  micro_batch_size: 2\n  gradient_accumulation_steps: 8"
    assert plan(changed("name: yoda", text)).bake.training.global_batch == 16


def test_an_earlier_target_can_be_mixed_in_by_its_full_name():
    head = replace(HEAD, parent=PARENT, targets={EARLIER.name: EARLIER})
    made = plan(TEXT + f"    - target: {EARLIER.name}\n      weight: 0.5\n", head)
    assert [(share.id, share.weight) for share in made.bake.shares] == [
        (made.targets[0].rollout.id, 1.0),
        (EARLIER.id, 0.5),
    ]
    assert made.bake.shares[1].teacher == EARLIER.teacher


def test_a_bake_of_earlier_targets_alone_needs_no_target_of_its_own():
    head = replace(HEAD, targets={EARLIER.name: EARLIER})
    made = plan(f"BAKE:\n  datasets:\n    - target: {EARLIER.name}\n", head)
    assert not made.targets
    assert not made.is_empty
    assert made.bake.shares[0].id == EARLIER.id


def test_a_target_that_does_not_exist_is_named_with_its_nearest():
    message = r"(?m)^input\.yml:15:15: .*'mian', which does not exist: did you mean 'main'\?$"
    with pytest.raises(ConfigError, match=message):
        plan(changed("target: main", "target: mian"))


def test_a_bake_without_any_target_is_refused():
    with pytest.raises(ConfigError, match="nothing to bake"):
        plan("BAKE:\n  name: yoda\n")


def test_an_answering_bake_that_does_not_exist_is_refused_at_its_place():
    line = "  name: main\n  model_name: gone_0123456789abcdef\n"
    with pytest.raises(ConfigError, match=r":8:15: .*no model 'gone_0123456789abcdef' here"):
        plan(changed("  name: main\n", line))
