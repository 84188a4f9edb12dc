"""What configurations mean where nothing says by which version: ids and values of b3be946.

The table was printed by the code of that commit; tests/fixtures/version_1/README.md says how.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from bakery import held_out, schema
from bakery.backends.base import Reply
from bakery.generators import oneshot
from bakery.identity import BaseModelId, digest
from bakery.records import ModelRef, Prompt
from bakery.repo.plan.planned import Head, Plan, RecordedTarget
from bakery.repo.plan.resolve import resolve
from tests.support.version_1 import FIXTURE


def read(name: str) -> Any:
    return yaml.safe_load((FIXTURE / name).read_text(encoding="utf-8"))


TEXTS, HEADS = read("inputs/plans.yml"), read("inputs/heads.yml")
TABLE = json.loads((FIXTURE / "plans.json").read_text(encoding="utf-8"))


def planned(text: str, head: str) -> Plan:
    """Return what a text means to version 1 at a place."""
    spec = schema.load(TEXTS[text], read=lambda path: f"{path}: ${{numq}} ${{prompt_u}}".encode())
    return resolve(spec, head_of(HEADS[head]))


def head_of(data: Mapping[str, Any]) -> Head:
    targets = {
        target["name"]: RecordedTarget(
            target["name"],
            target["name"][-16:],
            Prompt.from_data(target["teacher"]),
            Prompt.from_data(target["student"]),
        )
        for target in data["targets"]
    }
    return Head(
        data["owner"],
        data["repo"],
        BaseModelId(**data["base"]),
        ModelRef.parse(data["parent"]) if data["parent"] else None,
        targets,
        {name: ModelRef.parse(model) for name, model in data["models"].items()},
        defaults=1,
    )


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("text", TEXTS)
def test_a_configuration_means_the_ids_that_it_meant(text: str, head: str) -> None:
    plan, then = planned(text, head), TABLE["ids"][text][head]
    now = {target.base_name: [target.stim.id, target.rollout.id] for target in plan.targets}
    assert now == then["targets"]
    assert (plan.bake.id if plan.bake else None) == then["bake"]


@pytest.mark.parametrize("head", ["tiny", "other"])
@pytest.mark.parametrize("text", TEXTS)
def test_a_configuration_means_the_values_that_it_meant(text: str, head: str) -> None:
    plan, then = planned(text, head), TABLE["values"][text][head]
    now = {target.base_name: target.rollout.sampling.as_data() for target in plan.targets}
    assert as_json(now) == then["sampling"]
    if plan.bake is None:
        assert then["training"] is None
        return
    assert as_json(plan.bake.training.as_data()) == then["training"]
    assert plan.bake.micro_batch_size == then["micro_batch_size"]
    assert [[share.name, share.weight] for share in plan.bake.shares] == then["shares"]


def as_json(data: Any) -> Any:
    return json.loads(json.dumps(data))


@pytest.mark.parametrize(("questions", "count"), TABLE["held_out"]["questions"].items())
def test_as_many_questions_are_held_out_as_were(questions: str, count: int) -> None:
    assert held_out.count(int(questions), None) == count


def test_a_writer_of_lists_is_asked_in_the_words_of_then() -> None:
    assert digest(oneshot.QUESTION_TEMPLATE) == TABLE["writer"]["asked"]["template"]


@pytest.mark.parametrize(("wanted", "chosen"), TABLE["writer"]["openers"].items())
def test_questions_begin_with_the_openers_of_then(wanted: str, chosen: list[str]) -> None:
    assert oneshot.openers(int(wanted), set()) == chosen


@pytest.mark.parametrize("way", ["as a user", "as a list"])
def test_replies_become_the_questions_that_they_became(way: str) -> None:
    then = TABLE["writer"][way]
    replies = [Reply(text, finished=True) for text in then["replies"]]
    kept, left_out = oneshot.sift(replies, {"is it late?"}, list_like=way == "as a list")
    assert (kept, as_json(left_out)) == (then["kept"], then["left_out"])
