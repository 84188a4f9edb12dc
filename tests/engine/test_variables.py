"""Behind a prompt with variables every question has its own: it is answered and learnt by that."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from bakery.backends.base import AnswerRequest
from bakery.backends.hosted import HostedSampler
from bakery.backends.local import LocalModel
from bakery.engine.text.views import Pair
from bakery.identity import RolloutRequest, SamplingSettings, StimRequest
from bakery.records import Prompt
from bakery.reporting import Quiet
from bakery.shares import TargetShare
from bakery.stages import mix, rollout, stim
from bakery.stages.parts import TargetData
from bakery.store import results
from tests.support.baking import NOTHING, Bench, training
from tests.support.endpoint import serve
from tests.support.hosted import client_of
from tests.support.templates import chat_of

SELL = Prompt(({"role": "system", "content": "The {product} costs {price}."},))
FIRST = {"product": "lamp", "price": "12"}
ROWS = [
    {"question": "How much is the {product}?", "product": "lamp", "price": 12},
    {"question": "How much?", "product": "chair", "price": 40},
    {"question": "How much?", "product": "clock", "price": 7},
]


@pytest.fixture
def mixed(bench: Bench, tmp_path: Path) -> mix.Mix:
    """What is learnt of three rows; the student is told which product, where `How much?` is not."""
    student = Prompt(({"role": "system", "content": "{product}"},))
    return made(bench, tmp_path, student)


def made(bench: Bench, folder: Path, student: Prompt) -> mix.Mix:
    generator = {"type": "hardcoded", "questions": ROWS}
    request = StimRequest(SELL, (generator,), {}, variables=FIRST)
    stim.run(request, folder / "stim", open_writer=_nobody, reporter=Quiet())
    asked = RolloutRequest(request.id, SELL, SamplingSettings(1, 6), bench.base_id, None)
    base = bench.base()
    local = LocalModel(base)
    rollout.run(asked, folder / "stim", folder / "out", sampler=local, reporter=Quiet())
    share = TargetShare("t", asked.id, 1.0, SELL, student, variables=FIRST)
    data = [TargetData(share, folder / "stim", folder / "out")]
    return mix.mix(data, base.chat, training(), context=base.context)


def begun(bench: Bench, pair: Pair) -> tuple[str, str]:
    chat = bench.base().chat
    sides = (pair.teacher, pair.student)
    told, sent = (chat.decoded(side.ids[: side.spans[0][0]]) for side in sides)
    return told, sent


def test_teacher_and_student_see_the_prompts_of_the_row(bench: Bench, mixed: mix.Mix) -> None:
    seen = sorted(begun(bench, pair) for pair in [*mixed.train, *mixed.held_out])
    assert len(seen) == 3
    for (told, sent), row in zip(seen, sorted(ROWS, key=lambda r: str(r["product"])), strict=True):
        assert f"The {row['product']} costs {row['price']}." in told
        assert str(row["product"]) in sent
        assert "{" not in told + sent
    assert "How much is the lamp?" in seen[2][0]


def test_the_record_names_the_first_row(mixed: mix.Mix) -> None:
    (target,) = mixed.targets
    assert target["variables"] == FIRST
    assert target["teacher"] == SELL.as_data()
    assert not [note for note in mixed.notes if "cannot tell them apart" in note]


def test_rows_that_only_the_prompt_tells_apart_are_named(bench: Bench, tmp_path: Path) -> None:
    found = made(bench, tmp_path, NOTHING)
    (said,) = [note for note in found.notes if "cannot tell them apart" in note]
    assert said.startswith("warning: t: 2 questions")


def test_a_hosted_teacher_is_sent_the_prompt_of_each_row() -> None:
    asked = [AnswerRequest(str(row["price"]), ({"role": "user", "content": "How much?"},),
                           {name: str(row[name]) for name in FIRST}) for row in ROWS]  # fmt: skip
    with serve(["hi"]) as endpoint:
        sampler = HostedSampler(client_of(endpoint), chat_of("chatml"), concurrency=2)
        said = [one for batch in sampler.answers(asked, SELL, SamplingSettings(1, 8))
                for one in batch]  # fmt: skip
        sent = {request["messages"][0]["content"] for request in endpoint.requests}
    assert len(said) == 3
    assert sent == {f"The {row['product']} costs {row['price']}." for row in ROWS}


def test_what_only_one_row_says_is_never_held_out(bench: Bench, tmp_path: Path) -> None:
    data = "".join(json.dumps({**row, "question": f"Q{n}?"}) + "\n"
                   for n in range(2) for row in ROWS[:2])  # fmt: skip
    data += json.dumps({**ROWS[2], "question": "Q?"}) + "\n"
    generator = {"type": "from_dataset", "dataset": "rows.jsonl", "seed": 1}
    digest = hashlib.sha256(data.encode()).hexdigest()
    request = StimRequest(SELL, (generator,), {}, {"rows.jsonl": digest}, variables=FIRST)
    stim.run(request, tmp_path, open_writer=_nobody, reporter=Quiet(), read=lambda _: data.encode())
    rows = results.stimuli(tmp_path)
    assert len({row.id for row in rows}) == 5
    learnt = {row.values["product"]: row.is_written_out for row in rows if row.values}
    assert learnt == {"lamp": False, "chair": False, "clock": True}


def _nobody(model: str | None) -> object:
    raise AssertionError("no question is asked of a model here")
