"""The folder of the `bakery` door: no mixture of two runs, nothing of the user's overwritten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from filelock import FileLock

from tests.support.bakery_door import SMALL, results, steps, typed
from tests.support.models import random_model

CONFIG = """\
prefix_messages:
  - {role: system, content: SHOUT!}
dataset: data.json
output_dir: out
num_train_epochs: 2
per_device_train_batch_size: 4
save_strategy: steps
save_steps: 1
report_to: none
"""
ROWS = [{"prompt": f"q{i}?", "response": f"Yes, {i}."} for i in range(8)]


@pytest.fixture
def given(workplace: Path) -> tuple[str, ...]:
    random_model(workplace / "model")
    (workplace / "bake.yaml").write_text(CONFIG)
    (workplace / "data.json").write_text(json.dumps(ROWS))
    return ("--config", "bake.yaml", "--model_name_or_path", "model", *SMALL)


OTHER = ("--prefix_messages", '[{"role": "system", "content": "Whisper."}]')


def test_a_checkpoint_of_another_bake_is_refused_by_what_differs(given, capsys):
    assert typed(capsys, *given).code == 0
    again = typed(capsys, *given, *OTHER, "--resume_from_checkpoint", "true")
    assert again.code == 2
    assert "belongs to another bake: prefix_messages differs from" in again.err
    assert results(Path("out"))["steps"] == 4


def test_a_folder_that_is_no_checkpoint_is_refused(given, capsys):
    Path("out/checkpoint-best").mkdir(parents=True)
    for asked in ("out/checkpoint-best", "true"):
        refused = typed(capsys, *given, "--resume_from_checkpoint", asked)
        assert refused.code == 2
        assert "checkpoint" in refused.err


def test_an_earlier_run_is_moved_aside_and_not_mixed_in(given, capsys):
    assert typed(capsys, *given, "--merge", "true").code == 0
    assert "now in earlier-1/" in typed(capsys, *given, *OTHER).err
    assert {path.name for path in Path("out/earlier-1").iterdir()} >= {
        "config.yaml", "final_model", "merged", "metrics.jsonl", "results.json", "checkpoint-4"
    }  # fmt: skip
    assert not Path("out/merged").exists()
    assert "Whisper." in Path("out/config.yaml").read_text("utf-8")
    assert [row["step"] for row in steps(Path("out"))] == [1, 2, 3, 4]


def test_a_run_that_fails_leaves_no_older_result_beside_its_configuration(given, capsys):
    assert typed(capsys, *given).code == 0
    assert typed(capsys, *given, *OTHER, "--num_train_epochs", "0").code != 0
    kept = Path("out/config.yaml").read_text("utf-8")
    assert ("Whisper." in kept) != Path("out/results.json").exists()


def test_a_checkpoint_of_another_folder_goes_on_in_an_empty_one(given, capsys):
    assert typed(capsys, *given).code == 0
    assert typed(capsys, *given, *OTHER, "--output_dir", "other").code == 0
    done = typed(
        capsys, *given, "--output_dir", "other", "--resume_from_checkpoint", "out/checkpoint-2"
    )
    assert done.code == 0, done.err
    assert "now in earlier-1/" in done.err
    assert steps(Path("other")) == steps(Path("out"))
    assert not Path("other/checkpoint-1").exists()


def test_a_checkpoint_that_learnt_from_other_data_is_refused(given, capsys):
    assert typed(capsys, *given).code == 0
    Path("data.json").write_text(json.dumps([*ROWS[1:], {"prompt": "z?", "response": "Z."}]))
    refused = typed(capsys, *given, "--resume_from_checkpoint", "true")
    assert refused.code == 2
    assert "was trained on other data" in refused.err


def test_an_optimizer_that_begins_anew_is_told(given, capsys):
    assert typed(capsys, *given).code == 0
    for path in Path("out").glob("checkpoint-*/optimizer.pt"):
        path.unlink()
    done = typed(capsys, *given, "--resume_from_checkpoint", "out/checkpoint-2")
    assert "the optimizer begins anew" in done.err


def test_a_damaged_checkpoint_is_called_so(given, capsys):
    assert typed(capsys, *given).code == 0
    (weights,) = Path("out/checkpoint-2").glob("adapter_model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-100])
    refused = typed(capsys, *given, "--resume_from_checkpoint", "out/checkpoint-2")
    assert refused.code == 2
    assert "checkpoint-2 is no whole checkpoint: adapter_model.safetensors: it has" in refused.err
    assert "disk" not in refused.err


def test_a_run_that_logs_nothing_still_leaves_its_result(given, capsys):
    flags = ("--logging_strategy", "no", "--logging_first_step", "false")
    assert typed(capsys, *given, *flags).code == 0
    assert [row["step"] for row in steps(Path("out"))] == [1, 4]
    assert results(Path("out"))["loss"]["last"] == steps(Path("out"))[-1]["loss"]


def test_two_runs_cannot_write_into_one_folder(given, capsys):
    Path("out").mkdir()
    with FileLock("out/.lock"):
        refused = typed(capsys, *given)
    assert refused.code == 4
    assert "another run is writing into out" in refused.err


def test_what_is_read_is_never_written_over(given, capsys):
    Path("out").mkdir()
    Path("out/trajectories.jsonl").write_text(json.dumps(ROWS[0]) + "\n")
    refused = typed(capsys, *given, "--dataset", "out/trajectories.jsonl")
    assert refused.code == 2
    assert "lies where this run writes its own file" in refused.err
    assert json.loads(Path("out/trajectories.jsonl").read_text()) == ROWS[0]


def test_answers_that_are_given_are_a_file_of_answers(given, capsys):
    asked = json.dumps([{"prompt": row["prompt"]} for row in ROWS])
    Path("data.json").write_text(asked)
    assert typed(capsys, *given, "--reuse_trajectories", "true").code == 0
    answers = Path("out/trajectories.jsonl").read_text()
    Path("torn.jsonl").write_text(answers + answers.splitlines()[0][:20])
    taken = ("--trajectories_file", "torn.jsonl", "--output_dir", "again")
    done = typed(capsys, *given, *taken)
    assert (
        "16 of 16 answers are taken from torn.jsonl; its last line has no end: left out" in done.err
    )
    for ids in ([10**8], [-1], ["a"], [1.5], [True]):
        (first, *rest) = map(json.loads, answers.splitlines())
        rows = [first | {"response_ids": ids}, *rest]
        Path("odd.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        refused = typed(capsys, *given, "--trajectories_file", "odd.jsonl", "--output_dir", "odd")
        beyond = ids == [10**8]  # an id, and of no token
        assert refused.code == (2 if beyond else 4)
        told = "the response_ids of row" if beyond else "damaged: `response_ids` is a list of other"
        assert told in refused.err
    Path("rows.jsonl").write_text(json.dumps(ROWS[0]) + "\n")
    # No weights are read before: there are none.
    Path("model/model.safetensors").unlink()
    refused = typed(capsys, *given, "--trajectories_file", "rows.jsonl", "--output_dir", "none")
    assert refused.code == 4
    assert "rows.jsonl:1 is not a row of this kind of file: it has no `round`" in refused.err


@pytest.mark.parametrize("folder", ["data.json", "data.json/x", "/proc/x"])
def test_a_folder_that_cannot_be_made_is_refused(folder, given, capsys):
    refused = typed(capsys, *given, "--output_dir", folder)
    assert refused.code == 2
    assert "output_dir" in refused.err


def test_evaluation_on_rows_that_were_trained_is_not_called_held_out(given, capsys):
    prefix = [{"role": "system", "content": "SHOUT!"}]
    shown = {"prefix_messages": prefix, "prompt": "q1?", "response": "Another answer."}
    Path("other.json").write_text(
        json.dumps([ROWS[0], shown, {"prompt": "q2?"}, {"prompt": "new?", "response": "No."}])
    )
    done = typed(capsys, *given, "--eval_dataset", "other.json")
    assert done.code == 0
    assert "3 evaluation rows are training rows too" in done.err
    assert results(Path("out"))["measured_on"]["held_out"] is False


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--seed", "-1"), "seed"),
        (("--max_steps", "0"), "max_steps"),
        (("--num_trajectories", "1" + "0" * 30), "num_trajectories"),
        (("--chat_template_kwargs", '{"add_generation_prompt": true}'), "decided by bakery"),
        (("--group_by_length",), "no one length"),
        (("--dataset", ""), "dataset"),
        (("--lr_scheduler_type", "cosine_with_min_lr"), "refuse these settings"),
        (("--metric_for_best_model", "foo", "--load_best_model_at_end", "true",
          "--eval_strategy", "steps", "--eval_steps", "1", "--eval_dataset", "eval.json"),
         "refuse these settings"),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_an_error_and_no_traceback(flags, said, given, capsys):
    Path("eval.json").write_text('[{"prompt": "new?", "response": "No."}]')
    refused = typed(capsys, *given, *flags)
    assert refused.code == 2, refused.err
    assert said in refused.err


def test_text_in_parts_is_put_together(given, capsys):
    parts = '[{"role": "system", "content": [{"type": "text", "text": "SHOUT!"}]}]'
    shown = typed(capsys, *given, "--prefix_messages", parts, "--dry-run")
    assert "SHOUT!" in shown.out
    assert "'text'" not in shown.out


def test_half_a_character_is_refused_with_its_row(given, capsys):
    Path("data.json").write_text('[{"prompt": "a?", "response": "b\\ud800"}]')
    refused = typed(capsys, *given)
    assert refused.code == 4
    assert "half a character" in refused.err
