"""Replayed answers and anchors: how often an epoch has them, and what they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bakery import held_out
from bakery.engine.text.views import Pair
from bakery.evals.neutral import ANCHORS
from bakery.identity import BakeRequest, StimRequest
from bakery.records import Prompt, Stimulus, read_rows
from bakery.shares import REPLAY, RETENTION
from bakery.stages import bake, stim
from bakery.stages.anchors import MOVED
from bakery.stages.mix import Mix, mix
from bakery.stages.parts import TargetData, of_target
from bakery.store import results
from tests.engine.test_mix import write
from tests.support.baking import NOTHING, SHOUT, Bench, training

WISE = Prompt(({"role": "system", "content": "Be wise."},))

Target = tuple[Prompt, int, float, str]
"""Teacher, questions, weight, role."""


def prepared(
    bench: Bench, targets: Sequence[Target], **changes: Any
) -> tuple[BakeRequest, list[TargetData]]:
    """Return the request of a bake over several targets, and their data."""
    data = []
    for teacher, questions, weight, role in targets:
        (found,) = bench.prepare(teacher, NOTHING, questions, None)[1]
        share = replace(found.share, name=f"{role}_{found.share.id}", weight=weight, role=role)
        data.append(TargetData(share, found.stim_dir, found.target_dir))
    shares = tuple(target.share for target in data)
    return BakeRequest(shares, training(**changes), bench.base_id, None, 4), data


def mixed(bench: Bench, *targets: Target, far: Any = None, **changes: Any) -> Mix:
    request, data = prepared(bench, targets, **changes)
    base = bench.base()
    return mix(data, base.chat, request.training, context=base.context, far=far)


def counted(made: Mix) -> list[int]:
    """Return how many of the answers of an epoch are of each target."""
    owners = [pair.key.split("/")[0] for pair in made.learnt]
    return [owners.count(target["id"]) for target in made.targets]


NEW: Target = (SHOUT, 20, 1.0, "")


@pytest.mark.parametrize(("replay", "again"), [(0.25, 6), (0.1, 2), (0.5, 18), (0.75, 54)])
def test_what_is_replayed_is_its_share_of_an_epoch(bench: Bench, replay: float, again: int) -> None:
    made = mixed(bench, NEW, (WISE, 20, replay, REPLAY))
    assert counted(made) == [18, again]  # 18 of 20 are not held out
    assert made.beside == again
    assert len({pair.key for pair in made.train}) == 18 + min(again, 18)  # in turn, where few
    assert made.train[:18] == mixed(bench, NEW).train
    assert len(made.held_out) == 4  # of both


@pytest.mark.parametrize("rule", [training().held_out, held_out.rule(
    spares_hardcoded=True, learns_hardcoded=True)])  # fmt: skip
def test_what_is_replayed_is_taught_by_the_parent_and_measured_behind_its_prompt(
    bench: Bench, rule: str
) -> None:
    made = mixed(bench, NEW, (WISE, 20, 0.25, REPLAY), held_out=rule)
    of = made.targets[1]["id"]
    taught, measured = (of_target(pairs, of) for pairs in (made.train, made.measured))
    assert all(pair.is_identical for pair in taught)
    assert not any(pair.is_identical for pair in measured)
    assert len(measured) == (2 if rule == training().held_out else len(taught))
    assert {pair.key for pair in [*taught, *measured]} <= {pair.key for pair in made.scored}
    assert of_target(made.own, of) == []
    assert len(made.own) == counted(made)[0]


def test_several_are_replayed_alike_on_top_of_what_is_written_out(bench: Bench) -> None:
    replayed = [(WISE, 30, 0.125, REPLAY), (Prompt(SHOUT.messages * 2), 30, 0.125, REPLAY)]
    made = mixed(bench, NEW, *replayed, hardcoded_times=3)
    assert counted(made) == [54, 9, 9]
    assert sum("replayed" in note for note in made.notes) == 2


@pytest.mark.parametrize("weight", [0.2, 1.0, 3.0])
def test_anchors_have_their_weight_in_tokens(bench: Bench, weight: float) -> None:
    made = mixed(bench, NEW, (NOTHING, 12, weight, RETENTION))
    new, anchors = (
        [pair for pair in made.learnt if pair.is_identical is same] for same in (False, True)
    )
    longest = max(pair.num_targets for pair in anchors)
    assert tokens(anchors) == pytest.approx(weight * tokens(new), abs=longest)
    assert len(new) == 18
    assert made.targets[1]["role"] == RETENTION


def tokens(pairs: Sequence[Pair]) -> int:
    return sum(pair.num_targets for pair in pairs)


def test_how_long_it_learns_goes_by_what_is_new(bench: Bench) -> None:
    """Its 18 answers would be learnt twice, in batches of 4, to have 8 steps at least."""
    targets = [NEW, (WISE, 20, 0.5, REPLAY)]
    request, data = prepared(bench, targets, global_batch=None, steps=6, fewest_steps=8)
    result = baked(bench, request, data)
    assert (result["batch"], result["epochs"], result["step"]) == (4, 2, 18)
    assert [target.get("role") for target in result["targets"]] == [None, REPLAY]
    new, again = result["card"]["targets"].values()
    assert new["prompt_tokens_saved"] == len("<system\nSHOUT!>\n")
    assert again["prompt_tokens_saved"] == len("<system\nBe wise.>\n")
    assert again["kl_before"] > 1e-4
    assert "anchor" not in again
    assert ", which is replayed: " in again["verdict"]["reason"]
    assert "replayed" not in new["verdict"]["reason"]


def test_of_many_that_are_replayed_some_have_no_answer_in_the_mix(bench: Bench) -> None:
    rule = held_out.rule(spares_hardcoded=True, learns_hardcoded=True)
    many = [Prompt(({"role": "system", "content": f"Be {n}."},)) for n in range(4)]
    targets = [(SHOUT, 4, 1.0, ""), *((one, 4, 0.05, REPLAY) for one in many)]
    request, data = prepared(bench, targets, held_out=rule)
    result = baked(bench, request, data)
    assert sum(": 0 answers of an epoch, replayed" in note for note in result["notes"]) == 3
    cards = list(result["card"]["targets"].values())
    assert len(cards) == 5
    assert [card["kl_before"] is None for card in cards].count(True) == 3


def baked(bench: Bench, request: BakeRequest, data: list[TargetData]) -> dict[str, Any]:
    base, folder = bench.base(), bench.root / "bake" / request.id
    return bake.run(
        request, data, folder, base=base, model=base.model, parent=None, reporter=bench.reporter
    )


def test_retention_pulls_the_student_to_the_parent(bench: Bench) -> None:
    def drifted(weight: float) -> float:
        targets = [NEW, (NOTHING, 12, weight, RETENTION)]
        result = baked(bench, *prepared(bench, targets, epochs=3))
        (card,) = (one for one in result["card"]["targets"].values() if one.get("anchor"))
        kl: float = card["kl_after"]
        return kl

    assert drifted(2.0) < 0.5 * drifted(0.01)


def test_general_anchors_are_asked_as_they_stand_and_count_as_nobodys(bench: Bench) -> None:
    request = StimRequest(NOTHING, ({"type": "anchors", "questions": list(ANCHORS)},), {})
    folder = bench.root / "stim" / request.id
    assert stim.run(request, folder, open_writer=asks_nobody, reporter=bench.reporter) == 40
    rows = results.stimuli(folder)
    assert [row.messages[0]["content"] for row in rows] == list(ANCHORS)
    assert {(row.writer, row.is_written_out) for row in rows} == {("bakery", False)}


def asks_nobody(model: str | None) -> Any:
    raise AssertionError("no model writes them")


def test_an_anchor_that_the_new_prompt_is_about_is_left_out(bench: Bench) -> None:
    request, data = prepared(bench, [NEW, (NOTHING, 12, 0.5, RETENTION)])
    rows = data[1].stim_dir / results.STIMULI
    asked = [replace(one, generator="anchors") for one in read_rows(rows, Stimulus)]
    write(rows, asked, data[1].stim_dir / results.DONE)
    base, about = bench.base(), {one.id for one in asked[:5]}

    def made(nats: float, others: float = 0.0) -> Mix:
        def far(pairs: Sequence[Pair]) -> list[float]:
            assert not any(pair.is_identical for pair in pairs)  # behind the new prompt
            return [nats if pair.key.split("/")[1] in about else others for pair in pairs]

        return mix(data, base.chat, request.training, context=base.context, far=far)

    assert not any("left out" in note for note in made(MOVED - 0.01).notes)
    some = made(MOVED)
    assert any("5 of 12 questions are left out" in note for note in some.notes)
    held = {pair.key.split("/")[1] for pair in [*some.learnt, *some.held_out] if pair.is_identical}
    assert held
    assert not held & about
    none = made(MOVED, MOVED)
    assert [target["id"] for target in none.targets] == [data[0].share.id]
    assert any("12 of 12 questions are left out" in note for note in none.notes)
    assert none.beside == 0
