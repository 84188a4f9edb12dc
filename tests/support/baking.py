"""Requests and folders for tests that really bake on a small random model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bakery.backends.local import LocalModel
from bakery.engine.bases import bases
from bakery.engine.models import models
from bakery.engine.models.models import BaseModel
from bakery.identity import BakeRequest, RolloutRequest, SamplingSettings, StimRequest
from bakery.records import ModelRef, Prompt
from bakery.reporting import Quiet
from bakery.shaping import TrainingSettings
from bakery.shares import TargetShare
from bakery.stages import bake, rollout, stim
from bakery.stages.parts import TargetData
from bakery.store import results

SHOUT = Prompt(({"role": "system", "content": "SHOUT!"},))
NOTHING = Prompt()

Prepared = tuple[BakeRequest, Sequence[TargetData], Path]
"""What the bake stage is given, and the folder of the bake."""


def training(**changes: Any) -> TrainingSettings:
    """Settings under which a small random model learns in a second."""
    settings: dict[str, Any] = {
        "epochs": 2,
        "global_batch": 8,
        "learning_rate": 5e-3,
        "weight_decay": 0.0,
        "betas": (0.9, 0.999),
        "scheduler": "linear",
        "warmup_ratio": 0.05,
        "max_grad_norm": 1.0,
        "seed": 42,
        "r": 4,
        "lora_alpha": 8,
        "lora_dropout": 0.0,
        "target_modules": "all-linear",
        "dtype": "float32",
    }
    return TrainingSettings(**{**settings, **changes})


class Bench:
    """A store in a folder, and the steps from a prompt to an adapter."""

    def __init__(self, root: Path, base_folder: Path) -> None:
        self.root = root
        self.base_id = bases.identify(str(base_folder))
        self.reporter = Quiet()

    def base(self) -> BaseModel:
        """A fresh copy of the base: PEFT changes models in place."""
        return models.load(self.base_id, dtype="float32")

    def bake(
        self,
        *,
        teacher: Prompt = SHOUT,
        student: Prompt = NOTHING,
        questions: int = 12,
        parent: dict[str, Any] | None = None,
        model: BaseModel | None = None,
        **changes: Any,
    ) -> dict[str, Any]:
        """Run stim, rollout and bake; return bake.json with the folder it lies in."""
        request, data, folder = self.prepare(teacher, student, questions, parent, **changes)
        base = model or self.base()
        parent_folder = parent["folder"] if parent else None
        local = LocalModel(base, parent=parent_folder)
        result = bake.run(
            request,
            data,
            folder,
            base=base,
            model=local.model,
            parent=parent_folder,
            reporter=self.reporter,
        )
        return {**result, "folder": folder / str(result["step"]), "bake_dir": folder}

    def train(self, prepared: Prepared, base: BaseModel | None = None) -> dict[str, Any]:
        """Run the bake stage on the base, and measure nothing."""
        request, data, folder = prepared
        base = base or self.base()
        return bake.run(
            request,
            data,
            folder,
            base=base,
            model=base.model,
            parent=None,
            reporter=self.reporter,
        )

    def prepare(
        self,
        teacher: Prompt,
        student: Prompt,
        questions: int,
        parent: dict[str, Any] | None,
        **changes: Any,
    ) -> Prepared:
        """Write and answer the questions; return what the bake stage is given."""
        asked = [f"q{i} what?" for i in range(questions)]
        stim_request = StimRequest(teacher, ({"type": "hardcoded", "questions": asked},), {})
        stim_dir = self.root / "stim" / stim_request.id
        stim.run(stim_request, stim_dir, open_writer=_nobody, reporter=self.reporter)
        ref = ModelRef("me", "test", f"b_{parent['bake_id']}", parent["step"]) if parent else None
        rollout_request = RolloutRequest(
            stim_request.id, teacher, SamplingSettings(1, 8), self.base_id, ref
        )
        target_dir = self.root / "target" / rollout_request.id
        local = LocalModel(self.base(), parent=parent["folder"] if parent else None)
        rollout.run(rollout_request, stim_dir, target_dir, sampler=local, reporter=self.reporter)
        share = TargetShare("t", rollout_request.id, 1.0, teacher, student)
        request = BakeRequest((share,), training(**changes), self.base_id, ref, 4)
        return (request, [TargetData(share, stim_dir, target_dir)], self.root / "bake" / request.id)


def rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a bake logged, step by step."""
    return list(map(json.loads, (result["bake_dir"] / results.METRICS).read_text().splitlines()))


def steps(result: dict[str, Any]) -> list[int]:
    """Return the steps of a bake that are kept as models."""
    return [kept["step"] for kept in result["checkpoints"]]


def _nobody(model: str | None) -> Any:
    raise AssertionError("no question is asked of a model here")
