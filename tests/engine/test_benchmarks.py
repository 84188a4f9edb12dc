"""The benchmarks measure what they say, on a model that takes seconds."""

from __future__ import annotations

import argparse
import importlib.util
import json
import warnings

import pytest
import torch

from benchmarks import chart, reference, report, results, run
from benchmarks.cases import CASES, GRID, QUICK, chosen
from benchmarks.sides import SIDES
from benchmarks.workload import Workload

TINY = Workload(prefix=24, vocab=200, answer=6, prompts=2, samples=2, rows=4, hidden=64, layers=1)
PAIRS = Workload(
    prefix=24, vocab=200, answer=6, epochs=2, prompts=4, samples=0, rows=4, hidden=64, layers=1
)


def small(kind: str) -> Workload:
    return PAIRS if kind in ("pairs", "memory") else TINY


@pytest.mark.parametrize(
    ("kind", "side"), [(kind, side) for kind, of in SIDES.items() for side in of if side != "trl"]
)
def test_every_side_does_its_work_and_says_what_it_cost(kind, side, tmp_path):
    outcome = SIDES[kind][side](small(kind), str(tmp_path))
    assert outcome["cpu_s"] > 0
    json.dumps(outcome)


@pytest.mark.parametrize("kind", ["bake", "pairs", "sampling", "memory"])
def test_every_side_handles_the_same_number_of_tokens(kind, tmp_path):
    workload = small(kind)
    epochs = 1 if kind in ("sampling", "memory") else workload.epochs
    expected = workload.trajectories * workload.answer * epochs
    for side in ("ours", "plain"):
        assert SIDES[kind][side](workload, str(tmp_path / side))["tokens"] == expected


def test_ours_and_the_reference_begin_at_the_same_loss(tmp_path):
    ours = SIDES["pairs"]["ours"](PAIRS, str(tmp_path))
    plain = SIDES["pairs"]["plain"](PAIRS, str(tmp_path))
    assert ours["loss_first"] == pytest.approx(plain["loss_first"], rel=1e-4)
    assert ours["loss_last"] < ours["loss_first"]
    assert plain["loss_last"] < plain["loss_first"]


# TRL comes with the bench extra, which the tests do not install; `make bench-quick` runs this side.
@pytest.mark.skipif(not importlib.util.find_spec("trl"), reason="needs the bench extra")
def test_trl_trains_on_the_same_tokens(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcome = SIDES["bake"]["trl"](TINY, str(tmp_path))
    assert outcome["tokens"] == TINY.trajectories * TINY.answer
    assert outcome["steps"] == TINY.steps


def test_prompts_have_exactly_the_size_they_are_called_by():
    question = TINY.questions[0]
    assert len(TINY.ids(question, prompted=True)) == TINY.prefix + TINY.prompt
    assert len(TINY.ids(question, prompted=False)) == TINY.prompt
    assert len(TINY.tokenizer) == TINY.vocab + 1
    assert len(TINY.tokenizer.encode(PAIRS.responses[0])) == TINY.answer


def test_no_answer_ends_early():
    rows = reference.sampled(TINY, TINY.model())
    assert {len(row.answer) for row in rows} == {TINY.answer}


def test_the_reference_computes_the_divergence_by_its_definition():
    model = PAIRS.model()
    row = reference.given(PAIRS)[0]
    found = reference.backward(model, [row], 1)

    def log_probs(prefix: list[int]) -> torch.Tensor:
        logits = model(torch.tensor([[*prefix, *row.answer]])).logits[0]
        return logits[len(prefix) - 1 : -1].detach().double().log_softmax(-1)

    # A fresh adapter changes nothing, so the student is the teacher without its prefix.
    p, q = log_probs(row.teacher), log_probs(row.student)
    assert found == pytest.approx(float((p.exp() * (p - q)).sum(-1).mean()), rel=1e-4)


def test_case_names_are_unique_and_the_quick_ones_exist():
    names = [case.name for case in (*CASES, *GRID)]
    assert len(names) == len(set(names))
    assert {case.name for case in chosen([], quick=True)} == set(QUICK)


def test_every_case_is_made_of_sides_that_exist():
    for case in (*CASES, *GRID):
        assert {*case.sides, *case.left_out} == set(SIDES[case.kind])


def measured(path, repeats=3):
    results.append(path, results.description())
    for case in (*CASES, *GRID):
        for at, side in enumerate(case.sides):
            for repeat in range(repeats):
                cost = {"cpu_s": 1.5 * 10**at + repeat, "wall_s": 99.0, "grown_mb": 1234.5}
                row = {"case": case.name, "side": side, "repeat": repeat, "tokens": 64}
                results.append(path, row | cost)
    return path


def test_every_table_fits_eighty_columns(tmp_path, capsys):
    report.show(measured(tmp_path / "results.jsonl"))
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert any(line.startswith("prefix 4,096, 3 epochs") for line in lines)


def test_a_torn_last_line_is_no_result(tmp_path):
    path = measured(tmp_path / "results.jsonl", repeats=1)
    whole = results.read(path)[1]
    with path.open("a") as file:
        file.write('{"case": "bake-64x1", "si')
    assert results.read(path)[1] == whole


def asked(path, *, resume):
    return argparse.Namespace(file=path, resume=resume)


def test_a_run_that_was_stopped_knows_what_it_has(tmp_path):
    path = measured(tmp_path / "results.jsonl", repeats=1)
    results.append(path, {"case": "step-2k", "side": "ours", "repeat": 1, "error": "killed"})
    found, done = run.opened(asked(path, resume=True))
    assert found == path
    assert ("bake-64x1", "trl", 0) in done
    assert ("step-2k", "ours", 1) not in done


def test_results_of_two_versions_of_the_code_never_mix(tmp_path):
    path = tmp_path / "results.jsonl"
    results.append(path, results.description() | {"code": "another"})
    with pytest.raises(SystemExit, match="other code"):
        run.opened(asked(path, resume=True))


def test_the_chart_names_every_bake(tmp_path):
    _, rows = results.read(measured(tmp_path / "results.jsonl"))
    chart.draw(results.figures(rows), tmp_path / "speed.svg")
    drawn = (tmp_path / "speed.svg").read_text(encoding="utf-8")
    assert "prefix 1,024" in drawn
    assert drawn.count('class="ours" cx') == 1 + len(
        [case for case in CASES if case.kind in ("bake", "pairs")]
    )
