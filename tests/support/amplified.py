"""Bakes of a repository made so strong that their answers disagree, and recorded as such."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file

from bakery.engine.models import adapter_folder
from bakery.repo.model_repo import ModelRepo
from tests.support.recorded import git


def amplify(root: Path, times: float) -> None:
    """Multiply what every bake of a repository adds; its recipe names the new weights."""
    repo = ModelRepo.find(root)
    digests = {}
    for bake in repo.bakes():
        folder = repo.store.bake(bake.id) / str(bake.model.step)
        before, path = adapter_folder.digest(folder), folder / adapter_folder.WEIGHTS
        tensors = load_file(path)
        # A child holds its parent's ranks as they are: all are changed alike.
        strong = {k: v * times if ".lora_B." in k else v for k, v in tensors.items()}
        save_file(strong, str(path), metadata={"format": "pt"})
        digests[before] = adapter_folder.digest(folder)
    for name in (".bread", "recipe.yml"):
        text = (root / name).read_text(encoding="utf-8")
        for old, new in digests.items():
            text = text.replace(old, new)
        (root / name).write_text(text, encoding="utf-8")
    git(root, "commit", "-qam", "Make the bakes strong")
