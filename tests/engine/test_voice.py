"""A model that speaks as the user: behind which ids, seeded by what, and how likely it finds it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bakery.backends.base import Turn, Wish
from bakery.backends.local import LocalModel
from bakery.backends.voice import EMBEDDED_SPEECH, SPEECH, Voice
from bakery.backends.writers import InstructedWriter, UserTurnWriter, writer_for
from bakery.engine.sampling.sampling import Sample, SampleRequest
from bakery.engine.text.chat import Chat
from bakery.errors import ConfigError
from bakery.records import Prompt
from tests.support.asked import BRINE
from tests.support.baking import SHOUT, Bench
from tests.support.models import byte_tokenizer
from tests.support.templates import chat_of

OWN_SYSTEM = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\n"
    "You are helpful.<|im_end|>\n{% endif %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
    "<|im_end|>\n{% endfor %}"
)


def voice(bench: Bench, **changes: object) -> Voice:
    return Voice(LocalModel(bench.base()), replace(SPEECH, **changes))  # type: ignore[arg-type]


def turns(count: int, behind: Prompt = Prompt(), key: str = "k/0") -> list[Turn]:  # noqa: B008
    return [Turn(f"{key}/{i}", behind) for i in range(count)]


def test_a_user_comes_behind_what_the_template_writes_by_itself() -> None:
    chat = Chat(byte_tokenizer(OWN_SYSTEM), [2])
    before = "<|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\n"
    assert chat.decoded(chat.user_turn_ids()) == before


def test_a_user_comes_behind_a_prompt_with_its_example_turns() -> None:
    chat = Chat(byte_tokenizer(OWN_SYSTEM), [2])
    told = chat.decoded(chat.user_turn_ids(BRINE))
    assert told.startswith("<|im_start|>system\nYou are Captain Brine")
    assert told.endswith("with grog!<|im_end|>\n<|im_start|>user\n")


def test_each_turn_is_seeded_by_its_key_alone(bench: Bench) -> None:
    spoken = voice(bench).speak(turns(6), temperature=0.7, max_tokens=12)
    again = voice(bench).speak(turns(6)[::-1], temperature=0.7, max_tokens=12)
    assert [reply.text for reply in again[::-1]] == [reply.text for reply in spoken]
    other = voice(bench).speak(turns(6, key="k/1"), temperature=0.7, max_tokens=12)
    assert [reply.text for reply in other] != [reply.text for reply in spoken]


def test_what_is_said_depends_on_the_prompt_that_it_is_said_behind(bench: Bench) -> None:
    alone = voice(bench).speak(turns(4), temperature=1.0, max_tokens=12)
    behind = voice(bench).speak(turns(4, SHOUT), temperature=1.0, max_tokens=12)
    assert [reply.text for reply in alone] != [reply.text for reply in behind]


def test_the_embedded_model_speaks_at_the_start_of_a_conversation(bench: Bench) -> None:
    embedded = Voice(LocalModel(bench.base()), EMBEDDED_SPEECH)
    assert not embedded.follows(SHOUT)
    both = [embedded.speak(turns(4, p), temperature=1.0, max_tokens=9) for p in (SHOUT, Prompt())]
    assert both[0] == both[1]
    writer = UserTurnWriter(LocalModel(bench.base()))
    former = writer.write(Wish("", "k/0", 4, 1.0, max_tokens=9))[:4]
    assert [reply.finished for reply in both[0]] == [reply.finished for reply in former]


def test_how_likely_a_turn_is_follows_from_the_models_own_logits(bench: Bench) -> None:
    mine, base = voice(bench), bench.base()
    requests = [
        SampleRequest("a", tuple(base.chat.user_turn_ids())),
        SampleRequest("b", tuple(base.chat.user_turn_ids(SHOUT))),
    ]
    sampled = {"a": Sample("a", (9, 30, 7, 2), "stop"), "b": Sample("b", (40, 41, 2), "stop")}
    likely = mine._likely(requests, sampled)
    for request in requests:
        before, said = request.prefix_ids, sampled[request.key].ids
        ids = torch.tensor([[*before, *said]])
        with torch.no_grad():
            logprobs = base.model(ids).logits[0, len(before) - 1 : -1].log_softmax(dim=-1)
        own = logprobs.gather(1, torch.tensor(said)[:, None]).mean()
        assert likely[request.key] == pytest.approx(float(own), abs=1e-4)


def test_only_what_ended_by_itself_is_weighed(bench: Bench) -> None:
    spoken = voice(bench, min_p=0.0).speak(turns(12), temperature=1.0, max_tokens=300)
    assert {reply.finished for reply in spoken} == {True, False}
    assert all((reply.likely is not None) == reply.finished for reply in spoken)


def test_a_template_without_a_system_role_is_spoken_at_without_the_prompt(bench: Bench) -> None:
    base = replace(bench.base(), chat=chat_of("no_system"))
    assert not Voice(LocalModel(base), SPEECH).follows(SHOUT)
    assert voice(bench).follows(SHOUT)
    assert not voice(bench).follows(Prompt())


def test_a_question_that_does_not_fit_the_context_names_the_generators_own_limit(
    bench: Bench,
) -> None:
    with pytest.raises(ConfigError, match="has a context of") as caught:
        voice(bench).speak(turns(1), temperature=1.0, max_tokens=10_000)
    assert "the generator's max_tokens" in str(caught.value.hint)


def test_a_base_can_be_asked_both_ways(bench: Bench) -> None:
    writer = writer_for(LocalModel(bench.base()))
    assert isinstance(writer, InstructedWriter)
    assert not writer.voice.is_trusted
    assert UserTurnWriter(LocalModel(bench.base())).voice.is_trusted


def test_a_short_list_costs_few_tokens(bench: Bench) -> None:
    writer = InstructedWriter(LocalModel(bench.base()))
    (reply,) = writer.write(Wish("Write.", "k", 1, 1.0, max_tokens=5, lists=1))
    assert len(reply.text) <= 5
