"""The fake backend: what it makes up follows from keys alone."""

from __future__ import annotations

import pytest

from bakery.backends.base import AnswerRequest, Wish
from bakery.backends.fake import FakeSampler, FakeWriter
from bakery.engine.bases import bases
from bakery.engine.models import models
from bakery.engine.text.chat import Chat
from bakery.generators import judge
from bakery.generators.replies import candidates
from bakery.identity import SamplingSettings
from bakery.records import Prompt


@pytest.fixture(scope="module")
def chat() -> Chat:
    return models.load_chat(bases.identify("tiny"))


def answers(chat: Chat, *keys: str, most: int = 96) -> dict[str, tuple[str, tuple[int, ...], str]]:
    requests = [AnswerRequest(key, ({"role": "user", "content": "Who?"},)) for key in keys]
    made = FakeSampler(chat).answers(requests, Prompt(), SamplingSettings(1, most))
    return {a.key: (a.text, a.ids, a.finish) for batch in made for a in batch}


def test_an_answer_follows_from_its_key_whatever_is_asked_beside_it(chat):
    assert answers(chat, "a", "b")["b"] == answers(chat, "b")["b"]
    assert answers(chat, "a", "b")["a"] != answers(chat, "a", "b")["b"]


def test_the_ids_of_an_answer_are_its_text_and_the_end_of_a_turn(chat):
    text, ids, finish = answers(chat, "a")["a"]
    assert chat.decoded(ids[:-1]) == text
    assert ids[-1] in chat.end_ids
    assert finish == "stop"


def test_an_answer_is_cut_where_a_model_would_be(chat):
    text, ids, finish = answers(chat, "a", most=2)["a"]
    assert (len(ids), finish) == (2, "length")
    assert chat.decoded(ids) == text


def test_a_chat_that_is_loaded_alone_ends_turns_as_the_loaded_model_does(chat):
    whole = models.load(bases.identify("tiny"))
    assert chat.end_ids == whole.chat.end_ids


def test_questions_follow_from_the_key_and_could_be_sent():
    def write(key: str) -> str:
        return FakeWriter().write(Wish("Ask.", key, 100, 1.0))[0].text

    assert write("a") == write("a") != write("b")
    against = judge.against(Prompt())
    texts = [text for text, why in candidates(write("a"), finished=True) if why is None]
    assert len(set(texts)) == 200
    assert [text for text in texts if judge.why_not(text, against)] == []
