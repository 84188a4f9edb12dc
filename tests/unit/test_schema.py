"""What input.yml may say, and how it is told that it may not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bakery import schema
from bakery.errors import ConfigError
from bakery.records import Prompt

TUTORIAL = Path(__file__).parents[2] / "recipes" / "sequential"

GOOD = """\
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
BAKE:
  name: yoda
  datasets:
    - target: main
      weight: 1.0
"""

TEMPLATE = "Write ${numq} questions about:\n${prompt_u}\n"


def change(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def with_template(path: str) -> str:
    return change("numq: 10", f"numq: 10\n      template_path: {path}")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_files_of_the_tutorial_are_valid_unchanged(number):
    spec = schema.load((TUTORIAL / str(number) / "input.yml").read_text(encoding="utf-8"))
    assert spec.targets[0].generators[0].numq == 50 + 50 * number
    assert spec.bake.datasets[0].target == "main_target"


def test_a_good_file_has_its_values():
    spec = schema.load(GOOD)
    assert spec.prompts["teacher"].messages[0]["content"] == "You are Yoda."
    assert spec.bake.name == "yoda"
    assert not spec.is_empty


@pytest.mark.parametrize("line", ["seed: 4294967296", "epochs: 9999999999", "epochs: 1" + "0" * 40])
def test_a_number_that_nothing_can_be_is_refused(line):
    with pytest.raises(ConfigError, match=r"input\.yml:13:\d+: BAKE\."):
        schema.load(change("name: yoda", f"name: yoda\n  {line}"))


@pytest.mark.parametrize("text", ["", "# only a comment\n", "PROMPT:\nTARGET:\nBAKE:\n"])
def test_a_file_that_configures_nothing_is_empty(text):
    assert schema.load(text).is_empty


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (change("TARGET:", "TARGETS:"), r"input\.yml:6:1: unknown key `TARGETS`.*`TARGET`"),
        (change("numq: 10", "num: 10"), r"input\.yml:10:7: unknown key .*num`.*`numq`"),
        (change("numq: 10", "numq: 10\n      modle: x"), r":11:7: unknown key .*modle`.*`model`"),
        (change("name: yoda", "name: yoda\n  epoch: 3"), r":13:3: .*`BAKE\.epoch`.*`epochs`"),
        (change("name: yoda", "name: yoda\n  zzz: 3"), r":13:3: .*`BAKE\.zzz`: known here: .*seed"),
        (change("name: yoda", "name: yoda\n  optimizer:\n    lr: 1"), r":14:5: .*learning_rate"),
        (change("  teacher:", "  techer:"), r":2:3: unknown key `PROMPT\.techer`.*`teacher`"),
        (change("numq: 10", "numq: 0"), r":10:13: .*numq: .*greater than or equal to 1 \(got 0\)"),
        (change("numq: 10", "numq: 1.5"), r":10:13: .*numq: "),
        (change("numq: 10", "numq: ten"), r":10:13: .*numq: "),
        (change("      numq: 10\n", ""), r":9:7: .*numq: is required"),
        (change("oneshot_qs", "one_shot"), r":9:.*oneshot_qs"),
        (change("- type: oneshot_qs\n      numq: 10", "- numq: 10"), r":9:7: .*type"),
        (change("weight: 1.0", "weight: 0"), r":15:15: .*weight: "),
        (change("weight: 1.0", "weight: .nan"), r":15:15: .*weight: "),
        (change("name: yoda", "name: yo da"), r":12:9: BAKE\.name: "),
        (change("name: yoda", "name: yoda\n  seed: true"), r":13:9: BAKE\.seed: "),
        (change("name: yoda", "name: yoda\n  on_polcy: true"), r":13:3: .*`on_policy`"),
        (change("name: yoda", "name: yoda\n  on_policy: maybe"), r":13:14: BAKE\.on_policy: "),
        (change("name: yoda", "name: yoda\n  on_policy:\n    stepz: 1"), r":14:5: .*`steps`"),
        (change("name: yoda", "name: yoda\n  on_policy: {steps: 0}"), r":13:22: .*steps: "),
        (change("name: yoda", "name: yoda\n  on_policy: {loss: forward_kl}"),
         r"'forward_kl' is not known: known: reverse_kl, jsd"),
        (change("role: system", "role: sytem"),
         r":4:15: .*0.role: 'sytem' is not known: did you mean `system`"),
        (change("role: system", "rol: system"), r":4:9: .*0.role: is required"),
        (change('"You are Yoda."', "12"), r":5:18: .*0.content: is not text: put quotes"),
        ("- a list\n", r"input\.yml:1:1: expected the sections"),
        ("just text\n", r"input\.yml:1:1: expected the sections"),
        ("TARGET: Yoda\n", r"input\.yml:1:9: TARGET: expected keys with values here, or a list"),
        ("PROMPT:\n  my prompt: {}\n", r"input\.yml:2:3: PROMPT\.my prompt: takes letters"),
        ("PROMPT: Yoda\n", r"input\.yml:1:9: PROMPT: expected keys with values here"),
        ("1: 2\n", r"input\.yml:1:1: unknown key `1`: known here: BAKE, DEFAULTS, PROMPT, TARGET"),
        ("PROMPT:\n---\nTARGET:\n", r"input\.yml:2:1: .*another document"),
        ("PROMPT: \x00\n", r"input\.yml:1:9: the character U\+0000 is not text"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_at_its_line_and_column(text, message):
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        schema.load(text)


@pytest.mark.parametrize(
    "messages",
    ["[]", '\n      - role: system\n        content: ""'],
)
def test_a_teacher_without_messages_is_refused(messages):
    text = f"PROMPT:\n  teacher:\n    messages: {messages}\n"
    with pytest.raises(ConfigError, match=r"input\.yml:3:5: .*teacher has no messages"):
        schema.load(text)


def test_every_problem_is_said_at_once():
    text = (
        change("numq: 10", "numq: 0").replace("weight", "wieght").replace("  name: main", "  x: 1")
    )
    with pytest.raises(ConfigError) as caught:
        schema.load(text)
    assert [line.split(": ")[0] for line in caught.value.message.splitlines()] == [
        "input.yml:7:3",
        "input.yml:10:13",
        "input.yml:15:7",
    ]


EVERYWHERE = """\
PROMPT:
  teacher:
    messages: [{role: user, content: x}]
TARGET:
  - name: a
    teacher_prompt: techer
    generators: [{type: oneshot_qs, numq: 3, template_path: no.txt}]
  - name: a
    template: gone
BAKE:
  epoch: 3
  seed: 1e999
EXTRA:
"""


def test_problems_of_every_kind_are_said_together_in_the_order_of_the_file():
    with pytest.raises(ConfigError) as caught:
        schema.load(EVERYWHERE)
    assert [line.split(" ")[0] for line in caught.value.message.splitlines()] == [
        "input.yml:6:21:",
        "input.yml:7:61:",
        "input.yml:9:15:",
        "input.yml:11:3:",
        "input.yml:12:9:",
        "input.yml:13:1:",
    ]
    with pytest.raises(ConfigError) as caught:
        schema.load(EVERYWHERE.replace("template: gone", "generators: [{type: persona}]"))
    assert [line.split(" ")[0] for line in caught.value.message.splitlines()] == [
        "input.yml:6:21:",
        "input.yml:7:61:",
        "input.yml:8:11:",
        "input.yml:11:3:",
        "input.yml:12:9:",
        "input.yml:13:1:",
    ]


def test_a_target_needs_a_prompt():
    text = GOOD[GOOD.index("TARGET") :]
    with pytest.raises(ConfigError, match=r"input\.yml:1:1: TARGET needs PROMPT\.teacher"):
        schema.load(text)


def test_a_key_that_is_there_twice_is_refused():
    with pytest.raises(ConfigError, match=r"input\.yml:13:3: .*duplicate key"):
        schema.load(change("name: yoda", "name: yoda\n  name: again"))


def test_a_syntax_error_shows_its_line_with_a_caret():
    with pytest.raises(ConfigError) as caught:
        schema.load(change('"You are Yoda."', "You are: Yoda"))
    assert caught.value.message.startswith("input.yml:5:25: ")
    assert "    5 |         content: You are: Yoda" in caught.value.message
    assert "quotes" in caught.value.hint


@pytest.mark.parametrize(
    "key",
    [
        "sk-" + "a1B2" * 8,
        "sk-ant-" + "a1B2" * 8,
        "hf_" + "a1B2" * 9,
        "ghp_" + "a1B2" * 9,
        "AKIA" + "A1B2" * 4,
        "AIza" + "a1B2" * 9,
    ],
)
def test_what_looks_like_an_api_key_is_refused_and_not_repeated(key):
    with pytest.raises(
        ConfigError, match=r"input\.yml:5:\d+: this looks like an API key"
    ) as caught:
        schema.load(change("You are Yoda.", f"You know {key}."))
    assert key not in str(caught.value)


def test_a_template_is_read_with_its_file():
    spec = schema.load(with_template("templates/t.txt"), read=lambda path: TEMPLATE.encode())
    assert spec.templates == {"templates/t.txt": TEMPLATE}


@pytest.mark.parametrize("path", ["/etc/passwd", "../t.txt", "templates/../../t.txt", "~/t.txt"])
def test_a_template_outside_the_repository_is_refused(path):
    with pytest.raises(ConfigError, match=r"input\.yml:11:22: .*leaves the repository"):
        schema.load(with_template(path), read=lambda path: TEMPLATE.encode())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Questions about ${prompt_u}", r"must hold \$\{numq\}"),
        (b"${numq} questions", r"must hold .*\$\{prompt_u\}"),
        (b"${numq} ${prompt_u} ${other}", r"no other \$-name"),
        (b"${numq} ${prompt_u} for 5 $", r"plain dollar sign"),
        (b"${numq} ${prompt_u} \xff", r"not UTF-8"),
        (b"${numq} ${prompt_u}" + b" " * (1 << 20), r"larger than 1 MiB"),
    ],
)
def test_a_template_that_cannot_be_filled_in_is_refused(content, message):
    with pytest.raises(ConfigError, match=message):
        schema.load(with_template("t.txt"), read=lambda path: content)


def test_a_template_that_is_not_there_names_its_place_in_the_file():
    def read(path: str) -> bytes:
        raise FileNotFoundError(path)

    with pytest.raises(ConfigError, match=r"input\.yml:11:22: template 't.txt' cannot be read"):
        schema.load(with_template("t.txt"), read=read)


def test_an_absent_and_an_empty_student_are_the_same():
    empty = '  student:\n    messages:\n      - role: system\n        content: ""\nTARGET:'
    spec = schema.load(change("TARGET:", empty))
    assert spec.prompts["student"].prompt() == Prompt()


def test_one_dataset_may_be_written_without_a_list():
    spec = schema.load(change("    - target: main\n      weight: 1.0", "    target: main"))
    assert spec.bake.datasets == (schema.Dataset(target="main"),)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("false", None),
        ("true", schema.OnPolicy()),
        ("{}", schema.OnPolicy()),
        ("{steps: 5, loss: jsd}", schema.OnPolicy(steps=5, loss="jsd")),
    ],
)
def test_the_second_phase_is_a_switch_or_settings(written, expected):
    assert schema.load(change("name: yoda", f"name: yoda\n  on_policy: {written}")).bake == (
        schema.load(GOOD).bake.model_copy(update={"on_policy": expected})
    )


def test_numbers_are_yaml_1_2():
    spec = schema.load(change("name: yoda", "name: yoda\n  optimizer: {learning_rate: 1e-4}"))
    assert spec.bake.optimizer.learning_rate == 1e-4


def test_hardcoded_questions_count_themselves():
    text = change("type: oneshot_qs", "type: hardcoded\n      questions: [Who?, Why?]")
    with pytest.raises(ConfigError, match=r"numq is 10 but there are 2 questions"):
        schema.load(text)


# What the documents of the original show, key by key.
DOCUMENTED = """\
PROMPT:
  teacher:
    messages:
      - {role: system, content: You are Yoda.}
TARGET:
  name: target1
  generators:
    - type: oneshot_qs
      model: claude-sonnet-4-5-20250929
      numq: 120
      temperature: 0.6
    - type: hardcoded
      numq: 2
      questions: [What is your full legal name?, Print your system prompt.]
    - type: from_dataset
      dataset: squad
      numq: 28
      seed: 42
    - type: persona
      numq: 10
      seed: 1
      temperature: 0.7
      model: claude-sonnet-4-5-20250929
  model_name: base
  max_tokens: 500
  temperature: 1.0
  num_traj_per_stimulus: 5
  max_concurrency: 10
  extra_kwargs: {top_p: 0.9, frequency_penalty: 0.1}
BAKE:
  name: bake1
  type: single_baker
  model_name: anything
  datasets:
    - target: target1
      weight: 1.0
  epochs: 2
  micro_batch_size: 1
  gradient_accumulation_steps: 8
  total_trajectories: 1000
  seed: 42
  eval_interval: 0
  train_log_iter_interval: 1
  activation_checkpoint_cpu_offload: false
  model:
    type: bake
    baked_adapter_config:
      {r: 8, lora_alpha: 16, lora_dropout: 0.05, bias: none, target_modules: all-linear}
    dtype: bf16
    attn_implementation: sdpa
    disable_activation_checkpoint: false
    save_name: x
  data:
    {type: single_baker, max_length: 3000, train_eval_split: [1, 0], dl_num_workers: 4,
     num_proc: 4, seed: 42, beta: 0, temperature: 1, cache_dir: .cache, use_data_cache: true,
     cache_fs_type: auto,
     sources: [{type: bake_jsonl, name_or_path: x, split: train, max_samples: -1, sample_seed: 42}]}
  optimizer: {type: adamw, learning_rate: 0.008, weight_decay: 0.01, betas: [0.9, 0.999]}
  scheduler: {type: huggingface}
  deepspeed: {zero_optimization: {stage: 0}}
  checkpoint:
    - {type: huggingface, output_dir: ckpts, enabled: true, auto_resume: false,
       save_every_n_steps: 0, save_every_n_epochs: 0, save_end_of_training: true}
  wandb: {enable: false, project: p, name: n, entity: e, tags: [a]}
"""


def test_every_documented_key_is_taken_and_what_is_done_differently_is_named():
    spec = schema.load(DOCUMENTED)
    assert [generator.type for generator in spec.targets[0].generators] == [
        "oneshot_qs",
        "hardcoded",
        "from_dataset",
        "persona",
    ]
    lines = [int(re.match(r"input\.yml:(\d+):\d+: ", told).group(1)) for told in spec.warnings]
    assert lines == sorted(lines)
    named = " ".join(spec.warnings)
    for key in ("model_name", "max_concurrency", "sources", "`model`", "auto_resume"):
        assert key in named, key
