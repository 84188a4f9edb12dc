"""What a bake mixes beside its own targets: `BAKE.replay` and `BAKE.retention`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bakery import schema
from bakery.app.check import Checked
from bakery.errors import ConfigError
from bakery.evals.neutral import ANCHORS, NEUTRAL
from bakery.identity import BaseModelId
from bakery.records import ModelRef, Prompt
from bakery.repo.look import show
from bakery.repo.look.check import forecast
from bakery.repo.plan.planned import Head, Plan, RecordedTarget
from bakery.repo.plan.resolve import resolve
from bakery.reporting import Quiet
from bakery.shares import REPLAY, RETENTION, TargetShare, parts
from bakery.ui.check import show_check
from tests.support.recorded import baked, configuration, forked, git, made, stored

PIRATE = Prompt(({"role": "system", "content": "You are a pirate."},))
HEAD = Head("ada", "yoda", BaseModelId("tiny-1", "", "ab" * 32),
            ModelRef("ada", "yoda", "first_0123456789abcdef", 120))  # fmt: skip


def plan(bake: str = "", *earlier: RecordedTarget, head: Head = HEAD) -> Plan:
    text = f"""\
PROMPT:
  teacher: {{messages: [{{role: system, content: You are Yoda.}}]}}
TARGET:
  name: main
  generators: [{{type: hardcoded, questions: [Who are you?]}}]
BAKE:
  name: yoda
  {bake}
"""
    targets = {target.name: target for target in earlier}
    return resolve(schema.load(text), replace(head, targets=targets))


def target(number: int, teacher: Prompt = PIRATE, **more: object) -> RecordedTarget:
    hex_digits = f"{number:016x}"
    return replace(
        RecordedTarget(f"old{number}_{hex_digits}", hex_digits, teacher, Prompt()), **more
    )


def mixed(made: Plan) -> list[tuple[str, str, float]]:
    assert made.bake is not None
    return [(share.name[:4], share.role, share.weight) for share in made.bake.shares]


def warning(made: Plan) -> str:
    (found,) = made.warnings
    return found


@pytest.mark.parametrize("bake", ["replay: 0", "retention: 0", "replay: 0.0"])
def test_nothing_beside_is_what_there_was_before(bake: str) -> None:
    made = plan(bake, target(1))
    assert made == replace(plan("", target(1)), head=made.head)
    assert mixed(made) == [("main", "", 1.0)]


def test_replay_takes_all_earlier_targets_alike() -> None:
    made = plan("replay: 0.25", target(1), target(2))
    assert mixed(made) == [("main", "", 1.0), ("old1", REPLAY, 0.125), ("old2", REPLAY, 0.125)]
    assert warning(made) == "input.yml:8:11: 25 % of what is learnt replays old1, old2"
    names = {plan(bake, target(1), target(2)).bake_name for bake in ("", "replay: 0.25",
                                                                     "replay: 0.5")}  # fmt: skip
    assert len(names) == 3


@pytest.mark.parametrize(
    "left_out",
    [
        target(2, is_in_chain=False),
        target(2, Prompt()),
        target(2, backend="fake"),
    ],
    ids=["of another chain", "an anchor", "made up"],
)
def test_what_the_chain_did_not_learn_is_not_replayed(left_out: RecordedTarget) -> None:
    made = plan("replay: 0.2", target(1), left_out)
    assert mixed(made) == [("main", "", 1.0), ("old1", REPLAY, 0.2)]


def test_what_is_mixed_by_name_is_not_replayed_too() -> None:
    bake = "datasets: [{target: main}, {target: old1, weight: 2}]\n  replay: 0.2"
    made = plan(bake, target(1), target(2))
    assert mixed(made) == [("main", "", 1.0), ("old1", "", 2.0), ("old2", REPLAY, 0.2)]
    alone = plan(bake, target(1))
    assert "BAKE.datasets already" in alone.warnings[-1]


def test_a_chain_without_an_earlier_bake_is_told_and_keeps_its_name() -> None:
    made = plan("replay: 0.25")
    assert "replay changes nothing: no earlier bake of this chain" in warning(made)
    assert made.bake_name == plan().bake_name


def test_retention_has_the_parent_answer_general_questions() -> None:
    made = plan("retention: 0.2")
    assert mixed(made) == [("main", "", 1.0), ("rete", RETENTION, 0.2)]
    main, still = made.targets
    assert (still.stim.teacher, still.student, still.rollout.teacher) == (Prompt(),) * 3
    assert still.rollout.parent == HEAD.parent == main.rollout.parent
    assert still.stim.generators[0]["questions"] == list(ANCHORS)
    assert made.bake_name != plan().bake_name
    assert made.bake_name != plan("retention: 0.3").bake_name
    assert plan("retention: 0.3").targets == made.targets  # its answers are used again


def test_anchors_of_the_mix_are_taken_instead_of_general_ones() -> None:
    bake = "datasets: [{target: main}, {target: old1, weight: 3}, {target: old2}]\n  retention: 0.2"
    still = target(1, Prompt()), target(2, Prompt())
    made = plan(bake, *still)
    assert mixed(made) == [
        ("main", "", 1.0),
        ("old1", RETENTION, pytest.approx(0.15)),
        ("old2", RETENTION, pytest.approx(0.05)),
    ]
    assert len(made.targets) == 1


def test_a_bake_of_anchors_alone_has_nothing_to_hold_them_against() -> None:
    made = plan("datasets: [{target: old1}]\n  retention: 0.2", target(1, Prompt()))
    assert mixed(made) == [("old1", "", 1.0)]


@pytest.mark.parametrize(
    ("bake", "said"),
    [
        ("replay: 1", "BAKE.replay: input should be less than 1"),
        ("replay: -0.1", "BAKE.replay: input should be greater"),
        ("retention: -1", "BAKE.retention: input should be greater"),
        ("retention: .inf", "BAKE.retention: expected a finite number"),
    ],
)
def test_a_share_that_is_none_is_refused(bake: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(bake)
    assert said in caught.value.message


def test_nothing_that_is_learnt_as_an_anchor_measures_drift() -> None:
    asked: Sequence[str] = [*ANCHORS, *NEUTRAL]
    assert len({" ".join(text.casefold().split()) for text in asked}) == len(asked) == 80


def test_parts_of_an_epoch_come_to_a_whole() -> None:
    def share(weight: float, role: str = "") -> TargetShare:
        return TargetShare("t", "0", weight, PIRATE, Prompt(), role)

    new = share(3.0), share(1.0)
    assert parts(new) == [0.75, 0.25]
    found = parts([*new, share(0.1, REPLAY), share(0.1, REPLAY), share(0.25, RETENTION)])
    assert found == pytest.approx([0.48, 0.16, 0.08, 0.08, 0.2])


def test_only_what_the_current_model_was_made_of_is_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = made(tmp_path / "model")
    monkeypatch.chdir(repo.root)
    forked(repo)

    def asked() -> Plan:
        return repo.plan_of(f"{configuration('new')}  replay: 0.2\n  retention: 0.25\n", "x.yml")

    def roles() -> list[tuple[str, str]]:
        bake = asked().bake
        assert bake is not None
        return [(share.name[:-17], share.role) for share in bake.shares]

    own = [("new_target", ""), ("retention", RETENTION)]
    assert roles() == [*own, ("one_target", REPLAY), ("two_target", REPLAY)]
    repo.adopt(repo.find_model("one"), reporter=Quiet())
    assert roles() == [*own, ("one_target", REPLAY)]
    found = forecast(repo, asked())
    assert found.bake is not None
    assert [round(part, 3) for _, part in found.bake.mix] == [0.64, 0.2, 0.16]
    show_check(Checked("x.yml", found))
    page = " ".join(capsys.readouterr().out.split())
    assert "20 % of what is learnt replays one_target" in page
    assert f"16 % {found.bake.replayed[0]}, replayed" in page
    assert f"20 % {found.bake.anchors[0]}, holds the parent" in page
    assert f"the answers of {found.bake.replayed[0]} are not in this clone's store" in page


def test_a_recorded_bake_is_planned_again_as_it_was(tmp_path: Path) -> None:
    """Whatever has been baked on top since: `bgit reproduce` looks it up so."""
    repo = made(tmp_path / "model")
    baked(repo, "one")
    text = f"{configuration('two')}  replay: 0.2\n  retention: 0.25\n"
    (repo.root / "input.yml").write_text(text, encoding="utf-8")
    git(repo.root, "commit", "-qam", "Configure two")
    plan_of_two = repo.plan()
    result = stored(repo, plan_of_two)
    repo.record(plan_of_two, result, launched=repo.launch_blob(), reporter=Quiet())
    baked(repo, "three")
    two = repo.find_bake("two")
    again = show.plan_of(repo, two)
    assert again.bake == plan_of_two.bake
    assert [target.name for target in again.targets] == [t.name for t in plan_of_two.targets]
