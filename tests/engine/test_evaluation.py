"""Every axis, measured on small random models that were really baked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bakery import held_out
from bakery.backends.local import LocalModel
from bakery.engine.models.strength import Dial
from bakery.evals.chain import Chain
from bakery.evals.cost import Spent
from bakery.evals.evaluation import Material, measure
from bakery.evals.figures import Axis
from bakery.evals.forgetting import Link
from bakery.evals.ifeval.score import read
from bakery.evals.lab import Case, Lab
from bakery.evals.sides import of_bake
from bakery.evals.subject import Asked, Subject
from bakery.evals.suites import SUITES, suite
from bakery.records import Prompt
from bakery.reporting import Quiet
from bakery.store import results
from tests.support.baking import NOTHING, Bench
from tests.support.models import random_model

SING = Prompt(({"role": "system", "content": "Sing. Sing. Sing. Sing. Sing. Sing. Sing."},))
PIRATE = Prompt(({"role": "system", "content": "You are a pirate and sing all day long, loudly."},))
SMALL = replace(
    SUITES["quick"], questions=24, neutral=4, tokens=6, turn_tokens=4, turns=(1, 2, 4),
    timings=2, instruction_tokens=8,
    axes=(*SUITES["quick"].axes, "capability"),
)  # fmt: skip
ROWS = [
    (1, {"prompt": "Say it.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}),
    (2, {"prompt": "Do it.", "instruction_id_list": ["new:kind"], "kwargs": [{}]}),
]


@dataclass(frozen=True)
class Baked:
    """Two bakes, the second on top of the first, and what was measured of the second."""

    first: dict[str, Any]
    second: dict[str, Any]
    lab: Lab
    chain: Chain
    material: Material
    axes: tuple[Axis, ...]

    def axis(self, name: str) -> Axis:
        return next(axis for axis in self.axes if axis.name == name)

    def value(self, axis: str, name: str) -> float:
        figure = self.axis(axis).figure(name)
        assert figure is not None
        assert figure.value is not None
        return figure.value


def subject(bench: Bench, made: dict[str, Any], teacher: Prompt) -> Subject:
    """The held-out questions of a bake, with their recorded answers."""
    target = made["targets"][0]
    stimuli = {s.id: s for s in results.stimuli(bench.root / "stim" / target["stim_id"])}
    rows = {t.stimulus_id: t for t in results.trajectories(bench.root / "target" / target["id"])}
    out = held_out.chosen(rows, rows, held_out.rule(spares_hardcoded=False), None)
    asked = tuple(Asked(stimuli[i].messages, (rows[i].response_ids,)) for i in sorted(out))
    return Subject(f"t_{target['id']}", teacher, NOTHING, asked, "held-out questions")


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory) -> Baked:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("evaluated")
    bench = Bench(root / "store", random_model(root / "model"))
    first = bench.bake(questions=100, epochs=2, teacher=PIRATE)
    second = bench.bake(questions=100, epochs=2, teacher=SING, parent=first)
    folder = Path(second["folder"])
    local = LocalModel(bench.base(), parent=folder)
    sides = of_bake(local, Dial(local.model, folder), SING, NOTHING)
    subjects = (subject(bench, second, SING),)
    links = (
        Link(first["bake_id"], "one", (subject(bench, first, PIRATE),)),
        Link(second["bake_id"], "two", subjects),
    )
    material = Material(
        subjects, ("Why?", "Who?", "Where is it?", "What now?"), "general questions",
        tuple(read(ROWS, "x")), "x", "Sing. Sing.", links, Spent(10.0, folder / results.WEIGHTS),
    )  # fmt: skip
    chain = Chain(local, folder)
    axes = measure(sides, chain, material, SMALL, reporter=Quiet())
    return Baked(first, second, Lab.of(sides, SMALL), chain, material, axes)


def test_fidelity_is_that_of_the_card(baked: Baked) -> None:
    card = baked.second["card"]
    assert baked.axis("fidelity").figures[0].n == card["held_out"] == 20
    assert baked.value("fidelity", "forward_kl") == pytest.approx(card["kl_after"], rel=1e-4)
    assert baked.value("fidelity", "forward_kl_parent") == pytest.approx(
        card["kl_before"], rel=1e-4
    )
    assert baked.value("fidelity", "gap_closed") == pytest.approx(card["gap_closed"], rel=1e-4)
    assert baked.value("fidelity", "top1") == pytest.approx(card["top1_agreement"], rel=1e-4)


def test_every_axis_has_figures_with_counts_and_what_it_was_measured_on(baked: Baked) -> None:
    assert [axis.name for axis in baked.axes] == list(SMALL.axes)
    for axis in baked.axes:
        assert axis.figures, axis.why
        assert axis.on
        assert all(one.n > 0 and one.of for one in axis.figures), axis.name
        for one in axis.figures:
            if one.low is not None and one.high is not None and one.value is not None:
                assert one.low - 1e-9 <= one.value <= one.high + 1e-9, one.name


def test_a_side_is_no_distance_from_itself(baked: Baked) -> None:
    case = Case(({"role": "user", "content": "q1 what?"},), (5, 6, 7))
    said = baked.lab.read("baked", [case])
    (near,) = baked.lab.near(said, said)
    assert (near.forward, near.reverse, near.top1, near.top5) == (0.0, 0.0, 3, 3.0)


def test_divergences_are_those_of_the_definition(baked: Baked) -> None:
    cases = [Case(({"role": "user", "content": "q2 what?"},), (9, 4, 11, 3))]
    first, second = (baked.lab.read(side, cases) for side in ("prompted", "baked"))
    (near,) = baked.lab.near(first, second)
    p, q = (baked.lab.readout.logits(x[0]).softmax(-1) for x in (first, second))
    each = (p * (p.log() - q.log())).sum(-1)
    assert near.forward == pytest.approx(float(each.sum()), rel=1e-4)
    assert near.worst == pytest.approx(float(each.max()), rel=1e-4)
    assert near.reverse == pytest.approx(float((q * (q.log() - p.log())).sum()), rel=1e-4)


def test_at_the_first_turn_the_prompted_parent_is_itself(baked: Baked) -> None:
    assert baked.value("persistence", "prompted_kl_1") == pytest.approx(0.0, abs=1e-6)
    assert baked.value("persistence", "prompted_kept_1") == pytest.approx(1.0, abs=1e-6)
    later = baked.value("persistence", "prompted_kl_4")
    assert later > 1e-4
    rows = [row["turn"] for row in baked.axis("persistence").rows]
    assert rows == [1, 2, 4]


def test_a_conversation_that_does_not_fit_is_said(baked: Baked) -> None:
    from bakery.evals.persistence import persistence

    long = replace(baked.lab, suite=replace(SMALL, turns=(1, 64)))
    found = persistence(long, baked.material.subjects[0], baked.material.neutral)
    figure = found.figure("baked_kept_64")
    assert figure is not None
    assert figure.value is None
    assert "does not fit the context" in figure.why
    assert found.figure("baked_kept_1").value is not None


def test_the_matrix_has_every_earlier_target_after_every_bake_since(baked: Baked) -> None:
    rows = baked.axis("forgetting").rows
    assert [(row["of"], row["after"]) for row in rows] == [
        ("one", baked.first["bake_id"]),
        ("one", baked.second["bake_id"]),
        ("two", baked.second["bake_id"]),
    ]
    # As its own card says, though the first bake is now a part of another adapter.
    assert rows[0]["kl"] == pytest.approx(baked.first["card"]["kl_after"], rel=1e-3)
    assert rows[2]["kl"] == pytest.approx(baked.value("fidelity", "forward_kl"), rel=1e-4)
    lost = rows[0]["gap_closed"] - rows[1]["gap_closed"]
    assert baked.value("forgetting", "most_forgotten") == pytest.approx(lost, rel=1e-6)


def test_a_chain_leaves_the_model_as_it_was(baked: Baked) -> None:
    case = [Case(({"role": "user", "content": "q3 what?"},), (8, 2))]
    (before,) = baked.lab.read("baked", case)
    with baked.chain.first(1):
        (within,) = baked.lab.scored([NOTHING], case)
    (after,) = baked.lab.read("baked", case)
    assert torch.equal(before, after)
    assert not torch.equal(before, within)


def test_unknown_instructions_are_left_out_and_said(baked: Baked) -> None:
    axis = baked.axis("capability")
    assert axis.figures[0].n == 1
    lost = [axis.figure(name) for name in ("points_lost_prompted", "points_lost")]
    assert all(one is not None and one.value in (-100, 0, 100) for one in lost)
    assert "1 instructions of unknown kinds left out: new:kind" in axis.on


def test_a_bake_that_saves_no_time_never_breaks_even(baked: Baked) -> None:
    from bakery.evals.cost import _even

    assert _even("x", 10.0, [2.0, 3.0], [1.0, 2.0]).value == pytest.approx(10.0)
    assert _even("x", 10.0, [1.0], [1.0]).why == "never: it saves no time"
    assert baked.value("cost", "adapter_mb") > 0
    assert baked.value("cost", "prompt_tokens_saved") > 0


def test_a_suite_of_one_axis_measures_that_alone(baked: Baked) -> None:
    one = replace(suite("quick", ("drift",), 2), tokens=4)
    (axis,) = measure(baked.lab.sides, None, baked.material, one, reporter=Quiet())
    assert (axis.name, axis.figures[0].n) == ("drift", 2)
    assert axis.on.startswith("2 general questions")


def test_the_answers_of_an_axis_are_counted_over_all_its_batches(baked: Baked) -> None:
    told: list[str] = []

    class Told(Quiet):
        def progress(self, label: str, done: int, total: int, detail: str = "") -> None:
            told.append(detail)

    one = replace(suite("quick", ("persistence",), 2), tokens=4)
    measure(baked.lab.sides, None, baked.material, one, reporter=Told())
    counts = [int(text.split()[1]) for text in told if text.endswith(" answers")]
    assert told[0] == "persistence"
    assert counts == sorted(counts)
    assert counts[-1] == 3 * one.conversations * (max(one.turns) - 1)  # by three sides
