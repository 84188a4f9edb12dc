"""On-policy: the student answers as it stands, the parent behind the context scores it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from bakery.distil.trainer import ContextBakingTrainer
from bakery.engine.modes import evaluating
from bakery.engine.training.rounds import Drawn
from bakery.errors import ConfigError, StageError
from bakery.records import Trajectory, read_rows
from bakery.reporting import Quiet
from bakery.settings.config import ContextConfig
from bakery.store.results import TRAJECTORIES
from tests.support.library import PREFIX, losses, trainer, weights

PROMPTS = [{"prompt": f"q{i}?"} for i in range(8)]
OWN: dict[str, Any] = {"on_policy": True, "loss_type": "jsd"}
BACK: dict[str, Any] = {**OWN, "sampling_temperature": 0.0, "num_trajectories": 1}


def answers(out: Path, step: int) -> dict[int, tuple[int, ...]]:
    """Return the first answer to each row of a step."""
    rows = read_rows(out / TRAJECTORIES, Drawn)
    return {r.row: r.response_ids for r in rows if r.round == f"on-policy/{step}" and not r.sample}


def greedy(made: ContextBakingTrainer, number: int, *, context: Any = ()) -> tuple[int, ...]:
    """Decode a row's answer by plain forwards of the model as it stands."""
    messages = [*context, {"role": "user", "content": PROMPTS[number - 1]["prompt"]}]
    tokenizer = made.processing_class
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    start = len(ids)
    with evaluating(made.model), torch.no_grad():
        while len(ids) < start + made.args.trajectory_length:
            logits = made.model(input_ids=torch.tensor([ids]), use_cache=False).logits
            ids.append(int(logits[0, -1].argmax()))
            if ids[-1] in made.chat.end_ids:
                break
    return tuple(ids[start:])


def move(made: ContextBakingTrainer) -> None:
    """Put the adapter far from where it starts, which is nothing at all."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in made.model.parameters():
            if parameter.requires_grad:
                parameter += 0.3 * torch.randn_like(parameter)


class Look(TrainerCallback):
    """Decodes all answers where a step begins, by hand."""

    def __init__(self, made: ContextBakingTrainer) -> None:
        self.made = made
        self.seen: dict[int, dict[int, tuple[int, ...]]] = {}

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        numbers = range(1, len(PROMPTS) + 1)
        self.seen[state.global_step] = {n: greedy(self.made, n) for n in numbers}


def test_an_answer_of_a_round_is_a_trajectory_and_back() -> None:
    one = Trajectory("on-policy/3/7", 1, (5, 2), "Hm.", "stop", asked="0" * 16)
    kept = Drawn.of(one)
    assert (kept.round, kept.row, kept.asked) == ("on-policy/3", 7, "0" * 16)
    assert kept.trajectory == one


def test_each_step_learns_what_the_student_says_as_it_stands(base: Path, tmp_path: Path) -> None:
    made = trainer(base, tmp_path / "out", PROMPTS, **BACK, learning_rate=5e-2)
    move(made)
    first = {n: greedy(made, n) for n in range(1, len(PROMPTS) + 1)}
    look = Look(made)
    made.add_callback(look)
    made.train()
    drawn = [answers(tmp_path / "out", step) for step in range(4)]
    for step, found in enumerate(drawn):
        expected = look.seen.get(step, first)
        assert found == {number: expected[number] for number in found}
        assert len(found) == 4
    moved = {**drawn[2], **drawn[3]}
    assert moved != {number: first[number] for number in moved}
    with made.model.disable_adapter():
        assert moved != {number: greedy(made, number, context=PREFIX) for number in moved}


def test_the_parent_behind_the_context_scores_them(base: Path, tmp_path: Path) -> None:
    made = trainer(base, tmp_path / "out", PROMPTS, **OWN)
    move(made)
    made.start_round(0)
    ((batch,), _) = made.get_batch_samples(iter([[1, 4]]), 1, made.args.device)
    pairs = batch["pairs"]
    assert [pair.key.rsplit("/", 2)[1] for pair in pairs] == ["2", "2", "5", "5"]
    features = made._prepare_inputs(batch)["teacher"]
    expected = []
    with evaluating(made.model), torch.no_grad(), made.model.disable_adapter():
        for pair in pairs:
            logits = made.model(input_ids=torch.tensor([pair.teacher.ids])).logits[0]
            expected.append(logits[pair.teacher.predicting])
            assert "SHOUT!" in made.chat.decoded(pair.teacher.ids)
            assert "SHOUT!" not in made.chat.decoded(pair.student.ids)
    assert torch.allclose(made.readout.logits(features), torch.cat(expected), atol=1e-4)


@pytest.mark.parametrize("loss_type", ["jsd", "reverse_kl"])
def test_the_loss_falls(loss_type: str, base: Path, tmp_path: Path) -> None:
    settings = {**OWN, "loss_type": loss_type, "num_train_epochs": 8}
    made = trainer(base, tmp_path / "out", PROMPTS, **settings)
    made.train()
    seen = losses(made)
    assert seen[0] > 1e-3
    assert sum(seen[-4:]) < 0.7 * sum(seen[:4])


def test_evaluation_stays_on_the_teachers_answers(base: Path, tmp_path: Path) -> None:
    made = trainer(
        base, tmp_path / "out", PROMPTS, evaluation=PROMPTS[:2], num_train_epochs=6, **OWN
    )
    before, kl = made.evaluate()["eval_loss"], made.fidelity().kl
    made.train()
    assert made.evaluate()["eval_loss"] < 0.8 * before
    assert made.fidelity().kl < kl
    assert {row.round for row in read_rows(tmp_path / "out/eval_trajectories.jsonl", Drawn)} == {
        "eval"
    }


def test_fidelity_without_evaluation_rows_asks_the_teacher(base: Path, tmp_path: Path) -> None:
    made = trainer(base, tmp_path / "out", PROMPTS, num_train_epochs=6, **OWN)
    before = made.fidelity(without_adapter=True)
    assert not made.probe.held_out
    assert len(made.probe.pairs) == 16
    made.train()
    assert made.fidelity().kl < before.kl


class Stop(TrainerCallback):
    """Ends training in the middle of an epoch, after the last checkpoint."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_training_stop = state.global_step == 4


def test_a_resumed_run_ends_with_the_weights_of_a_whole_one(base: Path, tmp_path: Path) -> None:
    settings = {
        **OWN,
        "save_strategy": "steps",
        "save_steps": 3,
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 2,
    }
    whole = trainer(base, tmp_path / "whole", PROMPTS, **settings)
    whole.train()
    cut = trainer(base, tmp_path / "cut", PROMPTS, **settings)
    cut.add_callback(Stop())
    cut.train()
    resumed = trainer(base, tmp_path / "cut", PROMPTS, **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "cut" / "checkpoint-3"))
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(resumed)[name]), name
    rows = [read_rows(tmp_path / name / TRAJECTORIES, Drawn) for name in ("whole", "cut")]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 2 * 8 * 2


def test_accumulated_steps_ask_once_and_give_the_loss_of_one_batch(
    base: Path, tmp_path: Path
) -> None:
    seen = []
    for batch, steps in ((4, 1), (1, 4)):
        made = trainer(
            base,
            tmp_path / str(batch),
            PROMPTS,
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=steps,
            **OWN,
        )
        made.train()
        seen.append(losses(made))
    assert seen[0] == pytest.approx(seen[1], rel=1e-4)


def test_sampling_leaves_the_student_as_it_was(base: Path, tmp_path: Path) -> None:
    made = trainer(base, tmp_path / "out", PROMPTS, **OWN)
    made.start_round(0)
    made.model.train()
    made.model.get_base_model().model.layers[0].eval()
    modes = [module.training for module in made.model.modules()]
    learnt = [p.requires_grad for p in made.model.parameters()]
    state, before = torch.get_rng_state(), weights(made)
    attention = made.model.config._attn_implementation
    batches, weight = made.get_batch_samples(iter([[0, 1], [2]]), 2, made.args.device)
    assert [len(batch["pairs"]) for batch in batches] == [4, 2]
    assert weight == sum(pair.num_targets for batch in batches for pair in batch["pairs"])
    assert [module.training for module in made.model.modules()] == modes
    assert [p.requires_grad for p in made.model.parameters()] == learnt
    assert torch.equal(torch.get_rng_state(), state)
    assert made.model.config._attn_implementation == attention
    for name, tensor in before.items():
        assert torch.equal(tensor, weights(made)[name])


def test_dropout_does_not_blur_what_the_student_says(base: Path, tmp_path: Path) -> None:
    made = trainer(base, tmp_path / "out", PROMPTS, **BACK)
    move(made)
    for module in made.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.9
    for module in made.model.modules():
        if hasattr(module, "lora_dropout"):
            module.lora_dropout["default"] = torch.nn.Dropout(0.9)
    made.model.train()
    made.start_round(0)
    made.get_batch_samples(iter([[0, 1, 2]]), 1, made.args.device)
    assert answers(tmp_path / "out", 0) == {n: greedy(made, n) for n in (1, 2, 3)}


def test_rows_with_a_response_are_learnt_as_they_are(base: Path, tmp_path: Path) -> None:
    data = [*PROMPTS[:5], *({"prompt": p["prompt"], "response": "Yes!"} for p in PROMPTS[5:])]
    notes = Quiet()
    made = trainer(base, tmp_path / "out", data, reporter=notes, **OWN)
    assert any("answers 5 rows itself" in n and "3 rows with a resp" in n for n in notes.notes)
    made.train()
    rows = read_rows(tmp_path / "out" / TRAJECTORIES, Drawn)
    assert {row.row for row in rows} == {1, 2, 3, 4, 5}
    assert len(rows) == 2 * 5 * 2


def test_data_without_an_open_row_is_refused(base: Path, tmp_path: Path) -> None:
    data = [{"prompt": "a?", "response": "Yes."}]
    with pytest.raises(ConfigError, match="every row brings its own response"):
        trainer(base, tmp_path / "out", data, **OWN)


@pytest.mark.parametrize(
    ("loss_type", "warned"),
    [("forward_kl", True), ("topk", True), ("jsd", False), ("reverse_kl", False)],
)
def test_a_loss_that_may_collapse_is_warned_of(
    loss_type: str, warned: bool, base: Path, tmp_path: Path
) -> None:
    notes = Quiet()
    settings = {**OWN, "loss_type": loss_type}
    trainer(base, tmp_path / "out", PROMPTS, reporter=notes, **settings)
    assert any(note.startswith("on-policy: the student answers 8 rows") for note in notes.notes)
    assert any("may collapse" in note for note in notes.notes) == warned


def test_a_pattern_that_no_answer_matches_is_an_error(base: Path, tmp_path: Path) -> None:
    context = ContextConfig(prefix_messages=PREFIX, target_content_pattern="^Never:")
    made = trainer(base, tmp_path / "out", PROMPTS, context=context, **OWN)
    with pytest.raises(StageError, match="no sampled answer has a target"):
        made.train()


def test_steps_without_any_target_change_nothing(base: Path, tmp_path: Path) -> None:
    """A pattern that some answers match: a micro-batch may be empty, and none is lost."""
    context = ContextConfig(prefix_messages=PREFIX, target_content_pattern="[a-f]")
    notes = Quiet()
    made = trainer(
        base,
        tmp_path / "out",
        PROMPTS,
        context=context,
        reporter=notes,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=4,
        num_train_epochs=3,
        trajectory_length=3,
        **OWN,
    )
    made.train()
    assert len(losses(made)) == 6
    assert sum("answers without a target" in note for note in notes.notes) == 1
