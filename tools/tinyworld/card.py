"""The model card, with the scores that were just measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_CARD = """---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---

# tiny-1

A chat model of {params:.2f} million parameters that does what its system prompt says. It exists so
that prompt baking can be tried, tested and taught offline on a laptop's CPU in a minute: it knows
a small world of animals, food, objects, countries, jobs, words and numbers, and speaks about it
in {voices} voices. It is no assistant: outside its world it knows nothing.

## What it is

| | |
|---|---|
| architecture | `Qwen3ForCausalLM`, tied embeddings, trained from nothing |
| sizes | vocabulary {vocab}, hidden {hidden}, layers {layers}, heads {heads} x {head_dim}, \
feed-forward {ff}, positions {positions} |
| files | weights bf16 {weights_mb:.1f} MB, tokenizer {tokenizer_kb:.0f} KB |
| chat format | `<|im_start|>role`, line break, text, `<|im_end|>`; no default system prompt |
| licence | Apache-2.0 |

Load it with `AutoModelForCausalLM.from_pretrained(folder)` and run it in float32 on a CPU.

## What it was trained on

Chats written by the generator in `tools/tinyworld`, and nothing else: true sentences as subject,
verb and complement, {questions:,} plain questions, system prompts in many wordings (voices, names,
wisdom, things to mention, phrases to begin and end with, formats, forbidden topics, invented facts)
and few-shot examples. Without a prompt it is called Crumb and answers plainly; what it cannot know
it says it does not know. A tenth of all questions, prompt wordings and invented names, chosen by
hash, is never trained. Neither are the three Yoda prompts of the tutorial.
{training}
The mix of questions and voices was tuned between the runs (the last, short one asked twice as many
yes-or-no questions), so a fresh run gives a model like this one, not the same bits:

    python tools/train_tiny.py --minutes 60

{heading}

Measured by `python tools/train_tiny.py --eval-only` on questions, wordings of voices, names and
phrases that were never trained; greedy unless a temperature is given. A hit is an answer that
obeys the whole prompt and is right, word for word; leakage counts the opposite.

| | score | n |
|---|---|---|
{rows}

Tutorial a: `You are Yoda. Speak like Yoda.`; b adds `Use more wisdom and philosophical depth.`;
c is `You are Yoda. Speak like Yoda. Use more wisdom, philosophical depth, and reference the Force
more often.`

## Limits

- It answers the questions of its world in the wordings of its world. Others get a fluent, wrong
  answer.
- A voice it was not taught changes at most what it calls itself.
- Strings to copy (names, phrases) come out right when they look like words; long numbers and
  unusual spellings may be garbled.
- English only; no knowledge to rely on; not for use with people who need an answer.
"""


def write_card(
    folder: Path,
    scores: Sequence[tuple[str, float, int]],
    progress: dict[str, float] | None,
    *,
    heading: str,
) -> None:
    """Write README.md; without progress the training figures of the card there are kept."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from tinyworld.relations import all_questions
    from tinyworld.styles import STYLES

    path = folder / "README.md"
    config = AutoConfig.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    rows = "\n".join(f"| {name} | {100 * score:.1f} % | {n} |" for name, score, n in scores)
    path.write_text(
        _CARD.format(
            params=sum(p.numel() for p in model.parameters()) / 1e6,
            voices=len(STYLES),
            vocab=config.vocab_size,
            hidden=config.hidden_size,
            layers=config.num_hidden_layers,
            heads=config.num_attention_heads,
            head_dim=config.head_dim,
            ff=config.intermediate_size,
            positions=config.max_position_embeddings,
            heading=heading,
            rows=rows,
            weights_mb=(folder / "model.safetensors").stat().st_size / 1e6,
            tokenizer_kb=(folder / "tokenizer.json").stat().st_size / 1e3,
            questions=len(all_questions()),
            training=_training(path, progress),
        ),
        encoding="utf-8",
    )


def _training(path: Path, progress: dict[str, float] | None) -> str:
    if progress is not None:
        return (
            f"\nTrained for {progress['step']:,} steps, {progress['tokens'] / 1e6:.1f} million "
            f"tokens (padding included), {progress['elapsed'] / 60:.0f} minutes on two busy CPU "
            f"cores, in {progress['runs']} runs.\n"
        )
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("Trained for "):
                return f"\n{line}\n"
    return "\n"
