"""Rows that are held to a form say what it allows, and change nothing for others."""

from __future__ import annotations

import json

import pytest

from bakery.engine.bases import bases
from bakery.engine.models import models
from bakery.engine.models.models import embedded
from bakery.engine.serving import holding
from bakery.engine.serving.asking import Ask, Failed, Token
from bakery.engine.serving.holding import Holder
from bakery.errors import ConfigError
from bakery.identity import SamplingSettings
from bakery.records import Prompt
from bakery.server.text import Words
from tests.support.models import CHATML, make_model
from tests.support.served import MODELS, finished, mix, opened

DRAWN = SamplingSettings(1, 80)
GREEDY = SamplingSettings(1, 80, temperature=0)
LIST = (
    'start: %json {"type": "array", "items": {"enum": ["é", 1, null]}, "minItems": 2, '
    '"maxItems": 4, "x-guidance": {"whitespace_flexible": false}}'
)


@pytest.fixture(scope="module")
def base(served):
    return served.base()


@pytest.fixture(scope="module")
def holder(base):
    return Holder(base.chat, embedded(base.model))


def asks(shelf, served, holder):
    """Rows of all models, every other one of which is held to a list."""
    return [
        Ask(
            f"row {i}", (5, 6, 7 + i), (GREEDY, DRAWN)[i // 2 % 2], mix(shelf, served, *model),
            allowed=holder.held(LIST, 1)[0] if i % 2 else None,
        )
        for i, model in enumerate([*MODELS, *MODELS])
    ]  # fmt: skip


def test_rows_with_and_without_a_form_say_what_they_say_alone(served, base, holder):
    shelf, batch = opened(served)
    for ask in asks(shelf, served, holder):
        batch.join(ask)
    together = finished(batch)
    shelf, batch = opened(served)
    for ask in asks(shelf, served, holder):
        batch.join(ask)
        ((key, tokens),) = finished(batch).items()
        assert [t.id for t in tokens] == [t.id for t in together[key]]
        if ask.allowed is not None:
            found = json.loads(base.chat.text([t.id for t in tokens]))
            assert 2 <= len(found) <= 4
            assert all(one in ("é", 1, None) for one in found)
            assert tokens[-1].finish == "stop"


def test_a_row_that_cannot_go_on_ends_and_no_other(served, holder):
    shelf, batch = opened(served)

    def broken(said):
        if len(said) == 2:
            raise ConfigError("no way on")

    batch.join(Ask("broken", (5, 6), GREEDY, allowed=broken))
    batch.join(Ask("never", (5, 6), GREEDY, allowed=lambda said: broken((0, 0))))
    batch.join(Ask("other", (5, 6), GREEDY, mix(shelf, served, "first")))
    told: list = []
    found = finished(batch, told)
    assert len(found["other"]) == 80 or found["other"][-1].finish == "stop"
    assert [one.key for one in told if isinstance(one, Failed)] == ["never", "broken"]
    assert len([one for one in told if isinstance(one, Token) and one.key == "broken"]) == 2


@pytest.mark.parametrize(
    ("grammar", "why"),
    [
        ('start: "', "lexer error"),
        ("start: " + "x" * 40_000, "may have 32,768"),
        ('start: %json {"$ref": "#"}', "nothing that it allows"),
        ('start: %json {"type": "string", "pattern": "(?=a)"}', "look-around"),
        ('start: %json {"$ref": "http://127.0.0.1:9/x.json"}', "not present"),
    ],
)
def test_a_grammar_that_cannot_be_held_is_refused_with_the_reason(holder, grammar, why):
    with pytest.raises(ConfigError, match=why):
        holder.held(grammar, 1)
    assert not holder.knows(grammar)


def test_a_grammar_that_would_end_the_process_ends_only_the_one_it_is_tried_in(holder, monkeypatch):
    monkeypatch.setattr(holding, "MOST_CHARACTERS", 1 << 20)
    defs = {f"d{i}": {"type": "array", "items": {"$ref": f"#/$defs/d{i + 1}"}} for i in range(9000)}
    bomb = {"$ref": "#/$defs/d0", "$defs": {**defs, "d9000": {}}}
    with pytest.raises(ConfigError, match="too long to compile, or too much memory"):
        holder.held(f"start: %json {json.dumps(bomb)}", 1)


def test_a_thought_that_the_template_has_opened_is_closed_before_a_held_answer(tmp_path):
    template = CHATML.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
    found = bases.identify(str(make_model(tmp_path / "thinks", template=template)))
    words = Words(models.load(found, dtype="float32"))
    asked = Prompt(), [{"role": "user", "content": "Who?"}]
    free, held = words.prefix(*asked), words.prefix(*asked, is_held=True)
    assert words.decoded(held) == words.decoded(free) + "\n</think>\n\n"
    assert words.decoded(free).endswith("<think>\n")
    assert words.prefix(*asked) == free


def test_a_known_grammar_is_compiled_once_and_each_row_has_its_own_state(holder, monkeypatch):
    first, second = holder.held(LIST, 2)
    monkeypatch.setattr(holding, "_tried", None)  # it would be called for a new one
    (third,) = holder.held(LIST, 1)
    begin = first([])
    (opening,) = begin.nonzero()[:, 0].tolist()
    assert not first([opening]).equal(begin)
    assert second([]).equal(begin)
    assert third([]).equal(begin)
