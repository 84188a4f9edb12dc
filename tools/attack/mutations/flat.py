"""Spoilt flat files and flags of `bakery`: each setting is what was written, or refused."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from bakery.distil.settings import parse
from tools.attack.mutations import changes
from tools.attack.mutations.judge import judged
from tools.attack.trial import called
from tools.attack.verdicts import Outcome

VALID: dict[str, Any] = {
    "model_name_or_path": "tiny-1",
    "dataset": "rows.jsonl",
    "prefix_messages": [
        {"role": "system", "content": "Shout!"}, {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "HI"},
    ],
    "target_roles": ["assistant"],
    "target_content_pattern": "H.+",
    "num_trajectories": 2,
    "trajectory_length": 16,
    "sampling_temperature": 0.7,
    "top_p": 0.95,
    "on_policy": False,
    "temperature": 1.5,
    "loss_type": "jsd",
    "jsd_beta": 0.25,
    "loss_weighting": "example",
    "dataset_split": "train[:90%]",
    "eval_dataset_split": "train[90%:]",
    "r": 8,
    "lora_alpha": 16,
    "target_modules": ["q_proj", "v_proj"],
    "learning_rate": 0.001,
    "num_train_epochs": 2,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "warmup_ratio": 0.1,
    "max_steps": 7,
    "save_strategy": "steps",
    "save_steps": 5,
    "seed": 11,
    "group_by_length": True,
    "output_dir": "out",
    "torch_dtype": "float32",
}  # fmt: skip

_MENTIONED = ("group_by_length", "train_sampling_strategy")


class FlatFile:
    """A folder with rows, and a valid configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        rows = '{"prompt": "hi there", "response": "you"}\n' * 20
        (folder / "rows.jsonl").write_text(rows, encoding="utf-8")
        self.known = tuple(parse.known_types())

    def __call__(self, case: str) -> Outcome:
        import os

        os.chdir(self.folder)
        rng = random.Random(case)
        valid = dict(rng.sample(list(VALID.items()), rng.randint(4, len(VALID))))
        valid |= {name: VALID[name] for name in ("model_name_or_path", "dataset", "output_dir")}
        if case.startswith("flags"):
            return self._flags(case, valid, rng)
        if rng.random() < 0.6:
            text = yaml.safe_dump(changes.document(valid, rng, keys=self.known), sort_keys=False)
        else:
            text = changes.text(yaml.safe_dump(valid, sort_keys=False), rng)
        with Path("config.yml").open("w", encoding="utf-8", errors="surrogatepass") as file:
            file.write(text)
        return self._judged(case, ["--config", "config.yml"], _said(text))

    def _flags(self, case: str, valid: dict[str, Any], rng: random.Random) -> Outcome:
        spoilt = changes.document(valid, rng, keys=self.known)
        words: list[str] = []
        for name, value in (spoilt if isinstance(spoilt, dict) else {"r": spoilt}).items():
            words += _flag(str(name), value, rng)
        for _ in range(rng.choice((0, 0, 1, 2))):
            words.insert(rng.randrange(len(words) + 1), rng.choice(changes.WORDS))
        if rng.random() < 0.2 and words:
            at = rng.randrange(len(words))
            words[at] = changes.text(words[at], rng)
        words = [word.replace("\x00", "") for word in words]  # no shell can give one
        single = _single(words, self.known)
        return self._judged(case, words, single)

    def _judged(self, case: str, words: list[str], said: dict[str, Any]) -> Outcome:
        found: list[parse.Settings] = []
        done = called(lambda: found.append(parse.parse(words)))
        return judged(case, done, lambda: _wrong(found[0], said))


def _flag(name: str, value: Any, rng: random.Random) -> list[str]:
    flag = f"--{name}"
    if isinstance(value, bool) and rng.random() < 0.5:
        return [flag] if value else [f"--no_{name}"]
    if isinstance(value, list) and value and all(isinstance(v, str) for v in value):
        return [flag, *value]
    text = yaml.safe_dump(value, default_flow_style=True, width=10**9).removesuffix("\n...\n")
    if isinstance(value, list | dict):
        import json

        text = json.dumps(value)
    text = value if isinstance(value, str) else text.strip()
    return [f"{flag}={text}"] if rng.random() < 0.5 else [flag, text]


def _single(words: list[str], known: tuple[str, ...]) -> dict[str, Any]:
    """Return the numbers that a line of flags plainly gives, by the names of their fields."""
    found: dict[str, Any] = {}
    spelled = [word.partition("=")[0] for word in words if word.startswith("--")]
    for at, word in enumerate(words):
        name, equals, value = word.partition("=")
        if not equals and at + 1 < len(words):
            value = words[at + 1]
        field = name.removeprefix("--")
        if name.startswith("--") and field in known and spelled.count(name) == 1:
            try:
                found[field] = float(value)
            except ValueError:
                continue
    return found


def _said(text: str) -> dict[str, Any]:
    """Return the plain values that another reader of YAML finds; {}: it cannot read it."""
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _wrong(settings: parse.Settings, said: dict[str, Any]) -> str:
    """Name a number or a switch that was written, and is another one in the settings."""
    told = " ".join(settings.notes)
    for name, value in said.items():
        if not isinstance(value, bool | int | float) or str(name) in told or name in _MENTIONED:
            continue
        for part in (settings.context, settings.training, settings.data, settings.lora):
            if not hasattr(part, str(name)):
                continue
            taken = getattr(part, str(name))
            if isinstance(taken, bool | int | float) and not _same(taken, value):
                return f"{name} is {value!r} in what was given, and {taken!r} in what is done"
    return ""


def _same(taken: float, value: float) -> bool:
    taken, value = float(taken), float(value)  # YAML tells 1e30 from its digits, numbers do not
    return taken == value or (taken != taken and value != value)


def surface(folder: Path, _: Any) -> Callable[[str], Outcome]:
    """Return the trial of this kind."""
    return FlatFile(folder / "flat")
