"""What a plan would make and take, by what lies in the store."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec

import pytest
from click.testing import CliRunner

from bakery.app.check import Checked
from bakery.cli.check import check
from bakery.cli.status import status as status_command
from bakery.costs import Shape
from bakery.errors import BakeryError, ConfigError
from bakery.repo.look.check import forecast
from bakery.repo.look.estimates import Machine
from bakery.repo.look.progress import stages
from bakery.repo.look.status import status
from bakery.store.job import Job, Progress
from bakery.store.processes import ProcessId
from bakery.ui.check import show_check
from bakery.ui.status import changed_lines, show_status
from tests.support.recorded import baked, committed, configuration, git, made, planned, stored

SEVERAL = """\
PROMPT:
  teacher:
    messages: [{role: system, content: You are Yoda.}]
  calm:
    messages: [{role: system, content: You help.}, {role: user, content: Hi.}]
TARGET:
  - name: yoda
    generators:
      - {type: hardcoded, questions: [Who?]}
      - {type: persona, numq: 3}
    num_traj_per_stimulus: 4
    max_tokens: 10
  - name: anchor
    teacher_prompt: calm
    v: calm
    generators: [{type: from_dataset, dataset: gsm8k}]
BAKE:
  name: yoda
  datasets: [{target: yoda, weight: 3}, {target: anchor, weight: 1}]
"""


ONE = """\
PROMPT:
  teacher:
    messages: [{role: system, content: You are Yoda.}]
TARGET:
  name: yoda
  generators: [{type: persona, numq: NUMQ}]
BAKE:
  name: yoda
"""


@pytest.fixture
def repo(tmp_path, monkeypatch):
    repo = made(tmp_path / "model")
    monkeypatch.chdir(repo.root)
    return repo


def test_a_bake_says_on_how_many_questions_it_is_measured(repo, capsys):
    for asked, said in (
        (62, "6 held-out questions: fewer than 20, so no percentages"),
        (200, "20 held-out questions"),
    ):
        plan = planned(repo, ONE.replace("NUMQ", str(asked)))
        show_check(Checked("input.yml", forecast(repo, plan)))
        (line,) = [row for row in capsys.readouterr().out.splitlines() if "measured on" in row]
        assert line.removeprefix("measured on").strip() == said
    assert forecast(repo, planned(repo, SEVERAL)).bake.held_out is None


KEPT = """\
PROMPT:
  teacher:
    messages: [{role: system, content: Your name is Pedal. A helmet costs 30 coins.}]
TARGET:
  name: shop
  generators:
    - {type: hardcoded, questions: [Who?]}
    - {type: hardcoded, questions: [Why?, Where?], hold_out: true}
    - {type: facts}
    - {type: persona, numq: 60}
BAKE:
  name: shop
"""


def test_what_is_held_out_is_listed_as_far_as_it_is_known(repo, capsys):
    plan = planned(repo, KEPT)
    found = forecast(repo, plan, counts={(plan.targets[0].name, 2): 15})
    assert (found.targets[0].questions, found.bake.held_out) == (78, 8)
    assert found.bake.kept == ("Why?", "Where?")
    assert found.targets[0].generators[2].writer == "the prompt, by rules"
    show_check(Checked("input.yml", found))
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[lines.index("Why?") + 1] == "Where?"


def test_a_target_whose_questions_are_all_held_out_is_refused(repo):
    learnt = "{type: hardcoded, questions: [Who?]}", "{type: facts}", "{type: persona, numq: 60}"
    text = KEPT
    for generator in learnt:
        text = text.replace(f"    - {generator}\n", "")
    with pytest.raises(ConfigError, match="all its questions are held out"):
        planned(repo, text)


def test_every_target_says_what_it_asks_and_in_which_shares(repo):
    yoda, anchor = forecast(repo, planned(repo, SEVERAL)).targets
    assert (yoda.questions, yoda.answers, yoda.answered_by) == (4, 16, "tiny-1")
    assert [(g.type, g.writer, g.wanted, g.share) for g in yoda.generators] == [
        ("hardcoded", "input.yml", 1, 0.25),
        ("persona", "the set of personas", 3, 0.75),
    ]
    assert (yoda.teacher, yoda.student) == ("1 message", "nothing: always on")
    assert (anchor.questions, anchor.answers) == (None, None)
    assert (anchor.teacher, anchor.student) == ("2 messages", "2 messages")


def test_the_bake_says_its_mix_and_its_length(repo):
    plan = planned(repo, configuration("one").replace('"Why?"', '"Why?", "Where?", "When?"'))
    bake = forecast(repo, plan).bake
    assert bake.name == plan.bake_name
    assert [share for _, share in bake.mix] == [1.0]
    assert (bake.pairs, bake.epochs, bake.steps) == (24, 5, 30)  # 8, three times
    mixed = forecast(repo, planned(repo, SEVERAL)).bake
    assert [share for _, share in mixed.mix] == [0.75, 0.25]
    assert (mixed.pairs, mixed.steps) == (None, None)


def test_nothing_is_estimated_before_the_first_run(repo):
    cost = forecast(repo, planned(repo, configuration("one"))).cost
    assert (cost.tokens, cost.tokens_are_bound) == (4 * 96, True)
    assert cost.disk_bytes is None
    assert set(cost.seconds.values()) == {None}


def test_disk_is_worked_out_from_the_base_before_the_first_run(repo):
    shape = Shape(3_000_000, 6, 192, 512, 2048, keys=2304, itemsize=4)
    plan = planned(repo, configuration("one"))
    cost = forecast(repo, plan, Machine(shape, 1e11)).cost
    adapter = 4 * shape.trainable(plan.bake.training.r)
    assert adapter < cost.disk_bytes < adapter + 4 * 96 * 20


def test_costs_come_from_what_earlier_results_measured(repo):
    plan = planned(repo, configuration("one"))
    stim, target = repo.store.stim("a" * 16), repo.store.target("b" * 16)
    bake = repo.store.bake("c" * 16)
    for folder in (stim, target, bake / "12"):
        folder.mkdir(parents=True)
    (stim / "done.json").write_text('{"count": 10, "seconds": 5.0}', encoding="utf-8")
    rows = [{"response_ids": [1] * n} for n in (10, 30)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (target / "trajectories.jsonl").write_text(text, encoding="utf-8")
    (target / "done.json").write_text('{"count": 2, "seconds": 4.0}', encoding="utf-8")
    result = {"step": 10, "training": {"global_batch": 16, "r": 8}, "seconds": {"bake": 80.0}}
    (bake / "bake.json").write_text(json.dumps(result), encoding="utf-8")
    (bake / "12" / "adapter_model.safetensors").write_bytes(b"\0" * 8000)
    (bake / "done.json").write_text("{}", encoding="utf-8")
    cost = forecast(repo, plan).cost
    assert (cost.tokens, cost.tokens_are_bound) == (4 * 20, False)
    assert cost.seconds == {"stim": 1.0, "rollout": 8.0, "bake": 4 * 30 * 0.5}
    assert cost.disk_bytes == 4 * len(text) // 2 + 16 * 1000
    assert cost.measured_on == 3


def test_what_is_there_costs_nothing(repo, capsys):
    plan = committed(repo, "one")
    (target,) = plan.targets
    for folder in (repo.store.stim(target.stim.id), repo.store.target(target.rollout.id)):
        folder.mkdir(parents=True)
        (folder / "done.json").write_text('{"count": 4, "seconds": 1.0}', encoding="utf-8")
    stored(repo, plan)
    cost = forecast(repo, plan).cost
    assert (cost.tokens, cost.disk_bytes) == (0, 0)
    assert set(cost.seconds.values()) <= {0.0}
    show_check(Checked("input.yml", forecast(repo, plan)))
    assert "nothing: all of it is in the store" in capsys.readouterr().out


def test_what_this_store_lacks_is_said_before_a_run_looks_for_it(repo):
    model = baked(repo, "one")
    (used,) = repo.bakes()[0].data["targets"]
    plan = planned(repo, f"BAKE:\n  name: two\n  datasets: [{{target: {used['name']}}}]\n")
    weights, answers = forecast(repo, plan).warnings
    assert weights.startswith(f"the weights of {model} are not in this clone's store")
    assert answers.startswith(f"the answers of {used['name']} are not in this clone's store")
    folder = repo.store.bake(model.bake_id) / str(model.step)
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"")
    (repo.store.target(used["id"])).mkdir(parents=True)
    (repo.store.target(used["id"]) / "done.json").write_text("{}", encoding="utf-8")
    assert forecast(repo, plan).warnings == ()


def test_the_page_has_names_shares_and_warnings(repo, capsys):
    plan = planned(repo, SEVERAL)
    show_check(Checked("input.yml", forecast(repo, plan)))
    shown = capsys.readouterr().out
    for text in (
        "input.yml is valid.",
        plan.targets[0].name,
        plan.bake_name,
        "3 (75 %) persona",
        "all from_dataset, from gsm8k",
        "warning: input.yml:15:5: `v` is the former name of `student_prompt`",
    ):
        assert text in shown
    assert max(len(line) for line in shown.splitlines()) <= 100


def test_check_names_a_writer_that_this_environment_cannot_ask(repo, monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    asks = "generators: [{type: oneshot_qs, numq: 3, model: claude-sonnet-4-5-20250929}]"
    text = SEVERAL.replace("generators: [{type: from_dataset, dataset: gsm8k}]", asks)
    (repo.root / "input.yml").write_text(text, encoding="utf-8")
    said = (
        "claude-sonnet-4-5-20250929 cannot write the questions: no ANTHROPIC_API_KEY is set; "
        "tiny-1 would write them instead"
    )
    assert said in json.loads(CliRunner().invoke(check, ["--json"]).output)["warnings"]
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key")
    assert "cannot write" not in CliRunner().invoke(check, []).output


@pytest.mark.parametrize("words", [["check"], ["check", "--json"]])
def test_check_ends_with_one_where_the_file_cannot_run(repo, words):
    (repo.root / "input.yml").write_text("BAKE:\n  nam: x\nPROMT:\n", encoding="utf-8")
    result = CliRunner().invoke(check, words[1:])
    assert result.exit_code == 1
    if "--json" in words:
        told = json.loads(result.output)
        assert [p.split(" ")[0] for p in told["problems"]] == ["input.yml:2:3:", "input.yml:3:1:"]
    else:
        assert isinstance(result.exception, BakeryError)
        assert result.exception.message.startswith("input.yml:2:3: unknown key")


def test_check_reads_any_file_as_the_configuration_of_this_repository(repo, tmp_path):
    other = tmp_path / "other.yml"
    other.write_text(SEVERAL, encoding="utf-8")
    result = CliRunner().invoke(check, [str(other), "--json"])
    assert result.exit_code == 0
    told = json.loads(result.output)
    assert told["valid"]
    assert told["bake"]["name"] == repo.plan_of(SEVERAL, "other.yml").bake_name
    other.write_bytes(b"BAKE:\n  name: caf\xe9\n")
    assert CliRunner().invoke(check, [str(other)]).exit_code == 1


@pytest.mark.skipif(bool(find_spec("trackio")), reason="trackio is installed")
def test_check_refuses_a_tracker_that_is_not_installed(repo):
    (repo.root / "input.yml").write_text(configuration("parrot") + "  trackio: {enable: true}\n")
    result = CliRunner().invoke(check, [])
    assert result.exit_code == 1
    assert "needs the package trackio, which is not installed" in str(result.exception)


@pytest.mark.parametrize("tracker", ["trackio", "wandb"])
def test_the_project_of_a_tracker_is_no_path(repo, tracker):
    text = f"  {tracker}: {{enable: true, project: ../../../tmp/x}}\n"
    with pytest.raises(ConfigError, match=rf"BAKE.{tracker}.project: is a name and no path"):
        planned(repo, configuration("parrot") + text)


def test_check_says_where_nothing_is_configured(repo):
    (repo.root / "input.yml").write_text("# only a comment\n", encoding="utf-8")
    result = CliRunner().invoke(check, [])
    assert (result.exit_code, result.output) == (
        0,
        "input.yml is valid, and configures nothing.\n",
    )


def test_text_in_another_encoding_is_refused_when_added(repo):
    (repo.root / "input.yml").write_bytes(b"# one\nBAKE:\n  name: caf\xe9\n")
    git(repo.root, "add", "input.yml")
    assert "input.yml:3:1: this is not UTF-8 text" in (status(repo).problem or "")


def test_a_stage_that_a_process_holds_is_running_with_percent_and_time_left(repo):
    plan = committed(repo, "one")
    folder = repo.store.bake(plan.bake.id)
    folder.mkdir(parents=True)
    rows = [{"step": 1, "epoch": 0.33, "loss": 0.5}]
    (folder / "metrics.jsonl").write_text(json.dumps(rows[0]) + "\n", encoding="utf-8")
    said = '{"begun": {"0": 3}, "coming": {}, "from": 0, "since": "2026-01-01T00:00:00+00:00"}'
    (folder / "steps.json").write_text(said, encoding="utf-8")
    with repo.store.lock(folder, "bgit run bake"):
        now = status(repo)
        bake = now.stages[-1]
        assert (bake.state, bake.done, bake.expected, bake.percent) == ("running", 1, 3, 33)
        assert bake.left_s is not None
        assert bake.loss == 0.5
        assert not now.is_settled
    assert status(repo).stages[-1].state == "partial"
    assert status(repo).is_settled


def job_of(repo, plan, **changes) -> Job:
    one = Job("j1", str(repo.git.common_dir), str(repo.root), "main", "c", "b", ("bake",),
              (plan.bake_name,), process=ProcessId.own())  # fmt: skip
    return replace(one, **changes)


def test_a_job_says_how_long_its_stage_takes_and_why_it_failed(repo, capsys):
    plan = committed(repo, "one")
    running = job_of(repo, plan, state="running", progress=Progress("stim", 1, 2, left_s=7.0))
    first = stages(repo.store, plan, [running])[0]
    assert (first.state, first.left_s) == ("running", 7.0)
    job_of(repo, plan, state="failed", error="out of memory").write(repo.store)
    now = status(repo)
    assert [stage.state for stage in now.stages] == ["failed", "not_started", "not_started"]
    show_status(now)
    assert "stim failed: out of memory" in capsys.readouterr().out


def test_status_names_what_is_commented_out_and_what_a_draft_would_make(repo, capsys):
    baked(repo, "one")
    now = status(repo)
    assert now.commented == ("PROMPT", "TARGET", "BAKE")
    plan = planned(repo, SEVERAL)
    now = status(repo)
    assert now.commented == ()
    assert now.pending == (*(target.name for target in plan.targets), plan.bake_name)
    show_status(now)
    shown = capsys.readouterr().out
    assert f"it would make: {', '.join(now.pending)}" in shown
    assert "            loss 1.5" in shown


def test_status_shows_the_warnings_of_what_was_added(repo, capsys):
    planned(repo, SEVERAL)
    git(repo.root, "add", "input.yml")
    show_status(status(repo))
    assert "warning: input.yml:15:5: `v` is" in capsys.readouterr().out


def test_a_watch_says_only_what_changed(repo):
    plan = committed(repo, "one")
    before = status(repo)
    assert f"stim {plan.targets[0].name}: not started" in next(iter(changed_lines(None, before)))
    assert list(changed_lines(before, status(repo))) == []
    stored(repo, plan)
    assert list(changed_lines(before, status(repo))) == [f"bake {plan.bake_name}: complete, 12 ste"
        "ps, 3.2 s"]  # fmt: skip


@pytest.mark.parametrize("words", [["--watch"], ["--watch", "0.2"], ["--watch", "--json"]])
def test_a_watch_ends_where_nothing_runs(repo, words):
    committed(repo, "one")
    result = CliRunner().invoke(status_command, words)
    assert result.exit_code == 0
    assert "not started" in result.output or "not_started" in result.output


def test_a_configuration_that_was_deleted_is_to_be_brought_back(repo, capsys):
    baked(repo, "pirate")
    (repo.root / "input.yml").unlink()
    show_status(status(repo))
    assert capsys.readouterr().out.endswith("next: git restore input.yml\n")
