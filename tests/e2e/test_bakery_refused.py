"""What the `bakery` door says at the door: help, the dry run, and every kind of bad input.

The model that is named here does not exist: whoever gets as far as loading it ends with 5.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

import bakery
from bakery.cli import bakery as door
from bakery.distil.settings import parse
from tests.support.bakery_door import ROOT, typed
from tests.support.models import forbid_weights, random_model
from tests.support.templates import THINKING

MODEL = ("--model_name_or_path", "no/such-model")
CONFIG = """\
prefix_messages:
  - {role: system, content: SHOUT!}
training_prompts: [Who?, What?]
output_dir: out
"""


@pytest.fixture
def config(workplace: Path) -> Path:
    path = workplace / "bake.yaml"
    path.write_text(CONFIG)
    return path


def test_version_and_help(capsys):
    assert typed(capsys, "--version").out == f"bakery {bakery.__version__}\n"
    shown = typed(capsys, "--help")
    assert shown.code == 0
    assert "--student_retained_turns" in shown.out
    assert typed(capsys, "-h").out == shown.out


def test_nothing_typed_shows_the_help_and_is_an_error(capsys):
    done = typed(capsys)
    assert (done.code, done.out) == (2, "")
    assert "Usage: bakery --config FILE" in done.err


def test_what_is_right_gets_as_far_as_the_model(config, capsys):
    done = typed(capsys, "--config", config, *MODEL)
    assert done.code == 5
    assert "no/such-model" in done.err


FLAGS = {
    "unknown flag": (("--lerning_rate", "1"), 2, "did you mean --learning_rate?"),
    "missing file": (("--eval_file", "none.json"), 2, "no such file: none.json"),
    "missing data": (("--dataset", "./none.json"), 2, "no such file or folder"),
    "dtype": (("--torch_dtype", "flaot32"), 2, "did you mean `float32`?"),
    "regex": (("--target_content_pattern", "(a"), 2, "is not a regular expression"),
    "role": (("--target_roles", "asistant"), 2, "did you mean `assistant`?"),
    "whole prefix retained": (("--student_retained_turns", "1"), 2, "leaves nothing to bake"),
    "nothing to evaluate on": (("--eval_strategy", "epoch"), 2, "nothing to evaluate on"),
    "half precision": (("--fp16", "true"), 2, "fp16 needs a GPU"),
    "no checkpoint": (("--resume_from_checkpoint", "true"), 2, "there is no checkpoint in out"),
}


@pytest.mark.parametrize("kind", sorted(FLAGS))
def test_a_bad_flag_ends_before_the_model_loads(kind, config, capsys):
    words, code, message = FLAGS[kind]
    done = typed(capsys, "--config", config, *MODEL, *words)
    assert done.code == code
    assert message in done.err
    assert done.err.startswith("error: ")
    assert not Path("out").exists()


def test_an_unknown_key_is_named_with_its_line(config, capsys):
    config.write_text(f"{CONFIG}student_retaind_turns: 1\n")
    done = typed(capsys, "--config", config, *MODEL)
    assert done.code == 2
    assert "bake.yaml:5:1: unknown key `student_retaind_turns`" in done.err
    assert "did you mean `student_retained_turns`?" in done.err


@pytest.mark.parametrize(
    ("rows", "code", "message"),
    [
        ([], 4, "has no rows"),
        ([{"colour": "red"}], 4, "row 1"),
        ([{"prompt": "Who?"}], 2, "there is no context to bake"),
    ],
)
def test_bad_data_ends_before_the_model_loads(rows, code, message, capsys):
    Path("data.json").write_text(json.dumps(rows))
    done = typed(capsys, "--dataset", "data.json", *MODEL)
    assert done.code == code
    assert message in done.err


@pytest.mark.parametrize(
    ("words", "package"),
    [
        (("--load_in_4bit",), "bitsandbytes"),
        (("--use_unsloth",), "unsloth"),
        (("--use_liger_kernel",), "liger-kernel"),
    ],
)
def test_a_missing_extra_is_said_with_its_install_line(words, package, config, capsys):
    # Where the package is, the run goes on, and what it says is the package's own affair.
    if importlib.util.find_spec(package.replace("-", "_")) is not None:
        pytest.skip(f"{package} is installed here")
    done = typed(capsys, "--config", config, *MODEL, *words)
    assert done.code == 2
    assert f"hint: pip install {package}" in done.err


def test_training_without_a_step_is_an_error(config, workplace, capsys):
    base = random_model(workplace / "model")
    given = ("--model_name_or_path", base, "--torch_dtype", "float32", "--trajectory_length", "4")
    done = typed(capsys, "--config", config, *given, "--num_train_epochs", "0")
    assert done.code == 2
    assert "num_train_epochs: is 0: nothing would be trained" in done.err


def test_layers_that_are_not_there_are_an_error(config, workplace, capsys):
    base = random_model(workplace / "model")
    given = ("--config", config, "--model_name_or_path", base, "--target_modules", "nonesuch")
    for words in (given, (*given, "--dry-run")):
        done = typed(capsys, *words)
        assert done.code == 2
        assert "LoRA cannot be placed" in done.err


def test_data_without_any_target_ends_before_a_weight_is_read(config, workplace, capsys):
    base = random_model(workplace / "model")
    forbid_weights(base)
    given = ("--model_name_or_path", base, "--target_content_pattern", "never")
    Path("data.json").write_text('[{"prompt": "Who?", "response": "I."}]')
    config.write_text(CONFIG.replace("training_prompts: [Who?, What?]", "dataset: data.json"))
    done = typed(capsys, "--config", config, *given)
    assert done.code == 4
    assert "no row has a target" in done.err


def test_a_dry_run_shows_both_views_and_writes_nothing(workplace, monkeypatch, capsys):
    base = random_model(workplace / "model", THINKING)
    forbid_weights(base)
    monkeypatch.chdir(ROOT)
    given = ("--config", "examples/sft_dataset.yaml", "--model_name_or_path", base)
    done = typed(capsys, *given, "--output_dir", workplace / "out", "--dry-run")
    assert done.code == 0, done.err
    assert not (workplace / "out").exists()
    assert "row 1, part 1 of 2" in done.out
    teacher, student = done.out.split("row 2")[0].split("part 2 of 2")[1].split("student")
    assert "You are patient." in teacher
    assert "You are patient." not in student
    learnt = "⟦The sun warms the sea. Water rises as vapour and cools into clouds.<|im_end|>⟧"
    assert learnt in teacher
    assert learnt in student
    assert "⟦Rain" not in teacher
    for label in ("rows", "tokens", "steps", "memory", "time"):
        assert f"\n{label} " in done.out
    assert "split by turn" in done.err


def test_a_dry_run_says_that_the_student_answers(config, workplace, capsys):
    given = ("--model_name_or_path", random_model(workplace / "model"), "--on_policy")
    done = typed(capsys, "--config", config, *given, "--dry-run")
    assert done.code == 0, done.err
    assert done.out.count("⟦the student's answer⟧") == 4
    assert "2 of 2, 2 for the student to answer (8 answers)" in done.out
    assert "note: on-policy: the student answers 2 rows itself" in done.err
    assert "note: loss_type forward_kl on the student's own answers may collapse" in done.err


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_on_policy_without_an_open_row_is_refused(words, config, workplace, capsys):
    data = workplace / "pairs.json"
    data.write_text('[{"prompt": "a?", "response": "b"}]')
    config.write_text(f"prefix_messages: [{{role: system, content: a}}]\ndataset: {data}\n")
    done = typed(capsys, "--config", config, "--on_policy", *words)
    assert done.code == 2
    assert "every row brings its own response" in done.err


def test_a_dry_run_says_where_the_teacher_has_yet_to_answer(config, workplace, capsys):
    base = random_model(workplace / "model")
    done = typed(capsys, "--config", config, "--model_name_or_path", base, "--dry-run")
    assert done.code == 0, done.err
    assert done.out.count("⟦the teacher's answer⟧") == 4
    assert "2 of 2, 2 for the teacher to answer (8 answers)" in done.out


def test_what_one_of_several_processes_alone_has_met_is_said_with_its_number(
    workplace, monkeypatch, capsys
):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(door, "FIRST_SAYS_IT_S", 0.0)
    refused = typed(capsys, "--config", "none.yaml")
    assert refused.code == 2
    assert "error: process 1: no such file: none.yaml" in refused.err


def test_only_the_first_of_several_processes_says_that_it_was_stopped(monkeypatch, capsys):
    def stop(words):
        raise KeyboardInterrupt

    monkeypatch.setattr(parse, "parse", stop)
    assert "stopped" in typed(capsys, "--config", "a.yaml").err
    monkeypatch.setenv("RANK", "1")
    stopped = typed(capsys, "--config", "a.yaml")
    assert (stopped.code, stopped.err) == (130, "")
