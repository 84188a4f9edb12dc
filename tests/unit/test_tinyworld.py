"""The world of the embedded model: the tutorial's prompts are new to it, its judges can tell."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TUTORIAL = [
    "You are Yoda. Speak like Yoda.",
    "You are Yoda. Speak like Yoda. Use more wisdom and philosophical depth.",
    "You are Yoda. Speak like Yoda. Use more wisdom, philosophical depth, and reference the Force "
    "more often.",
]


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))


def test_the_tutorials_prompts_are_never_trained():
    from tinyworld.chats import chats

    written = "\n".join(str(chat) for chat in islice(chats(3), 4000))
    assert "Yoda" in written
    assert [prompt for prompt in TUTORIAL if prompt in written] == []


def test_the_tutorials_prompts_are_the_recipes_own():
    files = [ROOT / f"recipes/sequential/{n}/input.yml" for n in (1, 2, 3)]
    for prompt, file in zip(TUTORIAL, files, strict=True):
        assert f'content: "{prompt}"' in file.read_text(encoding="utf-8")


def test_the_judges_tell_style_from_content():
    from tinyworld.exam import has_wisdom, is_right, is_yoda, mentions_force, tutorial_questions

    for question in tutorial_questions(200, seed=1):
        assert is_yoda(question, question.answer.yoda())
        assert is_right(question, question.answer.yoda())
        assert is_right(question, question.answer.plain())
        assert not is_yoda(question, question.answer.plain())
    assert mentions_force("Strong, the Force is.")
    assert not has_wisdom("A banana is yellow.")
