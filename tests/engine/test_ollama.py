"""A chat template in Ollama's language writes what the template writes, or there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bakery.engine.bases import bases
from bakery.engine.export.ollama import go_template, modelfile, pieces
from bakery.engine.models import models
from bakery.engine.models.models import BaseModel
from bakery.engine.text.chat import Chat
from bakery.records import Prompt
from tests.support import go
from tests.support.models import byte_tokenizer
from tests.support.templates import SHAPES, chat_of


def of(template: str) -> Chat:
    return Chat(byte_tokenizer(template), [2])


FIRST_QUESTION = """\
{%- set told = messages[0].content if messages[0].role == 'system' else '' -%}
{%- for m in messages if m.role != 'system' -%}
{{ '<|im_start|>' + m.role + ': ' }}
{%- if loop.first and told -%}{{ told + ' // ' }}{%- endif -%}
{{ m.content + '<|im_end|>' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant: ' }}{%- endif -%}"""
QUOTES = """\
{% for m in messages %}{{ m.role }} says {{ '"' + "{{ .X }} \\\\ " }}{{ m.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}assistant says {{ '"' + "{{ .X }} \\\\ " }}{% endif %}"""

CHATS = {
    **{shape: chat_of(shape) for shape in SHAPES},
    "first question": of(FIRST_QUESTION),
    "quotes": of(QUOTES),
}


@pytest.mark.parametrize("shape", CHATS)
def test_the_pieces_of_a_template_write_what_it_writes(shape):
    chat = CHATS[shape]
    found = pieces.derive(chat)
    talks = pieces.shapes(with_system=found.takes_system)
    assert len(talks) == 5
    for talk in talks:
        assert found.render(talk) == chat.asked(talk)


def test_where_a_system_prompt_stands_is_seen():
    def where(shape: str) -> str:
        return pieces.derive(CHATS[shape]).system_in

    assert where("chatml") == where("default_system") == "own turn"
    assert where("first question") == where("no_system") == "first question"
    assert where("system_to_last_user") == "last question"
    assert not pieces.derive(CHATS["no_system"]).takes_system
    assert pieces.derive(CHATS["default_system"]).head.startswith("<|im_start|>system\nYou help.")


@pytest.mark.slow
@go.needs_go
def test_go_executes_the_template_to_the_same_ids(tmp_path: Path):
    for shape, chat in CHATS.items():
        found = pieces.derive(chat)
        talks = pieces.shapes(with_system=found.takes_system)
        begins = chat.tokenizer.bos_token or ""
        texts = go.rendered(go_template.write(found, without=begins), talks, tmp_path)
        for talk, text in zip(talks, texts, strict=True):
            ids = chat.tokenizer(begins + text, add_special_tokens=False)["input_ids"]
            assert ids == chat.prefix_ids(Prompt(), talk), (shape, text)


@pytest.mark.slow
@go.needs_go
def test_go_writes_a_system_prompt_before_the_first_question_where_there_is_no_role_for_it(
    tmp_path: Path,
):
    found = pieces.derive(CHATS["no_system"])
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}]
    (text,) = go.rendered(go_template.write(found), [talk], tmp_path)
    assert text == found.render(talk)
    assert text.startswith("<bos><start_of_turn>user\nBe brief.\n\nWho?<end_of_turn>")


TURNS = "{%% for m in messages %%}<|im_start|>{{ m.role }} %s<|im_end|>{%% endfor %%}"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        (TURNS % "{{ m.content | upper }}", "leaves out, repeats or moves"),
        (TURNS % "{{ m.content + m.content }}", "leaves out, repeats or moves"),
        (TURNS % "{{ loop.index }} {{ m.content }}", "the first question begins otherwise"),
        (TURNS % "{{ m.content.split('{{')[0] }}", "comes out otherwise than its parts say"),
        (TURNS % "{{ m.content }}{{ '!' if loop.last }}", "a question"),
        ("{{ raise_exception('no') }}", "refuses a plain conversation"),
    ],
)
def test_a_template_that_does_more_is_not_told_as_pieces(template, why):
    with pytest.raises(pieces.UnlikeError, match=why):
        pieces.derive(of(template))


@pytest.fixture(scope="module")
def tiny() -> BaseModel:
    return models.load(bases.identify("tiny"), dtype="float32")


def test_a_modelfile_names_files_template_ends_room_and_licence(tiny):
    made = modelfile.write(tiny, source="./base.gguf", adapter="./a.gguf", licence='a "b" c')
    lines = made.text.splitlines()
    assert lines[:3] == ["FROM ./base.gguf", "ADAPTER ./a.gguf", 'TEMPLATE """']
    assert lines[-4:] == [
        '"""', "PARAMETER num_ctx 1024", 'PARAMETER stop "<|im_end|>"', 'LICENSE "a \\"b\\" c"',
    ]  # fmt: skip
    assert made.notes == ()


def test_a_modelfile_without_a_template_says_so(tiny):
    odd = replace(tiny, chat=of(TURNS % "{{ m.content | upper }}"))
    made = modelfile.write(odd, source="./model.gguf")
    assert "TEMPLATE" not in made.text
    assert "The Modelfile has no TEMPLATE" in made.notes[0]


@pytest.mark.parametrize(
    ("shape", "told"), [("no_system", "no system prompt"), ("llama3", "blanks")]
)
def test_what_ollama_cannot_do_is_said(shape, told, tiny):
    made = modelfile.write(replace(tiny, chat=CHATS[shape]), source="./model.gguf")
    assert any(told in note for note in made.notes)
