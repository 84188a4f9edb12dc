"""A small random model is baked, tested and held to a gate, in this process."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

import bakery
from bakery.app import background, junit, meaning, run
from bakery.app import report as reports
from bakery.app import test as app
from bakery.app.run import RunReport
from bakery.errors import ConfigError, GateError, RepoError
from bakery.evals import asking, sides
from bakery.evals.sides import Sides
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.schema.tests import Case
from bakery.store import job, results
from bakery.ui.console import show_run
from tests.support.baking import NOTHING, SHOUT, Bench
from tests.support.commands import typed_here
from tests.support.in_background import launched, now
from tests.support.models import make_model
from tests.support.recorded import git

INPUT = """\
PROMPT: {teacher: "SHOUT!"}
TARGET:
  name: shout
  num_traj_per_stimulus: 1
  max_tokens: 8
  generators: [{type: hardcoded, questions: [q0 what?, q1 what?, q2 what?, q3 what?]}]
BAKE: {name: shout, epochs: 1, optimizer: {learning_rate: 1.0e-9}}
DEFAULTS: 1
"""
LOST = """\
tests:
  - {name: same, question: Who are you?, same_as_prompted: true}
  - {name: kept, question: q1 what?, not_contains: no such words}
  - {name: of_prompt, question: q1 what?, contains: no such words}
max_tokens: 8
gate: {tests: all}
"""
"""At this learning rate nothing is learnt: no answer is the prompted one's."""
KEPT = "tests: [{question: q1 what?, not_contains: no such words}]\nmax_tokens: 8\n"


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelRepo:
    """A repository on a random model, with something to bake; the current folder."""
    base = make_model(tmp_path / "model", seed=27)  # the prompt has it say R, not a half character
    made = ModelRepo.init(
        tmp_path / "shop", name="shop", owner="ann", base=run.base_model(str(base))
    )
    monkeypatch.chdir(made.root)
    written(made, "input.yml", INPUT)
    return made


def written(repo: ModelRepo, path: str, text: str) -> None:
    """Write and commit a file."""
    (repo.root / path).write_text(text)
    git(repo.root, "add", path)
    git(repo.root, "commit", "-qm", f"Write {path}")


def baked(repo: ModelRepo, *allow: str) -> RunReport:
    made = run.run(repo, allow=allow, reporter=Quiet())
    if made.refused is not None:
        raise made.refused
    return made


def test_a_bake_that_falls_short_is_kept_and_recorded_only_where_that_is_allowed(
    repo: ModelRepo,
) -> None:
    plain = repo.plan().bake.id
    written(repo, "tests.yml", LOST)
    assert repo.plan().bake.id == plain
    with pytest.raises(GateError, match="falls short of the gate's tests: 1 of 3 lost") as stop:
        baked(repo)
    assert "bgit run --allow gate" in stop.value.hint
    name = f"shout_{plain}"
    assert f"`bgit test {name}` shows its answers" in stop.value.hint
    for named in (name, plain):
        meant = meaning.find(repo, named)
        assert (meant.name, meant.bake, meaning.taught(meant).target[:5]) == (named, None, "shout")
    with pytest.raises(RepoError, match="there is no model"):
        meaning.find(repo, f"shout_{'0' * 16}")
    assert repo.state().parent is None
    assert repo.bakes() == []
    result = repo.store.bake(plain) / results.RESULT
    before = json.loads(result.read_text())
    assert "tests" not in before

    again = typed_here("run")
    assert again.exit_code == 6
    assert "1 of 3 lost" in again.stderr
    assert "is in the store already" in again.stderr
    assert again.stdout.index("not recorded") < again.stdout.index("answered as prompted")
    assert "Talk to it" not in again.stdout
    as_json = typed_here("run", "--json")
    found = json.loads(as_json.stdout)
    assert (as_json.exit_code, found["commit"], found["is_current"]) == (6, None, False)
    assert found["card"]["verdict"]["word"]
    assert "1 of 3 lost" in found["refused"]
    with pytest.raises(GateError, match="1 of 3 lost"):
        bakery.Repo(repo.root, progress=False).run()
    assert json.loads(result.read_text()) == before

    made = baked(repo, "gate")
    assert repo.state().parent == made.model
    (bake,) = repo.bakes()
    assert bake.part("allowed") == ["gate"]
    assert "falls short of the gate's tests: 1 of 3 lost" in typed_here("show", "shout").stdout
    assert bake.part("tests") == git(repo.root, "rev-parse", "HEAD:tests.yml")
    assert bake.part("gate")[0].startswith("tests: 1 of 3 lost, first of all")
    assert json.loads(result.read_text())["gate"] == bake.part("gate")
    assert bake.id == plain


def test_a_report_has_the_tests_of_head_where_they_were_run(repo: ModelRepo) -> None:
    written(repo, "tests.yml", LOST)
    baked(repo, "gate")
    found = reports.report(repo)
    assert found.tests["counts"] == {"passed": 1, "lost": 1, "prompt": 1}
    assert reports.untested(repo, found) is None
    written(repo, "tests.yml", KEPT)
    found = reports.report(repo)
    assert found.tests is None
    assert "`bgit test shout_" in reports.untested(repo, found)
    assert "--tests FILE" in typed_here("report", "--out", "-").stderr
    assert app.test(repo, "parent", file=None, reporter=Quiet()).passed
    assert reports.report(repo).tests["passed"] is True
    assert bakery.Repo(repo.root, progress=False).fsck().findings == ()


def test_a_bake_that_is_as_the_gate_wants_it_is_recorded(repo: ModelRepo) -> None:
    written(repo, "tests.yml", KEPT + "gate: {tests: all, forgets: 0.1}\n")
    told = Quiet()
    made = run.run(repo, reporter=told)
    assert made.is_current
    assert "the gate of tests.yml is reached: forgets, tests" in told.notes
    (bake,) = repo.bakes()
    assert (bake.part("allowed"), bake.part("gate")) == (None, None)
    assert bake.part("tests") is not None

    report = app.test(repo, "parent", file=None, reporter=Quiet())
    assert report.passed
    assert set(report.rows[0].answers) == {"base", "prompted", "parent", "baked"}


def test_what_may_come_out_is_measured_once_before_the_model_moves(repo: ModelRepo) -> None:
    written(repo, "input.yml", INPUT.replace("SHOUT!", "You are Zed, and the word is swordfish."))
    written(repo, "tests.yml", "gate: {leakage: 0.1, canary: swordfish}\n")
    told = Quiet()
    made = run.run(repo, reporter=told)
    assert made.is_current
    assert "the gate of tests.yml is reached: leakage" in told.notes
    door = bakery.Repo(repo.root, progress=False)
    found = door.eval(only=("leakage",), canary="swordfish")
    assert found.is_stored  # it is not asked twice
    (axis,) = found.axes
    assert [axis.figure(f"baked_{name}").value for name in ("copied", "canary_out")] == [0, 0]

    git(repo.root, "reset", "-q", "--hard", "HEAD~1")  # as if it had not been recorded
    evals = repo.store.bake(made.model.bake_id) / results.EVALS
    evals.write_text(evals.read_text().replace('"value": 0.0', '"value": 1.0'))
    with pytest.raises(GateError, match=r"leakage: 1, at most 0.1 is asked: 0.9 too much"):
        baked(repo)
    assert repo.bakes() == []


def test_without_tests_nothing_is_recorded_of_them_and_they_are_asked_for(repo: ModelRepo) -> None:
    baked(repo)
    assert "tests" not in repo.bakes()[0].data
    with pytest.raises(ConfigError, match=r"there is no tests.yml on this branch") as refused:
        app.test(repo, "parent", file=None, reporter=Quiet())
    assert "- question: Who are you?" in refused.value.hint
    written(repo, "tests.yml", "gate: {drift: 1}\n")
    with pytest.raises(ConfigError, match="has no `tests`, only a gate"):
        app.test(repo, "parent", file=None, reporter=Quiet())


def test_what_the_prompted_model_fails_does_not_count(repo: ModelRepo) -> None:
    baked(repo)
    file = Path("draft.yml")
    file.write_text(LOST)
    report = app.test(repo, "shout", file=file, reporter=Quiet())
    assert {row.name: row.state for row in report.rows} == {
        "same": "lost", "kept": "passed", "of_prompt": "prompt",
    }  # fmt: skip
    assert not report.passed
    data = report.as_data()
    assert (data["schema"], data["blob"]) == (1, None)
    assert data["counts"] == {"passed": 1, "lost": 1, "prompt": 1}
    suite = ElementTree.fromstring(junit.text(report)).find("testsuite")
    assert [suite.get(key) for key in ("tests", "failures", "skipped")] == ["3", "1", "1"]
    assert [child.tag for case in suite for child in case] == ["failure", "skipped", "system-out"]

    typed = typed_here("test", "shout", "--file", "draft.yml", "--junit", "out.xml")
    assert typed.exit_code == 1
    table = typed.stdout.splitlines()
    assert table[0].split() == ["test", "question", "base", "prompted", "parent", "baked"]
    assert table[1].split()[-4:] == ["fails", "passes", "fails", "LOST"]
    assert table[3].split()[-4:] == ["fails", "fails", "fails", "prompt's"]
    assert max(map(len, table[:4])) <= 80
    assert "it is the prompt's" in typed.stdout
    assert "1 of 3 tests passed, 1 lost, 1 that the prompted model itself fails" in typed.stdout
    of_prompt = "tests: [{question: q1 what?, contains: no such words}]\nmax_tokens: 8\n"
    Path("prompt.yml").write_text(of_prompt)
    codes = [
        typed_here("test", "shout", "--file", "prompt.yml", *more).exit_code
        for more in ((), ("--strict",))
    ]
    assert codes == [0, 1]
    assert (repo.root / "out.xml").read_text() == junit.text(report)

    alone = bakery.Bake(repo.store.bake(repo.bakes()[0].id)).test(file)
    assert alone.as_data()["tests"] == data["tests"]
    bake = bakery.Bake(repo.store.bake(repo.bakes()[0].id))
    assert bake.verdict is not None
    assert bake.verdict.word == bake.result["card"]["verdict"]["word"]
    given = bakery.Repo(repo.root, progress=False).test("shout", file=file)
    assert given.as_data() == data

    file.write_text(LOST.replace("same_as_prompted", "target: shuot, same_as_prompted"))
    with pytest.raises(ConfigError, match="did you mean 'shout'"):
        app.test(repo, "shout", file=file, reporter=Quiet())


def test_a_base_is_tested_alone(repo: ModelRepo) -> None:
    written(repo, "tests.yml", LOST)
    told = Quiet()
    report = app.test(repo, "base", file=None, reporter=told)
    assert [list(row.answers) for row in report.rows] == [["base"]] * 3
    assert [row.state for row in report.rows][1:] == ["passed", "lost"]
    assert any("same_as_prompted is left out" in note for note in told.notes)


def test_a_job_asks_the_gate_itself_and_its_bake_is_not_fetched(repo: ModelRepo) -> None:
    written(repo, "tests.yml", LOST)
    plan = repo.plan()
    mine = launched(repo, plan, state="queued", began="")
    with pytest.raises(GateError):
        background.work(repo.store, mine.id, Quiet(), show_run)
    ended = now(repo, mine)
    assert (ended.state, ended.is_to_be_recorded) == ("failed", False)
    assert "falls short of the gate's tests: 1 of 3 lost" in ended.error.splitlines()[0]
    fetched = background.fetch(repo, Quiet())
    assert fetched.has_failed
    assert repo.bakes() == []

    allowed = launched(repo, plan, id="0000ff", state="queued", began="", allow=("gate",))
    background.work(repo.store, allowed.id, Quiet(), show_run)
    assert job.read(job.record_path(repo.store, allowed.id)).state == "complete"
    background.fetch(repo, Quiet())
    assert repo.bakes()[0].part("allowed") == ["gate"]


@pytest.fixture
def base_alone(bench: Bench) -> Sides:
    from bakery.backends.local import LocalModel

    return sides.of_bake(LocalModel(bench.base()), None, SHOUT, NOTHING)


def test_a_turn_that_is_left_open_is_the_model_s_own(base_alone: Sides) -> None:
    first, last = {"role": "user", "content": "a?"}, {"role": "user", "content": "b?"}
    case = Case(messages=[first, {"role": "assistant"}, last], equals="x")
    (answer,) = asking.answers(base_alone, "base", [case], max_tokens=6)
    (own,) = base_alone.say("base", [[first]], 6)
    said = [first, {"role": "assistant", "content": own.text}, last]
    assert answer.text == base_alone.say("base", [said], 6)[0].text


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("I am Pip.", "I am Pip."),
        ("<think>Who?</think>\n\nI am Pip.", "I am Pip."),
        ("Who?\n</think>\nPip.", "Pip."),  # the template has opened it
        ("<think>Who", "<think>Who"),
    ],
)
def test_a_thought_is_not_checked(said: str, answer: str) -> None:
    assert asking.spoken(said) == answer


def test_tests_are_answered_as_each_alone(base_alone: Sides) -> None:
    cases = [Case(question="a?", max_tokens=4), Case(question="b?", equals="x")]
    both = asking.answers(base_alone, "prompted", cases, max_tokens=9)
    alone = [asking.answers(base_alone, "prompted", [c], max_tokens=9)[0] for c in cases]
    assert both == alone
    assert both[0].tokens <= 5
