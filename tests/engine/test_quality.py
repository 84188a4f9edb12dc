"""Time to quality is counted, told and gone on with as it says; on a model that takes seconds."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from bakery.engine.models import models
from benchmarks.quality import cases, chart, exam, run, table, worker
from benchmarks.quality.curve import Point, best, is_due, reached
from benchmarks.quality.watch import StopLearning, Watch

POINTS = [Point(0, 10.0, 2.0), Point(1, 20.0, 1.2), Point(2, 30.0, 1.4), Point(4, 50.0, 0.2)]


@pytest.mark.parametrize(
    ("share", "seconds"),
    [(0.0, 10.0), (0.2, 15.0), (0.4, 20.0), (0.5, 30 + 20 / 3), (0.9, 50.0), (0.91, None)],
)
def test_a_share_is_reached_where_the_line_first_crosses_it(share, seconds):
    assert reached(POINTS, 2.0, share) == (None if seconds is None else pytest.approx(seconds))


def test_who_begins_beyond_a_share_has_it_at_once():
    assert reached(POINTS[1:], 2.0, 0.3) == 20.0
    assert reached([], 2.0, 0.5) is None


def test_the_best_is_not_the_last():
    assert best(POINTS[:3], 2.0) == pytest.approx(0.4)
    assert best([], 2.0) == 0.0


def test_the_model_is_measured_ever_more_seldom():
    assert [step for step in range(50) if is_due(step)] == [0, 1, 2, 3, 4, 6, 9, 13, 19, 28, 42]


class FakeExam:
    """An exam whose divergences are given, and at which every answer is the question."""

    before = 2.0

    def __init__(self, *found: float) -> None:
        self.found = list(found)

    def divergence(self, model: object) -> float:
        return self.found.pop(0)

    def answers(self, model: object, questions: list[str], most: int) -> list[str]:
        torch.rand(200, 200).svd()  # takes time, which is not to be counted
        return list(questions)


def tiny() -> cases.Case:
    return cases.named("tiny")


def test_looking_is_not_counted_and_ends_with_the_budget():
    watch = Watch(tiny(), FakeExam(2.0, 1.0), budget_s=-1.0)
    watch.begin()
    with pytest.raises(StopLearning):
        watch.look(0, None)
    assert watch.ended == "out of budget"
    before = watch.cpu_s
    watch.end(before)
    assert watch.cpu_s - before < 0.01
    assert watch.judged.keys() == {0}
    assert [point.step for point in watch.points] == [0]


def test_answers_are_judged_when_most_is_closed_and_again_at_the_end():
    watch = Watch(tiny(), FakeExam(1.0, 0.3, 0.2, 0.05), budget_s=1e9)
    watch.begin()
    for step in range(3):
        watch.look(step, None)
    with pytest.raises(StopLearning):
        watch.look(3, None)
    watch.end(watch.cpu_s)
    assert watch.judged.keys() == {1, 3}
    assert watch.ended == "95% closed"


def test_a_case_about_cost_is_measured_at_its_end_alone():
    case = cases.named("long-1")
    watch = Watch(case, FakeExam(0.5), case.budget_s)
    watch.begin()
    for step in range(5):
        watch.look(step, None)
    assert watch.points == []
    watch.end(12.0)
    assert watch.points == [Point(4, 12.0, 0.5)]


@pytest.mark.parametrize("case", cases.all_cases(), ids=lambda case: case.name)
def test_nothing_is_learnt_that_is_asked_later(case):
    sets = [set(case.train), set(case.held_out), set(case.fresh)]
    assert [len(each) for each in sets] == [len(case.train), len(case.held_out), len(case.fresh)]
    assert not sets[0] & sets[1]
    assert not sets[0] & sets[2]
    assert not sets[1] & sets[2]
    assert len(case.held_out) == cases.HELD_OUT
    assert len(case.train) == (cases.TRAINED if case.followed else cases.LONG_QUESTIONS)
    assert {*case.sides} <= {*worker.SIDES} == {*cases.NAMES} == {*chart.COLOURS}


def test_the_exam_is_kl_by_its_definition(tmp_path):
    case, path = tiny(), tmp_path / "exam"
    exam.make(case, path)
    base = models.load(exam.base_of(case), dtype="float32")
    asked = exam.Exam(path, base.chat.tokenizer)
    rows = json.loads(path.with_suffix(".json").read_text("utf-8"))["rows"]

    def log_probs(prefix: list[int], answer: list[int]) -> torch.Tensor:
        logits = base.model(torch.tensor([prefix + answer])).logits[0]
        return logits[len(prefix) - 1 : -1].double().log_softmax(-1)

    total, tokens = 0.0, 0
    with torch.no_grad():
        for row, question in zip(rows, case.held_out, strict=True):
            prompted = exam.prefix_ids(base.chat.tokenizer, case.prompt, question)
            p, q = (log_probs(ids, row["answer"]) for ids in (prompted, row["student"]))
            total, tokens = total + float((p.exp() * (p - q)).sum()), tokens + len(p)
    assert asked.divergence(base.model) == pytest.approx(total / tokens, rel=1e-3)
    assert asked.before == pytest.approx(total / tokens, rel=1e-3)
    assert len(asked.answers(base.model, case.fresh[:3], 8)) == 3


def row(case: str, side: str, seed: int, *, slow: float = 1.0) -> dict[str, object]:
    points = [[p.step, p.cpu_s * slow + seed, p.kl] for p in POINTS]
    return {
        "case": case, "side": side, "seed": seed, "before": 2.0, "points": points,
        "judged": [[4, 0.95]], "cpu_s": 52.0 * slow, "peak_mb": 1234.0, "ended": "by itself",
    }  # fmt: skip


def all_rows(seeds: int = 3) -> list[dict[str, object]]:
    return [
        row(case.name, side, seed, slow=1.0 + at)
        for case in cases.all_cases()
        for at, side in enumerate(case.sides)
        for seed in range(1, 1 + seeds)
    ]


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_tables_fit_eighty_columns(seeds, capsys):
    rows = all_rows(seeds)
    rows[0]["points"] = rows[0]["points"][:2]
    table.show(rows, cases.all_cases())
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("plain fine-tuning") for line in lines)
    assert "TRL takes 2.0x the CPU seconds and 1.00x the memory." in lines


def test_a_side_that_never_gets_there_is_told_with_its_best():
    never = [row("tiny", "trl", 1) | {"points": [[0, 1.0, 2.0], [1, 2.0, 0.5]]}]
    assert table.until(never, 0.8) == "not reached"
    assert table.until(never, 0.5) == "1.7"
    lines = table.lines(tiny(), {"ours": [row("tiny", "ours", 1)], "trl": never})
    assert any("not reached" in line and "75.0" in line for line in lines)
    assert "TRL SDFT never" in lines[-1]


def test_the_chart_has_a_line_for_each_run_of_each_side(tmp_path):
    written = chart.draw(all_rows(), cases.all_cases(), tmp_path / "quality.svg")
    assert [path.suffix for path in written] == [".svg", ".png"]
    drawn = ElementTree.fromstring(written[0].read_text("utf-8"))
    colours = [line.get("stroke") for line in drawn.iter() if line.tag.endswith("polyline")]
    # Three runs and the legend, of both cases that are followed; a run has a dot at its end.
    assert colours.count(chart.COLOURS["ours"]) == 2 * (2 * 3 + 1)
    assert chart.draw([], cases.all_cases(), tmp_path / "none.svg") == []


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(3, 40, [2, 5, 10, 20, 50]), (10, 20, [10, 20])]
)
def test_the_scale_has_round_numbers_around_all_values(low, high, expected):
    assert chart.marks(low, high) == expected


def test_a_run_goes_on_where_it_stopped(tmp_path):
    path: Path = tmp_path / "quality.jsonl"
    kept = [row("tiny", "ours", 1), row("tiny", "trl", 1) | {"error": "killed"}]
    path.write_text("".join(json.dumps(r) + "\n" for r in kept) + '{"case": "ti', encoding="utf-8")
    rows = run.read(path)
    assert rows == kept
    left = run.missing(rows, tiny(), 1, [], again=False)
    assert left == [side for side in cases.EVERYBODY if side != "ours"]
    assert run.missing(rows, tiny(), 2, ["ours"], again=False) == ["ours"]
    assert run.missing(rows, tiny(), 1, ["ours"], again=False) == []
    assert run.missing(rows, tiny(), 1, ["ours"], again=True) == ["ours"]


def test_a_result_that_was_measured_again_counts_once(tmp_path):
    path = tmp_path / "quality.jsonl"
    rows = [row("tiny", "ours", 1), row("tiny", "ours", 1, slow=2.0)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    assert run.read(path) == rows[1:]
