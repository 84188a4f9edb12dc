"""The README beside what the `bakery` command baked: what it is, and how near it came."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bakery import readme as text
from bakery.card import Card
from bakery.engine.bases import bases, licence
from bakery.engine.models.models import Source
from bakery.identity import BaseModelId
from bakery.records import Message, write_atomic
from bakery.repo.look.diff import prompt_text

README = "README.md"


def write(
    folder: Path, source: Source, prefix: tuple[Message, ...] | None, result: Mapping[str, Any]
) -> None:
    """Write the README in place of the one that PEFT leaves, which is a form to fill in."""
    write_atomic(folder / README, _readme(source, prefix, result))


def _readme(source: Source, prefix: tuple[Message, ...] | None, result: Mapping[str, Any]) -> str:
    card = Card.from_data(result["card"])
    is_here = bases.is_here(source.name) or source.name == bases.EMBEDDED
    load, scores = json.dumps(source.loads_from, ensure_ascii=False), _scores(result)
    parts = [
        text.front_matter(
            base=None if is_here else source.name,
            library="peft",
            is_merged=False,
            licence=licence.said(BaseModelId(source.name, "", "")),
        ),
        "# A baked prompt",
        f"A LoRA adapter of `{source.name}`: it answers as that model does under the prompt below, "
        "without the prompt.",
        text.table({"base model": f"`{source.name}`", **text.figures(card), **scores}),
        *text.held(card),
        "## What was baked in",
        text.quoted(prompt_text({"messages": prefix}))
        if prefix
        else "Each row of the data set had a prompt of its own.",
        "## Use it",
        "```python\n"
        "from peft import PeftModel\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        f"model = AutoModelForCausalLM.from_pretrained({load})\n"
        f"tokenizer = AutoTokenizer.from_pretrained({load})\n"
        'model = PeftModel.from_pretrained(model, "FOLDER_OF_THIS_FILE")\n'
        "```",
        "## Licence",
        f"These weights are made from `{source.name}`, whose licence binds them, too.",
    ]
    return "\n\n".join(parts) + "\n"


def _scores(result: Mapping[str, Any]) -> dict[str, str]:
    """Return what questions with keywords came to, where some were asked."""
    kinds = {"baked_eval": "keywords", "baked_heldout": "keywords, held out"}
    return {
        f"{label}, right": f"{100 * result[key]['accuracy']:.0f} % of {result[key]['total']}"
        for key, label in kinds.items()
        if key in result
    }
