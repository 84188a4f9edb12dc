"""What lies beside weights comes along with them: read as data, of the right bake, and kept."""

from __future__ import annotations

import json
from pathlib import Path

from bakery.app import beside
from bakery.store.results import ASKED, EVALS, METRICS, PROBES

ID = "0123456789abcdef"


def left(bake: Path, bake_id: str = ID) -> Path:
    """Write what a bake leaves; return where its weights would lie."""
    step = bake / "50"
    step.mkdir(parents=True)
    (bake / METRICS).write_text('{"step": 1, "loss": NaN}\n{"step"')
    (bake / ASKED).write_text('{"question": "Who?"}\n[]\n')
    (bake / PROBES).write_text(json.dumps({"bake_id": bake_id, "probes": []}))
    (bake / EVALS).write_text(json.dumps({"schema": 1, "results": {"50/quick/ab": {}}}))
    return step / "adapter_model.safetensors"


def read(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir()) if path.is_file()}


def test_everything_that_can_be_read_comes_along(tmp_path: Path) -> None:
    draft, bake = tmp_path / "draft", tmp_path / "bake"
    draft.mkdir()
    beside.take(left(tmp_path / "from"), draft, ID)
    beside.move_in(draft, bake)
    assert read(draft) == {}
    assert read(bake) == {
        ASKED: '{"question": "Who?"}\n',
        EVALS: '{"schema": 1, "results": {"50/quick/ab": {}}}\n',
        METRICS: '{"step": 1, "loss": NaN}\n',
        PROBES: f'{{"bake_id": "{ID}", "probes": []}}\n',
    }


def test_what_was_found_out_here_stays(tmp_path: Path) -> None:
    draft, bake = tmp_path / "draft", tmp_path / "bake"
    draft.mkdir()
    bake.mkdir()
    (bake / EVALS).write_text("mine")
    beside.take(left(tmp_path / "from"), draft, ID)
    beside.move_in(draft, bake)
    assert read(bake)[EVALS] == "mine"
    assert read(draft) == {}


def test_damage_links_and_what_is_another_bakes_stay_behind(tmp_path: Path) -> None:
    draft = tmp_path / "draft"
    draft.mkdir()
    weights = left(tmp_path / "from", bake_id="f" * 16)
    (tmp_path / "from" / EVALS).write_text("{")
    (tmp_path / "from" / ASKED).rename(tmp_path / "secret")
    (tmp_path / "from" / ASKED).symlink_to(tmp_path / "secret")
    beside.take(weights, draft, ID)
    assert set(read(draft)) == {METRICS}
