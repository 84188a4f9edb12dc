"""One recorded bake with all that is known of it: its chain, its commit, its weights, its input.

Reads git and the store; decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery.errors import BakeryError, ConfigError, RepoError
from bakery.identity import BaseModelId
from bakery.plain import plain
from bakery.records import ModelRef
from bakery.repo.files import ranks as whose
from bakery.repo.files.names import INPUT, RECIPE
from bakery.repo.files.recipe import RecordedBake, teacher_of
from bakery.repo.files.state import State
from bakery.repo.files.taken import source_of
from bakery.repo.git import Blob
from bakery.repo.history import replays
from bakery.repo.history.find import MIN_PREFIX
from bakery.repo.history.lineage import Lineage
from bakery.repo.look import made, unknown
from bakery.repo.look.made import Made
from bakery.repo.look.progress import has_weights
from bakery.repo.model_repo import ModelRepo, Place
from bakery.store.store import Store

if TYPE_CHECKING:
    from bakery.repo.plan.planned import Plan
    from bakery.schema import InputSpec


_WHOLE = re.compile(r"^[^/\s]+/[^/\s]+/[^/\s]*_[0-9a-f]{16}/\d+$|^([^/]*_)?[0-9a-f]{16}$")
"""A model's full name, a bake's name, or its id."""


@dataclass(frozen=True, slots=True)
class Described:
    """A bake, and where it stands in history, in the tree and on disk."""

    bake: RecordedBake
    chain: tuple[RecordedBake, ...]
    """What it was baked from, oldest first; it is the last itself."""
    lost: ModelRef | None
    """The parent of the oldest that no branch has any more; None: the chain reaches the base."""
    commit: str | None
    """The commit that recorded it; None: it cannot be told, e.g. in a shallow clone."""
    date: str | None
    branches: tuple[str, ...]
    """Whose recipe.yml has it."""
    tags: tuple[str, ...]
    is_current: bool
    folder: Path
    """Where this clone's store has its weights, or would."""
    has_weights: bool
    made: Made

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit show MODEL --json` prints."""
        bake = self.bake
        data = {
            "name": bake.name,
            "id": bake.id,
            "model": bake.model,
            "chain": [b.model for b in self.chain],
            "lost_parent": self.lost,
            "commit": self.commit,
            "date": self.date,
            "branches": self.branches,
            "tags": self.tags,
            "is_current": self.is_current,
            "weights": self.folder if self.has_weights else None,
            **bake.data,
        }
        return {key: plain(value) for key, value in data.items()}


def describe(repo: ModelRepo, bake: RecordedBake) -> Described:
    """Gather what there is to know about a bake."""
    chain, lost = ancestry(repo.lineage(), bake)
    commit = commit_of(repo, bake)
    branches, tags = _holders(repo, bake)
    parent = repo.state().parent
    folder = repo.store.bake(bake.id) / str(bake.model.step)
    return Described(
        bake,
        chain,
        lost,
        commit,
        repo.git.ask("show", "-s", "--no-show-signature", "--format=%cI", commit)
        if commit
        else None,
        branches,
        tags,
        is_current=parent == bake.model,
        folder=folder,
        has_weights=has_weights(repo.store, bake.model),
        made=made.of(repo.store, bake),
    )


def whole(repo: ModelRepo, bake: RecordedBake) -> RecordedBake:
    """Return a bake with every step that it kept, whichever of them was named."""
    here = [own for own in repo.bakes() if own.id == bake.id]
    return here[0] if here else repo.lineage().bakes[bake.id]


def ancestry(
    lineage: Lineage, bake: RecordedBake
) -> tuple[tuple[RecordedBake, ...], ModelRef | None]:
    """Return a bake's chain, oldest first, and the parent that no branch knows (None: the base)."""
    chain = [bake]
    seen = {bake.id}
    while (parent := chain[-1].parent) is not None:
        found = lineage.bakes.get(parent.bake_id)
        if found is None or found.id in seen:
            return tuple(reversed(chain)), parent
        chain.append(found)
        seen.add(found.id)
    return tuple(reversed(chain)), None


def ranks(lineage: Lineage, bake: RecordedBake) -> tuple[list[tuple[str, int]], bool]:
    """Return whose ranks a bake's adapter has, oldest first, and whether those are all of them."""
    chain, lost = ancestry(lineage, bake)
    return whose.parts(chain), lost is None or whose.are_known(chain)


def named(
    repo: ModelRepo, words: Sequence[str], *, most: int, surely: bool = False
) -> list[RecordedBake | None] | None:
    """Return up to `most` bakes that words name (None: the base); None where they are git's.

    What git knows as a revision or a path is git's, unless it is a model's whole name or id, or
    the words are `surely` models. RepoError for a word that means nothing to anyone.
    """
    if not 0 < len(words) <= most or not (surely or all(_is_ours(repo, word) for word in words)):
        unknown.refuse(repo, words)
        return None
    return [repo.find_model(word) for word in words]


def _is_ours(repo: ModelRepo, word: str) -> bool:
    if word == repo.state().base.name or _is_whole(repo, word):
        return True
    known_to_git = word.startswith("-") or repo.git.ids([word])[0] is not None
    # Every bake is only looked through for what git does not know: that is quick.
    return not known_to_git and not Path(word).exists() and _may_be(repo, word)


def commit_of(repo: ModelRepo, bake: RecordedBake) -> str | None:
    """Return the first commit that has a bake, of this branch if it has one; None: none is found.

    Looked for by message first: reading every recipe of a long history takes a while.
    """
    find = ["log", "--no-show-signature", "--reverse", "--format=%H"]
    of_any_step = str(bake.model).rpartition("/")[0] + "/"
    message = ["--fixed-strings", f"--grep=Model:  {of_any_step}"]
    content = [f"-S# >>> bake {bake.id}", "--", RECIPE]
    for tried in ([*message], ["--all", *message], ["--all", *content]):
        for commit in (repo.git.ask(*find, *tried) or "").splitlines():
            blob = repo.git.blob(f"{commit}:{RECIPE}")
            if blob is not None and _opens(bake, blob):
                return commit
    return None


def input_text(repo: ModelRepo, bake: RecordedBake) -> str:
    """Return the input.yml that a bake was made from: git's blob, or the copy in the store."""
    blob = repo.git.blob(bake.input_blob)
    if blob is not None:
        return blob.text
    copy = repo.store.bake(bake.id) / INPUT
    if copy.is_file():
        return copy.read_text(encoding="utf-8")
    raise RepoError(
        f"the input.yml of {bake.name} (blob {bake.input_blob[:10]}) is not in this clone",
        hint="`git fetch --unshallow`, or `git fetch` from a clone that has the commit it was "
        "baked from.",
    )


def configuration(repo: ModelRepo, bake: RecordedBake) -> str:
    """Return the input.yml of a bake as it is meant: of a replayed one, with the names of now."""
    replay = replays.of(bake)
    return replays.renamed(input_text(repo, bake), replay.ids if replay else {})


class Then(ModelRepo):
    """The repository as it was when a bake was launched: its configuration, templates and parent.

    Of a bake that was replayed elsewhere, as the bakes below would have left it. `at` is the commit
    it was launched on, `store` where stages read and write instead of this clone's store.
    """

    def __init__(
        self, repo: ModelRepo, bake: RecordedBake, at: str | None, store: Store | None = None
    ) -> None:
        super().__init__(repo.git, at=at, backend=bake.backend)
        self.store = store or repo.store
        now = repo.state()
        base = _as_recorded(now.base, bake)
        parent = bake.parent
        if (elsewhere := teacher_of(bake)) is not None:
            told, parent = elsewhere
            base = told if told.digest != now.base.digest else now.base
        self._state = replace(now, base=base, parent=parent, defaults=bake.defaults)
        replay, self._below = replays.of(bake), None
        if replay is not None:
            self._below = list(ancestry(repo.lineage(), whole(repo, bake))[0][:-1])
        self._configuration = configuration(repo, bake)
        self._bases = replay.bases if replay else ()
        self._defaults = bake.defaults

    def state(self) -> State:
        """Return what .bread said, on the base model that it names now."""
        return self._state

    def _refuse_elsewhere(self, bake: RecordedBake | None) -> None:
        """Refuse nothing: it fitted then, and whoever replays it elsewhere looks at that."""

    def bakes(self) -> list[RecordedBake]:
        """Return the bakes that it could name."""
        return super().bakes() if self._below is None else self._below

    def _spec(self, text: str, source: str, of: Place) -> InputSpec:
        """Return what input.yml says; the record, not the file, knows what it was planned by."""
        from bakery import schema

        said = schema.on_another_base(super()._spec(text, source, of), self._bases)
        return replace(said, defaults=self._defaults)

    def _input(self, of: Place) -> str:
        return self._configuration


def _as_recorded(base: BaseModelId, bake: RecordedBake) -> BaseModelId:
    """Return the base with the shape that the laws of a bake's defaults went by."""
    told = bake.part("base") or {}
    family, hidden_size = told.get("family"), told.get("hidden_size")
    if not isinstance(family, str) or not isinstance(hidden_size, int):
        return base
    return replace(base, family=family, hidden_size=hidden_size)


def then(repo: ModelRepo, bake: RecordedBake, store: Store | None = None) -> Then:
    """Return the repository as it was when a bake was launched.

    That is where the commit before its record stands, but for a bake in the background that
    templates or data changed behind: the newest commit before at which its input.yml means it.
    """
    before = _before(repo, bake)
    found = Then(repo, bake, before, store)
    if before is None or _means(found, bake):
        return found
    older = repo.git.run("rev-list", f"--max-count={MOST_LOOKED_AT}", f"{before}^@").split()
    inputs = repo.git.ids([f"{commit}:{INPUT}" for commit in older])
    for commit, blob in zip(older, inputs, strict=True):
        earlier = Then(repo, bake, commit, store)
        if blob == bake.input_blob and _means(earlier, bake):
            return earlier
    return found


MOST_LOOKED_AT = 200
"""Commits between a bake's launch and its record that are looked through."""


def _means(at: Then, bake: RecordedBake) -> bool:
    try:
        plan = at.plan("index")
    except BakeryError:
        return False
    return plan.bake is not None and plan.bake.id == bake.id


def plan_of(repo: ModelRepo, bake: RecordedBake, at: ModelRepo | None = None) -> Plan:
    """Return what a bake's own input.yml, with its templates, meant where it was baked.

    RepoError where that gives another id than the recorded one: defaults or a template changed.
    """
    source = source_of(bake)
    if source and not (bake.data["targets"] and repo.git.blob(bake.input_blob)):
        raise _made_elsewhere(bake, dict(source))
    try:
        plan = (at or then(repo, bake)).plan("index")
    except ConfigError as error:
        raise RepoError(
            f"the configuration of {bake.name} cannot be read any more:\n{error.message}",
            hint=error.hint,
        ) from error
    if bake.part("joined"):
        raise RepoError(f"{bake.name} was put together from other bakes: no input.yml asked for it")
    if plan.bake is None or plan.bake.id != bake.id:
        raise RepoError(
            f"the configuration of {bake.name} now means another bake, {plan.bake_name}",
            hint="A template changed, .bread names another base model, or this version of "
            "bgit has other defaults than the one that baked it.",
        )
    return plan


def _made_elsewhere(bake: RecordedBake, source: dict[str, str]) -> RepoError:
    return RepoError(
        f"{bake.name} was made elsewhere: it came from {source.get('from')}, without the "
        "input.yml that it was made from",
        hint=f"`bgit adopt {source.get('from')}@{source.get('commit')}` takes its weights again; "
        "a clone of the repository that it was made in makes it again.",
    )


def plan_or_none(repo: ModelRepo, bake: RecordedBake) -> Plan | None:
    """Return a bake's plan; None where it cannot be made any more."""
    try:
        return plan_of(repo, bake)
    except BakeryError:
        return None


def _before(repo: ModelRepo, bake: RecordedBake) -> str | None:
    """Return the commit that a bake was launched on; None where it cannot be told."""
    commit = commit_of(repo, bake)
    if commit is None:
        return None
    before = repo.git.ask("rev-parse", "-q", "--verify", f"{commit}^")
    if before is not None and repo.git.blob(f"{before}:{RECIPE}") is not None:
        return before
    return commit  # It holds the whole history: squashed, or the first of a shallow clone.


def _is_whole(repo: ModelRepo, word: str) -> bool:
    """Tell whether a word is a model's full name, or the whole name or id of a bake."""
    if not _WHOLE.search(word):
        return False
    bakes = repo.lineage().bakes
    return "/" in word or any(word in (bake.name, bake.id) for bake in bakes.values())


def _may_be(repo: ModelRepo, word: str) -> bool:
    return word in ("parent", "base") or any(
        word == bake.base_name or (len(word) >= MIN_PREFIX and bake.id.startswith(word.lower()))
        for bake in repo.lineage().bakes.values()
    )


def _holders(repo: ModelRepo, bake: RecordedBake) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the branches and the tags whose recipe has a bake."""
    listed = repo.git.run(
        "for-each-ref", "--format=%(refname)%09%(symref)", "refs/heads", "refs/remotes", "refs/tags"
    )
    refs = [line.split("\t")[0] for line in listed.splitlines() if line.endswith("\t")]
    ids = repo.git.ids([f"{ref}:{RECIPE}" for ref in refs])
    distinct = list(dict.fromkeys(i for i in ids if i is not None))
    blobs = zip(distinct, repo.git.blobs(distinct), strict=True)
    having = {i for i, blob in blobs if blob is not None and _opens(bake, blob)}
    held = [ref.split("/", 2)[1:] for ref, i in zip(refs, ids, strict=True) if i in having]
    local = {name for kind, name in held if kind == "heads"}
    branches = [
        name
        for kind, name in held
        if kind == "heads" or (kind == "remotes" and name.partition("/")[2] not in local)
    ]
    return tuple(branches), tuple(name for kind, name in held if kind == "tags")


def _opens(bake: RecordedBake, blob: Blob) -> bool:
    """Tell whether a recipe.yml has the block of a bake, without reading the others."""
    return f"\n    # >>> bake {bake.id}\n".encode() in blob.data
