"""What a bake is made with where nothing is said: a table for each version, laws by the base model.

A recorded bake names its version (1 where it names none) and is planned by it for good; new
repositories take the latest. A version never changes once it has been released: what is found to
be better becomes the next one. docs/log.md has the measurements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

from bakery.errors import ConfigError

LATEST = 3
"""The version that new repositories plan by. It is part of every id: old names keep their meaning.
"""


USUAL_SIZE = 2000
"""The hidden size that the law for learning rates begins from, and that an unknown model has."""

FITTED = 0.25
"""Part of its rate that an adapter learns with which starts fitted: it is nearly there already."""

FEWEST_STEPS = 30
"""Steps that a training has at least."""

BATCHES = (4, 8, 16)
"""How many answers a step may learn. More and smaller steps are worth more at the same cost, until
they are noise: 4 answers were better than 8 or 16, and 2 or 1 no better than 4 (docs/log.md)."""


class Base(Protocol):
    """What the laws go by in a base model."""

    @property
    def name(self) -> str:
        """A hub id, a folder, or `tiny-1`."""

    @property
    def family(self) -> str:
        """The model type of its configuration; empty where nobody has looked."""

    @property
    def hidden_size(self) -> int:
        """How wide its layers are; 0 where nobody has looked."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What depends on version and base model, where input.yml says nothing."""

    version: int
    max_tokens: int = 512
    probed: int = 0
    """How many answers show where the others are cut, at most at `max_tokens`. 0: there."""
    temperature: float = 1.0
    """Of the answers."""
    likeliest_first: bool = False
    """Whether what is written out in input.yml is answered with the likeliest words first: drawn,
    a weak model's answers miss the names and numbers that it has been told."""
    question_temperature: float | None = 1.0
    """Of whoever writes questions. None: as suits who it is."""
    num_traj_per_stimulus: int = 1
    epochs: int = 3
    micro_batch_size: int = 4
    """Answers that are run at once: on a CPU 16 are no faster, and take 2.5 times the memory."""
    fits_memory: bool = False
    """Whether fewer are, where these would take too much of the machine's memory."""
    fewest_steps: int = 0
    """Where there are few answers, there are more epochs, until there are so many steps."""
    global_batch: int | None = 16
    """Answers of an optimizer step. None: as many as leave enough steps (`batch_for`)."""
    steps: int = 60
    """Enough of them."""
    learning_rate: float = 2e-4
    warmup: str = "from 0"
    """How a warm-up begins: `from 0` wastes its first step, `from 1/n` does not."""
    ridge: float | None = None
    """Of first weights that are fitted. None: they are drawn at random."""
    spares_hardcoded: bool = False
    """Whether what is written out in input.yml is not held out where there is enough else."""
    learns_hardcoded: bool = False
    """Whether it never is, and is what is taken of a target first."""
    leaves_out_endless: bool = False
    """Whether answers that run on until they are cut, as few do, are not learnt."""
    drawn_rate: float | None = None
    drawn_epochs: int | None = None
    """With which an adapter learns that starts at random where it was to be fitted."""
    fitted_tokens: int = 8192
    """Tokens that they are fitted on at most."""
    hardcoded_times: int = 1
    """How often an epoch has what is written out in input.yml, at least: names, numbers and
    refusals hang on one token each, and few other questions ask for them (`times_for`)."""
    most_epochs: int = 12
    patience: int = 3
    """Of `epochs: auto`: the most, and so many rounds that make nothing better end it."""
    r: int = 32
    dtype: str = "auto"
    """Of the base's weights; `auto` is as they are stored."""


_FIRST = Defaults(1)
_FIRST_TINY = Defaults(
    1,
    max_tokens=96,
    num_traj_per_stimulus=2,
    micro_batch_size=16,
    learning_rate=2e-3,
    r=16,
    dtype="float32",
)
"""The embedded model: short answers and small matrices. Chosen by `tools/measure_tutorial.py`:
over the three tutorial bakes 2e-3 for 3 epochs came closer than 1e-3 for 4, in less time."""


def defaults_for(base: Base, version: int = LATEST) -> Defaults:
    """Return the defaults of a version for a base model."""
    check_version(version)
    embedded = base.name.startswith("tiny-")
    first = _FIRST_TINY if embedded else _FIRST
    if version == 1:
        return first
    return replace(
        first,
        version=version,
        probed=0 if embedded else 32,
        temperature=1.0 if embedded else 0.7,
        likeliest_first=True,
        question_temperature=None,
        epochs=1,
        fewest_steps=FEWEST_STEPS,
        global_batch=None,
        steps=30 if embedded else 60,
        fits_memory=True,
        learning_rate=1e-3 if embedded else _two_digits(FITTED * rate_for(base)),
        warmup="from 1/n",
        spares_hardcoded=True,
        learns_hardcoded=version > 2,
        leaves_out_endless=True,
        ridge=0.5,
        drawn_rate=first.learning_rate if embedded else rate_for(base),
        drawn_epochs=first.epochs,
        hardcoded_times=3,
    )


def at_random(defaults: Defaults) -> Defaults:
    """Return the same for an adapter that starts at random: its own rate, and more epochs."""
    return replace(
        defaults,
        ridge=None,
        epochs=defaults.drawn_epochs or defaults.epochs,
        learning_rate=defaults.drawn_rate or defaults.learning_rate,
    )


def rate_for(base: Base) -> float:
    """Return the learning rate for an adapter of a base model that starts at random.

    The rule that the Tinker cookbook publishes for LoRA: 5e-4 · (2,000 / hidden size)^p, with p of
    0.781 for models like Llama and 0.0775 for Qwen's. It gives 1.3e-3 for SmolLM2-135M, where 1e-3
    was the best of six (docs/log.md).
    """
    exponent = 0.0775 if base.family.startswith("qwen") else 0.781
    hidden_size = base.hidden_size or USUAL_SIZE
    return _two_digits(5e-4 * (USUAL_SIZE / hidden_size) ** exponent)


def _two_digits(number: float) -> float:
    return float(f"{number:.2g}")


def batch_for(answers: int, epochs: int, steps: int) -> int:
    """Return how many answers an optimizer step learns, if there are to be so many steps."""
    most = answers * epochs // steps
    return max((batch for batch in BATCHES if batch <= most), default=BATCHES[0])


def epochs_for(answers: int, batch: int, fewest_steps: int) -> int:
    """Return how many epochs of steps of a batch it takes to have so many steps."""
    return math.ceil(fewest_steps / max(1, math.ceil(answers / batch)))


MOST_TIMES = 10
"""How often an epoch has what is written out in input.yml, at most."""


def times_for(written: int, others: int, least: int) -> int:
    """Return how often an epoch has answers that are written out, so that they are a quarter of it.

    `least` of 1: as often as all others.
    """
    if least == 1 or not written:
        return 1
    return max(least, min(MOST_TIMES, math.ceil(others / (3 * written))))


def check_version(version: int) -> None:
    """Refuse a version that is not known here."""
    if not 1 <= version <= LATEST:
        raise ConfigError(
            f"there are no defaults of version {version}, only 1 to {LATEST}",
            hint="A newer bgit may have written it: `pip install -U prompt-bakery`."
            if version > LATEST
            else f"Name one of them; new repositories have {LATEST}.",
        )
