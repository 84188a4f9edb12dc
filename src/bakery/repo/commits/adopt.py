"""Another model becomes the current one of this branch: the choice that no merge can make.

One commit: .bread names the model, and the recipe gets the blocks that it lacks of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bakery.errors import RepoError
from bakery.identity import BaseModelId
from bakery.records import ModelRef
from bakery.repo.commits import checks, record
from bakery.repo.commits.journal import Journal
from bakery.repo.files import hosted, recipe, state
from bakery.repo.files.emptied import emptied, has_active_lines
from bakery.repo.files.names import BREAD, INPUT, RECIPE
from bakery.repo.files.recipe import RecordedBake, recorded_base, teacher_of
from bakery.repo.files.state import State
from bakery.repo.git import Git
from bakery.repo.history.lineage import Lineage
from bakery.reporting import Reporter
from bakery.store.store import Store


@dataclass(frozen=True, slots=True)
class Adopted:
    """What became of it. `model` is None where the next bake starts from the base model."""

    commit: str
    model: ModelRef | None
    before: str
    """The model that was current, or the base model's name."""
    added: tuple[RecordedBake, ...]
    """Bakes whose blocks came along."""


def adopt(
    git: Git,
    store: Store,
    lineage: Lineage,
    bake: RecordedBake | None,
    base: BaseModelId | None = None,
    source: str = "",
    *,
    reporter: Reporter,
) -> Adopted:
    """Make a bake's model (None: the base model) the current one of this branch.

    `base` is the base model to go on from where another tool wrote the files, `source` the address
    that the model came from.
    """
    branch = checks.can_commit(git)
    checks.own_files_are_clean(git)
    model = bake.model if bake else None
    with store.lock(store.root / "record", "bgit adopt", wait_s=record.LOCK_WAIT_S):
        head = git.run("rev-parse", "HEAD")
        bread, recipe_blob = git.blobs([f"{head}:{BREAD}", f"{head}:{RECIPE}"])
        if bread is None or recipe_blob is None:
            raise RepoError(f"{BREAD} or {RECIPE} is not committed on this branch")
        here = state.parse(bread.text)
        texts = _in_our_format(git, here, bread.text, recipe_blob.text, base, reporter)
        own = recipe.parse(texts[RECIPE])
        chain, moved = _chain(lineage, bake, base or here.base, own)
        known = recipe.blocks(texts[RECIPE])
        added = tuple(link for link in chain if link.id not in known)
        if here.parent == model and not here.is_former and not added:
            raise _nothing_changes(here)
        for link in added:
            texts[RECIPE] = recipe.append(texts[RECIPE], link.block)
        texts[BREAD] = state.with_parent(texts[BREAD], model)
        if moved is not None:
            texts[BREAD] = state.with_base(texts[BREAD], moved)
            reporter.note(
                f"the base model of {branch} is {moved.name} now, in place of {here.base.name}: "
                "`git revert` of this commit goes back"
            )
        configuration = _baked_configuration(git, head, bake)
        if configuration is not None:
            texts[INPUT] = configuration
        before = str(here.parent or here.former_parent or here.base.name)
        journal = Journal(
            "adopt",
            bake.id if bake else "base",
            str(git.common_dir),
            branch,
            head,
            model=str(model or ""),
            message=_message(bake, base or here.base, before, source),
        )
        files = {path: git.write_blob(text) for path, text in texts.items()}
        commit = record.commit_journal(git, store, journal, files, reporter)
    return Adopted(commit, model, before, added)


def _nothing_changes(here: State) -> RepoError:
    return RepoError(
        f"{here.parent or f'the base model {here.base.name}'} is the current model already: "
        "nothing would change",
        hint="The next `bgit run bake` starts from it. `bgit tree` shows the other models, and "
        "where each branch stands.",
    )


def _chain(
    lineage: Lineage, bake: RecordedBake | None, base: BaseModelId, own: Sequence[RecordedBake]
) -> tuple[tuple[RecordedBake, ...], BaseModelId | None]:
    """Return what a bake's weights are made of, oldest first, and its base where that is another.

    RepoError where that is unknown, or no bake of this branch (`own`) has to do with that base.
    """
    if bake is None:
        return (), None
    chain = lineage.chain(bake.model)
    if chain is None:
        raise RepoError(
            f"{bake.model} cannot be adopted: what it was baked on is in no branch's {RECIPE}",
            hint="`bgit tree` names the missing link. `git fetch --all --tags` may bring the "
            f"branch that has it; `git log --all -S '>>> bake' -- {RECIPE}` shows where bakes "
            "were recorded and taken back.",
        )
    recorded = recorded_base(chain[-1])
    if recorded is None or recorded.digest == base.digest:
        return chain, None
    known = {base.digest, *(digest for digest, _ in checks.bases_of(own))}
    teacher = teacher_of(chain[0])
    if known.isdisjoint({recorded.digest, *([teacher[0].digest] if teacher else [])}):
        raise RepoError(
            f"{bake.model} was baked on another base model: {recorded.name} "
            f"({recorded.digest[:16]}); this branch is based on {base.name} ({base.digest[:16]})",
            hint="An adapter fits one base only. Switch to the branch it was baked on.",
        )
    return chain, recorded


def _in_our_format(
    git: Git,
    here: State,
    bread: str,
    recipe_text: str,
    base: BaseModelId | None,
    reporter: Reporter,
) -> dict[str, str]:
    """Return both files; another tool's are written anew, with their texts inside the recipe."""
    if not here.is_former:
        return {BREAD: bread, RECIPE: recipe_text}
    if base is None:
        raise hosted.not_begun(here.name)
    ours = State(here.owner, here.name, base)
    for told in hosted.hooks(git.common_dir):
        reporter.note(told)
    history = hosted.as_data(bread, recipe_text)
    return {BREAD: state.new(ours), RECIPE: recipe.new(base.name, history)}


def _baked_configuration(git: Git, head: str, bake: RecordedBake | None) -> str | None:
    """Return input.yml emptied where it holds just what was baked; None: it stays as it is."""
    blob = git.blob(f"{head}:{INPUT}")
    if bake is None or blob is None or blob.id != bake.input_blob or git.statuses([INPUT]):
        return None
    return emptied(blob.text) if has_active_lines(blob.text) else None


def _message(bake: RecordedBake | None, base: BaseModelId, before: str, source: str) -> str:
    name = bake.base_name if bake else f"the base model {base.name}"
    model = bake.model if bake else base.name
    came = f"From:   {source}\n" if source else ""
    return f"adopt: {name}\n\nModel:  {model}\n{came}Before: {before}\n"
