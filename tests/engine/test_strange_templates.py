"""Chat templates and regular expressions that never end, or fill the memory."""

from __future__ import annotations

import json
import re
from pathlib import Path
from threading import Thread

import pytest

from bakery import bounded
from bakery.distil.target_mask import build_target_mask
from bakery.engine.models import adapters
from bakery.engine.text import rendering, template
from bakery.engine.text.chat import Chat
from bakery.errors import BakeryError, ConfigError, ModelError
from bakery.identity import BaseModelId
from bakery.records import Message, Prompt
from tests.support.baking import training
from tests.support.models import byte_tokenizer
from tests.support.templates import SHAPES, tokenizer_of
from tests.support.zoo import random_model

ASKED: list[Message] = [{"role": "user", "content": "hi"}]
LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
STRANGE = {
    "loops": LOOPS,
    "a macro that calls itself": "{% macro m(n) %}{{ m(n - 1) if n }}{{ m(n - 1) if n }}"
    "{% endmacro %}{{ m(60) }}",
    "doubled": "{% set n = namespace(t='x') %}{% for a in range(40) %}{% set n.t = n.t ~ n.t %}"
    "{% endfor %}{{ n.t | length }}",
    "multiplied": "{{ ('x' * 4000000000) | length }}",
    "padded": "{{ '%4000000000d' % 1 }}",
    "centred": "{{ 'x' | center(4000000000) }}",
    "long": "{{ 'x' * 2000000 }}",
}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, limit in (("CPU_S", 0.3), ("MEMORY", 64 << 20), ("MOST", 1 << 20)):
        monkeypatch.setattr(bounded, name, limit)
    if bounded._there is not None:
        bounded._there.end()


@pytest.mark.parametrize("strange", STRANGE)
def test_a_template_that_takes_too_much_is_refused(strange: str) -> None:
    chat = Chat(byte_tokenizer(STRANGE[strange]), [0])
    with pytest.raises(ModelError, match="does not come to an end"):
        chat.prefix_ids(Prompt(), ASKED)


def test_a_template_without_end_is_refused_in_a_thread() -> None:
    chat, found = Chat(byte_tokenizer(LOOPS), [0]), []

    def work() -> None:
        try:
            chat.rendered(ASKED)
        except BakeryError as error:
            found.append(error)

    thread = Thread(target=work)
    thread.start()
    thread.join()
    assert isinstance(found[0], ModelError)


def test_a_base_whose_template_never_ends_has_no_prompt_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": LOOPS}))
    assert template.own_prompt(BaseModelId(str(tmp_path), "", "")) is None


@pytest.mark.parametrize(
    "text",
    ["{{ 1 / 0 }}", "{{ messages[7].content.x }}", "{{ raise_exception('no') }}", "{% if %}",
     "{{ 'x'.nothing() }}", "{{ messages | sum }}", "{{ ''.__class__.mro() }}"],
)  # fmt: skip
def test_a_template_that_fails_is_said_to_refuse(text: str) -> None:
    chat = Chat(byte_tokenizer(text), [0])
    with pytest.raises(ConfigError, match="chat template refuses these messages"):
        chat.rendered(ASKED)


@pytest.mark.parametrize("text", ["{{ messages[0].content }}", "{{ messages | tojson }}"])
def test_a_message_that_is_nested_without_end_is_refused(text: str) -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    chat = Chat(byte_tokenizer(text), [0])
    with pytest.raises(ConfigError, match="nested too deeply"):
        chat.rendered([{**ASKED[0], "tool_calls": deep}])


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_rendered_is_what_transformers_renders(shape: str) -> None:
    tokenizer = tokenizer_of(shape)
    told: list[Message] = [
        *ASKED,
        {"role": "assistant", "content": "<b> & ü \ud83d", "reasoning_content": None},
        {"role": "user", "content": "and\ttabs\n"},
    ]
    for how in ({}, {"add_generation_prompt": True}, {"enable_thinking": False}):
        usual = tokenizer.apply_chat_template(told, tokenize=False, **how)
        assert rendering.text_of(tokenizer, told, **how) == usual


CATASTROPHE = r"(\w+\s?)+$"
LONG = "word " * 12 + "!"


def test_a_pattern_that_never_ends_is_refused() -> None:
    said = [{"role": "user", "content": "?"}, {"role": "assistant", "content": LONG}]
    with pytest.raises(ConfigError, match=r"content_pattern: .* is not through with a text"):
        build_target_mask(byte_tokenizer(), said, ["assistant"], CATASTROPHE)


def test_a_pattern_over_layers_that_never_ends_is_refused() -> None:
    model = random_model("olmo2")
    with pytest.raises(ConfigError, match=r"target_modules: .* is not through with layers' names"):
        adapters.attach_new(model, training(target_modules=r"([a-z_.0-9]+)+!"))


@pytest.mark.parametrize("text", ["(" * 5000 + ")" * 5000, "a{99999999999999999999}"])
def test_a_pattern_that_cannot_be_compiled_is_refused(text: str) -> None:
    from bakery.settings.checks import _regex

    [problem] = _regex(("target_content_pattern",), text)
    assert re.search("regular expression", problem.text)
