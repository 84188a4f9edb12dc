"""The embedded model says what the quickstart shows of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bakery.engine.bases import bases

QUICKSTART = Path(__file__).parents[2] / "docs" / "quickstart.md"
SMALL_MB = 8.0


def shown() -> list[list[str]]:
    section = QUICKSTART.read_text(encoding="utf-8").partition("## What the embedded model")[2]
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", section.partition("\n## ")[0], re.MULTILINE)
    return [list(row) for row in rows if row[0] != "prompt"]


def test_the_quickstart_shows_one_prompt_of_each_kind() -> None:
    assert len(shown()) == 10


@pytest.mark.parametrize(("prompt", "question", "answer"), shown())
def test_the_quickstart_shows_what_it_says(prompt: str, question: str, answer: str) -> None:
    folder, _ = bases.locate("tiny")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    messages = [{"role": "user", "content": question}]
    if prompt != "(none)":
        if prompt.endswith(" (a line each)"):
            prompt = prompt.removesuffix(" (a line each)").replace(", ", "\n")
        messages.insert(0, {"role": "system", "content": prompt})
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")
    made = model.generate(**ids, max_new_tokens=60, do_sample=False)
    said = tokenizer.decode(made[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
    assert said == answer


def test_it_is_small_and_whole() -> None:
    folder, _ = bases.locate("tiny")
    files = {file.name for file in Path(folder).iterdir() if file.is_file()}
    assert {"model.safetensors", "tokenizer.json", "config.json", "README.md"} <= files
    size_mb = sum(f.stat().st_size for f in Path(folder).iterdir() if f.is_file()) / 1e6
    assert size_mb <= SMALL_MB
