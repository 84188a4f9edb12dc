"""A repository with a whole store, made without any model: for measurements, and for tests of both.

Every id is that of its request and every digest that of its file, as after real runs; only what is
in the files means nothing.
"""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bakery.engine.models.adapter_check import parts
from bakery.engine.models.adapter_folder import CONFIG, SLICES
from bakery.identity import (
    BakeRequest,
    BaseModelId,
    RolloutRequest,
    SamplingSettings,
    StimRequest,
    file_digest,
    short_id,
)
from bakery.records import ModelRef, Prompt, Stimulus, Trajectory
from bakery.repo.files import recipe, starter
from bakery.repo.files.state import State
from bakery.repo.git import Git
from bakery.shaping import TrainingSettings
from bakery.shares import TargetShare
from bakery.store import results
from bakery.store.store import Store

BASE = BaseModelId("tiny-1", "", "ab" * 32)
STEP, RANK, WIDTH = 12, 2, 8
LAYERS = ("model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj")
TRAINING = TrainingSettings(
    epochs=1, global_batch=8, learning_rate=1e-3, weight_decay=0.0, betas=(0.9, 0.999),
    scheduler="linear", warmup_ratio=0.0, max_grad_norm=1.0, seed=42, r=RANK, lora_alpha=4,
    lora_dropout=0.0, target_modules="all-linear",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Baked:
    """A bake in the store, and the block that a recipe records it with."""

    model: ModelRef
    block: str
    chain: tuple[str, ...]
    """The ids of all bakes in its adapter, oldest first."""
    stim: str
    target: str


def build(
    root: Path, branches: Mapping[str, Sequence[str]], *, rows: int = 4, width: int = WIDTH
) -> dict[str, Baked]:
    """Make a repository in which each branch has baked some names, each on the one before.

    What two branches begin with alike is the same bake. Its input.yml configures nothing.
    """
    root.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", "-b", next(iter(branches))], cwd=root, check=True)
    git = Git.find(root)
    store = Store.beside(git.common_dir, root)
    blob = git.write_blob("# as it was baked\n")
    baked: dict[tuple[str, ...], Baked] = {}
    for names in branches.values():
        for end in range(1, len(names) + 1):
            way = tuple(names[:end])
            if way not in baked:
                baked[way] = bake(store, way[-1], baked.get(way[:-1]), blob, rows=rows, width=width)
    stream = "".join(
        text
        for branch, names in branches.items()
        for text in _commit(branch, [baked[tuple(names[:end])] for end in range(1, len(names) + 1)])
    )
    git.run("fast-import", "--quiet", stdin=stream.encode())
    git.run("reset", "-q", "--hard")
    return {way[-1]: found for way, found in baked.items()}


def bake(
    store: Store, name: str, parent: Baked | None, blob: str, *, rows: int = 4, width: int = WIDTH
) -> Baked:
    """Put a bake with its questions and answers into a store."""
    teacher, student = Prompt(({"role": "system", "content": f"You are {name}."},)), Prompt()
    asked = [f"{name} {number}?" for number in range(rows)]
    stim = StimRequest(teacher, ({"type": "hardcoded", "questions": asked},), {})
    answered = RolloutRequest(
        stim.id, teacher, SamplingSettings(1, 16), BASE, parent.model if parent else None
    )
    share = TargetShare(f"{name}_target_{answered.id}", answered.id, 1.0, teacher, student)
    request = BakeRequest((share,), TRAINING, BASE, parent.model if parent else None, 8)
    model = ModelRef("ann", "demo", f"{name}_{request.id}", STEP)
    chain = (*(parent.chain if parent else ()), request.id)
    questions = questions_into(store.stim(stim.id), stim, asked)
    answers = answers_into(store.target(answered.id), answered, asked)
    folder = store.bake(request.id)
    digest = weights_into(folder / str(STEP), chain, width)
    target = {
        "name": share.name, "id": answered.id, "stim_id": stim.id, "weight": 1.0, "stimuli": rows,
        "trajectories": rows, "writers": {"input.yml": rows}, "stimuli_digest": questions,
        "trajectories_digest": answers, "teacher": teacher.as_data(), "student": student.as_data(),
    }  # fmt: skip
    result = _result(request, digest, parent, target)
    _write(folder / results.REQUEST, _dumped(asdict(request)))
    _write(folder / "input.yml", "# as it was baked\n")
    _write(folder / results.METRICS, '{"step": 1, "loss": 1.5}\n')
    _write(folder / results.RESULT, _dumped(result))
    _write(folder / results.DONE, '{"schema": 1}\n')
    block = recipe.block(result, model=model, input_blob=blob)
    return Baked(model, block, chain, stim.id, answered.id)


def questions_into(folder: Path, request: StimRequest, asked: Sequence[str]) -> str:
    """Write a set of questions; return its digest."""
    written = [
        Stimulus(_id(text), ({"role": "user", "content": text},), "hardcoded", "input.yml")
        for text in asked
    ]
    return _rows_into(folder, results.STIMULI, request, written, {})


def answers_into(folder: Path, request: RolloutRequest, asked: Sequence[str]) -> str:
    """Write a set of answers; return its digest."""
    made = [Trajectory(_id(text), 0, (7, 8, 9), "Hmm.", "stop", "tiny-1") for text in asked]
    more = {"stim_id": request.stim_id}
    return _rows_into(folder, results.TRAJECTORIES, request, made, more)


def _rows_into(
    folder: Path, name: str, request: Any, rows: Sequence[Any], more: Mapping[str, Any]
) -> str:
    _write(folder / results.REQUEST, _dumped(asdict(request)))
    _write(folder / name, "".join(json.dumps(asdict(row)) + "\n" for row in rows))
    digest = file_digest(folder / name)
    said = {"schema": 1, "count": len(rows), "digest": digest, "notes": [], "seconds": 0.5, **more}
    _write(folder / results.DONE, _dumped(said))
    return digest


def weights_into(folder: Path, chain: Sequence[str], width: int = WIDTH) -> str:
    """Write a composed adapter of some bakes with all that lies beside it; return its digest."""
    rank, at = RANK * len(chain), 0
    head: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    for layer in LAYERS:
        for factor, shape in (("A", [rank, width]), ("B", [width, rank])):
            size = 4 * rank * width
            head[f"base_model.model.{layer}.lora_{factor}.weight"] = {
                "dtype": "F32", "shape": shape, "data_offsets": [at, at + size],
            }  # fmt: skip
            at += size
    text = json.dumps(head).encode()
    seed = hashlib.sha256("".join(chain).encode()).digest()
    numbers = struct.pack("<8f", *(byte / 1000 for byte in seed[:8]))
    data = struct.pack("<Q", len(text)) + text + (numbers * (at // 32 + 1))[:at]
    folder.mkdir(parents=True)
    (folder / results.WEIGHTS).write_bytes(data)
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": BASE.name,
        "r": rank, "lora_alpha": rank, "lora_dropout": 0.0, "bias": "none",
        "target_modules": ["q_proj", "up_proj"], "inference_mode": True,
    }  # fmt: skip
    _write(folder / CONFIG, _dumped(config))
    rows = [asdict(part) for part in parts([(bake_id, RANK) for bake_id in chain])]
    _write(folder / SLICES, _dumped(rows))
    return file_digest(folder / results.WEIGHTS)


def _result(
    request: BakeRequest, digest: str, parent: Baked | None, target: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "schema": 1,
        "defaults": request.defaults,
        "bake_id": request.id,
        "step": STEP,
        "digest": digest,
        "base": asdict(BASE),
        "parent": {"model": str(parent.model), "digest": "d" * 64} if parent else None,
        "targets": [target],
        "training": request.training.as_data(),
        "loss": {"first": 1.5, "last": 0.25, "min": 0.2},
        "card": {"held_out": 1, "tokens": 9, "kl_before": 1.2, "kl_after": 0.04,
                 "prompt_tokens_saved": 5.0},
        "seconds": {"stim": 0.5, "rollout": 1.5, "bake": 3.25},
        "started": "2030-01-01T00:00:00+00:00",
        "finished": "2030-01-01T00:00:05+00:00",
        "versions": {"bakery": "0.1.0"},
        "notes": [],
    }  # fmt: skip


def _commit(branch: str, baked: Sequence[Baked]) -> Iterator[str]:
    """Return what `git fast-import` reads: one commit, in which a branch has baked all of it."""
    here = State("ann", "demo", BASE, baked[-1].model if baked else None)
    texts = starter.of_new_repository(here, starter.EXAMPLE)
    texts["recipe.yml"] = recipe.new(BASE.name) + "".join(one.block for one in baked)
    yield f"commit refs/heads/{branch}\ncommitter Ann <ann@example.org> 0 +0000\ndata 4\nBake\n"
    for path, text in texts.items():
        yield f"M 644 inline {path}\ndata {len(text.encode())}\n{text}\n"


def _id(text: str) -> str:
    return short_id([{"role": "user", "content": text}])


def _dumped(data: Any) -> str:
    return json.dumps(data, indent=2) + "\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
