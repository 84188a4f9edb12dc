"""Every documented key of BAKE is honoured, or named with what happens instead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bakery import schema
from bakery.errors import ConfigError
from bakery.identity import BaseModelId, Running
from bakery.records import ModelRef, Prompt
from bakery.repo.plan.planned import Head, Plan, RecordedTarget
from bakery.repo.plan.resolve import resolve
from bakery.shaping import OnPolicySettings, Until
from bakery.trackers import TensorBoard, Trackio, Wandb

TARGET = """\
PROMPT:
  teacher: {messages: [{role: system, content: You are Yoda.}]}
TARGET:
  name: main
  generators: [{type: hardcoded, questions: [Who are you?]}]
"""

HEAD = Head("ada", "yoda", BaseModelId("tiny-1", "", "ab" * 32))
PARENT = ModelRef("ada", "yoda", "first_0123456789abcdef", 120)
PIRATE = Prompt(({"role": "system", "content": "You are a pirate."},))


def earlier(*names: str) -> dict[str, RecordedTarget]:
    return {name: RecordedTarget(name, name[-16:], PIRATE, Prompt()) for name in names}


def plan(bake: str = "", head: Head = HEAD) -> Plan:
    """Plan a file whose BAKE holds these lines besides its name."""
    lines = "".join(f"  {line}\n" for line in ("name: yoda", *bake.splitlines()))
    return resolve(schema.load(f"{TARGET}BAKE:\n{lines}"), head)


def refused(bake: str, head: Head = HEAD) -> str:
    with pytest.raises(ConfigError) as caught:
        plan(bake, head)
    return f"{caught.value.message}\n{caught.value.hint or ''}"


OBSERVED = """\
seed: 42
type: single_baker
epochs: 1
micro_batch_size: 2
gradient_accumulation_steps: 1
eval_interval: 0
train_log_iter_interval: 1
model:
  type: bake
  dtype: bf16
  attn_implementation: sdpa
  disable_activation_checkpoint: false
  baked_adapter_config: {r: 32, lora_alpha: 16, lora_dropout: 0.0, bias: none, target_modules: all-linear}
  peft_config: {peft_type: LORA, task_type: CAUSAL_LM}
data:
  type: single_baker
  sources: [{type: bake_jsonl, name_or_path: rollouts.jsonl, split: train, max_samples: -1}]
  beta: 0
  temperature: 1
  max_length: 3000
  train_eval_split: [1, 0]
  cache_dir: .cache
  dl_num_workers: 4
optimizer: {type: fusedadam, learning_rate: 0.001, weight_decay: 0.0, betas: [0.9, 0.999]}
scheduler: {type: huggingface}
deepspeed: {zero_optimization: {stage: 3}}
checkpoint: [{type: huggingface, output_dir: bakes/ckpts, save_end_of_training: true}]
wandb: {enable: false, project: p}
"""  # noqa: E501


def test_a_whole_plan_of_the_original_service_is_accepted_as_it_is():
    made = plan(OBSERVED)
    training = made.bake.training
    assert (training.r, training.lora_alpha, training.global_batch) == (32, 16, 2)
    assert (training.dtype, training.max_length, training.eval_share) == ("bfloat16", 3000, 0)
    assert made.bake.running == Running("sdpa", gradient_checkpointing=True, sharded=True)
    assert [warning.split(": ")[1].split()[0] for warning in made.warnings] == [
        "data.sources",
        "data.cache_dir",
        "data.dl_num_workers",
        "deepspeed",
        "checkpoint.output_dir",
        "wandb",
    ]


@pytest.mark.parametrize(
    ("bake", "said"),
    [
        ("model_name: x/y", "input.yml:8:3: model_name has no effect"),
        ("train_log_iter_interval: 10", "every step is logged"),
        ("activation_checkpoint_cpu_offload: true", "computed twice instead"),
        ("model: {save_name: x}", "save_name has no effect"),
        ("model: {peft_config: {use_dora: true}}", "peft_config.use_dora has no effect"),
        ("model: {peft_config: {peft_type: IA3}}", "peft_config.peft_type has no effect"),
        ("model: {parent_model_name: tiny-1}", "is not needed"),
        ("data: {sources: [{name_or_path: x}]}", "data.sources has no effect"),
        ("data: {eval_sources: [{name_or_path: x}]}", "data.eval_sources has no effect"),
        ("data: {num_proc: 16}", "data.num_proc has no effect"),
        ("data: {dl_num_workers: 4}", "data.dl_num_workers has no effect"),
        ("data: {cache_dir: .cache}", "data.cache_dir has no effect"),
        ("data: {use_data_cache: true}", "data.use_data_cache has no effect"),
        ("data: {cache_fs_type: shared}", "data.cache_fs_type has no effect"),
        ("optimizer: {type: cpu_adam}", "cpu_adam is AdamW here"),
        ("deepspeed: {zero_optimization: {stage: 3}}", "ZeRO stage 3 is done by FSDP2"),
        ("deepspeed: {bf16: {enabled: true}}", "deepspeed: its other settings have no effect"),
        ("deepspeed: {zero_optimization: {stage: 2}}", "ZeRO stage 2 has no effect"),
        ("checkpoint: {auto_resume: false}", "an interrupted bake goes on where it was"),
        ("checkpoint: {output_dir: x}", "output_dir has no effect"),
        ("checkpoint: {save_end_of_training: false}", "the last step is kept in any case"),
        ("wandb: {project: x}", "wandb is off"),
    ],
)
def test_what_is_done_differently_is_said_with_its_line_and_names_nothing_anew(bake, said):
    made = plan(bake)
    (warning,) = made.warnings
    assert warning.startswith("input.yml:8:")
    assert said in warning
    assert made.bake.id == plan().bake.id


@pytest.mark.parametrize(
    "bake",
    [
        "type: single_baker",
        "eval_interval: 0",
        "train_log_iter_interval: 1",
        "activation_checkpoint_cpu_offload: false",
        "model: {type: bake}",
        "model: {dtype: fp32}",
        "model: {peft_config: {r: 16}}",
        "model: {peft_config: {peft_type: LORA, task_type: CAUSAL_LM}}",
        "model: {student_model_path: tiny-1}",
        "model: {baked_adapter_config: {bias: none, target_modules: all-linear}}",
        "data: {type: single_baker, beta: 0, temperature: 1, seed: 42}",
        "optimizer: {type: AdamW}",
        "scheduler: {type: huggingface, name: linear, warmup_ratio: 0.05}",
        "deepspeed: {zero_optimization: {stage: 0}}",
        "checkpoint: [{type: huggingface, enabled: true, save_end_of_training: true}]",
        "checkpoint: {save_every_n_steps: 5, enabled: false}",
        "wandb: {enable: false}",
        "eval_interval: 10",
        "model: {attn_implementation: sdpa}",
        "model: {disable_activation_checkpoint: false}",
        "wandb: {enable: true, tags: x}",
    ],
)
def test_what_changes_no_weight_keeps_the_name_and_needs_no_word(bake):
    made = plan(bake)
    assert made.warnings == ()
    assert made.bake.id == plan().bake.id


@pytest.mark.parametrize(
    "bake",
    [
        "model: {dtype: bf16}",
        "model: {peft_config: {r: 8}}",
        "data: {beta: 1}",
        "data: {beta: 0.5}",
        "data: {temperature: 2}",
        "data: {max_length: 100}",
        "data: {train_eval_split: [0.9, 0.1]}",
        "data: {seed: 7}",
        "optimizer: {type: adamw_torch_fused}",
        "scheduler: {warmup_ratio: 0}",
        "scheduler: {warmup_steps: 3}",
        "scheduler: {type: huggingface, name: cosine}",
        "checkpoint: {save_every_n_steps: 5}",
        "checkpoint: {save_every_n_epochs: 1}",
    ],
)
def test_what_shapes_the_result_gives_it_another_name(bake):
    made = plan(bake)
    assert made.warnings == ()
    assert made.bake.id != plan().bake.id


def test_beta_goes_from_forward_to_reverse_kl():
    losses = [
        (t.loss, t.beta) for t in (plan(f"data: {{beta: {b}}}").bake.training for b in (0, 0.3, 1))
    ]
    assert losses == [("forward_kl", None), ("jsd", 0.3), ("reverse_kl", None)]


def test_trackio_and_tensorboard_are_named_as_the_bake_is():
    running = plan(
        "trackio: {enable: true, space: ann/x}\ntensorboard: {enable: true}"
    ).bake.running
    assert running.trackio == Trackio("yoda", "yoda", "ann/x")
    assert running.tensorboard == TensorBoard("yoda")
    assert plan().bake.running == replace(running, trackio=None, tensorboard=None)


def test_wandb_has_names_of_its_own():
    asked = plan("wandb: {enable: true, entity: ada, tags: [x, y]}").bake.running.wandb
    assert asked == Wandb("yoda", "yoda", "ada", ("x", "y"))
    assert plan("wandb: {enable: true, project: p, name: n}").bake.running.wandb == Wandb("p", "n")


@pytest.mark.parametrize(
    ("bake", "said"),
    [
        ("model: {name_or_path: x}", "input.yml:8:25: BAKE.model.name_or_path: was removed"),
        ("model: {adapter_paths: [x]}", "BAKE.model.adapter_paths: was removed"),
        ("model: {parent_peft_dir: x}", "BAKE.model.parent_peft_dir: was removed"),
        ("scheduler: {lr: 0.1}", "BAKE.scheduler.lr: is BAKE.optimizer.learning_rate"),
        ("model: {baked_adapter_config: {bias: all}}", "only `none`"),
        ("model: {peft_config: {target_modules: '(q'}}", "not a regular expression"),
        ("model: {peft_config: {r: 0}}", "peft_config.r: Input should be greater"),
        ("model: {peft_config: {r: 8}, baked_adapter_config: {r: 8}}", "both say r"),
        ("model: {student_model_path: small}", "input.yml:8:31: BAKE.model.student_model_path"),
        ("model: {parent_model_name: small}", "but this branch stands at tiny-1"),
        ("model: {dtype: int8}", "known: bf16, fp16, fp32"),
        ("data: {train_eval_split: [0.5, 0.6]}", "the shares are 1.1 together"),
        ("data: {train_eval_split: [0, 1]}", "nothing is left to train on"),
        ("data: {seed: 4294967296}", "less than 4294967296"),
        ("data: {beta: 1.5}", "less than or equal to 1"),
        ("data: {temperature: 0}", "greater than 0"),
        ("data: {sources: [{nam_or_path: x}]}", "did you mean `name_or_path`"),
        ("scheduler: {warmup_ratio: 0.1, warmup_steps: 3}", "keep one"),
        ("scheduler: {type: constant, warmup_steps: 3}", "`constant_with_warmup` has"),
        ("scheduler: {type: cosine, name: linear}", "keep one"),
        ("scheduler: {type: polynomial}\noptimizer: {learning_rate: 1.0e-8}",
         "a polynomial falls to 1e-07"),
        ("deepspeed: {zero_optimization: {stage: 4}}", "less than or equal to 3"),
        ("checkpoint: [{save_every_n_steps: -1}]", "greater than or equal to 0"),
        ("activation_checkpoint_cpu_offload: true\nmodel: {disable_activation_checkpoint: true}",
         "keep one"),
        ("optimizer: {type: sgd}", "known: adamw"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_with_its_place(bake, said):
    found = refused(bake)
    assert found.startswith("input.yml:")
    assert said in found


def test_a_model_block_never_loses_the_parent():
    """The rank of a later bake is raised as the tutorial does it."""
    head = replace(HEAD, parent=PARENT)
    made = plan("model: {baked_adapter_config: {r: 32}}", head)
    assert made.bake.parent == PARENT
    assert made.bake.training.r == 32
    assert made.bake.id != plan("model: {baked_adapter_config: {r: 32}}").bake.id


@pytest.mark.parametrize("name", [str(PARENT), "bob/else/renamed_0123456789abcdef/120"])
def test_the_parent_may_be_named_where_it_is_the_branchs(name):
    made = plan(f"model: {{parent_model_name: {name}}}", replace(HEAD, parent=PARENT))
    assert made.bake.parent == PARENT
    assert "is not needed" in made.warnings[0]
    assert "stands at ada/yoda" in refused(
        "model: {parent_model_name: tiny-1}", replace(HEAD, parent=PARENT)
    )
    assert "stands at tiny-1" in refused(f"model: {{parent_model_name: {name}}}")


def datasets(*names: str) -> str:
    return "datasets: [" + ", ".join(f"{{target: {name}}}" for name in names) + "]"


def test_an_earlier_target_has_three_names():
    head = replace(HEAD, targets=earlier("old_00000000000000aa", "old_00000000000000bb"))
    by_name, by_id, alone = (
        plan(datasets("main", name), head)
        for name in ("old_00000000000000bb", "00000000000000bb", "old")
    )
    assert by_name.bake.id == by_id.bake.id == alone.bake.id
    assert (by_name.warnings, by_id.warnings) == ((), ())
    assert alone.warnings == (
        "input.yml:8:39: old is a target of an earlier bake, the newest of that name: "
        "old_00000000000000bb",
    )


def test_a_target_of_the_file_comes_before_an_earlier_one_of_its_name():
    head = replace(HEAD, targets=earlier("main_00000000000000aa"))
    made = plan(datasets("main", "main_00000000000000aa"), head)
    assert [share.id for share in made.bake.shares] == [made.targets[0].rollout.id, "0" * 14 + "aa"]
    assert made.warnings == ()


def test_the_same_target_twice_is_refused():
    assert "main is in the mix already, as main" in refused(datasets("main", "main"))
    full = plan().targets[0].name
    found = refused(datasets("main", full))
    assert found.startswith(f"input.yml:8:39: {full} is in the mix already, as main")
    head = replace(HEAD, targets=earlier("old_00000000000000aa"))
    assert "is in the mix already" in refused(datasets("old", "00000000000000aa"), head)


def test_a_second_phase_keeps_the_losses_of_the_first():
    made = plan("on_policy: true\ndata: {beta: 0.5, temperature: 2}").bake.training
    assert made.on_policy == OnPolicySettings(40, "reverse_kl", made.learning_rate)
    assert (made.loss, made.beta, made.kl_temperature) == ("jsd", 0.5, 2)


def test_epochs_auto_trains_as_the_defaults_do_and_then_until_it_holds() -> None:
    usual, auto = plan().bake, plan("epochs: auto").bake
    assert usual is not None
    assert auto is not None
    assert replace(auto.training, until=None) == usual.training
    assert auto.training.until == Until(max_epochs=12, patience=3)
    assert "until" not in usual.training.as_data()
    assert auto.id != usual.id
    fewer = plan("epochs: auto\nmax_epochs: 4").bake
    assert fewer is not None
    assert fewer.training.until == Until(max_epochs=4, patience=3)
    assert fewer.id not in (auto.id, usual.id)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("max_epochs: 4", "max_epochs is for `epochs: auto`"),
        ("epochs: 3\nmax_epochs: 4", "max_epochs is for `epochs: auto`"),
        ("epochs: auto\non_policy: true", "both follow the training"),
        ("epochs: always", "BAKE.epochs"),
        ("epochs: 0", "BAKE.epochs"),
    ],
)
def test_epochs_that_say_nothing_clear_are_refused(lines: str, said: str) -> None:
    assert said in refused(lines)
