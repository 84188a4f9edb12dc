"""A bake's second phase: the student's own answers to the training questions, once and in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from bakery.engine.models import adapters
from bakery.engine.text.chat import Chat
from bakery.engine.text.views import Pair, View
from bakery.engine.training.metrics import Metrics, losses
from bakery.engine.training.on_policy import Continuations, OwnAnswers
from bakery.identity import SamplingSettings
from bakery.shaping import OnPolicySettings
from bakery.stages import training as phases
from bakery.store import results
from tests.support.baking import Bench, training

OWN = OnPolicySettings(steps=12, loss="reverse_kl", learning_rate=2e-3)


def rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Every figure of every step but the time it took."""
    lines = (result["bake_dir"] / results.METRICS).read_text().splitlines()
    found = [row for row in map(json.loads, lines) if "loss" in row]
    return [{key: row[key] for key in row if key != "seconds"} for row in found]


def test_a_second_phase_goes_on_where_the_first_ended(bench: Bench) -> None:
    plain, both = bench.bake(), bench.bake(on_policy=OWN)
    first = plain["step"]
    assert both["step"] == first + 12
    assert both["loss"] == plain["loss"]
    assert rows(both)[:first] == rows(plain)
    assert [row["step"] for row in rows(both)] == list(range(1, first + 13))
    assert all(row["phase"] == "on_policy" for row in rows(both)[first:])
    said = both["on_policy"]
    assert (said["after"], said["steps"], said["loss"]) == (first, 12, "reverse_kl")
    assert both["training"]["on_policy"]["learning_rate"] == 2e-3
    assert "on_policy" not in {**plain, **plain["training"]}
    assert {path.name for path in both["bake_dir"].iterdir()} == {
        path.name if path.name != str(first) else str(first + 12)
        for path in plain["bake_dir"].iterdir()
    }


def test_the_second_phase_lowers_the_divergence(bench: Bench) -> None:
    own = OnPolicySettings(steps=30, loss="jsd", learning_rate=5e-3)
    result = bench.bake(on_policy=own, questions=16)
    seen = losses(result["bake_dir"] / results.METRICS, "on_policy")
    assert sum(seen[-5:]) < 0.8 * sum(seen[:5])
    assert seen[-1] == result["on_policy"]["last_loss"]


class Crash(TrainerCallback):
    """Stops training the hard way at a step of the second phase."""

    at = 0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.max_steps == OWN.steps and state.global_step == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("at", [3, 11])
def test_an_interrupted_second_phase_goes_on_without_the_first(
    at: int, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Bench(tmp_path / "whole", tmp_path / "model").bake(on_policy=OWN)

    class CrashingMetrics(Crash, Metrics):
        pass

    with monkeypatch.context() as patched:
        patched.setattr(phases, "Metrics", CrashingMetrics)
        patched.setattr(Crash, "at", at)
        with pytest.raises(KeyboardInterrupt):
            bench.bake(on_policy=OWN)
    (folder,) = (bench.root / "bake").glob("*/checkpoints")
    with (folder.parent / results.METRICS).open("a") as file:
        file.write('{"step": 99, "lo')  # a torn line
    kept = [path.name for path in (folder / "on_policy").glob("checkpoint-*")]
    assert kept == (["checkpoint-10"] if at == 11 else [])
    trained: list[int] = []

    class Watching(Metrics):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            trained.append(state.max_steps)

    with monkeypatch.context() as patched:
        patched.setattr(phases, "Metrics", Watching)
        result = bench.bake(on_policy=OWN)
    assert trained == [OWN.steps] * (2 if at == 11 else 12)
    assert result["digest"] == whole["digest"]
    assert rows(result) == rows(whole)
    assert result["loss"] == whole["loss"]


def test_a_torn_last_line_is_no_loss(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    whole = '{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0, "phase": "on_policy"}\n'
    path.write_text(whole + '{"step": 3, "lo')
    assert (losses(path), losses(path, "on_policy")) == ([2.0], [1.0])
    path.write_text("")
    assert losses(path) == []


def endless(bench: Bench) -> Chat:
    """A chat in which no token ends a turn."""
    return Chat(bench.base().chat.tokenizer, [])


def test_the_second_phase_learns_what_the_student_says_itself(bench: Bench) -> None:
    base = bench.base()
    student = adapters.attach_new(base.model, training())
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            if "lora_" in name:
                parameter += 0.3 * torch.randn_like(parameter)
    teacher, prompt, answer = (5, 6, 7, 40, 41), (40, 41), (50, 51)
    pair = Pair("t/s/0", View((*teacher, *answer), ((5, 7),)), View((*prompt, *answer), ((2, 4),)))
    greedy = SamplingSettings(1, 6, temperature=0.0)
    own = OwnAnswers(Continuations([pair], {"t": greedy}, seed=1), endless(bench))
    student.train()
    [[[made]]] = own.examples(student, 7, [[0]])
    assert student.training
    student.eval()
    ids = list(prompt)
    with torch.no_grad():
        while len(ids) < 8:
            ids.append(int(student(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    assert made.student == View(tuple(ids), ((2, 8),))
    assert made.teacher == View((*teacher, *ids[2:]), ((5, 11),))
    assert made.key == "1/on-policy/7/t/s/0"


def test_each_target_is_answered_with_its_own_settings(bench: Bench) -> None:
    student = adapters.attach_new(bench.base().model, training())
    pairs = [Pair(f"{t}/s/0", View((5, 6, 7), ((2, 3),)), View((6, 7), ((1, 2),))) for t in "ab"]
    sampling = {"a": SamplingSettings(1, 3), "b": SamplingSettings(4, 9)}
    own = OwnAnswers(Continuations(pairs, sampling, seed=1), endless(bench))
    made = own.examples(student, 0, [[1], [0, 1]])
    assert [[example[0].num_targets for example in batch] for batch in made] == [[9], [3, 9]]
