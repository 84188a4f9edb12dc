"""Spoilt files of the store: damage is named or passed over, and what is handed out stays right."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tools.attack.mutations import changes
from tools.attack.mutations.judge import judged, worst
from tools.attack.trial import Typed, bgit
from tools.attack.verdicts import Outcome
from tools.attack.workplace import Material, Restored

JOB = {
    "schema": 1, "id": "20300101-000000-abcd", "repository": "", "worktree": "", "branch": "main",
    "commit": "0" * 40, "input_blob": "0" * 40, "stages": ["bake"], "names": ["second"],
    "force": False, "at_once": False, "allow": [], "backend": None, "state": "failed",
    "process": None, "created": "2030-01-01T00:00:00+00:00", "began": "", "ended": "",
    "progress": None, "notes": [], "error": "x", "hint": "", "stimuli": 1, "trajectories": 2,
    "model": None, "recorded": None,
}  # fmt: skip

FILES = (
    "bake/*/bake.json", "bake/*/done.json", "bake/*/metrics.jsonl", "bake/*/steps.json",
    "bake/*/*/slices.json", "bake/*/*/adapter_config.json", "bake/*/*/adapter_model.safetensors",
    "bake/*/numerics.json", "stim/*/stimuli.jsonl", "stim/*/done.json", "stim/*/request.json",
    "target/*/trajectories.jsonl", "target/*/done.json", "target/*/request.json",
    "jobs/*.json", "pending/*",
)  # fmt: skip

LOOKS = {
    "bake": (("status", "--json"), ("metrics",), ("metrics", "--json"), ("models",), ("show",),
             ("run", "--dry-run"), ("jobs",), ("tree",), ("run",)),
    "stim": (("stim",), ("stim", "--json"), ("status",), ("check",), ("run", "stim")),
    "target": (("rollout",), ("rollout", "--json"), ("status",), ("check",), ("target",),
               ("run", "rollout")),
    "jobs": (("jobs",), ("jobs", "--json"), ("status",), ("fetch",), ("run", "--dry-run")),
    "pending": (("status",), ("tree",), ("fetch",)),
}  # fmt: skip


class Stored:
    """A copy of the repository whose configuration is that of its last bake, and what it shows."""

    def __init__(self, folder: Path, material: Material) -> None:
        from tools.attack.workplace import commit, copied, git, input_yml

        original = copied(material.repository, folder / "stored-original")
        commit(original, input_yml("Whisper, please.", "second"))
        git(original, "checkout", "-q", "HEAD")
        jobs = original / ".git/bakery/jobs"
        jobs.mkdir(exist_ok=True)
        job = JOB | {"repository": str(folder / "stored/.git"), "worktree": str(folder / "stored")}
        (jobs / f"{JOB['id']}.json").write_text(json.dumps(job), encoding="utf-8")
        self.copy = Restored(original, folder / "stored")
        self.root, self.out = self.copy.root, folder / "out"
        os.chdir(self.root)
        self.asked = {
            words: bgit(*words).out for words in (("stim", "--json"), ("rollout", "--json"))
        }
        bread = (self.root / ".bread").read_text(encoding="utf-8")
        self.model = bread.rpartition("PARENT_MODEL = ")[2].strip()
        self.weights = self._downloaded()[1]

    def __call__(self, case: str) -> Outcome:
        os.chdir(self.root)
        rng = random.Random(case)
        store = self.root / ".git/bakery"
        there = [pattern for pattern in FILES if list(store.glob(pattern))]
        pattern = rng.choice(there)
        path = rng.choice(sorted(store.glob(pattern)))
        whole = path.read_bytes()
        spoilt = _spoilt(path, whole, rng)
        path.write_bytes(spoilt)
        try:
            return worst(case, self._looked(case, path.relative_to(store), rng))
        finally:
            os.chdir(self.root.parent)
            self.copy.restore()

    def _looked(self, case: str, path: Path, rng: random.Random) -> list[Outcome]:
        found = []
        looks = LOOKS[path.parts[0]]
        # A run makes what is not there yet: it is looked at before.
        for words in sorted(rng.sample(looks, 2), key=lambda words: words not in self.asked):
            done = bgit(*words)
            if words == ("fetch",) and done.code == 1 and "failed" in done.out:
                done = replace(done, code=0)  # its way to say that a job has failed
            outcome = judged(case, done, lambda w=words, d=done: self._wrong(w, d))  # type: ignore[misc]
            found.append(_at(outcome, path, words))
        if path.parts[0] == "bake" and rng.random() < 0.7:
            done, weights = self._downloaded()
            wrong = "" if weights == self.weights else "other weights, or another configuration"
            found.append(_at(judged(case, done, lambda: wrong), path, ("download",)))
        return found

    def _wrong(self, words: tuple[str, ...], done: Typed) -> str:
        """Say where other questions or answers are shown, and nobody says that one is damaged."""
        if words not in self.asked or done.out == self.asked[words] or done.err.strip():
            return ""
        return "other rows are shown, and nothing is said"

    def _downloaded(self) -> tuple[Typed, dict[str, bytes]]:
        shutil.rmtree(self.out, ignore_errors=True)
        done = bgit("download", self.model, "--out", str(self.out))
        names = ("adapter_model.safetensors", "adapter_config.json", "slices.json")
        if done.code:
            return done, {}
        return done, {name: _content(self.out / name) for name in names}


def _content(path: Path) -> bytes:
    """Return what a file says, however its JSON is set out."""
    data = path.read_bytes()
    if path.suffix != ".json":
        return data
    try:
        return json.dumps(json.loads(data), sort_keys=True).encode()
    except ValueError:
        return data


def _spoilt(path: Path, whole: bytes, rng: random.Random) -> bytes:
    way = rng.random()
    if path.suffix == ".safetensors" or way < 0.15:
        return changes.raw(whole, rng)
    text = whole.decode()
    try:
        if path.suffix != ".jsonl":
            return changes.json_text(json.loads(text), rng).encode("utf-8", "surrogatepass")
        lines = text.splitlines()
        at = rng.randrange(len(lines))
        lines[at] = changes.json_text(json.loads(lines[at]), rng)
        return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")
    except ValueError:
        return changes.text(text, rng).encode("utf-8", "surrogatepass")


def _at(outcome: Outcome, path: Path, words: tuple[str, ...]) -> Outcome:
    return Outcome(outcome.case, outcome.verdict, f"{path}, bgit {' '.join(words)}: {outcome.said}")


def surface(folder: Path, material: Material) -> Callable[[str], Outcome]:
    """Return the trial of this kind."""
    return Stored(folder, material)
