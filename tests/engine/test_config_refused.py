"""What cannot be meant is refused before a model is loaded: what, where, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from bakery.distil.settings.parse import parse
from bakery.errors import ConfigError
from bakery.settings.config import BakeryConfig, ContextConfig, DataConfig, LoraConfig

PROMPTS = "training_prompts: [What is AI?]\n"


def settings(text: str, *flags: str):
    """Parse a file with this text, and flags."""
    Path("bake.yaml").write_text(text, encoding="utf-8")
    return parse(["--config", "bake.yaml", *flags])


def refused(text: str, *flags: str) -> str:
    """Return what parsing this says, hint and all."""
    with pytest.raises(ConfigError) as caught:
        settings(text, *flags)
    return f"{caught.value.message}\nhint: {caught.value.hint}"


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
        ("num_train_epochs: 0", "bake.yaml:2:19: num_train_epochs: is 0: nothing would be trained"),
        ("num_trajectories: 0", "bake.yaml:2:19: num_trajectories: has to be at least 1, got 0"),
        ("teacher_record_gb: -1", "bake.yaml:2:20: teacher_record_gb: has to be at least 0, got"),
        ("teacher_record_gb: much", "teacher_record_gb: expected a number, got 'much'"),
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
            "bake.yaml:2:25: target_content_pattern: '^(Answer' is not a regular expression",
        ),
        ("target_scope: match", "target_scope: match needs a target_content_pattern"),
        ("target_modules: '*_proj'", "target_modules: '*_proj' is not a regular expression"),
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
        ("jsd_beta: 0", "jsd_beta: has to lie between 0 and 1, both left out"),
        ("top_p: 1.2", "top_p: has to be between 0 and 1, got 1.2"),
        ("temperature: 0", "temperature: has to be above 0"),
        ("min_p: 1.1", "bake.yaml:2:8: min_p: has to be between 0 and 1, got 1.1"),
        ("repetition_penalty: 0", "bake.yaml:2:21: repetition_penalty: has to be above 0"),
        (
            "on_policy: true\nreuse_trajectories: true",
            "bake.yaml:3:21: reuse_trajectories: contradicts on_policy, which samples anew",
        ),
        (
            "on_policy: true\ntrajectories_file: bake.yaml",
            "bake.yaml:3:20: trajectories_file: contradicts on_policy",
        ),
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
        (lambda: ContextConfig(target_content_pattern="("), "not a regular expression"),
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
