"""What nobody said of a bake is settled by its model and its rows; what somebody wrote is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, Qwen2Config

from bakery.data.datasets import create_conversational_dataset, create_dataset
from bakery.defaults import LATEST
from bakery.distil.settings import settled
from bakery.distil.trainer import ContextBakingTrainer
from bakery.engine.bases import bases
from bakery.engine.loss.forms import Form
from bakery.errors import ConfigError
from bakery.settings.config import BakeryConfig, LoraConfig
from tests.support.library import losses, said_by, trainer, weights

OPEN = (
    "learning_rate", "num_train_epochs", "per_device_train_batch_size",
    "gradient_accumulation_steps", "warmup_steps",
)  # fmt: skip
NOT_GIVEN: dict[str, Any] = {**dict.fromkeys(OPEN), "first_weights": None}
RESPONSES = [f"Answer number {i}." for i in range(40)]
PAIRS = create_dataset([f"q{i}?" for i in range(40)], RESPONSES)
SMOL = settled.Base("smol", "llama", 576)

NOT_AS_GIVEN = "what its layers add to the stream is not what an adapted projection gives"


def settle(*, rows: int = 40, answers: int = 40, fitted: bool = True, **given: Any) -> BakeryConfig:
    args = BakeryConfig(output_dir="out", **given)
    settled.training(args, SMOL, rows=rows, answers=answers, is_fitted=fitted)
    return args


def batch(args: BakeryConfig) -> tuple[int | None, int | None]:
    return args.per_device_train_batch_size, args.gradient_accumulation_steps


def test_the_rate_goes_by_the_models_size_and_a_fitted_start_takes_a_quarter() -> None:
    fitted, drawn = settle(), settle(fitted=False)
    assert (fitted.learning_rate, fitted.num_train_epochs) == (3.2e-4, 3)
    assert (drawn.learning_rate, drawn.num_train_epochs) == (1.3e-3, 3)
    assert (fitted.warmup_steps, fitted.first_weights, fitted.defaults) == (0.05, "fitted", LATEST)


@pytest.mark.parametrize(
    ("rows", "answers", "expected"),
    [
        (10, 10, (4, 1)),  # 4 answers at least
        (60, 60, (4, 1)),
        (240, 240, (4, 1)),
        (500, 500, (4, 2)),  # 4 answers are run at once
        (5000, 5000, (4, 4)),
        (120, 480, (1, 2)),  # a row with 4 answers counts as 4
        (240, 960, (1, 4)),
    ],
)
def test_a_step_is_as_large_as_leaves_sixty_of_them(
    rows: int, answers: int, expected: tuple[int, int]
) -> None:
    args = settle(rows=rows, answers=answers)
    assert batch(args) == expected
    assert rows < 240 or rows // (expected[0] * expected[1]) >= 60


def test_more_epochs_make_steps_larger() -> None:
    assert batch(settle(num_train_epochs=12)) == (4, 2)
    assert batch(settle(num_train_epochs=0.5)) == (4, 1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"per_device_train_batch_size": 16}, (16, 1)),
        ({"gradient_accumulation_steps": 2}, (2, 2)),
        ({"per_device_train_batch_size": 3, "gradient_accumulation_steps": 5}, (3, 5)),
    ],
)
def test_a_batch_that_is_given_is_taken(given: dict[str, int], expected: tuple[int, int]) -> None:
    assert batch(settle(rows=240, answers=240, **given)) == expected


@pytest.mark.parametrize(("processes", "epochs"), [(1, 3), (2, 3), (8, 6)])
def test_there_are_thirty_steps_where_each_process_takes_a_row(
    processes: int, epochs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BakeryConfig, "world_size", processes)
    assert settle().num_train_epochs == epochs  # 40 rows in steps of 4, or one for each process


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 5e-5), ("learning_rate", 0.0), ("num_train_epochs", 2),
        ("warmup_steps", 0), ("first_weights", "random"),
    ],
)  # fmt: skip
def test_what_is_given_stays_be_it_the_default_of_transformers(name: str, value: Any) -> None:
    assert getattr(settle(**{name: value}), name) == value


def test_a_warm_up_by_its_ratio_is_given_too() -> None:
    assert settle(warmup_ratio=0.2).warmup_steps == 0.2


def test_version_1_is_transformers() -> None:
    args = settle(defaults=1)
    assert [getattr(args, name) for name in OPEN] == [5e-5, 3, 8, 1, 0]
    assert args.first_weights == "random"
    config = LoraConfig()
    settled.lora(config, SMOL, args)
    assert (config.r, config.lora_alpha) == (64, 128)
    with pytest.raises(ConfigError, match=f"defaults: has to be at most {LATEST}"):
        BakeryConfig(output_dir="out", defaults=LATEST + 1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, (32, 64)), ({"r": 8}, (8, 16)), ({"r": 8, "lora_alpha": 8}, (8, 8))],
)
def test_the_scale_goes_by_the_rank(given: dict[str, int], expected: tuple[int, int]) -> None:
    config = LoraConfig(**given)
    settled.lora(config, SMOL, BakeryConfig(output_dir="out"))
    assert (config.r, config.lora_alpha) == expected


def test_the_embedded_model_is_known_by_its_folder() -> None:
    folder, _ = bases.locate("tiny")
    found = settled.base_of(AutoConfig.from_pretrained(str(folder)))
    assert found.name == "tiny-1"
    other = Qwen2Config(hidden_size=896)
    assert settled.base_of(other) == settled.Base("", "qwen2", 896)


def test_an_adapter_that_starts_fitted_is_nearer_before_its_first_step(
    base: Path, tmp_path: Path
) -> None:
    made = trainer(base, tmp_path / "fitted", PAIRS, **NOT_GIVEN)
    before = made.fidelity()
    assert made.beginning.impossible is None
    made._begin()
    after = made.fidelity()
    assert 0 < after.kl < 0.5 * before.kl
    assert not said_by(made)
    made.train()
    assert made.state.global_step == 30
    assert losses(made)[-1] < before.kl


def test_every_shape_of_data_can_start_fitted(base: Path, tmp_path: Path) -> None:
    turns = [("user", "Hi?"), ("assistant", "Yes."), ("user", "And?"), ("assistant", "No, {}.")]
    rows = create_conversational_dataset(
        [
            {"turns": [{"role": role, "content": text.format(i)} for role, text in turns]}
            for i in range(30)
        ]
    )
    for name, data in (("turns", rows), ("prompts", [{"prompt": f"q{i}?"} for i in range(10)])):
        made = trainer(base, tmp_path / name, data, **NOT_GIVEN)
        before = made.fidelity()
        made._begin()
        assert made.fidelity().kl < before.kl
        assert made.beginning.settled["num_train_epochs"] >= 2


def test_where_only_the_likeliest_tokens_are_kept_a_fit_is_still_tried(
    base: Path, tmp_path: Path
) -> None:
    targets = sum(len(text) + 1 for text in RESPONSES)
    # More than two tokens of a position take, and less than all of its features.
    some = {"loss_type": "topk", "loss_top_k": 2, "teacher_record_gb": 24e-9 * targets}
    made = trainer(base, tmp_path / "out", PAIRS, **{**NOT_GIVEN, **some})
    before = made.fidelity()
    made._begin()
    assert made.train_dataset.record.form is Form.LIKELIEST
    assert made.fidelity().kl < before.kl


def test_a_run_that_goes_on_is_not_fitted_again(base: Path, tmp_path: Path) -> None:
    def run(out: Path, resume: str | None = None) -> ContextBakingTrainer:
        made = trainer(base, out, PAIRS, save_strategy="steps", save_steps=5, **NOT_GIVEN)
        if resume:
            made.beginning.fit = _fail  # type: ignore[method-assign, assignment]
        made.train(resume_from_checkpoint=resume)
        return made

    whole = run(tmp_path / "whole")
    again = run(tmp_path / "again", str(tmp_path / "whole/checkpoint-5"))
    assert (whole.state.global_step, again.state.global_step) == (30, 30)
    ours, theirs = weights(again), weights(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def _fail(*_: Any) -> str | None:
    raise AssertionError("nothing is fitted again")


def test_a_fit_that_is_no_use_is_told_and_the_rate_is_that_of_a_random_start(
    base: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    made = trainer(base, out, PAIRS, save_strategy="steps", **NOT_GIVEN)
    rate = made.args.learning_rate
    made.beginning.fit = lambda *_: "it is no nearer"  # type: ignore[method-assign]
    made.train()
    # The rate of a small random model is the law's own, but for two digits.
    assert made.args.learning_rate == pytest.approx(4 * rate, rel=0.05)
    assert made.args.num_train_epochs == 3
    assert made.state.global_step == 30
    assert said_by(made)[0] == "the adapter starts at random instead of fitted: it is no nearer"
    assert said_by(made)[1].startswith("not given, so by model and data: learning_rate ")
    again = trainer(base, out, PAIRS, save_strategy="no", **NOT_GIVEN)
    again.beginning.go_on(out)
    assert again.args.learning_rate == made.args.learning_rate


@pytest.mark.parametrize(("rows", "epochs"), [(8, 15), (40, 3), (5000, 3)])
def test_a_random_start_after_a_fit_that_was_no_use_has_no_fewer_steps(
    rows: int, epochs: int
) -> None:
    args = settle(rows=rows, answers=rows)
    given = {name: getattr(args, name) for name in OPEN if hasattr(args, name)}
    before = args.num_train_epochs
    settled.start_at_random(args, SMOL, given)
    assert args.num_train_epochs == epochs >= (before or 0)
    assert args.learning_rate == 1.3e-3


@pytest.mark.parametrize(
    ("changes", "modules", "why"),
    [
        ({"on_policy": True}, "all-linear", "the student answers itself"),
        (
            {},
            ["q_proj"],
            "what its layers add to the stream is not what an adapted projection gives",
        ),
    ],
)
def test_where_it_cannot_be_fitted_it_says_why_and_learns_at_the_rate_of_a_random_start(
    changes: dict[str, Any], modules: Any, why: str, base: Path, tmp_path: Path
) -> None:
    prompts = [{"prompt": f"q{i}?"} for i in range(8)]
    settings = {**NOT_GIVEN, "max_steps": 1, **changes}
    made = trainer(base, tmp_path, prompts, modules=modules, **settings)
    assert made.args.num_train_epochs == 8  # of 8 answers, so that there are 30 steps
    made.train()
    told = [note for note in said_by(made) if "at random instead of fitted" in note]
    assert told == [f"the adapter starts at random instead of fitted: {why}"]
