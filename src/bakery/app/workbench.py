"""Where a run takes files and names from, and where its results lie: a repository, or a folder.

The stages are made alike in both (`app.making`); a folder knows no branch, no recipe and no commit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bakery.app import stored
from bakery.errors import ModelError
from bakery.records import ModelRef
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.look import show
from bakery.repo.model_repo import ModelRepo, Place
from bakery.store.results import PROBES
from bakery.store.store import Store


class Workbench(Protocol):
    """What a run asks of its surroundings."""

    @property
    def store(self) -> Store:
        """Where results lie."""

    @property
    def root(self) -> Path:
        """The folder that paths in settings are seen from."""

    @property
    def to_train_again(self) -> str:
        """What is said of a bake that is there already: how it would be trained again."""

    def reader(self, of: Place) -> Callable[[str], bytes]:
        """Return what gives the bytes of a data file, by its path."""

    def names_bake(self, name: str) -> bool:
        """Tell whether a word is the name of a bake."""

    def find_model(self, name: str) -> RecordedBake | None:
        """Return the bake that a name means; None: the base."""

    def weights(self, model: ModelRef) -> Path:
        """Return the folder of a model's weights, checked against what was recorded of it."""

    def chain(self, model: ModelRef) -> list[tuple[str, Path]]:
        """Return the bakes that a model is made of, oldest first, with their folders."""

    def is_recorded(self, bake_id: str) -> bool:
        """Tell whether a recipe names a bake, so that its weights are never replaced."""

    def input_text(self) -> str | None:
        """Return the input.yml that is baked; None: there is none."""


@dataclass(frozen=True, slots=True)
class InRepository:
    """A model repository. `launched` is the blob of the input.yml that is baked, "" without one."""

    repo: ModelRepo
    launched: str = ""

    @property
    def store(self) -> Store:
        """Beside git's own data."""
        return self.repo.store

    @property
    def root(self) -> Path:
        """The top of the working tree."""
        return self.repo.root

    @property
    def to_train_again(self) -> str:
        """An option of the command."""
        return "; `--force` trains it again"

    def reader(self, of: Place) -> Callable[[str], bytes]:
        """Read the working tree, the index or the commit."""
        return self.repo.reader(of)

    def names_bake(self, name: str) -> bool:
        """Look through the bakes of all branches."""
        return self.repo.names_bake(name)

    def find_model(self, name: str) -> RecordedBake | None:
        """Look through the bakes of all branches."""
        return self.repo.find_model(name)

    def weights(self, model: ModelRef) -> Path:
        """Refuse weights that are missing, or not those that the recipe names."""
        return stored.weights(self.repo, model)

    def chain(self, model: ModelRef) -> list[tuple[str, Path]]:
        """Look it up in the lineage."""
        lineage = self.repo.lineage()
        chain, _ = show.ancestry(lineage, lineage.bakes[model.bake_id])
        return [(bake.base_name, self.store.bake(bake.id)) for bake in chain]

    def is_recorded(self, bake_id: str) -> bool:
        """Look through the recipes of all branches."""
        return bake_id in self.repo.lineage().bakes

    def input_text(self) -> str | None:
        """Return the blob's text: the file may hold the next configuration by now."""
        blob = self.repo.git.blob(self.launched)
        return None if blob is None else blob.text


@dataclass(frozen=True, slots=True)
class Alone:
    """A folder of results without a repository. `parent`: the weights that are baked on."""

    store: Store
    root: Path
    parent: Path | None = None

    @property
    def to_train_again(self) -> str:
        """Nothing: the same call has the same result."""
        return ""

    def reader(self, of: Place) -> Callable[[str], bytes]:
        """Read files as they lie there."""
        return lambda path: (self.root / path).read_bytes()

    def names_bake(self, name: str) -> bool:
        """Know no bake by name."""
        return False

    def find_model(self, name: str) -> RecordedBake | None:
        """Know no bake by name."""
        raise ModelError(f"no bake is called {name} here", hint="Give `parent` a Bake or a folder.")

    def weights(self, model: ModelRef) -> Path:
        """Return the parent's folder; a plan without a repository knows no other."""
        assert self.parent is not None  # or there was no model to ask for
        return self.parent

    def chain(self, model: ModelRef) -> list[tuple[str, Path]]:
        """Return the parent alone: whose ranks it has besides its own is not told here."""
        folder = self.weights(model)
        has_questions = (folder / PROBES).is_file()
        return [(model.bake, folder if has_questions else folder.parent)]

    def is_recorded(self, bake_id: str) -> bool:
        """Know no recipe."""
        return False

    def input_text(self) -> str | None:
        """Know no input.yml."""
        return None
