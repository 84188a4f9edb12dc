"""What a server of a repository answers by: names to adapters and prompts, as they are now.

A name is looked up when it is asked for, so a new bake is there at once and a reverted one is
gone. Nothing a name says is looked for among folders and files.
"""

from __future__ import annotations

import math
import re
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery.app import meaning, weights
from bakery.defaults import defaults_for
from bakery.errors import BakeryError, ConfigError, ModelError, RepoError
from bakery.plain import plain
from bakery.records import Prompt
from bakery.repo.files.names import BREAD, RECIPE
from bakery.repo.look import models
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.schema.model_names import BASE
from bakery.store.lease import Lease

if TYPE_CHECKING:
    from bakery.engine.models.models import BaseModel

MOST_NAMES = 1024
"""Names that are remembered until something changes in the repository."""

LONGEST_NAME = 300

HANDED = "handed"
"""A folder of the store: what engines of others are handed, and what they say."""

_NO_NAME = re.compile(r"[\x00-\x20\x7f\ud800-\udfff\\*?\[{]|\.\.|^[-./~:]|:/")
"""What is in no name of a model: git and the file system would look for other things by it.

Half a character is what Python makes of a branch's name that is not UTF-8: no request can say it.
"""


@dataclass(frozen=True, slots=True)
class Served:
    """A model by the name that it answers to. `folder` None: the base itself.

    `strength` is that of the last bake of the chain, `prompt` what stands before what is asked.
    """

    name: str
    folder: Path | None = None
    strength: float = 1.0
    prompt: Prompt = field(default_factory=Prompt)


@dataclass(frozen=True, slots=True)
class Listed:
    """A name that a request may ask for, and the model that it means now."""

    name: str
    model: str
    parent: str | None
    """What it was baked on; None: it is the base."""
    owner: str
    created: str
    """When its bake was finished; empty for the base."""


@dataclass(frozen=True, slots=True)
class Serving:
    """Where a server is, and what it serves."""

    url: str
    repository: str
    base: str
    bakes: int
    has_token: bool
    rows: int | None
    """How many answers are decoded at once; None: as many as the engine has chosen."""
    engine: str | None = None
    """Which engine of others decodes; None: this process."""
    elsewhere: str | None = None
    """Where other machines ask, by this machine's name; None: they cannot, or at `url`."""

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit serve --json` prints."""
        fields = (
            "url", "repository", "base", "bakes", "has_token", "rows", "engine", "elsewhere",
        )  # fmt: skip
        return {"schema": 1, **{name: plain(getattr(self, name)) for name in fields}}


def check_name(name: str, *, hint: str) -> None:
    """Refuse what cannot be the name of a model, before git or anything else looks for it."""
    if not name or len(name) > LONGEST_NAME or _NO_NAME.search(name):
        raise RepoError(f"{name[:LONGEST_NAME]!r} is no name of a model", hint=hint)


class Catalogue:
    """The models of a repository, by every name that a person may type."""

    def __init__(self, repo: ModelRepo) -> None:
        self.repo = repo
        now = repo.state()
        self.base, self.label = now.base, f"{now.owner}/{now.name}"
        # Where a base lies on this machine is no name for it.
        self.base_name = BASE if _NO_NAME.search(now.base.name) else now.base.name
        self._lease = Lease(repo.store, "bgit serve")
        self._lock = threading.Lock()
        self._stamp: object = None
        self._found: OrderedDict[str, Served] = OrderedDict()
        self._listed: tuple[Listed, ...] | None = None

    def load(self, reporter: Reporter) -> BaseModel:
        """Load the base that all of its models are bakes on."""
        from bakery.engine.models import models as engine

        reporter.note(f"loading {self.base.name}")
        dtype = defaults_for(self.base).dtype
        return engine.load(self.base, dtype=dtype, reporter=reporter)

    def files(self) -> Path:
        """Return the folder or .gguf file of the base; refuse one that has changed."""
        from bakery.engine.bases import bases

        return bases.check(self.base)

    def folders(self) -> list[Path]:
        """Return where the weights of every model lie that are here."""
        store = self.repo.store
        return [store.bake(m.model.bake_id) / str(m.model.step) for m in self._fitting()]

    def _fitting(self) -> Iterator[models.Model]:
        """Yield the models whose weights are here and fit the base."""
        for one in models.models(self.repo, everywhere=True).models:
            if one.has_weights and self.repo.base_of(one.bake).digest == self.base.digest:
                yield one

    def find(self, name: str) -> Served:
        """Return the model of a name; a BakeryError says why there is none.

        It is held from here on: `bgit gc` leaves it where it is.
        """
        check_name(name, hint="GET /v1/models lists those of this repository; folders and files "
                              "have none.")  # fmt: skip
        with self._lock:
            self._refresh()
            if name not in self._found:
                try:
                    self._found[name] = self._look_up(name)
                except BakeryError as error:
                    raise self.without_paths(error) from None
                if len(self._found) > MOST_NAMES:
                    self._found.popitem(last=False)
            self._found.move_to_end(name)
            return self._found[name]

    def listed(self) -> tuple[Listed, ...]:
        """Return the names of all models whose weights are here: full names, then short ones.

        Short are `base`, `parent`, branches and tags, and a bake's own name where one has it.
        """
        with self._lock:
            self._refresh()
            if self._listed is None:
                try:
                    self._listed = tuple(self._all())
                except BakeryError as error:
                    raise self.without_paths(error) from None
            return self._listed

    def close(self) -> None:
        """Let go of the bakes that were asked for."""
        self._lease.close()

    def _refresh(self) -> None:
        """Forget what was found before something changed: one call of git, and two files' times."""
        try:
            refs = self.repo.git.ask("show-ref", "--head")
        except BakeryError as error:
            raise self.without_paths(error) from None
        stamp = refs, [_stamp(self.repo.root / name) for name in (BREAD, RECIPE)]
        if stamp != self._stamp:
            self._found.clear()
            self._listed, self._stamp = None, stamp

    def _look_up(self, name: str) -> Served:
        meant = meaning.find(self.repo, name, outside=False)
        if meant.base.digest != self.base.digest:
            raise ModelError(
                f"{meant.name} is on another base model than this server has loaded",
                hint="`bgit adopt` makes that model's base the branch's; a server that is started "
                "then loads it.",
            )
        if not math.isfinite(meant.strength):
            raise ConfigError(f"{name!r} names a strength that is no number")
        if meant.folder is None or meant.bake is None:
            return Served(self.base_name)
        self._lease.add(meant.bake.id)
        if not meant.folder.is_dir():  # `bgit gc` took it before it was held
            raise ModelError(f"the weights of {meant.name} are not in this clone's store any more")
        taught = meaning.taught(meant) if meant.is_prompted else None
        prompt = taught.teacher if taught else Prompt()
        return Served(meant.name, meant.folder, meant.strength, prompt)

    def without_paths(self, error: BakeryError) -> BakeryError:
        """Return an error for whoever asks over HTTP: where things lie here is not theirs to know.

        Nor can they type a command here.
        """
        told = error.message.replace(self.base.name, self.base_name)
        with suppress(BakeryError):
            told = told.replace(weights.remote(self.repo).enabled or "\0", "…")
        for place in (self.repo.store.root, self.repo.root):
            told = told.replace(str(place), "…")
        lines = [line for line in (error.hint or "").splitlines() if "`bgit" not in line]
        return type(error)(told, hint="\n".join(lines) or None)

    def _all(self) -> Iterator[Listed]:
        state, base = self.repo.state(), self.base_name
        full = {base: Listed(base, base, None, state.owner, "")}
        for one in self._fitting():
            bake, name = one.bake, str(one.model)
            finished = str(bake.part("finished") or "")
            parent = str(bake.parent or base)
            full[name] = Listed(name, name, parent, one.model.owner, finished)
        yield from full.values()
        lineage = self.repo.lineage()
        often = Counter(bake.base_name for bake in lineage.bakes.values())
        called = [(b.base_name, b.model) for b in lineage.bakes.values() if often[b.base_name] == 1]
        short = {BASE: base, "parent": str(state.parent or base)}
        for name, model in [*((place.name, place.model) for place in lineage.branches), *called]:
            meant = str(model or base)
            if short.setdefault(name, meant) != meant:
                short[name] = ""  # it may mean either, and is refused
        for name, meant in short.items():
            if meant in full and name not in full and not _NO_NAME.search(name):
                yield replace(full[meant], name=name)


def _stamp(path: Path) -> tuple[int, ...]:
    """Return what tells a file from what it becomes; of one that is gone nothing."""
    try:
        seen = path.stat()
    except OSError:
        return ()
    return seen.st_mtime_ns, seen.st_size, seen.st_ino
