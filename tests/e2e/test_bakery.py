"""The `bakery` door, as a user types it: every example trains, resumes, repeats and is kept."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import bakery
from tests.support.bakery_door import (
    ROOT,
    SMALL,
    bakery_script,
    losses,
    results,
    spawned,
    steps,
    typed,
)
from tests.support.models import random_model
from tests.support.templates import THINKING

EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.yaml"))

# The quick start of the second seed's README, letter by letter but for `{model}` and `{out}`.
README_YAML = """\
# Standard HF training
output_dir: "{out}"
num_train_epochs: 3
learning_rate: 1e-4
bf16: true

# Prompt baking
system_prompt: "You are a helpful assistant."
num_trajectories: 4
trajectory_length: 128

# Model
model_name_or_path: "{model}"

# LoRA
r: 64
lora_alpha: 128

# Data
training_prompts:
  - "What is the capital of France?"
  - "Explain photosynthesis."
"""

# A wrapped model that outlives the run keeps threads, and one at work aborts a process that ends.
ENDS_CLEAN = """\
import gc
from torch.nn.parallel import DistributedDataParallel
from bakery.cli.bakery import main
try:
    main()
finally:
    assert not [one for one in gc.get_objects() if type(one) is DistributedDataParallel]
"""

PAIRS = [{"prompt": f"q{i}?", "response": f"Answer number {i}."} for i in range(8)]
CONFIG = """\
prefix_messages:
  - {role: system, content: SHOUT!}
num_train_epochs: 2
per_device_train_batch_size: 4
"""


@pytest.fixture
def base(workplace: Path) -> Path:
    return random_model(workplace / "model")


@pytest.fixture
def config(workplace: Path, base: Path) -> Path:
    """A configuration of pairs, with its data beside it."""
    (workplace / "pairs.json").write_text(json.dumps(PAIRS))
    path = workplace / "bake.yaml"
    path.write_text(f"{CONFIG}dataset: pairs.json\nmodel_name_or_path: {base}\n")
    return path


@pytest.fixture
def prompts(workplace: Path, base: Path) -> Path:
    """A configuration of prompts that the teacher has to answer."""
    asked = json.dumps([f"q{i}?" for i in range(8)])
    path = workplace / "prompts.yaml"
    path.write_text(f"{CONFIG}training_prompts: {asked}\nmodel_name_or_path: {base}\n")
    return path


def test_there_are_the_six_examples():
    assert EXAMPLES == [
        "basic",
        "continual_memory",
        "multi_turn_prefix",
        "pattern_targets",
        "per_row_prefix",
        "sft_dataset",
    ]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_trains(name, base, workplace, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    out = workplace / "out"
    given = ("--config", f"examples/{name}.yaml", "--model_name_or_path", base, *SMALL)
    done = typed(capsys, *given, "--output_dir", out)
    assert done.code == 0, done.err
    seen = losses(out)
    assert seen[0] > 1e-3
    assert seen[-1] < 0.8 * seen[0]
    found = results(out)
    assert found["card"]["kl_after"] < found["card"]["kl_before"]
    assert found["loss"] == {"first": seen[0], "last": seen[-1], "min": min(seen)}
    assert found["steps"] == len(seen)
    assert found["prompt_tokens"] > 0
    assert f"{found['prompt_tokens']} tokens → 0 at inference" in done.out
    assert str(out / "final_model") in done.out
    kept = {path.name for path in (out / "final_model").iterdir()}
    assert {
        "adapter_model.safetensors",
        "adapter_config.json",
        "tokenizer.json",
        "chat_template.jinja",
    } <= kept
    told = (out / "final_model/README.md").read_text(encoding="utf-8")
    assert "| KL to the prompted teacher |" in told
    assert "More Information Needed" not in told
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    PeftModel.from_pretrained(model, str(out / "final_model"))


@pytest.mark.slow
def test_the_readme_of_the_second_seed_bakes(base, workplace):
    path = workplace / "readme.yaml"
    path.write_text(README_YAML.format(model=base, out=workplace / "out"))
    done = spawned([bakery_script(), "--config", path], workplace)
    assert done.code == 0, done.err
    assert losses(workplace / "out")[0] > 0
    assert "note: system_prompt is deprecated" in done.err


def test_the_library_block_of_the_second_seed_bakes(base, workplace):
    peft_model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
        LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    tokenizer = AutoTokenizer.from_pretrained(base)
    from bakery import (
        BakeryConfig,
        ContextBakingTrainer,
        ContextConfig,
        create_dataset,
        prompt_baking_collator,
    )

    config = BakeryConfig(
        output_dir="./outputs",
        num_train_epochs=3,
        learning_rate=1e-4,
    )

    context_config = ContextConfig(
        prefix_messages=[
            {"role": "system", "content": "You are helpful."},
        ],
    )

    dataset = create_dataset(
        ["What is AI?", "Explain gravity."],
        ["AI is...", "Gravity is..."],  # optional precomputed responses
    )

    trainer = ContextBakingTrainer(
        model=peft_model,
        args=config,
        context_config=context_config,
        train_dataset=dataset,
        processing_class=tokenizer,
        data_collator=prompt_baking_collator,
    )
    assert trainer.train().training_loss > 0


@pytest.mark.parametrize("name", bakery.__all__)
def test_every_public_name_is_there(name):
    assert callable(getattr(bakery, name))


def test_a_target_mask_covers_what_is_learnt():
    tokenizer = AutoTokenizer.from_pretrained(random_model(Path("thinking"), THINKING))
    turns = [("user", "a?"), ("assistant", "Yes."), ("user", "b?"), ("assistant", "Answer: no")]
    messages = [{"role": role, "content": content} for role, content in turns]

    def learnt(*more):
        ids, mask, first = bakery.build_target_mask(tokenizer, messages, ["assistant"], *more)
        assert not mask[:first].any()
        return tokenizer.decode(torch.tensor(ids)[mask])

    assert learnt() == "Yes.<|im_end|>Answer: no<|im_end|>"
    assert learnt("^Answer:") == learnt(None, 2) == "Answer: no<|im_end|>"


def test_the_same_seed_gives_the_same_losses_and_another_seed_others(prompts, capsys):
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        typed(capsys, "--config", prompts, *SMALL, "--output_dir", name, f"--seed={seed}")
    assert losses(Path("a")) == losses(Path("b"))
    assert losses(Path("a")) != losses(Path("c"))


@pytest.mark.parametrize("kind", ["config", "prompts"])
def test_a_resumed_run_ends_with_the_weights_of_a_whole_one(kind, request, capsys):
    path, whole, cut = request.getfixturevalue(kind), Path("whole"), Path("cut")
    given = ("--config", path, *SMALL, "--save_strategy", "steps", "--save_steps", "1")
    assert typed(capsys, *given, "--output_dir", whole).code == 0
    shutil.copytree(whole, cut)
    for left in ("checkpoint-4", "final_model", "results.json"):
        path = cut / left
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (cut / "checkpoint-3/trainer_state.json").unlink()  # the kill came while it was written
    again = typed(capsys, *given, "--output_dir", cut, "--resume_from_checkpoint", "true")
    assert again.code == 0, again.err
    assert "goes on from checkpoint-2" in again.err
    ours, theirs = (
        load_file(out / "final_model/adapter_model.safetensors") for out in (cut, whole)
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert losses(cut) == losses(whole)
    assert [row["step"] for row in steps(cut)] == [1, 2, 3, 4]
    if kind == "prompts":
        kept = (cut / "trajectories.jsonl").read_text("utf-8")
        assert kept == (whole / "trajectories.jsonl").read_text("utf-8")
        assert set(Counter(kept.splitlines()).values()) == {1}


def test_a_new_run_keeps_nothing_that_an_older_one_sampled(prompts, capsys):
    given = ("--config", prompts, *SMALL, "--output_dir", "out")
    typed(capsys, *given, "--seed", "1")
    first = Path("out/trajectories.jsonl").read_text("utf-8")
    again = typed(capsys, *given, "--seed", "2")
    assert again.err.count("rollout: 16/16") == 1  # later rounds are part of the training's line
    second = Path("out/trajectories.jsonl").read_text("utf-8")
    assert len(second.splitlines()) == len(first.splitlines()) == 32
    assert second != first


def test_the_kept_configuration_bakes_the_same_again(config, capsys):
    typed(capsys, "--config", config, *SMALL, "--output_dir", "a", "--lora_dropout", "0")
    kept = yaml.safe_load(Path("a/config.yaml").read_text("utf-8"))
    assert kept["prefix_messages"] == [{"role": "system", "content": "SHOUT!"}]
    assert typed(capsys, "--config", "a/config.yaml", "--output_dir", "b").code == 0
    assert losses(Path("a")) == losses(Path("b"))


def test_without_room_for_its_record_the_teacher_is_run_at_every_step(prompts, capsys):
    given = ("--config", prompts, *SMALL, "--lora_dropout", "0", "--output_dir")
    assert typed(capsys, *given, "recorded").code == 0
    done = typed(capsys, *given, "live", "--teacher_record_gb", "0")
    assert done.code == 0, done.err
    assert losses(Path("live")) == pytest.approx(losses(Path("recorded")), rel=1e-3)
    (note,) = set(results(Path("live"))["notes"]) - set(results(Path("recorded"))["notes"])
    assert note in " ".join(done.err.split())
    assert note.startswith("training rows: a record of the teacher would take")


def test_a_merged_model_is_the_base_with_the_adapter(config, base, capsys):
    done = typed(capsys, "--config", config, *SMALL, "--output_dir", "out", "--merge")
    assert done.code == 0, done.err
    ids = torch.arange(5, 45)[None]
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    before = plain(ids).logits
    adapted = PeftModel.from_pretrained(plain, "out/final_model").eval()(ids).logits
    merged = AutoModelForCausalLM.from_pretrained("out/merged", dtype=torch.float32)(ids).logits
    assert (merged - adapted).abs().max() < 1e-4
    assert (merged - before).abs().max() > 1e-2
    assert list(Path("out/merged").glob("*.safetensors"))
    assert AutoTokenizer.from_pretrained("out/merged").chat_template


@pytest.mark.filterwarnings("ignore:.*a tied layer is part of the adapter")
@pytest.mark.parametrize("end", ["embed_tokens", "lm_head"])
def test_one_end_of_a_tied_matrix_cannot_be_merged(end, config, capsys):
    learnt = ("--target_modules", f'["q_proj", "{end}"]', "--merge")
    done = typed(capsys, "--config", config, *SMALL, "--output_dir", "out", *learnt)
    assert done.code != 0
    assert "embedding and head are one matrix" in done.err
    assert not Path("out").exists() or not list(Path("out").glob("*.jsonl"))


def test_keywords_are_asked_before_under_the_prompt_and_after(config, capsys):
    Path("eval.json").write_text(json.dumps([{"question": "q1?", "answer": ["x", "y"]}]))
    Path("held.json").write_text(json.dumps({"qa_pairs": [{"input": "2+2?", "target": 4}] * 3}))
    files = ("--eval_file", "eval.json", "--heldout_file", "held.json")
    given = ("--config", config, *SMALL, "--output_dir", "out", *files)
    done = typed(capsys, *given, "--eval_max_new_tokens", "8")
    assert done.code == 0, done.err
    found = results(Path("out"))
    for name, total in (
        ("baseline_none", 1),
        ("baseline_discrete", 1),
        ("baked_eval", 1),
        ("heldout_none", 3),
        ("heldout_discrete", 3),
        ("baked_heldout", 3),
    ):
        assert found[name]["total"] == len(found[name]["results"]) == total, name
    assert "keywords, held out" in done.out


def test_a_held_out_file_is_measured_and_then_percentages_are_given(config, capsys):
    new = [{"prompt": f"new {i}?", "response": f"Yes, {i}."} for i in range(24)]
    Path("new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in new))
    given = ("--config", config, *SMALL, "--output_dir", "out", "--eval_dataset", "new.jsonl")
    done = typed(capsys, *given, "--eval_strategy", "epoch")
    assert done.code == 0, done.err
    card = results(Path("out"))["card"]
    assert card["held_out"] == 24
    assert card["kl_after"] < card["kl_before"]
    assert 0 < card["top1_agreement"] <= 1
    assert "same first choice" in done.out
    evaluated = [json.loads(row) for row in Path("out/metrics.jsonl").read_text().splitlines()]
    assert sum("eval_loss" in row for row in evaluated) == 2


def test_rows_with_their_own_prefix_need_no_global_one(base, capsys):
    rows = [
        {**row, "prefix_messages": [{"role": "system", "content": row["prompt"] * 3}]}
        for row in PAIRS
    ]
    Path("own.json").write_text(json.dumps(rows))
    given = ("--dataset", "own.json", "--model_name_or_path", base, *SMALL, "--output_dir", "out")
    assert typed(capsys, *given).code == 0
    assert losses(Path("out"))[0] > 0


@pytest.mark.slow
def test_two_processes_bake_as_one(prompts, workplace):
    # torchrun takes `--r` for one of its own options, so that goes into the file.
    prompts.write_text(f"{prompts.read_text()}r: 4\nlora_dropout: 0\nuse_cpu: true\n")
    at = SMALL.index("--r")
    options = (*SMALL[:at], *SMALL[at + 2 :])
    module = ("-m", "bakery.cli.bakery", "--config", prompts, *options)
    (workplace / "ends_clean.py").write_text(ENDS_CLEAN)
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    given = ("ends_clean.py", "--config", prompts, *options)
    batch = "--per_device_train_batch_size"
    one = spawned([sys.executable, *module, "--output_dir", "one", batch, "4"], workplace)
    two = spawned([sys.executable, *launch, *given, "--output_dir", "two", batch, "2"], workplace)
    assert (one.code, two.code) == (0, 0), two.err
    assert losses(Path("two")) == pytest.approx(losses(Path("one")), abs=2e-4)
    assert two.out.count("final_model") == one.out.count("final_model")
    assert len(Path("two/trajectories.jsonl").read_text().splitlines()) == 32


def test_gradient_checkpointing_gives_the_same_losses(config, capsys):
    for name, more in (("plain", ()), ("saving", ("--gradient_checkpointing",))):
        given = ("--config", config, *SMALL, "--lora_dropout", "0", "--output_dir", name)
        assert typed(capsys, *given, *more).code == 0
    assert losses(Path("saving")) == pytest.approx(losses(Path("plain")), abs=2e-4)


@pytest.mark.slow
def test_the_whole_bake_in_one_file_runs(base, workplace):
    program = [sys.executable, ROOT / "recipes/bake_loop.py", "--model", base]
    small = ["--samples", "1", "--epochs", "2", "--batch", "8", "--lr", "5e-3"]
    done = spawned([*program, *small, "--out", workplace / "baked"], workplace)
    assert done.code == 0, done.err
    figures = done.out.split("held out: ")[1].split(" nats")[0].split(" -> ")
    assert float(figures[1]) < float(figures[0])
    assert (workplace / "baked/adapter_model.safetensors").is_file()
