"""Answers of hosted models: how they ended, what is refused, and what a server is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bakery.backends.base import Wish
from bakery.backends.hosted import HostedWriter, called, end_behind
from bakery.engine.text.chat import Chat
from bakery.errors import StageError
from bakery.records import Message, Prompt, Stimulus
from bakery.stages import rollout
from bakery.store import results
from tests.support.endpoint import serve
from tests.support.hosted import Rollout, client_of
from tests.support.templates import chat_of

REFUSED = "does not fit the context"


def _end_id(chat: Chat) -> int:
    return int(chat.tokenizer.encode(end_behind(chat), add_special_tokens=False)[-1])


def test_a_refused_question_stops_no_other_and_is_named(tmp_path: Path) -> None:
    made, chat = Rollout(tmp_path), chat_of("chatml")
    with serve(["hi"], refuse={"q2?": 400, "q7?": 422}, message=REFUSED) as endpoint:
        rows = made.run(endpoint, chat, concurrency=1)
        assert len(endpoint.requests) == 12
    refused = [row for row in rows if row.finish == rollout.REFUSED]
    assert [row.response_ids for row in refused] == [(), ()]
    assert all(REFUSED in row.text for row in refused)
    (note,) = [note for note in made.notes() if "refused" in note]
    assert note.startswith('2 questions refused: "q2?": ')
    assert '(HTTP 400); "q7?": ' in note
    assert note.endswith("they are left without an answer")


def test_a_long_question_is_named_by_how_it_begins() -> None:
    asked = Stimulus("s", ({"role": "user", "content": "語" * 500},), "hardcoded", "input.yml")
    said = rollout._refusals({"s": "too long (HTTP 400)"}, [asked])
    assert said == f'1 question refused: "{"語" * 59}…": too long (HTTP 400)'


@pytest.mark.parametrize("concurrency", [1, 4, 20])
def test_where_more_is_refused_than_answered_it_is_an_error(
    tmp_path: Path, concurrency: int
) -> None:
    made, refuse = Rollout(tmp_path), {f"q{i}?": 400 for i in range(8)}
    with serve(["hi"], refuse=refuse) as endpoint:
        with pytest.raises(StageError, match=r"(?m)8 questions refused: .*; and 5 more$"):
            made.run(endpoint, chat_of("chatml"), concurrency)
        assert len(endpoint.requests) == 12
    assert len(made.rows()) == 4
    assert not (made.out / results.DONE).exists()


def test_where_one_was_answered_before_every_refused_question_is_asked(tmp_path: Path) -> None:
    made, chat = Rollout(tmp_path), chat_of("chatml")
    with serve(["hi"], statuses=[200, 401]) as endpoint, pytest.raises(StageError, match="401"):
        made.run(endpoint, chat, concurrency=1)
    with serve(["hi"], status=400) as endpoint, pytest.raises(StageError, match="11 questions"):
        made.run(endpoint, chat, concurrency=2)
    assert len(endpoint.requests) == 11


def test_a_refused_question_does_not_stop_those_behind_the_student_prompt(tmp_path: Path) -> None:
    made = Rollout(tmp_path, conditioned=tuple(range(1, 12)))
    with serve(["hi"], refuse={"q0?": 413}) as endpoint:
        rows = made.run(endpoint, chat_of("chatml"))
    assert sorted(row.finish == rollout.REFUSED for row in rows) == [False] * 11 + [True]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_setting_that_is_refused_ends_it_early(tmp_path: Path, concurrency: int) -> None:
    made = Rollout(tmp_path)
    refusing = serve(["hi"], status=400, message="unknown: top_q")
    with refusing as endpoint, pytest.raises(StageError, match="unknown: top_q") as caught:
        made.run(endpoint, chat_of("chatml"), concurrency)
    assert "does not take one of the settings" in str(caught.value.hint)
    assert len(endpoint.requests) < 12


def test_a_writer_whose_setting_is_refused_says_so() -> None:
    with serve(["hi"], status=400) as endpoint:
        writer = HostedWriter(client_of(endpoint))
        with pytest.raises(StageError, match="HTTP 400"):
            writer.write(Wish("?", "k", 60, 1.0))


@pytest.mark.parametrize("word", ["stop", "eos", "eos_token", "end_turn", "STOP", None])
def test_every_word_for_an_end_ends_the_turn(tmp_path: Path, word: str | None) -> None:
    chat = chat_of("chatml")
    with serve(["hi"], finish=word) as endpoint:
        rows = Rollout(tmp_path).run(endpoint, chat)
    assert {(row.response_ids[-1], row.finish) for row in rows} == {(_end_id(chat), "stop")}


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("length", "length"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("content_filter", "content_filter"),
        ("abort", "abort"),
    ],
)
def test_what_was_broken_off_has_no_end(tmp_path: Path, word: str, finish: str) -> None:
    chat = chat_of("chatml")
    with serve(["and th"], finish=word) as endpoint:
        rows = Rollout(tmp_path).run(endpoint, chat)
    assert {(chat.decoded(row.response_ids), row.finish) for row in rows} == {("and th", finish)}


def test_a_list_that_was_cut_is_not_taken_to_be_finished() -> None:
    with serve(["1. Who?"], finish="max_tokens") as endpoint:
        (reply,) = HostedWriter(client_of(endpoint)).write(Wish("?", "k", 1, 1.0))
    assert not reply.finished


@pytest.mark.parametrize(
    ("text", "said", "row"),
    [
        ("", {}, ("", "empty")),
        (" \n", {}, ("", "empty")),
        ("", {"content": None}, ("", "empty")),
        ("", {"refusal": "I cannot."}, ("I cannot.", "refusal")),
    ],
)
def test_an_answer_that_says_nothing_has_no_ids(
    tmp_path: Path, text: str, said: dict[str, Any], row: tuple[str, str]
) -> None:
    with serve([text], said=said) as endpoint:
        rows = Rollout(tmp_path).run(endpoint, chat_of("chatml"))
    assert {(r.response_ids, r.text, r.finish) for r in rows} == {((), *row)}


@pytest.mark.parametrize(
    ("choice", "finish"),
    [
        ({"stop_reason": "END"}, "stop_text"),
        ({"matched_stop": "END"}, "stop_text"),
        ({"finish_reason": "stop_sequence"}, "stop_text"),
        ({"stop_reason": None}, "stop"),
        ({"stop_reason": 151645}, "stop"),
        ({"matched_stop": "</s>"}, "stop"),
        ({"finish_reason": "eos"}, "stop"),
    ],
)
def test_an_answer_that_a_text_ended_has_no_end_of_turn(
    tmp_path: Path, choice: dict[str, Any], finish: str
) -> None:
    chat, made = chat_of("chatml"), Rollout(tmp_path, stop=("END",))
    with serve(["hi"], choice=choice) as endpoint:
        rows = made.run(endpoint, chat)
    end = (_end_id(chat),) if finish == "stop" else ()
    assert {(row.response_ids[2:], row.finish) for row in rows} == {(end, finish)}
    assert len(made.notes()) == 1


def test_where_nobody_says_what_ended_an_answer_one_note_does(tmp_path: Path) -> None:
    made = Rollout(tmp_path, stop=("END",))
    with serve(["hi"]) as endpoint:
        made.run(endpoint, chat_of("chatml"))
    (note,) = [note for note in made.notes() if "`stop`" in note]
    assert "12 have an end of turn that may not be theirs" in note


def test_a_server_of_ones_own_is_told_what_is_recorded(tmp_path: Path) -> None:
    with serve(["hi"]) as endpoint:
        Rollout(tmp_path, endpoint={"top_k": 0}).run(endpoint, chat_of("chatml"), model="qwen")
    sent = endpoint.requests[0]
    assert {k: sent.get(k) for k in ("temperature", "top_p", "top_k", "max_tokens")} == {
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "max_tokens": 64,
    }


def test_a_model_of_a_provider_is_not_told_what_changes_nothing(tmp_path: Path) -> None:
    with serve(["hi"]) as endpoint:
        Rollout(tmp_path).run(endpoint, chat_of("chatml"))
    assert not {"temperature", "top_p", "top_k"} & endpoint.requests[0].keys()


@pytest.mark.parametrize(("model", "thought"), [("gpt-5", False), ("qwen", True)])
def test_calls_in_a_prompt_are_sent_as_endpoints_take_them(
    tmp_path: Path, model: str, thought: bool
) -> None:
    function = {"name": "now", "arguments": {"zone": "tür"}}
    calling = {
        "role": "assistant",
        "content": None,
        "reasoning_content": "hm",
        "tool_calls": [{"id": "1", "type": "function", "function": function}],
    }
    told = {"role": "tool", "tool_call_id": "1", "content": "noon"}
    teacher = Prompt(({"role": "user", "content": "When?"}, calling, told))
    with serve(["hi"]) as endpoint:
        Rollout(tmp_path, teacher).run(endpoint, chat_of("chatml"), model=model)
    sent = endpoint.requests[0]["messages"][1]
    (call,) = sent["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"zone": "tür"}
    assert call["function"]["name"] == "now"
    assert ("reasoning_content" in sent) == thought
    assert function["arguments"] == {"zone": "tür"}  # what templates read is as it was


@pytest.mark.parametrize("depth", [600, 100_000])
def test_a_call_that_is_nested_deeply_stays_the_text_that_it_was(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    calls = [{"id": "1", "type": "function", "function": {"name": "now", "arguments": deep}}]
    question: list[Message] = [{"role": "user", "content": "?"}]
    with serve([""], calls=calls, finish="tool_calls") as endpoint:
        answer = client_of(endpoint).complete(messages=question)
    assert deep in called(chat_of("default_system"), Prompt(), question, answer)


def test_a_prompt_that_the_server_cut_is_noted_with_both_counts(tmp_path: Path) -> None:
    teacher = Prompt(({"role": "system", "content": "You are a cook. " * 100},))
    made, chat = Rollout(tmp_path, teacher), chat_of("chatml")
    with serve(["hi"], usage={"prompt_tokens": 30, "completion_tokens": 1}) as endpoint:
        made.run(endpoint, chat)
    takes = len(chat.prefix_ids(teacher, [{"role": "user", "content": "q10?"}]))
    (note,) = [note for note in made.notes() if "cut the prompt" in note]
    assert note.startswith(f"warning: gpt-5 read 30 tokens of a prompt that takes {takes}: ")
    assert results.whole(made.out / results.DONE)[results.CUT_PROMPT] == 12


def test_a_prompt_that_was_read_whole_is_not_noted(tmp_path: Path) -> None:
    teacher = Prompt(({"role": "system", "content": "You are a cook. " * 100},))
    made = Rollout(tmp_path, teacher)
    with serve(["hi"], usage={"prompt_tokens": 410}) as endpoint:
        made.run(endpoint, chat_of("chatml"))
    assert not [note for note in made.notes() if "cut the prompt" in note]
    assert results.CUT_PROMPT not in results.whole(made.out / results.DONE)
