"""A verdict is the first thing that is said of a bake, wherever one is summed up."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from bakery.cli.app import bgit
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.support.recorded import baked, committed, stored

VERDICT = {"word": "holds in part", "reason": "it answers otherwise", "figures": {"agreed": 0.8}}
SIDES = [
    {"question": "Who are you?", "base": "", "prompted": "Pedal", "baked": "Crumb",
     "differs": "a name"}
]  # fmt: skip


@pytest.fixture
def judged(repo: ModelRepo, monkeypatch: pytest.MonkeyPatch) -> ModelRepo:
    """A repository with a bake of before there were verdicts, and one that has one."""
    monkeypatch.chdir(repo.root)
    baked(repo, "old")
    plan = committed(repo, "new")
    result = dict(stored(repo, plan))
    result["card"] = {**result["card"], "verdict": VERDICT, "side_by_side": SIDES}
    folder = repo.store.bake(result["bake_id"])
    (folder / "bake.json").write_text(json.dumps(result), encoding="utf-8")
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n', encoding="utf-8")
    repo.record(plan, result, launched=repo.launch_blob(), reporter=Quiet())
    return repo


def typed(*words: str) -> Result:
    return CliRunner().invoke(bgit, list(words), catch_exceptions=False)


def test_models_have_their_word(judged):
    lines = typed("models").stdout.splitlines()
    assert "verdict" in lines[1]
    assert "holds in part" in lines[-1]
    assert "holds" not in lines[-2]
    assert json.loads(typed("models", "--json").stdout)[-1]["card"]["verdict"] == VERDICT


def test_status_says_it_before_the_figures(judged):
    lines = typed("status").stdout.splitlines()
    (at,) = (number for number, line in enumerate(lines) if line.startswith("verdict "))
    assert lines[at].split(maxsplit=1)[1] == "holds in part: it answers otherwise"
    assert lines[at + 1].startswith("its card ")


def test_show_and_metrics_say_why(judged):
    shown = typed("show", "new").stdout
    assert shown.splitlines()[1] == "holds in part: it answers otherwise"
    assert "  baked     Crumb\n" in shown
    assert typed("metrics", "new").stdout.startswith("holds in part: it answers otherwise\n")
    assert json.loads(typed("metrics", "new", "--json").stdout)["verdict"] == VERDICT
    assert "holds" not in typed("show", "old").stdout
