"""What an answering model is shown, how it samples, and whose ids its answers are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bakery.backends.base import AnswerRequest
from bakery.backends.local import AnsweringForAnother, LocalModel, same_tokens
from bakery.engine.bases import bases
from bakery.engine.models import models
from bakery.engine.sampling.sampling import Sample
from bakery.engine.sampling.speaker import ended_before
from bakery.engine.text.views import pair_up
from bakery.identity import RolloutRequest, SamplingSettings, StimRequest
from bakery.records import Message, Prompt, Stimulus, Trajectory, read_rows
from bakery.reporting import Quiet
from bakery.stages import rollout, stim
from bakery.store import results
from tests.support.baking import SHOUT, Bench
from tests.support.models import random_model
from tests.support.templates import TOOLS, chat_of

TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "", "parameters": {"type": "object"}},
}
WITH_TOOL = Prompt(({"role": "system", "content": "Help."},), (TOOL,))
WHISPER = Prompt(({"role": "system", "content": "whisper"},))
QUESTION: Message = {"role": "user", "content": "Is it cold?"}


def answer(model: LocalModel, prompt: Prompt, settings: SamplingSettings) -> tuple[int, ...]:
    requests = [AnswerRequest("k", (QUESTION,))]
    ((found,),) = list(model.answers(requests, prompt, settings))
    return found.ids


def rolled_out(
    folder: Path, model: LocalModel, *generators: dict[str, Any], teacher: Prompt, **more: Any
) -> tuple[list[Stimulus], list[Trajectory]]:
    request = StimRequest(teacher, generators, {})
    stim.run(request, folder / "stim", open_writer=_nobody, reporter=Quiet())
    settings = more.pop("settings", SamplingSettings(1, 12, temperature=0))
    asked = RolloutRequest(request.id, teacher, settings, model.base.id, None, **more)
    rollout.run(asked, folder / "stim", folder / "out", sampler=model, reporter=Quiet())
    stimuli = read_rows(folder / "stim" / results.STIMULI, Stimulus)
    return stimuli, read_rows(folder / "out" / results.TRAJECTORIES, Trajectory)


def _nobody(model: str | None) -> Any:
    raise AssertionError("no question is asked of a model here")


def asked(*questions: str, **more: Any) -> dict[str, Any]:
    return {"type": "hardcoded", "questions": list(questions), **more}


def test_the_teacher_is_shown_its_tools_when_it_answers(tmp_path: Path) -> None:
    base = models.load(bases.identify(str(random_model(tmp_path / "m", TOOLS))), dtype="float32")
    model, greedy = LocalModel(base), SamplingSettings(1, 12, temperature=0)
    shown = base.chat.decoded(model.prefix(WITH_TOOL, [QUESTION], greedy))
    assert json.dumps(TOOL) in shown
    without = Prompt(WITH_TOOL.messages)
    _, rows = rolled_out(tmp_path, model, asked("Is it cold?"), teacher=WITH_TOOL)
    assert rows[0].response_ids == answer(model, WITH_TOOL, greedy)
    assert rows[0].response_ids != answer(model, without, greedy)


def test_a_call_of_a_tool_is_learnt_by_its_ids_like_any_answer() -> None:
    chat = chat_of("tools")
    said = '<tool_call>{"name": "weather", "arguments": {}}</tool_call><|im_end|>'
    ids = chat.encoded(said).ids
    pair = pair_up(chat, "k", WITH_TOOL, Prompt(), [QUESTION], ids)
    assert pair.student.target_ids == pair.teacher.target_ids == tuple(ids)
    assert "weather" in chat.decoded(pair.teacher.ids[: -len(ids)])
    assert "weather" not in chat.decoded(pair.student.ids[: -len(ids)])


def test_a_conditioned_question_is_answered_behind_the_student_prompt(
    tmp_path: Path, bench: Bench
) -> None:
    model, greedy = LocalModel(bench.base()), SamplingSettings(1, 12, temperature=0)
    behind = asked("Is it cold?", rollout_with_conditioned=True)
    stimuli, rows = rolled_out(
        tmp_path, model, asked("Who?"), behind, teacher=SHOUT, student=WHISPER
    )
    found = {row.stimulus_id: row.response_ids for row in rows}
    (conditioned,) = [s for s in stimuli if s.rollout_with == "student"]
    assert found[conditioned.id] == answer(model, WHISPER, greedy)
    assert found[conditioned.id] != answer(model, SHOUT, greedy)


def test_what_input_yml_writes_out_is_answered_with_the_likeliest_words_first(
    tmp_path: Path, bench: Bench
) -> None:
    model, greedy = LocalModel(bench.base()), SamplingSettings(1, 12, temperature=0)
    drawn = SamplingSettings(2, 12, temperature=2.0, likeliest_first=True)
    behind = asked("Is it cold?", rollout_with_conditioned=True)
    drawn_too = {"type": "persona", "numq": 3, "seed": 1}
    made = {"teacher": SHOUT, "student": WHISPER, "settings": drawn}
    stimuli, rows = rolled_out(tmp_path, model, asked("Who?"), behind, drawn_too, **made)
    found = {(row.stimulus_id, row.sample): row.response_ids for row in rows}
    assert len(found) == 10
    for stimulus in stimuli:
        prompt = WHISPER if stimulus.rollout_with == "student" else SHOUT
        requests = [AnswerRequest("k", stimulus.messages)]
        ((likeliest,),) = list(model.answers(requests, prompt, greedy))
        first, second = found[stimulus.id, 0], found[stimulus.id, 1]
        assert (first == likeliest.ids) == (stimulus.generator == "hardcoded")
        assert second != likeliest.ids


def test_a_presence_penalty_counts_only_the_answer(bench: Bench) -> None:
    model = LocalModel(bench.base())
    settings = SamplingSettings(1, 30, temperature=0, presence_penalty=1e6)
    ids = answer(model, SHOUT, settings)
    assert len(set(ids)) == len(ids)
    assert ids[0] == answer(model, SHOUT, SamplingSettings(1, 1, temperature=0))[0]


def test_a_frequency_penalty_grows_with_each_time(bench: Bench) -> None:
    model = LocalModel(bench.base())

    def most(penalty: float) -> int:
        ids = answer(model, SHOUT, SamplingSettings(1, 60, 0.0, frequency_penalty=penalty))
        return max(ids.count(i) for i in ids)

    assert most(1e6) < most(0.0)


def test_without_penalties_the_logits_are_not_touched(bench: Bench) -> None:
    model = LocalModel(bench.base())
    plain = answer(model, SHOUT, SamplingSettings(1, 20))
    assert answer(model, SHOUT, SamplingSettings(1, 20, frequency_penalty=0.0)) == plain


@pytest.mark.parametrize(
    ("stop", "kept", "finish"),
    [
        ((), "one two three<|im_end|>", "stop"),
        (("four",), "one two three<|im_end|>", "stop"),
        ((" three", "two"), "one ", "stop_text"),
        (("one",), "", "stop_text"),
    ],
)
def test_an_answer_ends_before_the_first_stop_text(
    stop: tuple[str, ...], kept: str, finish: str
) -> None:
    chat = chat_of("chatml")
    sample = Sample("k", tuple(chat.encoded("one two three<|im_end|>").ids), "stop")
    ended = ended_before(chat, sample, stop)
    assert (chat.decoded(ended.ids), ended.finish) == (kept, finish)


def test_a_model_with_the_same_tokens_may_answer_and_is_named(tmp_path: Path, bench: Bench) -> None:
    other = LocalModel(models.load(bases.identify(str(random_model(tmp_path / "other")))))
    assert same_tokens(other.base.chat, bench.base().chat)
    assert not same_tokens(chat_of("llama3"), bench.base().chat)
    answering = AnsweringForAnother(other)
    _, rows = rolled_out(tmp_path, answering._model, asked("Who?"), teacher=SHOUT)
    assert {row.model for row in rows} == {other.name}
    assert f"digest {other.base.id.digest[:16]}" in answering.notes[0]


def test_many_cut_answers_are_a_warning_with_what_helps(tmp_path: Path) -> None:
    local = LocalModel(models.load(bases.identify(str(random_model(tmp_path / "model")))))
    asked = {"type": "hardcoded", "questions": [f"q{n}?" for n in range(10)]}
    _, rows = rolled_out(tmp_path, local, asked, teacher=SHOUT)
    cut = sum(row.finish == "length" for row in rows)
    assert cut > 1
    (note,) = json.loads((tmp_path / "out" / results.DONE).read_text())["notes"]
    assert note.startswith(f"warning: {cut} of 10 answers were cut at max_tokens = 12, ")
    assert "raise TARGET.max_tokens" in note


@pytest.mark.parametrize(("cut", "is_many"), [(1, False), (10, False), (11, True)])
def test_one_answer_in_ten_may_be_cut(cut: int, is_many: bool) -> None:
    assert rollout._of_cut(cut, 100, 64).startswith("warning: ") is is_many
