"""A flat file and flags become settings, or one error that says where and what to do."""

from __future__ import annotations

import json
import warnings
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from transformers import TrainingArguments

from bakery.data import datasets as data
from bakery.distil.settings.help_text import help_text
from bakery.distil.settings.parse import PARTS, parse
from bakery.settings.config import (
    BakeryConfig,
    ContextConfig,
    DataConfig,
    LoraConfig,
    context_of,
)

ROOT = Path(__file__).parents[2]
README = """\
# Standard HF training
output_dir: "./outputs/my_bake"
num_train_epochs: 3
learning_rate: 1e-4
bf16: true

# Prompt baking
system_prompt: "You are a helpful assistant."
num_trajectories: 4
trajectory_length: 128

# Model
model_name_or_path: "Qwen/Qwen3-0.6B"

# LoRA
r: 64
lora_alpha: 128

# Data
training_prompts:
  - "What is the capital of France?"
  - "Explain photosynthesis."
"""
PROMPTS = "training_prompts: [What is AI?]\n"
DEFAULTS = {
    BakeryConfig: {
        "system_prompt": None, "system_prompt_file": None, "num_trajectories": 4,
        "trajectory_length": 128, "temperature": 1.0, "sampling_temperature": 0.8,
        "max_seq_length": None, "sequential_eval": False, "remove_unused_columns": False,
        "top_p": 0.9, "top_k": 0, "loss_type": "forward_kl", "jsd_beta": 0.5, "loss_top_k": 20,
        "loss_weighting": "token", "reuse_trajectories": False, "trajectories_file": None,
        "on_policy": False, "min_p": 0.0, "repetition_penalty": 1.0,
        "merge": False, "chat_template_kwargs": {}, "enable_thinking": None,
        "learning_rate": None, "num_train_epochs": None, "per_device_train_batch_size": None,
        "gradient_accumulation_steps": None, "warmup_steps": None, "first_weights": None,
        "defaults": None,
    },
    ContextConfig: {
        "prefix_messages": None, "prefix_messages_file": None, "student_retained_turns": 0,
        "target_roles": ["assistant"], "target_content_pattern": None, "target_scope": "message",
    },
    DataConfig: {
        "model_name_or_path": "Qwen/Qwen3-0.6B", "torch_dtype": "bfloat16",
        "trust_remote_code": False, "load_in_4bit": False, "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True, "attn_implementation": None,
        "auto_install_optional_deps": True, "use_unsloth": False, "dataset": None,
        "dataset_split": "train", "training_prompts": None, "eval_dataset_split": None,
        "eval_file": None, "heldout_file": None, "corpus_file": None, "corpus_format": "papers",
        "system_prompt_template": None, "eval_dataset": None, "revision": None,
    },
    LoraConfig: {
        "r": None, "lora_alpha": None, "lora_dropout": 0.05, "bias": "none",
        "target_modules": [
            "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
        ],
    },
}  # fmt: skip


def settings(text: str, *flags: str):
    """Parse a file with this text, and flags."""
    Path("bake.yaml").write_text(text, encoding="utf-8")
    return parse(["--config", "bake.yaml", *flags])


@pytest.mark.parametrize("kind", DEFAULTS, ids=lambda kind: kind.__name__)
def test_every_default_is_the_seeds_or_settled_later(kind):
    config = kind()
    assert {name: getattr(config, name) for name in DEFAULTS[kind]} == DEFAULTS[kind]


@pytest.mark.parametrize("kind", PARTS, ids=lambda kind: kind.__name__)
def test_every_field_of_ours_says_what_it_is_for(kind):
    silent = [f.name for f in fields(kind) if not f.metadata.get("help")]
    assert silent == []


def test_no_name_means_two_things():
    names = [field.name for part in PARTS for field in fields(part)]
    assert sorted(set(names)) == sorted(names)


def test_the_readmes_file_runs_unchanged():
    found = settings(README)
    assert found.context.prefix == ({"role": "system", "content": "You are a helpful assistant."},)
    assert (found.training.learning_rate, found.training.bf16) == (1e-4, True)
    assert len(found.data.training_prompts) == 2
    assert any("deprecated" in note for note in found.notes)


def test_the_library_example_builds():
    config = BakeryConfig(output_dir="./outputs", num_train_epochs=3, learning_rate=1e-4)
    context = ContextConfig(prefix_messages=[{"role": "system", "content": "You are helpful."}])
    assert context_of(config, context) is context


def test_the_library_warns_of_system_prompt():
    with pytest.warns(DeprecationWarning, match="prefix_messages"):
        found = context_of(BakeryConfig(system_prompt="Be kind."))
    assert found.prefix == ({"role": "system", "content": "Be kind."},)


def test_the_library_reads_text_as_numbers():
    config = BakeryConfig(learning_rate="5e-5", num_train_epochs="0.5", seed="7")
    assert (config.learning_rate, config.num_train_epochs, config.seed) == (5e-5, 0.5, 7)
    assert LoraConfig(lora_dropout="5e-2").lora_dropout == 0.05


def test_columns_are_never_removed():
    assert BakeryConfig(remove_unused_columns=True).remove_unused_columns is False


@pytest.mark.parametrize(
    ("flags", "name", "value"),
    [
        (("--num_trajectories", "2"), "num_trajectories", 2),
        (("--num_trajectories=2",), "num_trajectories", 2),
        (("--num-trajectories=2",), "num_trajectories", 2),
        (("--num_trajectories", "4"), "num_trajectories", 4),
        (("--num_trajectories", "2", "--num_trajectories", "3"), "num_trajectories", 3),
        (("--num_train_epochs", "0.5"), "num_train_epochs", 0.5),
        (("--learning_rate", "5e-2"), "learning_rate", 0.05),
        (("--max_steps", "-1"), "max_steps", -1),
        (("--bf16",), "bf16", True),
        (("--bf16", "true"), "bf16", True),
        (("--bf16=True",), "bf16", True),
        (("--bf16", "false"), "bf16", False),
        (("--no_bf16",), "bf16", False),
        (("--no-bf16",), "bf16", False),
        (("--lr_scheduler_type", "cosine"), "lr_scheduler_type", "cosine"),
        (("--lr_scheduler_kwargs", '{"num_cycles": 2}'), "lr_scheduler_kwargs", {"num_cycles": 2}),
        (("--report_to", "none"), "report_to", []),
        (("--report_to", "tensorboard", "wandb"), "report_to", ["tensorboard", "wandb"]),
        (("--save_strategy", "epoch"), "save_strategy", "epoch"),
        (("--run_name", "7"), "run_name", "7"),
        (("--max_seq_length", "null"), "max_seq_length", None),
        (("--resume_from_checkpoint", "true"), "resume_from_checkpoint", True),
        (("--resume_from_checkpoint",), "resume_from_checkpoint", True),
        (("--gradient_checkpointing",), "gradient_checkpointing", True),
        (("--warmup_ratio", "0.1"), "warmup_steps", 0.1),
        (("--evaluation_strategy", "epoch"), "eval_strategy", "epoch"),
        (("--enable_thinking", "false"), "template_kwargs", {"enable_thinking": False}),
        (("--chat_template_kwargs", "{a: 1}"), "template_kwargs", {"a": 1}),
        (("--deepspeed", "null"), "deepspeed", None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_flag_sets_its_field(flags, name, value):
    found = settings(PROMPTS + "num_trajectories: 9\nbf16: true\n", *flags)
    assert getattr(found.training, name) == value


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("lr_scheduler_type: cosine_with_restarts", "lr_scheduler_type", "cosine_with_restarts"),
        ("report_to: [tensorboard]", "report_to", ["tensorboard"]),
        ("save_strategy: no", "save_strategy", "no"),
        ("logging_steps: 0.25", "logging_steps", 0.25),
        ("seed: '7'", "seed", 7),
        ("num_train_epochs: '0.5'", "num_train_epochs", 0.5),
        ("weight_decay: 5e-2", "weight_decay", 0.05),
        ("deepspeed:", "deepspeed", None),
        ("optim: adafactor", "optim", "adafactor"),
        ("accelerator_config: {split_batches: false}", "per_device_train_batch_size", None),
        ("gradient_checkpointing: true", "activation_checkpointing", True),
        ("overwrite_output_dir: true", "do_train", False),
    ],
)
def test_a_line_sets_its_field(line, name, value):
    assert getattr(settings(f"{PROMPTS}{line}\n").training, name) == value


def test_what_accelerate_was_launched_with_is_a_setting_like_the_others(monkeypatch):
    assert not settings(PROMPTS).training.bf16
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    assert settings(PROMPTS).training.bf16
    assert not settings(f"{PROMPTS}fp16: true\n").training.bf16
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    launched = settings(PROMPTS).training
    assert not launched.in_parts  # one process has the whole model
    monkeypatch.setattr(BakeryConfig, "world_size", 2)
    assert launched.in_parts


def test_every_training_argument_has_a_flag():
    text = help_text()
    missing = [f.name for f in fields(TrainingArguments) if f"--{f.name} " not in text]
    assert missing == []


def test_the_help_names_every_field_in_80_columns():
    text = help_text()
    missing = [f.name for part in PARTS for f in fields(part) if f"--{f.name} " not in text]
    assert missing == []
    assert max(map(len, text.splitlines())) <= 80
    assert "--dry-run" in text


@pytest.mark.parametrize(
    ("flags", "value"),
    [
        (("--target_roles", "user", "assistant"), ["user", "assistant"]),
        (("--target_roles", '["user", "assistant"]'), ["user", "assistant"]),
        (("--target_roles=[user, assistant]",), ["user", "assistant"]),
        (("--target_roles", "user"), ["user"]),
    ],
)
def test_a_list_is_several_words_or_json(flags, value):
    assert settings(PROMPTS, *flags).context.target_roles == value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("all", "all-linear"),
        ("all-linear", "all-linear"),
        ("[all]", "all-linear"),
        ("[all-linear]", "all-linear"),
        ("q_proj", ["q_proj"]),
        ("[q_proj, v_proj]", ["q_proj", "v_proj"]),
        (r".*\.[qv]_proj", r".*\.[qv]_proj"),
    ],
)
def test_layers_are_named_in_many_ways(written, value):
    assert settings(f"{PROMPTS}target_modules: {written}\n").lora.target_modules == value


def test_a_prefix_is_given_as_json():
    flag = '[{"role": "system", "content": "Be brief."}]'
    found = settings(PROMPTS, "--prefix_messages", flag)
    assert found.context.prefix == ({"role": "system", "content": "Be brief."},)


@pytest.mark.parametrize("under", ["", "prefix_messages"])
@pytest.mark.parametrize("suffix", ["json", "yaml", "yml"])
def test_a_prefix_is_read_from_a_file(suffix, under):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    path = Path(f"prefix.{suffix}")
    path.write_text(json.dumps({under: messages} if under else messages), encoding="utf-8")
    assert settings(PROMPTS, "--prefix_messages_file", str(path)).context.prefix == tuple(messages)


def test_a_system_prompt_file_works_as_a_flag():
    Path("prompt.txt").write_text("Be brief.\n", encoding="utf-8")
    found = settings(PROMPTS, "--system_prompt_file", "prompt.txt")
    assert found.context.prefix == ({"role": "system", "content": "Be brief."},)


@pytest.mark.parametrize(
    "flag",
    [
        ("--prefix_messages_file", "prefix.json"),
        ("--system_prompt=New.",),
        ("--prefix_messages", '[{"role": "system", "content": "New."}]'),
    ],
)
def test_a_flag_takes_the_place_of_what_it_contradicts(flag):
    Path("prefix.json").write_text('[{"role": "system", "content": "New."}]', encoding="utf-8")
    found = settings(PROMPTS + "prefix_messages: [{role: user, content: Old.}]\n", *flag)
    assert found.context.prefix == ({"role": "system", "content": "New."},)


def test_a_data_flag_takes_the_place_of_inline_prompts():
    Path("rows.json").write_text('["a"]', encoding="utf-8")
    found = settings(PROMPTS, "--dataset", "rows.json")
    assert (found.data.dataset, found.data.training_prompts) == ("rows.json", None)
    assert "takes the place of training_prompts" in found.notes[0]


def test_a_corpus_becomes_the_system_prompt():
    Path("book.txt").write_text("Bread rises.", encoding="utf-8")
    found = settings(
        PROMPTS,
        *("--corpus_file", "book.txt", "--corpus_format", "text"),
        *("--system_prompt_template", "Know {this}: {corpus}!"),
    )
    assert found.context.prefix[0]["content"] == "Know {this}: Bread rises.!"


def test_no_file_is_needed():
    found = parse(["--training_prompts", "What is AI?", "What is bread?"])
    assert found.data.training_prompts == ["What is AI?", "What is bread?"]
    assert found.source is None


@pytest.mark.parametrize("flag", ["--dry-run", "--dry_run"])
def test_dry_run_is_a_flag(flag):
    assert settings(PROMPTS, flag).dry_run
    assert not settings(PROMPTS).dry_run


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("auto_install_optional_deps: true", "nothing is installed"),
        ("trust_remote_code: true", "will run"),
        ("remove_unused_columns: true", "stays false"),
        ("save_safetensors: true", "no effect"),
        ("loss_top_k: 5", "loss_top_k has no effect: loss_type is forward_kl, not topk"),
        ("system_prompt: Be brief.", "deprecated"),
    ],
)
def test_what_people_should_know_is_a_note(line, note):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        notes = settings(f"{PROMPTS}{line}\n").notes
    assert len(notes) == 1
    assert note in notes[0]


def test_a_note_is_given_once_and_only_when_due():
    assert settings(PROMPTS).notes == ()


def test_no_key_is_written_down():
    made = settings(README, "--push_to_hub", "true", "--hub_token", "hf_secret")
    assert "hf_secret" not in str(made.snapshot())


def test_settings_without_effect_are_told():
    notes = settings(README, "--per_device_eval_batch_size", "1").notes
    assert any(note.startswith("per_device_eval_batch_size is ignored") for note in notes)


def test_a_snapshot_says_the_same_again():
    text = README + "warmup_ratio: 0.1\nlr_scheduler_type: cosine\ntarget_modules: all\n"
    first = settings(text, "--student_retained_turns", "1")
    snapshot = first.snapshot()
    with Path("snapshot.yaml").open("w", encoding="utf-8") as file:
        yaml.safe_dump(snapshot, file)
    second = parse(["--config", "snapshot.yaml"])
    assert second.snapshot() == snapshot
    assert (second.context, second.lora, second.notes) == (first.context, first.lora, ())
    assert second.training.warmup_steps == first.training.warmup_steps == 0.1


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda p: p.name)
def test_every_example_is_read_with_its_rows(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = parse(["--config", str(path)])
    assert (found.notes, len(data.training_rows(found.data)) > 3) == ((), True)
