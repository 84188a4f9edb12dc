"""`bgit test`: a model against the tests of tests.yml, beside what it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery.app import meaning, outputs, testing
from bakery.app.judging import Judges
from bakery.app.meaning import Meant
from bakery.app.opening import Models
from bakery.app.testing import Results, Subject
from bakery.app.workbench import Alone, InRepository
from bakery.errors import ConfigError
from bakery.repo.files.names import TESTS
from bakery.repo.look import tests as look
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.schema import tests as schema
from bakery.schema.tests import EXAMPLE, Suite
from bakery.store.store import Store

if TYPE_CHECKING:
    from bakery.engine.models.models import BaseModel

HOW = f"A file of tests, `{TESTS}` beside input.yml, holds questions with checks:\n{EXAMPLE}"


@dataclass(frozen=True, slots=True)
class Tests:
    """Tests, and where they are from. `blob` None: from a file as it lies there."""

    suite: Suite
    source: str = TESTS
    blob: str | None = None

    def __post_init__(self) -> None:
        if not self.suite.tests:
            raise ConfigError(f"{self.source} has no `tests`, only a gate", hint=HOW)


def test(repo: ModelRepo | None, name: str, *, file: Path | None, reporter: Reporter) -> Results:
    """Have a model and what it was made from answer tests, and check every answer.

    `file` None: the tests are those of HEAD, and what a bake comes to is kept for its report.
    Raises ConfigError where there are no tests.
    """
    tests = _of_head(repo, reporter) if file is None else of_file(file)
    meant = meaning.find(repo, name)
    meaning.without_prompt(meant, "test")
    found = of_model(repo, meant, tests, reporter=reporter)
    if repo is not None and tests.blob and meant.bake and meant.folder and meant.side is None:
        testing.keep(repo.store, meant.folder, found)
    return found


def of_model(
    repo: ModelRepo | None,
    meant: Meant,
    tests: Tests,
    *,
    loaded: BaseModel | None = None,
    reporter: Reporter,
) -> Results:
    """Have a model that was found answer tests; `loaded` is its base, where that is in memory."""
    subject, bench = _subject(repo, meant), InRepository(repo) if repo else _nowhere()
    judges = Judges(Models(bench, meant.base, None, reporter), meant.base.name)
    if "prompted" not in subject.sides and any(t.same_as_prompted for t in tests.suite.tests):
        reporter.note(
            f"{meant.name} has no prompted model to be compared with: same_as_prompted is left out"
        )
    rows = testing.rows(subject, tests.suite, judges, loaded=loaded, reporter=reporter)
    return Results(meant.name, tests.source, tests.blob, rows)


def of_file(file: Path) -> Tests:
    """Return the tests of a file as it lies there."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"there is no file {file}", hint=HOW) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}", hint=HOW) from error
    return Tests(schema.load(text, source=str(file)), str(file))


def _of_head(repo: ModelRepo | None, reporter: Reporter) -> Tests:
    if repo is None:
        raise ConfigError(
            "there is no repository here whose tests could be taken",
            hint=f"`--file` names a file of tests. {HOW}",
        )
    found = look.committed(repo)
    told = look.differs(repo, found)
    if found is None and told:
        raise ConfigError(told, hint=f"`bgit test --file {TESTS}` takes it as it lies there.")
    if found is None:
        raise ConfigError(f"there is no {TESTS} on this branch", hint=HOW)
    if told:
        reporter.note(told)
    return Tests(found.suite, blob=found.blob)


def _nowhere() -> Alone:
    return Alone(Store(Path.cwd()), Path.cwd())


def _subject(repo: ModelRepo | None, meant: Meant) -> Subject:
    targets: Sequence[Mapping[str, Any]] = ()
    if meant.folder is not None:
        targets = meaning.targets(meant) or ()
    bake = meant.bake
    older = repo.lineage().chain(bake.parent) if repo and bake and bake.parent else ()
    earlier = {str(target["name"]) for each in older or () for target in each.data["targets"]}
    return Subject(
        meant.name,
        meant.base,
        meant.folder,
        testing.taught(targets, earlier),
        strength=meant.strength,
        is_on_base=bake.parent is None if bake else _is_of_bakery(meant),
        is_student=meaning.taught_by(meant) is not None,
    )


def _is_of_bakery(meant: meaning.Meant) -> bool:
    """Tell whether the `bakery` command made it, which bakes on bases alone."""
    return meant.folder is not None and outputs.beside(meant.folder) is not None
