"""The library's trainer: every shape of data trains, twice the same, and on from where it was."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, OPTConfig, TrainerCallback

from bakery.data.datasets import create_conversational_dataset, create_dataset
from bakery.distil.trainer import ContextBakingTrainer, PromptBakingTrainer
from bakery.engine.training import numerics
from bakery.engine.training.numerics import Numerics
from bakery.engine.training.rounds import Drawn
from bakery.errors import BakeryError, ConfigError, StageError
from bakery.records import read_rows
from bakery.settings.config import BakeryConfig, ContextConfig
from tests.support.library import PREFIX, losses, trainer, weights
from tests.support.models import make_model

PROMPTS = [f"q{i}?" for i in range(8)]
RESPONSES = [f"Answer number {i}." for i in range(8)]


def turns(*texts: str) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]


SHAPES = {
    "prompts": create_dataset(PROMPTS),
    "pairs": create_dataset(PROMPTS, RESPONSES),
    "conversations": create_conversational_dataset(
        [{"turns": turns(f"a{i}?", "Yes.", "And?", f"No {i}.")} for i in range(8)]
    ),
    "histories": create_conversational_dataset(
        [{"turns": turns(f"a{i}?", "Yes.", "And?")} for i in range(8)]
    ),
    "own prefixes": create_conversational_dataset(
        [
            {
                "turns": turns(f"a{i}?", "Yes."),
                "prefix_messages": [{"role": "system", "content": f"You are {i}."}],
            }
            for i in range(8)
        ]
    ),
    "plain rows": [{"prompt": p, "response": r} for p, r in zip(PROMPTS, RESPONSES, strict=True)],
    "mixed": [{"prompt": "a?"}, {"prompt": "b?", "response": "Yes."}] * 4,
}


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_every_shape_of_data_trains(shape: str, base: Path, tmp_path: Path) -> None:
    made = trainer(base, tmp_path / "out", SHAPES[shape], num_train_epochs=5)
    made.train()
    seen = losses(made)
    assert seen[0] > 1e-3
    assert seen[-1] < 0.8 * seen[0]


def test_rows_with_their_own_prefix_need_no_global_one(base: Path, tmp_path: Path) -> None:
    made = trainer(base, tmp_path / "out", SHAPES["own prefixes"], context=ContextConfig())
    made.train()
    assert losses(made)[0] > 1e-3


def test_a_row_without_any_context_is_refused_by_its_number(base: Path, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="nothing to train on") as refused:
        trainer(base, tmp_path / "out", SHAPES["pairs"], context=ContextConfig())
    assert "row 1: it has no context to bake" in str(refused.value.hint)


def test_the_same_seed_gives_the_same_losses(base: Path, tmp_path: Path) -> None:
    seen = []
    for name in ("a", "b"):
        made = trainer(base, tmp_path / name, SHAPES["prompts"], seed=7)
        made.train()
        seen.append(losses(made))
    assert seen[0] == seen[1]


def test_the_teacher_answers_anew_in_each_epoch_unless_told_not_to(
    base: Path, tmp_path: Path
) -> None:
    for reuse, rounds in ((False, {"0", "1"}), (True, {"0"})):
        out = tmp_path / str(reuse)
        trainer(base, out, SHAPES["prompts"], reuse_trajectories=reuse).train()
        rows = read_rows(out / "trajectories.jsonl", Drawn)
        assert {row.round for row in rows} == rounds
        assert len(rows) == len(rounds) * len(PROMPTS) * 2


def test_the_teachers_samples_obey_every_setting(base: Path, tmp_path: Path) -> None:
    settings = {"reuse_trajectories": True, "max_steps": 1, "sampling_temperature": 3.0}
    for name, more in (
        ("penalty", {"repetition_penalty": 1e9, "sampling_temperature": 0.0}),
        ("min_p", {"min_p": 1.0, "top_p": 1.0}),
        ("greedy", {"sampling_temperature": 0.0}),
    ):
        trainer(base, tmp_path / name, SHAPES["prompts"], **{**settings, **more}).train()
    rows = {
        name: [row.response_ids for row in read_rows(tmp_path / name / "trajectories.jsonl", Drawn)]
        for name in ("penalty", "min_p", "greedy")
    }
    assert rows["min_p"] == rows["greedy"]
    assert all(len(set(ids)) == len(ids) for ids in rows["penalty"])
    assert rows["penalty"] != rows["greedy"]


def test_saved_trajectories_are_learnt_from_again(base: Path, tmp_path: Path) -> None:
    first = trainer(base, tmp_path / "a", SHAPES["prompts"], reuse_trajectories=True)
    first.train()
    kept = tmp_path / "a" / "trajectories.jsonl"
    again = trainer(base, tmp_path / "b", SHAPES["prompts"], trajectories_file=str(kept))
    again.train()
    # What the teacher's head read while it answered is used at once; kept answers are run again.
    assert losses(again) == pytest.approx(losses(first), rel=1e-4)
    assert not (tmp_path / "b" / "trajectories.jsonl").exists()


def test_saved_trajectories_of_other_prompts_are_refused(base: Path, tmp_path: Path) -> None:
    trainer(base, tmp_path / "a", SHAPES["prompts"], reuse_trajectories=True).train()
    given = str(tmp_path / "a" / "trajectories.jsonl")
    shifted = create_dataset(PROMPTS[1:])
    with pytest.raises(ConfigError, match="answers another prompt in row 1"):
        trainer(base, tmp_path / "b", shifted, trajectories_file=given).train()
    later = Path(given).read_text("utf-8").replace('"round": "0"', '"round": "on-policy/0"')
    Path(given).write_text(later, encoding="utf-8")
    with pytest.raises(ConfigError, match="has no answer to these rows"):
        trainer(base, tmp_path / "c", SHAPES["prompts"], trajectories_file=given).train()


def test_a_finished_run_that_is_resumed_takes_no_step_more(base: Path, tmp_path: Path) -> None:
    for number, more in enumerate(({}, {"on_policy": True, "loss_type": "reverse_kl"})):
        settings = {"save_strategy": "steps", "save_steps": 1, "max_steps": 3, **more}
        out = tmp_path / str(number)
        whole = trainer(base, out, SHAPES["prompts"], **settings)
        whole.train()
        resumed = trainer(base, out, SHAPES["prompts"], **settings)
        resumed.train(resume_from_checkpoint=True)
        assert resumed.state.global_step == 3
        for name, tensor in weights(whole).items():
            assert torch.equal(tensor, weights(resumed)[name]), name


class Stop(TrainerCallback):
    """Ends training in the middle of an epoch."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_training_stop = state.global_step == 3


@pytest.mark.parametrize("shape", ["prompts", "conversations"])
def test_a_resumed_run_ends_with_the_weights_of_a_whole_one(
    shape: str, base: Path, tmp_path: Path
) -> None:
    settings = {"save_strategy": "steps", "save_steps": 3}
    whole = trainer(base, tmp_path / "whole", SHAPES[shape], **settings)
    whole.train()
    cut = trainer(base, tmp_path / "cut", SHAPES[shape], **settings)
    cut.add_callback(Stop())
    cut.train()
    resumed = trainer(base, tmp_path / "cut", SHAPES[shape], **settings)
    resumed.train(resume_from_checkpoint=True)
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(resumed)[name]), name


def test_evaluation_of_prompts_gives_a_real_divergence(base: Path, tmp_path: Path) -> None:
    made = trainer(
        base,
        tmp_path / "out",
        SHAPES["prompts"],
        evaluation=create_dataset(["new?", "other?"]),
        num_train_epochs=4,
    )
    before = made.evaluate()["eval_loss"]
    made.train()
    assert 0 < made.evaluate()["eval_loss"] < before


def test_the_teacher_is_not_blurred_by_dropout_nor_moved_by_padding(tmp_path: Path) -> None:
    config = OPTConfig(
        vocab_size=259,
        hidden_size=32,
        word_embed_proj_dim=32,
        ffn_dim=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
        dropout=0.5,
        pad_token_id=0,
        eos_token_id=2,
    )
    base = make_model(tmp_path / "opt", config)
    context = ContextConfig(prefix_messages=PREFIX, student_retained_turns=1)
    data = [{"prompt": "a?", "response": "Yes."}, {"prompt": "b" * 30, "response": "N" * 40}]
    made = trainer(base, tmp_path / "out", data, context=context, evaluation=data)
    made.model.train()
    assert made.evaluate()["eval_loss"] == pytest.approx(0.0, abs=1e-6)


def test_evaluation_counts_every_token_once(base: Path, tmp_path: Path) -> None:
    data = [{"prompt": "a?", "response": "Yes."}, {"prompt": "b?", "response": "N" * 40}]
    sizes = []
    for batch in (1, 8):
        made = trainer(
            base, tmp_path / str(batch), data, evaluation=data, per_device_eval_batch_size=batch
        )
        sizes.append(made.evaluate()["eval_loss"])
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-5)


@pytest.mark.parametrize("loss_type", ["reverse_kl", "jsd", "topk"])
def test_other_divergences_train_too(loss_type: str, base: Path, tmp_path: Path) -> None:
    made = trainer(
        base,
        tmp_path / "out",
        SHAPES["pairs"],
        loss_type=loss_type,
        num_train_epochs=4,
        temperature=1.5,
    )
    made.train()
    assert 0 < losses(made)[-1] < losses(made)[0]


def test_examples_can_weigh_the_same_whatever_their_length(base: Path, tmp_path: Path) -> None:
    short = [{"prompt": "a?", "response": "Yes."}]
    long = [{"prompt": "b?", "response": "No, and here is why: " + "x" * 60}]
    first = {}
    for name, data, weighting in (
        ("short", short, "token"),
        ("long", long, "token"),
        ("example", short + long, "example"),
        ("token", short + long, "token"),
    ):
        made = trainer(base, tmp_path / name, data, loss_weighting=weighting, max_steps=1)
        made.train()
        first[name] = losses(made)[0]
    assert first["example"] == pytest.approx((first["short"] + first["long"]) / 2, rel=1e-3)
    assert first["token"] != pytest.approx(first["example"], rel=1e-2)


def test_accumulated_steps_give_the_loss_of_one_batch(base: Path, tmp_path: Path) -> None:
    seen = []
    for batch, steps in ((4, 1), (1, 4)):
        made = trainer(
            base,
            tmp_path / str(batch),
            SHAPES["conversations"],
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=steps,
        )
        made.train()
        seen.append(losses(made))
    assert seen[0] == pytest.approx(seen[1], rel=1e-4)


def test_a_pattern_that_matches_nothing_is_an_error(base: Path, tmp_path: Path) -> None:
    context = ContextConfig(prefix_messages=PREFIX, target_content_pattern="^Never:")
    with pytest.raises(StageError, match="nothing to train on"):
        trainer(base, tmp_path / "out", SHAPES["pairs"], context=context)


def test_the_former_name_still_works_and_says_so(base: Path, tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match="ContextBakingTrainer"):
        made = trainer(base, tmp_path / "out", SHAPES["pairs"], kind=PromptBakingTrainer)
    made.train()
    assert losses(made)[0] > 0


def from_given(model: Any, out: Path, **more: Any) -> ContextBakingTrainer:
    return ContextBakingTrainer(
        model,
        BakeryConfig(output_dir=str(out), bf16=False, report_to="none", num_train_epochs=1),
        ContextConfig(prefix_messages=[{"role": "system", "content": "Be brief."}]),
        create_dataset(["What is AI?", "What is fire?"], ["AI is.", "Fire is."]),
        **more,
    )


def test_a_name_is_loaded_and_gets_an_adapter(base: Path, tmp_path: Path) -> None:
    made = from_given(str(base), tmp_path / "out")
    assert made.train().training_loss > 0
    assert made.model.peft_config["default"].r == 32


def test_a_model_without_an_adapter_gets_the_one_that_is_asked_for(
    base: Path, tmp_path: Path
) -> None:
    asked = peft.LoraConfig(r=3, target_modules=["q_proj"], task_type="CAUSAL_LM")
    bare = AutoModelForCausalLM.from_pretrained(base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    made = from_given(bare, tmp_path / "out", peft_config=asked, processing_class=tokenizer)
    assert made.model.peft_config["default"].r == 3
    made.train()
    with pytest.raises(ConfigError, match="already carries an adapter"):
        from_given(made.model, tmp_path / "x", peft_config=asked, processing_class=tokenizer)


@pytest.mark.parametrize(
    ("model", "says"),
    [(None, "needs a model"), (7, "needs a model"), ("./nowhere", "no such file or folder")],
)
def test_what_is_no_model_is_refused(model: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(BakeryError, match=says):
        from_given(model, tmp_path / "out")


UNTEACHABLE = {
    "bias='all'": peft.LoraConfig(target_modules=["q_proj"], bias="all", task_type="CAUSAL_LM"),
    "PROMPT_TUNING": peft.PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"),
    "alora": peft.LoraConfig(
        target_modules=["q_proj"], alora_invocation_tokens=[5], task_type="CAUSAL_LM"
    ),
}


@pytest.mark.parametrize("why", sorted(UNTEACHABLE))
def test_an_adapter_that_moves_the_teacher_or_the_rows_is_refused(
    why: str, base: Path, tmp_path: Path
) -> None:
    made = trainer(base, tmp_path / "out", SHAPES["pairs"])
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), UNTEACHABLE[why])
    with pytest.raises(ConfigError, match=f"cannot learn here: .*{why}"):
        type(made)(model=model, args=made.args, processing_class=made.processing_class)


def test_a_saved_adapter_is_a_standard_one(base: Path, tmp_path: Path) -> None:
    made = trainer(base, tmp_path / "out", SHAPES["pairs"])
    made.train()
    made.save_model(str(tmp_path / "saved"))
    names = {path.name for path in (tmp_path / "saved").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json"} <= names
    assert json.loads((tmp_path / "saved/adapter_config.json").read_text())["r"] == 4


@pytest.mark.parametrize("layout", ["shared", "packed", "padded"])
def test_a_batch_of_answers_without_a_target_teaches_nothing(
    layout: str, base: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    model = numerics.shapes(trainer(base, tmp_path, create_dataset(["a"])).model)
    chosen = Numerics(layout, "sdpa", torch.get_num_threads(), "fused", model)
    numerics.write(out / numerics.FILE, chosen)
    context = ContextConfig(prefix_messages=PREFIX, target_content_pattern="[a-m]")
    settings = {"trajectory_length": 4, "num_trajectories": 1, "per_device_train_batch_size": 1}
    made = trainer(base, out, create_dataset(list("abcdefghijkl")), context=context, **settings)
    made.train()
    assert any(not example for example in made.train_dataset.examples)
    assert 0 in losses(made)
    assert all(map(math.isfinite, losses(made)))


def test_workers_that_stay_do_not_keep_the_first_rounds_answers(base: Path, tmp_path: Path) -> None:
    rows, seen = create_dataset(["a?", "b?", "c?", "d?"]), []
    for name, more in (
        ("none", {}),
        ("staying", {"dataloader_num_workers": 1, "dataloader_persistent_workers": True}),
    ):
        made = trainer(base, tmp_path / name, rows, per_device_train_batch_size=2, **more)
        made.train()
        seen.append(losses(made))
    assert seen[0] == seen[1]


def test_a_loss_that_is_no_number_stops_the_run(base: Path, tmp_path: Path) -> None:
    made = trainer(base, tmp_path, create_dataset(PROMPTS))
    broken = made.model.get_base_model().model.layers[0].mlp.down_proj.base_layer.weight
    with torch.no_grad():
        broken[0, 0] = math.nan
    assert made.fidelity().top1_agreement == 0
    with pytest.raises(StageError, match="not a number any more"):
        made.train()


@pytest.mark.parametrize("call", ["evaluate", "predict"])
def test_other_rows_than_the_trainers_own_are_refused(
    call: str, base: Path, tmp_path: Path
) -> None:
    made = trainer(base, tmp_path, create_dataset(PROMPTS))
    with pytest.raises(ConfigError, match="rows that the trainer was made with"):
        getattr(made, call)(["a", "b"])
