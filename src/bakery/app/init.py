"""A new model repository: what `bgit init` makes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakery.app import drafts, run
from bakery.errors import ConfigError
from bakery.identity import BaseModelId
from bakery.plain import plain
from bakery.repo import begin
from bakery.repo.files.names import ABOUT
from bakery.repo.model_repo import ModelRepo
from bakery.schema.model_names import EMBEDDED


@dataclass(frozen=True, slots=True)
class Made:
    """A repository that was made."""

    folder: Path
    repo: ModelRepo
    draft: tuple[str, ...]
    """The files to edit and to commit: input.yml, and what belongs to it."""
    notes: tuple[str, ...]
    """What a person should know about its base, and about where it lies."""

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit init --json` prints."""
        return {
            "folder": str(self.repo.root),
            "repository": plain(self.repo.state()),
            "draft": list(self.draft),
        }


def init(
    folder: Path,
    *,
    base_model: str,
    revision: str = "",
    owner: str | None = None,
    name: str | None = None,
    prompt: Path | None = None,
    questions: Path | None = None,
    template: str | None = None,
) -> Made:
    """Make a repository in a folder: a new one, or one that is there, which stays as it is.

    What it bakes first is an example, a `template` of the gallery, or the `prompt` of a file, with
    the `questions` of another or those that the base model writes.
    """
    if template is not None and (prompt or questions):
        raise ConfigError("--template has its own prompt and questions: give it alone")
    if questions is not None and prompt is None:
        raise ConfigError("--questions goes with --prompt")
    draft = begin.EXAMPLE if template is None else drafts.of_template(template)
    called, outer = name or folder.resolve().name, begin.around(folder)
    begin.check(folder, name=called, owner=owner)
    if prompt is not None:
        draft = drafts.of_prompt(prompt, questions, folder=folder, name=called)
    begin.check(folder, name=called, owner=owner, draft=draft)  # before a base model is fetched
    base = run.base_model(base_model, revision)
    repo = ModelRepo.init(folder, name=called, owner=owner, base=base, draft=draft)
    return Made(folder, repo, tuple(draft), tuple(_notes(base, template, outer)))


def _notes(base: BaseModelId, template: str | None, outer: Path | None) -> Iterator[str]:
    for told in (run.coming(base), run.unnamed_end(base)):
        if told is not None:
            yield told
    if template is not None and base.name in EMBEDDED and template not in drafts.FOR_TINY:
        yield (
            f"{base.name} does not obey the prompt of this template: `--base-model` takes an "
            f"instruct model ({ABOUT} says of what size)"
        )
    if outer is not None:
        yield (
            f"it lies inside the git repository {outer}, which does not look inside: "
            "add it to that repository's .gitignore"
        )
