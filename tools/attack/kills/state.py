"""What a repository or an output folder comes to: what may neither be lost nor be there twice."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tools.attack.verdicts import Verdict
from tools.attack.workplace import git

NOT_COMPARED = ("README.md", "results.json", "trainer_state.json", "bake.json", "recipe.yml")
"""Files of an output that hold times."""

BEGUN = ("config.yaml", "metrics.jsonl", "numerics.json")
"""What a run of `bakery` writes before its first checkpoint."""


@dataclass(frozen=True, slots=True)
class State:
    """Everything by name: what should be there once, and is compared with a run that was let be."""

    parent: str = ""
    bakes: tuple[str, ...] = ()
    """Ids in recipe.yml, in order, each with the digest that is recorded."""
    commits: tuple[str, ...] = ()
    changes: str = ""
    questions: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    def difference(self, whole: State) -> tuple[Verdict, str] | None:
        """Return what is lost, doubled or other than in `whole`; None: nothing."""
        for field in fields(self):
            mine, right = getattr(self, field.name), getattr(whole, field.name)
            if mine == right:
                continue
            if isinstance(mine, str):
                return "silently wrong", f"{field.name} is {mine!r}, not {right!r}"
            if missing := [entry for entry in right if entry not in mine]:
                if len(mine) == len(right):
                    return "silently wrong", f"{field.name} has other than {missing[0]}"
                return "lost", f"{field.name} lacks {missing[0]} ({len(mine)}, not {len(right)})"
            return "doubled", f"{field.name}: {len(mine)} instead of {len(right)}: {mine}"
        return None


def of_repository(root: Path, outputs: tuple[Path, ...] = ()) -> State:
    """Return the state of a model repository with its store, and of what was written beside it."""
    if not (root / ".bread").is_file():
        return State(outputs=_outputs(outputs))
    store = root / ".git/bakery"
    recipe = (root / "recipe.yml").read_text(encoding="utf-8")
    ids = re.findall(r">>> bake (\w+)", recipe)
    digests = re.findall(r"(?m)^      digest: (\w+)", recipe)
    bread = (root / ".bread").read_text(encoding="utf-8")
    subjects = git(root, "log", "--format=%s").splitlines()
    return State(
        bread.rpartition("PARENT_MODEL =")[2].strip(),
        (*ids, *digests),
        tuple(subject.partition(" (KL")[0] for subject in subjects),
        # What a killed git leaves of its own, `bgit status` names.
        re.sub(r"(?m)^\?\? \.merge_file_\w+\n", "", git(root, "status", "--porcelain")),
        tuple(_rows(store, "stim/*/stimuli.jsonl", "id")),
        tuple(_rows(store, "target/*/trajectories.jsonl", "stimulus_id", "sample", "text")),
        tuple(
            f"{path.relative_to(store)} {_sha(path)}"
            for path in sorted(store.glob("bake/*/*/adapter_model.safetensors"))
        ),
        _outputs(outputs),
    )


def _outputs(places: tuple[Path, ...]) -> tuple[str, ...]:
    """Return every file that was written, with its digest; of an archive only that it is there."""
    found: list[str] = []
    for place in places:
        files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())
        # A run that begins anew keeps what the one before had begun: a result is never among it.
        files = [p for p in files if not (p.parent.name[:8] == "earlier-" and p.name in BEGUN)]
        for path in files:
            fixed = path.name not in NOT_COMPARED and path.suffix in (".safetensors", ".json")
            name = path.name if path == place else str(path.relative_to(place))
            found.append(f"{name} {_sha(path) if fixed else ''}")
    return tuple(found)


def _rows(store: Path, pattern: str, *keys: str) -> list[str]:
    found: list[str] = []
    for path in sorted(store.glob(pattern)):
        for line in path.read_text(encoding="utf-8").splitlines():
            row: dict[str, Any] = json.loads(line)
            found.append(f"{path.parent.name} " + " ".join(str(row[key]) for key in keys))
    return sorted(found)


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
