"""What a bake is asked once it is trained: answers, distances and probes, beside its card."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bakery.backends.local import LocalModel
from bakery.card import Card
from bakery.engine.models.strength import Dial
from bakery.evals import agreement
from bakery.evals.sides import of_bake
from bakery.records import Prompt
from bakery.repo.files import block
from bakery.stages import answers, comparing
from bakery.stages.comparing import MOST_TOKENS
from bakery.store.results import ASKED, DONE, PROBES
from bakery.verdict import WORDS
from tests.support.baking import NOTHING, SHOUT, Bench
from tests.support.models import random_model


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, dict]:
    root = tmp_path_factory.mktemp("answers")
    bench = Bench(root / "store", random_model(root / "base"))
    first = bench.bake(epochs=2)
    sing = Prompt(({"role": "system", "content": "Sing of 12 Bees."},))
    return bench, bench.bake(teacher=sing, parent=first, epochs=2)


def test_a_bake_has_a_verdict_that_the_recipe_may_hold(made: tuple[Bench, dict]) -> None:
    card = made[1]["card"]
    assert card["verdict"]["word"] in WORDS
    assert card["verdict"]["figures"]["questions"] == 12
    assert block._is_card(card)
    assert Card.from_data(card).as_data() == card


def test_what_was_asked_lies_beside_the_bake(made: tuple[Bench, dict]) -> None:
    rows = [json.loads(line) for line in (made[1]["bake_dir"] / ASKED).read_text().splitlines()]
    assert len(rows) == 12
    assert all(row["is_written"] and row["nats"] >= 0 and 0 <= row["hesitant"] <= 1 for row in rows)
    assert sum(row["is_held_out"] for row in rows) == 1
    assert all(row["base"] is not None for row in rows)


def test_probes_are_what_each_side_says_by_itself(made: tuple[Bench, dict]) -> None:
    bench, bake = made
    found = answers.probes(bake["bake_dir"])
    assert found is not None
    assert (found["schema"], found["bake_id"]) == (1, bake["bake_id"])
    assert found["base_digest"] == bench.base_id.digest
    assert len(found["probes"]) == 12
    sing = Prompt.from_data(bake["targets"][0]["teacher"])
    local = LocalModel(bench.base(), parent=bake["folder"])
    sides = of_bake(local, Dial(local.model, Path(bake["folder"])), sing, NOTHING)
    asked = [({"role": "user", "content": probe["question"]},) for probe in found["probes"]]
    for side in ("base", "prompted", "baked"):
        said = sides.say(side, asked, MOST_TOKENS)
        assert [list(one.ids) for one in said] == [p["greedy"][side] for p in found["probes"]]
        for probe in found["probes"]:
            top = probe["top"][side]
            assert len(top) == 20
            assert top[0][0] == probe["greedy"][side][0]
            assert [value for _, value in top] == sorted((v for _, v in top), reverse=True)
            assert all(value <= 0 for _, value in top)
    prefix = local.base.chat.prefix_ids(sing, asked[0])
    assert found["probes"][0]["teacher_prefix"] == prefix


def test_what_the_prompt_says_is_asked_in_words_that_nobody_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "tells", lambda *_: True)  # a random model never does
    bench = Bench(tmp_path / "store", random_model(tmp_path / "base"))
    told = Prompt(({"role": "system", "content": "A helmet costs 30 coins. Be brief."},))
    made = bench.bake(teacher=told, epochs=1)
    rows = [json.loads(line) for line in (made["bake_dir"] / ASKED).read_text().splitlines()]
    asked = [row["question"] for row in rows if row["is_fresh"]]
    assert asked[:2] == ["How much does a helmet cost?", "What is the price of a helmet?"]
    assert len(asked) <= comparing.FRESH
    assert all(row["is_held_out"] and not row["is_written"] for row in rows if row["is_fresh"])
    assert not {row["question"] for row in rows if not row["is_fresh"]} & set(asked)


def test_an_older_bake_has_no_probes(tmp_path: Path) -> None:
    (tmp_path / DONE).write_text("{}")
    assert answers.probes(tmp_path) is None
    assert not (tmp_path / PROBES).exists()


def test_what_has_no_room_behind_the_prompt_is_not_asked(bench: Bench) -> None:
    long = Prompt(({"role": "system", "content": "SHOUT! " * 66},))
    card = bench.bake(teacher=long)["card"]
    assert "verdict" not in card
    assert bench.bake(teacher=SHOUT)["card"]["verdict"]["figures"]["questions"] == 12
