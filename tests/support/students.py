"""Teachers and smaller students with one tokenizer, random, and a bake of one into the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from bakery.backends.local import LocalModel
from bakery.engine.bases import bases
from bakery.engine.models import models
from bakery.identity import (
    BakeRequest,
    Elsewhere,
    RolloutRequest,
    SamplingSettings,
    StimRequest,
)
from bakery.shares import TargetShare
from bakery.stages import bake, rollout, stim
from bakery.stages.parts import TargetData
from tests.support.baking import NOTHING, SHOUT, Bench, training
from tests.support.models import make_model, qwen3_config

SHARP = 24.0
"""By how much a random model is surer of its tokens than it would be."""


def pair(folder: Path, *, padded: int = 5) -> tuple[Path, Path]:
    """Write a teacher and a narrower student; the student's head has more rows."""
    untied: dict[str, Any] = {"tie_word_embeddings": False}
    teacher = qwen3_config(hidden_size=64, intermediate_size=96, **untied)
    student = qwen3_config(hidden_size=48, vocab_size=259 + padded, **untied)
    found = make_model(folder / "big", teacher), make_model(folder / "small", student, seed=1)
    for place in found:
        sharpen(place)
    return found


def sharpen(folder: Path) -> None:
    """Make a model surer: its last layer's norm is what the head reads."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["model.norm.weight"] *= SHARP
    save_file(tensors, path, metadata={"format": "pt"})


class Lesson:
    """A teacher that has answered some questions, and students that learn from it."""

    def __init__(self, root: Path, *, questions: int = 4) -> None:
        self.big, self.small = pair(root)
        self.bench = Bench(root / "store", self.big)
        self.student_id = bases.identify(str(self.small))
        self.asked = [f"q{i} what?" for i in range(questions)]
        request = StimRequest(SHOUT, ({"type": "hardcoded", "questions": self.asked},), {})
        sampling = SamplingSettings(1, 8, temperature=0.0)
        answers = RolloutRequest(request.id, SHOUT, sampling, self.bench.base_id, None)
        self.share = TargetShare("t", answers.id, 1.0, SHOUT, NOTHING)
        store = self.bench.root
        self.data = TargetData(self.share, store / "stim" / request.id, store / "t" / answers.id)
        stim.run(request, self.data.stim_dir, open_writer=_nobody, reporter=self.bench.reporter)
        rollout.run(
            answers, self.data.stim_dir, self.data.target_dir,
            sampler=LocalModel(self.bench.base()), reporter=self.bench.reporter,
        )  # fmt: skip

    def request(self, **changes: Any) -> BakeRequest:
        """Ask for a bake into the student."""
        settings = training(**{"r": 32, "lora_alpha": 32, "learning_rate": 1e-2, **changes})
        taught_by = Elsewhere(self.bench.base_id, None)
        return BakeRequest((self.share,), settings, self.student_id, None, 8, teacher=taught_by)

    def learnt(self, request: BakeRequest) -> dict[str, Any]:
        """Bake, and return bake.json with the folders it lies in."""
        teacher = self.bench.base()
        base = models.load(self.student_id, dtype="float32")
        folder = self.bench.root / "bake" / request.id
        result = bake.run(
            request, [self.data], folder, base=base, model=base.model, parent=None,
            teacher=bake.Other(teacher, teacher.model), reporter=self.bench.reporter,
        )  # fmt: skip
        return {**result, "folder": folder / str(result["step"]), "bake_dir": folder}


def _nobody(model: str | None) -> Any:
    raise AssertionError("no question is asked of a model here")
