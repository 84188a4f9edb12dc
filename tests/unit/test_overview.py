"""What `bgit status` knows."""

from __future__ import annotations

import json

import pytest

from bakery.app import own_gate
from bakery.repo.look.status import Status, status
from bakery.reporting import Quiet
from bakery.store import results
from bakery.ui.status import show_status
from tests.support.recorded import (
    BASE,
    baked,
    committed,
    configuration,
    git,
    result_of,
    stored,
)


def stages(now: Status) -> list[tuple[str, str, int, int | None]]:
    return [(s.stage, s.state, s.done, s.expected) for s in now.stages]


def test_a_new_repository_stands_at_its_base(repo):
    now = status(repo)
    assert (now.repository, now.branch, now.base, now.parent) == ("ann/yoda", "main", BASE, None)
    assert not now.is_configured
    assert now.chain == ()
    assert now.last is None
    assert len(now.changes) == 1
    assert now.store == repo.store.root


def test_nothing_done_is_not_started(repo):
    committed(repo, "one")
    assert stages(status(repo)) == [
        ("stim", "not_started", 0, 2),
        ("rollout", "not_started", 0, None),
        ("bake", "not_started", 0, None),
    ]


def test_of_several_targets_each_stage_is_named_once(repo, capsys):
    committed(repo, "one")
    (repo.root / "input.yml").write_text(
        "PROMPT:\n  teacher: {messages: [{role: system, content: Be brief.}]}\n"
        "TARGET:\n"
        "  - {name: one, generators: [{type: hardcoded, questions: [Who?]}]}\n"
        "  - {name: two, generators: [{type: hardcoded, questions: [Why?]}]}\n"
        "BAKE: {name: both}\n",
        encoding="utf-8",
    )
    git(repo.root, "commit", "-qam", "two targets")
    show_status(status(repo))
    assert capsys.readouterr().out.endswith("\nnext: bgit run stim rollout bake\n")


def test_one_of_a_thing_is_one(repo, capsys):
    text = configuration("one").replace('["Who are you?", "Why?"]', '["Why?"]')
    (repo.root / "input.yml").write_text(text, encoding="utf-8")
    git(repo.root, "commit", "-qam", "one question")
    show_status(status(repo))
    assert "0 of 1 question " in capsys.readouterr().out


def test_the_base_is_not_called_new_where_something_is_recorded(repo, capsys):
    show_status(status(repo))
    assert "tiny-1 (nothing baked yet)" in capsys.readouterr().out
    baked(repo, "one")
    repo.adopt(repo.find_model("base"), reporter=Quiet())
    show_status(status(repo))
    assert "tiny-1 (the base model)" in capsys.readouterr().out


def test_rows_are_counted_until_a_stage_is_done(repo):
    plan = committed(repo, "one")
    assert plan.bake is not None
    stim = repo.store.stim(plan.targets[0].stim.id)
    target = repo.store.target(plan.targets[0].rollout.id)
    bake = repo.store.bake(plan.bake.id)
    for folder in (stim, target, bake):
        folder.mkdir(parents=True)
    (stim / "done.json").write_text('{"count": 2, "seconds": 1.5}', encoding="utf-8")
    (target / "trajectories.jsonl").write_text("{}\n{}\n{", encoding="utf-8")
    (bake / "metrics.jsonl").write_text('{"step": 3}\n{"st', encoding="utf-8")
    now = status(repo)
    assert stages(now) == [
        ("stim", "complete", 2, 2),
        ("rollout", "partial", 2, 4),
        ("bake", "partial", 3, None),
    ]
    assert now.stages[0].seconds == 1.5
    assert now.store_bytes > 0


def test_a_bake_that_is_done_and_not_recorded_is_said(repo):
    plan = committed(repo, "one")
    stored(repo, plan)
    now = status(repo)
    assert now.unrecorded == plan.bake_name
    assert now.stages[2].seconds == result_of(plan)["seconds"]["bake"]


def test_what_the_gate_held_back_is_not_said_to_be_recorded_next(repo, capsys):
    (repo.root / "tests.yml").write_text("gate: {gap_closed: 0.99}\n", encoding="utf-8")
    git(repo.root, "add", "tests.yml")
    git(repo.root, "commit", "-qm", "Ask for much")
    plan = committed(repo, "one")
    found = dict(stored(repo, plan))
    result = {**found, "card": {**found["card"], "gap_closed": 0.96}}
    own = own_gate.committed(repo)
    _, stop = own_gate.asked(repo, own, plan, result, allow=(), reporter=Quiet())
    assert stop is not None
    (short,) = status(repo).refused
    assert short.startswith("gap_closed: ")
    show_status(status(repo))
    out = " ".join(capsys.readouterr().out.split())
    assert f"{plan.bake_name} is not recorded: it falls short of the gate's {short}" in out
    assert "next: bake it better, or `bgit run --allow gate`" in out

    (repo.root / "tests.yml").write_text("gate: {gap_closed: 0.1}\n", encoding="utf-8")
    git(repo.root, "commit", "-qam", "Ask for less")
    assert status(repo).next.startswith("bgit run bake   (records")
    result, stop = own_gate.asked(
        repo, own_gate.committed(repo), plan, result, allow=(), reporter=Quiet()
    )
    assert (stop, "refused" in result) == (None, False)
    assert "refused" not in results.result(repo.store.bake(plan.bake.id))


def test_what_was_allowed_for_the_current_model_is_said(repo, capsys):
    plan = committed(repo, "one")
    found = dict(stored(repo, plan))
    told = {"allowed": ["gate", "teacher"], "gate": ["tests: 1 of 2 lost"]}
    repo.record(plan, {**found, **told}, launched=repo.launch_blob(), reporter=Quiet())
    now = status(repo)
    assert {key: now.as_data()[key] for key in told} == told
    show_status(now)
    out = " ".join(capsys.readouterr().out.split())
    assert "allowed falls short of the gate's tests: 1 of 2 lost; teacher" in out
    baked(repo, "two")
    show_status(status(repo))
    assert "falls short" not in capsys.readouterr().out


def test_what_is_recorded_and_not_current_is_adopted_by_the_next_command(repo, capsys):
    model = baked(repo, "one")
    repo.adopt(None, reporter=Quiet())
    plan = committed(repo, "one")
    assert plan.targets
    for folder in (
        repo.store.stim(plan.targets[0].stim.id),
        repo.store.target(plan.targets[0].rollout.id),
    ):
        folder.mkdir(parents=True)
        (folder / "done.json").write_text('{"count": 2, "seconds": 1.5}', encoding="utf-8")
    show_status(status(repo))
    next_line = capsys.readouterr().out.splitlines()[-1]
    assert next_line.startswith(f"next: bgit adopt {model.bake}   (it is recorded here")
    repo.adopt(repo.find_model(model.bake), reporter=Quiet())
    assert repo.state().parent == model


def test_after_a_bake_nothing_is_configured_and_the_card_is_there(repo):
    first, second = baked(repo, "one"), baked(repo, "two")
    now = status(repo)
    assert not now.is_configured
    assert now.plan is None
    assert [bake.model for bake in now.chain] == [first, second]
    assert now.last is not None
    assert now.last.data["card"]["kl_after"] == 0.045678
    assert now.unrecorded is None


def test_a_configuration_that_cannot_be_read_is_a_problem_not_an_error(repo):
    (repo.root / "input.yml").write_text("BAKE:\n  nam: x\n", encoding="utf-8")
    git(repo.root, "add", "input.yml")
    now = status(repo)
    assert now.is_configured
    assert "did you mean `name`" in (now.problem or "")


def test_a_typo_that_is_not_added_yet_is_a_problem_of_the_draft(repo, capsys):
    committed(repo, "one")
    (repo.root / "input.yml").write_text("BAKE:\n  nam: x\n", encoding="utf-8")
    now = status(repo)
    assert now.problem is None
    show_status(now)
    shown = capsys.readouterr().out
    assert "in the folder cannot be run:\ninput.yml:2:3: unknown key" in shown
    assert shown.endswith("next: fix input.yml, then `bgit add input.yml`\n")
    git(repo.root, "add", "input.yml")
    show_status(status(repo))
    assert "\ninput.yml cannot be run:\ninput.yml:2:3: unknown key" in capsys.readouterr().out


def test_a_draft_that_is_no_yaml_is_shown_with_what_mends_it(repo):
    (repo.root / "input.yml").write_text("PROMPT\n  teacher:\n", encoding="utf-8")
    problem = status(repo).draft_problem or ""
    assert problem.startswith("input.yml:2:10: ")
    assert problem.endswith("hint: A key needs a colon behind it: `PROMPT:`.")


def test_what_is_mended_in_the_folder_has_only_to_be_added(repo, capsys):
    (repo.root / "input.yml").write_text("BAKE:\n  nam: x\n", encoding="utf-8")
    git(repo.root, "add", "input.yml")
    (repo.root / "input.yml").write_text(configuration("one"), encoding="utf-8")
    show_status(status(repo))
    shown = capsys.readouterr().out
    assert "the input.yml that was added cannot be run:\ninput.yml:2:3" in shown
    assert shown.endswith('next: bgit add input.yml && bgit commit -m "..."\n')


def test_what_is_added_has_only_to_be_committed(repo, capsys):
    (repo.root / "input.yml").write_text(configuration("one"), encoding="utf-8")
    git(repo.root, "add", "input.yml")
    show_status(status(repo))
    assert capsys.readouterr().out.endswith('next: bgit commit -m "..."\n')


def test_weights_that_this_clone_lacks_are_said(repo, capsys):
    model = baked(repo, "one")
    show_status(status(repo))
    assert "not in this clone's store" in capsys.readouterr().out
    folder = repo.store.bake(model.bake_id) / str(model.step)
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"")
    show_status(status(repo))
    assert "not in this clone's store" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("commands", "says"),
    [
        ([], "input.yml: changed in the folder, not added"),
        ([["add", "input.yml"]], "input.yml: added, not committed"),
        ([["rm", "-q", "--cached", "input.yml"]], "input.yml: not added"),
    ],
)
def test_changes_are_said_in_words(repo, commands, says):
    (repo.root / "input.yml").write_text("BAKE:\n  name: x\n", encoding="utf-8")
    for command in commands:
        git(repo.root, *command, "-f") if "rm" in command else git(repo.root, *command)
    assert says in status(repo).changes


def test_a_recording_that_waits_for_another_branch_is_said(repo):
    plan = committed(repo, "one")
    pending = repo.store.pending(plan.bake.id)
    pending.parent.mkdir(parents=True)
    journal = {
        "schema": 1,
        "action": "record",
        "bake_id": plan.bake.id,
        "repository": str(repo.git.common_dir),
        "branch": "exp",
        "head": "",
    }
    pending.write_text(json.dumps(journal), encoding="utf-8")
    assert status(repo).waiting == ("exp",)


def test_a_detached_head_has_no_branch(repo):
    git(repo.root, "switch", "-q", "--detach")
    assert status(repo).branch is None
