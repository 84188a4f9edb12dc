"""A bake of several targets with every kind of setting, typed as a user types it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bakery.repo.files import recipe
from tests.e2e.conftest import Typist, copied

INPUT = """\
PROMPT:
  teacher: {messages: [{role: system, content: "SHOUT!"}]}
  calm: {messages: [{role: system, content: "Be calm."}]}
TARGET:
  - name: loud
    max_tokens: 8
    generators: [{type: hardcoded, questions: [Who?, What?, When?, Where?, Why?, How?]}]
  - name: still
    teacher_prompt: calm
    student_prompt: calm
    max_tokens: 8
    generators: [{type: hardcoded, questions: [Who?, What?, When?, Where?, Why?]}]
BAKE:
  name: mixed
  type: single_baker
  datasets:
    - {target: loud, weight: 0.8}
    - {target: still, weight: 0.2}
  epochs: 3
  micro_batch_size: 2
  eval_interval: 2
  model:
    dtype: bf16
    attn_implementation: sdpa
    disable_activation_checkpoint: false
    baked_adapter_config: {r: 4, lora_alpha: 8}
  data: {beta: 0.5, temperature: 2, max_length: 3000, train_eval_split: [0.8, 0.2], seed: 7}
  optimizer: {type: fusedadam, learning_rate: 0.005}
  scheduler: {type: huggingface, name: cosine, warmup_steps: 1}
  deepspeed: {zero_optimization: {stage: 3}}
  checkpoint: [{type: huggingface, save_every_n_steps: 4, save_end_of_training: true}]
  wandb: {enable: false}
"""

ALONE = """\
BAKE:
  name: again
  epochs: 1
  datasets: {target: loud}
"""


@pytest.fixture(scope="module")
def mixed(new_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """A repository with one bake of two targets."""
    typist = copied(new_repository, tmp_path_factory.mktemp("mixed") / "demo")
    typist.commit(INPUT)
    done = typist("run")
    assert done.code == 0, done.err
    typist.write(done.err, "run.log")
    typist.write(done.out, "run.out")
    return typist


def block(typist: Typist) -> recipe.RecordedBake:
    return recipe.parse(typist.read("recipe.yml"))[-1]


def test_what_is_done_differently_is_said_before_anything_runs(mixed: Typist) -> None:
    said = mixed.read("run.log")
    warning = "input.yml:30:3: deepspeed: ZeRO stage 3 is done by FSDP2"
    assert warning in said
    assert said.index(warning) < said.index("loading")
    assert re.search(r"still_\w+: teacher equals student: an anchor", said)


def test_the_record_holds_settings_models_and_a_card_of_each_target(mixed: Typist) -> None:
    bake = block(mixed)
    training = bake.data["training"]
    assert training.items() >= {
        "loss": "jsd", "beta": 0.5, "kl_temperature": 2.0, "max_length": 3000, "eval_share": 0.2,
        "data_seed": 7, "dtype": "bfloat16", "optimizer": "adamw_torch_fused",
        "scheduler": "cosine", "warmup_steps": 1, "save_every_steps": [4],
    }.items()  # fmt: skip
    steps = [model.step for model in bake.models]
    assert steps == sorted(steps, reverse=True)
    assert steps[1:] == [step for step in range(steps[0] - 1, 0, -1) if step % 4 == 0]
    assert [row["step"] for row in bake.data["checkpoints"]] == steps[1:]
    card = bake.data["card"]
    assert [name.split("_")[0] for name in card["targets"]] == ["loud", "still"]
    assert card["held_out"] == sum(part["held_out"] for part in card["targets"].values()) == 0
    assert [target.get("anchor") for target in bake.data["targets"]] == [None, True]
    assert bake.data.keys() >= {"loss", "seconds", "parent", "versions", "numerics", "finished"}
    assert re.search(
        r"^loud +KL \S+ → \S+, on what was learnt; [a-z ]+$", mixed.read("run.out"), re.MULTILINE
    )


def test_the_metrics_hold_every_series(mixed: Typist) -> None:
    rows = mixed.store / "bake" / block(mixed).id / "metrics.jsonl"
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    assert len(found) == block(mixed).model.step
    for row in found:
        assert row.keys() >= {
            "step", "epoch", "loss", "learning_rate", "grad_norm", "tokens", "seconds"
        }  # fmt: skip
    assert [row["step"] for row in found if "eval_kl" in row] == list(range(2, len(found) + 1, 2))


def test_every_kept_step_is_listed_with_its_own_divergence(mixed: Typist) -> None:
    bake = block(mixed)
    listed = {entry["model"]: entry for entry in json.loads(mixed.must("models", "--json"))}
    for model in bake.models:
        entry = listed[str(model)]
        kept = bake.on_the_way(model.step)
        assert entry["kl"] == (kept["kl"] if kept else bake.data["card"]["kl_after"])
        assert entry["digest"] == bake.digest_of(model.step)


def test_an_earlier_step_is_a_model_to_talk_to(mixed: Typist) -> None:
    half = block(mixed).models[-1]
    assert half.step == 4
    done = mixed("chat", str(half), "--max-tokens", "4", stdin="Who?\n/status\n")
    assert done.code == 0, done.err
    assert f"model     {half}\n" in done.err
    folder = mixed.store / "bake" / half.bake_id / "4"
    weights = folder / "adapter_model.safetensors"
    kept = weights.read_bytes()
    weights.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    damaged = mixed("chat", str(half), stdin="Who?\n")
    weights.write_bytes(kept)
    assert damaged.code != 0
    assert "are not the recorded ones" in damaged.err


def test_an_earlier_step_can_be_adopted_and_baked_on(mixed: Typist, workplace: Path) -> None:
    typist = copied(mixed, workplace / "demo")
    half = block(typist).models[-1]
    typist.must("adopt", str(half))
    assert typist.parent() == str(half)
    typist.commit(ALONE)
    typist.must("run", "bake")
    again = block(typist)
    assert again.parent == half
    assert again.data["parent"]["digest"] == block(mixed).digest_of(4)


def test_an_earlier_target_goes_by_its_name_alone(mixed: Typist, workplace: Path) -> None:
    typist = copied(mixed, workplace / "demo")
    before = block(typist)
    typist.commit(ALONE)
    done = typist("run", "bake")
    assert done.code == 0, done.err
    assert (
        "input.yml:4:22: loud is a target of an earlier bake, the newest of that name: loud_"
        in (done.err)
    )
    again = block(typist)
    assert again.parent == before.model
    assert again.data["targets"][0]["id"] == before.data["targets"][0]["id"]


@pytest.mark.parametrize(
    ("bake", "said"),
    [
        ("model: {baked_adapter_config: {r: 256}}",
         "a bake of rank 256 leaves no room for its parent in an adapter of 256 ranks"),
        ("wandb: {enable: true}", "BAKE.wandb.enable needs the package wandb"),
        ("model: {parent_model_name: Qwen/Qwen3-8B}", "but this branch stands at ann/demo/mixed_"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_found_before_the_first_question(
    bake: str, said: str, mixed: Typist, workplace: Path
) -> None:
    typist = copied(mixed, workplace / "demo")
    head, _, _ = INPUT.partition("BAKE:")
    typist.commit(f"{head.replace('SHOUT!', 'Whisper.')}BAKE:\n  name: no\n  {bake}\n")
    asked = sorted((typist.store / "stim").iterdir())
    done = typist("run")
    assert done.code != 0
    assert said in done.err
    assert "Traceback" not in done.err
    assert sorted((typist.store / "stim").iterdir()) == asked
