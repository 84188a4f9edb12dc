"""Resolved requests and their ids; digests of results.

An id names a request: 16 hex digits over the resolved values that shape the result, and
nothing else. A digest names bytes. Both are stable across machines and versions: canonical JSON,
sorted keys, 1 equal to 1.0, LF line ends. A later field is left out at the value of before.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from bakery.defaults import LATEST
from bakery.records import ModelRef, Prompt
from bakery.shaping import TrainingSettings
from bakery.shares import TargetShare
from bakery.trackers import TensorBoard, Trackio, Wandb

COMPRESSION = "svd"
"""How ranks are left out: of B·A in each layer the largest singular values stay, in float64."""

QUESTION_TEMPLATE_VERSION = 1
"""Rises when the text changes by which a model is asked for questions."""


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN, LF."""
    return json.dumps(
        _normal(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(value: Any) -> str:
    """Return the SHA-256 of a value's canonical form: 64 hex digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def short_id(value: Any) -> str:
    """Return the 16 hex digits that name a request."""
    return digest(value)[:16]


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes: 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class BaseModelId:
    """The root of a lineage: name, revision ("" where there is none) and content digest.

    The digest covers configuration, weights, tokenizer and chat template (`engine.bases.bases`).
    `family` and `hidden_size` are what laws for defaults go by. `beside`, of the ends of turns and
    tokens that other files name, came later: it is compared, in no id. "", 0: nobody has looked.
    """

    name: str
    revision: str
    digest: str
    family: str = ""
    hidden_size: int = 0
    beside: str = ""

    def as_data(self) -> dict[str, str]:
        """Return what is hashed: a base is what it contains, whatever it is called."""
        return {"digest": self.digest}


@dataclass(frozen=True, slots=True)
class StimRequest:
    """Write these questions. `generators` are the schema's, as plain data.

    `templates` are texts by path, `files` the SHA-256 of data files by path.
    """

    teacher: Prompt
    generators: tuple[dict[str, Any], ...]
    templates: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    defaults: int = LATEST
    """The version of the defaults that it was planned by. Questions are written as it says."""
    variables: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The variables of the target's prompts, with what the first row says in their places."""

    @property
    def id(self) -> str:
        """Over teacher, generators, contents of files and names of variables; not who writes."""
        generators = [_by_content(g, self.templates, self.files) for g in self.generators]
        data = {
            "defaults": self.defaults,
            "teacher": self.teacher.as_data(),
            "generators": generators,
            "questions": QUESTION_TEMPLATE_VERSION,
        }
        return short_id(data | {"variables": sorted(self.variables)} if self.variables else data)


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How the teacher answers.

    Frequency and presence count what the answer holds so far; the penalty on repetition also
    counts the prompt. An answer ends before the first text of `stop`.
    """

    num_traj_per_stimulus: int
    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    """Draws other answers. Each answer's own seed follows from its id, and so from this."""
    likeliest_first: bool = False
    """Whether the first answer to what input.yml writes out is the likeliest one, not drawn."""
    probed: int = 0
    """How many answers show at what length all are cut (`stages.limit`). 0: `max_tokens`."""
    endpoint: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What is handed to the endpoint of a hosted model as it is."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "stop", tuple(self.stop))  # a list, where it was JSON

    def as_data(self) -> dict[str, Any]:
        """Return what is hashed; what changes nothing is not in it."""
        return {
            key: value
            for key, value in asdict(self).items()
            if key not in _LATER_SAMPLING or value != _LATER_SAMPLING[key]
        }


_LATER_SAMPLING: dict[str, Any] = {
    "likeliest_first": False,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "stop": (),
    "seed": None,
    "probed": 0,
    "endpoint": {},
}
"""Settings that are left out of the hash at the value that equals former behaviour."""


@dataclass(frozen=True, slots=True)
class RolloutRequest:
    """Have the teacher (base + parent, under `teacher`) answer the stimuli.

    `model` answers instead of it, where it is named. `student` is the prompt behind which the
    stimuli are answered that ask for it. `max_concurrency` changes only how fast an endpoint is.
    """

    stim_id: str
    teacher: Prompt
    sampling: SamplingSettings
    base: BaseModelId
    parent: ModelRef | None
    model: str | None = None
    student: Prompt | None = None
    max_concurrency: int = 10
    defaults: int = LATEST

    @property
    def id(self) -> str:
        """Over the stimuli's id, the sampling settings and the answering model."""
        data: dict[str, Any] = {
            "defaults": self.defaults,
            "stim": self.stim_id,
            "sampling": self.sampling.as_data(),
            "base": self.base.as_data(),
            "parent": _link(self.parent),
        }
        if self.model is not None:
            data["model"] = self.model
        if self.student is not None:
            data["student"] = self.student.as_data()
        return short_id(data)


@dataclass(frozen=True, slots=True)
class Running:
    """How a bake is run and watched, which changes speed, memory and what is logged: no id."""

    attn_implementation: str | None = None  # None: what the base's configuration says.
    gradient_checkpointing: bool = False
    fits_memory: bool = False  # Where memory is short, fewer than `micro_batch_size` at once.
    eval_interval: int = 0
    """Steps between two measurements on what is held out; 0: none while training."""
    sharded: bool = False
    """Whether several processes share the base's weights out, as ZeRO stage 3 does."""
    wandb: Wandb | None = None
    trackio: Trackio | None = None
    tensorboard: TensorBoard | None = None
    """None: nothing is sent there."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A teacher that is not the parent of what learns: a base, and the bake on it (None: bare)."""

    base: BaseModelId
    model: ModelRef | None


@dataclass(frozen=True, slots=True)
class BakeRequest:
    """Train an adapter on top of `parent` (None: the base model itself).

    `micro_batch_size` and `running` change speed, memory and what is logged, not the id.
    `teacher` None: the parent teaches. Where another model does, `base` is that of the student.
    `compressed` None: the whole parent is trained on; else the nearest to it of so many ranks.
    """

    shares: tuple[TargetShare, ...]
    training: TrainingSettings
    base: BaseModelId
    parent: ModelRef | None
    micro_batch_size: int
    running: Running = Running()
    defaults: int = LATEST
    teacher: Elsewhere | None = None
    compressed: int | None = None

    @property
    def id(self) -> str:
        """Over students, targets, weights, training settings, parent chain and base."""
        data: dict[str, Any] = {
            "defaults": self.defaults,
            "shares": [share.as_data() for share in self.shares],
            "training": self.training.as_data(),
            "base": self.base.as_data(),
            "parent": _link(self.parent),
        }
        if self.teacher is not None:
            data["teacher"] = [self.teacher.base.as_data(), _link(self.teacher.model)]
        return short_id(data | _compressed(self.compressed))


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """Put what other bakes learnt onto `parent`, by arithmetic or, to `distill`, by training.

    `sides` are the ids of the bakes whose slices each side brings, oldest first. `rank`: so many
    are kept of all of them; None: every one. `wins`: whose answer stands where the sides differ.
    """

    how: str
    sides: tuple[tuple[str, ...], ...]
    base: BaseModelId
    parent: ModelRef | None
    rank: int | None = None
    wins: str | None = None
    training: TrainingSettings | None = None
    shares: tuple[TargetShare, ...] = ()
    """What is learnt, and how, where that is trained."""
    left_out: tuple[str, ...] = ()
    """Questions of the side that gives way, which nobody learns, by `target/stimulus`."""
    compressed: int | None = None
    """How many ranks are kept of the parent; None: all."""

    @property
    def id(self) -> str:
        """Over the slices, the way and the parent chain."""
        data: dict[str, Any] = {
            "joined": self.how,
            "sides": [list(side) for side in self.sides],
            "base": self.base.as_data(),
            "parent": _link(self.parent),
            "rank": self.rank,
            "wins": self.wins,
        }
        if self.training is not None:
            data["training"] = self.training.as_data()
            data["shares"] = [share.as_data() for share in self.shares]
            data["left_out"] = list(self.left_out)
        return short_id(data | _compressed(self.compressed))


def compressed_id(parent: ModelRef, ranks: int) -> str:
    """Return what stands for a model of which only so many ranks are kept, where a bake's id is."""
    return f"{parent.bake_id}~{ranks}"


def _compressed(ranks: int | None) -> dict[str, Any]:
    """Return what is hashed of a parent that is compressed: by which method, and to what."""
    return {} if ranks is None else {"compressed": [COMPRESSION, ranks]}


def _link(parent: ModelRef | None) -> dict[str, Any] | None:
    """Return a parent as its place in the chain of ids; owner and names do not count."""
    return None if parent is None else {"bake": parent.bake_id, "step": parent.step}


def _by_content(
    generator: Mapping[str, Any], templates: Mapping[str, str], files: Mapping[str, str]
) -> dict[str, Any]:
    """Return a generator with what its files hold in place of where they lie."""
    data = dict(generator)
    data.pop("fallback", None)  # who may write, not what is asked
    path, text = data.pop("template_path", None), data.pop("template_content", None)
    if path is not None:
        text = templates[path]
    if text is not None:
        data["template"] = digest(text)
    if (file := data.get("dataset", "")) in files:
        data["dataset"] = [PurePosixPath(file).suffix.lower(), files[file]]
    return data


def _normal(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\r\n", "\n")
    if isinstance(value, Mapping):
        return {str(key): _normal(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_normal(item) for item in value]
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    return value
