"""Half-baked: how much of a bake is in a model, and what stays untouched."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftConfig

from bakery.backends import both_ways
from bakery.backends.base import AnswerRequest
from bakery.backends.chatting import LocalSpeaker, set_thinking
from bakery.backends.local import LocalModel
from bakery.conversation import ChatSettings, Ending
from bakery.engine.models.strength import AS_BAKED, AS_BASE, AS_PARENT, Dial, Strength
from bakery.errors import ConfigError, ModelError
from bakery.identity import SamplingSettings
from bakery.records import Prompt
from tests.support.baking import Bench
from tests.support.models import CHATML, random_model

IDS = torch.tensor([[1, 88, 120, 40, 7, 2]])

HELLO = [{"role": "user", "content": "q1 what?"}]

SWITCHED = CHATML + "{% if enable_thinking is defined and not enable_thinking %}-{% endif %}"


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Path, Path]:
    """A bench with two bakes, the second on the first; their folders."""
    root = tmp_path_factory.mktemp("chain")
    bench = Bench(root / "store", random_model(root / "model"))
    first = bench.bake(questions=8, epochs=3, learning_rate=0.02)
    whisper = Prompt(({"role": "system", "content": "Whisper."},))
    second = bench.bake(teacher=whisper, questions=8, epochs=3, learning_rate=0.02, parent=first)
    return bench, first["folder"], second["folder"]


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits


def loaded(bench: Bench, folder: Path | None) -> LocalModel:
    return LocalModel(bench.base(), parent=folder)


def test_a_parent_is_asked_with_and_without_its_bakes_and_taken_off_bit_for_bit(chain):
    bench, _, second = chain
    local = loaded(bench, second)
    before = logits(bench.base().model)
    asked = [AnswerRequest("0", tuple(HELLO))]
    shout = Prompt(({"role": "system", "content": "SHOUT!"},))
    how = shout, Prompt(), SamplingSettings(1, 12, temperature=0.0)
    found = both_ways.ask(local, asked, *how)
    bare = both_ways.ask(loaded(bench, None), asked, *how)
    assert found.on_base == bare.prompted != found.prompted
    assert found.base == bare.unprompted
    assert bare.on_base is bare.base is None
    assert found.moved > 0
    local.model.unload()
    assert torch.equal(logits(local.base.model), before)


def test_strength_one_is_the_bake_bit_for_bit(chain):
    bench, _, second = chain
    local = loaded(bench, second)
    before = logits(local.model)
    dial = Dial(local.model, second)
    dial.turn(Strength(0.3, 0.7))
    dial.turn(AS_BAKED)
    assert torch.equal(logits(local.model), before)


def test_strength_nought_is_the_parent(chain):
    bench, first, second = chain
    local = loaded(bench, second)
    Dial(local.model, second).turn(AS_PARENT)
    torch.testing.assert_close(logits(local.model), logits(loaded(bench, first).model))


def test_without_any_bake_it_is_the_base(chain):
    bench, _, second = chain
    local = loaded(bench, second)
    Dial(local.model, second).turn(AS_BASE)
    assert torch.equal(logits(local.model), logits(loaded(bench, None).model))


def test_half_baked_is_neither_the_parent_nor_the_bake(chain):
    bench, _, second = chain
    local = loaded(bench, second)
    dial = Dial(local.model, second)
    found = []
    for own in (0.0, 0.5, 1.0, 2.0):
        dial.turn(Strength(own))
        found.append(logits(local.model))
    assert all(not torch.allclose(a, b) for i, a in enumerate(found) for b in found[:i])


def test_without_one_bake_the_others_are_as_they_were(chain):
    bench, first, second = chain
    local = loaded(bench, second)
    whole = logits(local.model)
    dial = Dial(local.model, second)
    for left_out, due in ((1, first), (0, None)):
        dial.turn(Strength(without=frozenset({dial.bakes[left_out]})))
        alone = None if due is None else logits(loaded(bench, due).model)
        if alone is not None:
            torch.testing.assert_close(logits(local.model), alone, rtol=0, atol=1e-4)
        assert not torch.allclose(logits(local.model), whole, atol=1e-3)
    dial.turn(Strength(without=frozenset(dial.bakes)))
    assert torch.equal(logits(local.model), logits(loaded(bench, None).model))
    dial.turn(AS_BAKED)
    assert torch.equal(logits(local.model), whole)


def test_a_bake_that_is_not_in_a_chain_cannot_be_left_out(chain):
    bench, first, _ = chain
    dial = Dial(loaded(bench, first).model, first)
    with pytest.raises(ModelError, match="has no ranks of 'beef'"):
        dial.turn(Strength(without=frozenset({"beef"})))


def test_half_of_a_bake_on_the_base_moves_every_layer_by_half(chain):
    bench, first, _ = chain
    local = loaded(bench, first)
    (layer, *_) = [m for m in local.model.modules() if hasattr(m, "lora_B") and len(m.lora_B)]
    whole = layer.lora_B["parent"].weight.clone()
    Dial(local.model, first).turn(Strength(0.5))
    assert torch.equal(layer.lora_B["parent"].weight, whole * 0.5)


def test_an_adapter_that_does_more_than_add_has_no_strength(chain):
    bench, first, _ = chain
    local = loaded(bench, first)
    local.model.peft_config["parent"].use_dora = True
    dial = Dial(local.model, first)
    dial.turn(AS_BAKED)
    with pytest.raises(ModelError, match="use_dora"):
        dial.turn(AS_PARENT)


def test_every_adapter_of_a_chain_names_its_base(chain):
    bench, first, second = chain
    named = [PeftConfig.from_pretrained(folder) for folder in (first, second)]
    assert [config.base_model_name_or_path for config in named] == [bench.base_id.name] * 2


def said(speaker: LocalSpeaker, **settings: object) -> str:
    return "".join(speaker.reply(Prompt(), HELLO, ChatSettings(max_tokens=12, **settings)))


def test_speakers_share_a_model_and_each_keeps_its_strength(chain):
    bench, first, second = chain
    local = loaded(bench, second)
    dial = Dial(local.model, second)
    baked = LocalSpeaker("baked", local, dial=dial)
    teacher = LocalSpeaker("parent", local, dial=dial, at=AS_PARENT, scalable=False)
    parent = LocalSpeaker("parent", loaded(bench, first))
    alone = said(baked)
    assert said(teacher) == said(parent)
    assert said(baked) == alone
    assert (baked.strength, teacher.strength, parent.strength) == (1.0, None, None)


def test_a_strength_may_be_that_of_the_whole_chain(chain):
    bench, _, second = chain
    local = loaded(bench, second)
    speaker = LocalSpeaker("m", local, dial=Dial(local.model, second), whole_chain=True)
    speaker.scale(0.0)
    said(speaker)
    assert torch.equal(logits(local.model), logits(loaded(bench, None).model))


def test_a_seed_draws_the_same_answers_and_a_second_try_another(chain):
    bench, _, _ = chain
    first, other = (LocalSpeaker("m", loaded(bench, None)) for _ in range(2))
    how = {"temperature": 1.0, "seed": 7}
    answer = said(first, **how)
    assert said(other, **how) == answer
    assert said(other, **how) != answer


def test_a_reply_says_how_it_ended(chain):
    bench, _, _ = chain
    endings = []

    def whole():
        speaker = LocalSpeaker("m", loaded(bench, None))
        endings.append((yield from speaker.reply(Prompt(), HELLO, ChatSettings(max_tokens=3))))

    assert len("".join(whole())) <= 3
    assert endings == [Ending("length", 3)]


def test_a_reply_that_is_left_stops_the_model(chain):
    bench, _, _ = chain
    speaker = LocalSpeaker("m", loaded(bench, None))
    reply = speaker.reply(Prompt(), HELLO, ChatSettings(temperature=1.0, seed=1))
    next(reply)
    reply.close()
    assert said(speaker) == said(LocalSpeaker("m", loaded(bench, None)))


@pytest.mark.parametrize("tokens", [None, 400])
def test_what_does_not_fit_the_context_is_refused_with_advice(chain, tokens):
    bench, _, _ = chain
    speaker = LocalSpeaker("m", loaded(bench, None))
    long = [{"role": "user", "content": "?" * (480 if tokens is None else 100)}]
    reply = speaker.reply(Prompt(), long, ChatSettings(max_tokens=tokens))
    with pytest.raises(ConfigError, match="has a context of 512") as caught:
        next(reply)
    assert "/clear" in str(caught.value.hint)


def test_thinking_is_shut_where_the_template_has_the_switch(chain, tmp_path):
    switched = LocalModel(Bench(tmp_path, random_model(tmp_path / "model", SWITCHED)).base())
    before = switched.base.chat.prefix_ids(Prompt(), HELLO)
    set_thinking(switched, False)
    assert switched.base.chat.prefix_ids(Prompt(), HELLO) != before
    with pytest.raises(ConfigError, match="no switch for thinking"):
        set_thinking(loaded(chain[0], None), False)
