"""What shapes the weights of a bake: settings that are hashed into its id, and settled by counts.

A later field is left out of the hash at the value of before.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from bakery.defaults import batch_for, epochs_for


@dataclass(frozen=True, slots=True)
class OnPolicySettings:
    """A second phase of training, on the student's own answers to the training questions."""

    steps: int
    loss: str
    learning_rate: float


IDLE_FIRST_STEP, NO_IDLE_STEP = "from 0", "from 1/n"
"""How a warm-up begins."""


@dataclass(frozen=True, slots=True)
class FirstWeights:
    """An adapter that starts fitted by least squares, not at random.

    How it is fitted: `engine.training.first_weights`.
    """

    ridge: float
    """Held against large weights, in units of the mean square of their inputs."""
    most_tokens: int
    """Of teacher and student together, on which it is fitted at most."""
    drawn_rate: float | None = None
    drawn_epochs: int | None = None
    """With which an adapter learns that starts at random after all. None: as is said."""


@dataclass(frozen=True, slots=True)
class Until:
    """Rounds of an epoch behind the training, until the bake holds (`stages.until`)."""

    max_epochs: int
    patience: int
    """So many rounds that make it no better end them."""


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """What shapes the weights. `global_batch` is answers of a step; None: by how many there are."""

    epochs: int
    global_batch: int | None
    learning_rate: float
    weight_decay: float
    betas: tuple[float, float]
    scheduler: str
    warmup_ratio: float
    max_grad_norm: float
    seed: int
    r: int
    lora_alpha: float
    lora_dropout: float
    target_modules: str | tuple[str, ...]
    total_trajectories: int | None = None  # every trajectory that the weights allow
    loss: str = "forward_kl"
    dtype: str = "auto"
    held_out: str = "stimuli: 10 %, at least 20 where that is at most a fifth"
    on_policy: OnPolicySettings | None = None
    """None: there is no second phase."""
    beta: float | None = None
    """Where between forward (0) and reverse KL (1) the loss `jsd` lies. None: another loss."""
    kl_temperature: float = 1.0
    """What both sides' logits are divided by in the loss; measured is always at 1."""
    max_length: int | None = None
    """Tokens of prompt and answer over which a pair is left out. None: as the model allows."""
    eval_share: float | None = None
    """The share of the stimuli that is held out. None: as `held_out` says."""
    data_seed: int | None = None  # what mix and order are drawn by; None: `seed`
    warmup_steps: int | None = None  # None: `warmup_ratio` of all steps
    optimizer: str = "adamw_torch"
    save_every_steps: tuple[int, ...] = ()
    save_every_epochs: tuple[int, ...] = ()
    """After each multiple of one of these, the model is kept beside the last."""
    warmup: str = IDLE_FIRST_STEP
    """What the rate of the first step of a warm-up is: 0, or `from 1/n` of n steps the first."""
    first_weights: FirstWeights | None = None
    """None: drawn at random."""
    hardcoded_times: int = 1
    """How often an epoch has what input.yml writes out, at least (`defaults.times_for`)."""
    fewest_steps: int = 0
    """There are as many epochs more as it takes to have so many steps."""
    steps: int = 60  # that are enough, where `global_batch` goes by how many answers there are
    leaves_out_endless: bool = False  # answers that run on until they are cut, as few do
    until: Until | None = None  # None: no round is asked for

    def as_data(self) -> dict[str, Any]:
        """Return what is hashed and stored; a later setting only where it is used."""
        return {
            key: value
            for key, value in asdict(self).items()
            if key not in _LATER_SETTINGS or value != _LATER_SETTINGS[key]
        }

    def settled(self, answers: int) -> TrainingSettings:
        """Return the settings with the batch and the epochs that so many answers are learnt in."""
        batch = self.global_batch or batch_for(answers, self.epochs, self.steps)
        epochs = max(self.epochs, epochs_for(answers, batch, self.fewest_steps))
        return replace(self, global_batch=batch, epochs=epochs, fewest_steps=0)

    @property
    def order_seed(self) -> int:
        """What mix and order are drawn by."""
        return self.seed if self.data_seed is None else self.data_seed


_LATER_SETTINGS: dict[str, Any] = {
    "on_policy": None,
    "beta": None,
    "kl_temperature": 1.0,
    "max_length": None,
    "eval_share": None,
    "data_seed": None,
    "warmup_steps": None,
    "optimizer": "adamw_torch",
    "save_every_steps": (),
    "save_every_epochs": (),
    "warmup": IDLE_FIRST_STEP,
    "first_weights": None,
    "hardcoded_times": 1,
    "fewest_steps": 0,
    "steps": 60,
    "leaves_out_endless": False,
    "until": None,
}
"""Settings that are left out of the hash at the value that equals former behaviour."""
