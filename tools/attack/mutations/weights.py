"""Spoilt adapters, given to `bgit import` and to what loads them: refused by name, or right.

Half of them are poisoned at their source: recipe.yml names the digest that they have.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from safetensors.torch import load_file

from bakery.app.chat import Opened, opened
from bakery.app.meaning import find
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tools.attack.mutations import changes
from tools.attack.mutations.folders import tensors_spoilt
from tools.attack.mutations.judge import judged, worst
from tools.attack.trial import bgit, called
from tools.attack.verdicts import Outcome
from tools.attack.workplace import Material, Restored, git

NAME, CONFIG, SLICES = "adapter_model.safetensors", "adapter_config.json", "slices.json"


class Adapter:
    """A repository without the weights of its last bake, and an export of them."""

    def __init__(self, folder: Path, material: Material) -> None:
        self.export = Restored(material.export, folder / "given")
        original = folder / "importing-original"
        shutil.copytree(material.repository, original, symlinks=True)
        self.kept = Restored(material.repository, folder / "kept")
        os.chdir(original)
        (bake,) = [
            path.parent.parent
            for path in Path(".git/bakery/bake").glob(f"*/*/{SLICES}")
            if len(json.loads(path.read_text())) == 2
        ]
        self.weights = next(bake.glob(f"*/{NAME}"))
        self.tensors = load_file(self.weights)
        self.digest = _sha(self.weights)
        shutil.rmtree(bake)
        self.copy = Restored(original, folder / "importing")

    def __call__(self, case: str) -> Outcome:
        rng = random.Random(case)
        try:
            return self._imported(case, rng) if rng.random() < 0.6 else self._loaded(case, rng)
        finally:
            os.chdir(self.copy.root.parent)
            for copy in (self.export, self.copy, self.kept):
                copy.restore()

    def _imported(self, case: str, rng: random.Random) -> Outcome:
        os.chdir(self.copy.root)
        name = rng.choice((NAME, NAME, NAME, CONFIG, SLICES, "recipe.yml", "bake.json"))
        path = self.export.root / name
        if not path.is_file():
            path = self.export.root / NAME
        path.write_bytes(_spoilt(path, rng))
        digest = _sha(self.export.root / NAME)
        if poisoned := digest != self.digest and rng.random() < 0.6:
            recipe = Path("recipe.yml")
            recipe.write_text(recipe.read_text("utf-8").replace(self.digest, digest), "utf-8")
            git(Path.cwd(), "commit", "-qam", "poisoned")
        done = bgit("import", str(self.export.root))
        first = judged(case, done, lambda: self._wrong(digest, poisoned))
        if first.verdict != "accepted":
            return first
        return worst(case, [first, self._opened(case)])

    def _wrong(self, digest: str, poisoned: bool) -> str:
        """Say what is not right with weights that were taken."""
        if not self.weights.is_file():
            return "it says that it took them, and there are none"
        taken = _sha(self.weights)
        if taken != (digest if poisoned else self.digest):
            return "the weights that were taken are not the recorded ones"
        try:
            return self._poison(load_file(self.weights))
        except (SafetensorError, OSError) as error:
            return f"what was taken is no safetensors file: {error}"

    def _poison(self, found: dict[str, torch.Tensor]) -> str:
        for name in sorted(self.tensors.keys() | found.keys()):
            if name not in found:
                return f"{name} is missing in what was taken"
            if name not in self.tensors:
                return f"{name} is too many in what was taken"
            if found[name].shape != self.tensors[name].shape:
                return f"{name} has the shape {tuple(found[name].shape)} in what was taken"
            if not torch.isfinite(found[name].float()).all():
                return f"{name} is not finite in what was taken"
            if not found[name].dtype.is_floating_point:
                return f"{name} is {found[name].dtype} in what was taken"
        return ""

    def _loaded(self, case: str, rng: random.Random) -> Outcome:
        """Spoil what lies in the store, and load the model."""
        os.chdir(self.kept.root)
        path = self.weights.with_name(rng.choice((NAME, CONFIG, CONFIG, SLICES)))
        path.write_bytes(_spoilt(path, rng))
        outcome = self._opened(case)
        return Outcome(case, outcome.verdict, f"{path.name} in the store: {outcome.said}")

    def _opened(self, case: str) -> Outcome:
        """Load the current model as `bgit chat` does, and compare what it computes with."""
        found: list[dict[str, torch.Tensor]] = []

        def work() -> None:
            repo = ModelRepo.find()
            found.append(_factors(opened(find(repo, "parent"), reporter=Quiet())))

        return judged(case, called(work), lambda: self._other(found[0]))

    def _other(self, found: dict[str, torch.Tensor]) -> str:
        if not self.weights.is_file() or _sha(self.weights) != self.digest:
            return ""  # another adapter by its recipe: what it computes is its own matter
        for name, factor in found.items():
            if not torch.allclose(factor, _product(self.tensors, name), atol=1e-5):
                return f"{name} is computed with other numbers than the recorded weights hold"
        return "" if found else "no adapter is in the model that was loaded"


def _factors(model: Opened) -> dict[str, torch.Tensor]:
    """Return what the adapters of a loaded model add, layer by layer."""
    found: dict[str, torch.Tensor] = {}
    for name, layer in model.local.model.named_modules():
        if isinstance(layer, LoraLayer):
            parts = [layer.get_delta_weight(adapter) for adapter in layer.active_adapters]
            found[name.removeprefix("base_model.model.")] = torch.stack(parts).sum(0).detach()
    return found


def _product(tensors: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    at = f"base_model.model.{name}"
    return tensors[f"{at}.lora_B.weight"] @ tensors[f"{at}.lora_A.weight"]


def _spoilt(path: Path, rng: random.Random) -> bytes:
    whole = path.read_bytes()
    if path.suffix == ".safetensors":
        return tensors_spoilt(whole, rng) if rng.random() < 0.8 else changes.raw(whole, rng)
    if path.suffix == ".json" and rng.random() < 0.9:
        return changes.json_text(json.loads(whole), rng).encode("utf-8", "surrogatepass")
    return changes.raw(whole, rng)


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def surface(folder: Path, material: Material) -> Callable[[str], Outcome]:
    """Return the trial of this kind."""
    return Adapter(folder, material)
