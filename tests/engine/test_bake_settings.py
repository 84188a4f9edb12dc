"""What BAKE asks for happens: which pairs, which loss, which models are kept."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from bakery import held_out
from bakery.card import Fidelity
from bakery.engine.loss.losses import Divergence
from bakery.engine.loss.readout import Readout
from bakery.engine.models import adapter_folder, adapters, models
from bakery.engine.text.views import Pair
from bakery.engine.training import start
from bakery.errors import ConfigError, ModelError, StageError
from bakery.identity import short_id
from bakery.shaping import FirstWeights, OnPolicySettings
from bakery.stages import bake
from bakery.stages import training as phases
from bakery.stages.longest import limit_of
from bakery.stages.mix import mix
from bakery.stages.parts import length, part_of
from tests.support.baking import NOTHING, SHOUT, Bench, rows, steps, training


def test_the_loss_is_what_was_asked_for() -> None:
    assert phases.loss_of(training()) == Divergence()
    asked = training(loss="jsd", beta=0.3, kl_temperature=2.0)
    assert phases.loss_of(asked) == Divergence("jsd", temperature=2.0, beta=0.3)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "reverse_kl"},
        {"loss": "jsd", "beta": 0.5},
        {"kl_temperature": 2.0},
        {"data_seed": 7},
        {"scheduler": "cosine"},
        {"scheduler": "constant_with_warmup", "warmup_steps": 2},
        {"scheduler": "polynomial"},
        {"scheduler": "inverse_sqrt"},
        {"optimizer": "adamw_torch_fused"},
    ],
)
def test_a_setting_that_shapes_the_weights_shapes_them(
    changes: dict[str, Any], bench: Bench
) -> None:
    plain, other = bench.bake(), bench.bake(**changes)
    if changes != {"optimizer": "adamw_torch_fused"}:  # which may round alike
        assert other["digest"] != plain["digest"]
    assert other["card"]["kl_after"] < other["card"]["kl_before"]
    assert other["training"].items() >= changes.items()
    assert not plain["training"].keys() & (changes.keys() - {"loss", "scheduler"})


def test_a_bake_of_one_step_learns_something(bench: Bench) -> None:
    result = bench.bake(global_batch=64, epochs=1)
    assert result["step"] == 1
    weights = load_file(result["folder"] / adapter_folder.WEIGHTS)
    assert any(tensor.any() for name, tensor in weights.items() if "lora_B" in name)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("attention", [None, "sdpa", "eager"])
def test_frozen_weights_may_have_another_type(
    dtype: str, attention: str | None, bench: Bench
) -> None:
    base = models.load(bench.base_id, dtype=dtype, attention=attention)
    assert {str(p.dtype) for p in base.model.parameters()} == {f"torch.{dtype}"}
    result = bench.bake(model=base, dtype=dtype, questions=30, epochs=4)
    assert result["card"]["kl_after"] < 0.8 * result["card"]["kl_before"]
    assert all(math.isfinite(row["grad_norm"]) for row in rows(result))


@pytest.mark.filterwarnings("ignore:.*tie_word_embeddings:UserWarning")
@pytest.mark.parametrize(
    ("modules", "said"),
    [
        ("q_proj", "Target modules q_proj not found"),
        (("nope",), "Target modules {'nope'} not found"),
        (("q_proj", "nope"), "no layer is called 'nope'"),
        (("q_proj", "j"), "no layer is called 'j'"),
        (".*embed_tokens", "model.embed_tokens is not a linear layer"),
    ],
)
def test_layers_that_are_not_there_are_refused(
    modules: str | tuple[str, ...], said: str, bench: Bench
) -> None:
    with pytest.raises(ConfigError, match=f"LoRA cannot be placed: {said}") as caught:
        adapters.attach_new(bench.base().model, training(target_modules=modules))
    assert "a list of layers' names" in str(caught.value.hint)


def test_layers_by_what_is_no_pattern_are_refused(bench: Bench) -> None:
    with pytest.raises(ConfigError, match=r"target_modules: '\(' is no regular expression"):
        adapters.attach_new(bench.base().model, training(target_modules="("))


def test_layers_may_be_named_by_any_end_of_their_name(bench: Bench) -> None:
    modules = ("q_proj", "mlp.down_proj")
    model = adapters.attach_new(bench.base().model, training(target_modules=modules))
    learning = [name for name, weight in model.named_parameters() if weight.requires_grad]
    assert {name.split(".lora_")[0].split(".")[-1] for name in learning} == {"q_proj", "down_proj"}


def test_a_seed_of_the_data_changes_the_order_and_not_the_start(bench: Bench) -> None:
    same, other = bench.bake(data_seed=None), bench.bake(data_seed=7)
    assert rows(same)[0]["loss"] != rows(other)[0]["loss"]
    assert bench.bake(data_seed=42)["digest"] == same["digest"]


def test_longer_pairs_are_left_out_and_counted(bench: Bench) -> None:
    whole = bench.bake(questions=12, epochs=1)
    (share,) = bench.prepare(SHOUT, NOTHING, 12, None)[1]
    base, asked = bench.base(), training()
    part = part_of(share, base.chat, asked, limit_of(asked, base.context))
    lengths = sorted(length(pair) for pair in (*part.train, *part.held))
    most = lengths[8]
    result = bench.bake(questions=12, epochs=1, max_length=most)
    (note,) = [note for note in result["notes"] if "max_length" in note]
    count = sum(length > most for length in lengths)
    assert note == (
        f"t: {count} of 12 answers were left out: with their prompt they are longer than "
        f"BAKE.data.max_length, {most} tokens (the longest has {lengths[-1]})"
    )
    assert result["digest"] != whole["digest"]
    with pytest.raises(StageError, match="no answer has a token") as caught:
        bench.bake(max_length=3)
    assert "longer than BAKE.data.max_length, 3 tokens (the longest has" in str(caught.value.hint)


def test_the_share_that_is_held_out_is_the_one_asked_for(bench: Bench) -> None:
    assert bench.bake(questions=12, epochs=1, eval_share=0.25)["card"]["held_out"] == 3
    result = bench.bake(questions=12, epochs=1, eval_share=0.0)
    assert result["card"]["held_out"] == 0
    assert result["card"]["kl_after"] is None
    assert any("nothing is held out" in note for note in result["notes"])


@pytest.mark.parametrize(
    ("count", "share", "held"),
    [
        (10, 0.0, 0),
        (10, 0.1, 1),
        (10, 0.01, 1),
        (10, 0.99, 9),
        (1, 0.5, 0),
        (4, 0.5, 2),
        (0, 0.5, 0),
    ],
)
def test_a_share_never_holds_out_all(count: int, share: float, held: int) -> None:
    asked = {f"q{i}" for i in range(count)}
    assert len(held_out.chosen(asked, (), "", share)) == held


def test_kept_steps_are_models_of_their_own(bench: Bench) -> None:
    plain = bench.bake(epochs=3)
    result = bench.bake(epochs=3, save_every_steps=(2,))
    last = result["step"]
    assert result["digest"] == plain["digest"]
    assert "checkpoints" not in plain
    assert steps(result) == [step for step in range(last - 1, 0, -1) if step % 2 == 0]
    for kept in result["checkpoints"]:
        folder = result["bake_dir"] / str(kept["step"])
        assert adapter_folder.digest(folder) == kept["digest"]
        PeftModel.from_pretrained(bench.base().model, str(folder))
    measured = {row["step"]: row["eval_kl"] for row in rows(result) if "eval_kl" in row}
    assert measured == {kept["step"]: kept["kl"] for kept in result["checkpoints"]}
    assert measured[2] < result["card"]["kl_before"]
    assert len({kept["digest"] for kept in result["checkpoints"]} | {result["digest"]}) == 1 + len(
        result["checkpoints"]
    )


def test_every_epoch_can_be_kept(bench: Bench) -> None:
    result = bench.bake(epochs=4, save_every_epochs=(2,), save_every_steps=(3,))
    per_epoch = result["step"] // 4
    wanted = {2 * per_epoch} | set(range(3, result["step"], 3))
    assert set(steps(result)) == wanted - {result["step"]}


def test_steps_of_the_second_phase_are_kept_too(bench: Bench) -> None:
    own = OnPolicySettings(steps=4, loss="reverse_kl", learning_rate=1e-3)
    result = bench.bake(epochs=2, save_every_steps=(3,), on_policy=own)
    first = result["on_policy"]["after"]
    assert steps(result) == list(range(3 * ((first + 3) // 3), 0, -3))


def test_a_kept_step_can_be_the_parent_of_another_bake(bench: Bench) -> None:
    first = bench.bake(epochs=3, save_every_steps=(2,))
    half = {**first, "step": 2, "folder": first["bake_dir"] / "2"}
    second = bench.bake(teacher=NOTHING, student=SHOUT, parent=half)
    assert second["parent"]["digest"] == first["checkpoints"][-1]["digest"]
    own = load_file(str(second["folder"] / adapter_folder.WEIGHTS))
    before = load_file(str(half["folder"] / adapter_folder.WEIGHTS))
    for name, factor in before.items():
        kept = own[name][:4] if ".lora_A." in name else own[name][:, :4]
        torch.testing.assert_close(kept, factor)


def test_a_step_that_was_much_nearer_is_told_of() -> None:
    on_the_way = {2: 0.5, 4: 0.9}
    (note,) = bake._better_before(on_the_way, {"t": Fidelity(0.9, 0.5, 10)})
    assert note.startswith("step 2 was nearer to the teacher, at 0.5 nats per token")
    assert bake._better_before(on_the_way, {"t": Fidelity(0.51, 0.5, 10)}) == []
    assert bake._better_before(on_the_way, {}) == []
    assert bake._better_before({}, {"t": Fidelity(0.9, 0.5, 10)}) == []


def test_another_model_than_the_planned_parent_is_refused_before_training(bench: Bench) -> None:
    first, second = bench.bake(epochs=1), bench.bake(epochs=1, seed=1)
    with pytest.raises(ModelError, match=f"is {second['bake_id']}, but the plan says"):
        bench.bake(parent={**first, "folder": second["folder"]})
    prepared = bench.prepare(SHOUT, NOTHING, 6, first)
    with pytest.raises(ModelError, match="the model to bake on is the base, but the plan says"):
        bench.train(prepared)


def test_an_adapter_that_starts_fitted_is_nearer_from_its_first_step_on(bench: Bench) -> None:
    drawn = bench.bake(learning_rate=1e-6)
    fitted = bench.bake(learning_rate=1e-6, first_weights=FirstWeights(1.0, 8192))
    assert fitted["bake_id"] != drawn["bake_id"]
    assert fitted["loss"]["first"] < 0.8 * drawn["loss"]["first"]
    assert not any("starts at random" in note for note in fitted["notes"])


def test_a_fit_that_cannot_be_made_is_said_and_recorded(bench: Bench) -> None:
    elsewhere = bench.bake(first_weights=FirstWeights(1.0, 8192), target_modules=("q_proj",))
    (note,) = [note for note in elsewhere["notes"] if "starts at random" in note]
    assert "not what an adapted projection gives" in note
    assert note in bench.reporter.notes


def test_what_was_to_be_fitted_and_starts_at_random_learns_as_such_an_adapter_does(
    bench: Bench,
) -> None:
    asked = FirstWeights(1.0, 8192, drawn_rate=0.02, drawn_epochs=3)
    given = {"epochs": 1, "learning_rate": 0.01}
    drawn = bench.bake(first_weights=asked, target_modules=("q_proj",), **given)
    assert (drawn["learning_rate"], drawn["epochs"]) == (0.02, 3)
    assert "it learns at the rate of a random start: 0.02" in drawn["notes"]
    # Weights are those of a bake that nobody tried to fit.
    same = {"epochs": 3, "learning_rate": 0.02, "target_modules": ("q_proj",)}
    assert drawn["digest"] == bench.bake(**same)["digest"]
    fitted = bench.bake(first_weights=asked, **given)
    assert (fitted["learning_rate"], fitted["epochs"]) == (0.01, 1)
    said = FirstWeights(1.0, 8192)  # what input.yml says holds
    kept = bench.bake(first_weights=said, target_modules=("q_proj",), **given)
    assert (kept["learning_rate"], kept["epochs"]) == (0.01, 1)


def test_nothing_is_fitted_where_there_is_nothing_to_close(bench: Bench) -> None:
    asked = FirstWeights(1.0, 8192, drawn_rate=0.02)
    prepared = bench.prepare(SHOUT, SHOUT, 12, None, first_weights=asked)
    result = bench.train(prepared)
    assert result["learning_rate"] < 0.02
    (note,) = [note for note in result["notes"] if "starts at random" in note]
    assert "does not move the parent" in note


def test_a_fit_that_brings_nothing_nearer_is_taken_back(bench: Bench) -> None:
    base = bench.base()
    student = adapters.attach_new(base.model, training())
    drawn = {name: tensor.clone() for name, tensor in adapters.own_state(student).items()}
    request, data, _ = bench.prepare(SHOUT, NOTHING, 24, None)
    pairs = mix(data, base.chat, request.training, context=base.context).train
    pairs.sort(key=lambda pair: short_id(["first weights", pair.key]))
    # What is looked at wants the opposite: the prompt is to be forgotten there.
    turned = [Pair(pair.key, pair.student, pair.teacher) for pair in pairs[-start.LOOKED_AT :]]
    given = student, Readout(student)
    mixed = [*pairs[: -start.LOOKED_AT], *turned]
    why = start.fitted(*given, mixed, FirstWeights(0.1, 8192))
    assert why == "fitted weights are no nearer to the teacher"
    state = adapters.own_state(student)
    assert all(torch.equal(tensor, drawn[name]) for name, tensor in state.items())
    assert start.fitted(*given, pairs, FirstWeights(0.1, 8192)) is None


@pytest.mark.parametrize("text", ["", "{}", "[]"])
def test_a_damaged_word_on_how_an_adapter_started_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / start.FILE).write_text(text)
    with pytest.raises(ModelError, match=r"start\.json does not say how the adapter started"):
        start.notes(tmp_path)
