"""The repository of a model: the only writer of its tracked files.

Ties git, store, state and recipe together; what each does is written in its own module.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bakery.errors import BakeryError, ConfigError, RepoError
from bakery.identity import BaseModelId
from bakery.records import ModelRef, Prompt
from bakery.repo import begin, reading
from bakery.repo.commits import adopt, checks, merging, publishing, rebase, record, revert
from bakery.repo.commits.adopt import Adopted
from bakery.repo.files import hosted, ranks, recipe, state
from bakery.repo.files.emptied import has_active_lines
from bakery.repo.files.hosted import Former
from bakery.repo.files.names import BREAD, INPUT, RECIPE
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.files.state import State
from bakery.repo.git import Git
from bakery.repo.history import find, lineage
from bakery.repo.history.lineage import Lineage
from bakery.repo.history.missing import file_missing, parent_not_found
from bakery.reporting import Reporter
from bakery.store.store import Store

# The schema and plan are imported where they are used: what needs neither starts sooner.
if TYPE_CHECKING:
    from bakery.repo.plan.planned import Plan, RecordedTarget
    from bakery.schema import InputSpec, Sections

Place = Literal["index", "worktree"]


class ModelRepo:
    """One working tree of a model repository, and the store beside it.

    `at` is a commit to read instead of index and folder: whatever is edited or switched since,
    what was started there goes on from there. `backend` is what writes and answers in place of
    every model in what is planned; None: models do.
    """

    def __init__(self, git: Git, *, at: str | None = None, backend: str | None = None) -> None:
        self.git = git
        self.at = at
        self.backend = backend
        self.root = git.root
        self.store = Store.beside(git.common_dir, git.root)
        self.brought: tuple[RecordedBake, ...] = ()
        """Bakes that no branch has yet: those that are about to be adopted."""
        self.launch_branch: str | None = None  # None: no bake was launched, or on no branch

    @classmethod
    def init(
        cls,
        folder: Path,
        *,
        name: str,
        owner: str | None,
        base: BaseModelId,
        draft: Mapping[str, bytes] = begin.EXAMPLE,
    ) -> ModelRepo:
        """Make a repository with something to bake; nothing is left behind where that fails."""
        return cls(begin.begin(folder, name=name, owner=owner, base=base, draft=draft))

    @classmethod
    def find(cls, start: Path | None = None, *, backend: str | None = None) -> ModelRepo:
        """Return the repository that a folder (else the current one) is in."""
        git = Git.find(start or Path.cwd())
        if not (git.root / BREAD).exists():
            if git.blob(f":{BREAD}") is not None:
                raise file_missing(git, BREAD)
            raise RepoError(
                f"{git.root} is not a bgit repository: it has no {BREAD}",
                hint="Make one with `bgit init <name>`.",
            )
        return cls(git, backend=backend)

    @classmethod
    def here(cls) -> ModelRepo | None:
        """Return the repository that the current folder is in; None: there is none."""
        with suppress(RepoError):
            return cls.find()
        return None

    def state(self) -> State:
        """Return what .bread in the folder says."""
        return state.parse(self._text(BREAD))

    def bakes(self) -> list[RecordedBake]:
        """Return the bakes of recipe.yml in the folder, in order."""
        return recipe.parse(self._text(RECIPE))

    def spec(self, of: Place = "index") -> InputSpec:
        """Return what input.yml says, with its templates, in the index or in the folder."""
        return self._spec(self._input(of), INPUT, of)

    def plan(self, of: Place = "index") -> Plan:
        """Return every name and request that input.yml means on this branch."""
        return self._resolved(self.spec(of))

    def plan_of(self, text: str, source: str) -> Plan:
        """Return what another text would mean, if it were the input.yml in the folder."""
        return self._resolved(self._spec(text, source, "worktree"))

    def _spec(self, text: str, source: str, of: Place) -> InputSpec:
        from bakery import schema
        from bakery.data import table

        if not has_active_lines(text):
            return schema.InputSpec()
        conflict = state.conflict_line(text)
        if conflict is not None:
            raise ConfigError(
                f"{INPUT}:{conflict}:1: a merge conflict is not resolved",
                hint=f"Keep what should be baked next, delete the marks, then `bgit add {INPUT}`.",
            )
        read = self.reader(of)
        return schema.load(text, source=source, read=read, earlier=self._earlier, rows=table.rows)

    def _resolved(self, spec: InputSpec) -> Plan:
        from bakery.repo.plan import students
        from bakery.repo.plan.planned import Head
        from bakery.repo.plan.resolve import resolve

        now = self.state()
        own = {target.name for target in spec.targets}
        named = {entry.target for entry in spec.bake.datasets} if spec.bake else set()
        again = spec.bake is not None and spec.bake.replay > 0
        # Earlier targets are read from whole recipe blocks: only where one is named or replayed.
        targets = self._targets() if named - own or again else {}
        models = self._answering(spec)
        if self.backend is None and (teachers := [model for model in models.values() if model]):
            publishing.refuse_as_teachers(self.lineage(), teachers)
        head = Head(
            now.owner, now.name, now.base, now.parent, targets, models, now.defaults, self.backend,
            students.find(spec, self.root, now.base), self._rank() if spec.bake else 0,
        )  # fmt: skip
        return resolve(spec, head)

    def _rank(self) -> int:
        """Return how many ranks the adapter of the current model has; the base has none."""
        known = {bake.id: bake for bake in self.bakes()}
        return ranks.total(lineage.chain_of(known, self.state().parent))

    def check_can_record(self, plan: Plan) -> None:
        """Refuse what would make the bake unrecordable, before anything expensive is done."""
        checks.can_record(self.git, plan)

    def check_base(self) -> None:
        """Refuse to build on another base model than the repository was made on."""
        now, bakes = self.state(), self.bakes()
        current = [bake for bake in bakes if now.parent and bake.id == now.parent.bake_id]
        if not current and recipe.base_of(self._text(RECIPE)) is None:
            current = bakes
        checks.base_is_the_first(self.git, now.base, current)

    def base_of(self, bake: RecordedBake) -> BaseModelId:
        """Return the base that a bake lies on: this branch's, or another that it was made on."""
        recorded, own = recipe.recorded_base(bake), self.state().base
        return own if recorded is None or recorded.digest == own.digest else recorded

    def check_parent(self) -> None:
        """Refuse to build on a model that no recipe knows, or that another tool baked."""
        now = self.state()
        if now.former_parent is not None:
            raise hosted.weights_elsewhere(now.former_parent)
        if now.is_former:
            raise hosted.not_begun(now.name)
        if now.parent is not None and now.parent.bake_id not in recipe.blocks(self._text(RECIPE)):
            raise parent_not_found(now.parent, self.lineage().chain(now.parent) is not None)

    def launch_blob(self) -> str:
        """Return the blob of the committed input.yml, and remember the branch it is baked on."""
        self.launch_branch = self.git.branch()
        return self.git.run("rev-parse", "--verify", f"HEAD:{INPUT}")

    def record(
        self, plan: Plan, result: Mapping[str, Any], *, launched: str, reporter: Reporter
    ) -> str:
        """Commit a finished bake to the branch it was launched on; return the commit."""
        branch = self.launch_branch or checks.can_commit(self.git)
        model = plan.model_ref(result["step"])
        return self.record_model(model, result, launched, branch, reporter)

    def record_model(
        self,
        model: ModelRef,
        result: Mapping[str, Any],
        launched: str,
        branch: str,
        reporter: Reporter,
    ) -> str:
        """Commit a finished bake to `branch`, whenever it was launched there."""
        return record.record(
            self.git,
            self.store,
            result,
            model=model,
            launched=launched,
            branch=branch,
            reporter=reporter,
        )

    def finish_pending(self, reporter: Reporter) -> None:
        """Complete what a killed command left between a result and its commit.

        And see to it that this clone merges by bgit's driver.
        """
        merging.install(self.git)
        record.finish(self.git, self.store, reporter)

    def is_recorded(self, bake_id: str, *, branch: str | None = None) -> bool:
        """Tell whether the committed recipe of a branch (else the current one) has a bake."""
        return self.recorded(bake_id, branch=branch) is not None

    def recorded(self, bake_id: str, *, branch: str | None = None) -> RecordedBake | None:
        """Return a bake of the committed recipe of a branch (else the current one)."""
        blob = self.git.blob(f"{f'refs/heads/{branch}' if branch else 'HEAD'}:{RECIPE}")
        bakes = recipe.parse(blob.text) if blob is not None else []
        return next((bake for bake in bakes if bake.id == bake_id), None)

    def lineage(self, *, branch: str | None = None) -> Lineage:
        """Return the tree of bakes over all branches and tags, or of one of them."""
        found = lineage.read(self.git, self.state().base.name, branch=branch)
        brought = {bake.id: bake for bake in self.brought}
        return replace(found, bakes={**brought, **found.bakes}) if brought else found

    def former(self) -> Former | None:
        """Return what another tool had recorded here; None: nothing."""
        now, text = self.state(), self._text(RECIPE)
        if now.is_former:
            return hosted.parse(self._text(BREAD), text)
        return recipe.former_of(recipe.outside(text))

    def adopt(
        self, bake: RecordedBake | None, *, base: BaseModelId | None = None, source: str = "",
        reporter: Reporter,
    ) -> Adopted:  # fmt: skip
        """Make a bake's model (None: the base model), which came from `source`, the current one."""
        known = self.lineage()
        return adopt.adopt(self.git, self.store, known, bake, base, source, reporter=reporter)

    def rebase(self, began: checks.Stand, anew: rebase.Anew, reporter: Reporter) -> str:
        """Have a chain on another base take the place of the branch's own, in one commit."""
        return rebase.rebase(self.git, self.store, began, anew, reporter)

    def find_model(self, text: str) -> RecordedBake | None:
        """Return the bake that a name means; None for the base model.

        What another branch recorded of the same bake counts less than this branch's own block.
        """
        own, known = {bake.id: bake for bake in self.bakes()}, self.lineage()
        if self.at:  # the branch may have taken back since what that commit starts from
            known = replace(known, bakes={**known.bakes, **own})
        found = find.find(self.git, self.state(), known, own.keys(), text)
        here = own.get(found.id) if found is not None else None
        return found if found is None or here is None else replace(here, models=found.models)

    def find_bake(self, text: str) -> RecordedBake:
        """Return the bake that a name means; RepoError where that is the base model."""
        if (found := self.find_model(text)) is None:
            raise RepoError(
                f"{self.state().base.name} is the base model: it was not baked here",
                hint="`bgit models --all` lists what was.",
            )
        return found

    def names_bakes(self, arguments: Sequence[str]) -> list[RecordedBake] | None:
        """Return the bakes that arguments name, newest first; None where one is something else."""
        return revert.named(self.git, arguments)

    def revert(self, arguments: Sequence[str], reporter: Reporter) -> str:
        """Take bakes back in one commit, and return it; every argument has to name a bake."""
        bakes = self.names_bakes(arguments)
        if bakes is None:
            raise RepoError(
                f"not every one of {' '.join(arguments)!r} names a bake",
                hint="`bgit tree` lists the bakes; `git revert` reverts commits.",
            )
        return revert.revert(self.git, self.store, bakes, reporter)

    def names_bake(self, name: str) -> bool:
        """Tell whether a word is what a bake is called, here or on another branch."""
        bakes = self.lineage().bakes.values()
        return name == "parent" or any(name in (bake.name, bake.base_name) for bake in bakes)

    def _answering(self, spec: InputSpec) -> dict[str, ModelRef | None]:
        """Return the bakes that targets name to answer or to ask; None is the base."""
        from bakery.schema.model_names import kind_of

        found: dict[str, ModelRef | None] = {}
        for number, target in enumerate(spec.targets):
            name = target.model_name
            kind = kind_of(name) if name else None
            if name and (kind == "bake" or (kind == "word" and self.names_bake(name))):
                try:
                    bake = self.find_model(name)
                    self._refuse_elsewhere(bake)
                except BakeryError as error:
                    at = spec.places.at("TARGET", number, "model_name")
                    told = f"{at}: TARGET.model_name: {error.message}"
                    hint = f"{error.hint or ''}\nWithout this line the current model answers."
                    raise ConfigError(told, hint=hint.strip()) from error
                found[name] = bake.model if bake else None
        writers = {getattr(g, "model", None) for t in spec.targets for g in t.generators}
        for name in filter(None, writers):
            # A name that nothing has yet is refused, or asked of an endpoint, when it is needed.
            with suppress(BakeryError):
                if kind_of(name) == "bake" or (kind_of(name) == "word" and self.names_bake(name)):
                    bake = self.find_model(name)
                    self._refuse_elsewhere(bake)
                    found[name] = bake.model if bake else None
        return found

    def _refuse_elsewhere(self, bake: RecordedBake | None) -> None:
        """Refuse a bake on another base: its adapter fits that one alone."""
        if bake is not None and self.base_of(bake).digest != self.state().base.digest:
            raise RepoError(
                f"{bake.name} lies on another base model, {self.base_of(bake).name}",
                hint=f"`bgit adopt {bake.base_name}` makes that the base of this branch.",
            )

    def _earlier(self) -> Sections:
        from bakery.repo.history import earlier

        return earlier.sections(self.git, self.bakes())

    def _targets(self) -> dict[str, RecordedTarget]:
        from bakery.repo.plan.planned import RecordedTarget

        bakes = self.bakes()
        chain = lineage.chain_of({bake.id: bake for bake in bakes}, self.state().parent)
        in_chain = {target["name"] for bake in chain for target in bake.data["targets"]}
        return {
            target["name"]: RecordedTarget(
                target["name"],
                target["id"],
                Prompt.from_data(target["teacher"]),
                Prompt.from_data(target["student"]),
                target.get("backend"),
                target["name"] in in_chain,
                target.get("variables", {}),
            )
            for bake in bakes
            for target in bake.data["targets"]
        }

    def _input(self, of: Place) -> str:
        here = self._text(INPUT) if self.at or of == "worktree" else None
        if here is not None and self.at:
            return here
        try:
            if here is not None:
                return reading.own_text_in_folder(self.git, INPUT)
            text = reading.own_text(self.git, INPUT, at=None)
        except RepoError as error:  # what cannot be read as it is added is wrong in that file
            raise ConfigError(error.message, hint=error.hint) from error
        if text is None:
            raise RepoError(
                f"{INPUT} is not added, or in a merge conflict",
                hint=f"Write it, then `bgit add {INPUT}`.",
            )
        return text

    def _text(self, name: str) -> str:
        """Return one of our files: of the folder, or of the commit that is read instead."""
        if self.at is None:
            return reading.folder_text(self.root, name)
        text = reading.own_text(self.git, name, at=self.at)
        if text is None:
            raise RepoError(
                f"{name} of commit {self.at[:10]} is not in this repository any more",
                hint="Its branch was deleted and cleaned away; run it again from another.",
            )
        return text

    def reader(self, of: Place) -> Callable[[str], bytes]:
        """Return what reads a template or data file from the same place as input.yml."""

        def read(path: str) -> bytes:
            if of == "worktree":
                return reading.in_folder(self.git, path)
            data = reading.in_git(self.git, path, at=self.at)
            if data is None:
                if self.at is None:
                    reading.in_folder(self.git, path)  # says what else is wrong with it
                first = "Run" if (self.root / path).is_file() else "Write it, then"
                raise RepoError("it is not added", hint=f"{first} `bgit add {shlex.quote(path)}`.")
            return data

        return read
