"""What is said beside exported weights is right for every kind of base."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from bakery.app.launching import InGguf
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
    ("base", "python", "served"),
    [
        (
            BaseModelId("tiny-1", "", "e" * 64),
            'from_pretrained(files("bakery") / "tiny", dtype="float32")',
            "vllm serve PATH_TO_TINY --enable-lora",
        ),
        (
            BaseModelId("org/small", "abc", "e" * 64),
            'from_pretrained("org/small", revision="abc")',
            "vllm serve org/small --revision abc --enable-lora --max-lora-rank 64",
        ),
        (
            BaseModelId("/models/small", "", "e" * 64),
            'from_pretrained("/models/small")',
            "vllm serve /models/small --enable-lora",
        ),
    ],
)
def test_every_base_is_named_as_each_program_wants_it(base, python, served):
    commands = dict(usage(weights(base), "out"))
    assert python in commands["PEFT"]
    assert served in commands["vLLM"]
    assert commands["vLLM"].endswith("--lora-modules yoda=out")
    assert commands["llama.cpp, Ollama"] == f"bgit download {MODEL.bake} --format gguf"
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


CARD = {
    "held_out": 24,
    "kl_before": 2.5,
    "kl_after": 0.125,
    "gap_closed": 0.95,
    "top1_agreement": 0.975,
    "prompt_tokens_saved": 30.0,
    "verdict": {"word": "holds in part", "reason": "```\n# a price differs\x1b[2J\u202e"},
    "side_by_side": [
        {"question": "What?\n# Now?", "base": "No.", "prompted": "49\neuros", "baked": "89"}
    ],
    "coverage": [
        {"sentence": "A helmet\ncosts 49.", "asked": 3, "gap_closed": 0.25},
        {"sentence": "Be brief.", "asked": 0, "gap_closed": None},
    ],
}


def test_the_verdict_the_answers_and_what_was_learnt_come_before_the_prompts():
    told = replace(weights(BaseModelId("org/small", "", "")), record={**RECORD, "card": CARD})
    text = readme(told, "out")
    parts = ["## It holds in part", "## What it says", "## What of the prompt was learnt",
             "## What was baked in"]  # fmt: skip
    assert sorted(map(text.index, parts)) == [text.index(part) for part in parts]
    assert "\n    ```\n    # a price differs\\x1b[2J\\u202e\n" in text
    assert (
        "\n    What?\n    # Now?\n      base      No.\n      prompted  49\n                euros\n"
        "      baked     89\n" in text
    )
    assert "\n         25 %  A helmet costs 49.\n    not asked  Be brief.\n" in text
    assert "| gap closed | 95.0 % |" in text
    assert "| prompt tokens saved | 30 per request |" in text


def test_every_bake_of_the_chain_has_its_prompt_and_how_near_it_came():
    first = {**RECORD, "bake_name": "one_x", "card": CARD}
    last = {**RECORD, "bake_name": "two_y"}
    text = readme(replace(weights(BaseModelId("a/b", "", "")), record=last, earlier=(first,)), "o")
    assert text.index("### 1. `one_x`") < text.index("### 2. `two_y`")
    assert "holds in part; 2.5 before, 0.125 after (nats per token)." in text
    assert text.count("system: ```") == 2


def test_the_hub_is_told_what_it_is_made_from_and_by_which_licence():
    told = replace(weights(BaseModelId("org/small", "", "")), licence="apache-2.0")
    head = readme(told, "out").split("---\n")[1]
    assert yaml.safe_load(head) == {
        "base_model": "org/small",
        "base_model_relation": "adapter",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "license": "apache-2.0",
        "tags": ["prompt-baking", "context-distillation", "lora"],
    }
    merged = readme(replace(told, merged_as="bfloat16", licence="x\ntags: []"), "out")
    data = yaml.safe_load(merged.split("---\n")[1])
    assert (data["base_model_relation"], data["library_name"]) == ("finetune", "transformers")
    assert "license" not in data


def test_commands_hold_together_where_a_folder_has_a_blank():
    commands = dict(usage(weights(BaseModelId("org/small", "", "")), "my exports/yoda"))
    assert commands["vLLM"].endswith("--lora-modules 'yoda=my exports/yoda'")
    commands = dict(usage(in_gguf(), "my exports/yoda"))
    assert commands["llama.cpp"] == (
        "llama-server -m 'my exports/base/model.gguf' --lora 'my exports/yoda/adapter.gguf'"
    )


VERIFIED = {
    "by": "a reader", "greedy_equal": 7, "prompts": 8, "worst_logprob": 0.25,
    "mean_logprob": 0.01, "worst_weight": 0.004,
}  # fmt: skip


def in_gguf(file: str = "adapter.gguf", base_file: str | None = None) -> Weights:
    found = InGguf(file, "q8_0", VERIFIED, ("accents differ",), base_file)
    return replace(weights(BaseModelId("org/small", "", "")), gguf=found)


def test_a_lora_goes_on_the_base_s_own_file_where_that_is_one():
    commands = dict(usage(in_gguf(base_file="/models/a b.gguf"), "out"))
    assert commands["llama.cpp"] == "llama-server -m '/models/a b.gguf' --lora out/adapter.gguf"
    assert "the base, once" not in commands
    commands = dict(usage(in_gguf(), "out"))
    assert commands["the base, once"] == "bgit download base --format gguf --out base"
    # `base` is the branch's own: a student's is named by the student.
    found = replace(in_gguf(), is_elsewhere=True)
    assert found.model is not None
    told = f"bgit download {found.model.bake} --base --format gguf --out base"
    assert dict(usage(found, "out"))["the base, once"] == told


def test_a_whole_file_has_a_line_for_each_program():
    commands = dict(usage(replace(in_gguf("model.gguf"), merged_as="q8_0"), "out"))
    assert commands["llama.cpp"] == "llama-server -m out/model.gguf"
    assert commands["Ollama"] == "ollama create yoda -f out/Modelfile\nollama run yoda"
    assert commands["LM Studio"] == "lms import --copy out/model.gguf"


def test_the_readme_of_a_file_says_how_near_it_came():
    text = readme(in_gguf(), "out")
    assert "7 of 8 greedy answers are the same" in text
    assert "differ by at most 0.25 nats" in text
    assert "\n- accents differ.\n" in text
    assert "library_name: gguf\n" in text
