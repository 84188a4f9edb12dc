"""What a chat template writes by itself, read from a base's files alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bakery.engine.text import template
from bakery.identity import BaseModelId

TURNS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
OWN = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
    + TURNS
)


def written(folder: Path, text: str) -> template.Own | None:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": text, "bos_token": {"content": "<s>"}})
    )
    return template.own_prompt(BaseModelId(str(folder), "", ""))


def test_a_system_prompt_that_nobody_gave_is_found(tmp_path: Path) -> None:
    assert written(tmp_path, OWN) == template.Own("Be kind.", None)


@pytest.mark.parametrize(
    "text",
    [
        TURNS,
        "{{ bos_token }}" + TURNS,
        "{{ raise_exception('no') }}",
        "{% this is no template",
        "{{ messages[7].content }}",
    ],
)
def test_where_there_is_none_or_it_cannot_be_read_nothing_is_said(
    tmp_path: Path, text: str
) -> None:
    assert written(tmp_path, text) is None


def test_a_base_that_is_not_here_says_nothing(tmp_path: Path) -> None:
    assert template.own_prompt(BaseModelId(str(tmp_path / "gone"), "", "")) is None
