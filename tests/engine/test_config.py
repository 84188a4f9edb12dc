"""A flat file and flags become settings, or one error that says where and what to do."""

from __future__ import annotations

import json
import warnings
from dataclasses import fields
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from transformers import TrainingArguments

from bakery.engine import data
from bakery.engine.config import BakeryConfig, ContextConfig, DataConfig, LoraConfig, context_of
from bakery.engine.help_text import help_text
from bakery.engine.settings import PARTS, parse
from bakery.errors import ConfigError

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
        "merge": False, "chat_template_kwargs": {}, "enable_thinking": None,
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
        "r": 64, "lora_alpha": 128, "lora_dropout": 0.05, "bias": "none",
        "target_modules": [
            "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
        ],
    },
}  # fmt: skip


def settings(text: str, *flags: str):
    """Parse a file with this text, and flags."""
    Path("bake.yaml").write_text(text, encoding="utf-8")
    return parse(["--config", "bake.yaml", *flags])


def refused(text: str, *flags: str) -> str:
    """Return what parsing this says, hint and all."""
    with pytest.raises(ConfigError) as caught:
        settings(text, *flags)
    return f"{caught.value.message}\nhint: {caught.value.hint}"


@pytest.mark.parametrize("kind", DEFAULTS, ids=lambda kind: kind.__name__)
def test_every_default_is_the_seeds(kind):
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
        (("--group_by_length",), "train_sampling_strategy", "group_by_length"),
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
        ("accelerator_config: {split_batches: false}", "per_device_train_batch_size", 8),
        ("gradient_checkpointing: true", "activation_checkpointing", True),
        ("overwrite_output_dir: true", "do_train", False),
    ],
)
def test_a_line_sets_its_field(line, name, value):
    assert getattr(settings(f"{PROMPTS}{line}\n").training, name) == value


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "lerning_rate: 1e-5",
            "bake.yaml:2:1: unknown key `lerning_rate`: did you mean `learning_rate`",
        ),
        ("student_retaind_turns: 2", "did you mean `student_retained_turns`?"),
        ("zzzzzz: 2", "unknown key `zzzzzz`\n"),
        (
            "torch_dtype: flaot32",
            "bake.yaml:2:14: torch_dtype: unknown value 'flaot32': did you mean `float32`",
        ),
        ("lora_dropout: high", "bake.yaml:2:15: lora_dropout: expected a number, got 'high'"),
        ("lora_dropout: 1.5", "lora_dropout: has to be at least 0 and below 1"),
        ("num_trajectories: 0", "bake.yaml:2:19: num_trajectories: has to be at least 1, got 0"),
        ("num_trajectories: 1.5", "expected a whole number, got 1.5"),
        ("num_trajectories: true", "expected a whole number, got True"),
        ("num_train_epochs: .nan", "expected a number, got nan"),
        ("bf16: maybe", "expected true or false, got 'maybe'"),
        ("lr_scheduler_type: cosin", "did you mean `cosine`?"),
        ("save_strategy: false", "save_strategy: unknown value 'False'"),
        ("prefix_messages: You are kind.", "prefix_messages: expected a list, got 'You are kind.'"),
        ("prefix_messages:\n  - {content: hi}", "bake.yaml:3:5: prefix_messages[0]: has no role"),
        ("prefix_messages:\n  - {role: user}", "prefix_messages[0]: has no content"),
        ("prefix_messages:\n  - {rol: user, content: a}", "has no role: is `rol` meant?"),
        (
            "prefix_messages:\n  - {role: usr, content: a}",
            "bake.yaml:3:12: prefix_messages[0].role: unknown role 'usr': did you mean",
        ),
        (
            "prefix_messages:\n  - {role: user, content: 3}",
            "prefix_messages[0].content: expected text, got 3",
        ),
        ("prefix_messages: []", "prefix_messages: holds no message"),
        (
            "prefix_messages_file: gone.yaml",
            "bake.yaml:2:23: prefix_messages_file: no such file: gone.yaml",
        ),
        (
            "target_roles: [asistant]",
            "bake.yaml:2:16: target_roles[0]: unknown role 'asistant': did you mean",
        ),
        ("target_roles: []", "target_roles: names no role"),
        (
            "target_content_pattern: '^(Answer'",
            "bake.yaml:2:25: target_content_pattern: '^(Answer' is no regular expression",
        ),
        ("target_scope: match", "target_scope: match needs a target_content_pattern"),
        ("target_modules: '*_proj'", "target_modules: '*_proj' is no regular expression"),
        (
            "system_prompt: a\nprefix_messages: [{role: user, content: a}]",
            "bake.yaml:2:16: system_prompt: contradicts prefix_messages: give one of them",
        ),
        ("dataset: x/y", "training_prompts: contradicts dataset"),
        ("eval_dataset: data/eval.json", "eval_dataset: no such file or folder: data/eval.json"),
        ("model_name_or_path: ./gone", "model_name_or_path: no such file or folder"),
        ("corpus_format: custom", "custom needs a system_prompt_template"),
        ("system_prompt_template: hi", "has no {corpus} in it"),
        ("loss_type: forwardkl", "did you mean `forward_kl`?"),
        ("jsd_beta: 0", "jsd_beta: has to be between 0 and 1"),
        ("top_p: 1.2", "top_p: has to be between 0 and 1, got 1.2"),
        ("temperature: 0", "temperature: has to be above 0"),
        (
            "enable_thinking: true\nchat_template_kwargs: {enable_thinking: false}",
            "contradicts chat_template_kwargs",
        ),
        ("deepspeed: gone.json", "deepspeed: no such file: gone.json"),
        ("resume_from_checkpoint: gone", "resume_from_checkpoint: no such folder: gone"),
        ("load_best_model_at_end: true", "bake.yaml:2:25: --load_best_model_at_end requires"),
        ("eval_strategy: epoch\nevaluation_strategy: epoch", "former name of eval_strategy"),
        ("training_prompts: [a]", "bake.yaml:2:1"),
        ("a: [", "bake.yaml:2:5"),
        ("config: x", "unknown key `config`"),
    ],
)
def test_a_bad_line_is_refused_at_its_place(text, said):
    assert said in refused(f"{PROMPTS}{text}\n")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--lerning_rate", "1e-5"), "unknown flag --lerning_rate: did you mean --learning_rate?"),
        (("--lerning_rate=1e-5",), "did you mean --learning_rate?"),
        (("--learning_rate", "fast"), "--learning_rate: learning_rate: expected a number"),
        (("--learning_rate",), "--learning_rate needs a value"),
        (("--learning_rate", "--bf16"), "--learning_rate needs a value"),
        (("--no_bf16=true",), "--no_bf16 takes no value"),
        (("--bf16", "maybe"), "unexpected 'maybe'"),
        (("stray",), "unexpected 'stray'"),
        (("other.yaml",), "given as --config other.yaml"),
        (("-c", "x"), "unexpected '-c'"),
        (("--target_roles", "asistant"), "--target_roles: target_roles[0]: unknown role"),
        (("--prefix_messages", "[{role"), "--prefix_messages: prefix_messages: expected JSON"),
        (("--dataset", "gone.json"), "--dataset: dataset: no such file or folder: gone.json"),
        (("--system_prompt", "a", "--system_prompt_file", "b"), "contradicts system_prompt"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_bad_flag_is_refused_by_its_name(flags, said):
    assert said in refused(PROMPTS, *flags)


def test_every_problem_is_told_at_once():
    said = refused("num_trajectories: 0\ntarget_roles: [asistant]\ntorch_dtype: flaot32\n")
    assert said.count("bake.yaml:") == 3
    assert "no data: give dataset or training_prompts" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "is empty"), ("- a\n", "expected `name: value` lines"), ("just text", "expected")],
)
def test_a_file_that_says_nothing_is_refused(text, said):
    assert said in refused(text)


def test_nothing_at_all_is_refused():
    with pytest.raises(ConfigError, match="nothing to bake"):
        parse([])
    with pytest.raises(ConfigError, match=r"no such file: gone\.yaml"):
        parse(["--config", "gone.yaml"])


def test_a_file_beside_the_configuration_is_pointed_at():
    folder = Path("configs")
    folder.mkdir()
    (folder / "rows.json").write_text('["a"]', encoding="utf-8")
    (folder / "bake.yaml").write_text("dataset: rows.json\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"configs/rows\.json exists"):
        parse(["--config", "configs/bake.yaml"])


def test_a_bad_prefix_file_is_refused_at_its_line():
    Path("prefix.yaml").write_text("- role: system\n- {role: usr, content: a}\n", encoding="utf-8")
    said = refused(PROMPTS, "--prefix_messages_file", "prefix.yaml")
    assert "prefix.yaml:1:3: [0] has no content" in said
    assert "prefix.yaml:2:10: [1].role unknown role 'usr'" in said


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ContextConfig(target_roles=["asistant"]), "did you mean `assistant`"),
        (lambda: ContextConfig(prefix_messages="You are kind."), "expected a list"),
        (lambda: ContextConfig(target_content_pattern="("), "no regular expression"),
        (lambda: DataConfig(torch_dtype="flaot32"), "did you mean `float32`"),
        (lambda: LoraConfig(r=0), "r: has to be at least 1"),
        (lambda: LoraConfig(lora_dropout="much"), "lora_dropout: expected a number"),
        (lambda: BakeryConfig(num_trajectories=0), "at least 1"),
        (lambda: BakeryConfig(num_train_epochs="many"), "num_train_epochs: expected a number"),
    ],
)
def test_the_library_refuses_the_same(make, said):
    with pytest.raises(ConfigError, match=said):
        make()


def test_a_snapshot_says_the_same_again():
    text = README + "warmup_ratio: 0.1\nlr_scheduler_type: cosine\ntarget_modules: all\n"
    first = settings(text, "--student_retained_turns", "1")
    snapshot = first.snapshot()
    with Path("snapshot.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(snapshot, file)
    second = parse(["--config", "snapshot.yaml"])
    assert second.snapshot() == snapshot
    assert (second.context, second.lora, second.notes) == (first.context, first.lora, ())
    assert second.training.warmup_steps == first.training.warmup_steps == 0.1


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda p: p.name)
def test_every_example_is_read_with_its_rows(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = parse(["--config", str(path)])
    assert (found.notes, len(data.training_rows(found.data)) > 3) == ((), True)
