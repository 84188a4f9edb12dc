"""Spoilt model folders: refused by name, or what is loaded is what the files hold."""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from bakery.engine.bases import bases
from bakery.engine.models import models
from bakery.identity import BaseModelId
from tools.attack.mutations import changes
from tools.attack.mutations.judge import judged, worst
from tools.attack.trial import bgit, called
from tools.attack.verdicts import Outcome
from tools.attack.workplace import Material, Restored

KEYS = (
    "model_type", "architectures", "hidden_size", "num_hidden_layers", "vocab_size", "auto_map",
    "eos_token_id", "rope_theta", "head_dim", "tie_word_embeddings", "_attn_implementation",
    "quantization_config", "text_config", "num_key_value_heads", "intermediate_size", "dtype",
)  # fmt: skip


class Folder:
    """A copy of a base model, with one of its files spoilt at a time."""

    def __init__(self, folder: Path, material: Material) -> None:
        self.folder = folder
        self.copy = Restored(material.base, folder / "model")
        self.recorded = bases.identify(str(self.copy.root))
        self.logits, self.ends = _said_by(models.load(self.recorded))

    def __call__(self, case: str) -> Outcome:
        os.chdir(self.folder)
        rng = random.Random(case)
        files = sorted(path for path in self.copy.root.iterdir() if path.is_file())
        weights = [path for path in files if path.suffix == ".safetensors"]
        path = rng.choice([*files, *weights])
        path.write_bytes(_spoilt(path, rng))
        try:
            found = [self._as_recorded(case), self._as_new(case)]
            if rng.random() < 0.3:
                words = ("init", f"m{rng.random()}", "--base-model", str(self.copy.root))
                found.append(judged(case, bgit(*words, "--owner", "ann")))
            named = [Outcome(o.case, o.verdict, f"{path.name}: {o.said}") for o in found]
            return worst(case, named)
        finally:
            self.copy.restore()

    def _as_recorded(self, case: str) -> Outcome:
        """Load it as the base that a repository was made on: it has changed, or it has not."""
        said: list[Any] = []
        done = called(lambda: said.append(_said_by(models.load(self.recorded))))

        def wrong() -> str:
            logits, ends = said[0]
            if ends != self.ends:
                return f"as recorded: turns end with {ends}, and did with {self.ends}"
            return "" if torch.equal(logits, self.logits) else "as recorded: other logits"

        return judged(case, done, wrong)

    def _as_new(self, case: str) -> Outcome:
        """Load it as a base of its own: what is computed with is what the file holds."""
        found: list[models.BaseModel] = []

        def work() -> None:
            base: BaseModelId = bases.identify(str(self.copy.root))
            found.append(models.load(base))

        return judged(case, called(work), lambda: self._wrong(found[0]))

    def _wrong(self, base: models.BaseModel) -> str:
        try:
            held = _tensors(self.copy.root)
        except (SafetensorError, OSError) as error:
            return f"as new: it was loaded, though its weights are no safetensors file: {error}"
        tied = bool(getattr(base.model.config, "tie_word_embeddings", False))
        for name, value in base.model.state_dict().items():
            if not torch.isfinite(value).all():
                return f"as new: {name} is not finite"
            if name not in held:
                if not (tied and name == "lm_head.weight"):
                    return f"as new: {name} is in no file, and was made up"
            elif not torch.equal(held[name].to(value.dtype), value):
                return f"as new: {name} is not what the file holds"
        left = held.keys() - base.model.state_dict().keys()
        return f"as new: {sorted(left)[0]} of the file is not used" if left else ""


def _said_by(base: models.BaseModel) -> tuple[torch.Tensor, list[int]]:
    ids = torch.tensor([[1, 2, 3, 40, 50]])
    with torch.no_grad():
        return base.model(ids).logits, sorted(base.chat.end_ids)


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Read the weights as another program does."""
    from safetensors.torch import load_file

    found: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found |= load_file(path)
    return found


def _spoilt(path: Path, rng: random.Random) -> bytes:
    whole = path.read_bytes()
    if path.suffix == ".json" and rng.random() < 0.85:
        text = changes.json_text(json.loads(whole), rng, keys=KEYS)
        return text.encode("utf-8", "surrogatepass")
    if path.suffix == ".jinja" and rng.random() < 0.7:
        return changes.text(whole.decode(), rng).encode("utf-8", "surrogatepass")
    if path.suffix == ".safetensors" and rng.random() < 0.75:
        return tensors_spoilt(whole, rng)
    return changes.raw(whole, rng)


def tensors_spoilt(whole: bytes, rng: random.Random) -> bytes:
    """Return a safetensors file with another header, or with a tensor lost, doubled or poisoned."""
    from safetensors.torch import load, save

    if rng.random() < 0.4:
        (length,) = struct.unpack("<Q", whole[:8])
        text = changes.json_text(json.loads(whole[8 : 8 + length]), rng)
        header = text.encode("utf-8", "surrogatepass")
        told = rng.choice((len(header), len(header), 2**40, 2**63, len(header) + 8))
        return struct.pack("<Q", told) + header + whole[8 + length :]
    tensors = load(whole)
    name = rng.choice(sorted(tensors))
    way, value = rng.randrange(8), tensors[name]
    if way == 0:
        del tensors[name]
    elif way == 1:
        tensors[name + ".extra"] = value.clone()
    elif way == 2:
        tensors[f"other.{name}"] = tensors.pop(name)
    elif way == 3:
        tensors[name] = value[:-1].clone() if len(value) > 1 else value.repeat(2)
    elif way == 4:
        tensors[name] = value.clone()
        tensors[name].view(-1)[rng.randrange(value.numel())] = rng.choice(
            (float("nan"), float("inf"), float("-inf"))
        )
    elif way == 5:
        tensors[name] = value.to(rng.choice((torch.float16, torch.int64, torch.bool)))
    elif way == 6:
        tensors[name] = value.unsqueeze(0).contiguous()
    else:
        tensors[name] = torch.zeros_like(value)
    return bytes(save(tensors, metadata={"format": "pt"}))


def surface(folder: Path, material: Material) -> Callable[[str], Outcome]:
    """Return the trial of this kind."""
    return Folder(folder, material)
