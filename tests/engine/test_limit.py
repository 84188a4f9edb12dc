"""Where nobody says at what length answers are cut, some of them do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bakery.backends.base import Answer
from bakery.backends.local import LocalModel
from bakery.engine.bases import bases
from bakery.engine.models import models
from bakery.identity import RolloutRequest, SamplingSettings, StimRequest
from bakery.records import Trajectory, read_rows
from bakery.reporting import Quiet
from bakery.stages import limit, rollout, spent, stim
from bakery.store import results
from tests.support.baking import SHOUT
from tests.support.models import random_model

MOST = 512


def answers(*lengths: int) -> list[Answer]:
    """Return answers of so many tokens; those of `MOST` were cut there."""
    ends = {True: "length", False: "stop"}
    return [Answer(str(i), tuple(range(n)), "", ends[n == MOST]) for i, n in enumerate(lengths)]


@pytest.mark.parametrize(
    ("lengths", "found", "longer"),
    [
        ([10] * 32, 32, 0),
        ([10] * 31 + [70], 32, 1),
        ([10] * 30 + [60, 70], 32, 2),
        ([10] * 29 + [60, 70, 80], 64, 2),
        ([10] * 29 + [40, 70, MOST], 48, 2),
        ([40] * 32, 48, 0),
        ([10] * 28 + [MOST] * 4, 32, 4),  # they never end
        ([10] * 20 + [60] * 8 + [MOST] * 4, 64, 4),
        ([MOST] * 32, MOST, 32),
        ([400] * 32, MOST, 0),
        ([10], 32, 0),
    ],
)
def test_fewer_than_one_in_ten_are_cut_where_they_end(
    lengths: list[int], found: int, longer: int
) -> None:
    chosen = limit.chosen(answers(*lengths), MOST)
    assert (chosen.max_tokens, chosen.longer, chosen.looked_at) == (found, longer, len(lengths))
    assert f"cut at {found} tokens" in str(chosen)


def test_answers_that_go_round_in_circles_get_no_more_room() -> None:
    ended = answers(*[10] * 28)
    on = [Answer(f"on{i}", tuple(range(64)), "and so on it went", "length") for i in range(4)]
    around = [replace(answer, text="the sea, " * 20) for answer in on]
    assert not limit.is_enough([*ended, *on])
    assert limit.is_enough([*ended, *around])
    assert limit.chosen([*ended, *around], MOST) == limit.Limit(32, 32, 4)


def test_no_answer_says_nothing() -> None:
    assert limit.chosen([], MOST).max_tokens == MOST


@pytest.fixture
def model(tmp_path: Path) -> LocalModel:
    base = models.load(bases.identify(str(random_model(tmp_path / "model"))), dtype="float32")
    return LocalModel(base)


def rolled_out(
    folder: Path, model: LocalModel, settings: SamplingSettings
) -> dict[str, Trajectory]:
    """Answer 40 questions; return the answers."""
    questions = [f"q{i} what?" for i in range(40)]
    request = StimRequest(SHOUT, ({"type": "hardcoded", "questions": questions},), {})
    if not (folder / "stim").exists():
        stim.run(request, folder / "stim", open_writer=lambda _: None, reporter=Quiet())
    asked = RolloutRequest(request.id, SHOUT, settings, model.base.id, None)
    rollout.run(asked, folder / "stim", folder / "out", sampler=model, reporter=Quiet())
    rows = read_rows(folder / "out" / results.TRAJECTORIES, Trajectory)
    return {row.stimulus_id: row for row in rows}


def test_all_are_cut_where_some_say_and_a_run_that_goes_on_says_the_same(
    tmp_path: Path, model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limit, "LIMITS", (4, 8))
    monkeypatch.setattr(limit, "MOST_LONGER", 1.0)
    found = rolled_out(tmp_path, model, SamplingSettings(1, 12, probed=8))
    done = json.loads((tmp_path / "out" / results.DONE).read_text())
    assert done["max_tokens"] == 4
    assert "answers are cut at 4 tokens: of 8 looked at, " in done["notes"][0]
    assert len(found) == done["count"] == 40
    assert max(len(row.response_ids) for row in found.values()) == 4
    assert done["cut"] == sum(row.finish == "length" for row in found.values()) > 0
    # Interrupted after the limit was found, before a row was kept.
    (tmp_path / "out" / results.TRAJECTORIES).unlink()
    assert rolled_out(tmp_path, model, SamplingSettings(1, 12, probed=8)) == found


@pytest.mark.parametrize("text", [None, "", "{}", "[1]", '{"max_tokens": "x"}'])
def test_a_run_that_goes_on_without_the_limit_finds_the_same_one(
    text: str | None, tmp_path: Path, model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limit, "LIMITS", (4, 8))
    monkeypatch.setattr(limit, "MOST_LONGER", 1.0)
    settings, out = SamplingSettings(1, 12, probed=8), tmp_path / "out"
    found = rolled_out(tmp_path, model, settings)
    told = limit.written(out)
    rows = (out / results.TRAJECTORIES).read_text().splitlines(keepends=True)
    (out / results.TRAJECTORIES).write_text("".join(rows[:10]))
    (out / limit.FILE).unlink()
    if text is not None:
        (out / limit.FILE).write_text(text)
    assert rolled_out(tmp_path, model, settings) == found
    assert limit.written(out) == told


def test_a_limit_that_was_asked_for_is_the_limit(tmp_path: Path, model: LocalModel) -> None:
    rolled_out(tmp_path, model, SamplingSettings(1, 12))
    assert limit.written(tmp_path / "out") is None


def test_it_is_part_of_the_id_only_where_answers_are_looked_at() -> None:
    assert "probed" not in SamplingSettings(1, 12).as_data()
    assert SamplingSettings(1, 12, probed=32).as_data()["probed"] == 32


@pytest.mark.parametrize("most_longer", [0.0, 0.3, 0.6, 0.9])
def test_looking_in_rounds_finds_what_looking_at_once_does(
    most_longer: float, tmp_path: Path, model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limit, "LIMITS", (2, 4, 6, 8, 10, 14))
    monkeypatch.setattr(limit, "MOST_LONGER", most_longer)
    settings = SamplingSettings(1, 16, probed=16)
    made = {}
    for name, room in (("rounds", (4, 9, 1 << 30)), ("once", (1 << 30,))):
        monkeypatch.setattr(limit, "ROOM", room)
        rows = rolled_out(tmp_path / name, model, settings)
        made[name] = rows, limit.written(tmp_path / name / "out")
    assert made["rounds"][0] == made["once"][0]
    (rounds, once) = (made[name][1] for name in ("rounds", "once"))
    assert rounds is not None
    assert rounds == once


def test_the_seconds_of_answers_are_those_of_all_runs_that_made_some(
    tmp_path: Path, model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(LocalModel):
        def answers(self, *given: Any) -> Iterator[list[Answer]]:
            yield next(iter(super().answers(*given)))
            raise KeyboardInterrupt

    monkeypatch.setattr(spent, "EVERY_S", 0.0)
    settings = SamplingSettings(1, 12)
    with pytest.raises(KeyboardInterrupt):
        rolled_out(tmp_path, Stopped(model.base), settings)
    kept = tmp_path / "out" / spent.FILE
    assert 0 < json.loads(kept.read_text())["seconds"] < 600
    kept.write_text('{"seconds": 1000}')
    rolled_out(tmp_path, model, settings)
    done = json.loads((tmp_path / "out" / results.DONE).read_text())
    assert 1000 < done["seconds"] < 1600
    assert not kept.exists()
