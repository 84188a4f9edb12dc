"""What is said beside exported weights is right for every kind of base."""

from __future__ import annotations

import pytest

from bakery.app.model_card import Weights, readme, usage
from bakery.identity import BaseModelId
from bakery.records import ModelRef

MODEL = ModelRef("ann", "tale", f"yoda_{'a' * 16}", 12)
RECORD = {
    "targets": [
        {
            "name": "t_" + "b" * 16,
            "teacher": {"messages": [{"role": "system", "content": "```\n# Be\n```"}]},
            "student": {"messages": []},
        }
    ]
}


def weights(base: BaseModelId, merged_as: str | None = None) -> Weights:
    return Weights(MODEL, base, 48, "d" * 64, RECORD, merged_as)


@pytest.mark.parametrize(
    ("base", "python", "served", "converted"),
    [
        (
            BaseModelId("tiny-1", "", "e" * 64),
            'from_pretrained(files("bakery") / "tiny", dtype="float32")',
            "vllm serve PATH_TO_TINY --enable-lora",
            "--base PATH_TO_TINY",
        ),
        (
            BaseModelId("org/small", "abc", "e" * 64),
            'from_pretrained("org/small", revision="abc")',
            "vllm serve org/small --revision abc --enable-lora --max-lora-rank 64",
            "--base-model-id org/small",
        ),
        (
            BaseModelId("/models/small", "", "e" * 64),
            'from_pretrained("/models/small")',
            "vllm serve /models/small --enable-lora",
            "--base /models/small",
        ),
    ],
)
def test_every_base_is_named_as_each_program_wants_it(base, python, served, converted):
    commands = dict(usage(weights(base), "out"))
    assert python in commands["PEFT"]
    assert served in commands["vLLM"]
    assert commands["vLLM"].endswith("--lora-modules yoda=out")
    assert commands["llama.cpp"] == f"python convert_lora_to_gguf.py out {converted}"
    assert all(command in readme(weights(base), "out") for command in commands.values())


def test_only_a_model_of_the_hub_is_linked_as_the_base():
    assert "base_model: org/small\n" in readme(weights(BaseModelId("org/small", "", "")), "out")
    assert "base_model:" not in readme(weights(BaseModelId("/models/small", "", "")), "out")


def test_a_merged_model_is_used_without_its_base():
    commands = dict(usage(weights(BaseModelId("org/small", "", ""), "bfloat16"), "out"))
    assert "org/small" not in "".join(commands.values())
    assert commands["vLLM"] == "vllm serve out"


def test_a_prompt_cannot_end_the_block_it_is_quoted_in():
    text = readme(weights(BaseModelId("tiny-1", "", "")), "out")
    assert "\n    system: ```\n    # Be\n    ```\n" in text


def test_commands_hold_together_where_a_folder_has_a_blank():
    commands = dict(usage(weights(BaseModelId("org/small", "", "")), "my exports/yoda"))
    assert commands["vLLM"].endswith("--lora-modules 'yoda=my exports/yoda'")
    assert "convert_lora_to_gguf.py 'my exports/yoda' " in commands["llama.cpp"]
