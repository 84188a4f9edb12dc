"""Who really writes the questions is who is named, before and after; another can be replaced."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from bakery.app import check, run, writers
from bakery.app.check import Checked
from bakery.app.making import Making
from bakery.app.opening import Models
from bakery.app.workbench import InRepository
from bakery.cli.check import check as check_command
from bakery.cli.run import run as run_command
from bakery.engine.bases import bases
from bakery.errors import ConfigError
from bakery.records import Stimulus, append_rows
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.store import results
from tests.support.endpoint import Endpoint, serve
from tests.support.recorded import git, made, stored

ASKS = "{type: oneshot_qs, numq: 2, model: gpt-5-mini}"
STRICT = "{type: oneshot_qs, numq: 2, model: gpt-5-mini, fallback: false}"


def text(generator: str = ASKS, more: str = "") -> str:
    return (
        "PROMPT: {teacher: {messages: [{role: system, content: You are a cook.}]}}\n"
        f"TARGET: {{name: main, max_tokens: 8, generators: [{generator}]{more}}}\n"
        "BAKE: {name: cook, epochs: 1}\n"
    )


def write(repo: ModelRepo, content: str) -> None:
    (repo.root / "input.yml").write_text(content, encoding="utf-8")
    git(repo.root, "add", "input.yml")


@pytest.fixture
def repo(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> ModelRepo:
    """A repository whose generator asks for a model that has no key here."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    repo = ModelRepo.init(workplace / "r", name="r", owner="ann", base=bases.identify("tiny"))
    monkeypatch.chdir(repo.root)
    write(repo, text())
    return repo


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    with serve(["1. What is salt?\n2. Who are you?"]) as endpoint:
        monkeypatch.setenv("OPENAI_API_KEY", "a-key")
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
        yield endpoint


def written(repo: ModelRepo, by: str = "tiny-1", count: int = 2, *, whole: bool = True) -> Path:
    """Leave questions in the store as a run does, by whoever wrote them."""
    (target,) = repo.plan().targets
    folder = repo.store.stim(target.stim.id)
    results.begin(folder, target.stim)
    rows = [
        Stimulus(f"{n:016x}", ({"role": "user", "content": f"q{n}?"},), "oneshot_qs", by)
        for n in range(count)
    ]
    append_rows(folder / results.STIMULI, rows)
    if whole:
        results.end(folder, {"schema": 1, "count": count})
    return folder


def answered(repo: ModelRepo) -> Path:
    (target,) = repo.plan().targets
    folder = repo.store.target(target.rollout.id)
    results.begin(folder, target.rollout)
    return folder


def told(checked: Checked) -> tuple[str, str | None, str | None, list[str]]:
    """Return who writes, who was asked, who writes the rest, and the warnings."""
    assert checked.forecast is not None, checked.error
    (writing,) = checked.forecast.targets[0].generators
    return writing.writer, writing.asked, writing.rest, list(checked.forecast.warnings)


def test_check_names_who_will_really_write(repo: ModelRepo) -> None:
    said = (
        "gpt-5-mini cannot write the questions: no OPENAI_API_KEY is set; tiny-1 would write them "
        "instead"
    )
    assert told(check.check(repo)) == ("tiny-1", "gpt-5-mini", "tiny-1", [said])
    assert told(check.dry_run(repo, ["stim"])) == told(check.check(repo))
    assert "oneshot_qs, from tiny-1, not gpt-5-mini" in CliRunner().invoke(check_command).output


def test_with_its_key_the_model_that_is_asked_writes(repo: ModelRepo, served: Endpoint) -> None:
    assert told(check.check(repo)) == ("gpt-5-mini", None, "gpt-5-mini", [])


def test_a_key_that_is_set_afterwards_does_not_change_who_wrote(
    repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(repo)
    without = told(check.check(repo))
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    with_key = told(check.check(repo))
    assert without[:3] == with_key[:3] == ("tiny-1", "gpt-5-mini", None)
    assert without[3] == [
        "2 questions of main are by tiny-1, not by gpt-5-mini: no OPENAI_API_KEY is set; with one, "
        "`bgit run stim --again` has it write them"
    ]
    assert with_key[3] == [
        "2 questions of main are by tiny-1, not by gpt-5-mini: `bgit run stim --again` has it "
        "write them"
    ]


def test_a_run_says_it_as_check_does(repo: ModelRepo) -> None:
    written(repo)
    quiet = Quiet()
    run.check(repo, repo.plan(), ["stim"], reporter=quiet)
    assert quiet.notes == told(check.check(repo))[3]


def test_who_writes_the_rest_is_said_too(repo: ModelRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    written(repo, count=1, whole=False)
    assert told(check.check(repo))[:3] == ("tiny-1", "gpt-5-mini", "tiny-1")
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    assert told(check.check(repo))[:3] == (
        "tiny-1, the rest gpt-5-mini",
        "gpt-5-mini",
        "gpt-5-mini",
    )


def test_what_another_model_writes_takes_no_time_of_the_base(
    repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seconds() -> float | None:
        found = check.check(repo).forecast
        assert found is not None
        return found.cost.seconds["stim"]

    assert seconds()
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    assert seconds() is None


def test_questions_by_who_was_asked_are_left_alone(repo: ModelRepo, served: Endpoint) -> None:
    folder, quiet = written(repo, by="gpt-5-mini"), Quiet()
    assert told(check.check(repo)) == ("gpt-5-mini", None, None, [])
    with run.asked_again(repo, ["stim"], reporter=quiet):
        pass
    assert results.is_done(folder)
    assert quiet.notes == ["every question is by who was asked for it: none is written again"]


def test_again_has_who_was_asked_write_them(repo: ModelRepo, served: Endpoint) -> None:
    folder, old = written(repo), answered(repo)
    done = CliRunner().invoke(run_command, ["stim", "--again"])
    assert done.exit_code == 0, done.output
    assert {row.writer for row in results.stimuli(folder)} == {"gpt-5-mini"}
    assert len(served.requests) > 0
    assert not old.exists()  # answers to other questions
    kept = sorted(path.name for path in (repo.store.root / "replaced").iterdir())
    assert kept == [f"stim-{folder.name}-1", f"target-{old.name}-1"]
    assert told(check.check(repo)) == ("gpt-5-mini", None, None, [])


def test_where_nobody_answers_again_leaves_all_as_it_was(
    repo: ModelRepo, served: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")  # nobody is there
    folder, old = written(repo), answered(repo)
    before = {path: path.read_bytes() for place in (folder, old) for path in place.iterdir()}
    done = CliRunner().invoke(run_command, ["stim", "--again"])
    assert done.exit_code != 0
    assert "no question of main was written: the earlier ones are back" in done.output
    assert {path: path.read_bytes() for path in before} == before


def test_again_without_the_key_is_an_error_and_moves_nothing(repo: ModelRepo) -> None:
    folder = written(repo)
    again = run.asked_again(repo, ["stim"], reporter=Quiet())
    with (
        pytest.raises(ConfigError, match="gpt-5-mini cannot write the questions: no OPENAI_API"),
        again,
    ):
        raise AssertionError("nothing is run")
    assert results.is_done(folder)


def test_again_goes_with_the_questions(repo: ModelRepo) -> None:
    with pytest.raises(ConfigError, match=r"--again .* goes with stim"):
        run.asked_again(repo, ["bake"], reporter=Quiet())


def test_questions_of_a_recorded_bake_stay(workplace: Path, served: Endpoint) -> None:
    repo = made(workplace / "recorded")
    write(repo, text())
    git(repo.root, "commit", "-qm", "Configure")
    plan = repo.plan()
    folder = written(repo)
    answered(repo)
    result = stored(repo, plan)
    repo.record(plan, result, launched=repo.launch_blob(), reporter=Quiet())
    write(repo, text())
    now = repo.plan()
    models = Models(InRepository(repo), now.head.base, now.head.parent, Quiet())
    again = writers.asked_again(repo, models, now, Quiet())
    with pytest.raises(ConfigError, match=r"are those of .*, which is recorded: they stay"), again:
        raise AssertionError("nothing is run")
    assert results.is_done(folder)


def test_without_a_fallback_a_writer_that_cannot_be_asked_is_an_error(repo: ModelRepo) -> None:
    same = repo.plan().targets[0].stim.id
    write(repo, text(STRICT))
    assert repo.plan().targets[0].stim.id == same  # who may write is no part of what is asked
    error = check.check(repo).error
    assert error is not None
    assert error.message == "gpt-5-mini cannot write the questions: no OPENAI_API_KEY is set"
    with pytest.raises(ConfigError, match="gpt-5-mini cannot write the questions: no OPENAI_API"):
        run.run(repo, ["stim"], reporter=Quiet())
    written(repo)
    error = check.check(repo).error
    assert error is not None
    assert "2 questions of main were written by tiny-1, not by gpt-5-mini" in error.message
    with pytest.raises(ConfigError, match=r"its generator says `fallback: false`"):
        run.run(repo, ["stim"], reporter=Quiet())


@pytest.mark.parametrize(
    ("answerer", "said"),
    [
        ("gpt-5-mini", "gpt-5-mini cannot answer: no OPENAI_API_KEY is set"),
        ("hosted:mine", "mine cannot answer: no OPENAI_BASE_URL is set for it"),
        ("./nowhere", "./nowhere cannot answer: there is no such model"),
        ("nowhere.gguf", "nowhere.gguf cannot answer: there is no such model"),
    ],
)
def test_an_answerer_that_cannot_be_reached_is_an_error_in_check_as_in_run(
    answerer: str, said: str, repo: ModelRepo
) -> None:
    write(repo, text("{type: hardcoded, questions: [a?]}", f", model_name: '{answerer}'"))
    error = check.check(repo).error
    assert error is not None
    assert error.message == said
    with pytest.raises(ConfigError, match=said):
        Making(InRepository(repo), repo.plan(), Quiet()).check_inputs(["rollout"])
    assert "problems" in json.loads(CliRunner().invoke(check_command, ["--json"]).output)
