"""`bakery eval`: the card of `bgit eval`, and its tests, for what the `bakery` command baked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bakery.app import outputs
from bakery.cli.bakery import main
from bakery.reporting import Quiet
from tests.support.bakery_door import SMALL, Typed, results, typed
from tests.support.models import random_model

PREFIX = [{"role": "system", "content": "SHOUT at Zed!"}]
TESTS = """\
tests:
  - question: q1?
    max_tokens: 99
  - question: q2?
    not_contains: ""
"""


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output_dir: 24 rows to learn from, and 4 that are held out."""
    root = tmp_path_factory.mktemp("evaluated")
    rows = [{"prompt": f"q{i}?", "response": "Yes."} for i in range(28)]
    for name, some in (("rows", rows[:24]), ("more", rows[24:])):
        (root / f"{name}.json").write_text(json.dumps(some))
    settings = {
        "model_name_or_path": str(random_model(root / "model")),
        "prefix_messages": PREFIX,
        "dataset": str(root / "rows.json"),
        "eval_dataset": str(root / "more.json"),
        "chat_template_kwargs": {"enable_thinking": False},
        "num_train_epochs": 1,
        "report_to": "none",
        "output_dir": str(root / "out"),
    }
    (root / "bake.yaml").write_text(json.dumps(settings))
    with pytest.raises(SystemExit) as ended:
        main(["--config", str(root / "bake.yaml"), *SMALL])
    assert not ended.value.code
    return root / "out"


def evaluated(capsys: pytest.CaptureFixture[str], out: Path, *words: str) -> Typed:
    return typed(capsys, "eval", out, "--limit", "4", "--only", "fidelity", *words)


def test_it_is_measured_on_the_rows_that_were_held_out(baked, workplace, capsys):
    words = ("--only", "leakage", "--only", "forgetting", "--canary", "Zed", "--json")
    done = evaluated(capsys, baked, *words)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    fidelity, leakage, forgetting = found["axes"]
    assert forgetting["why"] == "it was baked on a base: nothing could be forgotten"
    assert (found["schema"], fidelity["name"], leakage["name"]) == (1, "fidelity", "leakage")
    assert fidelity["on"].startswith("4 held-out questions")
    again = evaluated(capsys, baked, *words)
    assert "as measured on" in again.err
    assert json.loads(again.out) == found


def test_it_checks_the_answers_of_tests(baked, workplace, capsys):
    Path("tests.yml").write_text(TESTS.replace('""', "q"))
    done = evaluated(capsys, baked, "--tests", "tests.yml", "--json")
    found = json.loads(done.out)["tests"]
    assert done.code == (0 if found["passed"] else 1)
    sides = [list(one["sides"]) for one in found["tests"]]
    assert sides == [["base", "prompted", "parent", "baked"]] * 2


def test_the_base_is_loaded_as_it_was_baked(baked):
    left = outputs.beside(baked / "final_model")
    assert left is not None
    assert (left.dtype, left.template_kwargs) == ("float32", {"enable_thinking": False})
    assert left.targets[0]["teacher"]["messages"] == PREFIX
    from bakery.app import meaning

    meant = meaning.find(None, str(baked / "final_model"))
    base = outputs.load(meant.base, meant.folder, reporter=Quiet())
    assert base.chat.template_kwargs == {"enable_thinking": False}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda out: shutil.rmtree(out / "final_model"), "holds no finished bake"),
        (lambda out: without(out, "baked"), "an earlier version left it"),
        (lambda out: without(out, "targets"), "`baked` lacks 'targets'"),
        (lambda out: (out / "results.json").write_text("{"), "results.json is damaged"),
        (lambda out: no_targets(out), "was not baked from a prompt"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_loaded(broken, said, baked, workplace, capsys):
    shutil.copytree(baked, "out")
    broken(Path("out"))
    done = evaluated(capsys, Path("out"))
    assert done.code in (2, 5)
    assert said in done.err


def without(out: Path, key: str) -> None:
    found = results(out)
    found.pop(key, None)
    found.get("baked", {}).pop(key, None)
    (out / "results.json").write_text(json.dumps(found))


def no_targets(out: Path) -> None:
    found = results(out)
    found["baked"]["targets"] = []
    (out / "results.json").write_text(json.dumps(found))
