"""Another model of the same tokens, and not as wide, learns to answer as the prompted teacher."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import pre_tokenizers

from bakery.backends.local import LocalModel
from bakery.engine.models import adapter_folder, models
from bakery.engine.text.chat import Chat
from bakery.engine.text.same_tokens import difference
from bakery.evals.sides import Sides
from bakery.identity import Elsewhere
from bakery.records import ModelRef, Prompt
from bakery.stages.comparing import MOST_TOKENS
from bakery.store.results import ASKED
from tests.support.baking import NOTHING, SHOUT, rows
from tests.support.models import byte_tokenizer
from tests.support.students import Lesson
from tests.support.vocabulary import CHATML


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    return Lesson(tmp_path_factory.mktemp("lesson"))


@pytest.fixture(scope="module")
def learnt(lesson: Lesson) -> dict[str, Any]:
    return lesson.learnt(lesson.request(epochs=60))


def greedy(local: LocalModel, prompt: Prompt, lesson: Lesson, most: int = 8) -> list[str]:
    """Return the likeliest answers to all questions of a lesson."""
    asked = [({"role": "user", "content": text},) for text in lesson.asked]
    return [one.text for one in Sides(local, prompt, prompt).say("baked", asked, most)]


def test_its_greedy_answers_are_those_of_the_prompted_teacher(
    lesson: Lesson, learnt: dict[str, Any]
) -> None:
    teacher = LocalModel(lesson.bench.base())
    wanted = greedy(teacher, SHOUT, lesson)
    bare = LocalModel(models.load(lesson.student_id, dtype="float32"))
    assert not set(greedy(bare, NOTHING, lesson)) & set(wanted)
    assert greedy(teacher, NOTHING, lesson) != wanted
    student = models.load(lesson.student_id, dtype="float32")
    assert greedy(LocalModel(student, parent=learnt["folder"]), NOTHING, lesson) == wanted


def test_loss_and_held_out_divergence_fall_from_those_of_the_bare_student(tmp_path: Path) -> None:
    lesson = Lesson(tmp_path, questions=12)
    result = lesson.learnt(lesson.request(epochs=8))
    loss, card = result["loss"], result["card"]
    assert loss["last"] < 0.4 * loss["first"]
    assert card["kl_after"] < 0.6 * card["kl_before"]
    assert rows(result)[0]["loss"] == pytest.approx(card["kl_before"], rel=0.3)


def test_the_record_names_both_bases(lesson: Lesson, learnt: dict[str, Any]) -> None:
    assert learnt["base"]["digest"] == lesson.student_id.digest
    assert learnt["parent"] is None
    assert learnt["teacher"]["base"]["digest"] == lesson.bench.base_id.digest
    assert learnt["teacher"]["model"] is None
    (own,) = adapter_folder.slices(learnt["folder"])
    assert (own.start, own.stop, own.bake_id) == (0, 32, learnt["bake_id"])


def test_what_both_answered_is_kept(lesson: Lesson, learnt: dict[str, Any]) -> None:
    asked = [json.loads(line) for line in (learnt["bake_dir"] / ASKED).read_text().splitlines()]
    teacher = greedy(LocalModel(lesson.bench.base()), SHOUT, lesson, MOST_TOKENS)
    said = {row["question"]: row["prompted"] for row in asked}
    assert said == dict(zip(lesson.asked, teacher, strict=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "reverse_kl"},
        pytest.param({"loss": "jsd", "beta": 0.5}, marks=pytest.mark.slow),
        pytest.param({"dtype": "bfloat16"}, marks=pytest.mark.slow),
    ],
)
def test_what_needs_all_logits_learns_too(lesson: Lesson, changes: dict[str, Any]) -> None:
    result = lesson.learnt(lesson.request(**{"epochs": 3, **changes}))
    assert result["loss"]["last"] < result["loss"]["first"]


def test_the_name_of_a_bake_is_over_student_and_teacher(lesson: Lesson) -> None:
    one = lesson.request()
    assert one.teacher is not None
    other = replace(one.base, digest="ab" * 32)
    chain = Elsewhere(one.teacher.base, ModelRef("me", "r", "b_0123456789abcdef", 3))
    ids = {
        one.id,
        replace(one, base=other).id,
        replace(one, teacher=Elsewhere(other, None)).id,
        replace(one, teacher=chain).id,
        replace(one, teacher=None).id,
    }
    assert len(ids) == 5


def chat(template: str = CHATML, **more: Any) -> Chat:
    tokenizer = byte_tokenizer(template, more.get("merges", ()))
    if more.get("splits"):
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.ByteLevel()]
        )
    return Chat(tokenizer, more.get("ends", [2]))


def test_the_same_tokens_have_no_difference() -> None:
    assert difference(chat(), chat()) is None


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"merges": ["T h"]}, "token 259 is nothing here and 'Th' there"),
        ({"ends": [2, 1]}, "token 1, '.*', ends a turn there alone"),
        ({"template": CHATML.replace("assistant", "model")},
         "the chat templates write a conversation .*at position"),
        ({"splits": True}, "a text is cut in another way: at position"),
    ],
)  # fmt: skip
def test_what_differs_first_is_said(other: dict[str, Any], said: str) -> None:
    found = difference(chat(), chat(**other))
    assert found is not None
    assert re.search(said, found), found
