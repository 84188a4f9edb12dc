"""bakery's own sides: a repository is baked as `bgit run stim rollout bake` does it.

What is looked at on the way is the model that is being trained, whenever a step is reported.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bakery.app import looking
from bakery.app.gates import WAIVERS
from bakery.app.making import Making
from bakery.app.run import STAGES
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from benchmarks.quality.cases import Case
from benchmarks.quality.exam import base_of
from benchmarks.quality.watch import Watch

TRLS_RATE, TRLS_BATCH, TRLS_EPOCHS = 5e-5, 8, 3
"""What TRL's SDFTConfig has where nobody says anything."""

FITTING = "fitting first weights"
TRAINING = "bake"
"""What reports call the steps of a bake."""

IMPORTED_LATE = (
    "bakery.engine.text.unseen",
    "bakery.stages.bake",
    "bakery.stages.look",
    "bakery.stages.rollout",
    "bakery.stages.stim",
    "datasets.packaged_modules",
    "pandas",
)
"""By the stages, when they need them: paid for once in a process, as other trainers' imports."""

COMMITS = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Bench",
    "GIT_AUTHOR_EMAIL": "bench@example.org",
    "GIT_COMMITTER_NAME": "Bench",
    "GIT_COMMITTER_EMAIL": "bench@example.org",
}


def ours(case: Case, watch: Watch, folder: Path, seed: int) -> None:
    """Bake with what is the default today."""
    _bake(case, watch, folder, seed)


def ours_v1(case: Case, watch: Watch, folder: Path, seed: int) -> None:
    """Bake with the first version of the defaults."""
    _bake(case, watch, folder, seed, version=1)


def ours_as_trl(case: Case, watch: Watch, folder: Path, seed: int) -> None:
    """Bake with TRL's rate, batch, epochs and schedule, from a random start."""
    half = TRLS_BATCH // 2
    _bake(
        case,
        watch,
        folder,
        seed,
        version=1,
        epochs=TRLS_EPOCHS,
        micro_batch_size=half,
        gradient_accumulation_steps=TRLS_BATCH // half,
        optimizer={"learning_rate": TRLS_RATE},
        scheduler={"warmup_steps": 0},
    )


def _bake(
    case: Case, watch: Watch, folder: Path, seed: int, *, version: int | None = None, **asked: Any
) -> None:
    """Run all stages over questions that are written out, and look at each step."""
    repo = _repository(case, folder / "bake", _input(case, seed, version, asked))
    watch.begin()
    reporter = Looking(watch)
    making = Making(repo, repo.plan("index"), repo.launch_blob(), reporter)
    reporter.making = making
    making.check(STAGES)
    # A prompt that is hardly followed stops no comparison.
    looking.before_answers(repo, making.models, making.plan, WAIVERS, reporter)
    watch.mark("three answers looked at")
    making.stim()
    making.rollout()
    making.bake(force=False)
    watch.mark("end")


class Looking(Quiet):
    """A reporter that shows nothing, and has the model looked at after every step."""

    making: Making

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch, self._before = watch, 0

    def progress(self, label: str, done: int, total: int, detail: str = "") -> None:
        """Look at the model: step 0 is before the first, where nothing was fitted."""
        self._watch.mark(label if done else f"before {label}")
        if label == TRAINING:
            if not done:  # each phase counts its own steps
                self._before = self._watch.step
            # The base, with whatever adapter lies in its layers by now.
            self._watch.look(self._before + done, self.making.models.base().model)

    @contextmanager
    def doing(self, label: str) -> Iterator[None]:
        """Look at the weights as soon as they are fitted: the teacher is recorded after that."""
        with super().doing(label):
            yield
        if label == FITTING:
            self._watch.mark("fitted")
            self._watch.look(0, self.making.models.base().model)

    def note(self, text: str) -> None:
        """Keep the note, and the time at which a model is loaded."""
        super().note(text)
        if text.startswith("loading"):
            self._watch.mark("before loading")


def _input(case: Case, seed: int, version: int | None, asked: dict[str, Any]) -> dict[str, Any]:
    """Return input.yml: the prompt, the questions, and nothing that defaults say."""
    epochs = {} if case.epochs is None else {"epochs": case.epochs}
    return {
        **({} if version is None else {"DEFAULTS": version}),
        "PROMPT": {"teacher": {"messages": list(case.prompt)}},
        "TARGET": {
            "name": "target",
            "max_tokens": case.answer,
            "extra_kwargs": {"seed": seed},
            "generators": [{"type": "hardcoded", "questions": list(case.train)}],
        },
        "BAKE": {
            "name": "bake",
            "seed": seed,
            "datasets": [{"target": "target"}],
            # All are learnt, as everywhere else: what is measured on is the exam's to ask.
            "data": {"train_eval_split": [1.0, 0.0]},
            **epochs,
            **asked,
        },
    }


def _repository(case: Case, folder: Path, written: dict[str, Any]) -> ModelRepo:
    """Make a repository in which nothing but the run is left to do."""
    os.environ.update(COMMITS)
    os.environ.pop("BGIT_STORE", None)
    repo = ModelRepo.init(folder, name="bench", owner="bench", base=base_of(case))
    (folder / "input.yml").write_text(json.dumps(written, indent=1), encoding="utf-8")
    repo.git.run("add", "input.yml")
    repo.git.run("commit", "-q", "-m", "Bake it")
    return repo
