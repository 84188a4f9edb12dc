"""What stages take, worked out beforehand, against what they took (docs/log.md)."""

from __future__ import annotations

import json

import pytest

from bakery import costs
from bakery.app import foreseen, run
from bakery.app.check import Checked, check
from bakery.costs import Answers, Pairs, Shape
from bakery.engine.bases import bases, machine
from bakery.errors import ConfigError
from bakery.identity import BaseModelId
from bakery.repo.look.check import forecast
from bakery.repo.look.estimates import Machine, length_of_answers
from bakery.repo.look.rates import Rates
from bakery.reporting import Quiet
from bakery.ui.check import show_check
from tests.support.recorded import configuration, git, made, planned

SMOL = Shape(134_515_008, 30, 576, 1536, 49_152, 2 * 30 * 3 * 64, 4)
TINY = machine.shape_of(bases.identify("tiny"), "float32")
RATE = 6.5e10
"""One thread of the machine on which all of this was measured."""


@pytest.mark.parametrize(
    ("shape", "asked", "lists", "seconds", "peak_mb"),
    [
        (SMOL, Answers(250, 35, 512, 17, 130), 0, 205, 1914),
        (SMOL, Answers(83, 16, 64, 37, 130), 1, 63, 1925),
        (SMOL, Answers(12, 18, 32, 10, 110), 0, 15.9, 1026),
        (TINY, Answers(200, 22, 96, 21, 13), 0, 10.3, 543),
        (TINY, Answers(100, 16, 48, 5), 0, 9.2, 478),
    ],
    ids=["persona", "its questions", "twelve", "tutorial", "its questions"],
)
def test_sampling_takes_about_what_it_took(shape, asked, lists, seconds, peak_mb):
    found = costs.sampling(shape, RATE, asked, lists=lists)
    within(found.seconds + costs.loading(shape), seconds, found.memory, peak_mb)


@pytest.mark.parametrize(
    ("shape", "pairs", "seconds", "peak_mb"),
    [
        (SMOL, Pairs(225, 25, 50, 130, 529, 1, 4, 4, 32, 8192), 299, 3034),
        (SMOL, Pairs(11, 1, 28, 110, 42, 1, 1, 1, 32, 8192), 31, 1361),
        (TINY, Pairs(160, 40, 43, 13, 117, 1, 4, 4, 16, 8192), 17.3, 659),
    ],
    ids=["persona", "twelve", "tutorial"],
)
def test_training_takes_about_what_it_took(shape, pairs, seconds, peak_mb):
    found = costs.training(shape, RATE, pairs)
    within(found.seconds + costs.loading(shape), seconds, found.memory, peak_mb)


def within(seconds, took, memory, peak_mb):
    assert took / 1.5 < seconds < took * 1.5
    assert peak_mb / 1.5 < memory / 1e6 < peak_mb * 1.5


def test_a_file_that_has_to_be_unpacked_takes_longer_and_holds_two_copies():
    packed = Shape(**{**{k: getattr(SMOL, k) for k in SMOL.__slots__}, "is_packed": True})
    assert costs.loading(packed) > costs.loading(SMOL) + 10
    few = Answers(1, 8, 8, 8)
    more = costs.sampling(packed, RATE, few).memory - costs.sampling(SMOL, RATE, few).memory
    assert more == SMOL.weights


def test_as_many_answers_are_learnt_at_once_as_fit():
    state = SMOL.state_bytes(rank=32)
    for rows in (1, 3, 4, 9):
        budget = state + rows * 500 * SMOL.token_bytes + 1
        found = costs.fitting(SMOL, rank=32, tokens=500, budget=budget, most=4)
        assert found == min(rows, 4)
    assert costs.fitting(SMOL, rank=32, tokens=500, budget=0, most=4) == 1


def test_the_shape_of_the_embedded_model_is_read_from_its_files():
    assert TINY is not None
    assert (TINY.layers, TINY.hidden, TINY.wide, TINY.vocabulary) == (6, 192, 512, 2048)
    assert TINY.keys == 2 * 6 * 3 * 64
    assert TINY.parameters == pytest.approx(3.05e6, rel=0.01)
    assert machine.shape_of(bases.identify("tiny")).itemsize == 2  # as it is stored


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"num_hidden_layers": "x"}'])
def test_a_base_whose_files_say_little_has_no_shape(tmp_path, text):
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    base = BaseModelId(str(tmp_path), "", "0" * 64)
    assert machine.shape_of(base) is None
    assert machine.shape_of(BaseModelId("Qwen/Qwen3-0.6B", "", "0" * 64)) is None


@pytest.fixture
def repo(tmp_path, monkeypatch):
    repo = made(tmp_path / "model")
    monkeypatch.chdir(repo.root)
    return repo


def test_the_first_run_has_estimates_of_every_stage(repo, capsys):
    plan = planned(repo, configuration("one"))
    found = forecast(repo, plan, run.machine(plan))
    cost = found.cost
    assert cost.seconds["stim"] == 0.0  # it is all written out
    assert cost.worked_out == ("rollout", "bake")
    assert all(cost.seconds[stage] > 1 for stage in cost.worked_out)
    assert cost.memory_bytes.keys() == {"rollout", "bake"}
    show_check(Checked("input.yml", found))
    shown = capsys.readouterr().out
    assert "rollout, bake by the size of the base and the speed of this machine" in shown
    assert "memory" in shown
    assert "unknown" not in shown.split("time")[1]


def test_what_was_measured_comes_before_what_is_worked_out(repo):
    plan = planned(repo, configuration("one"))
    folder = repo.store.target("b" * 16)
    folder.mkdir(parents=True)
    (folder / "done.json").write_text('{"count": 2, "seconds": 4.0}', encoding="utf-8")
    rows = [{"response_ids": [1] * n} for n in (10, 30)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "trajectories.jsonl").write_text(text, encoding="utf-8")
    assert TINY is not None
    cost = forecast(repo, plan, Machine(TINY, RATE)).cost
    assert cost.seconds["rollout"] == 8.0
    assert cost.worked_out == ("bake",)


def test_answers_of_a_short_limit_are_as_long_as_it():
    assert length_of_answers(8) == 8
    assert 12 < length_of_answers(512) < 100


def test_a_training_until_it_holds_says_what_every_round_would_take(repo, capsys):
    text = configuration("one")
    once = forecast(repo, planned(repo, text), Machine(TINY, RATE)).cost
    assert once.most_seconds == {}
    found = forecast(repo, planned(repo, text + "  epochs: auto\n"), Machine(TINY, RATE))
    assert found.bake is not None
    rounds = found.bake.most_epochs - found.bake.epochs
    least, most = found.cost.seconds["bake"], found.cost.most_seconds["bake"]
    assert least > once.seconds["bake"]  # it looks at least once
    assert most > least + rounds * (least - once.seconds["bake"])  # a look and an epoch each
    show_check(Checked("input.yml", found))
    shown = capsys.readouterr().out
    assert "bake up to about " in shown
    assert ", if it takes every round" in shown
    none = planned(repo, text + "  epochs: auto\n  max_epochs: 1\n")
    cost = forecast(repo, none, Machine(TINY, RATE)).cost
    assert (cost.seconds["bake"], cost.most_seconds) == (least, {})


def test_fewer_epochs_than_a_training_begins_with_are_refused(repo):
    auto = configuration("one") + "  epochs: auto\n"
    usual = planned(repo, auto)
    found = forecast(repo, usual).bake
    assert found is not None
    assert 1 < found.epochs < 12  # else there is nothing to test
    foreseen.check_epochs(repo, planned(repo, configuration("one")))
    foreseen.check_epochs(repo, usual)
    foreseen.check_epochs(repo, planned(repo, f"{auto}  max_epochs: {found.epochs}\n"))
    few = f"{auto}  max_epochs: {found.epochs - 1}\n"
    with pytest.raises(ConfigError, match=f"BAKE.max_epochs is {found.epochs - 1}, but") as error:
        foreseen.check_epochs(repo, planned(repo, few))
    assert f"Set it to {found.epochs} at least" in str(error.value.hint)
    (repo.root / "input.yml").write_text(few, encoding="utf-8")
    refused = check(repo).error
    assert refused is not None
    assert refused.message == error.value.message
    git(repo.root, "add", "input.yml")
    git(repo.root, "commit", "-qm", "Bake", "--", "input.yml")
    with pytest.raises(ConfigError, match=r"BAKE\.max_epochs is"):
        run.run(repo, reporter=Quiet())


def test_steps_of_rounds_that_were_not_kept_count_in_what_a_step_takes(repo):
    folder = repo.store.bake("c" * 16)
    folder.mkdir(parents=True)
    (folder / "done.json").write_text('{"schema": 1}', encoding="utf-8")
    result = {"step": 10, "training": {"global_batch": 4}, "seconds": {"bake": 40.0}}
    for until, taken in ({}, 1.0), ({"kept": 0, "rounds": [{"step": 10}, {"step": 20}]}, 0.5):
        text = json.dumps({**result, "until": until})
        (folder / "bake.json").write_text(text, encoding="utf-8")
        assert Rates.measured(repo.store).pair_s == taken
