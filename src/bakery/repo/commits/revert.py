"""Bakes taken back: out of the recipe, with their parent and configuration restored.

Works from recipe.yml, not from the commits that made the bakes, so it works for any number of
them, in any order, and after a squash. The weights stay in the store.
"""

from __future__ import annotations

from collections.abc import Sequence

from bakery.errors import RepoError
from bakery.identity import BaseModelId
from bakery.records import ModelRef
from bakery.repo.commits import checks, record
from bakery.repo.commits.checks import Stand
from bakery.repo.commits.journal import Journal
from bakery.repo.files import recipe, state
from bakery.repo.files.emptied import has_active_lines
from bakery.repo.files.names import BREAD, INPUT, RECIPE
from bakery.repo.files.recipe import RecordedBake, recorded_base, teacher_of
from bakery.repo.files.state import State
from bakery.repo.git import Git
from bakery.repo.history import replays
from bakery.reporting import Reporter
from bakery.store.store import Store

_SHOWN = 5
"""So many of a commit's other files are listed."""


def named(git: Git, arguments: Sequence[str]) -> list[RecordedBake] | None:
    """Return the bakes that arguments name, newest first; None where one is something else.

    A bake is named by the commit that made it, its model, its name or its id, `parent` is the
    current one; `--all` names every bake of the branch.
    """
    blob, bread = git.blobs([f"HEAD:{RECIPE}", f"HEAD:{BREAD}"])
    bakes = recipe.parse(blob.text) if blob is not None else []
    current = state.parse(bread.text).parent if bread is not None else None
    words = [
        str(current) if word == "parent" and current else word
        for word in arguments
        if word != "--no-edit"
    ]
    if words == ["--all"]:
        if not bakes:
            raise RepoError("nothing is baked on this branch: there is nothing to revert")
        return bakes[::-1]
    if not words or any(word.startswith("-") for word in words):
        return None
    chosen: set[str] = set()
    commits: dict[str, set[str]] = {}
    for word in words:
        ids, commit = _ids(git, word, bakes)
        if not ids:
            return None
        chosen |= ids
        if commit is not None:
            commits[commit] = ids
    gone = chosen - {bake.id for bake in bakes}
    if gone:
        raise RepoError(
            f"bake {', '.join(sorted(gone))} is not in this branch's {RECIPE}",
            hint="It was reverted before, or is on another branch: `bgit tree`.",
        )
    for commit, ids in commits.items():
        _refuse_other_files(git, commit, [bake for bake in reversed(bakes) if bake.id in ids])
    return [bake for bake in reversed(bakes) if bake.id in chosen]


def revert(git: Git, store: Store, bakes: Sequence[RecordedBake], reporter: Reporter) -> str:
    """Take bakes (newest first) out of the current branch in one commit; return the commit."""
    branch = checks.can_commit(git)
    checks.own_files_are_clean(git)
    with store.lock(store.root / "record", "bgit revert", wait_s=record.LOCK_WAIT_S):
        head = git.run("rev-parse", "HEAD")
        bread, recipe_blob = git.blobs([f"{head}:{BREAD}", f"{head}:{RECIPE}"])
        if bread is None or recipe_blob is None:
            raise RepoError(f"{BREAD} or {RECIPE} is not committed on this branch")
        recorded = recipe.parse(recipe_blob.text)
        _refuse_orphans(recorded, bakes)
        before = state.parse(bread.text)
        parent = _parent_without(before.parent, bakes, recorded)
        text = bread.text
        if parent is None and (teacher := _teacher(before, bakes, recipe_blob.text)) is not None:
            base, parent = teacher
            text = state.with_base(text, base)
        files = {
            BREAD: git.write_blob(state.with_parent(text, parent)),
            RECIPE: git.write_blob(recipe.remove(recipe_blob.text, {bake.id for bake in bakes})),
        }
        configuration = _configuration(git, store, bakes[-1], reporter)
        if configuration is not None:
            files[INPUT] = configuration
        journal = Journal(
            "revert",
            bakes[-1].id,
            str(git.common_dir),
            branch,
            head,
            message=_message(bakes, parent),
        )
        return record.commit_journal(git, store, journal, files, reporter)


def replace(
    git: Git,
    store: Store,
    began: Stand,
    gone: Sequence[RecordedBake],
    *,
    model: ModelRef | None,
    blocks: Sequence[str],
    named: RecordedBake,
    picked: bool = False,
    reporter: Reporter,
) -> str:
    """Put other bakes in the place of the last ones of a chain, in one commit; return that.

    `named` is the one of `gone` that is taken back for good, or where one is `picked` that comes;
    `model` is what is current then; None: the base model, or what taught the student that goes.
    """
    with store.lock(store.root / "record", "bgit revert", wait_s=record.LOCK_WAIT_S):
        checks.unchanged(git, began)
        head = git.run("rev-parse", "HEAD")
        bread, recipe_blob = git.blobs([f"{head}:{BREAD}", f"{head}:{RECIPE}"])
        if bread is None or recipe_blob is None:
            raise RepoError(f"{BREAD} or {RECIPE} is not committed on this branch")
        _refuse_orphans(recipe.parse(recipe_blob.text), gone)
        bread_text = bread.text
        teacher = _teacher(state.parse(bread_text), gone, recipe_blob.text)
        if model is None and teacher is not None:
            base, model = teacher
            bread_text = state.with_base(bread_text, base)
        text = recipe.remove(recipe_blob.text, {bake.id for bake in gone})
        for block in blocks:
            text = recipe.append(text, block)
        files = {
            BREAD: git.write_blob(state.with_parent(bread_text, model)),
            RECIPE: git.write_blob(text),
        }
        common = str(git.common_dir)
        message = f"cherry-pick: {named.base_name}\n\nModel:  {model}\n"
        if not picked:
            message = _message([named], model)
        journal = Journal(
            "adopt", named.id, common, began.branch, head, model=str(model or ""), message=message
        )
        return record.commit_journal(git, store, journal, files, reporter)


def _ids(git: Git, word: str, bakes: Sequence[RecordedBake]) -> tuple[set[str], str | None]:
    """Return the ids of the bakes that one argument names, and the commit where it names that."""
    named = {bake.id for bake in bakes if word in _names(bake)}
    if len(named) > 1:
        raise _ambiguous(word, [bake for bake in bakes if bake.id in named])
    if named:
        return named, None
    started = (
        {bake.id for bake in bakes if bake.id.startswith(word.lower())} if len(word) >= 4 else set()
    )
    commit = git.ask("rev-parse", "-q", "--verify", "--end-of-options", f"{word}^{{commit}}")
    made = _made_by(git, commit) if commit is not None else set()
    if len(started) > 1 or (started and made and started != made):
        raise _ambiguous(word, [bake for bake in bakes if bake.id in started | made])
    return (started, None) if started else (made, commit)


def _names(bake: RecordedBake) -> set[str]:
    steps = {f"{name}/{m.step}" for m in bake.models for name in (bake.name, bake.base_name)}
    return {bake.name, bake.base_name, bake.id, *map(str, bake.models), *steps}


def _made_by(git: Git, commit: str) -> set[str]:
    """Return the ids of the bakes that a commit made.

    Taking them out has to bring back the model that was current before it. It does not where they
    were adopted from elsewhere: that commit git reverts as any other.
    """
    parents = git.parents(commit)
    if parents and git.ids([f"{commit}^"])[0] is None:
        raise RepoError(
            f"this clone is shallow and begins with commit {commit[:10]}: what that one changed "
            "cannot be told",
            hint="`git fetch --unshallow` brings what was before it. A bake can be taken back by "
            "its name: `bgit revert BAKE`.",
        )
    if len(parents) > 1:
        return set()
    after, before, here, earlier = git.blobs(
        [f"{at}:{name}" for name in (RECIPE, BREAD) for at in (commit, f"{commit}^")]
    )
    if after is None or here is None:
        return set()
    old = set(recipe.blocks(before.text)) if before is not None else set()
    recorded = recipe.parse(after.text)
    added = [bake for bake in recorded if bake.id not in old]
    if added and not parents:
        names = " ".join(bake.name for bake in reversed(added))
        raise RepoError(
            f"commit {commit[:10]} is the first of its history: it brought all that it holds, "
            "and which bake is meant cannot be told",
            hint=f"Name the bakes: `bgit revert {names}`.",
        )
    was = state.parse(earlier.text).parent if earlier is not None else None
    restored = _parent_without(state.parse(here.text).parent, added, recorded)
    return {bake.id for bake in added} if restored == was else set()


def _refuse_other_files(git: Git, commit: str, made: Sequence[RecordedBake]) -> None:
    """Refuse a commit that changed more than its bakes: the rest of it would stay in silence."""
    others = [c.path for c in git.changes(f"{commit}^", commit) if c.path not in record.OWN]
    if not others:
        return
    names = " ".join(bake.name for bake in made)
    more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
    raise RepoError(
        f"commit {commit[:10]} made {names} and changed other files, too: "
        f"{', '.join(others[:_SHOWN])}{more}",
        hint=f"`bgit revert {names}` takes the bakes back and leaves these files; "
        f"`git revert {commit[:10]}` takes back all of the commit.",
    )


def _ambiguous(word: str, bakes: Sequence[RecordedBake]) -> RepoError:
    return RepoError(
        f"{word!r} may mean {' or '.join(bake.name for bake in bakes)}", hint="Give the whole name."
    )


def _refuse_orphans(recorded: Sequence[RecordedBake], going: Sequence[RecordedBake]) -> None:
    """Refuse where a bake that stays was built on one that goes."""
    gone = {bake.id for bake in going}
    first = next(
        (b for b in recorded if b.id not in gone and b.parent and b.parent.bake_id in gone), None
    )
    if first is None:
        return
    # Bakes are recorded after their parents, so one pass in order finds all that depends.
    for bake in recorded:
        if bake.parent and bake.parent.bake_id in gone:
            gone.add(bake.id)
    names = " ".join(bake.name for bake in reversed(recorded) if bake.id in gone)
    raise RepoError(
        f"{first.name} was baked on top of {first.parent} and would lose its parent",
        hint=f"Take both, newest first, with `bgit revert {names}`.",
    )


def _parent_without(
    parent: ModelRef | None, going: Sequence[RecordedBake], recorded: Sequence[RecordedBake]
) -> ModelRef | None:
    """Return the nearest ancestor that stays, or what was current before one took its place."""
    gone, known = {bake.id: bake for bake in going}, {bake.id for bake in recorded}
    while parent is not None and parent.bake_id in gone:
        bake = gone.pop(parent.bake_id)  # or a damaged recipe would lead back here
        before = bake.instead_of
        parent = before if before is not None and before.bake_id in known else bake.parent
    return parent


def _teacher(
    before: State, going: Sequence[RecordedBake], text: str
) -> tuple[BaseModelId, ModelRef | None] | None:
    """Return the base and the model that the branch goes back to with its student; None: it stays.

    A base that only bakes that go were made on is theirs, not the branch's.
    """
    gone = {bake.id for bake in going}
    for bake in going:
        base, told = recorded_base(bake), teacher_of(bake)
        if told is None or base is None or base.digest != before.base.digest:
            continue
        teaches, named = told
        is_here = named is not None and named.bake_id in recipe.blocks(text)
        is_kept = is_here and named is not None and named.bake_id not in gone
        return teaches, named if is_kept else None
    return None


def _configuration(git: Git, store: Store, bake: RecordedBake, reporter: Reporter) -> str | None:
    """Return the blob to restore input.yml from; None where it stays as it is, which is said."""
    if git.statuses([INPUT]):
        reporter.note(
            f"{INPUT} has changes that are not committed and is left as it is; the one "
            f"of {bake.base_name}: `git show {bake.input_blob}`"
        )
        return None
    current = git.blob(f"HEAD:{INPUT}")
    if current is not None and has_active_lines(current.text):
        if current.id != bake.input_blob:
            reporter.note(
                f"{INPUT} holds a newer configuration and is left as it is; the one of "
                f"{bake.base_name}: `git show {bake.input_blob}`"
            )
        return None
    replay, blob = replays.of(bake), git.blob(bake.input_blob)
    if blob is not None and (replay is None or not replay.ids):
        return bake.input_blob
    copy = store.bake(bake.id) / INPUT
    if blob is not None or copy.is_file():
        text = blob.text if blob is not None else copy.read_text(encoding="utf-8")
        return git.write_blob(replays.renamed(text, replay.ids if replay else {}))
    reporter.note(
        f"the {INPUT} of {bake.base_name} is neither in git nor in the store: "
        f"{INPUT} is left as it is"
    )
    return None


def _message(bakes: Sequence[RecordedBake], parent: ModelRef | None) -> str:
    names = [bake.base_name for bake in bakes]
    subject = ", ".join(names) if len(", ".join(names)) <= 50 else f"{len(bakes)} bakes"
    lines = "".join(f"Reverts: {bake.model}\n" for bake in bakes)
    return f"revert: {subject}\n\n{lines}Parent:  {parent or 'the base model'}\n"
