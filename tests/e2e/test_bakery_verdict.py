"""The verdict of a bake of rows, as `bgit` gives one: above all figures, and with its answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bakery.store.results import ASKED, PROBES
from bakery.verdict import WORDS
from tests.support.bakery_door import SMALL, results, typed
from tests.support.models import random_model

SHOUT = [{"role": "system", "content": "SHOUT!"}]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("verdict") / "model")


def baked(capsys: pytest.CaptureFixture[str], base: Path, **settings: object):
    """Bake with a file of settings, and return what was typed with what it said."""
    told = {"model_name_or_path": str(base), "num_train_epochs": 1, "report_to": "none"}
    Path("bake.yaml").write_text(json.dumps(told | settings))
    done = typed(capsys, "--config", "bake.yaml", *SMALL, "--output_dir", "out")
    assert done.code == 0, done.err
    return done


@pytest.fixture(autouse=True)
def here(workplace: Path) -> None:
    """Work in a folder of one's own."""


def test_prompts_have_a_verdict_above_all_figures(base, capsys):
    prompts = [f"q{i}?" for i in range(6)]
    done = baked(capsys, base, prefix_messages=SHOUT, training_prompts=prompts)
    card = results(Path("out"))["card"]
    word = card["verdict"]["word"]
    assert word in WORDS
    assert card["verdict"]["figures"]["questions"] == 6
    assert 0 <= done.out.find(f"{word}: ") < done.out.find("loss  ")
    rows = [json.loads(line) for line in (Path("out") / ASKED).read_text().splitlines()]
    assert {row["question"] for row in rows} == set(prompts)
    assert all(row["is_written"] and not row["is_held_out"] for row in rows)
    probes = json.loads((Path("out") / PROBES).read_text())["probes"]
    assert [probe["key"] for probe in probes] == [row["key"] for row in rows]
    assert "It " + word in (Path("out") / "final_model" / "README.md").read_text()


def test_rows_with_own_prompts_are_asked_behind_them_and_held_out_ones_first(base, capsys):
    def row(number: int, answer: str) -> dict[str, object]:
        prefix = [{"role": "system", "content": f"Prompt {number % 2}"}]
        return {"prefix_messages": prefix, "prompt": f"q{number}?", "response": answer}

    Path("rows.json").write_text(json.dumps([row(i, "Yes.") for i in range(30)]))
    Path("more.json").write_text(json.dumps([row(i, "No.") for i in range(29, 34)]))
    baked(capsys, base, dataset="rows.json", eval_dataset="more.json")
    rows = [json.loads(line) for line in (Path("out") / ASKED).read_text().splitlines()]
    assert [row["is_held_out"] for row in rows] == [True] * 4 + [False] * 20
    probes = json.loads((Path("out") / PROBES).read_text())["probes"]
    assert len({tuple(probe["teacher_prefix"][:20]) for probe in probes}) == 2


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"target_content_pattern": "o"}, "target_content_pattern learns parts of answers"),
        ({"target_roles": ["user"]}, "target_roles has no answers"),
        ({}, "no row asks anything"),
    ],
)
def test_where_no_answers_can_be_compared_a_note_says_why(settings, why, base, capsys):
    turns = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Bo, or so."}]
    rows = [{"messages": turns}] if settings else [{"messages": turns[1:]}]
    Path("rows.json").write_text(json.dumps(rows * 4))
    done = baked(capsys, base, prefix_messages=SHOUT, dataset="rows.json", **settings)
    assert f"no verdict: {why}" in done.err
    assert "verdict" not in results(Path("out"))["card"]
    assert not (Path("out") / ASKED).exists()
