"""A new model repository: what `bgit init` makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakery.app import run
from bakery.plain import plain
from bakery.repo import begin
from bakery.repo.model_repo import ModelRepo


@dataclass(frozen=True, slots=True)
class Made:
    """A repository that was made."""

    folder: Path
    repo: ModelRepo
    notes: tuple[str, ...]
    """What a person should know of its base, and of where it lies."""

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit init --json` prints."""
        return {"folder": str(self.repo.root), "repository": plain(self.repo.state())}


def init(
    folder: Path,
    *,
    base_model: str,
    revision: str = "",
    owner: str | None = None,
    name: str | None = None,
) -> Made:
    """Make a repository in a folder: a new one, or one that is there, which stays as it is."""
    called, outer = name or folder.resolve().name, begin.around(folder)
    begin.check(folder, name=called, owner=owner)  # before a base model is fetched
    base = run.base_model(base_model, revision)
    repo = ModelRepo.init(folder, name=called, owner=owner, base=base)
    notes = [note for note in (run.coming(base),) if note is not None]
    if outer is not None:
        notes.append(
            f"it lies inside the git repository {outer}, which does not see into it: "
            "name it in that repository's .gitignore"
        )
    return Made(folder, repo, tuple(notes))
