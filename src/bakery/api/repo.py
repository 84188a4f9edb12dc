"""A model repository from Python: every verb that `bgit` has, as a method.

Each returns the object that the command draws; its `as_data()` is what `--json` prints.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from bakery.api import asked
from bakery.api.joining import Joining
from bakery.api.keeping import Keeping
from bakery.api.measuring import Measuring
from bakery.api.model import Model
from bakery.api.moving import Moving
from bakery.api.serving import Serving
from bakery.api.sharing import Sharing
from bakery.api.telling import Telling
from bakery.api.told import fetch_missing
from bakery.api.tracing import Tracing
from bakery.app import (
    background,
    chat,
    check,
    download,
    gates,
    import_,
    jobs,
    meaning,
    revert,
    run,
)
from bakery.app import init as making
from bakery.card import Card
from bakery.errors import RepoError
from bakery.paths import expanded
from bakery.records import BACKENDS
from bakery.repo.look import metrics, models, questions, show, status, target
from bakery.repo.model_repo import ModelRepo, Place
from bakery.torchrun.asked import Processes

if TYPE_CHECKING:
    from bakery.app.check import Checked
    from bakery.app.jobs import Cancelled, Jobs, Launched
    from bakery.app.model_card import Exported
    from bakery.app.reproduced import Reproduced
    from bakery.app.revert import Reverted
    from bakery.app.run import RunReport
    from bakery.repo.files.state import State
    from bakery.repo.history.lineage import Lineage
    from bakery.repo.plan.planned import Plan
    from bakery.store.job import Fetched


class Repo(Joining, Keeping, Measuring, Moving, Serving, Sharing, Telling, Tracing):
    """A model repository: a folder that `bgit init` made, or one within it.

        repo = bakery.Repo.init("yoda", base_model="tiny")
        (repo.path / "input.yml").write_text(text)
        repo.add("input.yml")
        repo.commit("Speak like Yoda")
        report = repo.run()
        print(report.model, repo.card().gap_closed)

    Raises RepoError where there is none. `progress=False` shows nothing on the terminal;
    `backend="fake"` makes questions and answers up, to try a pipeline without a model.
    """

    def __init__(
        self, path: str | Path = ".", *, progress: bool = True, backend: str | None = None
    ) -> None:
        if backend is not None and backend not in tuple(BACKENDS):
            raise RepoError(f"no backend is called {backend}",
                            hint=f"There are: {', '.join(BACKENDS)}.")  # fmt: skip
        place = asked.path(path, "the repository")
        if not place.is_dir():
            raise RepoError(f"there is no folder {place}", hint="`Repo.init` makes a repository.")
        self._repo = ModelRepo.find(place, backend=backend)
        self._progress = progress
        fetch_missing(progress)

    @classmethod
    def init(
        cls,
        folder: str | Path,
        *,
        base_model: str = "tiny",
        revision: str = "",
        owner: str | None = None,
        name: str | None = None,
        prompt: str | Path | None = None,
        questions: str | Path | None = None,
        template: str | None = None,
        progress: bool = True,
    ) -> Repo:
        """Make a repository in a folder: a new one, or one that is there, which stays as it is.

        `prompt` is a .md or .txt file to bake, `questions` a file of what to ask (without one the
        base model writes 100), `template` one of the gallery: "persona", "json-format", ….
        """
        place = asked.path(folder, "the folder")
        making.init(
            place, base_model=base_model, revision=revision, owner=owner, name=name,
            prompt=None if prompt is None else asked.path(prompt, "prompt"),
            questions=None if questions is None else asked.path(questions, "questions"),
            template=template,
        )  # fmt: skip
        return cls(place, progress=progress)

    @property
    def path(self) -> Path:
        """The top of its working tree: where input.yml lies."""
        return self._repo.root

    @property
    def state(self) -> State:
        """What .bread says: who owns it, its base, and the current model."""
        return self._repo.state()

    def __repr__(self) -> str:
        now = self.state
        return f"bakery.Repo({str(self.path)!r}: {now.parent or now.base.name})"

    def git(self, *words: str) -> str:
        """Run a verb of git's own in the repository, and return what it prints."""
        return self._repo.git.run(*words)

    def add(self, *paths: str) -> None:
        """Add files, as `git add` does."""
        self.git("add", "--", *paths)

    def commit(self, message: str) -> None:
        """Commit what is added, with the hooks of the repository, as `git commit` does."""
        self.git("commit", "--quiet", "-m", message)

    def plan(self, of: Place = "index") -> Plan:
        """Return what input.yml asks for, as it is added (or as it lies there: "worktree")."""
        if of not in ("index", "worktree"):
            raise RepoError(f'of is "index" or "worktree", not {of!r}')
        return self._repo.plan(of)

    def check(self, file: str | Path | None = None, *, sample: bool = False) -> Checked:
        """Validate input.yml, or another file in its place, and say what a run would take.

        `sample` loads the parent for three answers without the prompt and with it.
        """
        path = None if file is None else Path(file)
        if not sample:
            return check.check(self._repo, path)
        with self._told() as reporter:
            return check.check(self._repo, path, sample=reporter)

    @overload
    def run(self, *stages: str, detach: Literal[False] = ..., force: bool = ...,
            allow: Collection[str] = ..., nproc: int | None = ..., shard: bool = ...,
            on: str | None = ...) -> RunReport: ...  # fmt: skip

    @overload
    def run(self, *stages: str, detach: Literal[True], force: bool = ...,
            allow: Collection[str] = ..., nproc: int | None = ..., shard: bool = ...,
            on: str | None = ...) -> Launched: ...  # fmt: skip

    def run(
        self,
        *stages: str,
        detach: bool = False,
        force: bool = False,
        allow: Collection[str] = (),
        nproc: int | None = None,
        shard: bool = False,
        on: str | None = None,
    ) -> RunReport | Launched:
        """Run stages (`stim`, `rollout`, `bake`; none: all three), and record a bake that is made.

        What is there is kept. `detach`: in the background; `fetch` records it. `force` makes a bake
        again. `allow` waives stops: `questions`, `teacher`, `limits`, `gate`. The bake is trained
        in `nproc` processes (None: one on each GPU), which with `shard` share the base's weights.
        `on` shares questions and answers out: "local-cluster[:N]" or "ray://HOST:PORT".
        """
        processes = Processes(here=nproc, number=0, sharded=shard)
        chosen = asked.stages(stages)
        gates.check_names(allow)
        with self._told() as reporter:
            if detach:
                return jobs.launch(
                    self._repo, chosen, force=force, allow=tuple(allow), processes=processes,
                    on=on, reporter=reporter,
                )  # fmt: skip
            report = run.run(
                self._repo, chosen, force=force, allow=allow, processes=processes, on=on,
                reporter=reporter,
            )  # fmt: skip
        if report.refused is not None:
            raise report.refused
        return report

    def status(self) -> status.Status:
        """Return where the repository stands, and what is next."""
        return status.status(self._repo)

    def jobs(self, *, everything: bool = False, limit: int | None = None) -> Jobs:
        """Return runs in the background: those that matter, or `everything`."""
        with self._told() as reporter:
            return jobs.jobs(self._repo, everything=everything, limit=limit, reporter=reporter)

    def cancel(self, *names: str, everything: bool = False) -> Cancelled:
        """Stop runs in the background."""
        with self._told() as reporter:
            return jobs.cancel(self._repo, names, everything=everything, reporter=reporter)

    def fetch(self, *, wait: bool = False) -> Fetched:
        """Record what background runs of this branch have made; `wait` until all are over."""
        with self._told() as reporter:
            return background.fetch(self._repo, reporter, wait=wait)

    def stim(
        self, name: str | None = None, *, limit: int | None = None, offset: int = 0
    ) -> questions.Questions:
        """Return the questions of a target."""
        return questions.stim(self._repo, name, limit=limit, offset=offset)

    def rollout(
        self, name: str | None = None, *, limit: int | None = None, offset: int = 0
    ) -> questions.Answers:
        """Return the teacher's answers of a target."""
        return questions.rollout(self._repo, name, limit=limit, offset=offset)

    def metrics(self, *bakes: str) -> metrics.Metrics:
        """Return how the training of some bakes went; of the current one, where none is named."""
        return metrics.metrics(self._repo, bakes)

    def targets(self, *, everywhere: bool = False, limit: int | None = None) -> target.Listing:
        """Return the targets of this branch, or of all."""
        return target.listed(self._repo, everywhere=everywhere, limit=limit)

    def target(self, name: str) -> target.KnownTarget | target.FormerTarget:
        """Return one target in full."""
        return target.target(self._repo, name)

    def models(self, *, everywhere: bool = False, limit: int | None = None) -> models.Models:
        """Return the base and what was baked on it, oldest first."""
        return models.models(self._repo, everywhere=everywhere, limit=limit)

    def tree(self, *, branch: str | None = None) -> Lineage:
        """Return which model was baked on which, over all branches."""
        return self._repo.lineage(branch=branch)

    def show(self, name: str = "parent") -> show.Described:
        """Return how a model was made."""
        return show.describe(self._repo, self._repo.find_bake(name))

    def card(self, name: str = "parent") -> Card:
        """Return the card of a bake: how close it is to its prompted parent."""
        return Card.from_data(show.whole(self._repo, self._repo.find_bake(name)).data["card"])

    def chat(self, name: str = "parent", *, strength: float | None = None) -> Model:
        """Load a model by any name that `bgit chat` takes, to talk to it."""
        meant = meaning.find(self._repo, name)
        with self._told() as reporter:
            opened = chat.opened(meant, strength=strength, reporter=reporter)
        return Model(opened, taught=meaning.taught(meant), is_prompted=meant.is_prompted)

    def download(
        self, name: str = "parent", out: str | Path | None = None, *, merged: bool = False,
        dtype: str = "auto", gguf: bool = False, rank: int | None = None, force: bool = False,
    ) -> Exported:  # fmt: skip
        """Write a model's weights to a folder or a .tar.gz: its adapter, or the `merged` whole.

        `gguf`: as a file for llama.cpp, Ollama and LM Studio, verified by reading it back. `rank`:
        the nearest adapter of at most that rank; `.weights.compressed` says what that costs.
        """
        place = None if out is None else expanded(out)
        wanted = download.Wanted(place, "gguf" if gguf else None, merged, dtype, force, rank)
        with self._told() as reporter:
            return download.download(self._repo, name, wanted, reporter=reporter)

    def import_(
        self, source: str | Path, *names: str, everything: bool = False
    ) -> import_.Imported:
        """Bring weights, questions and answers in from another clone, a store or an export."""
        with self._told() as reporter:
            return import_.import_(
                self._repo, Path(source), names, everything=everything, reporter=reporter
            )

    def reproduce(self, name: str = "parent", *, force: bool = False) -> Reproduced:
        """Make a model again from its recipe, and compare every digest."""
        from bakery.app import reproduce

        bake = self._repo.find_bake(name)
        with self._told() as reporter:
            return reproduce.reproduce(self._repo, bake, force=force, reporter=reporter)

    def revert(self, *names: str) -> Reverted:
        """Take bakes back, in one commit."""
        if not names or self._repo.names_bakes(names) is None:
            raise RepoError(
                f"{' '.join(names) or 'nothing'} names no bake of this branch",
                hint='`models()` lists them; any other commit: git("revert", ...).',
            )
        with self._told() as reporter:
            return revert.revert(self._repo, names, reporter=reporter)
