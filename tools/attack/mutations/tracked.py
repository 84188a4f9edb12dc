"""Spoilt .bread and recipe.yml: what is shown is what they say; weights stay the recorded ones."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tools.attack.mutations import changes
from tools.attack.mutations.judge import judged, worst
from tools.attack.trial import Typed, bgit
from tools.attack.verdicts import Outcome
from tools.attack.workplace import Material, Restored, git

LOOKS: tuple[tuple[str, ...], ...] = (
    ("status", "--json"), ("status",), ("check",), ("tree", "--json"), ("models", "--json"),
    ("show",), ("show", "first"), ("run", "--dry-run"), ("target",), ("diff", "first", "second"),
)  # fmt: skip


class Tracked:
    """A copy of the repository, with one of its files spoilt at a time."""

    def __init__(self, folder: Path, material: Material) -> None:
        self.copy = Restored(material.repository, folder / "tracked")
        self.root, self.out = self.copy.root, folder / "exported"
        self.export = material.export

    def __call__(self, case: str) -> Outcome:
        os.chdir(self.root)
        name = ".bread" if case.startswith("bread") else "recipe.yml"
        rng = random.Random(case)
        whole = (self.root / name).read_text(encoding="utf-8")
        way = rng.random()
        if way < 0.8:
            spoilt = changes.text(whole, rng).encode("utf-8", "surrogatepass")
        else:
            spoilt = changes.raw(whole.encode(), rng)
        (self.root / name).write_bytes(spoilt)
        if rng.random() < 0.3:
            git(self.root, "commit", "-qam", "spoilt", "--allow-empty")
        try:
            return worst(case, list(self._looked(case, name, spoilt, rng)))
        finally:
            os.chdir(self.root.parent)
            self.copy.restore()

    def _looked(self, case: str, name: str, spoilt: bytes, rng: random.Random) -> list[Outcome]:
        found = []
        for words in rng.sample(LOOKS, 3):
            done = bgit(*words)
            says_bread = name == ".bread" and words == LOOKS[0]
            found.append(judged(case, done, partial(_wrong, done, spoilt) if says_bread else None))
        if rng.random() < 0.4:
            shutil.rmtree(self.out, ignore_errors=True)
            name = rng.choice(("first", "second", "parent"))
            done = bgit("download", name, "--out", str(self.out))
            found.append(judged(case, done, self._exported_wrong))
        return found

    def _exported_wrong(self) -> str:
        """Say whether weights came out that no bake of the repository made."""
        weights = self.out / "adapter_model.safetensors"
        known = {
            _sha(path)
            for path in self.copy.original.glob(".git/bakery/bake/*/*/adapter_model.safetensors")
        }
        if not weights.is_file():
            return "nothing was written"
        return "" if _sha(weights) in known else "weights that no bake made were handed out"


def _wrong(done: Typed, spoilt: bytes) -> str:
    """Say where `status` has another model or base than .bread plainly says."""
    shown = json.dumps(json.loads(done.out), ensure_ascii=False)
    said = dict(re.findall(r"(?m)^(\w+)[ \t]*=[ \t]*(.*?)[ \t]*$", spoilt.decode()))
    for key in ("PARENT_MODEL", "base_model"):
        value = said.get(key, "")
        if value and json.dumps(value, ensure_ascii=False)[1:-1] not in shown:
            return f".bread says {key} = {value}, and status --json nowhere"
    return ""


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def surface(folder: Path, material: Material) -> Callable[[str], Outcome]:
    """Return the trial of this kind."""
    return Tracked(folder, material)
