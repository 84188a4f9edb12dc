"""The check for a GPU says what is wrong and what is missing, on a CPU and at a small size."""

from __future__ import annotations

import importlib.util
import json
import sys

import pytest
import torch

from benchmarks.gpu import __main__ as program
from benchmarks.gpu import agreement, cases, kernels, running, speed, subjects, table
from benchmarks.gpu.cases import FULL, SMALL, Case

SHAPE = SMALL.shapes["small"]


def test_all_cases_end_within_eight_minutes():
    budgets = [case.budget_s for case in cases.cases(FULL, given=False)]
    assert sum(budgets) <= cases.LIMIT_S < 8 * 60


def test_a_given_model_is_held_to_the_cpu_and_measured():
    named = [case.name for case in cases.cases(FULL, given=True)]
    assert {"agreement:given", "speed:given"} < set(named)
    assert len(named) == len(set(named))


@pytest.mark.parametrize("side", ["ours", "plain"])
def test_a_loss_is_within_its_rounding_of_the_definition(side):
    rows = list(kernels.measure(side, SHAPE, SMALL, "cpu"))
    assert [row["loss"] for row in rows] == list(kernels.KINDS)
    assert not any(row["is_off"] for row in rows)
    assert all(row["seconds"] > 0 for row in rows)


def test_a_loss_that_is_off_by_more_is_not_timed(monkeypatch):
    right = kernels._SIDES["ours"]

    def wrong(kind):
        loss = right(kind)
        return lambda *given: 1.02 * loss(*given)

    monkeypatch.setitem(kernels._SIDES, "ours", wrong)
    row = next(kernels.measure("ours", SHAPE, SMALL, "cpu"))
    assert row["is_off"]
    assert row["value_off"] == pytest.approx(0.02, abs=0.005)
    assert "seconds" not in row


def test_a_value_that_is_no_number_is_off(monkeypatch):
    monkeypatch.setitem(
        kernels._SIDES, "ours", lambda _: lambda student, *_: student.float().sum() * float("nan")
    )
    assert next(kernels.measure("ours", SHAPE, SMALL, "cpu"))["is_off"]


def test_the_trainer_in_bf16_says_what_the_definition_says_in_fp32():
    subject = subjects.random(SHAPE, SMALL.agreement, "cpu")
    found = agreement.measure(subject, SMALL.agreement, "cpu")
    assert not found["is_off"]
    assert found["loss_off"] < found["loss_allowed"] == 2**-8 * 5**0.5
    assert found["loss_cpu_fp32"] > 0.1
    assert 0 < found["gradient_off"] < found["gradient_allowed"]


def test_a_loss_of_the_trainer_that_is_two_per_cent_off_is_found(monkeypatch):
    right = agreement.plain
    monkeypatch.setattr(
        agreement, "plain", lambda *given: (1.02 * right(*given)[0], right(*given)[1])
    )
    subject = subjects.random(SHAPE, SMALL.agreement, "cpu")
    assert agreement.measure(subject, SMALL.agreement, "cpu")["is_off"]


def test_a_real_model_is_loaded_in_bf16_and_asked():
    subject = subjects.given("tiny", SMALL.agreement)
    assert {p.dtype for p in subject.base.parameters()} == {torch.bfloat16}
    assert not agreement.measure(subject, SMALL.agreement, "cpu")["is_off"]


def test_sampling_and_training_are_counted_from_what_was_run():
    subject = subjects.random(SHAPE, SMALL.speed, "cpu")
    decoder, head = subject.products()
    assert decoder == 2 * (64 * 32 * (2 * 2 + 2 * 1) + 3 * 64 * 128)
    assert head == 64 * 501
    found = speed.measure(subject, SMALL, "cpu")
    work = SMALL.speed
    assert found["sampled_tokens"] == work.prompts * work.samples * work.answer
    assert found["steps"] == work.epochs * work.trajectories // work.rows - SMALL.warm_up
    assert found["training_tokens_s"] > found["sampling_tokens_s"] > 0


def ended(code: str, **changed: float | bool) -> tuple[Case, running.Row]:
    """Return a case whose process runs some Python, and what became of it."""
    case = Case("speed", "x", **{"budget_s": 30.0, **changed})
    return case, running.of(case, [sys.executable, "-c", code], device="cpu", left_s=30.0)


def test_a_case_that_takes_too_long_is_cut_and_keeps_what_it_had():
    code = "import time; print('{\"step\": 1}', flush=True); time.sleep(60)"
    case, row = ended(code, budget_s=1.0)
    assert (row["status"], row["found"]) == ("cut", [{"step": 1}])
    assert row["why"] == "cut after 1 s"
    assert not running.has_failed(case, row)


def test_a_case_for_which_no_time_is_left_says_so():
    case = Case("agreement", "x", 60.0)
    row = running.of(case, ["false"], device="cpu", left_s=0.0)
    assert (row["status"], row["why"]) == ("cut", "no time is left")
    assert running.has_failed(case, row)


def test_what_a_process_died_of_is_said_and_fails_what_is_ours():
    case, row = ended("raise SystemExit('CUDA out of memory')")
    assert (row["status"], row["why"]) == ("failed", "CUDA out of memory")
    assert running.has_failed(case, row)
    assert not running.has_failed(Case("loss", "liger", 1.0, is_needed=False), row)


@pytest.mark.parametrize(("is_off", "code"), [(True, 1), (False, 0)])
def test_the_exit_code_is_1_where_a_loss_is_off(is_off, code, monkeypatch, tmp_path, capsys):
    found = {
        "layers": 2, "loss_cpu_fp32": 0.4, "loss_off": 0.02, "loss_allowed": 0.0087,
        "gradient_off": 0.01, "gradient_allowed": 0.025, "is_off": is_off,
    }  # fmt: skip
    worker = [sys.executable, "-c", f"print({json.dumps(found)!r})"]
    monkeypatch.setattr(running, "worker", lambda *_: worker)
    out = tmp_path / "gpu.json"
    assert program.main(["--small", "--only", "agreement", "--out", str(out)]) == code
    assert ("OFF" in capsys.readouterr().out) == is_off
    report = json.loads(out.read_text())
    assert (report["schema"], report["passed"]) == (1, not is_off)
    assert report["cases"][0]["found"] == [found]


@pytest.mark.parametrize("side", ["liger", "triton", "compiled"])
def test_what_is_not_installed_is_named_and_not_skipped_in_silence(side, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    case = Case("loss", side, 1.0, is_needed=False)
    row = running.of(case, ["false"], device="cuda", left_s=9.0)
    assert row["status"] == "not here"
    assert "pip install" in row["why"]
    said = table.losses([row])
    assert any("not here: " in line for line in said)


def full_report() -> running.Row:
    """Return a report as long as one can be: of a GPU, with everything that a table says."""
    machine = {"processor": "x", "device": "NVIDIA H100 80GB HBM3", "memory_gb": 85.0, "cuda": "13"}
    one = {"value_off": 0.001, "gradient_off": 0.002, "value_allowed": 0.0039, "seconds": 1.2345,
           "grown_mb": 31234.0, "positions": 4096, "hidden": 4096, "vocabulary": 151936,
           "is_off": False}  # fmt: skip
    found = {
        "agreement": [{"loss_cpu_fp32": 1.234, "loss_off": 0.01234, "loss_allowed": 0.0295,
                       "gradient_off": 0.0234, "gradient_allowed": 0.0834, "is_off": True}],
        "loss": [one | {"loss": kind} for kind in kernels.KINDS],
        "speed": [{"sampling_tokens_s": 123456.7, "sampling_share": 0.4321, "sampling_gb": 71.2,
                   "training_tokens_s": 234567.8, "training_share": 0.5432, "training_gb": 72.3,
                   "matrix_peak_tflops": 789.0}],
    }  # fmt: skip
    rows = [
        {"case": case.name, "kind": case.kind, "what": case.what, "status": "ok",
         "found": found[case.kind]}
        for case in cases.cases(FULL, given=True)
    ]  # fmt: skip
    rows[0] |= {"status": "cut", "why": "cut after 55 s"}
    rows[-1] |= {"status": "failed", "why": "CUDA out of memory. " * 9, "found": []}
    return {
        "schema": 1, "size": "full", "device": "cuda", "model": "/models/" + "a" * 60,
        "started": "2026-12-01T00:00:00Z", "seconds": 400.0, "passed": False, "machine": machine,
        "versions": {"torch": "2.13.0", "triton": "3.9.0", "trl": "-"}, "cases": rows,
    }  # fmt: skip


def test_every_line_fits_eighty_columns():
    lines = table.lines(full_report())
    assert max(map(len, lines)) <= table.WIDTH
    assert any(line.startswith("Liger, fused linear JSD") for line in lines)
    assert "OFF" in "\n".join(lines)


# What only a card can say: `make bench-gpu` says it, too.
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("side", cases.SIDES)
def test_every_side_that_is_there_is_right_on_a_gpu(side):
    if kernels.missing(side, "cuda"):
        pytest.skip(f"{side} is not installed")
    rows = list(kernels.measure(side, SHAPE, SMALL, "cuda"))
    assert not any(row["is_off"] for row in rows)


# Twenty seconds of it are a C++ compiler's.
@pytest.mark.slow
def test_all_of_it_runs_where_there_is_no_gpu(tmp_path, capsys):
    out = tmp_path / "gpu.json"
    assert program.main(["--small", "--out", str(out)]) == 0
    report = json.loads(out.read_text())
    assert {row["status"] for row in report["cases"]} <= {"ok", "not here"}
    assert len(report["cases"]) == len(cases.cases(SMALL, given=False))
    assert max(map(len, capsys.readouterr().out.splitlines()[:-1])) <= table.WIDTH
